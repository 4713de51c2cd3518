"""What a worker runs: a transform, or functions called from SQL. Batches in, outcomes out.

A program calls user code on a batch and checks the result. If the code raises and its rows may be
told apart, it finds the rows that do it; if not, the batch fails as a whole (`Failed`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple

import pyarrow as pa

from windlass import _context
from windlass._failure import WHOLE, Failed, clip, describe, failure, kind_of, release
from windlass._formats import FORMATS
from windlass._isolate import Limits, Segment, isolate
from windlass._output import FRESH, Given, Output, Piece

# Error rows beyond this many in a batch carry short stacks: the first ones tell the story.
_FULL_STACKS = 32
_SHORT_STACK = 512


class ErrorRow(NamedTuple):
    """A row that failed."""

    row: int
    stage: str
    error_type: str
    message: str
    traceback: str
    attempts: int


@dataclass(slots=True)
class Outcome:
    """The answer to a batch: declared columns of the rows that came back, and the rows that failed."""

    made: list[pa.Array] | pa.RecordBatch
    sources: list[int]
    rows: int
    errors: list[ErrorRow] = field(default_factory=list)
    calls: int = 1
    # The worker ran out of memory and is better replaced.
    recycle: bool = False

    @property
    def columns(self) -> list[pa.Array]:
        """The columns one by one."""
        return self.made.columns if isinstance(self.made, pa.RecordBatch) else self.made


class Clean:
    """How long a row takes in batches that succeed, recent ones counting more."""

    def __init__(self) -> None:
        self.seconds_per_row: float | None = None

    def add(self, rows: int, seconds: float) -> None:
        now = seconds / max(1, rows)
        before = self.seconds_per_row
        self.seconds_per_row = now if before is None else 0.8 * before + 0.2 * now

    def seconds(self, rows: int) -> float | None:
        return None if self.seconds_per_row is None else self.seconds_per_row * rows


class Program(ABC):
    """User code with everything that its batches need, made once per worker."""

    # Whether rows that fail are told apart, so that a batch may be tried in parts.
    isolate: bool
    roots: tuple[str, ...]

    @abstractmethod
    def run(self, batch: pa.RecordBatch, whole: bool) -> Outcome:
        """Returns the outcome of `batch`; with `whole`, columns may be named as the input's.

        Raises `Failed` where the batch as a whole has no answer.
        """

    def fail(self, exc: BaseException, calls: int = 1) -> Failed:
        """Returns the failure of a whole batch."""
        return Failed(self.describe(exc), recycle=isinstance(exc, MemoryError), calls=calls)

    def tell(self, exc: BaseException) -> dict[str, Any]:
        """Returns what user code raised as text, and lets go of all it held."""
        release(exc)
        return self.describe(exc)

    def describe(self, exc: BaseException) -> dict[str, Any]:
        """Returns what user code raised as text, with the way out of a common mistake."""
        told = describe(exc, kind_of(exc), self.roots)
        if isinstance(exc, ValueError) and "read-only" in told["message"]:
            told["message"] += " (batches are views of memory that is not yours: `zero_copy_batch=False` gives copies)"
        return told

    def error_rows(self, segment: Segment, before: int) -> list[ErrorRow]:
        """Returns the error rows of a segment that failed, where `before` others were found."""
        told = segment.error or failure("exception", "", "")
        stage = "memory" if told["kind"] == "memory" else "python"
        message = told["message"]
        count = segment.stop - segment.start
        if count > 1:
            message = clip(f"{self.together(count)}: {message}", 4096)
        rows = []
        for row in range(segment.start, segment.stop):
            full = before + len(rows) < _FULL_STACKS
            trace = told["traceback"] if full else clip(told["traceback"], _SHORT_STACK)
            rows.append(ErrorRow(row, stage, told["type"], message, trace, segment.attempts))
        return rows

    def together(self, rows: int) -> str:
        """Returns what to say of rows that failed in one call."""
        return f"not isolated, one of {rows} rows raised"

    def among(self, outcome: Outcome, kept: list[int], rows: int) -> Outcome:
        """Returns an answer to the rows `kept` as one to all rows of a batch, of which the others have failed."""
        return outcome


class Transform(Program):
    """A transform's function or object."""

    def __init__(
        self, init: dict[str, Any], function: Callable[..., Any], inputs: pa.Schema, outputs: pa.Schema
    ) -> None:
        self.function = function
        self.args = tuple(init.get("fn_args") or ())
        self.kwargs = dict(init.get("fn_kwargs") or {})
        self.roots = roots(init)
        self.has_error_rows = bool(init.get("isolate"))
        self.isolate = self.has_error_rows and bool(init.get("rowwise"))
        self.limits = limits(init)
        many = init.get("rows") == "many"
        self.format = FORMATS[init["batch_format"]](inputs, bool(init.get("copy_inputs")))
        self.output = Output(inputs, outputs, many, list(init.get("key") or []))
        self.clean = Clean()

    def run(self, batch: pa.RecordBatch, whole: bool) -> Outcome:
        rows = batch.num_rows
        if not rows:
            empty = self.output.empty
            return Outcome(empty.columns, empty.sources, 0, calls=0)
        started = perf_counter()
        first = None
        try:
            piece = self.call(batch, whole)
        except WHOLE as err:
            raise self.fail(err) from None
        except BaseException as err:
            if not self.has_error_rows:
                raise self.fail(err) from None
            first = self.tell(err)
        # Outside of the handler: what its rows raise did not happen while handling this.
        if first is not None:
            return self._isolate(batch, first) if self.isolate else self._all_failed(rows, first)
        self.clean.add(rows, perf_counter() - started)
        if piece.rejects:
            return Outcome(piece.made, piece.sources, piece.rows, rejected(piece.rejects, 0))
        return Outcome(piece.made, piece.sources, piece.rows)

    def call(self, batch: pa.RecordBatch, whole: bool) -> Piece:
        """Calls user code on a batch and checks what it returns."""
        rejects = _context.open_batch(batch.num_rows)
        try:
            native, known = self.format.show(batch)
            result = self.function(native, *self.args, **self.kwargs)
            return self.output.piece(result, Given(batch, native, known, rejects, whole))
        finally:
            _context.close_batch()

    def together(self, rows: int) -> str:
        return super().together(rows) if self.isolate else f"the batch of {rows} rows failed as a whole"

    def _all_failed(self, rows: int, told: dict[str, Any]) -> Outcome:
        """Returns the outcome of a batch that must not be taken apart, since the code looks across its rows."""
        empty = self.output.empty
        errors = self.error_rows(Segment(0, rows, error=told), 0)
        return Outcome(empty.columns, empty.sources, 0, errors, recycle=told["kind"] == "memory")

    def _isolate(self, batch: pa.RecordBatch, first: dict[str, Any]) -> Outcome:
        def call(start: int, stop: int) -> Piece:
            return self.call(batch.slice(start, stop - start), False)

        self.limits.clean_seconds = self.clean.seconds(batch.num_rows)
        recycle = first["kind"] == "memory"
        try:
            segments, calls = isolate(call, batch.num_rows, first, self.limits, self.tell)
        except WHOLE as err:
            raise self.fail(err) from None
        pieces = []
        errors: list[ErrorRow] = []
        for segment in segments:
            if segment.error is None:
                pieces.append(segment.result)
                errors.extend(rejected(segment.result.rejects, segment.start))
            else:
                recycle = recycle or segment.error["kind"] == "memory"
                errors.extend(self.error_rows(segment, len(errors)))
        joined = self.output.join(pieces)
        columns = joined.columns
        return Outcome(columns, [FRESH] * len(columns), joined.rows, errors, calls, recycle)


