"""Writes Parquet files larger than 10 MB with small row groups: `write_large.py FOLDER`.

Needs the package `pyarrow`. The rows are those of a table of numbers that tests compute in SQL, with a text that no
compression makes small.
"""

import hashlib
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 12_000
FILES = 3
ROW_GROUP_ROWS = 700


def pad(number: int) -> str:
    return "".join(hashlib.sha512(f"{part} {number}".encode()).hexdigest() for part in range(1, 21))


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    for file in range(FILES):
        ids = range(1 + file * ROWS // FILES, 1 + (file + 1) * ROWS // FILES)
        table = pa.table(
            {
                "id": pa.array(ids, pa.int64()),
                "x": pa.array([number * 0.5 for number in ids]),
                "name": pa.array([f"n{number}" for number in ids]),
                "pad": pa.array([pad(number) for number in ids]),
            }
        )
        pq.write_table(table, folder / f"{file}.parquet", row_group_size=ROW_GROUP_ROWS)


main()
