"""What both peers with DuckDB share: its connection, phase 1 and phase 3."""

import duckdb
import flight_sql
from peer import Request
from rules import Figures

SOURCES = ("flights", "weather", "planes", "airports")


def connect(asked: Request) -> duckdb.DuckDBPyConnection:
    """Returns a connection with a view of each source."""
    # Rows need no order, as in the other engines, which saves DuckDB memory.
    config = {"threads": asked.threads, "preserve_insertion_order": False, "temp_directory": str(asked.out / "spill")}
    connection = duckdb.connect(config=config)
    for name in SOURCES:
        connection.execute(f"create view {name} as from read_parquet('{asked.data}/{name}.parquet')")
    return connection


def write_facts(connection: duckdb.DuckDBPyConnection, asked: Request) -> None:
    """Phase 1: writes the facts as one file."""
    target = f"'{asked.facts}.parquet' (format parquet, compression zstd)"
    connection.execute(f"copy ({flight_sql.FACTS}) to {target}")


def figures(connection: duckdb.DuckDBPyConnection, asked: Request) -> Figures:
    """Phase 3 over the files of the features."""
    connection.execute(f"create view features as from read_parquet('{asked.features}/*.parquet')")
    return flight_sql.figures(lambda query: connection.execute(query).fetchone())
