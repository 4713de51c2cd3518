"""What processes take: one command to its end, or a tree of processes that stays."""

import ctypes
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.1
PR_SET_CHILD_SUBREAPER = 36


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


def adopt_orphans() -> None:
    """Makes descendants whose parent ends children of this process."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot adopt orphans")


def end_orphans() -> None:
    """Kills and awaits all that a session left behind. Call it only where nothing else runs."""
    adopted = tree_ticks(os.getpid())
    for pid, _ in adopted:
        if int(pid) != os.getpid():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    orphans_cpu_s()


def orphans_cpu_s() -> float:
    """Waits for what a command left behind and returns its CPU seconds."""
    total_s = 0.0
    while True:
        try:
            _, _, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return total_s
        total_s += usage.ru_utime + usage.ru_stime


class CpuMeter:
    """Adds up the CPU seconds of a process and all its descendants while a block runs.

    Processes are sampled: what one does after its last sample is missed if it ends within the
    block. Waiting for children would not do, Ray leaves its own to the kernel.
    """

    def __init__(self, root: int) -> None:
        self.root = root
        self.first: dict[tuple[str, str], int] = {}
        self.last: dict[tuple[str, str], int] = {}
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


def tree_ticks(root: int) -> dict[tuple[str, str], int]:
    """Returns the CPU ticks of a process and its descendants, by id and start."""
    children: dict[str, list[str]] = {}
    stats: dict[str, list[str]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = stat_fields(entry)
            if fields:
                children.setdefault(fields[1], []).append(entry)
                stats[entry] = fields
    found, waiting = {}, [str(root)]
    while waiting:
        pid = waiting.pop()
        if pid in stats:
            found[pid, stats[pid][19]] = int(stats[pid][11]) + int(stats[pid][12])
        waiting += children.get(pid, [])
    return found


def stat_fields(pid: str) -> list[str]:
    """Returns the fields of `/proc/PID/stat` from the state on; none where the process has ended."""
    try:
        # The command's name stands in brackets and may hold anything, brackets too.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
