"""Turns one returned column, whatever it is made of, into an Arrow array of the declared type.

Values may change their width but not their kind: integers become doubles, doubles become integers
where all of them are whole, text stays text. What does not fit is an `OutputError` whose text names
the column, what came, what was declared, and what to do.
"""

from __future__ import annotations

import decimal
import sys
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from windlass._failure import OutputError, text_of
from windlass._formats import _FLOATS, _INTEGERS, np

types = pa.types


class Column:
    """Conforms values to one declared column."""

    def __init__(self, field: pa.Field) -> None:
        self.field = field
        self.name = field.name
        self.type = field.type
        self.dtype = None
        if np is not None and (self.type in _INTEGERS or self.type in _FLOATS):
            self.dtype = np.dtype(self.type.to_pandas_dtype())

    def conform(self, value: Any) -> pa.Array:
        """Returns `value` as an array of the declared type."""
        array = self._array(value)
        if array.null_count and not self.field.nullable:
            raise self.error(f"has NULL in {_places(array)}, and it is declared as not null")
        return array

    def _array(self, value: Any) -> pa.Array:
        if np is not None and type(value) is np.ndarray:
            if value.dtype == self.dtype and value.ndim == 1 and value.flags.c_contiguous and value.dtype.isnative:
                return pa.Array.from_buffers(self.type, len(value), [None, pa.py_buffer(value)], 0)
            return self._from_numpy(value)
        if isinstance(value, (pa.Array, pa.ChunkedArray)):
            return self.cast(_one_array(value, self))
        if isinstance(value, (list, tuple)):
            return self._from_list(list(value))
        pandas = sys.modules.get("pandas")
        if pandas is not None and isinstance(
            value, (pandas.Series, pandas.Index, pandas.api.extensions.ExtensionArray)
        ):
            return self._from_pandas(value)
        polars = sys.modules.get("polars")
        if polars is not None and isinstance(value, polars.Series):
            return self.cast(_one_array(value.to_arrow(), self))
        return self._from_other(value)

    def cast(self, array: pa.Array) -> pa.Array:
        """Returns an Arrow array as the declared type, if that loses nothing."""
        if array.type == self.type:
            return array
        if array.null_count == len(array):
            # Without values, the type says nothing: pandas shows missing text as doubles.
            return pa.nulls(len(array), self.type)
        if not convertible(array.type, self.type):
            raise self.wrong_type(array.type)
        if types.is_floating(array.type) and not types.is_floating(self.type):
            # Only floating-point columns know NaN; elsewhere it stands for a missing value.
            array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
        try:
            if types.is_integer(array.type) and types.is_decimal(self.type):
                # Arrow asks for the digits of the widest integer, whatever the values are.
                array = array.cast(pa.decimal256(76, self.type.scale))
            cast = array.cast(self.type, safe=True)
        except pa.ArrowInvalid as err:
            raise self.does_not_fit(array.type, err) from None
        except (pa.ArrowNotImplementedError, pa.ArrowTypeError):
            if str(array.type).endswith("_view"):
                # pyarrow 16 reads views and cannot cast them.
                return pa.array(array.to_pylist(), self.type)
            raise self.wrong_type(array.type) from None
        return cast

    def _from_numpy(self, value: Any) -> pa.Array:
        if value.ndim == 0:
            raise self.error(f"is the single value {_short(value.item())}: {self._one_per_row()}")
        if value.ndim > 1:
            return self._from_matrix(value)
        if not value.dtype.isnative:
            value = value.astype(value.dtype.newbyteorder("="))
        if value.dtype.kind == "O":
            return self._from_list(value)
        if value.dtype.kind in "Mm" and np.datetime_data(value.dtype)[0] not in ("D", "s", "ms", "us", "ns"):
            raise self.wrong_type(value.dtype)
        try:
            if value.dtype.kind in "UT":
                return self.cast(pa.array(value.tolist(), pa.large_string()))
            array = pa.array(np.asarray(value))
        except (pa.ArrowException, TypeError, ValueError):
            raise self.wrong_type(value.dtype) from None
        return self.cast(array)

    def _from_matrix(self, value: Any) -> pa.Array:
        if not (types.is_list(self.type) or types.is_large_list(self.type) or types.is_fixed_size_list(self.type)):
            shape = " x ".join(str(size) for size in value.shape)
            raise self.error(
                f"is an array of {shape} values, and `{self.type}` is declared: return one dimension, "
                f"for example with [:, 0], or declare a list such as `list<{_dtype_name(value.dtype)}>`"
            )
        if value.ndim > 2:
            return self._from_list(value.tolist())
        flat = pa.array(np.ascontiguousarray(value).reshape(-1))
        return self.cast(pa.FixedSizeListArray.from_arrays(flat, value.shape[1]))

    def _from_pandas(self, value: Any) -> pa.Array:
        pandas = sys.modules["pandas"]
        if isinstance(value, pandas.MultiIndex):
            raise self.wrong_type("an index of several levels")
        if value.dtype == object:
            return self._from_values(value.to_numpy(), from_pandas=True)
        try:
            array = pa.Array.from_pandas(value)
        except (pa.ArrowException, TypeError, ValueError):
            raise self.wrong_type(value.dtype) from None
        array = _one_array(array, self)
        if types.is_dictionary(array.type):
            array = array.dictionary_decode()
        return self.cast(array)

    def _from_list(self, values: Any) -> pa.Array:
        first = next((value for value in values if value is not None), None)
        if np is not None and isinstance(first, (np.datetime64, np.timedelta64)):
            return self._from_numpy(np.array(values))
        # Where there are no doubles, NaN is how a missing value looks.
        return self._from_values(values, from_pandas=not _holds_floats(self.type))

    def _from_values(self, values: Any, from_pandas: bool) -> pa.Array:
        """Converts Python objects: first as declared, then by what they are."""
        if types.is_integer(self.type) or types.is_decimal(self.type) or types.is_boolean(self.type):
            # Arrow would read 1.5 as 1, and "1" as a decimal.
            return self.cast(self._inferred(values, from_pandas))
        try:
            array = pa.array(values, self.type, from_pandas=from_pandas)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return self.cast(self._inferred(values, from_pandas))
        return _one_array(array, self)

    def _inferred(self, values: Any, from_pandas: bool) -> pa.Array:
        try:
            array = pa.array(values, from_pandas=from_pandas)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as err:
            if types.is_integer(self.type) or types.is_decimal(self.type):
                kept = self._declared(values, from_pandas)
                if kept is not None:
                    return kept
            raise self.error(f"cannot be read as `{self.type}`: {_kinds(values)} ({_first_line(err)})") from None
        return _one_array(array, self)

    def _declared(self, values: Any, from_pandas: bool) -> pa.Array | None:
        """Converts what inference has no type for, such as integers beyond 64 signed bits."""
        expected = int if types.is_integer(self.type) else (int, decimal.Decimal)
        if not all(value is None or (isinstance(value, expected) and value is not True) for value in values):
            return None
        try:
            return _one_array(pa.array(list(values), self.type, from_pandas=from_pandas), self)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return None

    def _from_other(self, value: Any) -> pa.Array:
        if value is None or isinstance(value, (str, bytes, int, float, bool)) or not hasattr(value, "__len__"):
            raise self.error(f"is the single value {_short(value)}: {self._one_per_row()}")
        if hasattr(value, "__arrow_c_array__") or hasattr(value, "__arrow_c_stream__"):
            read = pa.chunked_array if hasattr(value, "__arrow_c_stream__") else pa.array
            return self.cast(_one_array(read(value), self))
        if np is not None and (hasattr(value, "__array__") or hasattr(value, "__array_interface__")):
            return self._array(np.asarray(value))
        if isinstance(value, (dict, set, frozenset)):
            raise self.wrong_type(type(value).__name__)
        return self._from_list(list(value))

    def _one_per_row(self) -> str:
        return "return one value per row, as an array, a Series or a list"

    def wrong_type(self, given: Any) -> OutputError:
        """Says that the values are of another kind than declared."""
        shown = _dtype_name(given)
        return self.error(
            f"is declared as `{self.type}` and came back as `{shown}`: convert it before you return it, "
            f"or declare `{shown}`"
        )

    def does_not_fit(self, given: Any, err: Exception) -> OutputError:
        """Says that some values have no place in the declared type."""
        return self.error(
            f"came back as `{given}` and has values that do not fit the declared `{self.type}`: "
            f"{_first_line(err)}; convert them before you return them, or declare a wider type"
        )

    def error(self, text: str) -> OutputError:
        """Names the column in front of what is wrong with it."""
        return OutputError(f"column `{self.name}` {text}")


