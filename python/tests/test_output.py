"""Which columns are taken from the input, and what results are accepted as a whole."""

import unittest

import harness
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

import windlass
from windlass._failure import Failed

FRESH = -1
BATCH = pa.record_batch(
    {
        "id": pa.array([1, 2, 3, 4]),
        "a": pa.array([1.0, 2.0, 3.0, 4.0]),
        "b": pa.array([1.0, 2.0, None, 4.0]),
        "s": pa.array(["x", "y", None, "z"]),
        "t": pa.array([True, False, True, None]),
    }
)


def run(function, outputs, batch=BATCH, whole=True, **settings):
    outputs = outputs if isinstance(outputs, pa.Schema) else pa.schema(outputs)
    return harness.transform(function, batch.schema, outputs, **settings).run(batch, whole)


class Aliases(unittest.TestCase):
    def check(self, function, outputs, sources, form="pyarrow", batch=BATCH):
        outcome = run(function, outputs, batch, batch_format=form)
        self.assertEqual(outcome.sources, sources)
        result = function(pa.Table.from_batches([batch])) if form == "pyarrow" else None
        if result is not None:
            expected = [result.column(name).combine_chunks() for name in pa.schema(outputs).names]
            self.assertEqual([column.to_pylist() for column in outcome.columns], [c.to_pylist() for c in expected])
        return outcome

    def test_unchanged(self):
        for form in ("pyarrow", "numpy"):
            self.check(lambda t: t, BATCH.schema, [0, 1, 2, 3, 4], form)

    def test_reordered_renamed_duplicated(self):
        kinds = [("y", pa.float64()), ("x", pa.float64()), ("z", pa.float64()), ("s", pa.string())]
        self.check(
            lambda t: pa.table({"z": t["a"], "x": t["a"], "y": t["b"], "s": t["s"]}),
            [(name, kind) for name, kind in kinds],
            [2, 1, 1, 3],
        )
        outcome = run(lambda b: {"z": b["a"], "x": b["a"], "y": b["b"], "s": b["s"]}, kinds)
        self.assertEqual(outcome.sources, [2, 1, 1, 3])

    def test_sliced(self):
        outcome = run(lambda t: t.slice(1, 2), BATCH.schema, batch_format="pyarrow", rows="many")
        self.assertEqual(outcome.sources, [FRESH] * 5)
        self.assertEqual(outcome.columns[0].to_pylist(), [2, 3])
        # As long as the batch, but shifted: the same buffers from another place.
        wide = pa.record_batch({"a": pa.array([0.0, 1.0, 2.0, 3.0]).slice(0, 3)})
        shifted = pa.array([0.0, 1.0, 2.0, 3.0])
        kept = pa.record_batch({"a": shifted.slice(0, 3)})
        outcome = run(lambda _: {"a": shifted.slice(1, 3)}, [("a", pa.float64())], kept)
        self.assertEqual((outcome.sources, outcome.columns[0].to_pylist()), ([FRESH], [1.0, 2.0, 3.0]))
        self.assertEqual(wide.num_rows, 3)

    def test_part_of_a_batch_is_never_named(self):
        outcome = run(lambda t: t, BATCH.schema, BATCH.slice(1, 2), whole=False, batch_format="pyarrow")
        self.assertEqual((outcome.sources, outcome.columns[0].to_pylist()), ([FRESH] * 5, [2, 3]))

    def test_views_of_numpy(self):
        outcome = run(lambda b: {"a": b["a"][:], "b": b["a"][::-1]}, [("a", pa.float64()), ("b", pa.float64())])
        self.assertEqual(outcome.sources, [1, FRESH])
        self.assertEqual(outcome.columns[1].to_pylist(), [4.0, 3.0, 2.0, 1.0])

    def test_same_bytes_in_another_type(self):
        outcome = run(lambda b: {"i": b["a"].view(np.int64)}, [("i", pa.int64())])
        self.assertEqual(outcome.sources, [FRESH])
        self.assertEqual(outcome.columns[0][0].as_py(), 4607182418800017408)

    def test_same_values_without_their_nulls(self):
        def function(table):
            bare = pa.Array.from_buffers(pa.float64(), 4, [None, table["b"].chunk(0).buffers()[1]])
            return pa.table({"b": bare})

        outcome = run(function, [("b", pa.float64())], batch_format="pyarrow")
        self.assertEqual((outcome.sources, outcome.columns[0].null_count), ([FRESH], 0))

    def test_swapped_dictionary(self):
        def function(table):
            column = table["d"].chunk(0)
            return pa.table({"d": pa.DictionaryArray.from_arrays(column.indices, pa.array(["p", "q"]))})

        batch = pa.record_batch({"d": pa.array(["a", "b"]).dictionary_encode()})
        outcome = run(function, [("d", pa.string())], batch, batch_format="pyarrow")
        self.assertEqual((outcome.sources, outcome.columns[0].to_pylist()), ([FRESH], ["p", "q"]))

    def test_children_of_structs(self):
        batch = pa.record_batch({"s": pa.array([{"a": 1}, {"a": 2}, {"a": 3}])})

        def function(table):
            child = table["s"].chunk(0).field(0)
            return pa.table({"s": pa.StructArray.from_arrays([pc.add(child, 1)], names=["a"])})

        outcome = run(function, batch.schema, batch, batch_format="pyarrow")
        self.assertEqual((outcome.sources, outcome.columns[0][0].as_py()), ([FRESH], {"a": 2}))

    def test_lists_changed_in_place(self):
        def function(batch):
            batch["l"][0]["a"] = 9
            return batch

        batch = pa.record_batch({"l": pa.array([{"a": 1}])})
        outcome = run(function, batch.schema, batch)
        self.assertEqual((outcome.sources, outcome.columns[0].to_pylist()), ([FRESH], [{"a": 9}]))

    def test_no_rows(self):
        batch = BATCH.slice(0, 0)
        outcome = run(lambda _: self.fail("called without rows"), BATCH.schema, batch)
        self.assertEqual((outcome.rows, outcome.calls), (0, 0))
        outcome = run(lambda t: t.slice(0, 0), BATCH.schema, batch_format="pyarrow", rows="many")
        self.assertEqual((outcome.rows, outcome.sources), (0, [FRESH] * 5))

    def test_null_in_a_column_declared_without(self):
        outputs = [pa.field("b", pa.float64(), nullable=False)]
        for form in ("numpy", "pyarrow"):
            with self.assertRaisesRegex(Failed, "not null"):
                # NumPy shows NULL as NaN, and the untouched column still has its NULL.
                run(lambda t: {"b": t["b"]}, outputs, batch_format=form if form == "pyarrow" else "pandas")

    def test_pandas_and_polars(self):
        self.assertEqual(run(lambda f: f, BATCH.schema, batch_format="pandas").sources[:2], [0, 1])
        self.assertEqual(run(lambda f: f, BATCH.schema, batch_format="polars").sources[:3], [0, 1, 2])
        for form in ("pandas", "polars"):
            outcome = run(lambda f: f, BATCH.schema, batch_format=form)
            for column, expected in zip(outcome.columns, BATCH.columns, strict=True):
                self.assertEqual(column.to_pylist(), expected.to_pylist())


