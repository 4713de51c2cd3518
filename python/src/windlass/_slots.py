"""Shared memory of a worker: input slots it reads, output slots it writes.

An input slot belongs to the engine again only when the last view of it has died, wherever user code
keeps it: every batch's buffer has a lease as its base, and the lease's end is reported. A mapping
lives as long as its leases, also after the engine forgot the slot.
"""

from __future__ import annotations

import mmap
import os
from collections import deque

import pyarrow as pa
from pyarrow import ipc

from windlass import _protocol
from windlass._protocol import ProtocolError

_ALIGNMENT = 64


class Lease:
    """Stands for all views of one batch in a slot."""

    __slots__ = ("_mapping", "_released", "_slot")

    def __init__(self, slot: int, mapping: mmap.mmap, released: deque[int]) -> None:
        self._slot = slot
        self._mapping = mapping
        self._released = released

    def __del__(self) -> None:
        # Runs on whichever thread drops the last view: an append is atomic, with or without a GIL.
        self._released.append(self._slot)


class InputSlot:
    """Memory that the engine writes batches to."""

    __slots__ = ("_address", "_mapping", "_released", "_slot", "size")

    def __init__(self, slot: int, fd: int, size: int, released: deque[int]) -> None:
        self._slot = slot
        self._released = released
        self.size = size
        self._mapping = mmap.mmap(fd, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
        self._address = pa.py_buffer(self._mapping).address

    def batch(self, size: int, schema: pa.Schema) -> pa.RecordBatch:
        """Returns the batch whose message takes the first `size` bytes; it lives in the slot."""
        if size > self.size:
            raise ProtocolError(f"a batch of {size} bytes is longer than its slot of {self.size}")
        lease = Lease(self._slot, self._mapping, self._released)
        try:
            return ipc.read_record_batch(pa.foreign_buffer(self._address, size, lease), schema)
        except (pa.ArrowException, OSError, EOFError) as err:
            raise ProtocolError(f"the batch in slot {self._slot} cannot be read: {err}") from None


class OutputSlot:
    """Memory that results are written to."""

    __slots__ = ("_file", "_writers", "size")

    def __init__(self, fd: int, size: int) -> None:
        # A mapped file can seek: one writer serves all batches, and their schema is written once.
        self._file = pa.memory_map(f"/proc/self/fd/{fd}", "r+")
        self.size = size
        self._writers: dict[tuple[int, ...], ipc.RecordBatchStreamWriter] = {}

    def write(self, batch: pa.RecordBatch, key: tuple[int, ...]) -> int:
        """Writes a record-batch message at the start and returns its length; `key` names the schema."""
        writer = self._writers.get(key)
        if writer is None:
            writer = self._writer(batch)
            self._writers[key] = writer
        self._file.seek(0)
        writer.write_batch(batch)
        return self._file.tell()

    def _writer(self, batch: pa.RecordBatch) -> ipc.RecordBatchStreamWriter:
        """Returns a writer that has its schema behind it."""
        self._file.seek(0)
        writer = ipc.new_stream(self._file, batch.schema, options=ipc.IpcWriteOptions(use_threads=False))
        writer.write_batch(batch.slice(0, 0))
        return writer

    def needs(self, batch: pa.RecordBatch, key: tuple[int, ...]) -> int:
        """Returns the bytes that `write` needs."""
        size = ipc.get_record_batch_size(batch)
        if key in self._writers:
            return size
        return max(size, batch.schema.serialize().size + ipc.get_record_batch_size(batch.slice(0, 0)) + 64)

    def write_bytes(self, data: pa.Buffer, offset: int) -> None:
        """Writes `data` at `offset`."""
        self._file.seek(offset)
        self._file.write(data)


def aligned(size: int) -> int:
    """Returns `size` rounded up to where the next part may start."""
    return (size + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT


class Slots:
    """All slots of a worker, and the leases that ended since they were last reported."""

    def __init__(self) -> None:
        self.inputs: dict[int, InputSlot] = {}
        self.outputs: dict[int, OutputSlot] = {}
        self._released: deque[int] = deque()

    def map(self, frame: _protocol.Frame) -> None:
        """Adds the slot of a `MAP` frame."""
        if len(frame.fds) != 1 or not frame.a:
            raise ProtocolError("MAP needs one descriptor and a size")
        fd = frame.fds[0]
        try:
            if frame.b == _protocol.INPUT:
                self.inputs[frame.slot] = InputSlot(frame.slot, fd, frame.a, self._released)
            elif frame.b == _protocol.OUTPUT:
                self.outputs[frame.slot] = OutputSlot(fd, frame.a)
            else:
                raise ProtocolError(f"MAP knows no direction {frame.b}")
        finally:
            os.close(fd)

    def forget(self, slot: int) -> None:
        """Drops a slot; views of it stay valid."""
        self.inputs.pop(slot, None)
        self.outputs.pop(slot, None)

    def released(self) -> list[int]:
        """Returns the slots whose leases ended since the last call."""
        ended = []
        while self._released:
            ended.append(self._released.popleft())
        return ended
