"""Runs one command in a process of its own and measures it with all its descendants."""

import ctypes
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.05
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Measurement:
    """What one run of a command took, descendants included."""

    exit_code: int
    wall_s: float
    cpu_s: float
    peak_bytes: int


def measure(command: list[str], log: Path) -> Measurement:
    """Runs `command` to its end; what it prints goes to `log`."""
    adopt_orphans()
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        peak_bytes = 0
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak_bytes = max(peak_bytes, tree_bytes(process.pid), highest_bytes(process.pid))
            time.sleep(SAMPLE_SECONDS)
        wall_s = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s = usage.ru_utime + usage.ru_stime + orphans_cpu_s()
    return Measurement(process.returncode, wall_s, cpu_s, peak_bytes)


def adopt_orphans() -> None:
    """Makes descendants whose parent ends (the JVM of PySpark) children of this process."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot adopt orphans")


def orphans_cpu_s() -> float:
    """Waits for what the command left behind and returns its CPU seconds."""
    total_s = 0.0
    while True:
        try:
            _, _, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return total_s
        total_s += usage.ru_utime + usage.ru_stime


def tree_bytes(root: int) -> int:
    """Returns the resident bytes of a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            children.setdefault(parent_of(entry), []).append(int(entry))
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        total += resident_bytes(pid)
        waiting += children.get(pid, [])
    return total


def parent_of(pid: str) -> int:
    """Returns the parent's id, or -1 where the process has ended."""
    try:
        # The command's name stands in brackets and may hold anything, brackets too.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1


def resident_bytes(pid: int) -> int:
    """Returns the resident bytes of one process, 0 where it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


def highest_bytes(pid: int) -> int:
    """Returns the most that one process has held so far, between samples too.

    `ru_maxrss` does not serve: it also counts what this process held when it forked.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else 0
