"""Zygote and workers as processes: start, replies, leases."""

import os
import time
import unittest
from types import SimpleNamespace

import harness
import numpy as np
import pyarrow as pa
from harness import DOUBLES, WithZygote, doubles

from windlass import _protocol, _worker
from windlass._failure import Failed


class Start(WithZygote):
    def test_ready(self):
        (op, _, _, _, version, _), told = self.zygote.ready
        self.assertEqual((op, version), (_protocol.ZYGOTE_READY, 1))
        self.assertEqual(told["pid"], self.zygote.process.pid)
        self.assertEqual(told["packages"]["pyarrow"], pa.__version__)
        self.assertRegex(told["python"], r"^3\.\d+\.\d+$")

    def test_fork_and_exec(self):
        for flags in (0, _protocol.SPAWN_EXEC):
            code = "import os, sys\nprint(os.environ['MARK'], sys.stdin.read())\ndef f(b): return b\n"
            worker = self.ready(code, spawn={"flags": flags, "env": {"MARK": "marked"}})
            self.assertEqual(worker.ready[5], worker.pid)
            self.assertGreater(worker.ready[4], 1 << 20)
            self.assertGreater(worker.init["init_ms"], 0)
            self.assertEqual(worker.run(doubles()).rows, doubles())
            self.assertIn("marked", worker.out.wait_for("marked"))

    def test_stop(self):
        code = """
            import atexit
            atexit.register(print, "at exit")
            class C:
                def __call__(self, batch): return batch
                def __del__(self): print("deleted")
        """
        worker = self.ready(code, name="C", is_class=True)
        worker.send(_protocol.STOP)
        self.assertEqual(self.zygote.exited(worker), (0, 0))
        self.assertEqual(worker.out.wait_for("at exit").split("\n"), ["deleted", "at exit", ""])

    def test_construct_once(self):
        code = """
            class C:
                made = 0
                def __init__(self, factor, plus=0):
                    C.made += 1
                    self.factor, self.plus = factor, plus
                def __call__(self, batch, times, minus):
                    assert C.made == 1
                    return {"x": batch["x"] * self.factor * times + self.plus - minus}
        """
        worker = self.ready(
            code,
            name="C",
            is_class=True,
            constructor_args=[2],
            constructor_kwargs={"plus": 5},
            fn_args=[10],
            fn_kwargs={"minus": 1},
        )
        for _ in range(3):
            self.assertEqual(worker.run(doubles(3)).rows["x"].to_pylist(), [4.0, 24.0, 44.0])

    def check_failed(self, code, kind, *texts, error_type=None, **settings):
        worker = self.worker(code, **settings)
        self.assertEqual(worker.ready[0], _protocol.INIT_FAILED)
        told = worker.init
        self.assertEqual(told["kind"], kind)
        for text in texts:
            self.assertIn(text, told["message"] + told["traceback"])
        if error_type:
            self.assertEqual(told["type"], error_type)
        self.assertEqual(self.zygote.exited(worker), (1, 0))
        return told

    def test_failures(self):
        told = self.check_failed(
            "import nothing_of_this_name\n", "import", "nothing_of_this_name", error_type="ModuleNotFoundError"
        )
        self.assertEqual((told["file"], told["line"]), (self.project.path + "/transforms/t.py", 1))
        told = self.check_failed("x = 1\ndef f(:\n", "import", error_type="SyntaxError")
        self.assertEqual(told["line"], 2)
        self.check_failed("x = 1\n", "import", "t.py defines no `f`")
        self.check_failed("import sys\nsys.exit(3)\n", "import", error_type="SystemExit")
        broken = (
            "class C:\n    def __init__(self):\n        self.model = {}['weights']\n    def __call__(self, b): ...\n"
        )
        told = self.check_failed(broken, "construct", "'weights'", name="C", is_class=True, error_type="KeyError")
        self.assertEqual((told["line"], told["function"]), (3, "C.__init__"))
        self.check_failed("class C: pass\n", "construct", "no `__call__(self, batch)`", name="C", is_class=True)
        self.check_failed(
            "class C:\n  def __call__(self, b): ...\n",
            "construct",
            name="C",
            is_class=True,
            constructor_kwargs={"no": 1},
            error_type="TypeError",
        )

    def test_missing_package(self):
        blocked = "import sys\nsys.modules['polars'] = None\n"
        site = self.project.write("site/sitecustomize.py", blocked)
        zygote = harness.Zygote({"PYTHONPATH": f"{harness.SOURCE}:{os.path.dirname(site)}"})
        self.addCleanup(zygote.close)
        init = self.project.transform("def f(b): return b\n", batch_format="polars")
        worker = zygote.spawn(init, DOUBLES, DOUBLES, preload=["polars"])
        self.assertEqual(worker.ready[0], _protocol.INIT_FAILED)
        self.assertEqual(worker.init["kind"], "missing_package")
        self.assertEqual(
            worker.init["message"],
            '`batch_format="polars"` needs polars: add it to the dependencies of t.py',
        )

    def test_environment_without_pyarrow(self):
        for code, kind, text in (
            ("import sys\nsys.modules['pyarrow'] = None\n", "missing_package", 'dependencies = ["pyarrow"]'),
            ("import pyarrow\npyarrow.__version__ = '9.0.0'\n", "old_package", "pyarrow 9.0.0 is too old"),
        ):
            site = self.project.write("site/sitecustomize.py", code)
            zygote = harness.Zygote({"PYTHONPATH": f"{harness.SOURCE}:{os.path.dirname(site)}"})
            self.assertEqual(zygote.ready[0][0], _protocol.ZYGOTE_FAILED)
            self.assertEqual(zygote.ready[1]["kind"], kind)
            self.assertIn(text, zygote.ready[1]["message"])
            self.assertEqual(zygote.close(), 1)

    def test_modules_of_the_project(self):
        self.project.write("lib/helpers.py", "VALUE = 1\n")
        self.project.write("lib/json.py", "raise RuntimeError('shadow')\n")
        self.project.write("lib/windlass.py", "raise RuntimeError('shadow')\n")
        self.project.write("lib/pack/__init__.py", "from pack.inner import TWO\n")
        self.project.write("lib/pack/inner.py", "TWO = 2\n")
        code = """
            import json, helpers, pack, windlass
            def f(batch):
                return {"x": batch["x"] * 0 + json.loads("1") + helpers.VALUE + pack.TWO + windlass.var("v")}
        """
        worker = self.ready(code, vars={"v": 10})
        self.assertEqual(worker.run(doubles(1)).rows["x"][0].as_py(), 14.0)
        self.assertIn("json.py", worker.err.wait_for("json.py"))
        self.assertEqual(sorted(os.listdir(self.project.path + "/lib/pack")), ["__init__.py", "inner.py"])
        # An edit within the same second is seen.
        self.project.write("lib/helpers.py", "VALUE = 5\n")
        self.assertEqual(self.ready(code, vars={"v": 10}).run(doubles(1)).rows["x"][0].as_py(), 18.0)


