"""Spark: SQL for phases 1 and 3, and for phase 2 a function of one row or `mapInArrow`."""

import os
import sys
from collections.abc import Iterator

os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
import flight_sql
import peer
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col, udf
from pyspark.sql.types import DoubleType, StructField, StructType

from pipeline import FEATURES, INPUTS, KEPT, READ, add_features, features_of_row

SOURCES = ("flights", "weather", "planes", "airports")
MADE = [StructField(name, DoubleType()) for name in FEATURES]


def session(threads: int) -> SparkSession:
    """Returns a session in this process tree, with as many tasks as threads."""
    settings = {
        "spark.driver.memory": "6g",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(threads * 4),
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master(f"local[{threads}]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def with_rows(facts: DataFrame) -> DataFrame:
    """Calls Python once for each row; all ten features come from one call."""
    of_row = udf(features_of_row, StructType(MADE))
    rows = facts.select(*KEPT, of_row(*map(col, INPUTS)).alias("made"))
    return rows.select(*KEPT, "made.*")


def with_arrow(facts: DataFrame) -> DataFrame:
    """Calls Python with Arrow batches."""
    rows = facts.select(*READ)
    kept = [rows.schema[name] for name in KEPT]
    return rows.mapInArrow(map_batches, StructType(kept + MADE))


def map_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield from add_features(batch).to_batches()


VARIANTS = {"rows": with_rows, "arrow": with_arrow}


def main() -> None:
    asked = peer.request()
    spark = session(asked.threads)
    with_features = VARIANTS[asked.variant]
    for name in SOURCES:
        spark.read.parquet(str(asked.data / f"{name}.parquet")).createOrReplaceTempView(name)

    def write(rows: DataFrame, target: object) -> None:
        rows.write.parquet(str(target))

    def figures() -> flight_sql.Figures:
        spark.read.parquet(str(asked.features)).createOrReplaceTempView("features")
        return flight_sql.figures(lambda query: spark.sql(query).first())

    peer.run(
        asked,
        lambda: write(spark.sql(flight_sql.FACTS), asked.facts),
        lambda: write(with_features(spark.read.parquet(str(asked.facts))), asked.features),
        lambda: write(with_features(spark.sql(flight_sql.FACTS)), asked.features),
        figures,
    )
    spark.stop()


if __name__ == "__main__":
    main()
