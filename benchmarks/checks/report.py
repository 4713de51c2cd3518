"""Turns measurements into tables for people and a file for machines."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from common.machine import GIB, machine
from common.measure import Measurement

Runs = dict[str, list[Measurement]]


@dataclass
class Figures:
    """All that was measured."""

    settings: dict[str, object]
    versions: dict[str, str]
    # How many of the checks each engine answered.
    answered: dict[str, int]
    runs: Runs
    drift: list[Measurement]


def medians(runs: list[Measurement]) -> dict[str, float]:
    """Returns the median of each figure over one engine's runs."""
    return {
        "wall_s": median(run.wall_s for run in runs),
        "cpu_s": median(run.cpu_s for run in runs),
        "peak_gib": median(run.peak_bytes for run in runs) / GIB,
    }


def print_all(figures: Figures) -> None:
    """Prints a line an engine, and whether the aims are reached."""
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}"} | figures.settings | machine()
    print("\n" + ", ".join(f"{key} {value}" for key, value in about.items()) + "\n")
    print(f"{'':26}{'checks':>8}{'wall s':>9}{'CPU s':>9}{'CPU ratio':>11}{'peak GiB':>10}")
    base = medians(figures.runs["windlass"])
    for name, measured in figures.runs.items():
        own = medians(measured)
        line = f"{name + ' ' + figures.versions[name]:26}{figures.answered[name]:>8}{own['wall_s']:>9.2f}"
        print(f"{line}{own['cpu_s']:>9.2f}{own['cpu_s'] / base['cpu_s']:>11.2f}{own['peak_gib']:>10.2f}")
    print(f"\nMedians of {figures.settings['repeat']} runs.")
    for name, reached, text in aims(figures):
        print(f"{'reached' if reached else 'MISSED':8} {name}: {text}")


def aims(figures: Figures) -> list[tuple[str, bool, str]]:
    """Returns each aim, whether it is reached, and the figures."""
    cpu = {name: medians(measured)["cpu_s"] for name, measured in figures.runs.items()}
    found = []
    for peer, most in (("duckdb", 0.5), ("gx", 0.05)):
        if peer in cpu:
            share = cpu["windlass"] / cpu[peer]
            found.append((f"at most {most:.0%} of the CPU seconds of {peer}", share <= most, f"{share:.1%}"))
    marginal = cpu["write with checks"] / cpu["write"] - 1
    found.append(("checks cost at most 35 % of a write", marginal <= 0.35, f"{marginal:.1%}"))
    wall_s = medians(figures.drift)["wall_s"]
    found.append(("drift of ten columns of a million rows under 0.3 s", wall_s < 0.3, f"{wall_s:.2f} s"))
    return found


def save(folder: Path, figures: Figures) -> Path:
    """Writes everything that was measured and returns the file."""
    now = datetime.now(UTC)
    content = {
        "date": now.isoformat(timespec="seconds"),
        "machine": machine(),
        "settings": figures.settings,
        "aims": [{"aim": name, "reached": reached, "text": text} for name, reached, text in aims(figures)],
        "engines": {
            name: {
                "version": figures.versions[name],
                "checks": figures.answered[name],
                "median": medians(measured),
                "runs": [of_run(run) for run in measured],
            }
            for name, measured in figures.runs.items()
        },
        "drift": {"median": medians(figures.drift), "runs": [of_run(run) for run in figures.drift]},
    }
    folder.mkdir(exist_ok=True)
    file = folder / f"{now:%Y-%m-%dT%H%M%S}.json"
    file.write_text(json.dumps(content, indent=1) + "\n")
    return file


def of_run(run: Measurement) -> dict[str, float]:
    return {"wall_s": round(run.wall_s, 3), "cpu_s": round(run.cpu_s, 3), "peak_bytes": run.peak_bytes}
