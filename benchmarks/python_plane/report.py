"""Turns measurements into tables for people and a file for machines."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from measure import Measurement

from common.machine import machine

if TYPE_CHECKING:
    from benchmark import Runs

BATCH_ROWS = 10_000
TRANSPORT_LIMIT_US = 120
# How fast: the rate, the same with the start of workers, and what that is.
RATES = [
    ("steady_rows_per_s", "rows_per_s", "the function once workers run"),
    ("rows_per_s", "rows_per_s", "the function with their start"),
    ("steady_whole_rows_per_s", "whole_rows_per_s", "the whole plan once workers run"),
]
CASES = {
    "fma": "a*b+c: three columns in, one out",
    "identity": "identity of eleven columns",
    "predict": "scikit-learn: 25 trees over eight columns",
}


def figures(about: dict[str, Any], runs: Runs) -> list[dict[str, Any]]:
    """Returns one entry for each engine, case and variant with a function in it."""
    settings = about["settings"]
    found = []
    for engine, key, size in runs.taken:
        if size == "small" and key[1] != "plain" and has_plain(runs, engine, key):
            found.append(figure(runs, engine, key, settings))
    return sorted(found, key=lambda one: (list(CASES).index(one["case"]), one["udf_s"]))


def has_plain(runs: Runs, engine: str, key: tuple[str, str]) -> bool:
    """Returns whether the function's share is known: measured, or the plan without it has run."""
    return (engine, (key[0], "plain"), "small") in runs.taken or runs.taken[engine, key, "small"][0].udf_s is not None


def figure(runs: Runs, engine: str, key: tuple[str, str], settings: dict[str, Any]) -> dict[str, Any]:
    """Returns what one variant took: whole, its function's part, and once its workers run."""
    rows, factor = settings["rows"], settings["factor"]
    small = shares(runs, engine, key, "small")
    one: dict[str, Any] = {"engine": engine, "case": key[0], "variant": key[1], "exact": runs.exact[engine, key]}
    one |= small | {"rows_per_s": rows / small["udf_s"] if small["udf_s"] > 0 else None}
    one["whole_rows_per_s"] = rows / small["whole_s"]
    if (engine, key, "large") in runs.taken:
        large = shares(runs, engine, key, "large")
        more_s = large["udf_s"] - small["udf_s"]
        one["large"] = large
        one["steady_rows_per_s"] = rows * (factor - 1) / more_s if more_s > 0 else None
        one["start_s"] = small["udf_s"] - more_s / (factor - 1)
        more_whole_s = large["whole_s"] - small["whole_s"]
        one["steady_whole_rows_per_s"] = rows * (factor - 1) / more_whole_s if more_whole_s > 0 else None
        more_cpu_s = large["udf_cpu_s"] - small["udf_cpu_s"]
        one["steady_cpu_us_per_batch"] = more_cpu_s * 1e6 / (rows * (factor - 1) / BATCH_ROWS)
    return one


def shares(runs: Runs, engine: str, key: tuple[str, str], size: str) -> dict[str, float]:
    """Returns medians of the whole, and of the whole less the same plan without the function."""
    measured = runs.taken[engine, key, size]
    plain = runs.taken.get((engine, (key[0], "plain"), size))
    own = {"whole_s": median(run.whole_s for run in measured), "cpu_s": median(run.cpu_s for run in measured)}
    if plain is None:
        return own | {
            "udf_s": median(run.udf_s for run in measured),
            "udf_cpu_s": median(run.udf_cpu_s for run in measured),
        }
    return own | {
        "udf_s": own["whole_s"] - median(run.whole_s for run in plain),
        "udf_cpu_s": own["cpu_s"] - median(run.cpu_s for run in plain),
    }


def print_all(about: dict[str, Any], runs: Runs, transport: list[dict[str, Any]]) -> None:
    """Prints a table for each case, the transport alone, and what was aimed at."""
    shown = {"date": f"{datetime.now(UTC):%Y-%m-%d}"} | about["settings"] | machine()
    print("\n" + ", ".join(f"{key} {value}" for key, value in shown.items()))
    print(", ".join(f"{name} {version}" for name, version in (about["versions"] | about["packages"]).items()))
    print(f"load average before each turn: {', '.join(f'{load:.1f}' for load in runs.load)}")
    all_figures = figures(about, runs)
    for case in dict.fromkeys(one["case"] for one in all_figures):
        print_case(case, [one for one in all_figures if one["case"] == case])
    print_starts(about)
    for (engine, key), text in runs.failed.items():
        print(f"Failed: {engine}, {' '.join(key)}: {text.strip().splitlines()[-1]}")
    if transport:
        print_transport(transport)
    print_aims(all_figures, transport)


