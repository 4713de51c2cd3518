"""Runs the project twice: undisturbed, and while its workers are killed. Says whether that matters.

A worker that tries a batch in children of its own is spared: that batch has lost two workers
already, and with a third Windlass holds the batch itself for the cause, which is its rule.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from processes import Sample, sample, workers
from tables import Published, make_rows, read_published

from common.machine import machine, release_folder
from common.processes import tree

HERE = Path(__file__).parent
RESULTS = HERE / "results"
SIGNALS = (signal.SIGKILL, signal.SIGSEGV)
SAMPLE_S = 0.5
LEFT_S = 1.0
MIB = 1024**2
# What a series may gain from its second quarter to its last: a share, and an amount.
LIMITS = {
    "own_bytes": (0.10, 32 * MIB),
    "tree_bytes": (0.10, 64 * MIB),
    "own_files": (0, 4),
    "own_maps": (0.05, 16),
    "zygote_files": (0, 2),
    "zygote_maps": (0.02, 4),
}


@dataclass
class Run:
    """One run of the project."""

    seconds: float
    exit_code: int
    published: Published | None
    samples: list[Sample] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    spared: int = 0
    left_behind: int = 0


def run(arguments: argparse.Namespace, cache: Path) -> int:
    """Returns the exit code: 0 where both runs published the same and nothing grew."""
    binary = (arguments.windlass or release_folder() / "windlass").resolve()
    if not binary.exists():
        raise SystemExit(f"no binary {binary}; build it, or name it with --windlass")
    rows = make_rows(cache, arguments.rows)
    work = Path(tempfile.mkdtemp(prefix="python-soak-run-", dir=cache))
    killer = Killer(random.Random(arguments.seed), arguments.least, arguments.most)
    calm = run_once(binary, write_project(work / "calm", rows), arguments, None)
    print(f"undisturbed: {calm.seconds:.1f} s, {describe(calm.published)}", flush=True)
    stormy = run_once(binary, write_project(work / "stormy", rows), arguments, killer)
    kills = ", ".join(f"{count} {name}" for name, count in sorted(stormy.kills.items()))
    print(f"with kills:  {stormy.seconds:.1f} s, {describe(stormy.published)}; {kills}; {stormy.spared} spared")
    wrong = [*differences(calm, stormy), *growth(stormy.samples)]
    print_samples(stormy.samples)
    print("\n".join(f"WRONG: {line}" for line in wrong) or "Same rows, same error rows, nothing grew, nothing left.")
    print(save(arguments, binary, calm, stormy, wrong))
    if wrong or arguments.keep:
        print(f"projects, logs and tables are in {work}")
    else:
        shutil.rmtree(work, ignore_errors=True)
    return 1 if wrong else 0


def write_project(folder: Path, rows: Path) -> Path:
    """Writes the project that reads `rows`."""
    shutil.copytree(HERE / "project", folder)
    sources = folder / "sources.yml"
    sources.write_text(sources.read_text().replace("ROWS", str(rows)))
    return folder


class Killer:
    """Kills a random worker from time to time."""

    def __init__(self, chance: random.Random, least_s: float, most_s: float) -> None:
        self.chance, self.least_s, self.most_s = chance, least_s, most_s
        self.next_s = 0.0

    def act(self, root: int, now_s: float, run: Run) -> None:
        """Kills a worker of `root` if it is time."""
        if now_s < self.next_s:
            return
        self.next_s = now_s + self.chance.uniform(self.least_s, self.most_s)
        victims, probing = workers(root)
        run.spared += len(probing)
        if not victims:
            return
        number = self.chance.choice(SIGNALS)
        try:
            os.kill(self.chance.choice(victims), number)
            run.kills[number.name] += 1
        except ProcessLookupError:
            pass


def run_once(binary: Path, project: Path, arguments: argparse.Namespace, killer: Killer | None) -> Run:
    """Runs the project to its end; with a killer the function takes its time."""
    pace_us = arguments.pace if killer else 0
    command = [str(binary), "run", "-p", str(project), "--vars", f"pace_us={pace_us}", "--no-progress"]
    done = Run(0.0, 0, None)
    with (project / "log.txt").open("wb") as log:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        sampled_s = 0.0
        descendants: list[int] = []
        while process.poll() is None:
            now_s = time.monotonic() - started
            if killer:
                killer.act(process.pid, now_s, done)
            if now_s >= sampled_s:
                sampled_s = now_s + SAMPLE_S
                done.samples.append(sample(process.pid, now_s))
                descendants = tree(process.pid)[1:]
            time.sleep(0.05)
        done.seconds = time.monotonic() - started
    time.sleep(LEFT_S)
    done.left_behind = sum(Path(f"/proc/{pid}").exists() for pid in descendants)
    done.exit_code = process.returncode
    if process.returncode == 0:
        done.published = read_published(project, arguments.rows)
    else:
        print((project / "log.txt").read_text(errors="replace")[-4000:])
    return done


def describe(published: Published | None) -> str:
    if published is None:
        return "failed"
    stages = ", ".join(f"{count:,} {stage}" for stage, count in published.stages)
    return f"{published.rows:,} rows, {published.errors:,} error rows ({stages})"


def differences(calm: Run, stormy: Run) -> list[str]:
    """Returns what the kills changed."""
    found = []
    for name, one in (("undisturbed", calm), ("with kills", stormy)):
        if one.exit_code:
            found.append(f"the run {name} ended with {one.exit_code}")
        if one.published and not one.published.is_complete:
            found.append(f"{name}, not every row is in exactly one of result and error table")
        if one.left_behind:
            found.append(f"{name}, {one.left_behind} processes were left behind")
    if calm.published and stormy.published:
        if calm.published.result_sum != stormy.published.result_sum:
            found.append(f"results differ: {calm.published.result_sum} and {stormy.published.result_sum}")
        if calm.published.error_sum != stormy.published.error_sum:
            found.append(f"error rows differ: {describe(calm.published)} and {describe(stormy.published)}")
    if not stormy.kills:
        found.append("no worker was killed, so nothing was shown")
    return found


def growth(samples: list[Sample]) -> list[str]:
    """Returns what was larger in the last quarter of a run than in its second."""
    if len(samples) < 16:
        return ["the run was too short to see whether something grows"]
    found = []
    for name, (share, amount) in LIMITS.items():
        before, after = quarter(samples, name, 1), quarter(samples, name, 3)
        if after > before * (1 + share) + amount:
            found.append(f"{name} grew from {before:,.0f} to {after:,.0f}")
    return found


def quarter(samples: list[Sample], name: str, index: int) -> float:
    """Returns the median of one quarter of a series."""
    size = len(samples) // 4
    return median(getattr(one, name) for one in samples[index * size : (index + 1) * size])


def print_samples(samples: list[Sample]) -> None:
    """Prints the median of each quarter of the run."""
    if len(samples) < 4:
        return
    print(f"{'median of quarter':20}" + "".join(f"{index + 1:>12}" for index in range(4)))
    for name in [*LIMITS, "processes"]:
        values = [quarter(samples, name, index) for index in range(4)]
        shown = [f"{value / MIB:,.0f} MiB" if name.endswith("bytes") else f"{value:,.0f}" for value in values]
        print(f"{name:20}" + "".join(f"{value:>12}" for value in shown))


def save(arguments: argparse.Namespace, binary: Path, calm: Run, stormy: Run, wrong: list[str]) -> Path:
    """Writes what was seen and returns the file."""
    now = datetime.now(UTC)
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    names = ("rows", "pace", "least", "most", "seed")
    content = {
        "date": now.isoformat(timespec="seconds"),
        "machine": machine(),
        "version": version,
        "settings": {name: getattr(arguments, name) for name in names},
        "verdict": wrong or "same rows, nothing grew",
        "quarters": {name: [quarter(stormy.samples, name, index) for index in range(4)] for name in LIMITS}
        if len(stormy.samples) >= 4
        else {},
        "runs": {"undisturbed": summary(calm), "with_kills": summary(stormy)},
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{now:%Y-%m-%dT%H%M%S}.json"
    file.write_text(json.dumps(content, indent=1) + "\n")
    return file


def summary(one: Run) -> dict[str, object]:
    published = asdict(one.published) if one.published else None
    fields = {"seconds": round(one.seconds, 1), "exit_code": one.exit_code, "published": published}
    return fields | {"kills": dict(one.kills), "spared": one.spared, "left_behind": one.left_behind}
