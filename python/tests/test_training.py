"""Training: what the code is given, what it may log and return. Estimators are in the tests of models."""

import json
import unittest

import harness  # noqa: F401
import pandas as pd
import polars as pl
import pyarrow as pa

import windlass
from windlass._failure import Failed
from windlass._training import Training

BATCH = pa.record_batch(
    {"x": pa.array([1.0, None, 3.0]), "kind": pa.array(["a", None, "b"]), "late": pa.array([True, False, True])}
)
OUTPUTS = pa.schema(
    [
        ("kind", pa.string()),
        ("name", pa.string()),
        ("number", pa.float64()),
        ("text", pa.string()),
        ("data", pa.binary()),
    ]
)


def run(function, **settings):
    told = {
        "features": ["x", "kind"],
        "kinds": ["number", "text"],
        "label": "late",
        "task": "classification",
        "line": 3,
    }
    init = {"file": __file__, "object": "train", "root": __file__.rpartition("/")[0], "training": {**told, **settings}}
    outcome = Training(init, function, BATCH.schema, OUTPUTS).run(BATCH, True)
    return pa.RecordBatch.from_arrays(outcome.columns, schema=OUTPUTS).to_pylist()


class Answers(unittest.TestCase):
    def test_what_is_logged_and_returned_comes_back(self):
        def train(data, run):
            run.log_metric("auc", 0.5)
            run.log_metrics({"f1": 1})
            run.log_param("rows", len(data))
            run.log_params({"label": data.label, "features": data.features})
            return b"a graph"

        rows = run(train)
        self.assertEqual((rows[0]["kind"], rows[0]["text"], rows[0]["data"]), ("file", "onnx", b"a graph"))
        told = {(row["kind"], row["name"]): row["number"] if row["kind"] == "metric" else row["text"] for row in rows}
        self.assertEqual((told["metric", "auc"], told["metric", "f1"]), (0.5, 1.0))
        self.assertEqual((told["param", "rows"], told["param", "label"]), ("3", "late"))
        self.assertEqual(told["param", "features"], "['x', 'kind']")
        (classes,) = (row["text"] for row in rows if row["kind"] == "classes")
        self.assertEqual(json.loads(classes), [False, True])

    def test_rows_come_in_every_form_and_may_be_written_to(self):
        seen = {}

        def train(data, run):
            seen.update(
                pandas=data.pandas(["x"]), polars=data.polars(), numpy=data.numpy(["x"]), arrow=data.arrow(["kind"])
            )
            seen["numpy"]["x"][0] = 7.0
            seen["pandas"].loc[0, "x"] = 7.0
            seen["again"] = data.numpy(["x"])["x"][0]
            seen["columns"] = data.columns
            return b""

        run(train)
        self.assertIsInstance(seen["pandas"], pd.DataFrame)
        self.assertIsInstance(seen["polars"], pl.DataFrame)
        self.assertEqual(seen["arrow"].to_pydict(), {"kind": ["a", None, "b"]})
        self.assertEqual((seen["again"], seen["columns"]), (1.0, ["x", "kind", "late"]))

    def test_with_a_seed_what_is_drawn_is_the_same(self):
        import random

        import numpy as np

        drawn = []

        def train(data, run):
            drawn.append((run.seed, random.random(), float(np.random.random())))
            return b""

        run(train, seed=5)
        run(train, seed=5)
        self.assertEqual(drawn[0], drawn[1])
        self.assertEqual(drawn[0][0], 5)


class Mistakes(unittest.TestCase):
    def failure(self, function):
        with self.assertRaises(Failed) as caught:
            run(function)
        return caught.exception.failure

    def test_what_cannot_be_kept_names_the_function(self):
        for returned, message in (
            (None, "`train` returned None: return the model that it has fitted"),
            ({}, "training returned a builtins.dict: return a fitted estimator"),
        ):
            told = self.failure(lambda data, run, returned=returned: returned)
            self.assertEqual((told["kind"], told["file"], told["line"]), ("model", __file__, 3))
            self.assertIn(message, told["message"])

    def test_exceptions_have_their_line(self):
        def train(data, run):
            return data.pandas(["y"])

        told = self.failure(train)
        self.assertEqual((told["kind"], told["type"], told["file"]), ("exception", "KeyError", __file__))
        self.assertIn("the training rows have no column `y`; they have `x`, `kind`, `late`", told["message"])

    def test_metrics_are_numbers(self):
        told = self.failure(lambda data, run: run.log_metric("auc", "high"))
        self.assertIn("the metric `auc` is a number, not 'high'", told["message"])
        told = self.failure(lambda data, run: run.log_param(1, 2))
        self.assertIn("the name of a parameter is a text, not 1", told["message"])


class Authoring(unittest.TestCase):
    def test_the_decorator_only_attaches(self):
        @windlass.model(windlass.ref("trips"), label="late", order_by=["id"], seed=1, gates={"auc": ">= 0.8"})
        def train(data, run):
            return data

        self.assertEqual(train(1, 2), 1)
        expected = {"label": "late", "order_by": ["id"], "seed": 1, "gates": {"auc": ">= 0.8"}}
        self.assertEqual(train.__windlass__, {"kind": "model", "input": windlass.ref("trips"), **expected})


if __name__ == "__main__":
    unittest.main()
