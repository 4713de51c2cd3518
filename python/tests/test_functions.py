"""Functions called from SQL: arguments, NULLs, constants, errors."""

import unittest

import harness  # noqa: F401
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

import windlass
from windlass._failure import Failed
from windlass._functions import Functions

BATCH = pa.record_batch({"a": pa.array([1.0, 2.0, None, 4.0]), "s": pa.array(["x", None, "y", "z"])})


DOUBLE = pa.float64()


def run(function, kind=DOUBLE, args=(0,), batch=BATCH, constants=None, whole=True, **settings):
    arguments = [{"constant": arg[0]} if isinstance(arg, tuple) else {"column": arg} for arg in args]
    call = {"file": __file__, "object": "f", "args": arguments, "batch_format": "numpy", **settings}
    outputs = pa.schema([("r", kind)])
    init = {"calls": [call], "root": __file__.rpartition("/")[0]}
    return Functions(init, [function], (batch.schema, outputs), constants).run(batch, whole)


class Values(unittest.TestCase):
    def check(self, function, expected, kind=DOUBLE, **settings):
        outcome = run(function, kind, **settings)
        self.assertEqual(outcome.columns[0].to_pylist(), expected)
        self.assertEqual(outcome.columns[0].type, kind)
        return outcome

    def test_nulls_are_skipped(self):
        lengths = []

        def function(a):
            lengths.append(len(a))
            return a + 1

        self.check(function, [2.0, 3.0, None, 5.0])
        self.assertEqual(lengths, [3])
        self.check(lambda a, s: a, [1.0, None, None, 4.0], args=(0, 1))
        self.check(lambda a: a, [None, None], batch=BATCH.slice(2, 1).from_arrays([pa.nulls(2, pa.float64())], ["a"]))

    def test_nulls_are_passed(self):
        seen = []

        def function(a):
            seen.extend(a.tolist())
            return [7.0 if x != x else x for x in a]

        self.check(function, [1.0, 2.0, 7.0, 4.0], nulls="pass")
        self.assertEqual(len(seen), 4)

    def test_formats(self):
        for form, kind, function in (
            ("numpy", np.ndarray, lambda a: a * 2),
            ("pandas", pd.Series, lambda a: a * 2),
            ("polars", pl.Series, lambda a: a * 2),
            ("pyarrow", pa.Array, lambda a: pc.multiply(a, 2.0)),
        ):
            kinds = []
            self.check(
                lambda a, f=function, k=kinds: k.append(type(a)) or f(a), [2.0, 4.0, None, 8.0], batch_format=form
            )
            self.assertTrue(issubclass(kinds[0], kind))

    def test_one_value_for_all(self):
        for value in (1.5, np.float64(1.5), np.array(1.5), pa.scalar(1.5)):
            self.check(lambda a, v=value: v, [1.5, 1.5, None, 1.5])
        self.check(lambda a: None, [None] * 4)
        self.check(lambda s: "t", ["t", None, "t", "t"], pa.string(), args=(1,))

    def test_constants(self):
        constants = pa.record_batch({"c0": [10.0], "c1": ["k"]})
        self.check(lambda a, c: a * c, [10.0, 20.0, None, 40.0], args=(0, (0,)), constants=constants)
        self.check(lambda c: c * 2, [20.0] * 4, args=((0,),), constants=constants)
        self.check(
            lambda c, a: [c[0]] * len(a), ["k", "k", None, "k"], pa.string(), args=((1,), 0), constants=constants
        )
        nothing = pa.record_batch({"c0": pa.nulls(1, pa.float64())})
        self.check(lambda a, c: a, [None] * 4, args=(0, (0,)), constants=nothing)
        self.check(
            lambda a, c: a.fillna(0),
            [1.0, 2.0, 0.0, 4.0],
            args=(0, (0,)),
            constants=nothing,
            nulls="pass",
            batch_format="pandas",
        )

    def test_constants_of_batches_that_grow(self):
        constants = pa.record_batch({"c0": [10.0]})
        call = {"file": "f", "object": "f", "args": [{"constant": 0}, {"column": 0}]}
        program = Functions(
            {"calls": [call]}, [lambda c, a: a + c], (BATCH.schema, pa.schema([("r", pa.float64())])), constants
        )
        for rows in (1, 3, 2, 5):
            batch = pa.record_batch({"a": np.zeros(rows), "s": ["s"] * rows})
            self.assertEqual(program.run(batch, True).columns[0].to_pylist(), [10.0] * rows)

    def test_unchanged_column(self):
        batch = pa.record_batch({"a": [1.0, 2.0]})
        self.assertEqual(self.check(lambda a: a, [1.0, 2.0], batch=batch).sources, [0])
        self.assertEqual(run(lambda a: a, batch=batch, whole=False).sources, [-1])

    def test_no_rows_and_no_columns(self):
        self.assertEqual(run(lambda a: self.fail("called"), batch=BATCH.slice(0, 0)).rows, 0)

    def test_wrong_results(self):
        for function, text in (
            (lambda a: a[:1], "function `f` returned 1 values for 3 rows"),
            (lambda a: ["x"] * len(a), "the result of function `f` is declared as `double`"),
            (lambda a: "x", "the result of function `f` is declared as `double`"),
            (lambda a: {"a": 1}, "the result of function `f` is declared"),
        ):
            with self.assertRaisesRegex(Failed, text):
                run(function)


class Errors(unittest.TestCase):
    def test_rows_that_raise(self):
        def function(a):
            if (a == 2).any():
                raise ValueError("two")
            return a

        outcome = run(function, on_error="null")
        self.assertEqual((outcome.columns[0].to_pylist(), outcome.rows), ([1.0, None, None, 4.0], 4))
        # The row without an argument did not fail.
        self.assertEqual([(e.row, e.stage, e.message) for e in outcome.errors], [(1, "python", "`f`: two")])
        with self.assertRaisesRegex(Failed, "two"):
            run(function)

    def test_all_rows_raise(self):
        rows = 500
        batch = pa.record_batch({"a": np.arange(float(rows))})
        outcome = run(lambda a: 1 / 0, batch=batch, on_error="null")
        self.assertEqual((outcome.columns[0].null_count, len(outcome.errors)), (rows, rows))

    def test_rejects(self):
        def function(a):
            windlass.reject(a > 3, "large")
            return a

        outcome = run(function, on_error="null")
        self.assertEqual(outcome.columns[0].to_pylist(), [1.0, 2.0, None, None])
        self.assertEqual([(e.row, e.stage, e.message) for e in outcome.errors], [(3, "reject", "`f`: large")])
        with self.assertRaisesRegex(Failed, "rejected 1 of 3 rows .large., and rows of a SELECT have no error table"):
            run(function)

    def test_several_calls(self):
        def first(a):
            if (a == 1).any():
                raise ValueError("one")
            return a

        def second(a):
            if (a == 4).any():
                raise KeyError("four")
            return a * 2

        calls = [
            {"file": "f", "object": name, "args": [{"column": 0}], "batch_format": "numpy", "on_error": "null"}
            for name in ("first", "second")
        ]
        outputs = pa.schema([("x", pa.float64()), ("y", pa.float64())])
        program = Functions({"calls": calls}, [first, second], (BATCH.schema, outputs), None)
        outcome = program.run(BATCH, True)
        self.assertEqual([c.to_pylist() for c in outcome.columns], [[None, 2.0, None, 4.0], [2.0, 4.0, None, None]])
        self.assertEqual([(e.row, e.error_type) for e in outcome.errors], [(0, "ValueError"), (3, "KeyError")])


if __name__ == "__main__":
    unittest.main()
