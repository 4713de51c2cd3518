"""Makes the input of the benchmark: rows of twenty numbers and a label, a LightGBM model, and rows in memory's form.

The numbers take a thousand values each, so that Parquet keeps them small: reading and writing are to cost
little beside what is measured. In memory they are plain doubles all the same. Ten of them make the label; the
trees look at all, of which two have gaps.
"""

import shutil
from pathlib import Path

import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from columns import COLUMNS, LINEAR, matrix

WITH_GAPS = ("x10", "x11")
WEIGHTS = np.linspace(-3, 3, len(LINEAR))
STEPS = 1000
FILES = 8
ROW_GROUP_ROWS = 131_072
FIT_ROWS = 200_000
# Rows that the kernels alone score, from memory.
MEMORY_ROWS = 1_000_000
TREES = 200
SEED = 7


def make_data(cache: Path, rows: int) -> Path:
    """Returns a folder with `rows/`, `trees.txt` and `memory.arrow`, made on the first call."""
    folder = cache / f"models-{rows}"
    if folder.exists():
        return folder
    unfinished = cache / f"models-{rows}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "rows").mkdir(parents=True)
    generator = np.random.default_rng(SEED)
    bounds = [rows * index // FILES for index in range(FILES + 1)]
    for index in range(FILES):
        table = make_rows(generator, bounds[index], bounds[index + 1])
        file = unfinished / "rows" / f"part-{index}.parquet"
        pq.write_table(table, file, compression="zstd", row_group_size=ROW_GROUP_ROWS)
    fit_trees().save_model(unfinished / "trees.txt")
    memory = pq.read_table(unfinished / "rows", columns=COLUMNS).slice(0, MEMORY_ROWS).combine_chunks()
    with pa.OSFile(str(unfinished / "memory.arrow"), "wb") as sink, pa.ipc.new_file(sink, memory.schema) as writer:
        writer.write_table(memory)
    unfinished.rename(folder)
    return folder


def make_rows(generator: np.random.Generator, first: int, end: int) -> pa.Table:
    """Returns rows `first` to `end`."""
    numbers = {name: generator.integers(0, STEPS, end - first) / STEPS for name in COLUMNS}
    margin = sum(weight * (numbers[name] - 0.5) for weight, name in zip(WEIGHTS, LINEAR, strict=True))
    label = generator.random(end - first) < 1 / (1 + np.exp(-margin))
    columns = {"id": np.arange(first, end, dtype=np.int64)}
    for name, values in numbers.items():
        gaps = generator.random(end - first) < 0.05 if name in WITH_GAPS else None
        columns[name] = pa.array(values, mask=gaps)
    return pa.table(columns | {"y": label.astype(np.int64)})


def fit_trees() -> lightgbm.Booster:
    """Returns a classifier of 200 trees of 31 leaves, LightGBM's default, over all columns."""
    table = make_rows(np.random.default_rng(SEED + 1), 0, FIT_ROWS)
    features = matrix(table, COLUMNS)
    wave = np.sin(9 * features[:, 12]) * features[:, 13] + np.nan_to_num(features[:, 10], nan=0.7) * features[:, 14]
    label = (table["y"].to_numpy() + wave + features[:, 15] * features[:, 16]) > 1.2
    parameters = {"objective": "binary", "num_leaves": 31, "verbose": -1, "seed": SEED}
    return lightgbm.train(parameters, lightgbm.Dataset(features, label, feature_name=COLUMNS), TREES)