class WholeTables(Program):
    """A transform that gets whole tables: a batch of one row, with a column of structs for each."""

    isolate = False

    def __init__(
        self, init: dict[str, Any], function: Callable[..., Any], inputs: pa.Schema, outputs: pa.Schema
    ) -> None:
        self.function = function
        self.args = tuple(init.get("fn_args") or ())
        self.kwargs = dict(init.get("fn_kwargs") or {})
        self.roots = roots(init)
        self.names = list(inputs.names)
        self.copy_inputs = bool(init.get("copy_inputs"))
        self.schemas = [pa.schema(list(declared.type.value_type)) for declared in inputs]
        kind = FORMATS[init["batch_format"]]
        self.formats = [kind(schema, self.copy_inputs) for schema in self.schemas]
        self.output = Output(pa.schema([]), outputs, True, [])

    def run(self, batch: pa.RecordBatch, whole: bool) -> Outcome:
        try:
            piece = self._call(batch)
        except BaseException as err:
            raise self.fail(err) from None
        return Outcome(piece.made, piece.sources, piece.rows)

    def _call(self, batch: pa.RecordBatch) -> Piece:
        tables = {}
        for name, schema, form, column in zip(self.names, self.schemas, self.formats, batch.columns, strict=True):
            tables[name] = form.show(_table(column, schema))[0]
        _context.close_batch('it has no meaning with `mode="table"`')
        try:
            if len(tables) == 1:
                result = self.function(*tables.values(), *self.args, **self.kwargs)
            else:
                result = self.function(*self.args, **tables, **self.kwargs)
            given = Given(batch, None, {}, _context.Rejects(0), False)
            return self.output.piece(result, given)
        finally:
            _context.close_batch()


def _table(column: pa.Array, schema: pa.Schema) -> pa.RecordBatch:
    """Returns the one value of a column of lists of structs as a batch, moving nothing."""
    structs = column[0].values if column[0].is_valid else None
    if structs is None:
        return pa.RecordBatch.from_pylist([], schema)
    return pa.RecordBatch.from_arrays(structs.flatten(), schema=schema)


def rejected(reasons: dict[int, str], offset: int) -> list[ErrorRow]:
    """Returns rows that user code rejected as error rows."""
    return [
        ErrorRow(offset + row, "reject", "Rejected", clip(reason, 4096), "", 1)
        for row, reason in sorted(reasons.items())
    ]


def roots(init: dict[str, Any]) -> tuple[str, ...]:
    """Returns the folders whose files are the user's own."""
    folders = [init.get("root"), *(init.get("lib") or [])]
    return tuple(folder.rstrip("/") + "/" for folder in folders if folder)


def limits(init: dict[str, Any]) -> Limits:
    """Returns how much telling rows apart may cost."""
    budget = init.get("budget") or {}
    names = ("calls", "row_factor", "time_factor")
    return Limits(**{name: budget[name] for name in names if budget.get(name) is not None})
