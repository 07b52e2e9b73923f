"""Reads Parquet files with pyarrow and with DuckDB and holds every value of every column against
what Besa reads.

Standard input: one JSON object a file, `{"path": …, "rows": n, "columns": {name: {"type": "text" |
"bytes" | "time" | "number", "nulls": n, "sha256": …}}}`. The checksum is over a column's rows in
order: `\0` for null, else `\1`, the length in four bytes little-endian, the value; times (in
nanoseconds) and numbers are eight bytes. Standard output: one line a
difference, then `files n, values n`.
"""

import hashlib
import json
import struct
import sys

import duckdb
import pyarrow.parquet as parquet


def checksum(values, kind):
    digest = hashlib.sha256()
    parts, nulls = [], 0
    for value in values:
        if value is None:
            nulls += 1
            parts.append(b"\0")
        elif kind in ("time", "number"):
            # Unsigned numbers and signed times alike: eight bytes.
            parts.append(b"\1\x08\0\0\0" + (value & (2**64 - 1)).to_bytes(8, "little"))
        else:
            value = value.encode() if isinstance(value, str) else bytes(value)
            parts.append(b"\1" + struct.pack("<I", len(value)) + value)
        if len(parts) > 4096:
            digest.update(b"".join(parts))
            parts = []
    digest.update(b"".join(parts))
    return nulls, digest.hexdigest()


def by_pyarrow(path, columns):
    file = parquet.ParquetFile(path, page_checksum_verification=True)
    table = file.read()
    for name, kind in columns.items():
        column = table.column(name)
        want = {"text": "string", "bytes": "binary", "time": "timestamp[ns, tz=UTC]", "number": "uint64"}[kind]
        if str(column.type) != want:
            raise ValueError(f"{name} is {column.type}, not {want}")
        if kind == "time":
            column = column.cast("int64")
        yield name, column.to_pylist()


def by_duckdb(path, columns):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for name, kind in columns.items():
        quoted = '"' + name.replace('"', '""') + '"'
        what = f"epoch_ns({quoted}::TIMESTAMP_NS)" if kind == "time" else quoted
        query = f"SELECT {what}, typeof({quoted}) FROM read_parquet(?, hive_partitioning = false, file_row_number = true) ORDER BY file_row_number"
        rows = connection.execute(query, [path]).fetchall()
        want = {"text": "VARCHAR", "bytes": "BLOB", "time": "TIMESTAMPTZ_NS", "number": "UBIGINT"}[kind]
        if rows and not rows[0][1].startswith(want):
            raise ValueError(f"{name} is {rows[0][1]}, not {want}")
        yield name, [row[0] for row in rows]


def main():
    files = values = 0
    for line in sys.stdin:
        file = json.loads(line)
        kinds = {name: column["type"] for name, column in file["columns"].items()}
        files += 1
        for reader in (by_pyarrow, by_duckdb):
            try:
                found = {name: (checksum(column, kinds[name])) for name, column in reader(file["path"], kinds)}
            except Exception as error:
                print(f"{reader.__name__} {file['path']}: {error}")
                continue
            for name, column in file["columns"].items():
                if found[name] != (column["nulls"], column["sha256"]):
                    print(f"{reader.__name__} {file['path']} {name}: {found[name]} for {column}")
                values += file["rows"]
        have = parquet.read_schema(file["path"]).names
        if sorted(have) != sorted(kinds):
            print(f"{file['path']}: columns {have} for {sorted(kinds)}")
    print(f"files {files}, values {values}")


main()
