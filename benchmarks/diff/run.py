"""Measures `windlass diff` of two versions of a table of ten million rows; needs the standard library alone."""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from common.machine import GIB, machine, release_folder  # noqa: E402  (shared with the benchmarks beside this one)
from common.measure import Measurement, measure  # noqa: E402

WORK = Path.home() / ".cache" / "windlass" / "bench" / "diff-work"
# So many rows changed, and as many came and went.
CHANGED = 1_000
SQL = """select value + {{ var('gone') }} as id, value * 7919 % 500000 as user_id, value * 31 % 100 as qty,
  (value * 7919 % 1000003) / 1000.0 + case when value <= {{ var('changed') }} then 0.5 else 0 end as amount,
  sin(value) as f1, cos(value) as f2, sin(value * 3) as f3, cos(value * 5) as f4,
  'C' || (value % 30) as country, case value % 4 when 0 then 'placed' when 1 then 'shipped' when 2 then 'delivered' else 'returned' end as status,
  'user' || (value * 7919 % 3000000) || '@example.com' as email, value % 5 = 0 as is_new,
  to_timestamp_micros(1700000000000000 + value * 1000000) as ts, date '2024-01-01' + cast(value % 365 as int) as day,
  case when value % 1000 = 0 then null else value % 77 end as maybe
from generate_series(1, {{ var('rows') }}) t(value)
"""


def write_project(folder: Path, arguments: argparse.Namespace) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "transforms").mkdir(parents=True)
    target = {"lake": "./lake", "state": "./.windlass", "env": "prod", "threads": arguments.threads, "memory": "70%"}
    variables = {"rows": arguments.rows, "changed": 0, "gone": 0}
    # JSON is YAML too.
    files = {
        "windlass.yml": {"name": "diff", "vars": variables},
        "targets.yml": {"default": "local", "targets": {"local": target}},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1))
    (folder / "transforms" / "events.sql").write_text(SQL)


def take(command: list[str]) -> Measurement:
    log = WORK / "log.txt"
    measured = measure(command, log)
    if measured.exit_code:
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text(errors='replace')[-4000:]}")
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    option = parser.add_argument
    option("--rows", type=int, default=10_000_000, help="of the table")
    option("--repeat", type=int, default=3, help="runs of each comparison")
    option("--threads", type=int, default=len(os.sched_getaffinity(0)), help="all cores by default")
    option("--windlass", type=Path, help="the binary; by default what a release build made")
    arguments = parser.parse_args()
    binary = (arguments.windlass or release_folder() / "windlass").resolve()
    project = WORK / "project"
    write_project(project, arguments)
    windlass = [str(binary), "-p", str(project)]
    amounts, ids = {"changed": CHANGED}, {"changed": CHANGED, "gone": CHANGED}
    for changed in ({}, amounts, ids, ids):
        variables = [part for name, value in changed.items() for part in ("--vars", f"{name}={value}")]
        take([*windlass, "run", "--no-cache", "-q", *variables])
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    print(f"{arguments.rows:,} rows of 15 columns, medians of {arguments.repeat} runs\n")
    print(f"{'':40}{'wall s':>9}{'CPU s':>9}{'peak GiB':>10}")
    # Version 1 has other amounts than version 0, version 2 other ids too; version 3 has the rows of version 2.
    commands = {
        "equal": [*windlass, "diff", "events", "--to", "2"],
        "other ids, by key": [*windlass, "diff", "events", "--to", "1", "--key", "id"],
        "other amounts and ids, by key": [*windlass, "diff", "events", "--to", "0", "--key", "id"],
        "other amounts and ids, whole rows": [*windlass, "diff", "events", "--to", "0"],
    }
    for name, command in commands.items():
        runs = [take(command) for _ in range(arguments.repeat)]
        wall, cpu = median(run.wall_s for run in runs), median(run.cpu_s for run in runs)
        peak = median(run.peak_bytes for run in runs) / GIB
        print(f"{name:40}{wall:>9.2f}{cpu:>9.2f}{peak:>10.2f}", flush=True)
    shutil.rmtree(WORK, ignore_errors=True)


if __name__ == "__main__":
    main()
