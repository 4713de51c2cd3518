"""Writes Delta tables as other writers leave them: `write_tables.py FOLDER`.

Needs the packages `deltalake` and `pyarrow`. Windlass reads the tables as sources.

- `events` has many commits: appends, rows deleted and changed by a predicate (which rewrites files),
  a column added later, and a checkpoint whose log entries before it are gone, as after a clean-up.
- `places` is partitioned by text, date and a number, with NULLs and names that folders must escape.
- `empty` has columns and no rows.
"""

import datetime
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

UTC = datetime.timezone.utc
START = datetime.datetime(2024, 1, 1, tzinfo=UTC)


def events(first: int, count: int) -> pa.Table:
    ids = range(first, first + count)
    times = [START + datetime.timedelta(seconds=i) for i in ids]
    size = pa.struct([("width", pa.int32()), ("height", pa.float64())])
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "kind": pa.array([("click", "view", None)[i % 3] for i in ids]),
            "at": pa.array(times, pa.timestamp("us", "UTC")),
            "local": pa.array([time.replace(tzinfo=None) for time in times], pa.timestamp("us")),
            "price": pa.array([Decimal(i) / 4 for i in ids], pa.decimal128(12, 2)),
            "tags": pa.array([[str(j) for j in range(i % 3)] for i in ids], pa.list_(pa.string())),
            "size": pa.array([{"width": i, "height": None} for i in ids], size),
        }
    )


def write_events(path: str) -> None:
    write_deltalake(path, events(0, 1000))
    write_deltalake(path, events(1000, 1000), mode="append")
    table = DeltaTable(path)
    table.delete("id % 5 = 0")
    table.update(predicate="id = 7", updates={"kind": "'changed'"})
    table.create_checkpoint()
    last = table.version()
    for version in range(last):
        (Path(path) / "_delta_log" / f"{version:020}.json").unlink()
    later = events(2000, 100)
    later = later.append_column("added", pa.array(range(100), pa.int64()))
    write_deltalake(path, later, mode="append", schema_mode="merge")
    table = DeltaTable(path)
    table.delete("id >= 2090")


def write_places(path: str) -> None:
    table = pa.table(
        {
            "place": ["plain", "two words", "a/b", "Zürich 東京", None, "100% #?", "plain"],
            "day": pa.array([datetime.date(2024, 1, day) if day else None for day in (1, 2, 1, 3, 4, 0, 5)]),
            "id": pa.array(range(7), pa.int64()),
            "level": pa.array([1, 2, 3, -4, None, 6, 7], pa.int32()),
        }
    )
    write_deltalake(path, table, partition_by=["place", "day", "level"])
    DeltaTable(path).delete("place = 'two words'")


def write_empty(path: str) -> None:
    DeltaTable.create(path, schema=pa.schema([("id", pa.int64()), ("text", pa.string())]))


def main() -> None:
    folder = Path(sys.argv[1])
    write_events(str(folder / "events"))
    write_places(str(folder / "places"))
    write_empty(str(folder / "empty"))


if __name__ == "__main__":
    main()
