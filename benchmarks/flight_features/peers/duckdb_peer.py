"""The flight feature transform in DuckDB: `duckdb_peer.py DATA SEEDS OUT THREADS`.

Every table that the Windlass project publishes is written as one zstd Parquet file, and later
tables read it from there.
"""

import sys
from pathlib import Path

import duckdb
from feature_sql import STG_FLIGHTS, TABLES

DATA, SEEDS, OUT = (Path(argument) for argument in sys.argv[1:4])
THREADS = sys.argv[4]

# DuckDB needs an extension to reckon with time zones, so times are plain UTC timestamps here.
UTC_HOUR = "replace (make_timestamp(epoch_us(time_hour)) as time_hour)"

VIEWS = {
    "flights": f"select * {UTC_HOUR} from read_parquet('{DATA}/flights.parquet')",
    "weather": f"select * {UTC_HOUR} from read_parquet('{DATA}/weather.parquet')",
    "planes": f"from read_parquet('{DATA}/planes.parquet')",
    "airports": f"from read_parquet('{DATA}/airports.parquet')",
    "airlines": f"from read_parquet('{DATA}/airlines.parquet')",
    "holidays_csv": f"from read_csv('{SEEDS}/holidays.csv')",
    "stg_flights": STG_FLIGHTS,
}


def main() -> None:
    # Rows need no order, as in the other engines, which saves DuckDB memory.
    connection = duckdb.connect(config={"threads": THREADS, "preserve_insertion_order": False})
    for name, query in VIEWS.items():
        connection.execute(f"create view {name} as {query}")
    for name, query in TABLES.items():
        file = OUT / f"{name}.parquet"
        connection.execute(f"copy ({query}) to '{file}' (format parquet, compression zstd)")
        connection.execute(f"create view {name} as from read_parquet('{file}')")


if __name__ == "__main__":
    main()
