"""Ray Data: scikit-learn in `map_batches`, as tasks and as actors, batches of 10k and 100k rows."""

import os
from pathlib import Path

# Ray's workers step back behind all other processes unless told otherwise.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
import numpy as np
import ray
import ray.data
from peer import Request, request_of_command, serve
from ray.data.expressions import col

from columns import LINEAR
from linear import logistic_of_file

BATCH_ROWS = {"10k": 10_000, "100k": 100_000}


class Model:
    """Scores batches with a pipeline that is loaded once."""

    def __init__(self, weights: str) -> None:
        self.model = logistic_of_file(weights)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        scores = self.model.predict_proba(np.column_stack([batch[name] for name in LINEAR]))[:, 1]
        return {"id": batch["id"], "predicted_y": (scores >= 0.5).astype(np.int64), "p": scores}


def score_batch(batch: dict[str, np.ndarray], weights: str) -> dict[str, np.ndarray]:
    return Model(weights)(batch)


def with_tasks(rows: ray.data.Dataset, weights: str, batch_rows: int) -> ray.data.Dataset:
    return rows.map_batches(score_batch, fn_args=(weights,), batch_size=batch_rows, batch_format="numpy")


def with_actors(rows: ray.data.Dataset, weights: str, batch_rows: int) -> ray.data.Dataset:
    return rows.map_batches(
        Model,
        fn_constructor_args=(weights,),
        batch_size=batch_rows,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=2),
        # Less than a core each, so that reading finds a place beside them.
        num_cpus=0.5,
    )


def scoring(kind: object, batch_rows: int):
    """Returns the plan of a kind; without one it is the plan without the model."""

    def run(request: Request, output: Path) -> None:
        rows = ray.data.read_parquet(request["rows"], columns=["id", *LINEAR])
        if kind is not None:
            rows = kind(rows, request["weights"], batch_rows)
        else:
            total = sum(map(col, LINEAR[1:]), col(LINEAR[0]))
            rows = rows.with_column("p", total).with_column("predicted_y", col("x0") > 0.5)
            rows = rows.select_columns(["id", "predicted_y", "p"])
        rows.write_parquet(str(output), compression="zstd")

    return run


def main() -> None:
    request = request_of_command()
    ray.init(num_cpus=int(request["threads"]), include_dashboard=False, logging_level="warning", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    plans = {"logistic plain": scoring(None, 0)}
    for name, batch_rows in BATCH_ROWS.items():
        plans[f"logistic ray tasks {name}"] = scoring(with_tasks, batch_rows)
        plans[f"logistic ray actors {name}"] = scoring(with_actors, batch_rows)
    serve(plans, request)


if __name__ == "__main__":
    main()
