"""Turns measurements into a table for people and a file for machines."""

import json
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from common.machine import GIB, machine
from common.measure import Measurement


def medians(runs: list[Measurement]) -> dict[str, float]:
    """Returns the median of each figure over one engine's runs."""
    return {
        "wall_s": median(run.wall_s for run in runs),
        "cpu_s": median(run.cpu_s for run in runs),
        "peak_gib": median(run.peak_bytes for run in runs) / GIB,
    }


def print_table(
    settings: dict[str, object], versions: dict[str, str], runs: dict[str, list[Measurement]]
) -> None:
    """Prints one line an engine; ratios are to the first engine."""
    first = next(iter(runs))
    base = medians(runs[first])
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}"} | settings | machine()
    print("\n" + ", ".join(f"{key} {value}" for key, value in about.items()) + "\n")
    print(f"{'':24}{'wall s':>9}{'ratio':>8}{'CPU s':>9}{'ratio':>8}{'peak GiB':>10}{'ratio':>8}")
    for name, measured in runs.items():
        own = medians(measured)
        figures = "".join(
            f"{own[key]:>{width}.2f}{own[key] / base[key]:>8.2f}"
            for key, width in (("wall_s", 9), ("cpu_s", 9), ("peak_gib", 10))
        )
        print(f"{name + ' ' + versions[name]:24}{figures}")
    print(f"\nMedians of {len(runs[first])} runs; a ratio above 1 is more than {first}.")


def save(
    folder: Path,
    settings: dict[str, object],
    versions: dict[str, str],
    runs: dict[str, list[Measurement]],
) -> Path:
    """Writes everything that was measured and returns the file."""
    now = datetime.now(UTC)
    content = {
        "date": now.isoformat(timespec="seconds"),
        "machine": machine(),
        "settings": settings,
        "engines": {
            name: {
                "version": versions[name],
                "median": medians(measured),
                "runs": [of_run(run) for run in measured],
            }
            for name, measured in runs.items()
        },
    }
    folder.mkdir(exist_ok=True)
    file = folder / f"{now:%Y-%m-%dT%H%M%S}.json"
    file.write_text(json.dumps(content, indent=2) + "\n")
    return file


def of_run(run: Measurement) -> dict[str, float]:
    return {"wall_s": run.wall_s, "cpu_s": run.cpu_s, "peak_bytes": run.peak_bytes}
