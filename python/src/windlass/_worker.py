"""A worker: answers batches with what user code makes of them.

Forked by the zygote, or started by it as `python -P -m windlass._worker`; its control socket is
descriptor 0 at first, its standard streams are pipes that the engine reads. One batch at a time, no
threads of its own. A reply is sent once its result lies in an output slot; if the slot is too
small, the result waits here for a larger one and further batches wait behind it.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import gc
import os
import signal
import sys
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any

from windlass import _context, _init, _process, _protocol
from windlass._careful import find_killers
from windlass._failure import Failed, describe, failure, text_of
from windlass._output import kept_rows
from windlass._program import ErrorRow, Outcome, Program
from windlass._protocol import Channel, Frame, ProtocolError, Run
from windlass._reply import MOST_BYTES, Replies, Reply, too_large
from windlass._slots import Slots

# Slots that stay pinned before unreachable cycles are looked for.
_PINNED = 8


class Worker:
    """The loop around one program."""

    def __init__(self, channel: Channel, program: Program, hello: _init.Hello) -> None:
        self.channel = channel
        self.program = program
        self.schema = hello.inputs
        self.replies = Replies(hello.outputs)
        self.slots = Slots()
        self.pending: Reply | None = None
        self.waiting: deque[Run] = deque()
        self.pinned: set[int] = set()
        self.collect_at = _PINNED
        self.stopped = False
        self.handlers: dict[int, Callable[[Frame], None]] = {
            _protocol.RUN: self.on_run,
            _protocol.MAP: self.slots.map,
            _protocol.GROWN: self.on_grown,
            _protocol.FORGET: self.on_forget,
            _protocol.PING: self.on_ping,
            _protocol.STOP: self.on_stop,
        }

    def serve(self) -> None:
        """Answers frames until the engine says stop or is gone. Blocks."""
        while not self.stopped:
            frame = self.channel.receive()
            if frame is None:
                return
            handler = self.handlers.get(frame.op)
            if handler is None:
                raise ProtocolError(f"a worker knows no operation {frame.op}")
            handler(frame)

    def on_run(self, frame: Frame) -> None:
        """Answers a batch, or keeps it until the one before it has found its place."""
        run = _protocol.parse_run(frame)
        if self.pending is not None:
            self.waiting.append(run)
        else:
            self.run(run)

    def on_grown(self, frame: Frame) -> None:
        """Writes the result that waited to a larger slot, then goes on with what waited behind it."""
        if self.pending is None:
            raise ProtocolError("GROWN came while no result waits")
        reply, self.pending = self.pending, None
        self.settle(lambda: reply, (reply.slot, reply.seq), frame.slot)
        while self.waiting and self.pending is None:
            self.run(self.waiting.popleft())

    def on_forget(self, frame: Frame) -> None:
        """Drops a slot."""
        self.slots.forget(frame.slot)
        self.pinned.discard(frame.slot)

    def on_ping(self, frame: Frame) -> None:
        """Says that the worker is alive, and which slots it no longer needs."""
        released = self.released()
        tail = b"".join(slot.to_bytes(4, "little") for slot in released)
        self.channel.send(_protocol.frame(_protocol.PONG, n=len(released), b=frame.b, tail=tail))

    def on_stop(self, _frame: Frame) -> None:
        """Ends the loop."""
        self.stopped = True

    def run(self, run: Run) -> None:
        """Answers a batch."""
        self.settle(lambda: self.answer(run), (run.slot, run.seq), run.output)

    def answer(self, run: Run) -> Reply:
        """Returns the reply to a batch; what it needs of the input is kept by the reply alone."""
        slot = self.slots.inputs.get(run.slot)
        if slot is None:
            raise ProtocolError(f"RUN names input slot {run.slot}, which is not mapped")
        batch = slot.batch(run.size, self.schema)
        whole = run.rows == _protocol.ALL_ROWS and not run.first
        if not whole:
            batch = batch.slice(run.first, None if run.rows == _protocol.ALL_ROWS else run.rows)
        if run.mode == _protocol.CAREFUL and self.program.isolate and batch.num_rows:
            outcome = self.careful(batch, run.probe_timeout_ms)
        else:
            outcome = self.program.run(batch, whole)
        if run.first:
            outcome.errors = [error._replace(row=error.row + run.first) for error in outcome.errors]
        return self.replies.reply(outcome, run.slot, run.seq)

    def careful(self, batch: Any, timeout_ms: int) -> Outcome:
        """Finds the rows that kill workers in forks of this one, then works on the others."""

        def attempt(start: int, stop: int) -> None:
            self.program.run(batch.slice(start, stop - start), False)

        killers = find_killers(attempt, batch.num_rows, timeout_ms)
        if not killers.rows:
            outcome = self.program.run(batch, False)
            outcome.calls += killers.probes
            return outcome
        kept = [row for row in range(batch.num_rows) if row not in killers.rows]
        outcome = self.program.run(batch.filter(kept_rows(batch.num_rows, killers.rows)), False)
        outcome = self.program.among(outcome, kept, batch.num_rows)
        errors = [error._replace(row=kept[error.row]) for error in outcome.errors]
        for row, (death, attempts) in killers.rows.items():
            errors.append(ErrorRow(row, death.stage, death.error_type, death.message, death.traceback, attempts))
        outcome.errors = errors
        outcome.calls += killers.probes
        return outcome

    def settle(self, make: Callable[[], Reply], name: tuple[int, int], output: int) -> None:
        """Writes a reply and sends it, asks for a larger slot, or says that there is no answer."""
        failed = None
        try:
            reply = make()
            needs = self.write(reply, output)
        except ProtocolError:
            raise
        except BaseException as err:
            failed = told(err)
        if failed is not None:
            self.fail(name, *failed)
        elif needs:
            self.pending = reply
            self.channel.send(_protocol.frame(_protocol.NEED, slot=reply.slot, a=needs, b=reply.seq))
        else:
            own, released = self.ended(reply.slot)
            _process.flush_streams()
            self.channel.send(reply.done(own, released))

    def write(self, reply: Reply, output: int) -> int:
        """Writes a reply to a slot; returns the bytes it needs if there are not enough."""
        if reply.fresh is None and reply.errors is None:
            return 0
        slot = self.slots.outputs.get(output)
        if slot is None:
            raise ProtocolError(f"output slot {output} is not mapped")
        needs = reply.needs(slot)
        if needs > MOST_BYTES:
            raise Failed(too_large(needs))
        if needs > slot.size:
            return needs
        reply.write(slot)
        return 0

    def fail(self, name: tuple[int, int], why: dict[str, Any], recycle: bool) -> None:
        """Says that the batch of that slot and number has no answer."""
        slot, seq = name
        own, released = self.ended(slot)
        flags = (_protocol.INPUT_RELEASED if own else 0) | (_protocol.RECYCLE if recycle else 0)
        tail = b"".join(ended.to_bytes(4, "little") for ended in released) + failure_tail(why)
        _process.flush_streams()
        self.channel.send(_protocol.frame(_protocol.ERR, flags=flags, n=len(released), slot=slot, b=seq, tail=tail))

    def ended(self, slot: int) -> tuple[bool, list[int]]:
        """Returns whether nothing views `slot` any more, and the other slots of which that holds."""
        released = self.released()
        if slot in released:
            released.remove(slot)
            return True, released
        self.pinned.add(slot)
        if len(self.pinned) < self.collect_at:
            return False, released
        # User code may hold the batches, or a cycle such as an exception's frames.
        gc.collect()
        released += self.released()
        self.collect_at = max(_PINNED, 2 * len(self.pinned))
        own = slot in released
        if own:
            released.remove(slot)
        return own, released

    def released(self) -> list[int]:
        """Returns the slots that nothing views any more, each once."""
        released = self.slots.released()
        if released:
            self.pinned.difference_update(released)
        return released


def told(err: BaseException) -> tuple[dict[str, Any], bool]:
    """Returns why a batch has no answer, and whether the worker is better replaced."""
    if isinstance(err, Failed):
        return err.failure, err.recycle
    if isinstance(err, MemoryError):
        return describe(err, "memory"), True
    message = f"Windlass cannot pass the result on: {text_of(err)}"
    return failure("exception", type(err).__name__, message, traceback.format_exc()), False


def failure_tail(why: dict[str, Any]) -> bytes:
    """Returns a failure as JSON that fits a frame: escapes can make six bytes of one."""
    tail = _protocol.pack_json(why)
    while len(tail) > _protocol.MAX_JSON // 2:
        trace, message = why["traceback"], why["message"]
        why = {**why, "traceback": trace[len(trace) // 2 + 1 :], "message": message[: max(200, len(message) // 2)]}
        tail = _protocol.pack_json(why)
    return tail


def start(channel: Channel) -> Worker | None:
    """Makes the worker that `HELLO` asks for and says whether it is ready."""
    frame = channel.receive()
    if frame is None:
        return None
    if frame.op != _protocol.HELLO:
        raise ProtocolError(f"a worker was greeted with operation {frame.op}")
    begun = time.perf_counter()
    hello = _init.Hello(frame)
    try:
        program = _init.prepare(hello)
    except _init.InitError as err:
        why = err.failure
    except BaseException as err:
        why = describe(err, "construct")
    else:
        gc.collect()
        # What was loaded stays: later collections need not look at it, and forks share it.
        gc.freeze()
        _process.flush_streams()
        tail = _protocol.pack_json({"init_ms": round((time.perf_counter() - begun) * 1000, 3)})
        ready = _protocol.frame(_protocol.READY, a=_process.data_bytes(), b=os.getpid(), tail=tail)
        channel.send(ready)
        return Worker(channel, program, hello)
    _process.flush_streams()
    channel.send(_protocol.frame(_protocol.INIT_FAILED, tail=failure_tail(why)))
    return None


def main() -> int:
    """Runs a worker on the control socket at descriptor 0 and returns its exit code."""
    channel = Channel(_process.take_control_socket(0))
    _process.open_streams()
    faulthandler.enable(file=2, all_threads=True)
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
    # A fork by user code must not answer for us.
    os.register_at_fork(after_in_child=channel.sock.close)
    # Python 3.12 warns about forks beside other threads; probes and user code may fork.
    warnings.filterwarnings("ignore", message=".*multi-threaded.*fork.*", category=DeprecationWarning)
    sys.argv = ["windlass"]
    me = os.getpid()
    try:
        worker = start(channel)
        if worker is None:
            return 1
        worker.serve()
        # Handlers refer to the worker: the user's object has to be let go by name to be deleted.
        del worker.program
        _context.close_batch("the worker ends")
    except ProtocolError as err:
        print(f"windlass: {err}", file=sys.stderr)
        return os.EX_PROTOCOL
    except OSError as err:
        # The engine is gone, or this is a fork of user code that came back here.
        if os.getpid() == me and not isinstance(err, (BrokenPipeError, ConnectionResetError)):
            print(f"windlass: the control socket fails: {err}", file=sys.stderr)
        os._exit(1)
    # What user code registered to run at the end, such as the flush of a log.
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    return 0


if __name__ == "__main__":
    from windlass._worker import main as run_worker

    status = run_worker()
    _process.flush_streams()
    os._exit(status)
