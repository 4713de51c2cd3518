"""Odd exceptions, streams, deaths, and rows that kill."""

import os
import signal
import time
import unittest

import harness
from harness import DOUBLES, IDS, WithZygote, doubles, ids

from windlass import _protocol


class OddFailures(WithZygote):
    def failure(self, body, **settings):
        worker = self.ready(f"import windlass\ndef f(b):\n    {body}\n", isolate=False, **settings)
        answer = worker.run(doubles(10))
        self.assertIsNotNone(answer.failure)
        # The worker lives on.
        self.assertIsNotNone(worker.run(doubles(10)).failure)
        return answer

    def test_exceptions(self):
        for body, error_type, message in (
            ("raise SystemExit(3)", "SystemExit", "3"),
            ("raise KeyboardInterrupt", "KeyboardInterrupt", "KeyboardInterrupt"),
            ("raise GeneratorExit", "GeneratorExit", "GeneratorExit"),
            ("raise StopIteration(5)", "StopIteration", "5"),
            ("return f(b)", "RecursionError", "maximum recursion depth"),
            ("raise KeyError('age')", "KeyError", "'age'"),
            ("raise type('E', (Exception,), {'__str__': lambda s: 1 / 0})()", "E", "cannot be shown"),
            ("raise type('E', (Exception,), {'__repr__': lambda s: 1 / 0})(lambda: 0)", "E", "lambda"),
            ("raise ExceptionGroup('both', [ValueError('a'), KeyError('b')])", "ExceptionGroup", "both"),
            ("raise ValueError('\\udc80 bad')", "ValueError", "bad"),
            ("raise ValueError('\\0' * 5000)", "ValueError", "\0"),
        ):
            with self.subTest(body):
                told = self.failure(body).failure
                self.assertEqual((told["kind"], told["type"]), ("exception", error_type))
                self.assertIn(message, told["message"])
                self.assertEqual(told["line"], 3)

    def test_huge_message(self):
        told = self.failure("raise ValueError('x' * 100_000_000)").failure
        self.assertLessEqual(len(told["message"]), 4096)
        self.assertLessEqual(len(told["traceback"]), 8192)

    def test_memory_error_asks_for_a_new_worker(self):
        answer = self.failure("raise MemoryError")
        self.assertEqual((answer.failure["kind"], answer.flags), ("memory", 3))

    def test_memory_limit(self):
        code = "import numpy as np\ndef f(b): return {'x': np.ones(40_000_000)[:len(b['x'])] * b['x']}\n"
        worker = self.ready(code, isolate=False, memory_limit=100 << 20)
        answer = worker.run(doubles(10))
        self.assertEqual((answer.failure["kind"], answer.flags & 2), ("memory", 2))
        worker = self.ready(code, isolate=False, memory_limit=1 << 30)
        self.assertEqual(worker.run(doubles(10)).rows, doubles(10))

    def test_cause_and_frames(self):
        told = self.failure(
            "helper = lambda: {}['k']\n    try: helper()\n    except KeyError as e: raise ValueError('no') from e"
        ).failure
        self.assertIn("direct cause", told["traceback"])
        self.assertIn("KeyError: 'k'", told["traceback"])
        self.assertNotIn("_program.py", told["traceback"])
        self.assertTrue(told["file"].endswith("transforms/t.py"))
        self.assertEqual(told["function"], "f")

    def test_closed_descriptors(self):
        code = "import os\ndef f(b):\n  os.close(1)\n  os.close(2)\n  print('into nothing')\n  return b\n"
        worker = self.ready(code, isolate=False)
        self.assertEqual(worker.run(doubles()).failure["type"], "OSError")
        worker = self.ready("import sys\ndef f(b):\n  sys.stdout.close()\n  return b\n")
        self.assertEqual(worker.run(doubles()).rows, doubles())

    def test_malformed_frames_end_the_worker(self):
        for frame in (
            b"\x03",
            _protocol.frame(99),
            _protocol.frame(_protocol.RUN, slot=0, a=1, b=1),
            _protocol.frame(_protocol.RUN, slot=9, a=1, b=1, tail=_protocol.RUN_TAIL.pack(0, 0, 0, 0, 0)),
            _protocol.frame(_protocol.GROWN, slot=1),
            _protocol.frame(_protocol.MAP, slot=1, a=10),
            _protocol.frame(_protocol.HELLO),
        ):
            worker = self.ready("def f(b): return b\n")
            worker.sock.send(frame)
            code, number = self.zygote.exited(worker)
            self.assertEqual((code, number), (os.EX_PROTOCOL, 0), frame)
            self.assertIn("windlass: ", worker.err.text)

    def test_message_that_is_no_batch(self):
        worker = self.ready("def f(b): return b\n")
        slot = worker.map(0, harness.SLOT)
        worker.map(1, harness.SLOT)
        worker.send(_protocol.RUN, slot=slot, a=64, b=1, tail=_protocol.RUN_TAIL.pack(1, 0, _protocol.ALL_ROWS, 0, 0))
        self.assertEqual(self.zygote.exited(worker)[0], os.EX_PROTOCOL)


