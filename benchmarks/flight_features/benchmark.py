"""Takes the measurements: engines in turn, each run in a process of its own.

Times count only if the tables of every engine hold the same values as those of the first one;
otherwise the benchmark ends with what differs.
"""

import argparse
import shutil
import sys
from pathlib import Path

import report
from engines import (
    EXAMPLE,
    Engine,
    Windlass,
    default_binary,
    peer_engines,
    windlass_engines,
)

from common.compare import differences
from common.flights import make_data
from common.machine import GIB
from common.measure import Measurement, measure

RESULTS = Path(__file__).parent / "results"
# The key of each table.
KEYS = {
    "holidays": ["day"],
    "feat_weather_hourly": ["origin", "time_hour"],
    "feat_plane": ["tailnum"],
    "feat_route_daily": ["day", "origin", "dest"],
    "feat_flight": ["flight_id"],
    "carrier_summary": ["carrier"],
}


def run(arguments: argparse.Namespace, cache: Path) -> None:
    """Measures, prints the table and saves the figures."""
    data = make_data(EXAMPLE / "data", cache, arguments.copies)
    work = cache / "work"
    engines = chosen_engines(arguments, data, work)
    binaries = [engine.binary for engine in engines if isinstance(engine, Windlass)]
    read_once([*data.iterdir(), *binaries])
    runs = run_all(engines, arguments.repeat, work / "scratch")
    shutil.rmtree(work, ignore_errors=True)
    versions = {engine.name: engine.version() for engine in engines}
    settings = {"copies": arguments.copies, "threads": arguments.threads}
    report.print_table(settings, versions, runs)
    print(report.save(RESULTS, settings, versions, runs))


def chosen_engines(arguments: argparse.Namespace, data: Path, work: Path) -> list[Engine]:
    """Returns the engines to measure, Windlass first."""
    peers = peer_engines(arguments.peers, data, work, arguments.threads)
    if arguments.only_peers:
        return peers
    binary = arguments.windlass or default_binary()
    if not binary.exists():
        raise SystemExit(f"no binary {binary}; build it, or name it with --windlass")
    return windlass_engines(binary.resolve(), data, work, arguments.threads) + peers


def read_once(files: list[Path]) -> None:
    """Reads files, so that the first engine finds them in memory as the others do."""
    for file in files:
        file.read_bytes()


def run_all(engines: list[Engine], repeat: int, scratch: Path) -> dict[str, list[Measurement]]:
    """Runs all engines in turn, `repeat` times; compares their tables after the first turn."""
    runs: dict[str, list[Measurement]] = {engine.name: [] for engine in engines}
    for turn in range(repeat):
        for engine in engines:
            runs[engine.name].append(run_engine(engine))
        if turn == 0:
            compare_all(engines, scratch)
    return runs


def run_engine(engine: Engine) -> Measurement:
    """Measures one run; a failed one ends the benchmark."""
    engine.prepare()
    log = engine.folder / "log.txt"
    measured = measure(engine.command(), log)
    if measured.exit_code:
        print(log.read_text(errors="replace")[-4000:], file=sys.stderr)
        raise SystemExit(f"{engine.name} failed with exit code {measured.exit_code}")
    peak_gib = measured.peak_bytes / GIB
    print(
        f"{engine.name}: {measured.wall_s:.2f} s, {measured.cpu_s:.2f} CPU s, {peak_gib:.2f} GiB",
        flush=True,
    )
    return measured


def compare_all(engines: list[Engine], scratch: Path) -> None:
    """Ends the benchmark where an engine's tables differ from those of the first engine."""
    first, *others = engines
    for other in others:
        found = differences(KEYS, first.read, other.read, scratch)
        if found:
            raise SystemExit("\n".join([f"{first.name} and {other.name} differ:", *found]))
        print(f"{other.name}: same values as {first.name}", flush=True)