class Shapes(unittest.TestCase):
    def check(self, result, *texts, outputs=None, **settings):
        outputs = outputs or [("id", pa.int64()), ("p", pa.float64())]
        with self.assertRaises(Failed) as caught:
            run(lambda _: result, outputs, **settings)
        self.assertEqual(caught.exception.failure["kind"], "output")
        for text in texts:
            self.assertIn(text, caught.exception.failure["message"])

    def test_columns(self):
        ids = np.array([1, 2, 3, 4])
        self.check({"id": ids}, "no column `p`", "it has `id`", "declares `id`, `p`")
        self.check({"id": ids, "P": ids}, "no column `p` (it has `P`; names are case-sensitive)")
        self.check({"id": ids, "p": ids, "q": ids}, "has a column `q` that `columns` does not declare")
        frame = pd.DataFrame({"id": ids, "p": ids}).set_index("id")
        self.check(frame, "no column `id` (it is in the index: call .reset_index())")
        twice = pd.DataFrame(np.zeros((4, 3)), columns=["id", "p", "p"])
        self.check(twice, "column `p` twice")
        self.check(pa.table([ids, ids, ids], names=["id", "p", "p"]), "column `p` twice")
        self.check({1: ids, "p": ids}, "no column `id`")

    def test_rows(self):
        self.check({"id": [1], "p": [0.5]}, "1 rows for a batch of 4", "windlass.reject", 'rows="many"')
        self.check({"id": [1, 2], "p": [0.5]}, "column `p` has 1 values and column `id` has 2")

    def test_kinds(self):
        self.check(None, "None: is a `return` missing")
        self.check(np.zeros(4), "numpy.ndarray", '{"id": ...}')
        self.check([{"id": 1}], "returned a list")
        self.check(pd.Series([1]), "pandas.Series")
        self.check(pl.LazyFrame({"id": [1]}), "call .collect()")
        self.check(7, "returned a int")

        async def coroutine(_):
            return {}

        with self.assertRaisesRegex(Failed, "async"):
            run(coroutine, [("p", pa.float64())])

    def test_generators(self):
        def parts(batch):
            yield {"p": batch["a"][:1]}
            yield pd.DataFrame({"p": batch["a"][1:2]})
            yield pa.table({"p": batch["a"][2:]})

        self.assertEqual(run(parts, [("p", pa.float64())]).columns[0].to_pylist(), [1.0, 2.0, 3.0, 4.0])
        outcome = run(lambda _: iter(()), [("p", pa.float64())], rows="many")
        self.assertEqual((outcome.rows, len(outcome.columns[0])), (0, 0))

    def test_ordinary_mappings(self):
        import collections

        made = run(lambda b: collections.OrderedDict(p=b["a"]), [("p", pa.float64())])
        self.assertEqual(made.rows, 4)


