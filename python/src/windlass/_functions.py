"""Functions that SQL calls by name: arrays in, one column per call out.

Rows with a NULL argument are left out of the call where `nulls="skip"`, and their result is NULL. A
row that raises or is rejected fails its batch, or becomes NULL where `on_error="null"`: then it is
told beside the result, which has every row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from windlass import _context
from windlass._alias import Aliases
from windlass._arguments import Arguments
from windlass._conform import Column
from windlass._failure import WHOLE, Failed, OutputError, RejectError
from windlass._formats import FORMATS, np
from windlass._isolate import Limits, isolate
from windlass._models import ModelCall
from windlass._output import FRESH, Piece, kept_rows
from windlass._program import Clean, ErrorRow, Outcome, Program, limits, rejected, roots


class Call:
    """One call of a function, with its arguments by place."""

    def __init__(self, spec: dict[str, Any], function: Callable[..., Any], field: pa.Field) -> None:
        self.function = function
        self.file = spec.get("file")
        self.name = spec["object"]
        self.arguments = Arguments(spec["args"])
        self.column = Column(field)
        self.format = FORMATS[spec.get("batch_format") or "numpy"](pa.schema([]))
        self.skip_nulls = spec.get("nulls", "skip") == "skip"
        self.null_on_error = spec.get("on_error") == "null"
        self.clean = Clean()

    def run(self, batch: pa.RecordBatch, constants: pa.RecordBatch | None) -> Piece:
        """Returns the result for every row of `batch`, as a piece of one column."""
        arrays = self.arguments.arrays(batch, constants)
        rows = batch.num_rows
        valid = self._valid(arrays) if self.skip_nulls else None
        if valid is None:
            return self._called(arrays, rows)
        kept = pc.sum(valid).as_py() or 0
        if not kept:
            return Piece([pa.nulls(rows, self.column.type)], [FRESH], rows)
        inner = self._called([array.filter(valid) for array in arrays], kept)
        return self._scattered(inner, valid, rows)

    def _called(self, arrays: list[pa.Array], rows: int) -> Piece:
        rejects = _context.open_batch(rows)
        try:
            result = self.function(*[self.format.show_array(array) for array in arrays])
            array = self._conform(result, rows)
        finally:
            _context.close_batch()
        if rejects.reasons:
            array = self._without(array, rejects.reasons)
        return Piece([array], [FRESH], rows, rejects.reasons)

    def _without(self, array: pa.Array, reasons: dict[int, str]) -> pa.Array:
        """Returns the result with NULL for rejected rows: rows of a SELECT have no error table to go to."""
        if not self.null_on_error:
            first = reasons[min(reasons)]
            raise RejectError(
                f"function `{self.name}` rejected {len(reasons)} of {len(array)} rows ({first}), and rows of a SELECT "
                'have no error table: use on_error="null", or a Python transform'
            )
        return pc.if_else(kept_rows(len(array), reasons), array, pa.scalar(None, array.type))

    def _conform(self, result: Any, rows: int) -> pa.Array:
        if _is_scalar(result):
            try:
                array = self.column.conform([_scalar(result)])
            except OutputError as err:
                raise self._named(err) from None
            return pa.repeat(array[0], rows)
        try:
            array = self.column.conform(result)
        except OutputError as err:
            raise self._named(err) from None
        if len(array) != rows:
            raise OutputError(
                f"function `{self.name}` returned {len(array)} values for {rows} rows: "
                "return one value per row, or a single value for all"
            )
        return array

    def _named(self, err: OutputError) -> OutputError:
        text = str(err).removeprefix(f"column `{self.column.name}` ")
        return OutputError(f"the result of function `{self.name}` {text}")

    def _valid(self, arrays: list[pa.Array]) -> pa.Array | None:
        """Returns which rows have all arguments, or `None` if all have."""
        valid = None
        for array in arrays:
            if array.null_count:
                here = pc.is_valid(array)
                valid = here if valid is None else pc.and_(valid, here)
        return valid

    def _scattered(self, inner: Piece, valid: pa.Array, rows: int) -> Piece:
        places = pc.subtract(pc.cumulative_sum(valid.cast(pa.int64())), 1)
        column = inner.columns[0].take(pc.if_else(valid, places, None))
        if not inner.rejects:
            return Piece([column], [FRESH], rows)
        kept = pc.indices_nonzero(valid)
        rejects = {kept[row].as_py(): reason for row, reason in inner.rejects.items()}
        return Piece([column], [FRESH], rows, rejects)

    def told(self, errors: list[ErrorRow]) -> list[ErrorRow]:
        """Returns rows that failed with the function's name before what they say."""
        return [error._replace(message=f"`{self.name}`: {error.message}") for error in errors]


