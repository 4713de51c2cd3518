"""The zygote: one process per environment that imports the packages once and forks the workers.

`windlass-worker` starts it as `python -P -m windlass._zygote` with the control socket as stdin. It
imports packages but never user code and starts no thread, so that a fork of it is sound. It alone
signals and reaps workers, which keeps process ids from being mistaken for others. When its socket
ends, so does everything below it: workers, what they started, and what those left behind.
"""

from __future__ import annotations

import sys

if not sys.flags.safe_path and sys.path and sys.path[0] == __import__("os").getcwd():
    # Started without -P: a file of the project must not stand in for a module of Python.
    del sys.path[0]

import contextlib
import gc
import os
import select
import signal
import time
import warnings
from typing import Any, NoReturn

from windlass import _packages, _process, _protocol
from windlass._protocol import Channel, Frame

# One thread in BLAS while the zygote imports it: threads do not survive a fork.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)
# KiB that pyarrow's allocator reserves at a time. Its own choice, a gigabyte, makes every memory limit
# that much too generous, and fails below one.
_ARENA = ("MIMALLOC_ARENA_RESERVE", "65536")
_LAST_EFFORT_SECONDS = 5.0


class Zygote:
    """Forks workers on request and reports how they end."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.workers: dict[int, int] = {}
        self.ids: dict[int, int] = {}
        self.preloaded: set[str] = set()
        self.wake, wake_writer = os.pipe()
        self.wake_writer = wake_writer
        for fd in (self.wake, wake_writer):
            os.set_blocking(fd, False)

    def serve(self) -> None:
        """Answers frames until the socket ends or asks to stop. Blocks."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake_writer, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self.channel.sock, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self.wake in ready:
                self._drain_wake()
                self.reap()
            if self.channel.sock.fileno() in ready:
                frame = self.channel.receive()
                if frame is None or frame.op == _protocol.STOP_ALL:
                    return
                self.handle(frame)

    def handle(self, frame: Frame) -> None:
        """Does what a frame asks for."""
        if frame.op == _protocol.SPAWN:
            self.spawn(frame)
        elif frame.op == _protocol.KILL:
            pid = self.workers.get(frame.slot)
            if pid is not None:
                os.kill(pid, frame.a)
        else:
            raise _protocol.ProtocolError(f"the zygote knows no operation {frame.op}")

    def spawn(self, frame: Frame) -> None:
        """Starts a worker and says which process it is."""
        request = _protocol.parse_json(frame.tail)
        if len(frame.fds) != 3:
            raise _protocol.ProtocolError(f"SPAWN came with {len(frame.fds)} descriptors, not 3")
        execute = bool(frame.flags & _protocol.SPAWN_EXEC)
        if not execute:
            self.preload(request.get("preload") or [])
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as err:
            pid = None
            os.write(2, f"windlass: cannot start a worker: {err.strerror}\n".encode())
        if pid == 0:
            self._become_worker(parent, request, frame.fds, execute)
        for fd in frame.fds:
            os.close(fd)
        if pid is None:
            self.channel.send(_protocol.frame(_protocol.EXITED, slot=frame.slot, a=os.EX_OSERR))
            return
        self.workers[frame.slot] = pid
        self.ids[pid] = frame.slot
        self.channel.send(_protocol.frame(_protocol.STARTED, slot=frame.slot, a=pid))

    def preload(self, names: list[str]) -> None:
        """Imports packages that the next workers need, once. A failure is the worker's to report.

        pandas is always among them: pyarrow imports it, where it is installed, at its first
        conversion, and each worker would do so for itself.
        """
        for name in (*names, "pandas"):
            if name in self.preloaded or name not in _packages.OLDEST:
                continue
            self.preloaded.add(name)
            with single_threaded(), contextlib.suppress(Exception):
                __import__(name)
            gc.collect()
            gc.freeze()

    def _become_worker(self, parent: int, request: dict[str, Any], fds: list[int], execute: bool) -> NoReturn:
        status = 1
        try:
            _process.die_with(parent)
            # A group of its own: what the worker starts is killed with it.
            os.setpgid(0, 0)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self.channel.sock.close()
            os.close(self.wake)
            os.close(self.wake_writer)
            status = _enter_worker(request, fds, execute)
        except BaseException:
            # Standard error is the worker's pipe by now, or the zygote's if that failed.
            sys.excepthook(*sys.exc_info())
        finally:
            _process.flush_streams()
            os._exit(status)

    def reap(self) -> None:
        """Collects every process that has ended, and kills what a worker leaves in its group."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            worker = self.ids.pop(pid, None)
            if worker is not None:
                # Before the worker is reaped, so that its id cannot have been given to others.
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            if worker is not None:
                del self.workers[worker]
                self._report_exit(worker, ended.si_code, ended.si_status)

    def _report_exit(self, worker: int, how: int, status: int) -> None:
        exited = how == os.CLD_EXITED
        code, number = (status, 0) if exited else (0, status)
        self.channel.send(_protocol.frame(_protocol.EXITED, slot=worker, a=code, b=number))

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self.wake, 512):
                pass


def _enter_worker(request: dict[str, Any], fds: list[int], execute: bool) -> int:
    control, out, err = fds
    os.dup2(control, 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for fd in fds:
        os.close(fd)
    threads = str(max(1, int(request.get("cpus") or 1)))
    environment = dict.fromkeys(_THREAD_VARIABLES, threads)
    environment.update(request.get("env") or {})
    if execute:
        command = [sys.executable, "-P", "-m", "windlass._worker"]
        os.execve(sys.executable, command, {**os.environ, **environment})
    os.environ.update(environment)
    from windlass import _worker

    return _worker.main()


@contextlib.contextmanager
def single_threaded() -> Any:
    """Sets the variables that keep BLAS and others from starting threads while they are imported."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def kill_everything() -> None:
    """Kills every descendant: orphans become our children, so round after round finds the rest."""
    deadline = time.monotonic() + _LAST_EFFORT_SECONDS
    while time.monotonic() < deadline:
        for pid in _process.children():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)