class Keys(unittest.TestCase):
    OUT = [("id", pa.int64()), ("p", pa.float64())]

    def test_kept(self):
        for ids in (np.array([1, 2, 3, 4]), [1, 2, 3, 4], pd.Series([1, 2, 3, 4])):
            self.assertEqual(run(lambda b, ids=ids: {"id": ids, "p": b["a"]}, self.OUT, key=["id"]).rows, 4)

    def test_changed(self):
        with self.assertRaisesRegex(Failed, "key column `id` changed: row 1 was 2 and is 3"):
            run(lambda b: {"id": [1, 3, 2, 4], "p": b["a"]}, self.OUT, key=["id"])

    def test_not_checked(self):
        run(lambda b: {"id": [1, 3, 2, 4], "p": b["a"]}, self.OUT, key=["id"], rows="many")
        run(lambda b: {"p": b["a"]}, self.OUT[1:], key=["id"])

    def test_nan_is_itself(self):
        batch = pa.record_batch({"k": [1.0, float("nan"), None]})
        outcome = run(lambda b: {"k": b["k"].copy()}, batch.schema, batch.slice(0, 2), key=["k"])
        self.assertEqual(outcome.rows, 2)
        with self.assertRaises(Failed):
            run(lambda b: {"k": [1.0, 2.0]}, batch.schema, batch.slice(0, 2), key=["k"])

    def test_with_rejects(self):
        def function(batch):
            windlass.reject(batch["a"] > 3, "large")
            return {"id": batch["id"][:3], "p": batch["a"][:3]}

        self.assertEqual(run(function, self.OUT, key=["id"]).rows, 3)