class Functions(Program):
    """All calls that one operator makes: a column each."""

    def __init__(
        self,
        init: dict[str, Any],
        functions: list[Callable[..., Any]],
        schemas: tuple[pa.Schema, pa.Schema],
        constants: pa.RecordBatch | None,
    ) -> None:
        inputs, outputs = schemas
        # Rows of a SELECT have no error table to go to: those that kill are told apart where every call leaves NULL.
        self.isolate = bool(init.get("isolate"))
        self.roots = roots(init)
        self.constants = constants
        self.aliases = Aliases(inputs, outputs)
        self.calls: list[Call | ModelCall] = [
            ModelCall(spec, function, field, limits(init)) if spec.get("model") else Call(spec, function, field)
            for spec, function, field in zip(init["calls"], functions, outputs, strict=True)
        ]

    def run(self, batch: pa.RecordBatch, whole: bool) -> Outcome:
        rows = batch.num_rows
        if not rows:
            columns = [pa.array([], call.column.type) for call in self.calls]
            return Outcome(columns, [FRESH] * len(columns), 0, calls=0)
        columns = []
        errors: dict[int, ErrorRow] = {}
        made, recycle = 0, False
        for call in self.calls:
            if isinstance(call, ModelCall):
                column, found, calls, memory = self._run_model(call, batch)
            else:
                column, found, calls, memory = self._run_call(call, batch)
            columns.append(column)
            made += calls
            recycle = recycle or memory
            for error in found:
                errors.setdefault(error.row, error)
        in_order = [errors[row] for row in sorted(errors)]
        return Outcome(columns, self._sources(columns, batch, whole), rows, in_order, made, recycle)

    def among(self, outcome: Outcome, kept: list[int], rows: int) -> Outcome:
        """Returns an answer to the rows `kept` as one to all rows: NULL for the others."""
        places: list[int | None] = [None] * rows
        for place, row in enumerate(kept):
            places[row] = place
        taken = pa.array(places, pa.int64())
        columns = [column.take(taken) for column in outcome.columns]
        return replace(outcome, made=columns, sources=[FRESH] * len(columns), rows=rows)

    def _run_call(self, call: Call, batch: pa.RecordBatch) -> tuple[pa.Array, list[ErrorRow], int, bool]:
        started = perf_counter()
        first = None
        try:
            piece = call.run(batch, self.constants)
        except WHOLE as err:
            raise self._fail(call, err) from None
        except BaseException as err:
            if not call.null_on_error:
                raise self.fail(err) from None
            first = self.tell(err)
        # Outside of the handler: what its rows raise did not happen while handling this.
        if first is not None:
            return self._isolate(call, batch, first)
        call.clean.add(batch.num_rows, perf_counter() - started)
        return piece.columns[0], call.told(rejected(piece.rejects, 0)), 1, False

    def _run_model(self, call: ModelCall, batch: pa.RecordBatch) -> tuple[pa.Array, list[ErrorRow], int, bool]:
        try:
            column, calls, memory = call.run(batch, self.constants, self.tell)
        except WHOLE as err:
            raise self._fail(call, err) from None
        # Why a row has no answer stands in the column.
        return column, [], calls, memory

    def _fail(self, call: Call | ModelCall, exc: BaseException) -> Failed:
        """Returns the failure of a whole batch. A wrong result has no stack: the function is named."""
        failed = self.fail(exc)
        if failed.failure["file"] is None:
            failed.failure.update(file=call.file, function=call.name)
        return failed

    def _isolate(
        self, call: Call, batch: pa.RecordBatch, first: dict[str, Any]
    ) -> tuple[pa.Array, list[ErrorRow], int, bool]:
        def part(start: int, stop: int) -> Piece:
            return call.run(batch.slice(start, stop - start), self.constants)

        bounds = Limits(exact=True, clean_seconds=call.clean.seconds(batch.num_rows))
        try:
            segments, calls = isolate(part, batch.num_rows, first, bounds, self.tell)
        except WHOLE as err:
            raise self._fail(call, err) from None
        columns = []
        errors: list[ErrorRow] = []
        recycle = first["kind"] == "memory"
        for segment in segments:
            if segment.error is None:
                columns.append(segment.result.columns[0])
                errors.extend(rejected(segment.result.rejects, segment.start))
                continue
            recycle = recycle or segment.error["kind"] == "memory"
            columns.append(pa.nulls(segment.stop - segment.start, call.column.type))
            errors.extend(self.error_rows(segment, len(errors)))
        return pa.concat_arrays(columns), call.told(errors), calls, recycle

    def _sources(self, columns: list[pa.Array], batch: pa.RecordBatch, whole: bool) -> list[int]:
        sources = [FRESH] * len(columns)
        if not whole or not self.aliases.wanted:
            return sources
        keys = self.aliases.keys(batch)
        for index, column in enumerate(columns):
            found = self.aliases.find(index, column, keys)
            if found is not None:
                sources[index] = found
        return sources


def _is_scalar(value: Any) -> bool:
    if value is None or isinstance(value, (str, bytes, int, float, bool, pa.Scalar)):
        return True
    if np is not None and (isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0)):
        return True
    return not hasattr(value, "__len__") and not hasattr(value, "__arrow_c_array__")


def _scalar(value: Any) -> Any:
    if isinstance(value, pa.Scalar):
        return value.as_py()
    return value[()] if np is not None and isinstance(value, np.ndarray) else value
