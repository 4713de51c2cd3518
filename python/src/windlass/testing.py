"""Runs transforms, functions and checks in a test, without the engine.

    from windlass import testing

    def test_late():
        result = testing.run(ScoreFlights, rows=[{"distance": 100.0}, {"distance": None}])
        assert result.rows[0]["p_late"] < 0.5
        assert result.rejects == {1: "no distance"}

The callable gets its rows in the format it declares, `var` and `reject` work, and what it returns is
handed back as rows. Packages of the format have to be installed; pyarrow need not be, unless the
format is `pyarrow`. Types and declared columns are not checked: that is the engine's part.
"""

from __future__ import annotations

import collections.abc
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from windlass import _context

__all__ = ["Result", "run"]


@dataclass
class Result:
    """What a transform or function did with rows."""

    # The output as rows, or as values for a function or check.
    rows: list[Any]
    # The rejected rows of the input by place, each with its reason.
    rejects: dict[int, str] = field(default_factory=dict)
    # What the callable returned, as it is; batches of a generator as a list.
    returned: Any = None


def run(
    target: Any,
    rows: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None,
    *,
    vars: Mapping[str, Any] | None = None,
    tables: Mapping[str, Any] | None = None,
    batch_format: str | None = None,
) -> Result:
    """Returns what `target` makes of `rows`: a list of dicts, or a dict of columns.

    A class is constructed with the arguments it declares; an object is called as it is. A transform
    in `mode="table"` gets `tables`, by name. A function (`@udf`) gets the columns in order.
    """
    settings = getattr(target, "__windlass__", {})
    form = batch_format or settings.get("batch_format", "numpy")
    given = _columns(rows) if rows is not None else {}
    count = len(next(iter(given.values()), ()))
    _context.set_vars(dict(vars or {}))
    rejects = _context.open_batch(count)
    try:
        function = _callable(target, settings)
        if settings.get("kind") == "udf":
            returned = function(*[_array(values, form) for values in given.values()])
            return Result(_values(returned), rejects.reasons, returned)
        arguments = (*settings.get("fn_args", ()),), dict(settings.get("fn_kwargs", {}))
        returned = _call(function, given, tables, form, arguments)
        if settings.get("kind") == "check":
            good = [True] * count if returned is None else _values(returned)
            good = [row not in rejects.reasons and value for row, value in enumerate(good)]
            return Result(good, rejects.reasons, returned)
        output = _output_rows(returned)
    finally:
        _context.close_batch()
        _context.set_vars(None)
    if rejects.reasons and len(output) == count and settings.get("rows", "one_to_one") == "one_to_one":
        output = [row for index, row in enumerate(output) if index not in rejects.reasons]
    return Result(output, rejects.reasons, returned)


def _callable(target: Any, settings: Mapping[str, Any]) -> Any:
    if inspect.isclass(target):
        return target(*settings.get("fn_constructor_args", ()), **settings.get("fn_constructor_kwargs", {}))
    return target


def _call(function: Any, given: dict[str, list[Any]], tables: Any, form: str, arguments: Any) -> Any:
    args, kwargs = arguments
    if tables is None:
        returned = function(_batch(given, form), *args, **kwargs)
    else:
        batches = {name: _batch(_columns(table), form) for name, table in tables.items()}
        if len(batches) == 1:
            returned = function(*batches.values(), *args, **kwargs)
        else:
            returned = function(*args, **batches, **kwargs)
    return list(returned) if isinstance(returned, collections.abc.Iterator) else returned


def _columns(rows: Any) -> dict[str, Any]:
    if isinstance(rows, Mapping):
        return dict(rows)
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    return {name: [row.get(name) for row in rows] for name in names}


def _batch(columns: dict[str, Any], form: str) -> Any:
    if form == "numpy":
        return {name: _array(values, form) for name, values in columns.items()}
    if form == "pandas":
        import pandas

        return pandas.DataFrame(columns)
    if form == "polars":
        import polars

        return polars.DataFrame(columns)
    if form == "pyarrow":
        import pyarrow

        return pyarrow.table({name: _array(values, form) for name, values in columns.items()})
    raise ValueError(f'batch_format="{form}" is none of numpy, pandas, polars, pyarrow')


def _array(values: Any, form: str) -> Any:
    if not isinstance(values, (list, tuple)):
        return values
    if form == "pandas":
        import pandas

        return pandas.Series(values)
    if form == "polars":
        import polars

        return polars.Series(values)
    if form == "pyarrow":
        import pyarrow

        return pyarrow.array(values)
    return _numpy_array(list(values))


def _numpy_array(values: list[Any]) -> Any:
    """Returns an array as workers hand it out: NULL is NaN among numbers and None elsewhere."""
    import numpy

    present = [value for value in values if value is not None]
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in present)
    if len(present) < len(values) and present and numbers:
        return numpy.array([numpy.nan if value is None else value for value in values], float)
    array = numpy.array(values) if len(present) == len(values) and not _is_text(present) else None
    if array is None or array.ndim != 1:
        array = numpy.empty(len(values), object)
        array[:] = values
    return array


def _is_text(values: list[Any]) -> bool:
    return any(isinstance(value, (str, bytes)) for value in values)


def _output_rows(returned: Any) -> list[dict[str, Any]]:
    if isinstance(returned, list):
        return [row for part in returned for row in _output_rows(part)]
    if isinstance(returned, Mapping):
        columns = {name: _values(values) for name, values in returned.items()}
        lengths = {len(values) for values in columns.values()}
        if len(lengths) > 1:
            shown = ", ".join(f"`{name}` {len(values)}" for name, values in columns.items())
            raise ValueError(f"the columns of the result have different lengths: {shown}")
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for method in ("to_pylist", "to_dicts"):
        if hasattr(returned, method):
            return getattr(returned, method)()
    if hasattr(returned, "to_dict"):
        return returned.to_dict("records")
    raise TypeError(f"the result is a {type(returned).__name__}: return a dict of arrays, a DataFrame or a Table")


def _values(values: Any) -> list[Any]:
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(values, method):
            found = getattr(values, method)()
            return found if isinstance(found, list) else [found]
    return list(values) if isinstance(values, (list, tuple)) else [values]
