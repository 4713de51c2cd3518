"""Plays the engine: starts a zygote and workers and speaks the protocol with them."""

import contextlib
import json
import mmap
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "src"))

import numpy as np
import pyarrow as pa
from pyarrow import ipc

from windlass import _protocol
from windlass._program import Transform

SOURCE = str(pathlib.Path(_protocol.__file__).parents[1])
SLOT = 1 << 18


class Answer:
    """What a worker said about a batch."""

    def __init__(self, rows=None, errors=(), failure=None, flags=0, calls=0, sources=(), released=(), needed=0):
        self.rows = rows
        self.errors = list(errors)
        self.failure = failure
        self.flags = flags
        self.calls = calls
        self.sources = list(sources)
        self.released = list(released)
        self.needed = needed


class WorkerDied(Exception):
    """The control socket ended."""


def memfd(data=b"", size=None):
    fd = os.memfd_create("test")
    os.ftruncate(fd, max(1, size or len(data)))
    if data:
        os.pwrite(fd, data, 0)
    return fd


def receive(sock):
    data, fds, _, _ = socket.recv_fds(sock, 1 << 16, 4)
    for fd in fds:
        os.close(fd)
    if len(data) < 24:
        raise WorkerDied
    return _protocol.HEADER.unpack_from(data), data[24:]


class Pipe:
    """Collects what comes out of a pipe."""

    def __init__(self):
        self.reader, self.writer = os.pipe()
        self.data = b""
        self.thread = threading.Thread(target=self._drain, daemon=True)
        self.thread.start()

    def _drain(self):
        with contextlib.suppress(OSError):
            while chunk := os.read(self.reader, 65536):
                self.data += chunk

    @property
    def text(self):
        return self.data.decode(errors="replace")

    def wait_for(self, text, seconds=5):
        deadline = time.monotonic() + seconds
        while text not in self.text and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.text


class Zygote:
    """A zygote process and the workers it made."""

    def __init__(self, env=None):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock = ours
        self.sock.settimeout(60)
        self.err = Pipe()
        environment = {**os.environ, "PYTHONPATH": SOURCE, **(env or {})}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "windlass._zygote"],
            stdin=theirs,
            stdout=self.err.writer,
            stderr=self.err.writer,
            env=environment,
        )
        theirs.close()
        os.close(self.err.writer)
        header, tail = receive(self.sock)
        self.ready = (header, json.loads(tail))
        self.next_id = 1
        self.exits = {}
        self.workers = []

    def spawn(self, init, inputs, outputs, constants=None, flags=0, env=None, preload=()):
        """Returns a worker that has answered HELLO."""
        worker = Worker(self, self.next_id, inputs, outputs)
        self.next_id += 1
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        worker.sock = ours
        ours.settimeout(60)
        tail = json.dumps({"env": env or {}, "preload": list(preload), "cpus": 1}).encode()
        frame = _protocol.frame(_protocol.SPAWN, flags=flags, slot=worker.id, tail=tail)
        socket.send_fds(self.sock, [frame], [theirs.fileno(), worker.out.writer, worker.err.writer])
        theirs.close()
        os.close(worker.out.writer)
        os.close(worker.err.writer)
        header = self.receive(_protocol.STARTED)
        worker.pid = header[4]
        self.workers.append(worker)
        worker.hello(init, constants)
        return worker

    def kill(self, worker, number=9):
        self.sock.send(_protocol.frame(_protocol.KILL, slot=worker.id, a=number))

    def receive(self, op):
        while True:
            header, _ = receive(self.sock)
            if header[0] == op:
                return header
            assert header[0] == _protocol.EXITED, header
            self.exits[header[3]] = header[4], header[5]

    def exited(self, worker):
        """Returns exit code and signal of a worker."""
        while worker.id not in self.exits:
            header, _ = receive(self.sock)
            assert header[0] == _protocol.EXITED, header
            self.exits[header[3]] = header[4], header[5]
        return self.exits[worker.id]

    def close(self):
        self.sock.close()
        for worker in self.workers:
            worker.close()
        return self.process.wait(20)


