"""What user code gets, what it may return, and what it is told when that does not fit."""

import datetime
import decimal
import unittest

import harness
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from windlass._failure import Failed

UTC = datetime.UTC
DAY = datetime.date(2024, 2, 29)
NOW = datetime.datetime(2024, 2, 29, 12, 30, 15, 123456)

# Every type that engine and worker exchange, with values that are easily bent.
VALUES = [
    (pa.bool_(), [True, False, None]),
    (pa.int8(), [-128, 127, None]),
    (pa.int16(), [-5, 6, None]),
    (pa.int32(), [-5, 6, None]),
    (pa.int64(), [-5, 2**53 + 1, None]),
    (pa.uint8(), [0, 255, None]),
    (pa.uint16(), [0, 6, None]),
    (pa.uint32(), [0, 6, None]),
    (pa.uint64(), [0, 2**64 - 1, None]),
    (pa.float32(), [0.5, -1.5, None]),
    (pa.float64(), [0.1, -1e300, None]),
    (pa.string(), ["", "é", None]),
    (pa.large_string(), ["", "é", None]),
    (pa.binary(), [b"", b"\xff\x00", None]),
    (pa.large_binary(), [b"", b"\xff\x00", None]),
    (pa.binary(2), [b"ab", b"\xff\x00", None]),
    (pa.date32(), [DAY, datetime.date(1969, 1, 1), None]),
    (pa.date64(), [DAY, datetime.date(1969, 1, 1), None]),
    (pa.time32("s"), [datetime.time(1, 2, 3), datetime.time(0), None]),
    (pa.time64("us"), [datetime.time(1, 2, 3, 4), datetime.time(0), None]),
    (pa.timestamp("s"), [NOW.replace(microsecond=0), datetime.datetime(1969, 1, 1), None]),
    (pa.timestamp("ms"), [NOW.replace(microsecond=123000), datetime.datetime(1969, 1, 1), None]),
    (pa.timestamp("us"), [NOW, datetime.datetime(1969, 1, 1), None]),
    (pa.timestamp("us", tz="UTC"), [NOW.replace(tzinfo=UTC), datetime.datetime(1969, 1, 1, tzinfo=UTC), None]),
    (pa.timestamp("us", tz="Europe/Berlin"), [NOW.replace(tzinfo=UTC), None, None]),
    (pa.duration("us"), [datetime.timedelta(days=-1, microseconds=5), datetime.timedelta(0), None]),
    (pa.decimal128(30, 4), [decimal.Decimal("1.2345"), decimal.Decimal("-99999999999999999999999999.0001"), None]),
    (pa.decimal256(50, 2), [decimal.Decimal("1.25"), decimal.Decimal("-7.00"), None]),
    (pa.list_(pa.int64()), [[1, None, 3], [], None]),
    (pa.large_list(pa.string()), [["a", None], [], None]),
    (pa.list_(pa.float64(), 2), [[1.0, 2.0], [3.0, 4.0], None]),
    (pa.struct([("a", pa.int64()), ("b", pa.string())]), [{"a": 1, "b": None}, {"a": None, "b": "x"}, None]),
    (pa.list_(pa.struct([("a", pa.list_(pa.int64()))])), [[{"a": [1]}, {"a": None}], [], None]),
    (pa.map_(pa.string(), pa.int64()), [[("a", 1)], [], None]),
    (pa.null(), [None, None, None]),
]


def batch_of(kind, values):
    return pa.RecordBatch.from_arrays([pa.array(values, kind)], names=["x"])


def returned(value, kind, nullable=True, form="numpy", rows=None):
    """Returns the column that `value` becomes when a transform returns it as `x`."""
    rows = rows if rows is not None else len(value)
    inputs = pa.schema([("i", pa.int64())])
    outputs = pa.schema([pa.field("x", kind, nullable)])
    program = harness.transform(lambda _: value if form == "whole" else {"x": value}, inputs, outputs)
    batch = pa.RecordBatch.from_arrays([pa.array(range(rows), pa.int64())], schema=inputs)
    return program.run(batch, True).columns[0]


