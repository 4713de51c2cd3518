"""Answers one query over all Delta tables of a folder as several readers see them, as JSON.

`query_tables.py FOLDER SQL` needs the packages `deltalake`, `pyarrow` and `duckdb`. Every folder
below FOLDER that holds a Delta log is a table of that name. `deltalake` follows the log and reads
with Arrow's Parquet reader; `duckdb` reads the files that the log lists with a reader of its own
and takes the values of partition columns from the folders' names.

Values are written as `windlass show --format json` writes them, so that the two can be compared.
"""

import datetime
import decimal
import json
import sys
from pathlib import Path

import duckdb
from check_delta_readers import listed_files, quoted
from deltalake import DeltaTable


def connect() -> duckdb.DuckDBPyConnection:
    """Returns a connection that computes in UTC, as Windlass does."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    return connection


def by_deltalake(tables: dict[str, DeltaTable]) -> duckdb.DuckDBPyConnection:
    connection = connect()
    for name, table in tables.items():
        connection.register(name, table.to_pyarrow_dataset())
    return connection


def by_duckdb(tables: dict[str, DeltaTable]) -> duckdb.DuckDBPyConnection:
    connection = connect()
    for name, table in tables.items():
        connection.register("declared", table.to_pyarrow_dataset())
        types = {column: kind for column, kind, *_ in connection.sql("describe declared").fetchall()}
        if files := listed_files(table):
            listed = ", ".join(map(text, files))
            options = "hive_partitioning = true, hive_types_autocast = false, union_by_name = true"
            read = f"read_parquet([{listed}], {options})"
        else:
            read = "declared"
        columns = ", ".join(f"cast({quoted(column)} as {kind}) as {quoted(column)}" for column, kind in types.items())
        connection.execute(f"create table {quoted(name)} as select {columns} from {read}")
        connection.unregister("declared")
    return connection


def text(value: str) -> str:
    """Returns an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def encoded(value: object) -> object:
    """Returns a value as Windlass writes it into JSON."""
    match value:
        case datetime.datetime():
            digits = "microseconds" if value.microsecond % 1000 else "milliseconds"
            written = value.isoformat(timespec=digits if value.microsecond else "seconds")
            return written.replace("+00:00", "Z")
        case datetime.date():
            return value.isoformat()
        case decimal.Decimal():
            return float(value)
        case bytes():
            return value.hex()
        case float() if value != value or value in (float("inf"), float("-inf")):
            return None
        case dict():
            return {key: encoded(inner) for key, inner in value.items()}
        case list():
            return [encoded(inner) for inner in value]
        case _:
            return value


def main() -> None:
    folder, sql = sys.argv[1:]
    logs = sorted(Path(folder).glob("*/_delta_log"))
    tables = {log.parent.name: DeltaTable(str(log.parent)) for log in logs}
    answers = {"deltalake": by_deltalake(tables), "duckdb": by_duckdb(tables)}
    print(json.dumps({name: encoded(seen.sql(sql).to_arrow_table().to_pylist()) for name, seen in answers.items()}))


if __name__ == "__main__":
    main()
