"""The engines that are compared: how each is started, and how its tables are read."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from deltalake import DeltaTable
from pyarrow.dataset import Dataset, dataset

from common.machine import ROOT, release_folder

HERE = Path(__file__).parent
EXAMPLE = ROOT / "examples" / "flights"
SOURCE_PATH = "path: data/{name}.parquet"

TARGETS = """\
default: benchmark
targets:
  benchmark:
    engine: datafusion
    lake: ./lake
    state: ./.windlass
    threads: {threads}
    memory: {memory}
    env: prod
"""


@dataclass
class Peer:
    """A script in `peers/` that writes each table as Parquet."""

    name: str
    package: str
    data: Path
    folder: Path
    threads: int

    def version(self) -> str:
        return metadata.version(self.package)

    def prepare(self) -> None:
        """Leaves nothing of an earlier run."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "tables").mkdir(parents=True)

    def command(self) -> list[str]:
        script = HERE / "peers" / f"{self.name}_peer.py"
        arguments = (script, self.data, EXAMPLE / "seeds", self.folder / "tables", self.threads)
        return [sys.executable, *map(str, arguments)]

    def read(self, table: str) -> Dataset:
        return dataset(self.folder / "tables" / f"{table}.parquet")


@dataclass
class Windlass:
    """The built binary on a copy of the flights example that reads the benchmark's data."""

    name: str
    binary: Path
    data: Path
    folder: Path
    threads: int
    memory: str

    def version(self) -> str:
        command = [self.binary, "--version"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True)
        return shown.stdout.split()[-1]

    def prepare(self) -> None:
        """Writes the project anew, without tables and history."""
        shutil.rmtree(self.folder, ignore_errors=True)
        ignored = shutil.ignore_patterns("data", "lake", ".windlass", "target")
        shutil.copytree(EXAMPLE, self.folder, ignore=ignored)
        sources = self.folder / "sources.yml"
        text = sources.read_text()
        if SOURCE_PATH not in text:
            raise SystemExit(f"cannot redirect the sources: no `{SOURCE_PATH}` in {sources}")
        sources.write_text(text.replace(SOURCE_PATH, f"path: {self.data}/{{name}}.parquet"))
        targets = TARGETS.format(threads=self.threads, memory=self.memory)
        (self.folder / "targets.yml").write_text(targets)
        # The example's routes are computed day by day up to the end of its data; peers compute them as a whole.
        routes = self.folder / "transforms" / "features" / "feat_route_daily.sql"
        text = re.sub(r"\{\{ config\(.*?\) \}\}", "{{ config(materialized='table') }}", routes.read_text(), flags=re.DOTALL)
        routes.write_text("".join(line for line in text.splitlines(keepends=True) if "interval_start" not in line))

    def command(self) -> list[str]:
        return [str(self.binary), "run", "-p", str(self.folder), *TABLES]

    def read(self, table: str) -> Dataset:
        return DeltaTable(self.folder / "lake" / "prod" / table).to_pyarrow_dataset()


Engine = Peer | Windlass

# What every engine makes; the example has more, for Python and models.
TABLES = ["holidays", "feat_weather_hourly", "feat_plane", "feat_route_daily", "feat_flight", "carrier_summary"]
PEERS = {"duckdb": "duckdb", "polars": "polars", "pyspark": "pyspark"}


def windlass_engines(binary: Path, data: Path, work: Path, threads: int) -> list[Engine]:
    """Returns Windlass with the default memory limit, and with 1 GiB, where it has to spill."""
    limits = {"windlass": "70%", "windlass-1GiB": "1GiB"}
    return [
        Windlass(name, binary, data, work / name, threads, memory)
        for name, memory in limits.items()
    ]


def peer_engines(names: list[str], data: Path, work: Path, threads: int) -> list[Engine]:
    """Returns the peers by name."""
    return [Peer(name, PEERS[name], data, work / name, threads) for name in names]


def default_binary() -> Path:
    """Returns where `cargo build --release` puts the binary."""
    return release_folder() / "windlass"
