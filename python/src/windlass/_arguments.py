"""The arguments of a call from SQL: columns of a batch, and constants, which are expanded to its length once."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


class Arguments:
    """The arguments of one call, by place."""

    def __init__(self, places: list[dict[str, Any]]) -> None:
        self.places = places
        self._expanded: dict[int, tuple[int, pa.Array]] = {}

    def arrays(self, batch: pa.RecordBatch, constants: pa.RecordBatch | None) -> list[pa.Array]:
        """Returns each argument with a value for each row of `batch`."""
        return [self._array(number, batch, constants) for number in range(len(self.places))]

    def _array(self, number: int, batch: pa.RecordBatch, constants: pa.RecordBatch | None) -> pa.Array:
        place = self.places[number]
        if "column" in place:
            return batch.column(place["column"])
        rows = batch.num_rows
        cached = self._expanded.get(number)
        if cached is None or cached[0] < rows:
            if constants is None:
                raise RuntimeError("a constant argument came without its value")
            value = constants.column(place["constant"])
            cached = (rows, value.take(pa.array([0] * rows, pa.int32())))
            self._expanded[number] = cached
        return cached[1].slice(0, rows)
