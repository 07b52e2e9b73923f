"""Measures the archive, and DuckDB over the same Parquet files in the same run.

    python history.py BESA HISTORY FOLDER EVENTS[,EVENTS…] [HOURS]

BESA and HISTORY are the release builds of the binary and of `examples/history.rs`; FOLDER holds
archives and lists; an archive that is there is used again. Needs `duckdb` (2.0). Prints tables in
Markdown. Warm is the least of five (three for more than 10,000 indicators) runs of the whole process;
cold is once, after the system was told to drop the archive's files from its cache. DuckDB runs in a
process of its own for each query too, with two threads as `--jobs 2` of Besa.

DuckDB is asked in two forms (a semi-join for each column, one pass over all columns) and the faster
one counts. Its work is the less: it compares nine columns with the list for equality and counts; Besa
looks at every column, at parent domains and at parts of URLs, and gives the events themselves.
"""

import glob
import json
import os
import resource
import subprocess
import sys
import time

COLUMNS = ["id.orig_h", "id.resp_h", "query", "host", "IpAddress", "SourceIp", "DestinationIp", "DestinationHostname"]
DUCKDB = """
import duckdb, sys
connection = duckdb.connect()
connection.execute("SET threads = 2")
connection.execute("SET enable_progress_bar = false")
files, list_of, columns = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
connection.execute("CREATE TABLE asked AS SELECT lower(column0) AS value FROM read_csv(?, header = false, columns = {'column0': 'VARCHAR'})", [list_of])
have = {row[0] for row in connection.execute("DESCRIBE SELECT * FROM read_parquet(?, union_by_name = true, hive_partitioning = false)", [files]).fetchall()}
parts = [f'SELECT count(*) AS n FROM read_parquet($1, union_by_name = true, hive_partitioning = false) WHERE "{c}" IN (SELECT value FROM asked)' for c in columns if c in have]
if "Hashes" in have:
    parts.append("SELECT count(*) FROM read_parquet($1, union_by_name = true, hive_partitioning = false) WHERE lower(right(\\"Hashes\\", 64)) IN (SELECT value FROM asked)")
if sys.argv[4] == "one":
    where = " OR ".join(part.split(" WHERE ")[1] for part in parts)
    parts = [f"SELECT count(*) AS n FROM read_parquet($1, union_by_name = true, hive_partitioning = false) WHERE {where}"]
print(connection.execute("SELECT sum(n) FROM (" + " UNION ALL ".join(parts) + ")", [files]).fetchone()[0])
"""


