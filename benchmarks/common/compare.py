"""Compares the tables of two engines value by value.

Floats may differ by 1e-9 of their size, or by 1e-9 where they are smaller than 1: a mean that
slides over values leaves the rounding of those that left it.
"""

from collections.abc import Callable
from pathlib import Path

import duckdb
from pyarrow.dataset import Dataset

TOLERANCE = 1e-9

Reader = Callable[[str], Dataset]
"""Returns one table by name."""


def differences(tables: dict[str, list[str]], left: Reader, right: Reader, scratch: Path) -> list[str]:
    """Returns what differs between tables, named with their keys, one line each; nothing if all values are the same."""
    found = []
    for table, keys in tables.items():
        connection = duckdb.connect(config={"memory_limit": "6GB", "temp_directory": str(scratch)})
        lines = table_differences(connection, left(table), right(table), keys)
        found += [f"{table}: {line}" for line in lines]
    return found


def table_differences(
    connection: duckdb.DuckDBPyConnection, left: Dataset, right: Dataset, keys: list[str]
) -> list[str]:
    """Returns what differs between two tables."""
    types = [register(connection, name, table) for name, table in (("l", left), ("r", right))]
    if types[0] != types[1]:
        return [f"columns {types[0]} and {types[1]}"]
    rows = [row_count(connection, name) for name in ("l", "r")]
    if rows[0] != rows[1]:
        return [f"{rows[0]:,} and {rows[1]:,} rows"]
    return value_differences(connection, types[0], keys)


def row_count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return connection.sql(f"select count(*) from {table}").fetchall()[0][0]


def register(connection: duckdb.DuckDBPyConnection, name: str, table: Dataset) -> dict[str, str]:
    """Makes `table` known as `name`, columns in order of their names; returns their types."""
    connection.register(f"{name}_raw", table)
    described = connection.sql(f"describe {name}_raw").fetchall()
    columns = {column: kind for column, kind, *_ in sorted(described)}
    # With or without a time zone, all times are UTC: compare the instants.
    selected = [
        f"epoch_us({column}) as {column}" if kind.startswith("TIMESTAMP") else column
        for column, kind in columns.items()
    ]
    connection.execute(f"create temp view {name} as select {', '.join(selected)} from {name}_raw")
    return {column: kind for column, kind, *_ in connection.sql(f"describe {name}").fetchall()}


def value_differences(
    connection: duckdb.DuckDBPyConnection, types: dict[str, str], keys: list[str]
) -> list[str]:
    """Joins both tables by key and returns the columns whose values differ."""
    values = [column for column in types if column not in keys]
    counted = [f"count(*) filter (not ({is_same(column, types[column])}))" for column in values]
    matched = " and ".join(f"l.{key} is not distinct from r.{key}" for key in keys)
    query = f"select count(*), {', '.join(counted)} from l join r on {matched}"
    pairs, *wrong = connection.sql(query).fetchall()[0]
    rows = row_count(connection, "l")
    if pairs != rows:
        return [f"{rows:,} rows, but {pairs:,} pairs with the same key"]
    counts = zip(values, wrong, strict=True)
    return [f"{count:,} values of `{name}`" for name, count in counts if count]


def is_same(column: str, kind: str) -> str:
    """Returns the SQL that says whether both sides agree on a column; never null."""
    same = f"l.{column} is not distinct from r.{column}"
    if kind not in ("DOUBLE", "FLOAT"):
        return same
    size = f"greatest(abs(l.{column}), abs(r.{column}), 1.0)"
    return f"{same} or coalesce(abs(l.{column} - r.{column}) <= {TOLERANCE} * {size}, false)"