def prepare() -> dict[str, Any]:
    """Imports what all workers need and returns what the engine is told about it."""
    if sys.version_info < (3, 11):  # noqa: UP036
        version = ".".join(str(part) for part in sys.version_info[:3])
        message = f'Python {version} is too old: ask for `requires-python = ">=3.11"`'
        raise _packages.PackageError("python", message)
    os.environ.setdefault(*_ARENA)
    with single_threaded():
        _packages.require_pyarrow()
        with contextlib.suppress(ImportError):
            import numpy  # noqa: F401
        _import_worker()
    return {
        "pid": os.getpid(),
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "packages": _packages.versions(),
    }


def _import_worker() -> None:
    from windlass import _worker  # noqa: F401


def main() -> NoReturn:
    """Runs the zygote on the control socket at descriptor 0."""
    channel = Channel(_process.take_control_socket(0))
    # The engine decides what a Ctrl-C means; workers take stack dumps on SIGUSR1 once they run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _process.become_subreaper()
    # Python 3.12 warns about forks beside pyarrow's memory-trimming thread, which takes no lock.
    warnings.filterwarnings("ignore", message=".*multi-threaded.*fork.*", category=DeprecationWarning)
    try:
        ready = prepare()
    except _packages.PackageError as err:
        tail = _protocol.pack_json({"kind": err.kind, "message": str(err)})
        channel.send(_protocol.frame(_protocol.ZYGOTE_FAILED, tail=tail))
        os._exit(1)
    gc.collect()
    gc.freeze()
    status = 0
    try:
        channel.send(_protocol.frame(_protocol.ZYGOTE_READY, a=_protocol.VERSION, tail=_protocol.pack_json(ready)))
        zygote = Zygote(channel)
        zygote.serve()
    except (OSError, SystemExit):
        # The engine is gone; there is nobody to tell.
        status = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        kill_everything()
        os._exit(status)


if __name__ == "__main__":
    main()