class RoundTrips(unittest.TestCase):
    def check(self, form, touch, skip=()):
        for kind, values in VALUES:
            if kind in skip:
                continue
            for part in (values, values[:2], values[2:], values * 3):
                with self.subTest(form=form, kind=str(kind), values=len(part)):
                    batch = batch_of(kind, part)
                    program = harness.transform(touch, batch.schema, batch.schema, batch_format=form)
                    outcome = program.run(batch, False)
                    outcome.columns[0].validate(full=True)
                    self.assertEqual(outcome.columns[0], batch.column(0))
                    # A slice is no whole batch, and its buffers start elsewhere.
                    if len(part) > 2:
                        piece = batch.slice(1, len(part) - 1)
                        self.assertEqual(program.run(piece, False).columns[0], piece.column(0))

    def test_unchanged(self):
        for form in ("numpy", "pyarrow"):
            self.check(form, lambda batch: batch)

    def test_numpy_rebuilt(self):
        # Doubles have no NULL in NumPy: they come back as NaN, which is tested below.
        floats = (pa.float32(), pa.float64())
        self.check("numpy", lambda batch: {"x": batch["x"].copy()}, floats)

    def test_numpy_as_lists(self):
        # NumPy holds times in numbers of its own when it makes a list.
        numbers = [kind for kind, _ in VALUES if pa.types.is_duration(kind) or pa.types.is_floating(kind)]
        plain = [kind for kind, _ in VALUES if pa.types.is_timestamp(kind) and kind.tz is None]
        self.check("numpy", lambda batch: {"x": list(batch["x"])}, numbers + plain)

    def test_pandas_rebuilt(self):
        self.check("pandas", lambda frame: frame.copy())

    def test_pandas_with_an_index(self):
        self.check("pandas", lambda frame: frame.set_index(pd.Index(range(5, 5 + len(frame)), name="k")))

    def test_polars_rebuilt(self):
        # polars has neither fixed binary nor date64, maps or wide decimals; what it makes of them is its own.
        skip = (pa.binary(2), pa.date64(), pa.map_(pa.string(), pa.int64()), pa.decimal256(50, 2), pa.time32("s"))
        self.check("polars", lambda frame: frame.clone(), (*skip, pa.timestamp("s")))

    def test_pyarrow_in_chunks(self):
        def touch(table):
            return pa.concat_tables([table.slice(i, 1) for i in range(table.num_rows)])

        self.check("pyarrow", touch)

    def test_across_formats(self):
        for name, make in (
            ("table", lambda b: pa.table({"x": pa.array(b["x"])})),
            ("record batch", lambda b: pa.record_batch({"x": pa.array(b["x"])})),
            ("pandas", lambda b: pd.DataFrame({"x": b["x"]})),
            ("polars", lambda b: pl.DataFrame({"x": b["x"]})),
            ("series", lambda b: {"x": pd.Series(b["x"])}),
            ("polars series", lambda b: {"x": pl.Series(b["x"])}),
            ("chunked", lambda b: {"x": pa.chunked_array([b["x"][:2], b["x"][2:]])}),
            ("generator", lambda b: ({"x": b["x"][i : i + 1]} for i in range(3))),
        ):
            with self.subTest(name):
                batch = batch_of(pa.float64(), [1.0, 2.0, 3.0])
                outcome = harness.transform(make, batch.schema, batch.schema).run(batch, True)
                self.assertEqual(outcome.columns[0].to_pylist(), [1.0, 2.0, 3.0])


