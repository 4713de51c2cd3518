"""Recognises output columns that are input columns, which then need not travel back.

A column is the input's if it has the same type, length, offset and buffers. That holds only for
types whose buffers say everything: a dictionary array does not list its dictionary, children of
nested arrays have offsets of their own, and zero-length arrays share an address.
"""

from __future__ import annotations

import pyarrow as pa

from windlass._formats import is_flat


class Aliases:
    """Finds input columns among output columns, for one pair of schemas."""

    def __init__(self, inputs: pa.Schema, outputs: pa.Schema) -> None:
        of_type: dict[pa.DataType, set[int]] = {}
        for index, field in enumerate(inputs):
            if _is_told_by_buffers(field.type):
                of_type.setdefault(field.type, set()).add(index)
        self.candidates = [of_type.get(output.type, frozenset()) for output in outputs]
        self.wanted = sorted(frozenset().union(*self.candidates)) if self.candidates else []

    def keys(self, batch: pa.RecordBatch) -> dict[tuple, int]:
        """Returns what identifies those columns of `batch` that an output may be."""
        if not batch.num_rows:
            return {}
        return {_key(batch.column(index)): index for index in self.wanted}

    def find(self, output: int, array: pa.Array, keys: dict[tuple, int]) -> int | None:
        """Returns the input column that `array` is, for the output column in place `output`."""
        index = keys.get(_key(array))
        return index if index in self.candidates[output] else None


def _is_told_by_buffers(kind: pa.DataType) -> bool:
    empty = pa.types.is_fixed_size_binary(kind) and kind.byte_width == 0
    return is_flat(kind) and not empty


def _key(array: pa.Array) -> tuple:
    return (
        array.offset,
        len(array),
        *[None if buffer is None else buffer.address for buffer in array.buffers()],
    )
