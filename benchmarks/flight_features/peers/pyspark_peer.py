"""The flight feature transform in Spark: `pyspark_peer.py DATA SEEDS OUT THREADS`.

Every table that the Windlass project publishes is written as zstd Parquet, and later tables read
it from there.
"""

import sys
from pathlib import Path

from feature_sql import STG_FLIGHTS, TABLES
from pyspark.sql import SparkSession

DATA, SEEDS, OUT = (Path(argument) for argument in sys.argv[1:4])
THREADS = sys.argv[4]
SOURCES = ("flights", "weather", "planes", "airports", "airlines")


def session() -> SparkSession:
    """Returns a session in this process tree, with as many tasks as threads."""
    settings = {
        "spark.driver.memory": "6g",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": THREADS,
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.builder.master(f"local[{THREADS}]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def main() -> None:
    spark = session()
    for name in SOURCES:
        spark.read.parquet(str(DATA / f"{name}.parquet")).createOrReplaceTempView(name)
    columns = "day date, holiday string"
    holidays = spark.read.csv(str(SEEDS / "holidays.csv"), header=True, schema=columns)
    holidays.createOrReplaceTempView("holidays_csv")
    spark.sql(STG_FLIGHTS).createOrReplaceTempView("stg_flights")
    for name, query in TABLES.items():
        target = str(OUT / f"{name}.parquet")
        spark.sql(query).write.parquet(target)
        spark.read.parquet(target).createOrReplaceTempView(name)
    spark.stop()


if __name__ == "__main__":
    main()