class Streams(WithZygote):
    def test_lines(self):
        code = """
            import logging, sys, warnings
            def f(b):
                print("hé", "\\udc80")
                print("no line end", end="")
                logging.getLogger("mine").info("told %d", 5)
                logging.debug("not told")
                sys.stderr.write("err\\n")
                return b
        """
        worker = self.ready(code)
        worker.run(doubles())
        self.assertEqual(worker.out.wait_for("end"), "hé \\udc80\nno line end")
        self.assertEqual(worker.err.wait_for("err\n"), "INFO mine: told 5\nerr\n")

    def test_flood(self):
        worker = self.ready("def f(b):\n  print('x' * 20_000_000)\n  return b\n")
        worker.run(doubles())
        self.assertEqual(len(worker.out.wait_for("\n", 20)), 20_000_001)

    def test_stack_on_request(self):
        worker = self.ready("import time\ndef f(b):\n  while True: time.sleep(0.01)\n")
        worker.start(doubles())
        time.sleep(0.3)
        self.zygote.kill(worker, signal.SIGUSR1)
        self.assertIn("t.py", worker.err.wait_for("t.py"))
        self.zygote.kill(worker)
        self.assertEqual(self.zygote.exited(worker), (0, signal.SIGKILL))


class Deaths(WithZygote):
    def test_ways_to_die(self):
        for body, expected in (
            ("os._exit(7)", (7, 0)),
            ("os.kill(os.getpid(), 9)", (0, 9)),
            ("os.kill(os.getpid(), 11)", (0, 11)),
            ("os.abort()", (0, 6)),
        ):
            worker = self.ready(f"import os\ndef f(b):\n  {body}\n")
            number = worker.start(doubles())
            with self.assertRaises((harness.WorkerDied, ConnectionResetError)):
                worker.answer(number)
            self.assertEqual(self.zygote.exited(worker), expected)

    def test_crash_leaves_a_stack(self):
        worker = self.ready("import ctypes\ndef f(b):\n  ctypes.string_at(0)\n")
        worker.start(doubles())
        self.zygote.exited(worker)
        self.assertIn("t.py", worker.err.wait_for("t.py"))

    def test_what_a_worker_started_ends_with_it(self):
        worker = self.ready(
            "import subprocess\nP = subprocess.Popen(['sleep', '60'])\ndef f(b):\n  return {'x': [float(P.pid)]}\n"
        )
        child = int(worker.run(doubles(1)).rows["x"][0].as_py())
        self.zygote.kill(worker)
        self.zygote.exited(worker)
        self.assert_gone(child)

    def test_end_of_the_engine_ends_everything(self):
        zygote = harness.Zygote()
        code = """
            import os, subprocess, time
            P = subprocess.Popen(["sleep", "60"], start_new_session=True)
            daemon = os.fork()
            if daemon == 0:
                os.setsid()
                if os.fork() == 0:
                    time.sleep(60)
                os._exit(0)
            os.waitpid(daemon, 0)
            def f(b): return {"x": [float(P.pid)]}
        """
        init = self.project.transform(code)
        stuck = self.project.write("transforms/stuck.py", "import time\ndef f(b): time.sleep(60)\n")
        workers = [zygote.spawn(init, DOUBLES, DOUBLES), zygote.spawn({**init, "file": stuck}, DOUBLES, DOUBLES)]
        child = int(workers[0].run(doubles(1)).rows["x"][0].as_py())
        workers[1].start(doubles(1))
        started = time.monotonic()
        self.assertEqual(zygote.close(), 0)
        self.assertLess(time.monotonic() - started, 1.0)
        for pid in (child, *(worker.pid for worker in workers)):
            self.assert_gone(pid)

    def test_end_of_the_zygote_ends_workers(self):
        zygote = harness.Zygote()
        worker = zygote.spawn(self.project.transform("def f(b): return b\n"), DOUBLES, DOUBLES)
        zygote.process.kill()
        zygote.process.wait()
        self.assert_gone(worker.pid)
        zygote.close()

    def test_kill_of_one_that_is_gone(self):
        worker = self.ready("def f(b): return b\n")
        self.zygote.kill(worker)
        self.zygote.exited(worker)
        self.zygote.kill(worker)
        self.assertEqual(self.ready("def f(b): return b\n").run(doubles()).rows, doubles())

    def assert_gone(self, pid):
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    if stat.read().rpartition(")")[2].split()[0] == "Z":
                        return
            except OSError:
                return
            time.sleep(0.01)
        self.fail(f"process {pid} is still there")


