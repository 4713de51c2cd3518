"""Runs engines on ever more rows: does time stay in proportion, and memory within its limit?"""

import argparse
import json
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import plot
from benchmark import EXAMPLE, RESULTS, Run, read_once, run_engine, warm_up
from engines import Engine, Setup, Windlass, find_peers, find_windlass
from report import ROWS_A_COPY, medians, print_rows, shown

from common.flights import make_data
from common.machine import machine


def run(arguments: argparse.Namespace, cache: Path) -> None:
    """Measures, prints the table and saves the figures and the plot."""
    runs: dict[str, dict[int, list[Run]]] = {}
    versions: dict[str, str] = {}
    for copies in map(int, arguments.scale.split(",")):
        setup = Setup(make_data(EXAMPLE, cache, copies), cache / "three-phases", arguments.threads)
        read_once([*setup.data.iterdir()])
        for engine in engines(arguments, cache, setup):
            versions[engine.name] = engine.version()
            taken = runs.setdefault(engine.name, {}).setdefault(copies, [])
            if isinstance(engine, Windlass):
                warm_up(engine)
            for _ in range(arguments.repeat):
                engine.prepare()
                taken.append(run_engine(engine, 1, f"{copies} copies"))
            shutil.rmtree(engine.folder, ignore_errors=True)
    print_table(arguments, runs)
    file = save(arguments, versions, runs)
    plot.scaling(runs, file.with_suffix(".svg"))
    print(file)


def engines(arguments: argparse.Namespace, cache: Path, setup: Setup) -> list[Engine]:
    """Returns Windlass with its limit, and the peers, which have none, with every phase's table written."""
    peers, _ = find_peers(arguments.peers, ["staged"], cache, setup)
    if arguments.only_peers:
        return peers
    windlass = find_windlass(arguments.windlass, setup)
    return [windlass(f"windlass, {arguments.memory}", "staged", arguments.memory), *peers]


def print_table(arguments: argparse.Namespace, runs: dict[str, dict[int, list[Run]]]) -> None:
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "threads": arguments.threads} | machine()
    print("\n" + ", ".join(f"{key} {value}" for key, value in about.items()))
    lines = []
    for name, measured in runs.items():
        for copies, taken in measured.items():
            own, rows = medians(taken), copies * ROWS_A_COPY
            lines.append([name, f"{rows:,}", *shown(own), f"{own['wall_s'] * 1e6 / rows:.2f}"])
    print_rows(["", "rows", "wall s", "CPU s", "peak GiB", "us a row"], lines)
    print(f"\nMedians of {arguments.repeat} runs.")


def save(arguments: argparse.Namespace, versions: dict[str, str], runs: dict[str, dict[int, list[Run]]]) -> Path:
    """Writes everything that was measured and returns the file."""
    now = datetime.now(UTC)
    content = {
        "date": now.isoformat(timespec="seconds"),
        "machine": machine(),
        "settings": {"threads": arguments.threads, "memory": arguments.memory, "repeat": arguments.repeat},
        "versions": versions,
        "engines": [
            {"engine": name, "copies": copies, "rows": copies * ROWS_A_COPY}
            | {"median": medians(taken), "runs": [asdict(run) for run in taken]}
            for name, measured in runs.items()
            for copies, taken in measured.items()
        ],
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{now:%Y-%m-%dT%H%M%S}-scaling.json"
    file.write_text(json.dumps(content, indent=1) + "\n")
    return file
