"""What `/proc` says about a process and its descendants: who they are, what they hold, what they took."""

import ctypes
import os
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
PR_SET_CHILD_SUBREAPER = 36

Process = tuple[int, str]
"""An id and when it began, in ticks: ids are used again."""


def adopt_orphans() -> None:
    """Makes descendants whose parent ends (the JVM of PySpark) children of this process."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "cannot adopt orphans")


def orphans_cpu_s() -> float:
    """Waits for what a command left behind and returns its CPU seconds."""
    total_s = 0.0
    while True:
        try:
            _, _, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return total_s
        total_s += usage.ru_utime + usage.ru_stime


def children() -> dict[int, list[int]]:
    """Returns the children of each process."""
    found: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        fields = stat_fields(int(entry)) if entry.isdigit() else []
        if fields:
            found.setdefault(int(fields[1]), []).append(int(entry))
    return found


def tree(root: int) -> list[int]:
    """Returns a process and all its descendants."""
    below = children()
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += below.get(pid, [])
    return found


def tree_ticks(root: int) -> dict[Process, int]:
    """Returns the CPU ticks of a process and its descendants."""
    found = {}
    for pid in tree(root):
        fields = stat_fields(pid)
        if fields:
            found[pid, fields[19]] = int(fields[11]) + int(fields[12])
    return found


def resident_bytes(pid: int) -> int:
    """Returns the resident bytes of one process, 0 where it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0


def stat_fields(pid: int) -> list[str]:
    """Returns the fields of `/proc/PID/stat` from the state on; none where the process has ended."""
    try:
        # The command's name stands in brackets and may hold anything, brackets too.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
