"""Daft with functions in processes of their own (`use_process`), started for each query."""

import daft
import serve
from daft import DataFrame, DataType, Series, col

from functions import FEATURES, fma, load_model, predict

COLUMNS = [f"x{index}" for index in range(10)]
BATCH_ROWS = 10_000
ROW = DataType.struct({name: DataType.float64() for name in COLUMNS} | {"id": DataType.string()})


@daft.func.batch(return_dtype=DataType.float64(), use_process=True, batch_size=BATCH_ROWS)
def fma_udf(a: Series, b: Series, c: Series) -> Series:
    return Series.from_numpy(fma(*(column.to_arrow().to_numpy() for column in (a, b, c))))


@daft.func.batch(return_dtype=ROW, unnest=True, use_process=True, batch_size=BATCH_ROWS)
def identity_udf(rows: Series) -> Series:
    return rows


@daft.cls(use_process=True)
class Predict:
    def __init__(self, file: str) -> None:
        self.model = load_model(file)

    @daft.method.batch(return_dtype=DataType.float64(), batch_size=BATCH_ROWS)
    def score(self, x0, x1, x2, x3, x4, x5, x6, x7):
        columns = [x0, x1, x2, x3, x4, x5, x6, x7]
        return Series.from_numpy(predict(self.model, [x.to_arrow().to_numpy() for x in columns]))


def fma_rows(rows: DataFrame, _request: dict[str, str]) -> DataFrame:
    return rows.select(fma_udf(col("x0"), col("x1"), col("x2")).alias("r"))


def identity_rows(rows: DataFrame, _request: dict[str, str]) -> DataFrame:
    return rows.select(identity_udf(daft.functions.to_struct(*map(col, [*COLUMNS, "id"]))))


def predict_rows(rows: DataFrame, request: dict[str, str]) -> DataFrame:
    return rows.select(Predict(request["model"]).score(*map(col, FEATURES)).alias("p"))


def sum_rows(rows: DataFrame, _request: dict[str, str]) -> DataFrame:
    total = sum(map(col, FEATURES[1:]), col(FEATURES[0]))
    return rows.select(total.alias("p"))


QUERIES = {
    ("fma", "plain"): lambda rows, _: rows.select((col("x0") * col("x1") + col("x2")).alias("r")),
    ("fma", "use_process"): fma_rows,
    ("identity", "plain"): lambda rows, _: rows,
    ("identity", "use_process"): identity_rows,
    ("predict", "plain"): sum_rows,
    ("predict", "use_process"): predict_rows,
}


def start(_threads: int) -> dict[tuple[str, str], serve.Plan]:
    def plan(query: object) -> serve.Plan:
        def run(request: dict[str, str]) -> None:
            rows = daft.read_parquet(f"{request['input']}/*.parquet")
            query(rows, request).write_parquet(request["output"], compression="zstd")

        return run

    daft.set_runner_native()
    return {key: plan(query) for key, query in QUERIES.items()}


if __name__ == "__main__":
    serve.serve(start)
