"""Runs the flight feature transform with Windlass and its peers on the same data.

This file needs the standard library alone: it makes the environment, and `benchmark` does the rest.
"""

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from common import environment  # noqa: E402  (shared with the benchmarks beside this one)

CACHE = Path.home() / ".cache" / "windlass" / "bench"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cores = len(os.sched_getaffinity(0))
    option = parser.add_argument
    option("--copies", type=int, default=30, help="years of flights; 30 is 10,103,280 rows")
    option("--repeat", type=int, default=3, help="runs of each engine")
    option("--threads", type=int, default=cores, help="of each engine; all cores by default")
    option("--windlass", type=Path, help="the binary; by default what a release build made")
    option("--peers", default="duckdb,polars", help="names with commas; also: pyspark (needs Java)")
    option("--only-peers", action="store_true", help="leave Windlass out")
    arguments = parser.parse_args()
    arguments.peers = [name for name in arguments.peers.split(",") if name]
    return arguments


def main() -> None:
    arguments = parse_arguments()
    with_spark = "pyspark" in arguments.peers
    environment.enter(HERE / ("requirements-pyspark.txt" if with_spark else "requirements.txt"), CACHE)

    import benchmark  # needs the packages that the line above provides

    benchmark.run(arguments, CACHE)


if __name__ == "__main__":
    main()