class Careful(WithZygote):
    def run_careful(self, code, rows=256, timeout_ms=0, **settings):
        worker = self.ready(code, IDS, **settings)
        return worker.run(ids(rows), mode=_protocol.CAREFUL, timeout_ms=timeout_ms)

    def check(self, answer, rows, bad, stage=None):
        self.assertEqual(answer.rows["x"].to_pylist(), [row for row in range(rows) if row not in bad])
        self.assertEqual([error["row"] for error in answer.errors], sorted(bad))
        if stage:
            self.assertEqual({error["stage"] for error in answer.errors}, {stage})

    def killer(self, *rows, how="os.kill(os.getpid(), 11)"):
        return f"import os, time\ndef f(b):\n  if set(b['x'].tolist()) & {set(rows)!r}: {how}\n  return b\n"

    def test_crashing_rows(self):
        for bad in ([0], [255], [17, 18], [1, 100, 200, 250]):
            answer = self.run_careful(self.killer(*bad))
            self.check(answer, 256, bad, "crash")
            self.assertEqual({error["error_type"] for error in answer.errors}, {"SIGSEGV"})
            self.assertEqual({error["attempts"] for error in answer.errors}, {9})
            self.assertIn("t.py", answer.errors[0]["traceback"])
            self.assertGreater(answer.calls, 16)

    def test_ways_to_die(self):
        for how, error_type in (
            ("os._exit(0)", "Exit"),
            ("os._exit(9)", "Exit"),
            ("os.abort()", "SIGABRT"),
            ("os.kill(os.getpid(), 9)", "SIGKILL"),
        ):
            answer = self.run_careful(self.killer(5, how=how), 16)
            self.check(answer, 16, [5], "crash")
            self.assertEqual(answer.errors[0]["error_type"], error_type)

    def test_rows_that_never_end(self):
        answer = self.run_careful(self.killer(5, how="time.sleep(60)"), 16, timeout_ms=200)
        self.check(answer, 16, [5], "timeout")
        self.assertIn("0.2 s", answer.errors[0]["message"])
        self.assertIn("t.py", answer.errors[0]["traceback"])

    def test_harmless_batch(self):
        answer = self.run_careful("def f(b): return b\n")
        self.check(answer, 256, [])
        self.assertEqual(answer.calls, 2)

    def test_exceptions_and_crashes(self):
        code = """
            import os
            def f(b):
                for x in b["x"]:
                    if x == 3: raise ValueError("three")
                    if x == 7: os.kill(os.getpid(), 11)
                return b
        """
        answer = self.run_careful(code, 16)
        self.check(answer, 16, [3, 7])
        self.assertEqual([error["stage"] for error in answer.errors], ["python", "crash"])

    def test_too_many_killers(self):
        answer = self.run_careful("import os\ndef f(b):\n  if (b['x'] < 64).any(): os._exit(1)\n  return b\n")
        found = [error["row"] for error in answer.errors]
        self.assertEqual(found, list(range(64)))
        self.assertIn("not isolated", answer.errors[-1]["message"])
        self.assertEqual(answer.rows["x"].to_pylist(), list(range(64, 256)))

    def test_all_rows_kill(self):
        answer = self.run_careful("import os\ndef f(b): os._exit(1)\n", 32)
        self.assertEqual((answer.rows.num_rows, len(answer.errors)), (0, 32))

    def test_probes_do_not_print_stacks(self):
        worker = self.ready(self.killer(5), IDS)
        worker.run(ids(256), mode=_protocol.CAREFUL)
        self.assertNotIn("Fatal Python error", worker.err.text)


if __name__ == "__main__":
    unittest.main()
