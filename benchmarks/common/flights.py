"""Makes the input of the benchmark: the flights example repeated over shifted years.

Copy `k` of flights and weather lies `k` years later, so keys stay unique and each year has the
year before as its yesterday. Planes, airports and airlines are taken once.
"""

import shutil
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

SHIFTED = ("flights", "weather")
FIXED = ("planes", "airports", "airlines")
ROW_GROUP_ROWS = 131_072


def shifted_copy(connection: duckdb.DuckDBPyConnection, source: Path, years: int) -> pa.Table:
    """Returns the rows of `source` moved by whole years."""
    query = """
        select * replace (
            year + $years as year,
            make_timestamp(epoch_us(time_hour)) + to_years($years) as time_hour
        )
        from read_parquet($source)
    """
    shifted = connection.sql(query, params={"years": years, "source": str(source)}).to_arrow_table()
    return shifted.cast(pq.read_schema(source))


def write_shifted(source: Path, target: Path, copies: int) -> None:
    """Writes `copies` years of one table, one year after the other."""
    connection = duckdb.connect()
    schema = pq.read_schema(source)
    with pq.ParquetWriter(target, schema, compression="zstd", store_schema=False) as writer:
        for years in range(copies):
            writer.write_table(shifted_copy(connection, source, years), ROW_GROUP_ROWS)


def make_data(example: Path, cache: Path, copies: int) -> Path:
    """Returns the folder of the input tables, made on the first call."""
    folder = cache / f"data-{copies}"
    if folder.exists():
        return folder
    unfinished = cache / f"data-{copies}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name in SHIFTED:
        write_shifted(example / f"{name}.parquet", unfinished / f"{name}.parquet", copies)
    for name in FIXED:
        shutil.copyfile(example / f"{name}.parquet", unfinished / f"{name}.parquet")
    unfinished.rename(folder)
    return folder
