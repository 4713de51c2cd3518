"""Frames between the engine, the zygote and the workers.

A frame is one message of an `AF_UNIX` `SOCK_SEQPACKET` socket: a header of 24 bytes, then a tail
whose layout depends on the operation, and at most a few descriptors. Everything is little endian.
`windlass-worker` speaks the other side; golden frames in the tests of both pin the bytes down.

What must stay true: a frame is read by one `recvmsg`, never through a buffer, because a buffered
reader swallows the byte that carries a descriptor; a frame never exceeds `MAX_FRAME`.
"""

from __future__ import annotations

import array
import json
import socket
import struct
from typing import Any, NamedTuple

VERSION = 1
MAX_FRAME = 64 * 1024
# The tail of a frame with a failure stays below this, so that header and slots fit beside it.
MAX_JSON = 60 * 1024
MAX_FDS = 4

# Engine to zygote.
SPAWN, KILL, STOP_ALL = 1, 2, 3
# Zygote to engine.
ZYGOTE_READY, STARTED, EXITED, ZYGOTE_FAILED = 16, 17, 18, 19
# Engine to worker.
HELLO, MAP, RUN, GROWN, FORGET, PING, STOP = 1, 2, 3, 4, 5, 7, 8
# Worker to engine.
READY, INIT_FAILED, DONE, NEED, ERR, PONG = 32, 33, 34, 35, 36, 37

# Flags.
SPAWN_EXEC = 1
INPUT_RELEASED = 1
RECYCLE = 2

INPUT, OUTPUT = 0, 1
ALL_ROWS = 0xFFFFFFFF
NORMAL, CAREFUL = 0, 1
FRESH = 0xFFFF

HEADER = struct.Struct("<BBHIQQ")
RUN_TAIL = struct.Struct("<IIIIQ")
DONE_TAIL = struct.Struct("<IIIIIIH")
_CMSG = socket.CMSG_SPACE(MAX_FDS * array.array("i").itemsize)


class ProtocolError(Exception):
    """The other side sent what no version of this protocol allows."""


class Frame(NamedTuple):
    """A frame as it arrived; `tail` is valid until the next one is read."""

    op: int
    flags: int
    n: int
    slot: int
    a: int
    b: int
    tail: memoryview
    fds: list[int]


class Run(NamedTuple):
    """What `RUN` asks for."""

    slot: int
    size: int
    seq: int
    output: int
    first: int
    rows: int
    mode: int
    probe_timeout_ms: int


class Channel:
    """A control socket that reads and writes whole frames."""

    __slots__ = ("_buffer", "_view", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = bytearray(MAX_FRAME + 1)
        self._view = memoryview(self._buffer)

    def receive(self) -> Frame | None:
        """Returns the next frame, or `None` once the other side is gone. Blocks."""
        try:
            size, ancillary, flags, _ = self.sock.recvmsg_into([self._buffer], _CMSG, socket.MSG_CMSG_CLOEXEC)
        except (ConnectionResetError, BrokenPipeError):
            return None
        if size == 0:
            return None
        fds = _descriptors(ancillary) if ancillary else []
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or size > MAX_FRAME:
            raise ProtocolError("a frame is longer than 64 KiB")
        if size < HEADER.size:
            raise ProtocolError(f"a frame of {size} bytes has no header")
        return Frame(*HEADER.unpack_from(self._buffer), self._view[HEADER.size : size], fds)

    def send(self, frame: bytes, fds: list[int] | None = None) -> None:
        """Sends one frame. Blocks."""
        if fds:
            socket.send_fds(self.sock, [frame], fds)
        else:
            self.sock.send(frame)


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


def frame(op: int, *, flags: int = 0, n: int = 0, slot: int = 0, a: int = 0, b: int = 0, tail: bytes = b"") -> bytes:
    """Returns the bytes of a frame."""
    return HEADER.pack(op, flags, n, slot, a, b) + tail


def parse_run(frame: Frame) -> Run:
    """Returns what a `RUN` frame asks for."""
    if len(frame.tail) != RUN_TAIL.size:
        raise ProtocolError(f"RUN has a tail of {len(frame.tail)} bytes, not {RUN_TAIL.size}")
    return Run(frame.slot, frame.a, frame.b, *RUN_TAIL.unpack_from(frame.tail))


def pack_json(value: dict[str, Any]) -> bytes:
    """Returns `value` as UTF-8 JSON that every reader accepts: lone surrogates become question marks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def parse_json(tail: memoryview | bytes) -> dict[str, Any]:
    """Returns the object a tail holds."""
    try:
        value = json.loads(bytes(tail))
    except ValueError as err:
        raise ProtocolError(f"a frame's JSON cannot be read: {err}") from None
    if not isinstance(value, dict):
        raise ProtocolError("a frame's JSON is not an object")
    return value
