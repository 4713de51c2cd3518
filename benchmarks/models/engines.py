"""The engines that are compared: the built binary on `project/`, and the scripts in `peers/`."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from deltalake import DeltaTable

from common.environment import InstallError, environment
from common.processes import adopt_orphans, orphans_cpu_s

HERE = Path(__file__).parent
# Whose packages each peer needs; the driver's where it has no file of its own.
PEERS = {"sklearn": "driver", "lightgbm": "driver", "ray": "ray", "duckdb": "duckdb"}
CASES_OF = {
    "sklearn": {"logistic", "training"},
    "lightgbm": {"trees"},
    "ray": {"logistic"},
    "duckdb": {"training"},
}
# Runs of each plan in a round, after one to warm up.
PASSES = {"logistic": 2, "trees": 2, "training": 1}
WINDLASS_PLANS = {
    "logistic": ["logistic_plain", "logistic_predict", "logistic_list", "logistic_function"],
    "trees": ["trees_plain", "trees_predict"],
}


class CommandError(Exception):
    """A command failed; the text is the end of what it said."""


@dataclass
class Taken:
    """The runs of a plan: seconds of each, and what else was told of the last one."""

    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    told: dict[str, object] = field(default_factory=dict)


@dataclass
class Place:
    """What all engines read, and where they may write."""

    data: Path
    work: Path
    threads: int
    binary: Path

    @property
    def weights(self) -> Path:
        return self.work / "weights.json"


def run_command(command: list[object], log: Path) -> tuple[float, float]:
    """Runs a command to its end and returns its seconds and CPU seconds."""
    adopt_orphans()
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        whole_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise CommandError(f"{' '.join(map(str, command))}\n{log.read_text(errors='replace')[-4000:]}")
    return whole_s, usage.ru_utime + usage.ru_stime + orphans_cpu_s()


@dataclass
class Windlass:
    """Each run is a process from start to end, with its commit."""

    place: Place
    name: str = "windlass"

    def version(self) -> str:
        command = [str(self.place.binary), "--version"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]

    def project(self, name: str = "project", threads: int | None = None) -> Path:
        """Writes the project that reads the input."""
        folder = self.place.work / self.name / name
        shutil.copytree(HERE / "project", folder, dirs_exist_ok=True)
        texts = {
            "ROWS": str(self.place.data / "rows"),
            "TREES": str(self.place.data / "trees.txt"),
            "THREADS": str(threads or self.place.threads),
        }
        for file in ("sources.yml", "targets.yml", "models/trees.yml"):
            text = (folder / file).read_text()
            for word, said in texts.items():
                text = text.replace(word, said)
            (folder / file).write_text(text)
        return folder

    def run(self, node: str, folder: Path) -> tuple[float, float]:
        log = self.place.work / f"windlass-{node}.log"
        return run_command([self.place.binary, "run", node, "--no-cache", "-p", folder], log)

    def train(self, name: str = "training", threads: int | None = None) -> tuple[float, float, Path]:
        """Trains the model in an empty lake; returns seconds, CPU seconds and the model's file."""
        folder = self.project(name, threads)
        for left in ("lake", ".windlass"):
            shutil.rmtree(folder / left, ignore_errors=True)
        whole_s, cpu_s = self.run("risk", folder)
        [file] = (folder / "lake" / "prod" / "_windlass" / "models" / "risk" / "artifacts").iterdir()
        return whole_s, cpu_s, file

    def files(self, node: str) -> list[Path]:
        table = DeltaTable(self.project() / "lake" / "prod" / node)
        return [Path(uri.removeprefix("file://")) for uri in table.file_uris()]


@dataclass
class Peer:
    """A script in `peers/`, a process for each round."""

    name: str
    python: Path
    place: Place

    def round(self, cases: list[str], passes: dict[str, int]) -> dict[str, dict]:
        """Runs all its plans; returns what was told of each."""
        request = {
            "rows": str(self.place.data / "rows"),
            "trees": str(self.place.data / "trees.txt"),
            "memory": str(self.place.data / "memory.arrow"),
            "weights": str(self.place.weights),
            "work": str(self.place.work / self.name),
            "threads": self.place.threads,
            "passes": passes,
            "cases": cases,
        }
        log = self.place.work / f"{self.name}.log"
        script = HERE / "peers" / f"{self.name}_peer.py"
        command = [self.python, script, json.dumps(request)]
        # Ray's workers find the modules beside the peers by it.
        variables = os.environ | {"PYTHONPATH": str(HERE)}
        with log.open("wb") as errors:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=variables)
        if done.returncode:
            raise CommandError(log.read_text(errors="replace")[-4000:])
        told = [json.loads(line) for line in done.stdout.splitlines()]
        return {one.pop("plan"): one for one in told}


def find_peers(names: list[str], cache: Path, place: Place) -> tuple[list[Peer], dict[str, str]]:
    """Returns the peers that could be installed, and why others could not."""
    found, skipped = [], {}
    for name in names:
        packages = PEERS[name]
        try:
            file = HERE / "requirements" / f"{packages}.txt"
            python = Path(sys.executable) if packages == "driver" else environment(file, cache)
            found.append(Peer(name, python, place))
        except InstallError as err:
            skipped[name] = str(err)
            print(f"{name} is left out, it could not be installed: {err}", flush=True)
    return found, skipped


def score_kernel(program: Path, place: Place, threads: int, rounds: int) -> dict[str, object]:
    """Scores the rows of memory with the crate alone; returns what its example prints."""
    data = place.data
    command = [program, "lightgbm", data / "trees.txt", data / "memory.arrow", str(threads), str(rounds)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
