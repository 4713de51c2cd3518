"""The rows that make a batch fail: exactly those, each good row once, within the budget."""

import gc
import random
import time
import unittest
import weakref

import harness
import numpy as np
import pyarrow as pa

import windlass
from windlass._failure import Failed
from windlass._isolate import Limits, isolate

SCHEMA = pa.schema([("x", pa.int64())])


def batch_of(rows):
    return pa.record_batch({"x": pa.array(range(rows), pa.int64())})


class Rogue:
    """A function that raises for the rows it is told, and counts."""

    def __init__(self, bad, rows):
        self.bad = np.zeros(rows, bool)
        self.bad[list(bad)] = True
        self.calls = self.rows = 0
        self.worked = []

    def __call__(self, batch):
        self.calls += 1
        self.rows += len(batch["x"])
        if self.bad[batch["x"]].any():
            raise ValueError(f"bad row {batch['x'][self.bad[batch['x']]][0]}")
        self.worked.extend(batch["x"].tolist())
        return {"x": batch["x"] * 10}


class ExactRows(unittest.TestCase):
    def check(self, bad, rows=1024, **settings):
        function = Rogue(bad, rows)
        # Time is no matter here: the machine may be busy.
        budget = {"calls": 64, "row_factor": 4, "time_factor": 1e9}
        outcome = harness.transform(function, SCHEMA, SCHEMA, budget=budget, **settings).run(batch_of(rows), True)
        good = sorted(set(range(rows)) - set(bad))
        self.assertEqual(outcome.columns[0].to_pylist(), [row * 10 for row in good])
        self.assertEqual(harness.bad_rows(outcome), sorted(bad))
        for error in outcome.errors:
            self.assertEqual((error.stage, error.error_type), ("python", "ValueError"))
            self.assertEqual(error.message, f"bad row {error.row}")
        self.assertEqual(outcome.calls, function.calls)
        self.assertEqual(sorted(function.worked), good)
        return function

    def test_none(self):
        self.assertEqual(self.check([]).calls, 1)

    def test_one_costs_two_per_halving(self):
        for row in (0, 511, 512, 1023):
            function = self.check([row])
            self.assertLessEqual(function.calls, 21)
            self.assertLessEqual(function.rows, 3 * 1024)

    def test_some(self):
        self.check(range(0, 1024, 64))
        self.check(random.Random(1).sample(range(1024), 16))
        self.check(range(100, 116))

    def test_half_and_all(self):
        # The budget of calls and rows is spent, and row by row fits the time.
        self.check(range(0, 1024, 2))
        self.check(range(1024))
        self.check(range(512))

    def test_few_rows(self):
        for rows in (1, 2, 3, 5):
            for bad in ([0], [rows - 1], list(range(rows))):
                self.check(bad, rows)

    def test_random(self):
        chance = random.Random(7)
        for _ in range(30):
            rows = chance.randrange(1, 300)
            self.check(chance.sample(range(rows), chance.randrange(0, rows + 1)), rows)


class Budget(unittest.TestCase):
    def isolated(self, rows, bad, seconds, **limits):
        """Isolates with a function that takes `seconds` a call."""

        def call(start, stop):
            time.sleep(seconds)
            if any(start <= row < stop for row in bad):
                raise ValueError("bad")
            return (start, stop)

        return isolate(call, rows, {"kind": "exception"}, Limits(**limits), lambda err: {"kind": str(err)})

    def test_segments_fail_whole_when_time_is_short(self):
        started = time.perf_counter()
        segments, calls = self.isolated(4096, range(0, 4096, 2), 0.002, clean_seconds=0.002)
        self.assertLess(time.perf_counter() - started, 6)
        self.assertEqual(sum(part.stop - part.start for part in segments), 4096)
        self.assertEqual([part.start for part in segments], sorted(part.start for part in segments))
        self.assertTrue(any(part.stop - part.start > 1 for part in segments))
        self.assertLess(calls, 4096)

    def test_good_segments_get_a_chance_at_the_end(self):
        segments, _ = self.isolated(1024, range(64), 0.01, clean_seconds=0.0, calls=4, row_factor=1)
        good = [part for part in segments if part.error is None]
        self.assertGreaterEqual(sum(part.stop - part.start for part in good), 896)

    def test_exact_knows_no_budget(self):
        segments, _ = self.isolated(64, range(0, 64, 2), 0.0005, calls=1, row_factor=0, exact=True, clean_seconds=0.0)
        self.assertEqual([part.start for part in segments if part.error], list(range(0, 64, 2)))
        self.assertTrue(all(part.stop - part.start == 1 for part in segments if part.error))

    def test_message_of_a_segment(self):
        def function(batch):
            time.sleep(0.02)
            raise ValueError("broken")

        program = harness.transform(function, SCHEMA, SCHEMA, budget={"calls": 2, "row_factor": 1, "time_factor": 1})
        outcome = program.run(batch_of(512), True)
        self.assertEqual(harness.bad_rows(outcome), list(range(512)))
        self.assertRegex(outcome.errors[-1].message, "not isolated, one of [0-9]+ rows raised: broken")


