"""Takes the measurements: engines in turn, each run in a process of its own, then its first edits.

A time counts only if the tables and the figures of phase 3 hold the same values as those of the first
engine; else the benchmark ends with what differs.
"""

import argparse
import math
import os
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import phases
import plot
import report
from edits import EDITS, LAST
from engines import Engine, Setup, Windlass, find_peers, find_windlass

from common.compare import differences
from common.flights import make_data
from common.machine import GIB, ROOT
from common.measure import measure

EXAMPLE = ROOT / "examples" / "flights" / "data"
RESULTS = Path(__file__).parent / "results"
# Sums of doubles depend on the order of the rows, and so does which of two all but equal values is less.
SAME_FIGURE = 1e-9
SAME_DISTANCE = 1e-6


@dataclass
class Run:
    """What one run took, by phase too."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    phases: dict[str, phases.PhaseFigures]


@dataclass
class Runs:
    """All that was measured, by engine and form; edits also by their name."""

    whole: dict[tuple[str, str], list[Run]] = field(default_factory=dict)
    edits: dict[tuple[str, str, str], list[Run]] = field(default_factory=dict)
    load: list[float] = field(default_factory=list)


def run(arguments: argparse.Namespace, cache: Path) -> None:
    """Measures, prints the table and saves the figures and the plot."""
    setup = Setup(make_data(EXAMPLE, cache, arguments.copies), cache / "three-phases", arguments.threads)
    shutil.rmtree(setup.work, ignore_errors=True)
    engines = [] if arguments.only_peers else windlass_engines(arguments, setup)
    peers, skipped = find_peers(arguments.peers, arguments.forms, cache, setup)
    engines += peers
    read_once([*setup.data.iterdir()])
    runs = Runs()
    for turn in range(arguments.repeat):
        run_turn(engines, runs, turn, arguments)
    about = {
        "settings": {"copies": arguments.copies, "threads": arguments.threads, "repeat": arguments.repeat},
        "versions": {engine.name: engine.version() for engine in engines},
        "skipped": skipped,
    }
    shutil.rmtree(setup.work, ignore_errors=True)
    report.print_all(about, runs)
    file = report.save(RESULTS, about, runs)
    plot.comparison(about, runs, file.with_suffix(".svg"))
    print(file)


def windlass_engines(arguments: argparse.Namespace, setup: Setup) -> list[Engine]:
    """Returns Windlass in each form, and without checks, which says what they add."""
    make = find_windlass(arguments.windlass, setup)
    forms = [make("windlass", form, "70%") for form in arguments.forms]
    return [*forms, make("windlass_unchecked", arguments.forms[0], "70%", is_checked=False)]


def read_once(files: list[Path]) -> None:
    """Reads files, so that the first engine finds them in memory as the others do."""
    for file in files:
        file.read_bytes()


def run_turn(engines: list[Engine], runs: Runs, turn: int, arguments: argparse.Namespace) -> None:
    """Gives each engine a turn. In the first one all results are compared with those of the first engine."""
    references: dict[str, Engine] = {}
    for engine in engines:
        runs.load.append(os.getloadavg()[0])
        if turn == 0 and isinstance(engine, Windlass):
            warm_up(engine)
        engine.prepare()
        taken = run_engine(engine, 1, "all")
        runs.whole.setdefault((engine.name, engine.form), []).append(taken)
        if turn == 0:
            compare(engine, references, "all")
        if arguments.edits and engine.form == "staged" and engine.is_checked:
            for edit in EDITS:
                if edit.first > LAST and not isinstance(engine, Windlass):
                    continue
                edit.make(engine.code)
                taken = run_engine(engine, edit.first, edit.name)
                runs.edits.setdefault((engine.name, engine.form, edit.name), []).append(taken)
                if turn == 0:
                    compare(engine, references, edit.name)
        shutil.rmtree(engine.folder, ignore_errors=True)
    for reference in references.values():
        shutil.rmtree(reference.setup.work, ignore_errors=True)


def warm_up(engine: Windlass) -> None:
    """Has the environment of the project's Python made, as those of the peers are there by now."""
    small = replace(engine, setup=replace(engine.setup, data=EXAMPLE))
    small.prepare()
    run_engine(small, 1, "to warm up")


def run_engine(engine: Engine, first: int, what: str) -> Run:
    """Measures one run; a failed one ends the benchmark."""
    command = engine.command(first)
    # What the run before has left to be written must not be written during this one.
    os.sync()
    log = engine.folder / "log.txt"
    measured = measure(command, log, engine.environment())
    if measured.exit_code:
        print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
        raise SystemExit(f"{engine.name} failed with exit code {measured.exit_code}")
    found = phases.figures(measured, engine.marks(measured, log))
    shown = ", ".join(f"phase {phase} {figures.wall_s:.2f} s" for phase, figures in found.items())
    peak_gib = measured.peak_bytes / GIB
    print(
        f"{engine.name} {engine.form}, {what}: {measured.wall_s:.2f} s ({shown}), "
        f"{measured.cpu_s:.2f} CPU s, {peak_gib:.2f} GiB",
        flush=True,
    )
    return Run(measured.wall_s, measured.cpu_s, measured.peak_bytes, found)


def compare(engine: Engine, references: dict[str, Engine], what: str) -> None:
    """Ends the benchmark where an engine's results are not those of the first one, which are kept."""
    if what not in references:
        kept = replace(engine, setup=replace(engine.setup, work=engine.setup.work / f"reference {what}"))
        shutil.copytree(engine.folder, kept.folder, copy_function=os.link)
        references[what] = kept
        return
    reference = references[what]
    shared = engine.setup.tables("staged" if engine.form == reference.form == "staged" else "streamed")
    found = differences(shared, reference.read, engine.read, engine.folder / "scratch")
    if engine.is_checked and reference.is_checked:
        found += different_figures(reference.figures(), engine.figures())
    if found:
        raise SystemExit("\n".join([f"{reference.name} and {engine.name} {engine.form} differ:", *found]))
    print(f"{engine.name} {engine.form}, {what}: same values as {reference.name}", flush=True)


def different_figures(left: dict[str, Any], right: dict[str, Any], within: float = SAME_FIGURE) -> list[str]:
    """Returns which figures of phase 3 differ."""
    found = []
    for name, value in left.items():
        other = right[name]
        if isinstance(value, dict):
            found += different_figures(value, other, SAME_DISTANCE if name == "distances" else within)
        elif not math.isclose(value, other, rel_tol=within, abs_tol=within if within == SAME_DISTANCE else 0):
            found.append(f"{name}: {value} and {other}")
    return found
