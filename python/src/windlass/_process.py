"""What zygote and workers do to their own process: descriptors, signals, streams, limits.

Linux only, standard library only. Nothing here may start a thread.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def die_with(parent: int) -> None:
    """Has the kernel kill this process when its parent dies; exits if `parent` is dead already."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def become_subreaper() -> None:
    """Makes orphans among the descendants children of this process, so that none is lost."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def take_control_socket(fd: int = 0) -> socket.socket:
    """Moves the control socket at `fd` out of the way of user code and puts `/dev/null` in its place.

    The socket closes on exec: a subprocess of user code that held it would hide our death.
    """
    high = _duplicate_high(fd)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, fd)
    os.close(null)
    return socket.socket(fileno=high)


def _duplicate_high(fd: int) -> int:
    import fcntl

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    lowest = 200 if limit == resource.RLIM_INFINITY or limit > 256 else 10
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)


def open_streams() -> None:
    """Gives `print` fresh streams on descriptors 1 and 2 that pass on every line when it ends."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        stream = open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def flush_streams() -> None:
    """Passes on what user code printed without a line end."""
    # User code may have closed or replaced them, and the reader may be gone.
    try:
        sys.stdout.flush()
    except Exception:
        pass
    try:
        sys.stderr.flush()
    except Exception:
        pass


def limit_memory(limit: int) -> None:
    """Lets the process allocate `limit` bytes beyond what it has; more raises `MemoryError`."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = data_bytes() + limit
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def data_bytes() -> int:
    """Returns the size of the process's private writable memory, mapped or not (`VmData`)."""
    with open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"VmData:"):
                return int(line.split()[1]) * 1024
    return 0


def children() -> list[int]:
    """Returns the processes whose parent is this one, zombies included."""
    me = os.getpid()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and _parent(entry) == me:
            found.append(int(entry))
    return found


def _parent(pid: str) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            # The name stands in parentheses and may hold anything; state and parent follow it.
            return int(stat.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def signal_name(number: int) -> str:
    """Returns a signal's name, such as `SIGSEGV`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
