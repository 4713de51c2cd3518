"""Turns what user code raised into text that travels: type, message, stack, place in the project.

Nothing that an exception does may get in the way: a `__str__` that raises, a message of a hundred
megabytes, a stack of a thousand frames, no memory left. Frames of Windlass itself are left out.
"""

from __future__ import annotations

import os
import traceback
from types import TracebackType
from typing import Any

MESSAGE_BYTES = 4 * 1024
TRACEBACK_BYTES = 8 * 1024
_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_CHAIN = 6
_GROUP = 5
_FRAMES = 60


class OutputError(Exception):
    """A result that does not match what the transform declares; the text says what to do."""


class ModelError(Exception):
    """A trained model that cannot be kept; the text says what to do."""


class RejectError(ValueError):
    """`windlass.reject` was called wrongly."""


class InputError(Exception):
    """A batch that cannot be shown in the format that was asked for."""


# What is wrong with the batch or the code as a whole: telling rows apart would not help.
WHOLE = (OutputError, RejectError, InputError)


class Failed(Exception):
    """The batch as a whole has no answer; `failure` says why."""

    def __init__(self, failure: dict[str, Any], recycle: bool = False, calls: int = 1) -> None:
        super().__init__(failure["message"])
        self.failure = failure
        self.recycle = recycle
        self.calls = calls


def describe(exc: BaseException, kind: str, roots: tuple[str, ...] = ()) -> dict[str, Any]:
    """Returns `exc` as a failure of `kind`; files below `roots` are the user's own. Never raises."""
    try:
        return _describe(exc, kind, roots)
    except BaseException:
        # No memory or no stack left: say at least which exception it was.
        return failure(kind, type(exc).__name__, "its message cannot be shown")


def failure(kind: str, error_type: str, message: str, trace: str = "", place: tuple | None = None) -> dict[str, Any]:
    """Returns a failure as it travels, cut to size."""
    file, line, function = place or (None, None, None)
    return {
        "kind": kind,
        "type": clip(error_type, 200),
        "message": clip(message, MESSAGE_BYTES),
        "traceback": clip(trace, TRACEBACK_BYTES),
        "file": file,
        "line": line,
        "function": function,
    }


def kind_of(exc: BaseException) -> str:
    """Returns the kind of failure that an exception in user code is."""
    if isinstance(exc, OutputError):
        return "output"
    if isinstance(exc, ModelError):
        return "model"
    if isinstance(exc, RejectError):
        return "reject"
    if isinstance(exc, MemoryError):
        return "memory"
    return "exception"


def release(exc: BaseException) -> None:
    """Lets go of what the frames of `exc` hold, such as batches and half-made results; the stack stays readable."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [exc]
    while todo and len(seen) < 64:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        traceback.clear_frames(one.__traceback__)
        todo += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]


def clip(text: str, limit: int) -> str:
    """Returns `text` within `limit` bytes of UTF-8: the start and the longer end around a gap."""
    if len(text) * 4 <= limit:
        # Most texts; only lone surrogates could still be wrong.
        return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
    if len(text) > 2 * limit:
        text = text[:limit] + text[-limit:]
        cut = True
    else:
        cut = False
    data = text.encode("utf-8", "backslashreplace")
    if len(data) <= limit and not cut:
        return data.decode()
    gap = b"\n... cut ...\n" if b"\n" in data else b" ... cut ... "
    start = limit // 4
    end = limit - start - len(gap)
    if end <= 0:
        return data[:limit].decode("utf-8", "ignore")
    return (data[:start].decode("utf-8", "ignore").encode() + gap).decode() + data[-end:].decode("utf-8", "ignore")


def text_of(exc: BaseException) -> str:
    """Returns the text of an exception, or says why there is none."""
    try:
        return str(exc)
    except BaseException:
        return "<the exception's text cannot be shown: its __str__ raises>"


def _describe(exc: BaseException, kind: str, roots: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(exc, (OutputError, InputError)):
        return failure(kind, type(exc).__name__, text_of(exc))
    lines: list[str] = []
    _format(exc, lines, "", set())
    place = _place(exc, roots)
    return failure(kind, type(exc).__name__, text_of(exc) or type(exc).__name__, "".join(lines), place)


def _format(exc: BaseException, lines: list[str], indent: str, seen: set[int]) -> None:
    seen.add(id(exc))
    before, how = _origin(exc)
    if before is not None and id(before) not in seen and len(seen) < _CHAIN:
        _format(before, lines, indent, seen)
        lines.append(f"\n{indent}{how}\n\n")
    frames = _frames(exc.__traceback__)
    if frames:
        lines.append(f"{indent}Traceback (most recent call last):\n")
        lines.extend(indent + text for text in frames.format())
    lines.extend(indent + text for text in _summary(exc))
    for note in (getattr(exc, "__notes__", None) or [])[:_GROUP]:
        lines.append(f"{indent}{clip(str(note), MESSAGE_BYTES)}\n")
    if isinstance(exc, BaseExceptionGroup):
        for number, member in enumerate(exc.exceptions[:_GROUP], 1):
            if id(member) not in seen:
                lines.append(f"{indent}  + exception {number} of {len(exc.exceptions)}\n")
                _format(member, lines, indent + "    ", seen)


def _origin(exc: BaseException) -> tuple[BaseException | None, str]:
    if exc.__cause__ is not None:
        return exc.__cause__, "The above exception was the direct cause of the following exception:"
    if exc.__context__ is not None and not exc.__suppress_context__:
        return exc.__context__, "During handling of the above exception, another exception occurred:"
    return None, ""


def _frames(trace: TracebackType | None) -> traceback.StackSummary:
    frames = [(frame, line) for frame, line in traceback.walk_tb(trace) if not _is_ours(frame.f_code.co_filename)]
    if len(frames) > 2 * _FRAMES:
        frames = frames[:_FRAMES] + frames[-_FRAMES:]
    return traceback.StackSummary.extract(iter(frames))


def _summary(exc: BaseException) -> list[str]:
    if isinstance(exc, SyntaxError):
        return list(traceback.TracebackException(type(exc), exc, None).format_exception_only())
    text = clip(text_of(exc), MESSAGE_BYTES)
    name = type(exc).__name__
    return [f"{name}: {text}\n" if text else f"{name}\n"]


def _place(exc: BaseException, roots: tuple[str, ...]) -> tuple[str, int, str] | None:
    if isinstance(exc, SyntaxError) and exc.filename and exc.filename.startswith(roots):
        return exc.filename, exc.lineno or 1, "<module>"
    found = None
    for frame, line in traceback.walk_tb(exc.__traceback__):
        code = frame.f_code
        if code.co_filename.startswith(roots) and not _is_ours(code.co_filename):
            found = (code.co_filename, line, code.co_qualname)
    return found


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen importlib"))