class Replies(WithZygote):
    def test_slices(self):
        worker = self.ready("def f(b): return {'x': b['x'] + 1}\n")
        answer = worker.run(doubles(10), first=2, rows=3)
        self.assertEqual(answer.rows["x"].to_pylist(), [3.0, 4.0, 5.0])
        self.assertEqual(worker.run(doubles(10), first=8).rows["x"].to_pylist(), [9.0, 10.0])

    def test_error_rows_are_places_in_the_whole_batch(self):
        worker = self.ready("def f(b):\n  if (b['x'] == 5).any(): raise ValueError('five')\n  return b\n")
        answer = worker.run(doubles(10), first=4, rows=4)
        self.assertEqual(answer.rows["x"].to_pylist(), [4.0, 6.0, 7.0])
        error = answer.errors[0]
        self.assertEqual(
            (error["row"], error["stage"], error["error_type"], error["message"]), (5, "python", "ValueError", "five")
        )
        self.assertIn("raise ValueError('five')", error["traceback"])
        self.assertNotIn("windlass/_", error["traceback"])

    def test_result_larger_than_its_slot(self):
        code = "import numpy as np\ndef f(b): return {'x': np.repeat(b['x'], 1000)}\n"
        worker = self.ready(code, rows="many")
        answer = worker.run(doubles(1000))
        self.assertGreaterEqual(answer.needed, 8_000_000)
        self.assertEqual(answer.rows.num_rows, 1_000_000)
        self.assertEqual(worker.run(doubles(3), output_size=1 << 23).rows.num_rows, 3000)

    def test_more_than_can_be_told_fails_the_batch(self):
        worker = object.__new__(_worker.Worker)
        worker.slots = SimpleNamespace(outputs={1: SimpleNamespace(size=64)})
        reply = SimpleNamespace(fresh=True, errors=None, needs=lambda slot: 2**32)
        with self.assertRaisesRegex(Failed, "takes 4.0 GiB, and at most 4 GiB travel at once: use a smaller"):
            worker.write(reply, 1)

    def test_error_rows_larger_than_the_slot(self):
        worker = self.ready(
            "import windlass\ndef f(b):\n  windlass.reject([True] * len(b['x']), 'r' * 3000)\n  return b\n"
        )
        answer = worker.run(doubles(1000))
        self.assertEqual((answer.rows.num_rows, len(answer.errors)), (0, 1000))
        self.assertGreater(answer.needed, 3_000_000)

    def test_batches_wait_behind_a_result_that_waits(self):
        worker = self.ready("import numpy as np\ndef f(b): return {'x': np.repeat(b['x'], 1000)}\n", rows="many")
        first = worker.start(doubles(1000))
        second = worker.start(doubles(2))
        self.assertEqual(worker.answer(first).rows.num_rows, 1_000_000)
        # The second was told the old output slot, which is forgotten by now.
        with self.assertRaises(harness.WorkerDied):
            worker.answer(second)

    def test_two_in_flight(self):
        worker = self.ready("def f(b): return b\n")
        batches = [doubles(5), doubles(6)]
        numbers = [worker.start(batch) for batch in batches]
        for number, batch in zip(numbers, batches, strict=True):
            self.assertEqual(worker.answer(number).rows, batch)

    def test_many_columns(self):
        schema = pa.schema([(f"c{i}", pa.float64()) for i in range(2000)])
        batch = pa.RecordBatch.from_arrays([pa.array([float(i)]) for i in range(2000)], schema=schema)
        worker = self.ready("def f(b): return {k: v + 1 for k, v in b.items()}\n", schema)
        answer = worker.run(batch, output_size=4096)
        self.assertEqual(answer.rows.column(1999)[0].as_py(), 2000.0)

    def test_ray_class_runs_unchanged(self):
        code = '''
            from typing import Dict
            import numpy as np

            class TorchPredictor:
                """As in the documentation of ray.data.Dataset.map_batches."""

                def __init__(self, offset: float, scale: float = 1.0):
                    self.offset = offset
                    self.scale = scale

                def __call__(self, batch: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
                    for start in range(0, len(batch["x"]), 100):
                        tensor = np.asarray(batch["x"][start:start + 100], dtype=np.float32)
                        yield {"x": tensor * self.scale + self.offset, "name": batch["name"][start:start + 100]}
        '''
        inputs = pa.schema([("x", pa.float64()), ("name", pa.string())])
        worker = self.ready(
            code,
            inputs,
            name="TorchPredictor",
            is_class=True,
            constructor_args=[1.0],
            constructor_kwargs={"scale": 2.0},
        )
        batch = pa.record_batch({"x": np.arange(250.0), "name": [f"n{i}" for i in range(250)]})
        answer = worker.run(batch)
        self.assertEqual(answer.rows["x"].to_pylist(), [2 * i + 1.0 for i in range(250)])
        self.assertEqual(answer.rows["name"], batch["name"])

    def test_functions(self):
        self.project.write("functions/a.py", "def half(x): return x / 2\n")
        self.project.write("functions/b.py", "def join(x, s): return [f'{s[0]}{v:g}' for v in x]\n")
        path = self.project.path
        calls = [
            {
                "file": f"{path}/functions/a.py",
                "object": "half",
                "args": [{"column": 0}],
                "nulls": "skip",
                "batch_format": "numpy",
                "on_error": "fail",
            },
            {
                "file": f"{path}/functions/b.py",
                "object": "join",
                "args": [{"column": 0}, {"constant": 0}],
                "nulls": "skip",
                "batch_format": "numpy",
                "on_error": "null",
            },
        ]
        outputs = pa.schema([("h", pa.float64()), ("j", pa.string())])
        worker = self.ready("", outputs=outputs, role="udf", calls=calls, constants=pa.record_batch({"c": ["n"]}))
        answer = worker.run(pa.record_batch({"x": pa.array([2.0, None])}))
        self.assertEqual(answer.rows.to_pylist(), [{"h": 1.0, "j": "n2"}, {"h": None, "j": None}])

    def test_whole_tables(self):
        table = pa.array(
            [[{"k": 1, "v": "a"}, {"k": 2, "v": "b"}]],
            pa.large_list(pa.struct([("k", pa.int64()), ("v", pa.string())])),
        )
        batch = pa.record_batch({"t": table})
        worker = self.ready(
            "def f(t): return t[t.k > 1]\n",
            batch.schema,
            pa.schema([("k", pa.int64()), ("v", pa.string())]),
            mode="table",
            batch_format="pandas",
        )
        self.assertEqual(worker.run(batch).rows.to_pylist(), [{"k": 2, "v": "b"}])


