"""Runs 45 checks over ten million rows with Windlass, DuckDB, dbt, Pandera and Great Expectations.

This file needs the standard library alone: it makes the environments, and `benchmark` does the rest.
"""

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from common import environment  # noqa: E402  (shared with the benchmarks beside this one)

CACHE = Path.home() / ".cache" / "windlass" / "bench"
PEERS = "duckdb,dbt,pandera,gx"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cores = len(os.sched_getaffinity(0))
    option = parser.add_argument
    option("--rows", type=int, default=10_000_000, help="of the table that is checked")
    option("--repeat", type=int, default=3, help="runs of each engine")
    option("--threads", type=int, default=cores, help="of each engine; all cores by default")
    option("--windlass", type=Path, help="the binary; by default what a release build made")
    option("--peers", default=PEERS, help=f"names with commas, by default {PEERS}")
    arguments = parser.parse_args()
    arguments.peers = [name for name in arguments.peers.split(",") if name]
    return arguments


def main() -> None:
    arguments = parse_arguments()
    environment.enter(HERE / "requirements" / "driver.txt", CACHE)

    import benchmark  # needs the packages that the line above provides

    benchmark.run(arguments, CACHE)


if __name__ == "__main__":
    main()
