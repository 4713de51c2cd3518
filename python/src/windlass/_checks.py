"""A check in Python: a batch in, one True or False per row out.

The answer says which rows are good: an array, a Series, an Arrow array or a list of booleans, as a
comparison of columns gives them. NULL is no answer for the row, which then breaks nothing. Rows may be
marked with `windlass.reject` as well, which says why; with it, nothing else need be returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from windlass import _context
from windlass._conform import Column, _short
from windlass._failure import Failed, OutputError
from windlass._formats import FORMATS, np
from windlass._functions import _is_scalar
from windlass._output import FRESH, kept_rows
from windlass._program import Outcome, Program, rejected, roots

_WAY_OUT = "return one True or False per row, such as `batch[\"amount\"] > 0`"


class Check(Program):
    """A check's function or object."""

    # An exception is no answer: no row is to blame for it.
    isolate = False

    def __init__(
        self, init: dict[str, Any], function: Callable[..., Any], inputs: pa.Schema, outputs: pa.Schema
    ) -> None:
        self.function = function
        self.file = init["file"]
        self.name = init["object"]
        self.args = tuple(init.get("fn_args") or ())
        self.kwargs = dict(init.get("fn_kwargs") or {})
        self.roots = roots(init)
        self.format = FORMATS[init["batch_format"]](inputs, bool(init.get("copy_inputs")))
        self.column = Column(outputs.field(0))

    def run(self, batch: pa.RecordBatch, whole: bool) -> Outcome:
        rows = batch.num_rows
        if not rows:
            return Outcome([pa.array([], self.column.type)], [FRESH], 0, calls=0)
        rejects = _context.open_batch(rows)
        try:
            native, _ = self.format.show(batch)
            result = self.function(native, *self.args, **self.kwargs)
            good = self._good(result, rows, bool(rejects.reasons))
        except BaseException as err:
            raise self._failed(err) from None
        finally:
            _context.close_batch()
        if rejects.reasons:
            good = pc.if_else(kept_rows(rows, rejects.reasons), good, pa.scalar(False))
        return Outcome([good], [FRESH], rows, rejected(rejects.reasons, 0))

    def _good(self, result: Any, rows: int, has_rejects: bool) -> pa.Array:
        """Returns which rows are good, as an array."""
        if result is None and has_rejects:
            return pa.array([True] * rows, pa.bool_())
        self._refuse(result)
        try:
            good = self.column.conform(result)
        except OutputError:
            raise OutputError(f"check `{self.name}` returned values other than True and False: {_WAY_OUT}") from None
        if len(good) != rows:
            raise OutputError(f"check `{self.name}` returned {len(good)} values for {rows} rows: {_WAY_OUT}")
        return good

    def _refuse(self, result: Any) -> None:
        """Refuses what is no column of True and False."""
        if result is None:
            raise OutputError(f"check `{self.name}` returned None: is a `return` missing? R{_WAY_OUT[1:]}")
        if _is_scalar(result):
            raise OutputError(
                f"check `{self.name}` returned the single value {_short(result)} for a whole batch, and batches are cut "
                f"anyhow: {_WAY_OUT}"
            )
        kind = _kind(result)
        if kind is not None:
            raise OutputError(f"check `{self.name}` returned {kind}: {_WAY_OUT}")

    def _failed(self, exc: BaseException) -> Failed:
        """Returns the failure of a batch. A wrong result has no stack: the check is named."""
        failed = self.fail(exc)
        if failed.failure["file"] is None:
            failed.failure.update(file=self.file, function=self.name)
        return failed


def _kind(result: Any) -> str | None:
    """Returns what a result is that holds no True or False per row; `None` where it may."""
    if isinstance(result, dict) or hasattr(result, "columns"):
        return "a table"
    if np is not None and isinstance(result, np.ndarray):
        if result.ndim > 1:
            return f"an array of {result.ndim} dimensions"
        return None if result.dtype.kind in "bO" else f"values of `{result.dtype}`"
    if isinstance(result, (pa.Array, pa.ChunkedArray)):
        if pa.types.is_boolean(result.type) or pa.types.is_null(result.type):
            return None
        return f"values of `{result.type}`"
    dtype = getattr(result, "dtype", None)
    if dtype is None or str(dtype) in ("bool", "boolean", "Boolean", "object", "Null", "bool[pyarrow]"):
        return None
    return f"values of `{dtype}`"
