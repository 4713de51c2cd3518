"""Turns measurements into tables for people and a file for machines."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from engines import Taken

from common.machine import machine

# What stands without a model beside each plan.
CASES = {
    "logistic": "Logistic regression of ten numbers: id, predicted class and probability are written",
    "trees": "LightGBM, 200 trees of 31 leaves over twenty numbers, two with gaps",
    "memory": "The same trees over a million rows of memory: prediction alone",
    "training": "Training the logistic regression, from Parquet to weights",
}


@dataclass
class Figures:
    """All that was measured."""

    settings: dict[str, object]
    versions: dict[str, str]
    load: list[float]
    runs: dict[str, Taken]
    # How far answers are from those of Windlass.
    answers: dict[str, float]
    bit_equal: bool | None
    skipped: dict[str, str]

    def whole_s(self, name: str) -> float:
        return median(self.runs[name].seconds)

    def scoring_s(self, name: str) -> float | None:
        """Returns the seconds of a plan less those of the same engine's plan without the model."""
        case, engine = name.split(" ")[:2]
        engine = {"scikit-learn": "sklearn"}.get(engine, engine)
        beside = f"{case} windlass plain" if engine == "windlass" else f"{case} plain {engine}"
        if beside not in self.runs:
            return None
        return self.whole_s(name) - self.whole_s(beside)


def print_all(figures: Figures) -> None:
    """Prints a table for each case, what was aimed at, and what was left out."""
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}"} | figures.settings | machine()
    print("\n" + ", ".join(f"{key} {value}" for key, value in about.items() if value != ""))
    print(", ".join(f"{name} {version}" for name, version in figures.versions.items()))
    print(f"load average before each round: {', '.join(f'{load:.1f}' for load in figures.load)}")
    for case in ("logistic", "trees"):
        print_scoring(figures, case)
    print_memory(figures)
    print_training(figures)
    print()
    for name, reached, text in aims(figures):
        print(f"{'reached' if reached else 'MISSED':8} {name}: {text}")
    for name, why in figures.skipped.items():
        print(f"Left out: {name}: {why}")


def print_scoring(figures: Figures, case: str) -> None:
    rows = figures.settings["rows"]
    names = [name for name in figures.runs if name.startswith(f"{case} ") and " memory" not in name]
    if not names:
        return
    print(f"\n{CASES[case]}")
    print(f"{'':34}{'whole s':>9}{'scoring s':>11}{'Mrows/s':>9}{'largest difference':>20}")
    for name in names:
        line = f"{name.removeprefix(case + ' '):34}{figures.whole_s(name):>9.2f}"
        alone = None if "plain" in name else figures.scoring_s(name)
        line += f"{alone:>11.3f}{rows / alone / 1e6:>9.2f}" if alone and alone > 0 else f"{'-':>11}{'-':>9}"
        apart = figures.answers.get(name)
        print(line + (f"{apart:>20.1e}" if apart is not None else ""))


def print_memory(figures: Figures) -> None:
    names = [name for name in figures.runs if name.startswith("trees memory")]
    if not names:
        return
    print(f"\n{CASES['memory']}")
    for name in names:
        rows = figures.runs[name].told["rows"]
        print(f"{name.removeprefix('trees memory '):34}{rows / figures.whole_s(name) / 1e6:>9.2f} Mrows/s")


def print_training(figures: Figures) -> None:
    names = [name for name in figures.runs if name.startswith("training ")]
    if not names:
        return
    print(f"\n{CASES['training']}")
    print(f"{'':34}{'seconds':>9}{'iterations':>12}{'weights apart':>15}")
    for name in names:
        told = figures.runs[name].told
        apart = figures.answers.get(name)
        line = f"{name.removeprefix('training '):34}{figures.whole_s(name):>9.2f}{told.get('iterations', '-'):>12}"
        print(line + (f"{apart:>15.1e}" if apart is not None else ""))
    print(f"Trained again, and with one thread: {'the same bits' if figures.bit_equal else 'not looked at'}.")


def aims(figures: Figures) -> list[tuple[str, bool, str]]:
    """Returns each aim, whether it is reached, and the figures."""
    found = []
    runs = figures.runs
    own = scored(figures, "logistic windlass predict")
    for peer, least in (("ray", 20), ("scikit-learn", 1)):
        others = [scored(figures, name) for name in runs if name.startswith(f"logistic {peer}")]
        best = min((one for one in others if one), default=None)
        if own and best:
            text = f"{best / own:.1f} times ({own:.3f} and {best:.3f} s)"
            found.append((f"logistic, scoring alone, {least} times {peer}", best / own >= least, text))
    memory = [name for name in runs if name.startswith("trees memory") and "windlass" not in name]
    if memory and "trees memory windlass" in runs:
        own, best = figures.whole_s("trees memory windlass"), min(map(figures.whole_s, memory))
        found.append(("trees from memory, 1.5 times LightGBM", best / own >= 1.5, f"{best / own:.2f} times"))
    own, other = scored(figures, "trees windlass predict"), scored(figures, "trees lightgbm")
    if own and other:
        text = f"{other / own:.2f} times ({own:.2f} and {other:.2f} s)"
        found.append(("trees in SQL, scoring alone, 1.5 times LightGBM", other / own >= 1.5, text))
    for name in [name for name in runs if name.startswith("training ") and name != "training windlass"]:
        ratio = figures.whole_s(name) / figures.whole_s("training windlass")
        found.append((f"trained no slower than {name.removeprefix('training ')}", ratio >= 1, f"{ratio:.2f} times"))
    return found


def scored(figures: Figures, name: str) -> float | None:
    """Returns the seconds of scoring alone; none where a plan is missing, or took no longer than the one without the model."""
    alone = figures.scoring_s(name) if name in figures.runs else None
    return alone if alone is not None and alone > 0 else None


def save(folder: Path, figures: Figures) -> Path:
    """Writes everything that was measured and returns the file."""
    now = datetime.now(UTC)
    content = {
        "date": now.isoformat(timespec="seconds"),
        "machine": machine(),
        "settings": figures.settings,
        "versions": figures.versions,
        "load_average": figures.load,
        "aims": [{"aim": name, "reached": reached, "text": text} for name, reached, text in aims(figures)],
        "bit_equal": figures.bit_equal,
        "largest_differences": figures.answers,
        "left_out": figures.skipped,
        "runs": {name: of_run(figures, name) for name in figures.runs},
    }
    folder.mkdir(exist_ok=True)
    file = folder / f"{now:%Y-%m-%dT%H%M%S}.json"
    file.write_text(json.dumps(content, indent=1) + "\n")
    return file


def of_run(figures: Figures, name: str) -> dict[str, object]:
    taken = asdict(figures.runs[name])
    taken["told"].pop("output", None)
    return {"median_s": round(figures.whole_s(name), 4)} | taken
