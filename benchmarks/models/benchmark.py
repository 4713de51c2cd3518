"""Takes the measurements: engines in turn, answers compared before a time counts.

Windlass trains first, on all rows: scikit-learn then scores with the very weights that it found.
"""

import argparse
import os
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

import report
from columns import in_units, standardised
from compare import probabilities, weights_apart, worst
from data import make_data
from engines import (
    CASES_OF,
    PASSES,
    WINDLASS_PLANS,
    CommandError,
    Peer,
    Place,
    Taken,
    Windlass,
    digest,
    find_peers,
    score_kernel,
)

from common.machine import release_folder

RESULTS = Path(__file__).parent / "results"
Runs = dict[str, Taken]


def run(arguments: argparse.Namespace, cache: Path) -> None:
    """Measures, prints the tables and saves the figures."""
    binary = (arguments.windlass or release_folder() / "windlass").resolve()
    program = (arguments.score or release_folder() / "examples" / "score").resolve()
    for built in (binary, program):
        if not built.exists():
            raise SystemExit(f"no binary {built}; build it, or name it with --windlass or --score")
    data = make_data(cache, arguments.rows)
    for file in [binary, *data.rglob("*.*")]:
        # So that the first engine finds them in memory as the others do.
        file.read_bytes()
    work = Path(tempfile.mkdtemp(prefix="models-", dir=arguments.work))
    place = Place(data, work, arguments.threads, binary)
    runs: Runs = {}
    load: list[float] = []
    failed: dict[str, str] = {}
    try:
        windlass = Windlass(place)
        peers, skipped = find_peers(arguments.peers, cache, place)
        same = prepare(windlass, runs, "training" in arguments.cases)
        for turn in range(arguments.rounds):
            load.append(os.getloadavg()[0])
            print(f"round {turn + 1}", flush=True)
            run_windlass(windlass, arguments, runs, program)
            for peer in peers:
                run_peer(peer, arguments, runs, failed)
        answers = compare(windlass, arguments, runs)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    figures = report.Figures(
        settings={name: getattr(arguments, name) for name in ("rows", "rounds", "threads", "note")},
        versions={"windlass": windlass.version()} | versions(),
        load=load,
        runs=runs,
        answers=answers,
        bit_equal=same,
        skipped=skipped | failed,
    )
    report.print_all(figures)
    print(report.save(RESULTS, figures))


def versions() -> dict[str, str]:
    """Returns the versions of the driver's packages; `ray.txt` and `duckdb.txt` pin the others."""
    names = ("scikit-learn", "lightgbm", "numpy", "pyarrow")
    pinned = {}
    for file in ("ray", "duckdb"):
        lines = (Path(__file__).parent / "requirements" / f"{file}.txt").read_text().splitlines()
        pinned |= {file: line.partition("==")[2] for line in lines if line.startswith(file)}
    return {name: metadata.version(name) for name in names} | pinned


def prepare(windlass: Windlass, runs: Runs, is_measured: bool) -> bool | None:
    """Trains the model that all score with; returns whether training again and with one thread gives the same bits."""
    whole_s, cpu_s, file = windlass.train()
    print(f"trained in {whole_s:.2f} s", flush=True)
    windlass.place.weights.write_bytes(file.read_bytes())
    folder = windlass.project()
    shutil.copytree(windlass.place.work / "windlass" / "training" / "lake", folder / "lake")
    windlass.run("trees", folder)
    if not is_measured:
        return None
    first = digest(file)
    again = [digest(windlass.train("again", threads)[2]) for threads in (None, 1)]
    runs["training windlass"] = Taken(told={"coefficients": in_units(*standardised(windlass.place.weights))})
    if again != [first, first]:
        raise SystemExit("training again does not give the same bits")
    return True


def run_windlass(windlass: Windlass, arguments: argparse.Namespace, runs: Runs, program: Path) -> None:
    """Gives Windlass its turn."""
    folder = windlass.project()
    for case, nodes in WINDLASS_PLANS.items():
        if case not in arguments.cases:
            continue
        for node in nodes * PASSES[case]:
            add(runs, f"{case} windlass {node.partition('_')[2]}", *windlass.run(node, folder))
    if "trees" in arguments.cases:
        told = score_kernel(program, windlass.place, arguments.threads, 1 + PASSES["trees"])
        taken = runs.setdefault("trees memory windlass", Taken())
        taken.seconds += told.pop("seconds")[1:]
        taken.told = told
    if "training" in arguments.cases:
        whole_s, cpu_s, _ = windlass.train()
        add(runs, "training windlass", whole_s, cpu_s)


def run_peer(peer: Peer, arguments: argparse.Namespace, runs: Runs, failed: dict[str, str]) -> None:
    """Gives a peer its turn; one that fails is told and left out."""
    cases = [case for case in arguments.cases if case in CASES_OF[peer.name]]
    if not cases:
        return
    try:
        told = peer.round(cases, PASSES)
    except CommandError as err:
        failed[peer.name] = str(err).strip().splitlines()[-1]
        print(f"{peer.name} failed:\n{err}", flush=True)
        return
    for plan, one in told.items():
        name = plan if not plan.endswith("plain") else f"{plan} {peer.name}"
        if "error" in one:
            failed[name] = one["error"].strip().splitlines()[-1]
            print(f"{name} failed:\n{one['error']}", flush=True)
            continue
        taken = runs.setdefault(name, Taken())
        taken.seconds += one.pop("seconds")
        taken.told = one
        print(f"  {name}: {taken.seconds[-1]:.3f} s", flush=True)


def add(runs: Runs, name: str, whole_s: float, cpu_s: float) -> None:
    taken = runs.setdefault(name, Taken())
    taken.seconds.append(whole_s)
    taken.cpu_s.append(cpu_s)
    print(f"  {name}: {whole_s:.3f} s, {cpu_s:.2f} CPU s", flush=True)


def compare(windlass: Windlass, arguments: argparse.Namespace, runs: Runs) -> dict[str, float]:
    """Returns how far answers are from those of Windlass; ends the benchmark where they are not the same."""
    found: dict[str, float] = {}
    for case in ("logistic", "trees"):
        if case not in arguments.cases:
            continue
        expected = probabilities(windlass.files(f"{case}_predict"), arguments.rows)
        if case == "logistic":
            for form, has_class in (("list", True), ("function", False)):
                name = f"logistic windlass {form}"
                found[name] = worst(name, windlass.files(f"logistic_{form}"), expected, has_class)
        for name, taken in runs.items():
            scored = name.startswith(case) and "plain" not in name and "memory" not in name
            if scored and "output" in taken.told:
                files = sorted(Path(taken.told["output"]).rglob("*.parquet"))
                found[name] = worst(name, files, expected)
    expected = runs.get("training windlass", Taken()).told.get("coefficients")
    for name, taken in runs.items():
        if name.startswith("training ") and "coefficients" in taken.told and name != "training windlass":
            found[name] = weights_apart(name.removeprefix("training "), taken.told["coefficients"], expected)
    sums = {name: taken.told["sum"] for name, taken in runs.items() if name.startswith("trees memory")}
    if sums and max(sums.values()) - min(sums.values()) > 1e-6 * arguments.rows:
        raise SystemExit(f"scores from memory differ: {sums}")
    return found