class Worker:
    """One worker, with slots."""

    def __init__(self, zygote, number, inputs, outputs):
        self.zygote = zygote
        self.id = number
        self.inputs = inputs
        self.outputs = outputs
        self.out, self.err = Pipe(), Pipe()
        self.next_slot = 0
        self.free, self.busy, self.maps = [], set(), {}
        self.seq = 0
        self.abandon_at = None

    def hello(self, init, constants):
        outputs = self.outputs.serialize().to_pybytes()
        constant = b""
        if constants is not None:
            sink = pa.BufferOutputStream()
            with ipc.new_stream(sink, constants.schema) as stream:
                stream.write_batch(constants)
            constant = sink.getvalue().to_pybytes()
        init = {**init, "output_schema_bytes": len(outputs), "constants_bytes": len(constant)}
        data, inputs = json.dumps(init).encode(), self.inputs.serialize().to_pybytes()
        fd = memfd(data + inputs + outputs + constant)
        frame = _protocol.frame(_protocol.HELLO, slot=_protocol.VERSION, a=len(data), b=len(inputs))
        socket.send_fds(self.sock, [frame], [fd])
        os.close(fd)
        self.ready, tail = receive(self.sock)
        self.init = json.loads(tail)

    def send(self, op, **fields):
        self.sock.send(_protocol.frame(op, **fields))

    def map(self, direction, size):
        slot = self.next_slot
        self.next_slot += 1
        fd = memfd(size=size)
        frame = _protocol.frame(_protocol.MAP, slot=slot, a=size, b=direction)
        socket.send_fds(self.sock, [frame], [fd])
        self.maps[slot] = mmap.mmap(fd, size)
        os.close(fd)
        return slot

    def input_slot(self, size):
        for slot in self.free:
            if len(self.maps[slot]) >= size:
                self.free.remove(slot)
                return slot
        return self.map(0, max(SLOT, 1 << (size - 1).bit_length()))

    def run(self, batch, output_size=SLOT, first=0, rows=_protocol.ALL_ROWS, mode=0, timeout_ms=0):
        """Returns the answer to a batch."""
        seq = self.start(batch, output_size, first, rows, mode, timeout_ms)
        return self.answer(seq)

    def start(self, batch, output_size=SLOT, first=0, rows=_protocol.ALL_ROWS, mode=0, timeout_ms=0):
        data = batch.serialize().to_pybytes()
        slot = self.input_slot(len(data))
        self.maps[slot][: len(data)] = data
        self.busy.add(slot)
        if not hasattr(self, "output") or len(self.maps[self.output]) < output_size:
            self.output = self.map(1, output_size)
        self.seq += 1
        tail = _protocol.RUN_TAIL.pack(self.output, first, rows, mode, timeout_ms)
        self.batches = getattr(self, "batches", {})
        self.batches[self.seq] = batch
        self.send(_protocol.RUN, slot=slot, a=len(data), b=self.seq, tail=tail)
        return self.seq

    def answer(self, seq):
        needed = 0
        while True:
            header, tail = receive(self.sock)
            op, flags, n, slot, a, b = header
            assert b == seq, (header, seq)
            if op == _protocol.NEED:
                needed = a
                self.send(_protocol.FORGET, slot=self.output)
                self.output = self.map(1, 1 << (a - 1).bit_length())
                self.send(_protocol.GROWN, slot=self.output)
                continue
            if op == _protocol.ERR:
                released = list(memoryview(tail[: 4 * n]).cast("I"))
                self.release(slot, flags, released)
                return Answer(failure=json.loads(tail[4 * n :]), flags=flags, released=released)
            assert op == _protocol.DONE, header
            return self.done(header, tail, self.batches.pop(seq), needed)

    def done(self, header, tail, batch, needed):
        _, flags, n, slot, used, _ = header
        rows, offset, size, errors_offset, errors_size, calls, count = _protocol.DONE_TAIL.unpack_from(tail)
        at = _protocol.DONE_TAIL.size
        sources = list(memoryview(tail[at : at + 2 * n]).cast("H"))
        released = list(memoryview(tail[at + 2 * n :]).cast("I"))
        assert len(released) == count
        assert n == len(self.outputs)
        assert offset % 64 == 0 and errors_offset % 64 == 0
        assert used >= size and used >= (errors_offset + errors_size if errors_size else 0)
        content = bytes(self.maps[self.output][:used]) if used else b""
        fresh = iter(())
        if size:
            fields = [self.outputs.field(i) for i, s in enumerate(sources) if s == _protocol.FRESH]
            result = ipc.read_record_batch(pa.py_buffer(content[offset : offset + size]), pa.schema(fields))
            result.validate(full=True)
            assert result.num_rows == rows, (result.num_rows, rows)
            fresh = iter(result.columns)
        columns = [next(fresh) if s == _protocol.FRESH else batch.column(s) for s in sources]
        output = pa.RecordBatch.from_arrays(columns, schema=self.outputs)
        errors = []
        if errors_size:
            with ipc.open_stream(pa.py_buffer(content[errors_offset : errors_offset + errors_size])) as stream:
                errors = stream.read_all().to_pylist()
        self.release(slot, flags, released)
        return Answer(output, errors, None, flags, calls, sources, released, needed)

    def release(self, slot, flags, released):
        for ended in [*released, *([slot] if flags & 1 else [])]:
            if ended in self.busy:
                self.busy.remove(ended)
                self.free.append(ended)
        if self.abandon_at is not None and len(self.busy) > self.abandon_at:
            oldest = min(self.busy)
            self.busy.remove(oldest)
            # The memory is given away: the worker's views keep it.
            self.maps.pop(oldest).close()
            self.send(_protocol.FORGET, slot=oldest)

    def ping(self):
        self.send(_protocol.PING, b=7)
        header, tail = receive(self.sock)
        assert header[0] == _protocol.PONG and header[5] == 7
        released = list(memoryview(tail).cast("I"))
        self.release(0, 0, released)
        return released

    def close(self):
        self.sock.close()


