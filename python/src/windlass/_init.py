"""Makes the program of a worker from what `HELLO` carries: loads, constructs, warms up."""

from __future__ import annotations

import inspect
import itertools
import logging
import mmap
import os
import sys
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pyarrow import ipc

from windlass import _context, _load, _models, _packages, _process, _protocol
from windlass._checks import Check
from windlass._failure import describe, failure
from windlass._formats import FORMATS
from windlass._functions import Functions
from windlass._program import Program, Transform, WholeTables, roots
from windlass._training import Training


class InitError(Exception):
    """User code that cannot be made ready; `failure` says why."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(told["message"])
        self.failure = told


class Hello:
    """What `HELLO` says: the settings, and the schemas and constants behind them."""

    def __init__(self, frame: _protocol.Frame) -> None:
        if frame.slot != _protocol.VERSION:
            raise _protocol.ProtocolError(f"the engine speaks version {frame.slot}, this is {_protocol.VERSION}")
        if len(frame.fds) != 1:
            raise _protocol.ProtocolError("HELLO needs one descriptor")
        content = _content(frame.fds[0])
        self.init = _protocol.parse_json(content[: frame.a])
        ends = [frame.a, frame.a + frame.b]
        for name in ("output_schema_bytes", "constants_bytes"):
            ends.append(ends[-1] + int(self.init.get(name) or 0))
        if ends[-1] > len(content):
            raise _protocol.ProtocolError("HELLO names more bytes than came")
        inputs, outputs, constants = (content[start:end] for start, end in itertools.pairwise(ends))
        try:
            self.inputs = ipc.read_schema(pa.py_buffer(inputs))
            self.outputs = ipc.read_schema(pa.py_buffer(outputs))
            self.constants = _constants(constants)
        except (pa.ArrowException, OSError) as err:
            raise _protocol.ProtocolError(f"a schema of HELLO cannot be read: {err}") from None


def _content(fd: int) -> bytes:
    try:
        size = os.fstat(fd).st_size
        with mmap.mmap(fd, size, prot=mmap.PROT_READ) as mapping:
            return mapping[:]
    finally:
        os.close(fd)


def _constants(data: bytes) -> pa.RecordBatch | None:
    if not data:
        return None
    with ipc.open_stream(pa.py_buffer(data)) as stream:
        return stream.read_next_batch()


def prepare(hello: Hello) -> Program:
    """Returns the program of a worker. Runs user code."""
    init = hello.init
    set_up_logging()
    pa.set_cpu_count(max(1, int(init.get("threads") or 1)))
    _context.set_vars(dict(init.get("vars") or {}))
    _context.close_batch("it is called outside of a batch")
    for name, file in _formats_needed(init):
        try:
            _packages.require_format(name, file)
        except _packages.PackageError as err:
            raise InitError(failure("missing_package", "ModuleNotFoundError", str(err))) from None
    _load.add_lib(list(init.get("lib") or []))
    program = _program(hello)
    _warm_up(hello)
    if init.get("memory_limit"):
        # pyarrow's allocator reserves memory at its first use, which the limit is not meant for.
        pa.allocate_buffer(1)
        _process.limit_memory(int(init["memory_limit"]))
    return program


def set_up_logging() -> None:
    """Shows log records from INFO on as lines on standard error."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)


def _formats_needed(init: dict[str, Any]) -> list[tuple[str, str]]:
    if init["role"] == "training":
        return []
    parts = init["calls"] if init["role"] == "udf" else [init]
    # A model that was logged or trained brings what it wants along.
    parts = [part for part in parts if (part.get("model") or {"loader": "class"})["loader"] == "class"]
    return [(part.get("batch_format") or "numpy", part["file"]) for part in parts]


def _program(hello: Hello) -> Program:
    init = hello.init
    if init["role"] == "udf":
        functions = [_function(init, call) for call in init["calls"]]
        return Functions(init, functions, (hello.inputs, hello.outputs), hello.constants)
    if init["role"] == "training":
        trainer = None if init.get("file") is None else _load_object(init, init["file"], init["object"])
        return Training(init, trainer, hello.inputs, hello.outputs)
    function = _load_object(init, init["file"], init["object"])
    if init.get("is_class") or inspect.isclass(function):
        function = _construct(init, function)
    if init.get("rows") == "every_row":
        # Only a check answers every row, whatever it is.
        return Check(init, function, hello.inputs, hello.outputs)
    kind = WholeTables if init.get("mode") == "table" else Transform
    return kind(init, function, hello.inputs, hello.outputs)


def _function(init: dict[str, Any], call: dict[str, Any]) -> Callable[..., Any]:
    if call.get("model"):
        try:
            return _models.load(call, roots(init))
        except _models.LoadFailedError as err:
            raise InitError(err.failure) from None
    function = _load_object(init, call["file"], call["object"])
    return _construct(init, function) if inspect.isclass(function) else function


def _load_object(init: dict[str, Any], file: str, name: str) -> Any:
    try:
        return _load.load_object(file, name)
    except _load.LoadError as err:
        raise InitError(failure("import", "ImportError", str(err), place=(file, 1, "<module>"))) from None
    except BaseException as err:
        raise InitError(describe(err, "import", roots(init))) from None


def _construct(init: dict[str, Any], kind: type) -> Callable[..., Any]:
    if not any("__call__" in vars(base) for base in kind.__mro__):
        message = f"class `{kind.__name__}` has no `__call__(self, batch)`: Windlass calls its object with every batch"
        raise InitError(failure("construct", "TypeError", message))
    try:
        return kind(*(init.get("constructor_args") or ()), **(init.get("constructor_kwargs") or {}))
    except BaseException as err:
        raise InitError(describe(err, "construct", roots(init))) from None


def _warm_up(hello: Hello) -> None:
    """Converts an empty batch: pyarrow imports pandas at its first conversion, which takes long."""
    init = hello.init
    form = init.get("batch_format") or "numpy"
    if init["role"] != "transform" or form not in ("numpy", "pandas") or init.get("mode") == "table":
        return
    empty = pa.RecordBatch.from_arrays([pa.array([], field.type) for field in hello.inputs], schema=hello.inputs)
    FORMATS[form](hello.inputs).batch(empty)
