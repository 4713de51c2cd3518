"""Opens one Delta table with several readers and prints what each of them sees, as JSON.

`check_delta_readers.py TABLE_FOLDER` needs the packages `deltalake`, `pyarrow` and `duckdb`;
`polars` is one reader more where it is installed. `deltalake` follows the table's log, `duckdb`
reads the files that the log lists with a Parquet reader of its own, and `polars` does as its users
do. Exit code 1: they disagree.

The checksum does not depend on the order of rows or columns: it is the sum of a hash of each row.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import duckdb
from deltalake import DeltaTable

Seen = dict[str, object]
"""Rows, schema and checksum, as one reader sees them."""


def quoted(name: str) -> str:
    """Returns an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def summary(connection: duckdb.DuckDBPyConnection, table: str) -> Seen:
    """Returns what the relation `table` holds, with DuckDB's names of types."""
    described = connection.sql(f"describe {table}").fetchall()
    schema = {column: kind for column, kind, *_ in described}
    columns = ", ".join(quoted(column) for column in sorted(schema))
    query = f"select count(*), coalesce(sum(hash({columns})), 0)::varchar from {table}"
    rows, checksum = connection.sql(query).fetchall()[0]
    return {"rows": rows, "schema": schema, "checksum": f"{int(checksum) % 2**64:016x}"}


def by_deltalake(table: DeltaTable) -> Seen:
    """Reads through the log, with Arrow's Parquet reader."""
    connection = duckdb.connect()
    connection.register("seen", table.to_pyarrow_dataset())
    return summary(connection, "seen")


def by_duckdb(table: DeltaTable) -> Seen:
    """Reads the listed files; values of partition columns stand in the folders' names."""
    connection = duckdb.connect()
    connection.register("declared", table.to_pyarrow_dataset())
    if not table.file_uris():
        return summary(connection, "declared")
    types = dict(row[:2] for row in connection.sql("describe declared").fetchall())
    partitions = table.metadata().partition_columns
    columns = ", ".join(
        f"cast({quoted(name)} as {kind}) as {quoted(name)}" if name in partitions else quoted(name)
        for name, kind in types.items()
    )
    listed = ", ".join("'" + file.replace("'", "''") + "'" for file in listed_files(table))
    reading = f"""read_parquet(
        [{listed}], hive_partitioning = {bool(partitions)}, hive_types_autocast = false
    )"""
    connection.execute(f"create view seen as select {columns} from {reading}")
    return summary(connection, "seen")


def listed_files(table: DeltaTable) -> list[str]:
    """Returns the paths of the table's files, which must be on this machine.

    The table's own folder is spelled as in a URL; the names below it may or may not be.
    """
    folder = table.table_uri.removeprefix("file://")
    names = [uri.removeprefix(folder) for uri in table.file_uris()]
    root = Path(unquote(folder))
    return [str(root / (name if (root / name).exists() else unquote(name))) for name in names]


def by_polars(folder: str) -> Seen:
    """Reads as Polars does by itself."""
    import polars

    connection = duckdb.connect()
    connection.register("seen", polars.scan_delta(folder).collect().to_arrow())
    return summary(connection, "seen")


def main() -> int:
    table = DeltaTable(sys.argv[1])
    seen = {"deltalake": by_deltalake(table), "duckdb": by_duckdb(table)}
    if find_spec("polars"):
        seen["polars"] = by_polars(sys.argv[1])
    print(json.dumps({"version": table.version(), "readers": seen}, indent=2))
    first, *others = seen.values()
    return int(any(other != first for other in others))


if __name__ == "__main__":
    sys.exit(main())
