"""DuckDB hands the rows to NumPy, which fits the logistic regression by Newton's method (IRLS), as people write it."""

from pathlib import Path

import duckdb
import numpy as np
from peer import Request, request_of_command, serve

from columns import LINEAR, in_units

L2 = 1.0
MAX_ITERATIONS = 20
BLOCK_ROWS = 200_000


def training(request: Request, _output: Path) -> dict[str, object]:
    connection = duckdb.connect(config={"threads": int(request["threads"])})
    query = f"select {', '.join(LINEAR)}, y from read_parquet('{request['rows']}/*.parquet')"
    read = connection.sql(query).fetchnumpy()
    features = np.column_stack([read.pop(name) for name in LINEAR])
    label = read.pop("y").astype(np.float64)
    mean, scale = features.mean(axis=0), features.std(axis=0)
    features -= mean
    features /= scale
    weights, iterations = irls(features, label)
    return {"coefficients": in_units(mean, scale, weights[:-1], weights[-1]), "iterations": iterations}


def irls(features: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns the weights, the intercept last. Blocks of rows stay in the cache."""
    width = features.shape[1] + 1
    penalty = np.diag([L2] * (width - 1) + [0.0])
    weights = np.zeros(width)
    for iteration in range(1, MAX_ITERATIONS + 1):
        gradient, curvature = penalty @ weights, penalty.copy()
        for first in range(0, len(label), BLOCK_ROWS):
            rows = np.column_stack([features[first : first + BLOCK_ROWS], np.ones(len(label[first : first + BLOCK_ROWS]))])
            probability = 1 / (1 + np.exp(-(rows @ weights)))
            gradient += rows.T @ (probability - label[first : first + BLOCK_ROWS])
            curvature += (rows * (probability * (1 - probability))[:, None]).T @ rows
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return weights, iteration


def main() -> None:
    serve({"training duckdb + numpy": training}, request_of_command())


if __name__ == "__main__":
    main()
