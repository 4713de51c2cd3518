"""Writes outcomes to output slots and says where they are."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import ipc

from windlass import _protocol
from windlass._failure import failure
from windlass._output import FRESH
from windlass._program import Outcome
from windlass._slots import OutputSlot, aligned

# Where results and error rows lie is told in 32 bits.
MOST_BYTES = 2**32 - 1

ERROR_SCHEMA = pa.schema(
    [
        pa.field("row", pa.uint32(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("error_type", pa.string(), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("traceback", pa.string(), nullable=False),
        pa.field("attempts", pa.uint32(), nullable=False),
    ]
)


@dataclass(slots=True)
class Reply:
    """An outcome that is ready to be written."""

    slot: int
    seq: int
    rows: int
    calls: int
    recycle: bool
    sources: tuple[int, ...]
    # The columns that are not the input's, if there are any.
    fresh: pa.RecordBatch | None
    errors: pa.Buffer | None
    # Filled by `write`.
    result_bytes: int = 0
    errors_offset: int = 0

    def needs(self, output: OutputSlot) -> int:
        """Returns the bytes that `write` needs in `output`."""
        size = aligned(output.needs(self.fresh, self.sources)) if self.fresh is not None else 0
        return size + (self.errors.size if self.errors is not None else 0)

    def write(self, output: OutputSlot) -> None:
        """Writes result and error rows, which have to fit."""
        if self.fresh is not None:
            self.result_bytes = output.write(self.fresh, self.sources)
        if self.errors is not None:
            self.errors_offset = aligned(self.result_bytes)
            output.write_bytes(self.errors, self.errors_offset)
        self.fresh = None

    def done(self, own: bool, released: list[int]) -> bytes:
        """Returns the `DONE` frame; `own` says that the batch's own slot is released."""
        flags = (_protocol.INPUT_RELEASED if own else 0) | (_protocol.RECYCLE if self.recycle else 0)
        errors = self.errors.size if self.errors is not None else 0
        used = self.errors_offset + errors if errors else self.result_bytes
        count = len(self.sources)
        return b"".join(
            (
                _protocol.HEADER.pack(_protocol.DONE, flags, count, self.slot, used, self.seq),
                _protocol.DONE_TAIL.pack(
                    self.rows, 0, self.result_bytes, self.errors_offset, errors, self.calls, len(released)
                ),
                struct.pack(f"<{count}H", *self.sources),
                struct.pack(f"<{len(released)}I", *released) if released else b"",
            )
        )


class Replies:
    """Makes replies for one output schema."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self._schemas: dict[tuple[int, ...], pa.Schema] = {}

    def reply(self, outcome: Outcome, slot: int, seq: int) -> Reply:
        """Returns the reply that tells `outcome`."""
        sources = tuple(_protocol.FRESH if source == FRESH else source for source in outcome.sources)
        batch = outcome.made
        if isinstance(batch, list):
            pairs = zip(outcome.columns, sources, strict=True)
            fresh = [column for column, source in pairs if source == _protocol.FRESH]
            batch = pa.RecordBatch.from_arrays(fresh, schema=self._schema(sources)) if fresh else None
        errors = _error_stream(outcome) if outcome.errors else None
        return Reply(slot, seq, outcome.rows, outcome.calls, outcome.recycle, sources, batch, errors)

    def _schema(self, sources: tuple[int, ...]) -> pa.Schema:
        schema = self._schemas.get(sources)
        if schema is None:
            schema = pa.schema([self.schema.field(i) for i, s in enumerate(sources) if s == _protocol.FRESH])
            self._schemas[sources] = schema
        return schema


def too_large(size: int) -> dict[str, Any]:
    """Returns the failure of a batch whose result takes `size` bytes."""
    message = (
        f"the result of one call takes {size / 2**30:.1f} GiB, and at most 4 GiB travel at once: "
        "use a smaller `batch_size`"
    )
    return failure("output", "OutputError", message)


def _error_stream(outcome: Outcome) -> pa.Buffer:
    rows = sorted(outcome.errors)
    columns = zip(*rows, strict=True)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, ERROR_SCHEMA, strict=True)]
    sink = pa.BufferOutputStream()
    with ipc.new_stream(sink, ERROR_SCHEMA) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=ERROR_SCHEMA))
    return sink.getvalue()
