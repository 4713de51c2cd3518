"""Takes the measurements: engines in turn, each run in a process of its own, answers compared.

A time counts only if an engine's answers are those of the first one: offending rows to the row, figures
within the tolerance of their check. Otherwise the benchmark ends with what differs.
"""

import argparse
import shutil
import sys
from pathlib import Path

import report
from catalogue import CHECKS, Check
from data import make_data
from drift import measure_drift
from engines import Answers, Engine, Windlass, Write, peers

from common.machine import GIB, release_folder
from common.measure import Measurement, measure

RESULTS = Path(__file__).parent / "results"
DRIFT_ROWS = 1_000_000


def run(arguments: argparse.Namespace, cache: Path) -> None:
    """Measures, prints the tables and saves the figures."""
    data = make_data(cache, arguments.rows)
    work = cache / "checks-work"
    binary = (arguments.windlass or release_folder() / "windlass").resolve()
    if not binary.exists():
        raise SystemExit(f"no binary {binary}; build it, or name it with --windlass")
    place = (binary, data, work / "windlass", arguments.threads)
    engines: list[Engine] = [Windlass(*place), Write(*place, with_checks=False), Write(*place, with_checks=True)]
    engines += peers(arguments.peers, data, work, arguments.threads, cache)
    for file in [binary, *data.iterdir()]:
        # So that the first engine finds them in memory as the others do.
        file.read_bytes()
    runs, answered = run_all(engines, arguments.repeat, work)
    later = make_data(cache, DRIFT_ROWS, seed=11)
    drift = measure_drift(binary, make_data(cache, DRIFT_ROWS), later, work / "drift", arguments)
    shutil.rmtree(work, ignore_errors=True)
    versions = {engine.name: engine.version() for engine in engines}
    settings = {"rows": arguments.rows, "threads": arguments.threads, "repeat": arguments.repeat}
    figures = report.Figures(settings, versions, answered, runs, drift)
    report.print_all(figures)
    print(report.save(RESULTS, figures))


def run_all(
    engines: list[Engine], repeat: int, work: Path
) -> tuple[dict[str, list[Measurement]], dict[str, int]]:
    """Runs all engines in turn, `repeat` times; compares answers in the first turn."""
    runs: dict[str, list[Measurement]] = {engine.name: [] for engine in engines}
    answered: dict[str, int] = {}
    first: Answers = {}
    for turn in range(repeat):
        for engine in engines:
            measured, answers = run_engine(engine, work)
            runs[engine.name].append(measured)
            if turn == 0:
                first = first or answers
                answered[engine.name] = compare(engine.name, answers, first)
    return runs, answered


def run_engine(engine: Engine, work: Path) -> tuple[Measurement, Answers]:
    """Measures one run; a failed one ends the benchmark."""
    engine.prepare()
    log = work / "log.txt"
    measured = measure(engine.command(), log)
    if measured.exit_code:
        print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
        raise SystemExit(f"{engine.name} failed with exit code {measured.exit_code}")
    peak_gib = measured.peak_bytes / GIB
    print(f"{engine.name}: {measured.wall_s:.2f} s, {measured.cpu_s:.2f} CPU s, {peak_gib:.2f} GiB", flush=True)
    return measured, engine.answers(log)


def compare(name: str, answers: Answers, expected: Answers) -> int:
    """Returns how many checks an engine answered; ends the benchmark where it answered otherwise."""
    known = {check.name: check for check in CHECKS}
    wrong = [
        f"{check}: {found} in place of {expected[check]}"
        for check, found in answers.items()
        if found is not None and not is_same(known[check], found, expected[check])
    ]
    if wrong:
        raise SystemExit("\n".join([f"{name} answers otherwise:", *wrong]))
    return len(answers)


def is_same(check: Check, found: float, expected: float) -> bool:
    """Returns whether two answers are the same; the age of the newest row depends on the moment."""
    if check.kind == "freshness":
        return True
    return abs(found - expected) <= check.tolerance * max(abs(found), abs(expected))
