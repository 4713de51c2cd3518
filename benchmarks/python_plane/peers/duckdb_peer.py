"""DuckDB with Arrow functions: they run in its own process, behind the interpreter's lock."""

import duckdb
import pyarrow as pa
import serve

from functions import FEATURES, fma, load_model, predict

COLUMNS = [f"x{index}" for index in range(10)]
ROW = "struct(" + ", ".join(f"{name} double" for name in COLUMNS) + ", id varchar)"
FIELDS = ", ".join(f"{name} := {name}" for name in [*COLUMNS, "id"])

QUERIES = {
    ("fma", "plain"): "select x0 * x1 + x2 as r",
    ("fma", "arrow udf"): "select fma(x0, x1, x2) as r",
    ("identity", "plain"): "select *",
    ("identity", "arrow udf"): f"select unnest(identity11(struct_pack({FIELDS})))",
    ("predict", "plain"): f"select {' + '.join(FEATURES)} as p",
    ("predict", "arrow udf"): f"select predict({', '.join(FEATURES)}) as p",
}


def plan(connection: duckdb.DuckDBPyConnection, query: str, model: dict[str, str]) -> serve.Plan:
    """Returns the plan that writes what a query makes of the input."""

    def run(request: dict[str, str]) -> None:
        model["file"] = request["model"]
        rows = f"{query} from read_parquet('{request['input']}/*.parquet')"
        target = f"'{request['output']}/rows.parquet' (format parquet, compression zstd)"
        connection.execute(f"copy ({rows}) to {target}")

    return run


def start(threads: int) -> dict[tuple[str, str], serve.Plan]:
    connection = duckdb.connect(config={"threads": threads, "preserve_insertion_order": False})
    model: dict[str, str] = {}

    def fma_udf(a: pa.ChunkedArray, b: pa.ChunkedArray, c: pa.ChunkedArray) -> pa.Array:
        return pa.array(fma(a.to_numpy(), b.to_numpy(), c.to_numpy()))

    # DuckDB counts parameters, so they cannot be gathered in one.
    def predict_udf(x0, x1, x2, x3, x4, x5, x6, x7):
        columns = [column.to_numpy() for column in (x0, x1, x2, x3, x4, x5, x6, x7)]
        return pa.array(predict(load_model(model["file"]), columns))

    def identity_udf(rows: pa.ChunkedArray) -> pa.ChunkedArray:
        return rows

    add = connection.create_function
    add("fma", fma_udf, ["double"] * 3, "double", type="arrow")
    add("predict", predict_udf, ["double"] * 8, "double", type="arrow")
    add("identity11", identity_udf, [ROW], ROW, type="arrow")
    return {key: plan(connection, query, model) for key, query in QUERIES.items()}


if __name__ == "__main__":
    serve.serve(start)
