"""Runs SQL features, Python features and validation with Windlass and with what people use for them today.

This file needs the standard library alone: it makes the environments, and `benchmark` and `scaling` do the rest.
"""

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from common import environment  # noqa: E402  (shared with the benchmarks beside this one)

CACHE = Path.home() / ".cache" / "windlass" / "bench"
PEERS = "polars,duckdb_numpy,duckdb_ray,daft,spark_arrow,spark_rows"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cores = len(os.sched_getaffinity(0))
    option = parser.add_argument
    option("--copies", type=int, default=30, help="years of flights; 30 is 10,103,280 rows")
    option("--repeat", type=int, default=3, help="runs of each engine")
    option("--threads", type=int, default=cores, help="of each engine; all cores by default")
    option("--windlass", type=Path, help="the binary; by default what a release build made")
    option("--peers", default=PEERS, help=f"names with commas, by default {PEERS} (spark needs Java)")
    option("--only-peers", action="store_true", help="leave Windlass out")
    option("--forms", default="staged,streamed", help="with or without a table between phases 1 and 2; both by default")
    option("--no-edits", dest="edits", action="store_false", help="leave out the first edits after a run")
    option("--scale", help="in place of the comparison: numbers of copies with commas, such as 1,3,10,30,100")
    option("--memory", default="2GiB", help="Windlass's limit with --scale")
    arguments = parser.parse_args()
    arguments.peers = [name for name in arguments.peers.split(",") if name]
    arguments.forms = [name for name in arguments.forms.split(",") if name]
    return arguments


def main() -> None:
    arguments = parse_arguments()
    environment.enter(HERE / "requirements" / "driver.txt", CACHE)

    # These need the packages that the line above provides.
    if arguments.scale:
        import scaling

        scaling.run(arguments, CACHE)
    else:
        import benchmark

        benchmark.run(arguments, CACHE)


if __name__ == "__main__":
    main()
