"""The engines that are compared: how each is started, and where its answers are."""

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from catalogue import CHECKS
from dbt_project import write_dbt_project
from windlass_project import all_checks, write_project

from common.environment import environment

HERE = Path(__file__).parent

Answers = dict[str, float | None]
"""Offending rows or figures by check; `None` where an engine answers in other terms."""


@dataclass
class Windlass:
    """`windlass check` on the events as a source."""

    binary: Path
    data: Path
    folder: Path
    threads: int
    name: str = "windlass"

    def version(self) -> str:
        return version_of([str(self.binary), "--version"])

    def prepare(self) -> None:
        write_project(self.folder, self.data, self.threads, "source", all_checks())

    def command(self) -> list[str]:
        return [str(self.binary), "-p", str(self.folder), "check", "shop.events", "--format", "json"]

    def answers(self, log: Path) -> Answers:
        printed = next(line for line in log.read_text().splitlines() if line.startswith('{"schema"'))
        return {check["name"]: check["observed"] for check in json.loads(printed)["data"]["nodes"][0]["checks"]}


@dataclass
class Write:
    """`windlass run` that copies the events, with the checks on what is written or without."""

    binary: Path
    data: Path
    folder: Path
    threads: int
    with_checks: bool

    @property
    def name(self) -> str:
        return "write with checks" if self.with_checks else "write"

    def version(self) -> str:
        return version_of([str(self.binary), "--version"])

    def prepare(self) -> None:
        checked = "table" if self.with_checks else None
        write_project(self.folder, self.data, self.threads, checked, all_checks())

    def command(self) -> list[str]:
        return [str(self.binary), "-p", str(self.folder), "run", "--format", "json"]

    def answers(self, log: Path) -> Answers:
        printed = next(line for line in log.read_text().splitlines() if line.startswith('{"schema"'))
        checks = json.loads(printed)["data"]["nodes"][-1]["checks"]
        return {check["name"]: check["observed"] for check in checks}


@dataclass
class Peer:
    """A script in `peers/` that reads the tables and writes its answers as JSON."""

    name: str
    package: str
    data: Path
    folder: Path
    threads: int
    cache: Path = field(repr=False)

    def python(self) -> Path:
        return environment(HERE / "requirements" / f"{self.name}.txt", self.cache)

    def version(self) -> str:
        code = f"from importlib.metadata import version; print(version('{self.package}'))"
        return version_of([str(self.python()), "-c", code])

    def prepare(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def command(self) -> list[str]:
        script = HERE / "peers" / f"{self.name}_peer.py"
        return [str(self.python()), str(script), str(self.data), str(self.folder / "answers.json"), str(self.threads)]

    def answers(self, log: Path) -> Answers:
        return json.loads((self.folder / "answers.json").read_text())


class Dbt(Peer):
    """`dbt test` on a view of the events in DuckDB."""

    def dbt(self) -> str:
        return str(self.python().parent / "dbt")

    def prepare(self) -> None:
        super().prepare()
        write_dbt_project(self.folder, self.data, self.threads)
        made = subprocess.run([self.dbt(), "run", *self.places()], capture_output=True, text=True)
        if made.returncode:
            raise SystemExit(f"dbt cannot make its views:\n{made.stdout}")

    def places(self) -> list[str]:
        return ["--project-dir", str(self.folder), "--profiles-dir", str(self.folder)]

    def command(self) -> list[str]:
        return [self.dbt(), "test", *self.places()]

    def answers(self, log: Path) -> Answers:
        results = json.loads((self.folder / "target" / "run_results.json").read_text())["results"]
        failures = {result["unique_id"].split(".")[2]: result["failures"] for result in results}
        # Of other kinds it counts keys or values in place of rows, or says only whether a figure is within bounds.
        rows = ("not_null", "range", "regex", "length", "relationships", "expression", "pair")
        return {check.name: failures[check.name] if check.kind in rows else None for check in CHECKS}


Engine = Windlass | Write | Peer

PACKAGES = {"duckdb": "duckdb", "dbt": "dbt-core", "pandera": "pandera", "gx": "great-expectations"}


def peers(names: list[str], data: Path, work: Path, threads: int, cache: Path) -> list[Engine]:
    """Returns the peers by name."""
    make = {"dbt": Dbt}
    return [make.get(name, Peer)(name, PACKAGES[name], data, work / name, threads, cache) for name in names]


def version_of(command: list[str]) -> str:
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    return shown.stdout.split()[-1]
