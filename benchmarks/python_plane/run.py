"""Measures what Python functions cost in Windlass, Spark, Ray Data, Daft and DuckDB on the same rows.

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
PEERS = "duckdb,daft,ray,spark"
CASES = "fma,identity,predict"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cores = len(os.sched_getaffinity(0))
    option = parser.add_argument
    option("--rows", type=int, default=2_000_000, help="of the small input")
    option("--factor", type=int, default=5, help="the large input is so many times the small one; 0: none")
    option("--rounds", type=int, default=3, help="turns of each engine")
    option("--threads", type=int, default=cores, help="of each engine; all cores by default")
    option("--windlass", type=Path, help="the binary; by default what a release build made")
    option("--transport", type=Path, help="the example of windlass-worker; by default beside the binary")
    option("--peers", default=PEERS, help=f"names with commas, by default {PEERS} (spark needs Java)")
    option("--cases", default=CASES, help=f"names with commas, by default {CASES}")
    option("--only-peers", action="store_true", help="leave Windlass out")
    option("--work", type=Path, default=Path("/dev/shm"), help="where results are written: memory by default")
    arguments = parser.parse_args()
    arguments.peers = [name for name in arguments.peers.split(",") if name]
    arguments.cases = [name for name in arguments.cases.split(",") if name]
    return arguments


def main() -> None:
    arguments = parse_arguments()
    # So that sessions end and results are removed also where this command is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    environment.enter(HERE / "requirements" / "driver.txt", CACHE)

    import benchmark  # needs the packages that the line above provides

    benchmark.run(arguments, CACHE)


if __name__ == "__main__":
    main()
