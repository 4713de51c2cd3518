"""Turns measurements into tables for people and a file for machines."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from common.machine import GIB, machine

if TYPE_CHECKING:
    from benchmark import Run, Runs

ROWS_A_COPY = 336_776
# What Windlass may take of another engine's time, from the start of its process to published tables.
MOST = {"polars": 0.7, "duckdb_numpy": 0.5, "duckdb_ray": 0.18, "daft": 0.15, "spark_arrow": 0.09, "spark_rows": 0.09}
MOST_CHECK_S = 1.0
MOST_FEATURE = 0.5
MOST_GIB = 4.0


def medians(runs: list[Run]) -> dict[str, Any]:
    """Returns the median of each figure over one engine's runs."""
    return {
        "wall_s": median(run.wall_s for run in runs),
        "cpu_s": median(run.cpu_s for run in runs),
        "peak_gib": median(run.peak_bytes for run in runs) / GIB,
        "phases": {
            phase: {
                "wall_s": median(run.phases[phase].wall_s for run in runs),
                "cpu_s": median(run.phases[phase].cpu_s for run in runs),
                "peak_gib": median(run.phases[phase].peak_bytes for run in runs) / GIB,
            }
            for phase in runs[0].phases
        },
    }


def print_all(about: dict[str, Any], runs: Runs) -> None:
    """Prints a table of the runs, one of their phases, one of the edits, and what was aimed at."""
    settings = about["settings"]
    rows = settings["copies"] * ROWS_A_COPY
    heading = {"date": f"{datetime.now(UTC):%Y-%m-%d}"} | settings | {"rows": f"{rows:,}"} | machine()
    print("\n" + ", ".join(f"{key} {value}" for key, value in heading.items()))
    print(f"load average before each turn: {', '.join(f'{load:.1f}' for load in runs.load)}")
    print_runs(about["versions"], runs)
    print_phases(runs)
    if runs.edits:
        print_edits(runs)
    for name, why in about["skipped"].items():
        print(f"Left out: {name}: {why}")
    print()
    for name, reached, text in aims(runs):
        print(f"{'reached' if reached else 'MISSED':8} {name}: {text}")


def print_runs(versions: dict[str, str], runs: Runs) -> None:
    rows = []
    for (name, form), measured in runs.whole.items():
        own = medians(measured)
        base = runs.whole.get(("windlass", form))
        share = f"{medians(base)['wall_s'] / own['wall_s']:.2f}" if base and name != "windlass" else ""
        rows.append([f"{name} {versions[name]} {form}", *shown(own), share])
    print_rows(["", "wall s", "CPU s", "peak GiB", "Windlass takes"], rows)
    count = len(next(iter(runs.whole.values())))
    print(f"\nMedians of {count} runs, from the start of the process to its end; all results are equal.")


def print_phases(runs: Runs) -> None:
    rows = [
        [f"{name} {form}", phase, *shown(own)]
        for (name, form), measured in runs.whole.items()
        for phase, own in medians(measured)["phases"].items()
    ]
    print_rows(["Phases", "phase", "wall s", "CPU s", "peak GiB"], rows)


def print_edits(runs: Runs) -> None:
    rows = []
    for (name, form, edit), measured in runs.edits.items():
        own, whole = medians(measured), medians(runs.whole[name, form])
        rows.append([f"{name}, {edit}", *shown(own), f"{own['wall_s'] / whole['wall_s']:.2f}"])
    print_rows(["First edit after it", "wall s", "CPU s", "peak GiB", "of all"], rows)


def shown(own: dict[str, float]) -> list[str]:
    return [f"{own[key]:.2f}" for key in ("wall_s", "cpu_s", "peak_gib")]


def print_rows(head: list[str], rows: list[list[str]]) -> None:
    """Prints a table in Markdown, figures to the right."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rule = [f":{'-' * (widths[0] - 1)}", *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    print()
    for line in [head, rule, *rows]:
        first, *others = zip(line, widths, strict=True)
        cells = [f"{first[0]:{first[1]}}", *(f"{text:>{width}}" for text, width in others)]
        print(f"| {' | '.join(cells)} |")


def aims(runs: Runs) -> list[tuple[str, bool, str]]:
    """Returns each aim, whether it is reached, and the figures."""
    found = []
    for (name, form), measured in runs.whole.items():
        base = runs.whole.get(("windlass", form))
        if name in MOST and base:
            share = medians(base)["wall_s"] / medians(measured)["wall_s"]
            found.append((f"at most {MOST[name]} of {name}, {form}", share <= MOST[name], f"{share:.2f}"))
    own = runs.whole.get(("windlass", "staged"))
    if own:
        peak = medians(own)["peak_gib"]
        found.append((f"at most {MOST_GIB} GiB", peak <= MOST_GIB, f"{peak:.2f} GiB"))
    check, feature = (runs.edits.get(("windlass", "staged", name)) for name in ("one check", "one feature"))
    if own and check and feature:
        wall_s = medians(check)["wall_s"]
        found.append((f"one check edited: under {MOST_CHECK_S} s", wall_s < MOST_CHECK_S, f"{wall_s:.2f} s"))
        share = medians(feature)["wall_s"] / medians(own)["wall_s"]
        found.append((f"one feature edited: at most {MOST_FEATURE} of all", share <= MOST_FEATURE, f"{share:.2f}"))
    return found


def save(folder: Path, about: dict[str, Any], runs: Runs) -> Path:
    """Writes everything that was measured and returns the file."""
    now = datetime.now(UTC)
    engines = [
        {"engine": name, "form": form, "version": about["versions"][name], "edit": edit}
        | {"median": medians(measured), "runs": [asdict(run) for run in measured]}
        for (name, form, edit), measured in [
            *(((*key, None), measured) for key, measured in runs.whole.items()),
            *runs.edits.items(),
        ]
    ]
    content = {"date": now.isoformat(timespec="seconds"), "machine": machine(), **about, "load_average": runs.load}
    content |= {
        "engines": engines,
        "aims": [{"aim": name, "reached": reached, "text": text} for name, reached, text in aims(runs)],
    }
    folder.mkdir(exist_ok=True)
    file = folder / f"{now:%Y-%m-%dT%H%M%S}.json"
    file.write_text(json.dumps(content, indent=1) + "\n")
    return file
