"""The columns of the benchmark and how a batch of them becomes a matrix, without any library but NumPy and Arrow."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

LINEAR = [f"x{index}" for index in range(10)]
COLUMNS = [f"x{index}" for index in range(20)]


def matrix(table: pa.Table | pa.RecordBatch, names: list[str]) -> np.ndarray:
    """Returns columns as a matrix of rows, gaps as NaN."""
    columns = [table.column(table.schema.get_field_index(name)) for name in names]
    is_batch = isinstance(table, pa.RecordBatch)
    arrays = [column.to_numpy(zero_copy_only=False) if is_batch else column.to_numpy() for column in columns]
    return np.column_stack(arrays)


def answer(ids: pa.Array | pa.ChunkedArray, probability: np.ndarray) -> pa.Table:
    """Returns what every engine writes: the id, the predicted class and the probability of the second one."""
    return pa.table({"id": ids, "predicted_y": (probability >= 0.5).astype(np.int64), "p": probability})


def plain(table: pa.Table | pa.RecordBatch, names: list[str]) -> pa.Table:
    """Returns columns of the same types without a model: what is measured beside it."""
    values = [table.column(table.schema.get_field_index(name)) for name in names]
    is_batch = isinstance(table, pa.RecordBatch)
    arrays = [column.to_numpy(zero_copy_only=False) if is_batch else column.to_numpy() for column in values]
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return pa.table({"id": table.column(0), "predicted_y": (arrays[0] > 0.5).astype(np.int64), "p": total})


def standardised(file: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Returns means, scales, weights and intercept out of a logistic regression's file, as Windlass keeps it."""
    model = json.loads(Path(file).read_text())
    encodings = [feature["encoding"] for feature in model["features"]]
    mean, scale = (np.array([encoding[key] for encoding in encodings]) for key in ("mean", "scale"))
    estimator = model["estimator"]
    return mean, scale, np.array(estimator["weights"][0]), estimator["intercepts"][0]


def in_units(mean: np.ndarray, scale: np.ndarray, weights: np.ndarray, intercept: float) -> list[float]:
    """Returns the intercept and the weights in the units of the columns."""
    weights = weights / scale
    return [float(intercept - weights @ mean), *map(float, weights)]
