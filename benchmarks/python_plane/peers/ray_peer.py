"""Ray Data: `map_batches` with functions (tasks) and classes (actors), batches of 10k and 100k rows."""

import os

# Ray's workers step back behind all other processes unless told otherwise.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
import ray
import ray.data
import serve
from ray.data import Dataset
from ray.data.expressions import col

from functions import FEATURES, fma, load_model, predict

INPUTS = {"fma": ["x0", "x1", "x2"], "predict": FEATURES, "identity": None}
BATCH_ROWS = {"10k": 10_000, "100k": 100_000}
FORMATS = {"fma": "numpy", "predict": "numpy", "identity": "pyarrow"}
ACTORS = 2
PLAIN = {
    "fma": ("r", col("x0") * col("x1") + col("x2")),
    "predict": ("p", sum(map(col, FEATURES[1:]), col(FEATURES[0]))),
}


def fma_batch(batch, _model):
    return {"r": fma(batch["x0"], batch["x1"], batch["x2"])}


def predict_batch(batch, model):
    return {"p": predict(load_model(model), [batch[name] for name in FEATURES])}


def identity_batch(batch, _model):
    return batch


class Actor:
    """Calls a function with a model that it loaded once."""

    def __init__(self, function, model: str) -> None:
        self.function, self.model = function, model
        if model:
            load_model(model)

    def __call__(self, batch):
        return self.function(batch, self.model)


FUNCTIONS = {"fma": fma_batch, "predict": predict_batch, "identity": identity_batch}


def with_tasks(case: str, rows: Dataset, model: str, batch_rows: int) -> Dataset:
    return rows.map_batches(
        FUNCTIONS[case],
        fn_args=(model,),
        batch_size=batch_rows,
        batch_format=FORMATS[case],
    )


def with_actors(case: str, rows: Dataset, model: str, batch_rows: int) -> Dataset:
    return rows.map_batches(
        Actor,
        fn_constructor_args=(FUNCTIONS[case], model if case == "predict" else ""),
        batch_size=batch_rows,
        batch_format=FORMATS[case],
        compute=ray.data.ActorPoolStrategy(size=ACTORS),
        # Less than a core each, so that reading finds a place beside them.
        num_cpus=0.5,
    )


def plan(case: str, kind: object, batch_rows: int) -> serve.Plan:
    """Returns the plan of a case; without a `kind` it is the one without the function."""

    def run(request: dict[str, str]) -> None:
        rows = ray.data.read_parquet(request["input"], columns=INPUTS[case])
        if kind is not None:
            rows = kind(case, rows, request["model"], batch_rows)
        elif case != "identity":
            name, expression = PLAIN[case]
            rows = rows.with_column(name, expression).select_columns([name])
        rows.write_parquet(request["output"], compression="zstd")

    return run


def start(threads: int) -> dict[tuple[str, str], serve.Plan]:
    ray.init(num_cpus=threads, include_dashboard=False, logging_level="warning", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    plans = {}
    for case in FUNCTIONS:
        plans[case, "plain"] = plan(case, None, 0)
        for name, batch_rows in BATCH_ROWS.items():
            plans[case, f"tasks {name}"] = plan(case, with_tasks, batch_rows)
            plans[case, f"actors {name}"] = plan(case, with_actors, batch_rows)
    return plans


if __name__ == "__main__":
    serve.serve(start)
