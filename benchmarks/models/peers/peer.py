"""What all peers share: each takes a request as JSON, runs plans several times and prints a line of JSON for each.

A plan reads `rows`, writes Parquet files to an empty folder and may return figures of its own. Its first run warms up and does
not count. Starting the process, a session and importing libraries are not part of a run.
"""

import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

Request = dict[str, object]
Plan = Callable[[Request, Path], dict[str, object] | None]
BATCH_ROWS = 65_536


def serve(plans: dict[str, Plan], request: Request) -> None:
    """Runs the plans that the request asks for; a failure is an answer too."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name, plan in plans.items():
        if name.partition(" ")[0] in request["cases"]:
            answers.write(json.dumps({"plan": name} | timed(plan, name, request)) + "\n")
            answers.flush()


def timed(plan: Plan, name: str, request: Request) -> dict[str, object]:
    """Returns the seconds of each run and what the last one returned."""
    output = Path(request["work"]) / name.replace(" ", "-")
    seconds = []
    own: dict[str, object] = {}
    try:
        for _ in range(1 + request["passes"][name.partition(" ")[0]]):
            shutil.rmtree(output, ignore_errors=True)
            output.mkdir(parents=True)
            started = time.perf_counter()
            own = plan(request, output) or {}
            seconds.append(own.pop("seconds", time.perf_counter() - started))
    except Exception:
        return {"error": traceback.format_exc()}
    return {"seconds": seconds[1:], "output": str(output)} | own


def request_of_command() -> Request:
    return json.loads(sys.argv[1])


def files(request: Request) -> list[Path]:
    return sorted(Path(request["rows"]).iterdir())
