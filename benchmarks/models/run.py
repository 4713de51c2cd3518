"""Scores ten million rows in SQL and with the libraries that train models, and trains a logistic regression both ways.

This file needs the standard library alone: it makes the environments, and `benchmark` does the rest.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from common import environment  # noqa: E402  (shared with the benchmarks beside this one)

CACHE = Path.home() / ".cache" / "windlass" / "bench"
CASES = "logistic,trees,training"
PEERS = "sklearn,lightgbm,ray,duckdb"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cores = len(os.sched_getaffinity(0))
    option = parser.add_argument
    option("--rows", type=int, default=10_000_000, help="that are scored and trained on")
    option("--rounds", type=int, default=3, help="turns of each engine")
    option("--threads", type=int, default=cores, help="of each engine; all cores by default")
    option("--windlass", type=Path, help="the binary; by default what a release build made")
    option("--score", type=Path, help="the example `score` of windlass-model; by default beside the binary")
    option("--cases", default=CASES, help=f"names with commas, by default {CASES}")
    option("--peers", default=PEERS, help=f"names with commas, by default {PEERS}")
    option("--work", type=Path, default=Path("/dev/shm"), help="where results are written: memory by default")
    option("--note", default="", help="kept with the figures, such as what else the machine did")
    arguments = parser.parse_args()
    arguments.cases = [name for name in arguments.cases.split(",") if name]
    arguments.peers = [name for name in arguments.peers.split(",") if name]
    return arguments


def main() -> None:
    arguments = parse_arguments()
    # So that results are removed also where this command is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    environment.enter(HERE / "requirements" / "driver.txt", CACHE)

    import benchmark  # needs the packages that the line above provides

    benchmark.run(arguments, CACHE)


if __name__ == "__main__":
    main()
