"""Compares what engines answer: probabilities by id, and the weights of models."""

from pathlib import Path

import numpy as np
from pyarrow.dataset import dataset

# Rounding of a sum of ten products and of the exponential; of 200 leaves that are added in one order.
PROBABILITY = 1e-9
# How far weights may be from the optimum, as a share of the largest: those that stop by default after a gradient of 1e-4
# are a little off.
WEIGHT = {"scikit-learn lbfgs": 1e-2}
DEFAULT_WEIGHT = 1e-5


def probabilities(files: list[Path], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns probability and predicted class by id; ends the benchmark where an id is missing or there twice."""
    table = dataset(files).to_table(columns=["id", "predicted_y", "p"])
    ids = table["id"].to_numpy()
    if len(ids) != rows or not np.array_equal(np.bincount(ids, minlength=rows), np.ones(rows, dtype=np.int64)):
        raise SystemExit(f"{files[0].parent}: not every row was scored once")
    found, classes = np.empty(rows), np.empty(rows, dtype=np.int64)
    found[ids], classes[ids] = table["p"].to_numpy(), table["predicted_y"].to_numpy()
    return found, classes


def worst(name: str, files: list[Path], expected: tuple[np.ndarray, np.ndarray], has_class: bool = True) -> float:
    """Returns the largest difference of probabilities; ends the benchmark where it is no rounding."""
    found, classes = probabilities(files, len(expected[0]))
    apart = float(np.abs(found - expected[0]).max())
    if not apart <= PROBABILITY:
        raise SystemExit(f"{name}: a probability is {apart:g} away")
    wrong = (classes != expected[1]) & (np.abs(found - 0.5) > PROBABILITY)
    if has_class and wrong.any():
        raise SystemExit(f"{name}: {wrong.sum():,} classes differ")
    return apart


def weights_apart(name: str, found: list[float], expected: list[float]) -> float:
    """Returns how far weights are apart, as a share of the largest; ends the benchmark where it is too much."""
    size = max(map(abs, expected))
    apart = max(abs(a - b) for a, b in zip(found, expected, strict=True)) / size
    if not apart <= WEIGHT.get(name, DEFAULT_WEIGHT):
        raise SystemExit(f"{name}: weights are {apart:g} away: {found}, {expected}")
    return apart
