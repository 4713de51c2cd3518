"""What all peers share: what they are asked for, the marks between phases, the verdict of phase 3."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rules import Figures, broken


@dataclass
class Request:
    """What one run is to do."""

    data: Path
    out: Path
    threads: int
    # Whether phase 1 goes straight into phase 2, without a table between them.
    is_streamed: bool
    # The first phase to run; what those before it have written is there.
    first: int
    # Which of its ways a peer shall go, where it has several.
    variant: str

    @property
    def flights(self) -> Path:
        return self.data / "flights.parquet"

    @property
    def facts(self) -> Path:
        """Where phase 1 writes, a file or a folder."""
        return self.out / "flight_facts"

    @property
    def features(self) -> Path:
        """Where phase 2 writes, a file or a folder."""
        return self.out / "flight_features"


def request() -> Request:
    """Returns the request that stands as JSON in the first argument."""
    asked = json.loads(sys.argv[1])
    return Request(**asked | {"data": Path(asked["data"]), "out": Path(asked["out"])})


def run(
    asked: Request,
    facts: Callable[[], None],
    features: Callable[[], None],
    streamed: Callable[[], None] | None,
    figures: Callable[[], Figures],
) -> None:
    """Runs the phases that are asked for and says when each has ended."""
    if asked.is_streamed and asked.first == 1:
        streamed()
        mark(2)
    else:
        if asked.first <= 1:
            facts()
            mark(1)
        if asked.first <= 2:
            features()
            mark(2)
    judge(asked, figures())
    mark(3)


def mark(phase: int) -> None:
    """Says that a phase has ended, on the clock that all processes share."""
    print(f"\nphase {phase} ended at {time.monotonic()}", flush=True)


def judge(asked: Request, found: Figures) -> None:
    """Ends the process where a rule is broken, else leaves the figures beside the tables."""
    wrong = broken(found)
    if wrong:
        sys.exit("\n".join(wrong))
    (asked.out / "figures.json").write_text(json.dumps(found.as_json()))