def timed(command):
    """Seconds by the clock, what was printed, processor seconds of the process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode > 1:
        raise RuntimeError(f"{command}: {done.stderr.decode()[-2000:]}")
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, done.stdout.decode(), spent


def forget(archive):
    """Drops the archive's files from the cache of the system, and nobody else's."""
    for path in glob.glob(archive + "/**/*", recursive=True):
        if os.path.isfile(path):
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def best(command, runs):
    return min((timed(command) for _ in range(runs)), key=lambda one: one[0])


def size(archive, part):
    return sum(os.path.getsize(path) for path in glob.glob(f"{archive}/{part}/**/*", recursive=True) if os.path.isfile(path))


def fill(besa, history, archive, events):
    """Makes an archive through `besa archive add`; gives what it cost."""
    told = archive + ".json"
    if os.path.exists(told):
        return json.load(open(told))
    source = subprocess.Popen([history, "events", str(events)], stdout=subprocess.PIPE)
    started = time.perf_counter()
    child = subprocess.Popen([besa, "-q", "archive", "add", "-", "--archive", archive, "--json"], stdin=source.stdout, stdout=subprocess.PIPE)
    source.stdout.close()
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0 or source.wait() != 0:
        raise RuntimeError("the archive was not filled")
    kept = json.loads(out)
    cost = {
        "events": kept["events"], "json": kept["bytes"], "seconds": time.perf_counter() - started,
        "cpu": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss // 1024,
    }
    json.dump(cost, open(told, "w"))
    return cost


def indicators(history, folder, count):
    path = f"{folder}/indicators-{count}.txt"
    if not os.path.exists(path):
        with open(path, "wb") as out:
            subprocess.run([history, "indicators", str(count)], stdout=out, check=True)
    return path


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def hit(folder):
    """A list of the one indicator that was found most often in the last hunt."""
    counts = {}
    for line in open(f"{folder}/found.jsonl"):
        value = json.loads(line)["rule_id"]
        counts[value] = counts.get(value, 0) + 1
    if not counts:
        return None
    path = f"{folder}/indicators-hit.txt"
    with open(path, "w") as out:
        out.write(max(sorted(counts), key=counts.get) + "\n")
    return path


def search(besa, history, folder, archive, events, counts):
    for count in counts:
        asked = indicators(history, folder, count) if count != "hit" else hit(folder)
        if asked is None:
            continue
        account = f"{folder}/account.json"
        hunt = [besa, "-q", "archive", "hunt", "--archive", archive, "--intel", asked, "--intel-only", "--format", "jsonl", "--out", f"{folder}/found.jsonl", "--account", account, "--jobs", "2"]
        duck = [sys.executable, "-c", DUCKDB, archive + "/data/*/*/*.parquet", asked, ",".join(COLUMNS)]
        runs = 5 if count == "hit" or count <= 10_000 else 3
        forget(archive)
        cold = timed(hunt)[0]
        warm, _, cpu = best(hunt, runs)
        # A semi-join for each column, or one pass with all of them: whichever is faster here.
        form = min(("each", "one"), key=lambda form: timed([*duck, form])[0])
        duck.append(form)
        forget(archive)
        duck_cold = timed(duck)[0]
        # Its runs over a long history take minutes.
        duck_warm, found, duck_cpu = best(duck, runs if events < 20_000_000 else 1)
        told = json.load(open(account))
        row(f"{events:,}", "1, found" if count == "hit" else f"{count:,}", f"{warm:.3f}", f"{cold:.2f}", f"{cpu:.2f}", f"{duck_warm:.3f}", f"{duck_cold:.2f}", f"{duck_cpu:.2f}", f"{duck_warm / warm:.1f} ×", f"{told['findings']['total']:,}", found.strip())


def main():
    besa, history, folder, all_events = sys.argv[1:5]
    os.makedirs(folder, exist_ok=True)
    all_events = [int(events) for events in all_events.split(",")]
    print("nothing: besa", f"{best([besa, '--version'], 5)[0]:.3f} s, DuckDB", f"{best([sys.executable, '-c', 'import duckdb; duckdb.connect()'], 5)[0]:.3f} s\n")
    row("events", "JSON", "wall s", "CPU s", "k events/s", "k events/CPU s", "peak MB", "Parquet of JSON", "index B/event")
    row(*["---"] * 9)
    for events in all_events:
        archive = f"{folder}/archive-{events}"
        cost = fill(besa, history, archive, events)
        row(f"{events:,}", f"{cost['json'] / 1e9:.2f} GB", f"{cost['seconds']:.0f}", f"{cost['cpu']:.0f}",
            f"{events / cost['seconds'] / 1e3:.0f}", f"{events / cost['cpu'] / 1e3:.0f}", cost["peak_mb"],
            f"{100 * size(archive, 'data') / cost['json']:.1f} %", f"{size(archive, 'index') / events:.1f}")
    print()
    row("events", "indicators", "Besa warm s", "cold", "CPU", "DuckDB warm s", "cold", "CPU", "warm", "findings", "DuckDB's rows")
    row(*["---"] * 11)
    for events in all_events:
        counts = [1, 1_000, "hit"]
        if events == all_events[-1]:
            counts += [10_000, 100_000, 1_000_000]
        search(besa, history, folder, f"{folder}/archive-{events}", events, counts)
    if len(sys.argv) > 5:
        hours = int(sys.argv[5])
        archive = f"{folder}/hours-{hours}"
        if not os.path.exists(archive):
            print("\n" + timed([history, "hours", str(hours), "500", archive])[1])
        search(besa, history, folder, archive, hours * 500, [1, 1_000, "hit"])


main()