class Rejects(unittest.TestCase):
    OUT = [("a", pa.float64())]

    def check(self, mask, expected, result=None, **settings):
        def function(batch):
            windlass.reject(mask, "no")
            return {"a": batch["a"] if result is None else result}

        outcome = run(function, self.OUT, **settings)
        self.assertEqual(outcome.columns[0].to_pylist(), expected)
        return outcome

    def test_masks(self):
        for mask in (
            [False, True, False, None],
            np.array([False, True, False, False]),
            np.array([False, True, None, False], object),
            pd.Series([False, True, False, False]),
            pd.Series([False, True, None, None], dtype="boolean"),
            pl.Series([False, True, None, False]),
            pa.array([False, True, None, False]),
            pa.chunked_array([[False, True], [None, False]]),
            (False, np.True_, False, np.False_),
        ):
            outcome = self.check(mask, [1.0, 3.0, 4.0])
            self.assertEqual([tuple(error) for error in outcome.errors], [(1, "reject", "Rejected", "no", "", 1)])
            self.check(mask, [5.0, 6.0, 7.0], result=[5.0, 6.0, 7.0])

    def test_all_and_none(self):
        self.assertEqual(self.check([True] * 4, []).rows, 0)
        self.assertEqual(self.check([True] * 4, [], result=[]).rows, 0)
        self.assertEqual(self.check([False] * 4, [1.0, 2.0, 3.0, 4.0]).sources, [0 + 1])

    def test_wrong_number_of_rows(self):
        with self.assertRaisesRegex(Failed, "2 rows for a batch of 4, of which 1 are rejected"):
            self.check([True, False, False, False], [], result=[1.0, 2.0])

    def test_many(self):
        outcome = self.check([True, False, False, False], [1.0, 1.0], result=[1.0, 1.0], rows="many")
        self.assertEqual(harness.bad_rows(outcome), [0])

    def test_reasons(self):
        def function(batch):
            windlass.reject([True, True, False, False], "first")
            windlass.reject([False, True, True, False], np.array(["a", "b", "c", "d"]))
            return batch

        outcome = run(function, BATCH.schema)
        self.assertEqual([(e.row, e.message) for e in outcome.errors], [(0, "first"), (1, "first"), (2, "c")])

    def test_wrong_calls(self):
        for mask, text in (
            ([True], "1 values and the batch 4 rows"),
            ([1, 0, 0, 0], "not 1 in row 0"),
            (np.zeros(4), "float64"),
            (np.zeros((4, 1), bool), "2 dimensions"),
            (True, "not True"),
            ("abcd", "not 'abcd'"),
            (np.True_, "not "),
        ):
            with self.subTest(mask=repr(mask)), self.assertRaises(Failed) as caught:
                self.check(mask, [])
            self.assertEqual(caught.exception.failure["kind"], "reject")
            self.assertIn(text, caught.exception.failure["message"])
            self.assertEqual(caught.exception.failure["function"], "Rejects.check.<locals>.function")


class WholeTables(unittest.TestCase):
    def program(self, function, tables, outputs, form="pandas", **settings):
        from windlass._program import WholeTables

        arrays, fields = [], []
        for name, table in tables.items():
            structs = (
                table.to_struct_array().combine_chunks()
                if table.num_rows
                else pa.array([], pa.struct(list(table.schema)))
            )
            offsets = pa.array([0, len(structs)], pa.int64())
            arrays.append(pa.LargeListArray.from_arrays(offsets, structs))
            fields.append(pa.field(name, arrays[-1].type))
        batch = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
        init = {"batch_format": form, "mode": "table", **settings}
        return WholeTables(init, function, batch.schema, pa.schema(outputs)).run(batch, True)

    def test_two_tables_by_name(self):
        left = pa.table({"k": [1, 2, 3], "x": [1.0, 2.0, 3.0]})
        right = pa.table({"k": [3, 1], "y": ["c", "a"]})
        outcome = self.program(
            lambda right, left: left.merge(right, on="k"),
            {"left": left, "right": right},
            [("k", pa.int64()), ("x", pa.float64()), ("y", pa.string())],
        )
        self.assertEqual([c.to_pylist() for c in outcome.columns], [[1, 3], [1.0, 3.0], ["a", "c"]])

    def test_one_table_by_place(self):
        table = pa.table({"k": pa.array([1, 2, 3])})
        for form in ("numpy", "pandas", "polars", "pyarrow"):
            outcome = self.program(
                lambda t, times: {"n": [len(t["k"]) * times]}, {"t": table}, [("n", pa.int64())], form, fn_args=[2]
            )
            self.assertEqual(outcome.columns[0].to_pylist(), [6])

    def test_empty_table(self):
        table = pa.table({"k": pa.array([], pa.int64())})
        outcome = self.program(lambda t: {"n": [len(t["k"])]}, {"t": table}, [("n", pa.int64())], "numpy")
        self.assertEqual(outcome.columns[0].to_pylist(), [0])

    def test_failures(self):
        table = pa.table({"k": [1]})
        with self.assertRaisesRegex(Failed, "division"):
            self.program(lambda t: 1 / 0, {"t": table}, [("n", pa.int64())])
        with self.assertRaisesRegex(Failed, 'no meaning with `mode="table"`'):
            self.program(lambda t: windlass.reject([True], "x"), {"t": table}, [("n", pa.int64())])


if __name__ == "__main__":
    unittest.main()
