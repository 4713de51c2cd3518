"""Checks what user code returned for a batch against what it declares, and makes columns of it.

Accepts dicts of arrays, DataFrames of pandas and polars, Arrow tables and record batches, and
generators of any of them, whatever the batch came as. Every complaint says what to do.
"""

from __future__ import annotations

import collections.abc
import sys
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from windlass._alias import Aliases
from windlass._conform import Column, _one_array, _short
from windlass._context import Rejects
from windlass._failure import OutputError
from windlass._formats import Known, is_flat

FRESH = -1


@dataclass(slots=True)
class Piece:
    """Output for a range of rows: declared columns, and for each the input column it is, or `FRESH`."""

    made: list[pa.Array] | pa.RecordBatch
    sources: list[int]
    rows: int
    rejects: dict[int, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[pa.Array]:
        """The columns one by one: to take one out of a batch costs a microsecond."""
        if isinstance(self.made, pa.RecordBatch):
            self.made = self.made.columns
        return self.made


@dataclass(slots=True)
class Given:
    """What the call was given, to recognise it in the result."""

    batch: pa.RecordBatch
    native: Any
    known: Known
    rejects: Rejects
    # Whether columns may be taken from the input: only for whole batches.
    whole: bool


class Output:
    """Makes pieces of results for one transform."""

    def __init__(self, inputs: pa.Schema, outputs: pa.Schema, many: bool, key: list[str]) -> None:
        self.schema = outputs
        self.inputs = inputs
        self.columns = [Column(declared) for declared in outputs]
        self.names = list(outputs.names)
        self.expected = frozenset(self.names)
        self.many = many
        self.aliases = Aliases(inputs, outputs)
        self.same = [_same_named(inputs, declared) for declared in outputs]
        self.unchanged = len(inputs) == len(outputs) and FRESH not in self.same
        both = [name for name in key if name in self.names and name in inputs.names]
        self.required = [index for index, declared in enumerate(outputs) if not declared.nullable]
        self.fresh = [FRESH] * len(self.names)
        self.key = [] if many else [(self.names.index(name), inputs.get_field_index(name)) for name in both]
        self.empty = Piece([pa.array([], declared.type) for declared in outputs], [FRESH] * len(self.names), 0)

    def piece(self, result: Any, given: Given) -> Piece:
        """Returns the output that `result` is."""
        if self.unchanged and result is given.native and isinstance(result, pa.Table):
            piece = self._input(given)
        elif isinstance(result, collections.abc.Iterator):
            piece = self._concatenate(result, given)
        else:
            piece = self._whole(result, given)
        rejected = given.rejects.reasons
        if rejected:
            piece = self._without_rejected(piece, given)
        elif not self.many and piece.rows != given.batch.num_rows:
            raise self._row_count(piece.rows, given)
        if self.key:
            self._check_key(piece, given)
        return piece

    def _input(self, given: Given) -> Piece:
        columns = [given.batch.column(index) for index in self.same]
        return Piece(columns, list(self.same) if given.whole else [FRESH] * len(columns), given.batch.num_rows)

    def _whole(self, result: Any, given: Given) -> Piece:
        if isinstance(result, (pa.Table, pa.RecordBatch)):
            batch = self._as_declared(result)
            if batch is not None:
                return self._ready(batch, given)
        values = self._values(result, given)
        columns: list[pa.Array] = []
        sources: list[int] = []
        known = given.known
        keys = None
        for index, column in enumerate(self.columns):
            value = values[index]
            handed = known.get(id(value))
            if handed is not None and self._is_input(handed, value, index):
                columns.append(given.batch.column(handed[0]))
                sources.append(handed[0] if given.whole else FRESH)
                continue
            array = column.conform(value)
            source = None
            # A NumPy array without a base has memory of its own.
            if self._may_be_input(len(array), given) and getattr(value, "base", value) is not None:
                if keys is None:
                    keys = self.aliases.keys(given.batch)
                source = self.aliases.find(index, array, keys)
            columns.append(array)
            sources.append(FRESH if source is None else source)
        return Piece(columns, sources, self._rows(columns))

    def _as_declared(self, result: pa.Table | pa.RecordBatch) -> pa.RecordBatch | None:
        """Returns a result as one batch if that is what `columns` declares already."""
        if not self.names or not result.schema.equals(self.schema):
            return None
        if isinstance(result, pa.Table):
            batches = result.to_batches()
            if len(batches) != 1:
                return None
            result = batches[0]
        if any(result.column(index).null_count for index in self.required):
            return None
        return result

    def _ready(self, batch: pa.RecordBatch, given: Given) -> Piece:
        if not self._may_be_input(batch.num_rows, given):
            return Piece(batch, self.fresh, batch.num_rows)
        columns = batch.columns
        keys = self.aliases.keys(given.batch)
        found = [self.aliases.find(index, array, keys) for index, array in enumerate(columns)]
        sources = [FRESH if source is None else source for source in found]
        return Piece(columns, sources, batch.num_rows)

    def _may_be_input(self, rows: int, given: Given) -> bool:
        """Whether arrays of so many rows may be columns of the input."""
        return given.whole and bool(self.aliases.wanted) and rows == given.batch.num_rows

    def _is_input(self, handed: tuple[int, Any], value: Any, index: int) -> bool:
        """Whether `value` is the array that was handed out, still unchanged, and may be this output."""
        source, array = handed
        if value is not array or array.flags.writeable or source not in self.aliases.candidates[index]:
            return False
        nullable = self.schema.field(index).nullable
        return nullable or not self.inputs.field(source).nullable

    def _values(self, result: Any, given: Given) -> list[Any]:
        """Returns the value of every declared column, in order."""
        if isinstance(result, collections.abc.Mapping):
            names: Any = result.keys()
            get = result.__getitem__
        elif isinstance(result, (pa.Table, pa.RecordBatch)):
            names, get = result.schema.names, result.column
        else:
            names, get = self._frame(result)
        if len(names) != len(self.names) or self.expected.difference(names):
            raise self._wrong_columns(list(names), result)
        return [get(name) for name in self.names]

    def _frame(self, result: Any) -> tuple[list[Any], Any]:
        pandas = sys.modules.get("pandas")
        if pandas is not None and isinstance(result, pandas.DataFrame):
            return list(result.columns), result.__getitem__
        polars = sys.modules.get("polars")
        if polars is not None and isinstance(result, polars.DataFrame):
            return result.columns, result.get_column
        raise self._wrong_result(result)

    def _rows(self, columns: list[pa.Array]) -> int:
        rows = len(columns[0]) if columns else 0
        for name, column in zip(self.names, columns, strict=True):
            if len(column) != rows:
                raise OutputError(
                    f"column `{name}` has {len(column)} values and column `{self.names[0]}` has {rows}: "
                    "every column of a result has one value per row"
                )
        return rows

    def _concatenate(self, results: Any, given: Given) -> Piece:
        pieces = [self._whole(result, given) for result in results]
        if len(pieces) == 1:
            return pieces[0]
        return self.join(pieces)

    def join(self, pieces: list[Piece]) -> Piece:
        """Returns pieces one after the other as one."""
        if not pieces:
            return self.empty
        if len(pieces) == 1:
            return pieces[0]
        columns = []
        for index, column in enumerate(self.columns):
            parts = [piece.columns[index] for piece in pieces]
            columns.append(_one_array(pa.chunked_array(parts, column.type), column))
        return Piece(columns, [FRESH] * len(columns), sum(piece.rows for piece in pieces))

    def _without_rejected(self, piece: Piece, given: Given) -> Piece:
        """Drops rejected rows, which the result may or may not hold, and carries their reasons."""
        rejected = given.rejects.reasons
        rows = given.batch.num_rows
        columns = piece.columns
        if not self.many:
            if piece.rows == rows:
                mask = kept_rows(rows, rejected)
                columns = [column.filter(mask) for column in columns]
            elif piece.rows != rows - len(rejected):
                raise self._row_count(piece.rows, given)
        kept = len(columns[0]) if columns else 0
        return Piece(columns, [FRESH] * len(columns), kept, dict(rejected))

    def _check_key(self, piece: Piece, given: Given) -> None:
        mask = kept_rows(given.batch.num_rows, piece.rejects) if piece.rejects else None
        for output, source in self.key:
            if piece.sources[output] == source:
                continue
            before = given.batch.column(source)
            if mask is not None:
                before = before.filter(mask)
            after = piece.columns[output]
            if not _equal(before, after):
                raise self._changed_key(self.names[output], before, after)

    def _changed_key(self, name: str, before: pa.Array, after: pa.Array) -> OutputError:
        olds, news = before.to_pylist(), after.to_pylist()
        row = next((i for i, (old, new) in enumerate(zip(olds, news, strict=False)) if old != new), 0)
        return OutputError(
            f"key column `{name}` changed: row {row} was {_short(olds[row])} and is {_short(news[row])}; "
            'with `rows="one_to_one"` rows keep their order and their key. '
            'Return the rows as they came, or declare `rows="many"`'
        )

    def _row_count(self, rows: int, given: Given) -> OutputError:
        wanted = given.batch.num_rows
        rejected = len(given.rejects.reasons)
        but = f", of which {rejected} are rejected" if rejected else ""
        return OutputError(
            f"the result has {rows} rows for a batch of {wanted}{but}: with "
            '`rows="one_to_one"` every row comes back, in order. Mark rows that cannot be worked on '
            'with `windlass.reject(mask, "why")`, or declare `rows="many"`'
        )

    def _wrong_columns(self, names: list[Any], result: Any) -> OutputError:
        missing = [name for name in self.names if name not in names]
        extra = [name for name in names if name not in self.names]
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        if twice:
            return OutputError(f"the result has column `{twice[0]}` twice: return it once")
        declared = _listed(self.names)
        if missing:
            hint = _missing_hint(missing[0], extra, result)
            return OutputError(
                f"the result has no column `{missing[0]}`{hint}; "
                f"it has {_listed(names)}, and `columns` declares {declared}"
            )
        return OutputError(
            f"the result has a column `{extra[0]}` that `columns` does not declare: "
            f"leave it out, or declare it; `columns` declares {declared}"
        )

    def _wrong_result(self, result: Any) -> OutputError:
        example = '{"' + self.names[0] + '": ...}' if self.names else "{}"
        if result is None:
            return OutputError("the function returned None: is a `return` missing?")
        kind = type(result)
        package = kind.__module__.partition(".")[0]
        name = kind.__name__ if package == "builtins" else f"{package}.{kind.__name__}"
        if name == "polars.LazyFrame":
            return OutputError("the function returned a LazyFrame: call .collect() on it")
        if hasattr(result, "__await__") or hasattr(result, "__anext__"):
            if hasattr(result, "close"):
                # Else Python warns that nobody awaited it.
                result.close()
            return OutputError("the function is `async`, which Windlass does not run: make it a plain function")
        return OutputError(
            f"the function returned a {name}: return a dict of arrays such as {example}, "
            "a DataFrame of pandas or polars, or a pyarrow Table"
        )


def kept_rows(rows: int, dropped: Any) -> pa.Array:
    """Returns a mask of `rows` values that is false for the rows in `dropped`."""
    mask = [True] * rows
    for row in dropped:
        mask[row] = False
    return pa.array(mask, pa.bool_())


def _same_named(inputs: pa.Schema, declared: pa.Field) -> int:
    index = inputs.get_field_index(declared.name)
    if index < 0 or inputs.field(index).type != declared.type:
        return FRESH
    if inputs.field(index).nullable and not declared.nullable:
        return FRESH
    return index


def _equal(before: pa.Array, after: pa.Array) -> bool:
    if before.type != after.type:
        try:
            before = before.cast(after.type)
        except pa.ArrowException:
            return False
    if before.equals(after):
        return True
    if pa.types.is_floating(before.type) and is_flat(before.type) and len(before) == len(after):
        # NaN equals nothing, itself included.
        before, after = (pc.if_else(pc.is_nan(side), pa.scalar(None, side.type), side) for side in (before, after))
        return before.equals(after)
    return False


def _missing_hint(missing: str, extra: list[Any], result: Any) -> str:
    index = getattr(getattr(result, "index", None), "names", None)
    if index is not None and missing in list(index):
        return " (it is in the index: call .reset_index())"
    for name in extra:
        if str(name).lower() == missing.lower():
            return f" (it has `{name}`; names are case-sensitive)"
    return ""


def _listed(names: list[Any]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:12]) or "none"
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"
