"""The engines that are compared: how each is started, when its phases end, and where its results are."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from deltalake import DeltaTable
from pyarrow.dataset import Dataset, dataset

from common.environment import InstallError, environment
from common.machine import release_folder
from common.measure import Measurement
from phases import Mark

HERE = Path(__file__).parent
# One thread in each process that runs Python, whatever numerical libraries would like.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
KEY = ["time_hour", "carrier", "flight"]
# Script, environment, the package whose version counts, and the way that the script is to go.
PEERS = {
    "polars": ("polars", "polars", "polars", ""),
    "duckdb_numpy": ("duckdb_numpy", "duckdb_numpy", "duckdb", ""),
    "duckdb_ray": ("duckdb_ray", "duckdb_ray", "ray", ""),
    "daft": ("daft", "daft", "daft", ""),
    "spark_arrow": ("spark", "spark", "pyspark", "arrow"),
    "spark_rows": ("spark", "spark", "pyspark", "rows"),
}
# Ray Data reads files: there is no way from a query of DuckDB into it that is not one more table.
ONLY_STAGED = {"duckdb_ray"}
MARK = re.compile(r"^phase (\d) ended at ([\d.]+)$", re.MULTILINE)


@dataclass
class Setup:
    """What all engines have in common."""

    data: Path
    work: Path
    threads: int

    def tables(self, form: str) -> dict[str, list[str]]:
        """Returns the tables that a form writes, with their keys."""
        written = ["flight_facts", "flight_features"] if form == "staged" else ["flight_features"]
        return dict.fromkeys(written, KEY)


@dataclass
class Peer:
    """A script in `peers/`."""

    name: str
    form: str
    python: Path
    setup: Setup
    is_checked: bool = True

    @property
    def folder(self) -> Path:
        return self.setup.work / f"{self.name}-{self.form}"

    @property
    def code(self) -> Path:
        """Where the copies of the files lie that edits change."""
        return self.folder / "code"

    def version(self) -> str:
        code = f"from importlib.metadata import version; print(version('{PEERS[self.name][2]}'))"
        return subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()

    def prepare(self) -> None:
        """Leaves nothing of an earlier run."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.code.mkdir(parents=True)
        (self.folder / "tables").mkdir()
        for name in ("pipeline.py", "rules.py"):
            shutil.copyfile(HERE / name, self.code / name)

    def command(self, first: int) -> list[str]:
        """Returns the command that runs the phases from `first` on; what they write must not be there."""
        written = {1: ["flight_facts*", "flight_features*"], 2: ["flight_features*"], 3: []}[first]
        for file in (file for pattern in written for file in self.tables.glob(pattern)):
            shutil.rmtree(file) if file.is_dir() else file.unlink()
        script, *_, variant = PEERS[self.name]
        asked = {"data": str(self.setup.data), "out": str(self.tables), "threads": self.setup.threads}
        asked |= {"is_streamed": self.form == "streamed", "first": first, "variant": variant}
        return [str(self.python), str(HERE / "peers" / f"{script}_peer.py"), json.dumps(asked)]

    @property
    def tables(self) -> Path:
        return self.folder / "tables"

    def environment(self) -> dict[str, str]:
        return os.environ | ONE_THREAD | {"PYTHONPATH": str(self.code)}

    def marks(self, _: Measurement, log: Path) -> list[Mark]:
        """Returns when phases ended, as the script says."""
        found = [(int(phase), float(at)) for phase, at in MARK.findall(log.read_text(errors="replace"))]
        names = {1: "1", 2: "2" if self.form == "staged" else "1+2", 3: "3"}
        return [Mark(names[phase], at) for phase, at in found]

    def read(self, table: str) -> Dataset:
        return dataset(sorted(self.tables.glob(f"{table}/*.parquet")) or self.tables / f"{table}.parquet")

    def figures(self) -> dict[str, object]:
        return json.loads((self.tables / "figures.json").read_text())


