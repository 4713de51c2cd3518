"""Lets millions of rows pass a Python transform while its workers are killed at random.

This file needs the standard library alone: it makes the environment, and `soak` does the rest.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path.home() / ".cache" / "windlass" / "bench"

sys.path.append(str(HERE.parent))
from common import environment  # noqa: E402  (shared with the benchmarks beside this one)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    option = parser.add_argument
    option("--rows", type=int, default=10_000_000)
    option("--pace", type=int, default=40, help="microseconds that the function waits for each row of a batch")
    option("--least", type=float, default=0.5, help="seconds between two kills, at least")
    option("--most", type=float, default=2.0, help="seconds between two kills, at most")
    option("--seed", type=int, default=7, help="of the kills")
    option("--windlass", type=Path, help="the binary; by default what a release build made")
    option("--keep", action="store_true", help="keep the project and its tables, also where all is well")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    environment.enter(HERE.parent / "python_plane" / "requirements" / "driver.txt", CACHE)

    import soak  # needs the packages that the line above provides

    sys.exit(soak.run(arguments, CACHE))


if __name__ == "__main__":
    main()
