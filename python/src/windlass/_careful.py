"""Finds the rows that kill the process: by a crash, by never ending, by taking all memory.

Each probe forks the loaded worker, and the fork works on a slice as the worker would. If it dies,
the slice is halved; a single row that kills its probe is an error row. The results of probes are
thrown away: the rows that are left run in the worker afterwards.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from windlass import _process
from windlass._failure import TRACEBACK_BYTES, clip

# Rows that may kill their probe before the rest of their segment is given up.
MAX_KILLERS = 8
_OK, _NO_MEMORY = b"k", b"m"
_DUMP_SECONDS = 0.2


@dataclass(slots=True)
class Death:
    """How a probe died."""

    stage: str
    error_type: str
    message: str
    traceback: str = ""


@dataclass(slots=True)
class Killers:
    """Rows that kill, each with how, and the probes it took."""

    rows: dict[int, tuple[Death, int]]
    probes: int


def find_killers(attempt: Callable[[int, int], None], rows: int, timeout_ms: int) -> Killers:
    """Returns the rows that kill a process which calls `attempt(start, stop)` on them."""
    found = Killers({}, 0)
    alone = 0
    stack = [(0, rows, 0)]
    while stack:
        start, stop, before = stack.pop()
        found.probes += 1
        death = _probe(attempt, start, stop, timeout_ms)
        if death is None:
            continue
        if stop - start == 1:
            alone += 1
            found.rows[start] = (death, before + 1)
        elif alone >= MAX_KILLERS:
            death.message = f"not isolated, one of {stop - start} rows: {death.message}"
            for row in range(start, stop):
                found.rows[row] = (death, before + 1)
        else:
            middle = (start + stop) // 2
            stack.append((middle, stop, before + 1))
            stack.append((start, middle, before + 1))
    return found


def _probe(attempt: Callable[[int, int], None], start: int, stop: int, timeout_ms: int) -> Death | None:
    """Works on rows in a fork and returns how it died, or `None` if it lived."""
    _process.flush_streams()
    reader, writer = os.pipe()
    dump = os.memfd_create("windlass-stack") if stop - start == 1 else None
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _live(attempt, (start, stop), (parent, writer, dump))
    os.close(writer)
    try:
        timed_out = not _wait(pid, timeout_ms, dump is not None)
        status = os.waitpid(pid, 0)[1]
        # Another process that user code left running may hold the pipe: never wait for its end.
        os.set_blocking(reader, False)
        word = b""
        with contextlib.suppress(BlockingIOError):
            word = os.read(reader, 1)
        return _verdict(word, status, timed_out, timeout_ms, _read_dump(dump))
    finally:
        os.close(reader)
        if dump is not None:
            os.close(dump)


def _live(attempt: Callable[[int, int], None], rows: tuple[int, int], ties: tuple[int, int, int | None]) -> NoReturn:
    """Is the fork: works on rows, says that it lived, and ends."""
    parent, writer, dump = ties
    word = b""
    try:
        _process.die_with(parent)
        if dump is None:
            # The stack of a whole slice's crash would be printed for every halving.
            faulthandler.disable()
        else:
            faulthandler.enable(file=dump, all_threads=False)
            faulthandler.register(signal.SIGUSR1, file=dump, all_threads=False)
        attempt(*rows)
        word = _OK
    except MemoryError:
        word = _NO_MEMORY
    except BaseException:
        # An exception kills nobody: the worker tells its rows apart later.
        word = _OK
    finally:
        _process.flush_streams()
        with contextlib.suppress(OSError):
            os.write(writer, word)
        os._exit(0)


def _wait(pid: int, timeout_ms: int, with_stack: bool) -> bool:
    """Waits for the fork's end and kills it after the timeout; returns whether it ended by itself."""
    if not timeout_ms:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return True
    process = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(process, select.POLLIN)
        deadline = time.monotonic() + timeout_ms / 1000
        while (left := deadline - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                return True
        if with_stack:
            os.kill(pid, signal.SIGUSR1)
            poll.poll(_DUMP_SECONDS * 1000)
        os.kill(pid, signal.SIGKILL)
        return False
    finally:
        os.close(process)


def _verdict(word: bytes, status: int, timed_out: bool, timeout_ms: int, stack: str) -> Death | None:
    if timed_out:
        message = f"worked on this row for longer than the timeout of {timeout_ms / 1000:g} s"
        return Death("timeout", "Timeout", message, stack)
    if word == _OK:
        return None
    if word == _NO_MEMORY:
        return Death("memory", "MemoryError", "worked on this row and ran out of the worker's memory", stack)
    if os.WIFSIGNALED(status):
        name = _process.signal_name(os.WTERMSIG(status))
        cause = ", perhaps for want of memory" if name == "SIGKILL" else ""
        return Death("crash", name, f"the worker was killed by {name} while it worked on this row{cause}", stack)
    code = os.waitstatus_to_exitcode(status)
    return Death("crash", "Exit", f"the worker ended itself with exit code {code} while it worked on this row", stack)


def _read_dump(dump: int | None) -> str:
    if dump is None:
        return ""
    data = os.pread(dump, 64 * 1024, 0)
    lines = data.decode("utf-8", "replace").splitlines()
    ours = os.path.dirname(os.path.abspath(__file__)) + os.sep
    return clip("\n".join(line for line in lines if ours not in line), TRACEBACK_BYTES)
