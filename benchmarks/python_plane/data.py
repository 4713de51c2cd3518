"""Makes the input of the benchmark: rows of ten doubles and a text, and a fitted model.

The doubles take a thousand values each, so that Parquet keeps them as small numbers: reading and
writing are to cost little beside what is measured. In memory they are plain doubles all the same.
The large input is the small one several times over, as hard links.
"""

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.ensemble import HistGradientBoostingClassifier

COLUMNS = [f"x{index}" for index in range(10)]
FILES = 8
STEPS = 1000
ROW_GROUP_ROWS = 131_072
FIT_ROWS = 50_000
SEED = 7


def make_data(cache: Path, rows: int, factor: int) -> dict[str, Path]:
    """Returns the folders `small` and `large` and the file `model`, made on the first call."""
    folder = cache / f"python-plane-{rows}"
    if not folder.exists():
        unfinished = cache / f"python-plane-{rows}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        write_rows(unfinished / "small", rows)
        (unfinished / "model.pickle").write_bytes(pickle.dumps(fit_model()))
        unfinished.rename(folder)
    large = folder / f"large-{factor}"
    if factor and not large.exists():
        link_often(folder / "small", large, factor)
    made = {"small": folder / "small", "model": folder / "model.pickle"}
    return made | ({"large": large} if factor else {})


def write_rows(folder: Path, rows: int) -> None:
    """Writes `rows` rows in files of about the same size."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(SEED)
    bounds = [rows * index // FILES for index in range(FILES + 1)]
    for index in range(FILES):
        table = make_rows(generator, bounds[index], bounds[index + 1])
        file = folder / f"part-{index}.parquet"
        pq.write_table(table, file, compression="zstd", row_group_size=ROW_GROUP_ROWS)


def make_rows(generator: np.random.Generator, first: int, end: int) -> pa.Table:
    """Returns rows `first` to `end`; `id` is a text of twelve bytes."""
    columns = {name: generator.integers(0, STEPS, end - first) / STEPS for name in COLUMNS}
    columns["id"] = [f"row-{row:08d}" for row in range(first, end)]
    return pa.table(columns)


def fit_model() -> HistGradientBoostingClassifier:
    """Returns a classifier of 25 trees over the first eight columns: about a microsecond a row."""
    generator = np.random.default_rng(SEED)
    features = generator.integers(0, STEPS, (FIT_ROWS, 8)) / STEPS
    score = features @ np.linspace(-1, 1, 8) + 0.3 * np.sin(6 * features[:, 0])
    label = score + generator.normal(0, 0.2, FIT_ROWS) > 0
    model = HistGradientBoostingClassifier(max_iter=25, random_state=SEED, early_stopping=False)
    return model.fit(features, label)


def link_often(small: Path, large: Path, factor: int) -> None:
    """Makes a folder in which each file of `small` stands `factor` times."""
    unfinished = large.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for copy in range(factor):
        for file in sorted(small.iterdir()):
            os.link(file, unfinished / f"{copy}-{file.name}")
    unfinished.rename(large)
