"""What processes take: one command to its end, or a tree of processes that stays."""

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from common.processes import TICKS, Process, adopt_orphans, orphans_cpu_s, tree_ticks

SAMPLE_SECONDS = 0.1


@dataclass
class Measurement:
    """One run of a plan. `udf_s` is given where the function's share was measured by itself."""

    whole_s: float
    cpu_s: float
    udf_s: float | None = None
    udf_cpu_s: float | None = None
    # The share of the node in `windlass run`, without the start of the process.
    node_s: float | None = None


class CommandError(Exception):
    """A command failed; the text is the end of what it said."""


def measure(command: list[str], environment: dict[str, str], output: Path) -> Measurement:
    """Runs a command to its end; what it prints goes to `output`, errors to a file beside it."""
    adopt_orphans()
    errors = output.with_suffix(".err")
    with output.open("wb") as printed, errors.open("wb") as complaints:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=printed, stderr=complaints, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        whole_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise CommandError((errors.read_text(errors="replace") + output.read_text(errors="replace"))[-4000:])
    return Measurement(whole_s, usage.ru_utime + usage.ru_stime + orphans_cpu_s())


def end_orphans() -> None:
    """Kills and awaits all that a session left behind. Call it only where nothing else runs."""
    adopted = tree_ticks(os.getpid())
    for pid, _ in adopted:
        if pid != os.getpid():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    orphans_cpu_s()


class CpuMeter:
    """Adds up the CPU seconds of a process and all its descendants while a block runs.

    Processes are sampled: what one does after its last sample is missed if it ends within the
    block. Waiting for children would not do, Ray leaves its own to the kernel.
    """

    def __init__(self, root: int) -> None:
        self.root = root
        self.first: dict[Process, int] = {}
        self.last: dict[Process, int] = {}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.sample_often, daemon=True)

    def __enter__(self) -> "CpuMeter":
        self.first = tree_ticks(self.root)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        self.last |= tree_ticks(self.root)

    def sample_often(self) -> None:
        while not self.over.wait(SAMPLE_SECONDS):
            self.last |= tree_ticks(self.root)

    def seconds(self) -> float:
        return sum(ticks - self.first.get(process, 0) for process, ticks in self.last.items()) / TICKS
