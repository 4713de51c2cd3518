"""Checks: masks of every make, rejected rows, wrong results."""

import unittest

import harness  # noqa: F401
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

import windlass
from windlass import testing
from windlass._checks import Check
from windlass._failure import Failed

BATCH = pa.record_batch({"a": pa.array([1, 2, 3, 4]), "s": pa.array(["x", None, "y", "z"])})
OUTPUTS = pa.schema([("holds", pa.bool_())])


def run(function, batch=BATCH, **settings):
    init = {"file": __file__, "object": "f", "batch_format": "numpy", "root": __file__.rpartition("/")[0], **settings}
    return Check(init, function, batch.schema, OUTPUTS).run(batch, True)


class Checks(unittest.TestCase):
    def test_masks_of_every_make(self):
        expected = [True, False, True, True]
        for form, function in (
            ("numpy", lambda b: b["a"] != 2),
            ("numpy", lambda b: [True, False, True, True]),
            ("numpy", lambda b: np.array([True, False, True, True], object)),
            ("numpy", lambda b: pa.array([True, False, True, True])),
            ("pandas", lambda b: b["a"] != 2),
            ("pandas", lambda b: (b["a"] != 2).astype("boolean")),
            ("polars", lambda b: b["a"] != 2),
            ("pyarrow", lambda b: pc.not_equal(b["a"], 2)),
        ):
            outcome = run(function, batch_format=form)
            self.assertEqual(outcome.columns[0].to_pylist(), expected, form)
            self.assertEqual((outcome.rows, outcome.errors), (4, []))

    def test_null_is_no_answer(self):
        for function, form in (
            (lambda b: pc.equal(b["s"], "x"), "pyarrow"),
            (lambda b: b["s"] == "x", "polars"),
            (lambda b: b["s"].astype("string") == "x", "pandas"),
            (lambda b: [True, None, False, False], "numpy"),
        ):
            self.assertEqual(run(function, batch_format=form).columns[0].to_pylist(), [True, None, False, False])

    def test_rejected_rows_break_it_and_say_why(self):
        def function(batch):
            windlass.reject(batch["a"] > 2, "too large")

        outcome = run(function)
        self.assertEqual(outcome.columns[0].to_pylist(), [True, True, False, False])
        self.assertEqual([(error.row, error.message) for error in outcome.errors], [(2, "too large"), (3, "too large")])

        def both(batch):
            windlass.reject(batch["a"] == 1, "one")
            return batch["a"] != 2

        self.assertEqual(run(both).columns[0].to_pylist(), [False, False, True, True])

    def test_arguments_and_empty_batches(self):
        outcome = run(lambda b, least, most: (b["a"] >= least) & (b["a"] <= most), fn_args=[2], fn_kwargs={"most": 3})
        self.assertEqual(outcome.columns[0].to_pylist(), [False, True, True, False])
        self.assertEqual(run(lambda b: 1 / 0, BATCH.slice(0, 0)).rows, 0)

    def test_wrong_results_say_what_to_do(self):
        way_out = 'return one True or False per row, such as `batch["amount"] > 0`'
        for function, form, expected in (
            (lambda b: None, "numpy", "check `f` returned None: is a `return` missing? "),
            (lambda b: True, "numpy", "the single value True for a whole batch"),
            (lambda b: (b["a"] > 0).all(), "numpy", "the single value"),
            (lambda b: b["a"], "numpy", "check `f` returned values of `int64`: "),
            (lambda b: b["a"] + 0.5, "pandas", "check `f` returned values of `float64`: "),
            (lambda b: b["s"], "polars", "check `f` returned values of `String`: "),
            (lambda b: b, "numpy", "check `f` returned a table: "),
            (lambda b: b[b["a"] > 2], "pandas", "check `f` returned a table: "),
            (lambda b: [1, 0, 1, 0], "numpy", "check `f` returned values other than True and False: "),
            (lambda b: [True], "numpy", "check `f` returned 1 values for 4 rows: "),
            (lambda b: np.ones((4, 2), bool), "numpy", "an array of 2 dimensions"),
        ):
            with self.assertRaises(Failed) as raised:
                run(function, batch_format=form)
            failure = raised.exception.failure
            self.assertIn(expected, failure["message"])
            self.assertIn(way_out[1:], failure["message"])
            self.assertEqual((failure["kind"], failure["file"], failure["function"]), ("output", __file__, "f"))

    def test_an_exception_is_no_answer(self):
        def function(batch):
            return batch["b"] > 0

        with self.assertRaises(Failed) as raised:
            run(function)
        failure = raised.exception.failure
        self.assertEqual((failure["type"], failure["message"], failure["file"]), ("KeyError", "'b'", __file__))
        self.assertEqual(failure["line"], function.__code__.co_firstlineno + 1)

    def test_a_check_can_be_called_in_a_test(self):
        @windlass.check(windlass.ref("orders"), columns=["a"], severity="warn", fn_kwargs={"least": 2})
        def large(batch, least):
            windlass.reject(batch["a"] > 3, "too large")
            return batch["a"] >= least

        self.assertEqual(large.__windlass__["kind"], "check")
        result = testing.run(large, rows=[{"a": 1}, {"a": 2}, {"a": 4}])
        self.assertEqual((result.rows, result.rejects), ([False, True, False], {2: "too large"}))


if __name__ == "__main__":
    unittest.main()
