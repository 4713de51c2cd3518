"""Spark with its three Arrow interfaces: `pandas_udf`, `arrow_udf` and `mapInArrow`."""

import os
import sys
from collections.abc import Iterator

os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
import pandas as pd
import pyarrow as pa
import serve
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import arrow_udf, col, pandas_udf
from pyspark.sql.types import DoubleType

from functions import FEATURES, fma, load_model, predict


def session(threads: int) -> SparkSession:
    """Returns a session in this process tree, with as many tasks as threads."""
    settings = {
        "spark.driver.memory": "6g",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.compression.codec": "zstd",
        # 10,000 rows a batch, the default.
        "spark.sql.execution.arrow.maxRecordsPerBatch": "10000",
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.builder.master(f"local[{threads}]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


@pandas_udf(DoubleType())
def fma_pandas(a: pd.Series, b: pd.Series, c: pd.Series) -> pd.Series:
    return pd.Series(fma(a.to_numpy(), b.to_numpy(), c.to_numpy()))


@arrow_udf(DoubleType())
def fma_arrow(a: pa.Array, b: pa.Array, c: pa.Array) -> pa.Array:
    return pa.array(fma(a.to_numpy(), b.to_numpy(), c.to_numpy()))


def fma_map(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        result = fma(*(batch.column(name).to_numpy() for name in ("x0", "x1", "x2")))
        yield pa.record_batch({"r": pa.array(result)})


def identity_map(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


def predictors(model: str) -> dict[str, object]:
    """Returns the three forms of the prediction, with the file of the model."""

    @pandas_udf(DoubleType())
    def with_pandas(columns: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.Series]:
        fitted = load_model(model)
        for series in columns:
            yield pd.Series(predict(fitted, [column.to_numpy() for column in series]))

    @arrow_udf(DoubleType())
    def with_arrow(columns: Iterator[tuple[pa.Array, ...]]) -> Iterator[pa.Array]:
        fitted = load_model(model)
        for arrays in columns:
            yield pa.array(predict(fitted, [column.to_numpy() for column in arrays]))

    def with_map(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        fitted = load_model(model)
        for batch in batches:
            columns = [batch.column(name).to_numpy() for name in FEATURES]
            yield pa.record_batch({"p": pa.array(predict(fitted, columns))})

    return {"pandas_udf": with_pandas, "arrow_udf": with_arrow, "mapInArrow": with_map}


def fma_rows(rows: DataFrame, variant: str, _model: str) -> DataFrame:
    inputs = [col(name) for name in ("x0", "x1", "x2")]
    match variant:
        case "plain":
            return rows.select((inputs[0] * inputs[1] + inputs[2]).alias("r"))
        case "mapInArrow":
            return rows.select(*inputs).mapInArrow(fma_map, "r double")
    function = fma_pandas if variant == "pandas_udf" else fma_arrow
    return rows.select(function(*inputs).alias("r"))


def identity_rows(rows: DataFrame, variant: str, _model: str) -> DataFrame:
    return rows if variant == "plain" else rows.mapInArrow(identity_map, rows.schema)


def predict_rows(rows: DataFrame, variant: str, model: str) -> DataFrame:
    inputs = [col(name) for name in FEATURES]
    if variant == "plain":
        return rows.select(sum(inputs[1:], inputs[0]).alias("p"))
    function = predictors(model)[variant]
    if variant == "mapInArrow":
        return rows.select(*inputs).mapInArrow(function, "p double")
    return rows.select(function(*inputs).alias("p"))


CASES = {
    "fma": (fma_rows, ["plain", "pandas_udf", "arrow_udf", "mapInArrow"]),
    "identity": (identity_rows, ["plain", "mapInArrow"]),
    "predict": (predict_rows, ["plain", "pandas_udf", "arrow_udf", "mapInArrow"]),
}


def start(threads: int) -> dict[tuple[str, str], serve.Plan]:
    spark = session(threads)

    def plan(make: object, variant: str) -> serve.Plan:
        def run(request: dict[str, str]) -> None:
            rows = spark.read.parquet(request["input"])
            made = make(rows, variant, request["model"])
            made.write.mode("overwrite").parquet(request["output"])

        return run

    return {(case, variant): plan(make, variant) for case, (make, variants) in CASES.items() for variant in variants}


if __name__ == "__main__":
    serve.serve(start)
