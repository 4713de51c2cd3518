"""What user code gets: batches and arrays in the format it asked for.

Views where the format allows it, so that handing over a batch costs microseconds. Views are
read-only: the memory belongs to the engine, which takes a column that comes back unchanged from its
own copy. `copy_inputs` gives code that writes in place arrays of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from windlass._failure import InputError, text_of

try:
    import numpy as np
except ImportError:  # Only `batch_format="numpy"` needs it, and says so.
    np = None  # type: ignore[assignment]

# Beyond this, a double no longer holds every integer.
_EXACT = 2**53
_INTEGERS = {pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()}
_FLOATS = {pa.float16(), pa.float32(), pa.float64()}
_WIDE = {pa.int64(), pa.uint64()}

# The object is kept beside its column: `id` names it only while it lives, and user code may drop it.
Known = dict[int, tuple[int, Any]]
_NOTHING: Known = {}


class BatchFormat:
    """Hands out batches of one schema."""

    def __init__(self, schema: pa.Schema, copy_inputs: bool = False) -> None:
        self.schema = schema
        self.copy_inputs = copy_inputs

    def batch(self, batch: pa.RecordBatch) -> tuple[Any, Known]:
        """Returns the batch as user code sees it, and which of its objects is which column.

        The second value maps `id(object)` to a column for objects that cannot have been changed
        when they come back.
        """
        raise NotImplementedError

    def array(self, array: pa.Array) -> Any:
        """Returns one column as user code sees it."""
        raise NotImplementedError

    def show(self, batch: pa.RecordBatch) -> tuple[Any, Known]:
        """Returns what `batch` does; an error is not one of user code."""
        try:
            return self.batch(batch)
        except Exception as err:
            raise self._cannot("a batch", err) from None

    def show_array(self, array: pa.Array) -> Any:
        """Returns what `array` does; an error is not one of user code."""
        try:
            return self.array(array)
        except Exception as err:
            raise self._cannot(f"values of `{array.type}`", err) from None

    def _cannot(self, what: str, err: Exception) -> Exception:
        if isinstance(err, MemoryError):
            return err
        name = type(self).__name__.removesuffix("Format").lower()
        shown = "pyarrow" if name == "arrow" else name
        return InputError(f'{what} cannot be handed over in `batch_format="{shown}"`: {text_of(err)}')


class ArrowFormat(BatchFormat):
    """Tables of pyarrow."""

    def batch(self, batch: pa.RecordBatch) -> tuple[Any, Known]:
        return pa.Table.from_batches([batch]), _NOTHING

    def array(self, array: pa.Array) -> Any:
        return array


class NumpyFormat(BatchFormat):
    """Dicts of NumPy arrays, as in Ray Data."""

    def __init__(self, schema: pa.Schema, copy_inputs: bool = False) -> None:
        super().__init__(schema, copy_inputs)
        # Values of nested types can be changed inside even where the array cannot.
        self.columns = [
            (index, field.name, _numpy_view(field.type), not copy_inputs and is_flat(field.type))
            for index, field in enumerate(schema)
        ]

    def batch(self, batch: pa.RecordBatch) -> tuple[Any, Known]:
        handed = {}
        known: Known = {}
        rows = batch.num_rows
        for index, name, view, unchangeable in self.columns:
            column = batch.column(index)
            if view is not None and rows and not column.null_count:
                dtype, width = view
                array = np.frombuffer(column.buffers()[1], dtype, rows, column.offset * width)
            else:
                array = _to_numpy(column)
            if self.copy_inputs:
                handed[name] = array.copy()
                continue
            array.flags.writeable = False
            if unchangeable:
                known[id(array)] = (index, array)
            handed[name] = array
        return handed, known

    def array(self, array: pa.Array) -> Any:
        handed = _to_numpy(array)
        if self.copy_inputs:
            return handed.copy()
        handed.flags.writeable = False
        return handed


class PandasFormat(BatchFormat):
    """DataFrames of pandas."""

    def batch(self, batch: pa.RecordBatch) -> tuple[Any, Known]:
        frame = pa.Table.from_batches([batch]).to_pandas(split_blocks=True, use_threads=False)
        for index, field in enumerate(self.schema):
            if _loses_digits(field.type, batch.column(index)):
                frame[field.name] = _nullable_integers(batch.column(index))
        if self.copy_inputs:
            frame = frame.copy(deep=True)
        return frame, _NOTHING

    def array(self, array: pa.Array) -> Any:
        if _loses_digits(array.type, array):
            return _nullable_integers(array)
        series = array.to_pandas()
        return series.copy(deep=True) if self.copy_inputs else series


class PolarsFormat(BatchFormat):
    """DataFrames of polars."""

    def batch(self, batch: pa.RecordBatch) -> tuple[Any, Known]:
        import polars

        for index, field in enumerate(self.schema):
            if _has_fixed_lists(field.type):
                batch = batch.set_column(index, field, _from_start(batch.column(index)))
        return polars.from_arrow(pa.Table.from_batches([batch]), rechunk=False), _NOTHING

    def array(self, array: pa.Array) -> Any:
        import polars

        return polars.from_arrow(_from_start(array) if _has_fixed_lists(array.type) else array, rechunk=False)


FORMATS: dict[str, type[BatchFormat]] = {
    "numpy": NumpyFormat,
    "pandas": PandasFormat,
    "polars": PolarsFormat,
    "pyarrow": ArrowFormat,
}


def is_flat(kind: pa.DataType) -> bool:
    """Whether `kind` is stored in its own buffers alone: no children, no dictionary, not without any."""
    types = pa.types
    return not (
        types.is_nested(kind)
        or types.is_dictionary(kind)
        or types.is_run_end_encoded(kind)
        or types.is_null(kind)
        or isinstance(kind, pa.BaseExtensionType)
    )


def _numpy_view(kind: pa.DataType) -> tuple[Any, int] | None:
    """Returns the dtype and width of values that NumPy reads in place, or `None`."""
    if np is None:
        return None
    if kind in _INTEGERS or kind in _FLOATS:
        dtype = np.dtype(kind.to_pandas_dtype())
        return dtype, dtype.itemsize
    if pa.types.is_timestamp(kind):
        return np.dtype(f"M8[{kind.unit}]"), 8
    if pa.types.is_duration(kind):
        return np.dtype(f"m8[{kind.unit}]"), 8
    return None


def _to_numpy(column: pa.Array) -> Any:
    kind = column.type
    view = _numpy_view(kind)
    if view is not None and not column.null_count:
        if not len(column):
            return np.empty(0, view[0])
        return np.frombuffer(column.buffers()[1], view[0], len(column), column.offset * view[1])
    if _loses_digits(kind, column):
        return _object_array(column.to_pylist())
    if pa.types.is_fixed_size_list(kind) and not column.null_count:
        flat = column.flatten()
        if kind.value_type in _INTEGERS | _FLOATS and not flat.null_count:
            return _to_numpy(flat).reshape(len(column), kind.list_size).view()
    return column.to_numpy(zero_copy_only=False)


def _object_array(values: list[Any]) -> Any:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _has_fixed_lists(kind: pa.DataType) -> bool:
    if pa.types.is_fixed_size_list(kind):
        return True
    return any(_has_fixed_lists(kind.field(index).type) for index in range(kind.num_fields))


def _from_start(column: pa.Array) -> pa.Array:
    """Copies a slice: polars refuses lists of fixed length with NULLs that begin within their buffers."""
    return column.take(pa.array(range(len(column)), pa.int64())) if column.offset else column


def _loses_digits(kind: pa.DataType, column: pa.Array) -> bool:
    """Whether `column` would become doubles, for its NULLs, that do not hold its integers."""
    if kind not in _WIDE or not column.null_count or column.null_count == len(column):
        return False
    least, most = pc.min_max(column).as_py().values()
    return least < -_EXACT or most > _EXACT


def _nullable_integers(column: pa.Array) -> Any:
    import pandas

    kinds: dict[pa.DataType, Any] = {pa.int64(): pandas.Int64Dtype(), pa.uint64(): pandas.UInt64Dtype()}
    mapper: Callable[[pa.DataType], Any] = kinds.get
    return column.to_pandas(types_mapper=mapper)