def convertible(given: pa.DataType, declared: pa.DataType) -> bool:
    """Whether values of `given` may stand in a column declared as `declared`."""
    if types.is_null(given):
        return True
    if types.is_dictionary(given):
        return convertible(given.value_type, declared)
    if types.is_run_end_encoded(given):
        return convertible(given.value_type, declared)
    if isinstance(given, pa.BaseExtensionType):
        return convertible(given.storage_type, declared)
    if types.is_timestamp(given) and types.is_timestamp(declared):
        # Text of a zone cannot be told from a number: dropping it would change what is meant.
        return declared.tz is not None or given.tz is None
    from_kind, to_kind = _kind(given), _kind(declared)
    if from_kind == to_kind:
        return True
    return (from_kind, to_kind) in _WIDENINGS


_WIDENINGS = {
    ("integer", "floating"),
    ("integer", "decimal"),
    ("floating", "integer"),
    ("decimal", "floating"),
    ("decimal", "integer"),
    ("date", "timestamp"),
    ("timestamp", "date"),
    ("binary", "fixed"),
    ("fixed", "binary"),
    ("list", "fixed_list"),
    ("fixed_list", "list"),
}


def _kind(kind: pa.DataType) -> str:
    for name, test in _KINDS:
        if test(kind):
            return name
    return str(kind)