class Handed(unittest.TestCase):
    def seen(self, kind, values, form="numpy", **settings):
        found = []
        batch = batch_of(kind, values)
        program = harness.transform(
            lambda b: found.append(b["x"]) or b, batch.schema, batch.schema, batch_format=form, **settings
        )
        program.run(batch, True)
        return found[0]

    def test_numpy_types(self):
        self.assertEqual(self.seen(pa.int32(), [1, 2]).dtype, np.int32)
        self.assertEqual(self.seen(pa.int32(), [1, None]).dtype, np.float64)
        self.assertEqual(self.seen(pa.bool_(), [True]).dtype, np.bool_)
        self.assertEqual(self.seen(pa.timestamp("us"), [NOW]).dtype, np.dtype("M8[us]"))
        self.assertEqual(self.seen(pa.string(), ["a"]).dtype, object)
        self.assertEqual(self.seen(pa.list_(pa.float64(), 2), [[1.0, 2.0]]).shape, (1, 2))

    def test_large_integers_keep_their_digits_beside_null(self):
        self.assertEqual(list(self.seen(pa.int64(), [2**53 + 1, None])), [2**53 + 1, None])
        self.assertEqual(self.seen(pa.int64(), [2**53 + 1, None], "pandas").dtype, pd.Int64Dtype())

    def test_views_are_read_only_and_copies_are_not(self):
        for kind, values in ((pa.float64(), [1.0]), (pa.float64(), [1.0, None]), (pa.string(), ["a"])):
            self.assertFalse(self.seen(kind, values).flags.writeable)
            self.assertTrue(self.seen(kind, values, copy_inputs=True).flags.writeable)

    def test_copies_that_change_are_not_taken_for_the_input(self):
        def touch(batch):
            batch["x"][0] = 9.0
            return batch

        batch = batch_of(pa.float64(), [1.0, 2.0])
        program = harness.transform(touch, batch.schema, batch.schema, copy_inputs=True)
        outcome = program.run(batch, True)
        self.assertEqual((outcome.columns[0].to_pylist(), outcome.sources), ([9.0, 2.0], [-1]))

    def test_writing_to_a_view_names_the_way_out(self):
        def touch(batch):
            batch["x"][0] = 9.0

        batch = batch_of(pa.float64(), [1.0, 2.0])
        with self.assertRaisesRegex(Failed, "zero_copy_batch=False"):
            harness.transform(touch, batch.schema, batch.schema, isolate=False).run(batch, True)

    def test_a_dropped_array_is_not_confused_with_a_new_one(self):
        def touch(batch):
            batch["x"] = batch["x"] * 2
            return batch

        batch = batch_of(pa.float64(), [1.0, None])
        program = harness.transform(touch, batch.schema, batch.schema)
        for _ in range(50):
            self.assertEqual(program.run(batch, True).columns[0][0].as_py(), 2.0)


class Missing(unittest.TestCase):
    def test_nan_and_null(self):
        nan = float("nan")
        self.assertEqual(returned(np.array([1.0, nan]), pa.float64()).null_count, 0)
        self.assertEqual(returned(pa.array([1.0, nan, None]), pa.float64()).null_count, 1)
        self.assertEqual(returned(pl.Series([1.0, nan, None]), pa.float64()).null_count, 1)
        self.assertEqual(returned(pd.Series([1.0, nan]), pa.float64()).null_count, 1)
        self.assertEqual(returned([1.0, nan, None], pa.float64()).null_count, 1)

    def test_nan_is_null_where_there_is_none(self):
        nan = float("nan")
        self.assertEqual(returned(np.array([1.0, nan]), pa.int64()).to_pylist(), [1, None])
        self.assertEqual(returned(pd.Series([1.0, nan]), pa.int32()).to_pylist(), [1, None])
        self.assertEqual(returned(np.array(["a", nan, None], object), pa.string()).to_pylist(), ["a", None, None])
        self.assertEqual(returned(pd.Series(["a", None, nan], dtype=object), pa.string()).null_count, 2)
        self.assertEqual(returned(np.array(["NaT", "2024-01-01"], "M8[D]"), pa.date32()).to_pylist()[0], None)
        self.assertEqual(returned(pd.Series([pd.NA, True], dtype="boolean"), pa.bool_()).to_pylist(), [None, True])
        self.assertEqual(returned(pd.Series([nan, nan]), pa.string()).null_count, 2)


