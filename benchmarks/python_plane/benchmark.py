"""Takes the measurements: engines in turn, each run checked against the floor's rows.

A time counts only if what was written holds the same values as the in-process floor wrote; else
the benchmark ends with what differs.
"""

import argparse
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import report
from compare import Checksum, checksum, difference
from data import make_data
from engines import (
    ONE_THREAD,
    WITH_LARGE,
    Engine,
    Inputs,
    Key,
    SessionError,
    Windlass,
    find_peers,
    package_versions,
    requirements,
)
from measure import CommandError, Measurement
from transport import measure_transport

from common.environment import environment
from common.machine import release_folder

RESULTS = Path(__file__).parent / "results"
# A turn of an engine with short runs goes on for this long, to have more of them.
TURN_S = 20
MOST_PASSES = 5


@dataclass
class Runs:
    """All that was measured, by engine, plan and size."""

    taken: dict[tuple[str, Key, str], list[Measurement]] = field(default_factory=dict)
    failed: dict[tuple[str, Key], str] = field(default_factory=dict)
    exact: dict[tuple[str, Key], bool] = field(default_factory=dict)
    load: list[float] = field(default_factory=list)

    def add(self, engine: str, key: Key, size: str, measured: Measurement) -> None:
        self.taken.setdefault((engine, key, size), []).append(measured)


class Reference:
    """The rows that the first engine wrote; all others must write the same."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.variant = "1 process"
        self.known: dict[tuple[str, str], Checksum] = {}

    def check(self, engine: Engine, key: Key, size: str) -> bool:
        """Returns whether all bits are the same; ends the benchmark where values differ."""
        found = checksum(engine.files(key))
        expected = self.known.setdefault((key[0], size), found)
        if found == expected:
            return True
        what = f"{engine.name}, {' '.join(key)}, {size} input"
        if size == "large":
            if found.rows != expected.rows:
                raise SystemExit(f"{what}: {found.rows:,} rows in place of {expected.rows:,}")
            return False
        wrong = difference(self.engine.files((key[0], self.variant)), engine.files(key))
        if wrong:
            raise SystemExit(f"{what} differs from the floor: {wrong}")
        return False


def run(arguments: argparse.Namespace, cache: Path) -> None:
    """Measures, prints the tables and saves the figures."""
    made = make_data(cache, arguments.rows, arguments.factor)
    work = Path(tempfile.mkdtemp(prefix="python-plane-", dir=arguments.work))
    inputs = Inputs(made["small"], made.get("large"), made["model"], work, arguments.threads)
    try:
        engines, skipped = find_peers(["floor", *arguments.peers], cache, inputs)
        engines += find_windlass(arguments, inputs, skipped)
        runs = Runs()
        for turn in range(arguments.rounds):
            run_round(engines, runs, turn, arguments)
        transport = find_transport(arguments, cache, skipped)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    about = {
        "settings": {
            "rows": arguments.rows,
            "factor": arguments.factor,
            "rounds": arguments.rounds,
            "threads": arguments.threads,
        },
        "packages": package_versions(),
        "versions": {engine.name: engine.version() for engine in engines},
        "start_s": {engine.name: engine.start_s for engine in engines},
        "skipped": skipped,
    }
    report.print_all(about, runs, transport)
    print(report.save(RESULTS, about, runs, transport))


def find_windlass(arguments: argparse.Namespace, inputs: Inputs, skipped: dict[str, str]) -> list[Engine]:
    """Returns Windlass, unless it was left out."""
    if arguments.only_peers:
        skipped["windlass"] = "left out by --only-peers"
        return []
    binary = arguments.windlass or release_folder() / "windlass"
    if not binary.exists():
        raise SystemExit(f"no binary {binary}; build it, or name it with --windlass")
    return [Windlass(binary.resolve(), inputs)]


def find_transport(arguments: argparse.Namespace, cache: Path, skipped: dict[str, str]) -> list[dict]:
    """Measures the transport alone, where its program was built."""
    program = arguments.transport or release_folder() / "examples" / "transport"
    if not program.exists():
        skipped["transport"] = "the example `transport` of windlass-worker was not built"
        return []
    python = environment(requirements("floor"), cache)
    return measure_transport(program.resolve(), python, arguments.threads, ONE_THREAD)


def run_round(engines: list[Engine], runs: Runs, turn: int, arguments: argparse.Namespace) -> None:
    """Gives each engine a turn. The floor comes first: its rows are what others are compared with."""
    reference = Reference(engines[0])
    for engine in engines:
        runs.load.append(os.getloadavg()[0])
        print(f"round {turn + 1}: {engine.name}", flush=True)
        try:
            with engine.session() as keys:
                keys = [key for key in keys if key[0] in arguments.cases and (engine.name, key) not in runs.failed]
                run_turn(engine, keys, runs, reference)
        except CommandError as err:
            if isinstance(engine, Windlass) or engine.name == "floor":
                raise SystemExit(f"{engine.name} failed:\n{err}") from None
            runs.failed[engine.name, ("session", f"round {turn + 1}")] = str(err)
            print(f"{engine.name} failed and is left out of the rest of this round:\n{err}", flush=True)


def run_turn(engine: Engine, keys: list[Key], runs: Runs, reference: Reference) -> None:
    """Runs all plans of an engine: once to warm up, then measured, small and large."""
    keys = [key for key in keys if can_run(engine, key, runs)]
    started = time.monotonic()
    passes = 0
    while passes < 2 or (passes < MOST_PASSES and time.monotonic() - started < TURN_S):
        for key in keys:
            take(engine, key, "small", runs, reference)
        passes += 1
    if engine.inputs.large and engine.name in WITH_LARGE:
        for key in keys:
            take(engine, key, "large", runs, reference)


def can_run(engine: Engine, key: Key, runs: Runs) -> bool:
    """Warms a plan up; one that raises in the engine is reported and left out."""
    try:
        engine.run(key, "small")
        if isinstance(engine, Windlass) and engine.inputs.large:
            # A project of its own, whose first run locks the packages of its transforms.
            engine.run(key, "large")
    except SessionError:
        raise
    except CommandError as err:
        if isinstance(engine, Windlass):
            raise
        runs.failed[engine.name, key] = str(err)
        print(f"{engine.name} cannot run {' '.join(key)}: {str(err).strip().splitlines()[-1]}", flush=True)
        return False
    return True


def take(engine: Engine, key: Key, size: str, runs: Runs, reference: Reference) -> None:
    """Measures one run and checks its rows. The plan without the prediction has rows of its own."""
    measured = engine.run(key, size)
    if key != ("predict", "plain"):
        same = reference.check(engine, key, size)
        runs.exact[engine.name, key] = runs.exact.get((engine.name, key), True) and same
    runs.add(engine.name, key, size, measured)
    print(f"  {size} {' '.join(key)}: {measured.whole_s:.3f} s, {measured.cpu_s:.2f} CPU s", flush=True)
