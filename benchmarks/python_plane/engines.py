"""The engines that are compared: how each is started, what it runs, and where its rows are."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from deltalake import DeltaTable

from measure import CommandError, CpuMeter, Measurement, end_orphans, measure

from common.environment import InstallError, environment
from common.processes import adopt_orphans

HERE = Path(__file__).parent
# One thread in each process that runs Python, whatever numerical libraries would like.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PEERS = {
    "floor": "numpy",
    "duckdb": "duckdb",
    "daft": "daft",
    "ray": "ray",
    "spark": "pyspark",
}
# These start Python processes for each query, so they also run the large input: the difference
# between both sizes is what they do per second once they run.
WITH_LARGE = {"floor", "daft", "ray", "windlass"}
# How long a session may take to end before it is killed.
STOP_SECONDS = 30

Key = tuple[str, str]
"""A case and a variant of it; the variant `plain` is the same plan without the function."""


class SessionError(CommandError):
    """A peer ended before its time."""


@dataclass
class Inputs:
    """What all engines read, and where they may write."""

    small: Path
    large: Path | None
    model: Path
    work: Path
    threads: int

    def rows_of(self, size: str) -> Path:
        """Returns the folder of an input by its size."""
        folder = self.large if size == "large" else self.small
        if folder is None:
            raise ValueError("there is no large input")
        return folder


@dataclass
class Peer:
    """A script in `peers/` that stays for a session and takes one plan after the other."""

    name: str
    python: Path
    inputs: Inputs
    start_s: list[float] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None

    def version(self) -> str:
        package = PEERS[self.name]
        code = f"from importlib.metadata import version; print(version('{package}'))"
        return subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    @contextmanager
    def session(self) -> Iterator[list[Key]]:
        """Starts the peer and gives its plans; ends it on the way out."""
        log = self.inputs.work / f"{self.name}.log"
        script = HERE / "peers" / f"{self.name}_peer.py"
        command = [str(self.python), str(script), str(self.inputs.threads)]
        variables = os.environ | ONE_THREAD | {"PYTHONPATH": str(HERE)}
        adopt_orphans()
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=variables
            )
        try:
            ready = self.answer()
            self.start_s.append(ready["start_s"])
            yield [(case, variant) for case, variant in ready["plans"]]
        finally:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
            end_orphans()
            self.process.returncode = self.process.returncode or 0

    def answer(self) -> dict:
        """Returns the next answer; a peer that ends in its stead failed."""
        line = self.process.stdout.readline()
        if not line:
            log = self.inputs.work / f"{self.name}.log"
            raise SessionError(log.read_text(errors="replace")[-4000:])
        return json.loads(line)

    def run(self, key: Key, size: str) -> Measurement:
        """Runs one plan into an empty folder."""
        output = self.output(key)
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        paths = {"input": self.inputs.rows_of(size), "output": output, "model": self.inputs.model}
        request = {"case": key[0], "variant": key[1]} | {name: str(path) for name, path in paths.items()}
        with CpuMeter(self.process.pid) as meter:
            with suppress(BrokenPipeError):
                self.process.stdin.write(json.dumps(request) + "\n")
                self.process.stdin.flush()
            answer = self.answer()
        if "error" in answer:
            raise CommandError(answer["error"])
        return Measurement(cpu_s=meter.seconds(), **answer)

    def output(self, key: Key) -> Path:
        return self.inputs.work / self.name / f"{key[0]}-{key[1]}".replace(" ", "-")

    def files(self, key: Key) -> list[Path]:
        """Returns what the last run of a plan wrote."""
        return sorted(self.output(key).rglob("*.parquet"))


@dataclass
class Windlass:
    """The built binary on `project/`: each run is a process from start to end, with its commit."""

    binary: Path
    inputs: Inputs
    name: str = "windlass"
    start_s: list[float] = field(default_factory=list)

    PLANS = (
        ("fma", "plain"),
        ("fma", "transform"),
        ("fma", "udf"),
        ("identity", "plain"),
        ("identity", "transform"),
        ("predict", "plain"),
        ("predict", "transform"),
    )

    def version(self) -> str:
        shown = subprocess.run([self.binary, "--version"], capture_output=True, text=True, check=True)
        return shown.stdout.split()[-1]

    @contextmanager
    def session(self) -> Iterator[list[Key]]:
        """Writes a project for each size; nothing is started."""
        for size in ("small", "large"):
            if size == "small" or self.inputs.large:
                self.write_project(size)
        yield list(self.PLANS)

    def write_project(self, size: str) -> None:
        """Writes the project that reads one input; locks of its packages stay from turn to turn."""
        folder = self.project(size)
        shutil.copytree(HERE / "project", folder, dirs_exist_ok=True)
        (folder / "lib").mkdir(exist_ok=True)
        shutil.copyfile(HERE / "functions.py", folder / "lib" / "plane_functions.py")
        for file in ("sources.yml", "windlass.yml", "targets.yml"):
            text = (folder / file).read_text()
            text = text.replace("ROWS", str(self.inputs.rows_of(size)))
            text = text.replace("MODEL", str(self.inputs.model))
            (folder / file).write_text(text.replace("THREADS", str(self.inputs.threads)))

    def project(self, size: str) -> Path:
        return self.inputs.work / self.name / size

    def run(self, key: Key, size: str) -> Measurement:
        """Publishes one table anew."""
        folder = self.project(size)
        for left in ("lake", ".windlass"):
            shutil.rmtree(folder / left, ignore_errors=True)
        node = "_".join(key)
        command = [str(self.binary), "run", node, "-p", str(folder), "--format", "json"]
        output = folder.with_suffix(".json")
        measured = measure(command, os.environ | ONE_THREAD, output)
        nodes = json.loads(output.read_text())["data"]["nodes"]
        measured.node_s = sum(ran["elapsed_ms"] for ran in nodes if ran["name"] == node) / 1000
        self.last = folder
        return measured

    def files(self, key: Key) -> list[Path]:
        table = DeltaTable(self.last / "lake" / "prod" / "_".join(key))
        return [Path(uri.removeprefix("file://")) for uri in table.file_uris()]


Engine = Peer | Windlass


def requirements(name: str) -> Path:
    """Returns the file of an environment's pins."""
    return HERE / "requirements" / f"{name}.txt"


def find_peers(names: list[str], cache: Path, inputs: Inputs) -> tuple[list[Engine], dict[str, str]]:
    """Returns the peers that could be installed, and why others could not."""
    engines: list[Engine] = []
    skipped: dict[str, str] = {}
    for name in names:
        try:
            engines.append(Peer(name, environment(requirements(name), cache), inputs))
        except InstallError as err:
            skipped[name] = str(err)
            print(f"{name} is left out, it could not be installed: {err}", flush=True)
    return engines, skipped


def package_versions() -> dict[str, str]:
    """Returns the versions of what all engines have in common."""
    return {name: metadata.version(name) for name in ("numpy", "pyarrow", "scikit-learn")}
