"""Compares what plans wrote, value by value and in any order of the rows.

A checksum adds up a hash of each row's bits, so equal checksums mean the same rows. Where bits
differ, sorted columns are compared within a tolerance: no two engines need to add in one order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.dataset import dataset

TOLERANCE = 1e-12
TEXT_BYTES = 12
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
SHIFT = np.uint64(29)


@dataclass(frozen=True)
class Checksum:
    """Number of rows, and the sum of their hashes modulo 2^64."""

    rows: int
    total: int


def checksum(files: list[Path]) -> Checksum:
    """Returns the checksum of the rows of Parquet files, whatever their order."""
    rows, total = 0, 0
    for batch in batches(files):
        hashes = np.zeros(batch.num_rows, np.uint64)
        for name in sorted(batch.schema.names):
            for words in column_words(batch.column(name)):
                hashes = mix(hashes ^ words)
        rows += batch.num_rows
        total += int(hashes.sum(dtype=np.uint64))
    return Checksum(rows, total % 2**64)


def batches(files: list[Path]) -> Iterator[pa.RecordBatch]:
    yield from (batch for batch in dataset(files).to_batches() if batch.num_rows)


def mix(words: np.ndarray) -> np.ndarray:
    words = words * MULTIPLIER
    return words ^ (words >> SHIFT)


def column_words(column: pa.Array) -> list[np.ndarray]:
    """Returns a column's values as 64-bit words: one for a double, three halves for a text."""
    if column.null_count:
        raise ValueError("a NULL where no input has one")
    if pa.types.is_float64(column.type):
        return [column.to_numpy().view(np.uint64)]
    texts = column.cast(pa.binary())
    if pc.any(pc.not_equal(pc.binary_length(texts), TEXT_BYTES)).as_py():
        raise ValueError(f"a text that has not {TEXT_BYTES} bytes")
    fixed = texts.cast(pa.binary(TEXT_BYTES))
    data = memoryview(fixed.buffers()[1])[fixed.offset * TEXT_BYTES :]
    words = np.frombuffer(data, np.uint32, len(fixed) * 3)
    return [words[half::3].astype(np.uint64) for half in range(3)]


def difference(left: list[Path], right: list[Path]) -> str | None:
    """Returns what differs between the rows of two lists of files beyond rounding."""
    first, second = (dataset(files).to_table() for files in (left, right))
    if sorted(first.column_names) != sorted(second.column_names):
        return f"columns {first.column_names} and {second.column_names}"
    if first.num_rows != second.num_rows:
        return f"{first.num_rows:,} and {second.num_rows:,} rows"
    names = sorted(first.column_names)
    order = [("id", "ascending")] if "id" in names else [(name, "ascending") for name in names]
    first, second = (table.select(names).sort_by(order) for table in (first, second))
    for name in names:
        wrong = wrong_values(first[name], second[name])
        if wrong:
            return f"{wrong:,} values of `{name}`"
    return None


def wrong_values(left: pa.ChunkedArray, right: pa.ChunkedArray) -> int:
    """Returns how many values differ, floats by more than the tolerance."""
    if not pa.types.is_floating(left.type):
        return pc.sum(pc.not_equal(left, right.cast(left.type))).as_py() or 0
    one, other = left.to_numpy(), right.to_numpy()
    return int((~np.isclose(one, other, rtol=TOLERANCE, atol=TOLERANCE)).sum())
