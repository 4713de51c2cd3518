"""Finds the rows that make a batch fail, by halving it.

`k` bad rows among `n` are found in about `k * log2(n)` calls, depth first, on slices that move no
data. Two budgets bound the cost: calls and rows, and time as a multiple of a clean batch. Once one
is spent, what is left is called row by row if that is predicted to fit the time; else whole
segments fail with the exception they raised, and their message says so.

What must stay true: every row is in exactly one segment, in order; a good row's output is kept from
exactly one call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from windlass._failure import WHOLE

# An exception as text: what `windlass._failure.describe` returns.
Raised = dict[str, Any]
# Below this, the time of a clean batch is noise.
_LEAST_SECONDS = 2.0


@dataclass(slots=True)
class Limits:
    """How much telling rows apart may cost."""

    calls: int = 64
    row_factor: float = 4
    time_factor: float = 20
    # A clean batch of this size, as far as known.
    clean_seconds: float | None = None
    # Go on until every row is known, however long it takes.
    exact: bool = False


@dataclass(slots=True)
class Segment:
    """Rows `start` to `stop` of the batch: what they gave, or what they raised."""

    start: int
    stop: int
    result: Any = None
    error: Raised | None = None
    attempts: int = 1


@dataclass(slots=True)
class _Pending:
    start: int
    stop: int
    # What the call raised that held these rows last.
    error: Raised
    attempts: int
    # Whether that call held these rows alone.
    tried: bool


class _Isolation:
    def __init__(
        self, call: Callable[[int, int], Any], rows: int, limits: Limits, tell: Callable[[BaseException], Raised]
    ) -> None:
        self.call = call
        self.tell = tell
        self.rows = rows
        self.limits = limits
        self.calls = 0
        self.rows_called = 0
        self.quickest: float | None = None
        self.done: list[Segment] = []
        self.started = perf_counter()
        clean = limits.clean_seconds
        self.seconds = max(_LEAST_SECONDS, limits.time_factor * clean) if clean is not None else None

    def attempt(self, part: _Pending) -> bool:
        """Calls a segment; keeps its result, or what it raised."""
        begun = perf_counter()
        self.calls += 1
        self.rows_called += part.stop - part.start
        try:
            result = self.call(part.start, part.stop)
        except WHOLE:
            raise
        except BaseException as err:
            part.error = self.tell(err)
            part.attempts += 1
            part.tried = True
            return False
        finally:
            took = perf_counter() - begun
            if self.quickest is None or took < self.quickest:
                self.quickest = took
        self.done.append(Segment(part.start, part.stop, result, None, part.attempts + 1))
        return True

    def fail(self, part: _Pending) -> None:
        self.done.append(Segment(part.start, part.stop, None, part.error, part.attempts))

    def time_left(self) -> float:
        if self.limits.exact:
            return float("inf")
        allowed = self.seconds
        if allowed is None:
            # No clean batch was ever seen: take a call of one row for every row as its bound.
            allowed = max(_LEAST_SECONDS, self.limits.time_factor * (self.quickest or 0.0))
        return allowed - (perf_counter() - self.started)

    def is_spent(self) -> bool:
        many_calls = self.calls >= self.limits.calls
        many_rows = self.rows_called >= self.limits.row_factor * self.rows
        return (many_calls and many_rows) or self.time_left() <= 0

    def fits_row_by_row(self, parts: list[_Pending]) -> bool:
        remaining = sum(part.stop - part.start for part in parts)
        return remaining * (self.quickest or 0.0) <= self.time_left()

    def halve(self, stack: list[_Pending]) -> None:
        """Works the stack off, depth first, until it is empty or the budget is spent."""
        while stack and not self.is_spent():
            part = stack.pop()
            if not part.tried and self.attempt(part):
                continue
            if part.stop - part.start == 1:
                self.fail(part)
                continue
            middle = (part.start + part.stop) // 2
            stack.append(_Pending(middle, part.stop, part.error, part.attempts, False))
            stack.append(_Pending(part.start, middle, part.error, part.attempts, False))

    def row_by_row(self, stack: list[_Pending]) -> None:
        while stack:
            part = stack.pop()
            for row in range(part.start, part.stop):
                if self.time_left() <= 0:
                    stack.append(_Pending(row, part.stop, part.error, part.attempts, False))
                    return
                single = _Pending(row, row + 1, part.error, part.attempts, False)
                if not self.attempt(single):
                    self.fail(single)

    def give_up(self, stack: list[_Pending]) -> None:
        """Gives segments that were never called alone one chance, and fails the others whole."""
        while stack:
            part = stack.pop()
            if part.tried or not self.attempt(part):
                self.fail(part)


def isolate(
    call: Callable[[int, int], Any], rows: int, first: Raised, limits: Limits, tell: Callable[[BaseException], Raised]
) -> tuple[list[Segment], int]:
    """Returns the segments of a batch whose whole call raised `first`, and the calls that took.

    `call` gives the result of a range of rows, `tell` turns what it raises into text at once: an
    exception would keep the batch, through its frames and theirs. A result that is wrong, rather than missing, is not
    a matter of rows: the exceptions of `WHOLE` pass through.
    """
    work = _Isolation(call, rows, limits, tell)
    # The call of the whole batch has been made.
    work.calls, work.rows_called = 1, rows
    stack = [_Pending(0, rows, first, 1, True)]
    work.halve(stack)
    if stack and work.fits_row_by_row(stack):
        work.row_by_row(stack)
    work.give_up(stack)
    return work.done, work.calls
