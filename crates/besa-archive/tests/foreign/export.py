"""Holds what pyarrow and DuckDB read of an archive against `besa archive export`.

Argument: the archive's folder. Standard input: the export as JSON lines. Standard output: at most
twenty differences, then what was compared as JSON.
"""

import datetime
import glob
import json
import os
import sys

import duckdb
import pyarrow as arrow
import pyarrow.parquet as parquet

FIXED = {
    "besa_time_precision": "time_precision",
    "besa_time_zone": "time_zone",
    "besa_host": "host",
    "besa_origin": "origin",
    "besa_record": "record",
}
BYTES = {"besa_layout", "besa_raw", "besa_more"}


def text(value):
    """A value of the export as a column has it."""
    if isinstance(value, list):
        # The first value that is one: null has no place in a column.
        return next((text(one) for one in value if one is not None), None)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def exported(line):
    event = json.loads(line, parse_int=str, parse_float=str)
    columns = {}
    for name, value in event["fields"].items():
        value = text(value)
        if value is not None:
            # Names that differ in ASCII case share a column, and the first value is in it.
            columns.setdefault("".join(c.lower() if c.isascii() else c for c in name), value)
    event["origin"], event["record"] = event["source"]["path"], event["source"]["record"]
    for column, name in FIXED.items():
        columns[column] = event[name] or None
    columns["besa_time"] = nanoseconds(event["time"])
    key = (event["origin"], event["record"], event["time"], json.dumps(event["logsource"], sort_keys=True))
    return key, columns


def nanoseconds(time):
    if time is None:
        return None
    whole, _, fraction = time.removesuffix("Z").partition(".")
    seconds = datetime.datetime.fromisoformat(whole + "+00:00").timestamp()
    return int(seconds) * 10**9 + int(fraction.ljust(9, "0") or 0)


CONNECTION = duckdb.connect()


def by_pyarrow(path):
    table = parquet.ParquetFile(path, page_checksum_verification=True).read()
    position = table.schema.get_field_index("besa_time")
    table = table.set_column(position, "besa_time", table.column("besa_time").cast(arrow.int64()))
    return table.to_pydict()


def by_duckdb(path):
    relation = CONNECTION.execute(
        "SELECT * REPLACE (epoch_ns(besa_time::TIMESTAMP_NS) AS besa_time)"
        " FROM read_parquet(?, hive_partitioning = false)",
        [path],
    )
    names = [column[0] for column in relation.description]
    rows = relation.fetchall()
    return {name: [row[at] for row in rows] for at, name in enumerate(names)}


def main():
    archive = sys.argv[1]
    events = {}
    for line in sys.stdin:
        key, columns = exported(line)
        events.setdefault(key, []).append(columns)
    count = sum(map(len, events.values()))
    differences, values, files = [], 0, 0
    seen = {by_pyarrow: 0, by_duckdb: 0}
    for path in sorted(glob.glob(os.path.join(archive, "data", "*", "*", "*.parquet"))):
        files += 1
        meta = parquet.read_metadata(path).metadata
        source = json.dumps(json.loads(meta[b"besa.source"]), sort_keys=True)
        tables = [(reader, reader(path)) for reader in (by_pyarrow, by_duckdb)]
        if tables[0][1] != tables[1][1]:
            differences.append(f"{path}: pyarrow and DuckDB differ")
        for reader, table in tables:
            rows = len(table["besa_record"])
            seen[reader] += rows
            for row in range(rows):
                found = {name: column[row] for name, column in table.items() if name not in BYTES}
                values += len(found)
                folded = {"".join(c.lower() if c.isascii() else c for c in name): value for name, value in found.items()}
                folded["besa_record"] = str(folded["besa_record"])
                match = None
                for key in candidates(folded, source):
                    for want in events.get(key, []):
                        # Names without a column are not in the file.
                        short = {name: want.get(name) for name in folded}
                        missing = [n for n in want if n not in folded and not n.startswith("wide")]
                        if short == folded and not missing:
                            match = want
                if match is None:
                    differences.append(f"{reader.__name__} {path} row {row}: {str(folded)[:600]}")
    for reader, rows in seen.items():
        if rows != count:
            differences.append(f"{reader.__name__}: {rows} rows, {count} events exported")
    for difference in differences[:20]:
        print(difference)
    print(json.dumps({"files": files, "events": count, "values": values}))
    sys.exit(1 if differences else 0)


def candidates(row, source):
    at = row["besa_time"]
    if at is None:
        return [(row["besa_origin"], row["besa_record"], None, source)]
    seconds, rest = divmod(at, 10**9)
    whole = (datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)).isoformat()
    digits = {"millisecond": 3, "microsecond": 6, "100ns": 7, "nanosecond": 9}.get(row["besa_time_precision"], 0)
    fraction = f".{rest:09d}"[: digits + 1] if digits else ""
    return [(row["besa_origin"], row["besa_record"], f"{whole}{fraction}Z", source)]


main()