def print_case(case: str, chosen: list[dict[str, Any]]) -> None:
    best = max((one["rows_per_s"] or 0 for one in chosen if one["engine"] == "windlass"), default=0)
    print(f"\n{CASES[case]}")
    print(
        f"{'':22}{'whole s':>9}{'UDF s':>8}{'UDF CPU s':>11}{'Mrows/s':>9}{'ratio':>8}"
        f"{'start s':>9}{'then Mrows/s':>14}{'CPU us/10k':>12}{'whole then':>12}"
    )
    for one in chosen:
        rate = one["rows_per_s"]
        ratio = f"{best / rate:.2f}" if rate and best else "-"
        line = f"{one['engine'] + ' ' + one['variant']:22}{one['whole_s']:>9.2f}{one['udf_s']:>8.3f}"
        line += f"{one['udf_cpu_s']:>11.2f}{mega(rate):>9}{ratio:>8}"
        if "start_s" in one:
            line += f"{one['start_s']:>9.2f}{mega(one['steady_rows_per_s']):>14}"
            line += f"{one['steady_cpu_us_per_batch']:>12.0f}{mega(one['steady_whole_rows_per_s']):>12}"
        print(line + ("" if one["exact"] else "  equal within 1e-12"))


def mega(rate: float | None) -> str:
    return f"{rate / 1e6:.2f}" if rate else "-"


def print_starts(about: dict[str, Any]) -> None:
    starts = [f"{name} {median(taken):.1f} s" for name, taken in about["start_s"].items() if taken]
    print(f"\nStarts of sessions, not part of the above: {', '.join(starts)}.")
    for name, why in about["skipped"].items():
        print(f"Left out: {name}: {why}")


def print_transport(transport: list[dict[str, Any]]) -> None:
    print("\nThe transport alone: all eleven columns are sent, results validated")
    print(f"{'':12}{'rows':>8}{'workers':>9}{'Mrows/s':>9}{'CPU us':>8}{'function':>10}{'beyond':>8}{'alone us':>10}")
    for one in transport:
        beyond = one["cpu_us_per_batch"] - one["function_cpu_us"]
        print(
            f"{one['function']:12}{one['rows']:>8}{one['workers']:>9}{mega(one['rows_per_s']):>9}"
            f"{one['cpu_us_per_batch']:>8.0f}{one['function_cpu_us']:>10.0f}{beyond:>8.0f}{one['alone_us']:>10.0f}"
        )


def print_aims(all_figures: list[dict[str, Any]], transport: list[dict[str, Any]]) -> None:
    """Says for each aim whether these figures reach it."""
    print()
    for name, reached, text in aims(all_figures, transport):
        print(f"{'reached' if reached else 'MISSED':8} {name}: {text}")


def aims(all_figures: list[dict[str, Any]], transport: list[dict[str, Any]]) -> list[tuple[str, bool, str]]:
    """Returns each aim, whether it is reached, and the figures."""
    found = []
    for case in ("fma", "identity"):
        for engine, least in (("ray", 3), ("spark", 15)):
            for field, with_start, what in RATES:
                own = best_rate(all_figures, "windlass", case, field, with_start)
                other = best_rate(all_figures, engine, case, field, with_start)
                if own and other:
                    ratio = own / other
                    text = f"{ratio:.1f} times ({mega(own)} and {mega(other)} Mrows/s)"
                    found.append((f"{case}, {least} times {engine}, {what}", ratio >= least, text))
    own, floor = (
        best_rate(all_figures, engine, "predict", "steady_rows_per_s", "rows_per_s") for engine in ("windlass", "floor")
    )
    if own and floor:
        text = f"{own / floor:.1%} of the floor ({mega(own)} and {mega(floor)} Mrows/s)"
        found.append(("predict, 90 % of the floor once workers run", own >= 0.9 * floor, text))
    for one in transport:
        if one["rows"] == BATCH_ROWS and one["workers"] == 1:
            beyond = one["cpu_us_per_batch"] - one["function_cpu_us"]
            name = f"transport, {one['function']}, under {TRANSPORT_LIMIT_US} us CPU a batch"
            found.append((name, beyond < TRANSPORT_LIMIT_US, f"{beyond:.0f} us"))
    return found


def best_rate(
    all_figures: list[dict[str, Any]], engine: str, case: str, field: str, with_start: str
) -> float | None:
    """Returns an engine's best rate. One without a steady rate keeps its workers, so both are one."""
    rates = [
        one.get(field, one[with_start]) for one in all_figures if one["engine"] == engine and one["case"] == case
    ]
    return max((rate for rate in rates if rate), default=None)


def save(folder: Path, about: dict[str, Any], runs: Runs, transport: list[dict[str, Any]]) -> Path:
    """Writes everything that was measured and returns the file."""
    now = datetime.now(UTC)
    all_figures = figures(about, runs)
    content = {"date": now.isoformat(timespec="seconds"), "machine": machine(), **about}
    content |= {
        "load_average": runs.load,
        "figures": all_figures,
        "aims": [
            {"aim": name, "reached": reached, "text": text} for name, reached, text in aims(all_figures, transport)
        ],
        "transport": transport,
        "failed": [{"engine": engine, "plan": key, "error": text} for (engine, key), text in runs.failed.items()],
        "runs": [
            {"engine": engine, "case": key[0], "variant": key[1], "size": size, "runs": [of_run(run) for run in taken]}
            for (engine, key, size), taken in runs.taken.items()
        ],
    }
    folder.mkdir(exist_ok=True)
    file = folder / f"{now:%Y-%m-%dT%H%M%S}.json"
    file.write_text(json.dumps(content, indent=1) + "\n")
    return file


def of_run(run: Measurement) -> dict[str, float]:
    return {name: round(value, 6) for name, value in asdict(run).items() if value is not None}