class Conversions(unittest.TestCase):
    def test_allowed(self):
        for value, kind, expected in (
            (np.array([1, 2], np.int32), pa.int64(), [1, 2]),
            (np.array([1, 2], np.int64), pa.int8(), [1, 2]),
            (np.array([1, 2], np.int64), pa.float64(), [1.0, 2.0]),
            (np.array([0.5], np.float32), pa.float64(), [0.5]),
            (np.array([0.5], np.float64), pa.float32(), [0.5]),
            (np.array([2.0]), pa.int64(), [2]),
            (np.array(["a", "bc"]), pa.string(), ["a", "bc"]),
            (np.array([1, 2], ">i4"), pa.int32(), [1, 2]),
            (np.arange(6)[::2], pa.int64(), [0, 2, 4]),
            (np.array([[1.0, 2.0], [3.0, 4.0]]), pa.list_(pa.float64()), [[1.0, 2.0], [3.0, 4.0]]),
            (np.array([[1, 2]], np.int32), pa.list_(pa.float64(), 2), [[1.0, 2.0]]),
            (np.zeros((1, 2, 2)), pa.list_(pa.list_(pa.float64())), [[[0.0, 0.0], [0.0, 0.0]]]),
            (pd.Series(["a", "b"], dtype="category"), pa.string(), ["a", "b"]),
            (pd.Series(["a"]), pa.large_string(), ["a"]),
            (pd.Index([1, 2]), pa.int64(), [1, 2]),
            (pd.array([1, None], dtype="Int64"), pa.int64(), [1, None]),
            (pl.Series(["a"]), pa.string(), ["a"]),
            (pl.Series(["a"], dtype=pl.Categorical), pa.string(), ["a"]),
            (pa.array(["a"]).dictionary_encode(), pa.string(), ["a"]),
            (pa.array(["a"], pa.string_view()), pa.string(), ["a"]),
            (pa.array([DAY]), pa.timestamp("us"), [datetime.datetime(2024, 2, 29)]),
            (np.array([DAY], "M8[ns]"), pa.timestamp("us", tz="UTC"), [datetime.datetime(2024, 2, 29, tzinfo=UTC)]),
            ([2**63], pa.uint64(), [2**63]),
            ([1, 2], pa.decimal128(10, 2), [decimal.Decimal("1.00"), decimal.Decimal("2.00")]),
            ((1, None), pa.int64(), [1, None]),
            (range(2), pa.int64(), [0, 1]),
            ([None], pa.list_(pa.int64()), [None]),
            (memoryview(b"ab"), pa.uint8(), [97, 98]),
        ):
            with self.subTest(value=repr(value)[:60], kind=str(kind)):
                self.assertEqual(returned(value, kind).to_pylist(), expected)

    def check(self, value, kind, *texts, rows=None, nullable=True):
        with self.assertRaises(Failed) as caught:
            returned(value, kind, nullable, rows=rows)
        told = caught.exception.failure
        self.assertEqual(told["kind"], "output")
        for text in texts:
            self.assertIn(text, told["message"])

    def test_refused(self):
        self.check(np.array(["a"]), pa.float64(), "column `x` is declared as `double`", "`large_string`")
        self.check(np.array([1.5]), pa.int64(), "do not fit the declared `int64`")
        self.check(np.array([300]), pa.int8(), "do not fit the declared `int8`", "300")
        self.check([300], pa.int8(), "do not fit the declared `int8`")
        self.check([1.5], pa.int64(), "do not fit")
        self.check(["1"], pa.int64(), "declared as `int64` and came back as `string`")
        self.check([True], pa.int64(), "`bool`")
        self.check(np.array([1]), pa.string(), "declared as `string` and came back as `int64`")
        self.check(np.array([1]), pa.bool_(), "`bool`")
        self.check([object()], pa.string(), "it holds `object`")
        self.check([1, "a"], pa.int64(), "`int`, `str`")
        self.check(np.zeros((2, 3)), pa.float64(), "2 x 3 values", "[:, 0]", rows=2)
        self.check([1, None], pa.int64(), "has NULL in row 1", nullable=False)
        self.check(pd.Series([1.0, float("nan")]), pa.float64(), "not null", nullable=False)
        stamps = pa.array([NOW.replace(tzinfo=UTC)])
        self.check(stamps, pa.timestamp("us"), "tz=UTC")
        self.check(np.array(["2024-01-01T00:00:00.000000001"], "M8[ns]"), pa.timestamp("us"), "do not fit")
        self.check(np.array([1 + 2j]), pa.float64(), "complex128")
        self.check("text", pa.string(), "the single value 'text'", "one value per row", rows=1)
        self.check(1.0, pa.float64(), "single value 1.0", rows=1)
        self.check(np.float64(1), pa.float64(), "single value", rows=1)
        self.check({"a": 1}, pa.float64(), "dict")

    def test_an_error_names_the_place_of_nothing(self):
        with self.assertRaises(Failed) as caught:
            returned(None, pa.float64(), form="whole", rows=1)
        self.assertIn("is a `return` missing", caught.exception.failure["message"])


if __name__ == "__main__":
    unittest.main()