@dataclass
class Windlass:
    """The built binary on `project/`. Each run is a process from start to end, with its commits."""

    name: str
    form: str
    binary: Path
    setup: Setup
    memory: str
    is_checked: bool = True

    @property
    def folder(self) -> Path:
        return self.setup.work / f"{self.name}-{self.form}"

    @property
    def code(self) -> Path:
        return self.folder

    def version(self) -> str:
        shown = subprocess.run([self.binary, "--version"], capture_output=True, text=True, check=True)
        return shown.stdout.split()[-1]

    def prepare(self) -> None:
        """Writes the project anew, without tables and history; the locks of its packages stay."""
        for left in ("lake", ".windlass"):
            shutil.rmtree(self.folder / left, ignore_errors=True)
        shutil.copytree(HERE / "project", self.folder, dirs_exist_ok=True)
        (self.folder / "lib").mkdir(exist_ok=True)
        shutil.copyfile(HERE / "pipeline.py", self.folder / "lib" / "pipeline.py")
        if not self.is_checked:
            (self.folder / "transforms" / "transforms.yml").unlink()
            shutil.rmtree(self.folder / "checks")
        given = {"DATA": self.setup.data, "THREADS": self.setup.threads, "MEMORY": self.memory}
        for file in ("sources.yml", "targets.yml"):
            text = (self.folder / file).read_text()
            for name, value in given.items():
                text = text.replace(name, str(value))
            (self.folder / file).write_text(text)

    def command(self, _first: int) -> list[str]:
        """Returns the command; what there is to do, Windlass finds out itself."""
        return [str(self.binary), "run", "-p", str(self.folder), *self.variables]

    @property
    def variables(self) -> list[str]:
        return ["--vars", f"facts={'table' if self.form == 'staged' else 'view'}"]

    def environment(self) -> dict[str, str]:
        return os.environ | ONE_THREAD

    def marks(self, measured: Measurement, _: Path) -> list[Mark]:
        """Returns when nodes were published. What the checks look at passes them on its way to the table, so phase 3
        has no time of its own.
        """
        ended = {node["node"]: ended_s(node, measured) for node in self.show("runs", "show")["nodes"]}
        last = "2" if not self.is_checked else "2+3"
        if self.form == "staged":
            return [Mark("1", ended["flight_facts"]), Mark(last, ended["flight_features"])]
        return [Mark(f"1+{last}", ended["flight_features"])]

    def show(self, *command: str) -> dict:
        """Returns what a command of Windlass prints as JSON."""
        asked = [str(self.binary), *command, "-p", str(self.folder), "--format", "json"]
        shown = subprocess.run(asked, capture_output=True, text=True)
        if not shown.stdout:
            raise SystemExit(f"{' '.join(asked)} failed:\n{shown.stderr}")
        return json.loads(shown.stdout)["data"]

    def read(self, table: str) -> Dataset:
        return DeltaTable(self.folder / "lake" / "prod" / table).to_pyarrow_dataset()

    def figures(self) -> dict[str, object]:
        """Returns what the checks found. The query of `half_years` shows distances over the limit, so here all are."""
        variables = [f"--vars={name}=-1" for name in ("most_dep_delay", "most_delay_risk")]
        [node] = self.show("check", "flight_features", *variables, *self.variables)["nodes"]
        checks = {(check["kind"], check["column"]): check for check in node["checks"]}
        observed = {key: check["observed"] for key, check in checks.items()}
        of_kind = lambda kind: {column: value for (name, column), value in observed.items() if name == kind}  # noqa: E731
        return {
            "rows": checks["unique", None]["rows"],
            "source_rows": self.source_rows(),
            "duplicates": observed["unique", None],
            "unaccepted": observed["accepted_values", "origin"],
            "nulls": of_kind("not_null"),
            "outside": of_kind("range"),
            "means": of_kind("mean"),
            "distances": {row["name"]: row["distance"] for row in checks["sql", None]["examples"]},
        }

    def source_rows(self) -> int:
        return dataset(self.setup.data / "flights.parquet").count_rows()


Engine = Peer | Windlass


def ended_s(node: dict, measured: Measurement) -> float:
    """Returns when an attempt ended, on the clock of the measurement."""
    began = datetime.fromisoformat(node["started_at"]).timestamp()
    return began - measured.clock_offset_s + (node["elapsed_ms"] or 0) / 1000


def find_peers(names: list[str], forms: list[str], cache: Path, setup: Setup) -> tuple[list[Engine], dict[str, str]]:
    """Returns the peers that could be installed, and why others could not."""
    engines: list[Engine] = []
    skipped: dict[str, str] = {}
    for name in names:
        try:
            python = environment(HERE / "requirements" / f"{PEERS[name][1]}.txt", cache)
        except InstallError as err:
            skipped[name] = str(err)
            print(f"{name} is left out, it could not be installed: {err}", flush=True)
            continue
        engines += [Peer(name, form, python, setup) for form in forms if form == "staged" or name not in ONLY_STAGED]
    return engines, skipped


def find_windlass(named: Path | None, setup: Setup) -> Callable[..., Windlass]:
    """Returns what makes Windlass by name, form and memory."""
    binary = named or release_folder() / "windlass"
    if not binary.exists():
        raise SystemExit(f"no binary {binary}; build it, or name it with --windlass")
    return lambda name, form, memory, **more: Windlass(name, form, binary.resolve(), setup, memory, **more)
