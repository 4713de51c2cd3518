"""Makes the rows of the soak, and sums up what became of them."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

FILES = 10
SEED = 7
ERROR_COLUMNS = ["id", "stage", "error_type", "error"]
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
SHIFT = np.uint64(29)


@dataclass(frozen=True)
class Published:
    """A result and its error table, in any order of the rows."""

    rows: int
    errors: int
    result_sum: str
    error_sum: str
    stages: tuple[tuple[str, int], ...]
    # Each id once, in one of the two.
    is_complete: bool


def make_rows(cache: Path, rows: int) -> Path:
    """Returns the folder of the input, made on the first call."""
    folder = cache / f"python-soak-{rows}"
    if folder.exists():
        return folder
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    generator = np.random.default_rng(SEED)
    bounds = [rows * index // FILES for index in range(FILES + 1)]
    for index in range(FILES):
        pq.write_table(part(generator, bounds[index], bounds[index + 1]), unfinished / f"part-{index}.parquet")
    unfinished.rename(folder)
    return folder


def part(generator: np.random.Generator, first: int, end: int) -> pa.Table:
    """Returns rows `first` to `end`; one in two thousand has no `a`."""
    count = end - first
    a = pa.array(generator.normal(size=count), mask=generator.random(count) < 1 / 2000)
    names = pa.array([f"n{row % 977}" for row in range(first, end)])
    return pa.table({"id": np.arange(first, end), "a": a, "name": names})


def read_published(project: Path, rows: int) -> Published:
    """Returns what a run published of `rows` input rows."""
    lake = project / "lake" / "prod"
    result = DeltaTable(lake / "scored").to_pyarrow_table()
    errors = DeltaTable(lake / "scored__errors").to_pyarrow_table(columns=ERROR_COLUMNS)
    seen = np.sort(np.concatenate([result["id"].to_numpy(), errors["id"].to_numpy()]))
    counted = errors["stage"].combine_chunks().value_counts().to_pylist()
    return Published(
        rows=result.num_rows,
        errors=errors.num_rows,
        result_sum=result_sum(result),
        error_sum=error_sum(errors),
        stages=tuple(sorted((one["values"], one["counts"]) for one in counted)),
        is_complete=bool(len(seen) == rows and (seen == np.arange(rows)).all()),
    )


def result_sum(table: pa.Table) -> str:
    """Returns the sum of a hash of each row, with the bits of its score and its name."""
    total = 0
    for batch in table.select(["id", "name", "score"]).to_batches():
        number = pc.cast(pc.utf8_slice_codeunits(batch.column("name"), 1), pa.int64())
        hashes = np.zeros(batch.num_rows, np.uint64)
        for values in (batch.column("id"), number, batch.column("score")):
            hashes = (hashes ^ values.to_numpy().view(np.uint64)) * MULTIPLIER
            hashes ^= hashes >> SHIFT
        total += int(hashes.sum(dtype=np.uint64))
    return f"{total % 2**64:016x}"


def error_sum(table: pa.Table) -> str:
    """Returns a hash of the error rows by id: which row failed where and why."""
    digest = hashlib.sha256()
    ordered = table.sort_by("id")
    for row in zip(*(ordered[name].to_pylist() for name in ERROR_COLUMNS), strict=True):
        digest.update(repr(row).encode())
    return digest.hexdigest()[:16]