class Leases(WithZygote):
    def hoard(self, keep, rounds=200, **settings):
        code = f"""
            hoard = []
            def f(batch):
                x = batch["x"]
                first = float(x[0].as_py() if hasattr(x[0], "as_py") else x[0])
                if int(first) % 3 == 0:
                    hoard.append(({keep}, first))
                for kept, expected in hoard[-40:]:
                    kept = kept() if callable(kept) else kept
                    value = kept[0]
                    value = float(value.as_py() if hasattr(value, "as_py") else value)
                    if value != expected:
                        raise RuntimeError(f"corrupted: {{value}} is not {{expected}}")
                return batch
        """
        worker = self.ready(code, isolate=False, **settings)
        worker.abandon_at = 16
        for number in range(rounds):
            answer = worker.run(doubles(200, float(number)))
            self.assertIsNone(answer.failure)
            self.assertEqual(answer.rows["x"][0].as_py(), float(number))
        return worker

    def test_kept_views_stay_as_they_were(self):
        for form, keep in (
            ("numpy", "x"),
            ("numpy", "x[:5]"),
            ("numpy", "memoryview(x)"),
            ("numpy", "(lambda: x)"),
            ("pyarrow", "x"),
            ("pyarrow", "x.chunk(0).slice(0, 3)"),
            ("pyarrow", "__import__('numpy').from_dlpack(x.chunk(0))"),
            ("pandas", "x.to_numpy()"),
            ("polars", "x"),
        ):
            with self.subTest(form=form, keep=keep):
                self.hoard(keep, batch_format=form)

    def test_slots_come_back(self):
        worker = self.ready("def f(b): return b\n")
        for _ in range(50):
            self.assertEqual(worker.run(doubles()).flags, 1)
        self.assertEqual(worker.next_slot, 2)

    def test_slot_is_kept_until_its_view_dies(self):
        code = "last = None\ndef f(b):\n  global last\n  last = b['x'][:1]\n  return b\n"
        worker = self.ready(code)
        self.assertEqual(worker.run(doubles()).flags, 0)
        answer = worker.run(doubles())
        self.assertEqual((answer.flags, answer.released), (0, [0]))

    def test_ping_reports_what_was_released_meanwhile(self):
        code = """
            import threading, time
            def f(b):
                x = b["x"]
                threading.Thread(target=lambda x: time.sleep(0.3) or x.sum(), args=(x,)).start()
                return {"x": b["x"] + 1}
        """
        worker = self.ready(code)
        self.assertEqual(worker.run(doubles()).flags, 0)
        deadline = time.monotonic() + 5
        while not (released := worker.ping()) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(released, [0])

    def test_cycles_are_collected(self):
        code = """
            def f(b):
                cycle = [b["x"]]
                cycle.append(cycle)
                return {"x": b["x"] + 1}
        """
        worker = self.ready(code)
        for _ in range(60):
            worker.run(doubles(10))
        self.assertLess(len(worker.maps), 40)

    def test_exceptions_pin_nothing(self):
        worker = self.ready("def f(b):\n  raise ValueError(b['x'])\n", isolate=False)
        for _ in range(10):
            answer = worker.run(doubles())
            self.assertEqual(answer.flags, 1)
        worker = self.ready("def f(b):\n  if len(b['x']) > 1: raise ValueError(b)\n  return {'x': b['x'] + 1}\n")
        for _ in range(5):
            answer = worker.run(doubles(64))
            self.assertEqual((answer.flags, answer.rows.num_rows), (1, 64))

    def test_inputs_cannot_be_written(self):
        worker = self.ready("def f(b):\n  b['x'][0] = 1\n  return b\n", isolate=False)
        self.assertIn("zero_copy_batch=False", worker.run(doubles()).failure["message"])
        worker = self.ready("def f(b):\n  b['x'][0] = 7\n  return b\n", copy_inputs=True)
        self.assertEqual(worker.run(doubles()).rows["x"][0].as_py(), 7.0)

    def test_fork_of_user_code_does_not_answer(self):
        code = """
            import os
            def f(b):
                if os.fork() == 0:
                    return {"x": b["x"] * 0}
                os.wait()
                return {"x": b["x"] + 1}
        """
        worker = self.ready(code)
        for _ in range(3):
            self.assertEqual(worker.run(doubles(2)).rows["x"].to_pylist(), [1.0, 2.0])


if __name__ == "__main__":
    unittest.main()