_KINDS = [
    ("boolean", types.is_boolean),
    ("integer", types.is_integer),
    ("floating", types.is_floating),
    ("decimal", types.is_decimal),
    ("text", lambda kind: types.is_string(kind) or types.is_large_string(kind) or _is(kind, "is_string_view")),
    ("fixed", types.is_fixed_size_binary),
    ("binary", lambda kind: types.is_binary(kind) or types.is_large_binary(kind) or _is(kind, "is_binary_view")),
    ("date", types.is_date),
    ("timestamp", types.is_timestamp),
    ("time", types.is_time),
    ("duration", types.is_duration),
    ("fixed_list", types.is_fixed_size_list),
    ("list", lambda kind: types.is_list(kind) or types.is_large_list(kind) or str(kind).startswith(_LIST_VIEWS)),
    ("struct", types.is_struct),
    ("map", types.is_map),
]
_LIST_VIEWS = ("list_view", "large_list_view")


def _is(kind: pa.DataType, test: str) -> bool:
    found = getattr(types, test, None)
    return found is not None and found(kind)


def _holds_floats(kind: pa.DataType) -> bool:
    if types.is_floating(kind):
        return True
    return any(_holds_floats(kind.field(index).type) for index in range(kind.num_fields))


def _one_array(value: Any, column: Column) -> pa.Array:
    if not isinstance(value, pa.ChunkedArray):
        return value
    if value.num_chunks == 1:
        return value.chunk(0)
    if value.num_chunks == 0:
        return pa.array([], value.type)
    combined = value.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):
        raise column.error("is larger than one batch can hold: return smaller batches with `yield`")
    return combined


def _kinds(values: Any) -> str:
    """Says which types the first values have."""
    names = []
    for value in list(values[:1000]):
        name = type(value).__name__
        if name not in names:
            names.append(name)
    return "it holds " + ", ".join(f"`{name}`" for name in names[:4])


def _places(array: pa.Array) -> str:
    first = pc.index(pc.is_null(array), True).as_py()
    return f"row {first}" if array.null_count == 1 else f"{array.null_count} rows, row {first} first"


def _dtype_name(given: Any) -> str:
    names = {"float64": "double", "float32": "float", "halffloat": "half_float", "object": "object", "str": "string"}
    return names.get(str(given), str(given))


def _first_line(err: Exception) -> str:
    return text_of(err).strip().partition("\n")[0][:200]


def _short(value: Any) -> str:
    try:
        return repr(value)[:60]
    except Exception:
        return f"a {type(value).__name__}"
