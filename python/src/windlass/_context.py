"""What the authoring functions need to know while user code runs: variables and the batch's rejects.

Standard library only: `windlass` is importable where nothing is installed. Workers and
`windlass.testing` open a context around calls; outside of one, `var` and `reject` say so.
"""

from __future__ import annotations

import sys
from typing import Any

from windlass._failure import RejectError


class Rejects:
    """The rows of one batch that user code rejected, each with the first reason it was given."""

    __slots__ = ("reasons", "rows")

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.reasons: dict[int, str] = {}

    def add(self, mask: Any, reason: Any) -> None:
        """Marks the rows where `mask` is true."""
        indexes = _true_rows(mask, self.rows)
        if isinstance(reason, str):
            for index in indexes:
                self.reasons.setdefault(index, reason)
            return
        reasons = _reasons(reason, self.rows)
        for index in indexes:
            self.reasons.setdefault(index, str(reasons[index]))


_state: dict[str, Any] = {"rejects": None, "closed": None, "vars": None}


def open_batch(rows: int) -> Rejects:
    """Starts to collect the rejects of a batch."""
    rejects = Rejects(rows)
    _state["rejects"] = rejects
    return rejects


def close_batch(why: str | None = None) -> None:
    """Stops to collect rejects; `why` is what `reject` says from now on."""
    _state["rejects"] = None
    _state["closed"] = why


def add_rejects(mask: Any, reason: Any) -> None:
    """Marks rows of the current batch."""
    rejects = _state["rejects"]
    if rejects is None:
        why = _state["closed"] or "there is no batch here; in a test, use `windlass.testing.run`"
        raise RejectError(f"`reject` marks rows of the batch that is being worked on: {why}")
    rejects.add(mask, reason)


def set_vars(values: dict[str, Any] | None) -> None:
    """Sets the project's variables, or forgets them."""
    _state["vars"] = values


def get_var(name: str, default: Any) -> Any:
    """Returns a variable of the project."""
    values = _state["vars"]
    if values is None:
        if default is not MISSING:
            return default
        way_out = f'in a test, `windlass.testing.run(..., vars={{"{name}": ...}})` sets it'
        raise LookupError(f"`var({name!r})` has a value only while Windlass runs the project; {way_out}")
    if name in values:
        return values[name]
    if default is not MISSING:
        return default
    known = ", ".join(f"`{known}`" for known in sorted(values)) or "none"
    raise LookupError(f"the project has no variable `{name}`; `vars` of windlass.yml has: {known}")


class _Missing:
    def __repr__(self) -> str:
        return "no default"


MISSING = _Missing()


def _true_rows(mask: Any, rows: int) -> list[int]:
    _check_length(mask, rows)
    module = type(mask).__module__.partition(".")[0]
    if module == "numpy":
        if mask.ndim != 1 or mask.dtype.kind not in "bO":
            raise _wrong_mask(f"an array of {mask.dtype} with {mask.ndim} dimensions")
        if mask.dtype.kind == "b":
            return mask.nonzero()[0].tolist()
        return _true_values(mask.tolist())
    if module == "pyarrow":
        return _true_values(mask.to_pylist())
    if module == "polars":
        return _true_values(mask.to_list())
    if module == "pandas":
        pandas = sys.modules["pandas"]
        return _true_values([None if value is pandas.NA else value for value in mask.tolist()])
    return _true_values(list(mask))


def _check_length(mask: Any, rows: int) -> None:
    if isinstance(mask, (str, bytes, dict)) or not hasattr(mask, "__len__"):
        raise _wrong_mask(repr(mask)[:80])
    try:
        length = len(mask)
    except TypeError:
        raise _wrong_mask(repr(mask)[:80]) from None
    if length != rows:
        raise RejectError(
            f"the mask of `reject` has {length} values and the batch {rows} rows: give one True or False per row"
        )


def _true_values(values: list[Any]) -> list[int]:
    found = []
    for index, value in enumerate(values):
        if value is True:
            found.append(index)
        elif value is False or value is None:
            continue
        elif type(value).__name__ in ("bool", "bool_"):
            if value:
                found.append(index)
        else:
            raise _wrong_mask(f"{value!r:.80} in row {index}")
    return found


def _wrong_mask(what: str) -> RejectError:
    return RejectError(f"the mask of `reject` holds one True or False per row, not {what}")


def _reasons(reason: Any, rows: int) -> Any:
    values = reason.to_pylist() if hasattr(reason, "to_pylist") else None
    if values is None:
        values = reason.to_list() if hasattr(reason, "to_list") else None
    if values is None:
        values = list(reason) if hasattr(reason, "__iter__") else None
    if values is None or len(values) != rows:
        raise RejectError("the reason of `reject` is a text, or one text per row of the batch")
    return values
