"""Golden frames, which the engine's tests hold too, and frames that no engine sends."""

import os
import socket
import unittest

import harness
import pyarrow as pa

from windlass import _protocol, _reply
from windlass._failure import failure
from windlass._protocol import Channel, ProtocolError
from windlass._worker import failure_tail


class GoldenFrames(unittest.TestCase):
    def check(self, frame, golden):
        self.assertEqual(frame.hex(), golden.replace(" ", ""))

    def test_spawn(self):
        frame = _protocol.frame(_protocol.SPAWN, flags=1, slot=3, tail=b'{"env":{},"preload":["pandas"],"cpus":1}')
        self.check(
            frame,
            "01 01 0000 03000000 0000000000000000 0000000000000000"
            "7b22656e76223a7b7d2c227072656c6f6164223a5b2270616e646173225d2c2263707573223a317d",
        )

    def test_kill(self):
        frame = _protocol.frame(_protocol.KILL, slot=3, a=9)
        self.check(frame, "02 00 0000 03000000 0900000000000000 0000000000000000")

    def test_started_and_exited(self):
        frame = _protocol.frame(_protocol.STARTED, slot=3, a=4242)
        self.check(frame, "11 00 0000 03000000 9210000000000000 0000000000000000")
        frame = _protocol.frame(_protocol.EXITED, slot=3, a=0, b=11)
        self.check(frame, "12 00 0000 03000000 0000000000000000 0b00000000000000")

    def test_run(self):
        golden = bytes.fromhex(
            "03 00 0000 07000000 0010000000000000 2a00000000000000"
            "08000000 64000000 ffffffff 01000000 8813000000000000".replace(" ", "")
        )
        header = _protocol.HEADER.unpack_from(golden)
        run = _protocol.parse_run(_protocol.Frame(*header, memoryview(golden)[24:], []))
        self.assertEqual(run, _protocol.Run(7, 4096, 42, 8, 100, _protocol.ALL_ROWS, _protocol.CAREFUL, 5000))

    def test_done(self):
        reply = _reply.Reply(7, 42, 100, 27, False, (0, _protocol.FRESH), None, None)
        reply.result_bytes, reply.errors_offset, reply.errors = 200, 256, pa.py_buffer(b"x" * 40)
        self.check(
            reply.done(True, [5, 6]),
            "22 01 0200 07000000 2801000000000000 2a00000000000000"
            "64000000 00000000 c8000000 00010000 28000000 1b000000 0200"
            "0000 ffff 05000000 06000000",
        )

    def test_need(self):
        frame = _protocol.frame(_protocol.NEED, slot=7, a=1 << 20, b=42)
        self.check(frame, "23 00 0000 07000000 0000100000000000 2a00000000000000")

    def test_failure_json(self):
        told = failure("exception", "ValueError", "no", "", ("/p/t.py", 3, "f"))
        golden = (
            b'{"kind":"exception","type":"ValueError","message":"no","traceback":"",'
            b'"file":"/p/t.py","line":3,"function":"f"}'
        )
        self.assertEqual(_protocol.pack_json(told), golden)


class OddFrames(unittest.TestCase):
    def setUp(self):
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel = Channel(theirs)
        self.addCleanup(self.ours.close)
        self.addCleanup(theirs.close)

    def test_frame_without_header(self):
        self.ours.send(b"\x01\x02")
        with self.assertRaises(ProtocolError):
            self.channel.receive()

    def test_frame_too_long(self):
        self.ours.send(b"\x01" * (_protocol.MAX_FRAME + 1))
        with self.assertRaises(ProtocolError):
            self.channel.receive()

    def test_longest_frame(self):
        self.ours.send(b"\x01" * _protocol.MAX_FRAME)
        self.assertEqual(len(self.channel.receive().tail), _protocol.MAX_FRAME - 24)

    def test_end(self):
        self.ours.close()
        self.assertIsNone(self.channel.receive())

    def test_descriptors_close_on_exec(self):
        fd = harness.memfd(b"x")
        socket.send_fds(self.ours, [_protocol.frame(_protocol.MAP)], [fd])
        os.close(fd)
        frame = self.channel.receive()
        self.assertEqual(len(frame.fds), 1)
        self.assertFalse(os.get_inheritable(frame.fds[0]))
        os.close(frame.fds[0])

    def test_run_with_a_short_tail(self):
        with self.assertRaises(ProtocolError):
            _protocol.parse_run(_protocol.Frame(3, 0, 0, 1, 2, 3, memoryview(b"abc"), []))

    def test_json_that_is_none(self):
        for tail in (b"", b"[1]", b"\xff", b"{"):
            with self.assertRaises(ProtocolError):
                _protocol.parse_json(tail)

    def test_failure_of_control_characters_fits(self):
        told = failure("exception", "E", "\x01" * 10_000, "\x02" * 20_000)
        self.assertLess(len(failure_tail(told)), _protocol.MAX_JSON)
        told = failure("exception", "E\udc80", "bad \udcff text", "\udc80" * 5000)
        failure_tail(told).decode()


if __name__ == "__main__":
    unittest.main()