def transform(function, inputs, outputs, **settings):
    """Returns the program of a function of this process."""
    init = {"batch_format": "numpy", "isolate": True, "rowwise": True, "root": os.path.dirname(__file__), **settings}
    return Transform(init, function, inputs, outputs)


def bad_rows(outcome):
    """Returns the places of an outcome's error rows."""
    return sorted(error.row for error in outcome.errors)


class Project:
    """A folder with user code."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = self.folder.name

    def write(self, name, code):
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(code))
        return path

    def transform(self, code, name="f", **settings):
        """Returns the settings of a transform whose file holds `code`."""
        file = self.write("transforms/t.py", code)
        init = {
            "node": "t",
            "worker": 1,
            "role": "transform",
            "file": file,
            "root": self.path,
            "lib": [self.path + "/lib"],
            "object": name,
            "is_class": False,
            "batch_format": "numpy",
            "rows": "one_to_one",
            "mode": "batch",
            "isolate": True,
            "rowwise": True,
            "key": [],
            "columns": [],
            "constructor_args": [],
            "constructor_kwargs": {},
            "fn_args": [],
            "fn_kwargs": {},
            "vars": {},
            "copy_inputs": False,
            "memory_limit": None,
            "threads": 1,
            "budget": {"calls": 64, "row_factor": 4, "time_factor": 20},
            "calls": [],
        }
        return {**init, **settings}

    def close(self):
        self.folder.cleanup()


DOUBLES = pa.schema([("x", pa.float64())])
IDS = pa.schema([("x", pa.int64())])


def doubles(rows=1000, start=0.0):
    return pa.record_batch({"x": np.arange(start, start + rows)})


def ids(rows):
    return pa.record_batch({"x": pa.array(range(rows), pa.int64())})


class WithZygote(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.zygote = Zygote()

    @classmethod
    def tearDownClass(cls):
        cls.zygote.close()

    def setUp(self):
        self.project = Project()
        self.addCleanup(self.project.close)

    def worker(self, code, inputs=DOUBLES, outputs=None, spawn=None, constants=None, **settings):
        init = self.project.transform(code, **settings)
        worker = self.zygote.spawn(init, inputs, outputs or inputs, constants, **(spawn or {}))
        self.addCleanup(worker.close)
        return worker

    def ready(self, code, *args, **settings):
        worker = self.worker(code, *args, **settings)
        self.assertEqual(worker.ready[0], _protocol.READY, worker.init)
        return worker
