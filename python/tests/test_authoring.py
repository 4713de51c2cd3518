"""Decorators, `var`, `reject` and `windlass.testing`, as authors use them."""

import dataclasses
import os
import subprocess
import sys
import unittest

import harness
import numpy as np
import pandas as pd
import pyarrow as pa

import windlass
from windlass import testing
from windlass._load import LoadError, load_object


class Decorators(unittest.TestCase):
    def test_objects_stay_what_they_are(self):
        class Plain:
            def __call__(self, batch):
                return batch

        decorated = windlass.transform(input=windlass.ref("a"), columns={"x": "int64"}, batch_size=10)(Plain)
        self.assertIs(decorated, Plain)
        self.assertEqual(
            Plain.__windlass__,
            {"kind": "transform", "input": windlass.ref("a"), "columns": {"x": "int64"}, "batch_size": 10},
        )

        @windlass.udf(returns="double", nulls="pass")
        def half(x):
            return x / 2

        self.assertEqual(half(np.array([4.0]))[0], 2.0)
        self.assertEqual(half.__windlass__, {"kind": "udf", "returns": "double", "nulls": "pass"})

    def test_wrong_use(self):
        with self.assertRaises(TypeError):
            windlass.transform(batchsize=1)
        with self.assertRaisesRegex(TypeError, "stands above a function or a class"):
            windlass.udf(returns="int64")(5)
        with self.assertRaises(TypeError):
            windlass.udf()

    def test_names(self):
        self.assertEqual(repr(windlass.ref("a")), "ref('a')")
        self.assertEqual(repr(windlass.source("s", "t")), "source('s', 't')")
        self.assertEqual({windlass.ref("a"), windlass.ref("a")}, {windlass.ref("a")})
        self.assertNotEqual(windlass.source("s", "t"), windlass.source("s", "u"))

    def test_outside_of_windlass(self):
        with self.assertRaisesRegex(LookupError, "windlass.testing.run"):
            windlass.var("x")
        self.assertEqual(windlass.var("x", 3), 3)
        with self.assertRaisesRegex(windlass.RejectError, "windlass.testing.run"):
            windlass.reject([True], "no")

    def test_nothing_is_needed(self):
        code = "import sys, windlass, windlass.testing; assert not {'numpy', 'pyarrow', 'pandas'} & set(sys.modules)"
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {harness.SOURCE!r}); {code}"],
            check=True,
        )


class Testing(unittest.TestCase):
    def test_class(self):
        @windlass.transform(
            input=windlass.ref("a"), columns={"y": "double"}, fn_constructor_args=[3], fn_kwargs={"k": 1}
        )
        class Scale:
            def __init__(self, factor):
                self.factor = factor

            def __call__(self, batch, k):
                windlass.reject(batch["x"] > windlass.var("limit"), "too large")
                return {"y": batch["x"] * self.factor + k}

        result = testing.run(Scale, rows=[{"x": 1.0}, {"x": 9.0}], vars={"limit": 5})
        self.assertEqual((result.rows, result.rejects), ([{"y": 4.0}], {1: "too large"}))
        with self.assertRaises(LookupError):
            testing.run(Scale, rows=[{"x": 1.0}])
        with self.assertRaises(LookupError):
            windlass.var("limit")

    def test_formats(self):
        for form in ("numpy", "pandas", "polars", "pyarrow"):
            result = testing.run(lambda b: b, rows={"x": [1, 2], "s": ["a", "b"]}, batch_format=form)
            self.assertEqual(result.rows, [{"x": 1, "s": "a"}, {"x": 2, "s": "b"}])

    def test_nulls_and_generators(self):
        def function(batch):
            self.assertTrue(np.isnan(batch["x"][1]))
            self.assertIsNone(batch["s"][0])
            yield {"x": batch["x"][:1]}
            yield {"x": batch["x"][1:]}

        result = testing.run(function, rows=[{"x": 1, "s": None}, {"x": None, "s": "a"}])
        self.assertEqual(len(result.rows), 2)

    def test_function_and_tables(self):
        @windlass.udf(returns="double")
        def add(a, b):
            return a + b

        self.assertEqual(testing.run(add, rows=[{"a": 1, "b": 2}]).rows, [3])

        def join(left, right):
            return pd.DataFrame(left).merge(pd.DataFrame(right), on="k")

        result = testing.run(join, tables={"left": [{"k": 1, "x": 2}], "right": [{"k": 1, "y": 3}]})
        self.assertEqual(result.rows, [{"k": 1, "x": 2, "y": 3}])


class Loading(unittest.TestCase):
    def setUp(self):
        self.project = harness.Project()
        self.addCleanup(self.project.close)

    def test_a_file_named_like_a_module(self):
        import json

        path = self.project.write("transforms/json.py", "def f(batch):\n    return 'mine'\n")
        self.assertEqual(load_object(path, "f")(None), "mine")
        self.assertIs(sys.modules["json"], json)
        self.assertEqual(json.loads("1"), 1)

    def test_dataclasses_and_annotations(self):
        code = """
            from __future__ import annotations
            import dataclasses

            @dataclasses.dataclass
            class Row:
                x: int

            def f(batch):
                return Row(1)
        """
        path = self.project.write("transforms/data.py", code)
        self.assertEqual(dataclasses.asdict(load_object(path, "f")(None)), {"x": 1})
        again = self.project.write("other/data.py", "def f(batch):\n    return 2\n")
        self.assertEqual(load_object(again, "f")(None), 2)

    def test_nothing_is_written(self):
        path = self.project.write("transforms/t.py", "def f(batch): pass\n")
        load_object(path, "f")
        self.assertEqual(os.listdir(os.path.dirname(path)), ["t.py"])

    def test_missing_objects(self):
        path = self.project.write("transforms/t.py", "x = 1\n")
        with self.assertRaisesRegex(LoadError, "t.py defines no `f`"):
            load_object(path, "f")
        with self.assertRaisesRegex(LoadError, "`x` in t.py is a int"):
            load_object(path, "x")

    def test_a_file_that_fails_leaves_nothing(self):
        path = self.project.write("transforms/broken.py", "raise KeyError('x')\n")
        before = set(sys.modules)
        with self.assertRaises(KeyError):
            load_object(path, "f")
        self.assertEqual({name for name in set(sys.modules) - before if "broken" in name}, set())

    def test_types_of_arrow_in_results(self):
        result = testing.run(lambda b: pa.table({"x": b["x"]}), rows=[{"x": 1}])
        self.assertEqual(result.rows, [{"x": 1}])


if __name__ == "__main__":
    unittest.main()