class Behaviour(unittest.TestCase):
    def test_flaky_row_comes_back(self):
        calls = []

        def function(batch):
            calls.append(len(batch["x"]))
            if len(calls) == 1:
                raise OSError("network")
            return batch

        outcome = harness.transform(function, SCHEMA, SCHEMA).run(batch_of(64), True)
        self.assertEqual((outcome.rows, outcome.errors, calls), (64, [], [64, 32, 32]))

    def test_attempts_count_the_calls_that_held_the_row(self):
        outcome = harness.transform(Rogue([5], 8), SCHEMA, SCHEMA).run(batch_of(8), True)
        self.assertEqual([error.attempts for error in outcome.errors], [4])

    def test_without_error_rows_the_call_fails(self):
        for settings in ({"isolate": False}, {"isolate": False, "rowwise": False}):
            function = Rogue([5], 8)
            with self.assertRaises(Failed) as caught:
                harness.transform(function, SCHEMA, SCHEMA, **settings).run(batch_of(8), True)
            self.assertEqual(function.calls, 1)
            told = caught.exception.failure
            self.assertEqual((told["kind"], told["type"], told["message"]), ("exception", "ValueError", "bad row 5"))
            self.assertEqual((told["file"], told["function"]), (__file__, "Rogue.__call__"))

    def test_not_rowwise_all_rows_fail_together(self):
        function = Rogue([5], 8)
        outcome = harness.transform(function, SCHEMA, SCHEMA, rowwise=False).run(batch_of(8), True)
        self.assertEqual((function.calls, outcome.rows, len(outcome.columns[0])), (1, 0, 0))
        self.assertEqual([error.row for error in outcome.errors], list(range(8)))
        self.assertEqual({error.stage for error in outcome.errors}, {"python"})
        self.assertEqual(
            {error.message for error in outcome.errors}, {"the batch of 8 rows failed as a whole: bad row 5"}
        )

    def test_stacks_do_not_tell_of_earlier_calls(self):
        outcome = harness.transform(Rogue([5], 8), SCHEMA, SCHEMA).run(batch_of(8), True)
        self.assertEqual(outcome.errors[0].traceback.count("Traceback"), 1)
        self.assertIn("raise ValueError", outcome.errors[0].traceback)

    def test_wrong_results_are_not_a_matter_of_rows(self):
        calls = []

        def function(batch):
            calls.append(1)
            if 3 in batch["x"] and len(batch["x"]) > 1:
                raise ValueError("3")
            return {"y": batch["x"]}

        with self.assertRaises(Failed) as caught:
            harness.transform(function, SCHEMA, SCHEMA).run(batch_of(8), True)
        self.assertEqual((caught.exception.failure["kind"], len(calls)), ("output", 3))

    def test_rejects_within_segments(self):
        def function(batch):
            if (batch["x"] == 3).any():
                raise ValueError("3")
            windlass.reject(batch["x"] % 2 == 0, "even")
            return batch

        outcome = harness.transform(function, SCHEMA, SCHEMA).run(batch_of(8), True)
        self.assertEqual(outcome.columns[0].to_pylist(), [1, 5, 7])
        stages = {error.row: error.stage for error in outcome.errors}
        self.assertEqual(stages, {0: "reject", 2: "reject", 3: "python", 4: "reject", 6: "reject"})

    def test_many_rows_out(self):
        def function(batch):
            if (batch["x"] == 3).any():
                raise ValueError("3")
            yield {"x": batch["x"]}
            yield {"x": -batch["x"]}

        outcome = harness.transform(function, SCHEMA, SCHEMA, rows="many").run(batch_of(4), True)
        self.assertEqual(sorted(outcome.columns[0].to_pylist()), [-2, -1, 0, 0, 1, 2])

    def test_memory_is_let_go_between_calls(self):
        class Large:
            pass

        alive = []

        def function(batch):
            alive.append(sum(ref() is not None for ref in held))
            large = Large()
            held.append(weakref.ref(large))
            raise MemoryError

        held = []
        gc.disable()
        self.addCleanup(gc.enable)
        outcome = harness.transform(function, SCHEMA, SCHEMA).run(batch_of(4), True)
        self.assertEqual({error.stage for error in outcome.errors}, {"memory"})
        self.assertTrue(outcome.recycle)
        self.assertEqual(max(alive), 0)

    def test_stacks_of_many_rows_stay_small(self):
        def function(batch):
            raise ValueError("x" * 100_000)

        outcome = harness.transform(function, SCHEMA, SCHEMA).run(batch_of(200), True)
        self.assertTrue(all(len(error.message) <= 4096 for error in outcome.errors))
        self.assertLess(sum(len(error.traceback) for error in outcome.errors), 32 * 8192 + 200 * 600)


if __name__ == "__main__":
    unittest.main()
