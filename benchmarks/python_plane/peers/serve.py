"""What all peers share: they stay, take one plan after the other and say how long each took.

A request is a line of JSON on stdin, `{"case", "variant", "input", "output", "model"}`; an answer is
a line on what was stdout when the process began. Everything that libraries print goes to stderr.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

Plan = Callable[[dict[str, str]], dict[str, float] | None]
"""Reads `input`, writes Parquet files into the folder `output`; may return seconds of its own."""


def serve(start: Callable[[int], dict[tuple[str, str], Plan]]) -> None:
    """Answers requests until stdin ends. `start` gets the number of threads and returns the plans."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    started = time.perf_counter()
    plans = start(int(sys.argv[1]))
    ready = {"plans": list(plans), "start_s": time.perf_counter() - started}
    answers.write(json.dumps(ready) + "\n")
    answers.flush()
    for line in sys.stdin:
        request = json.loads(line)
        plan = plans[request["case"], request["variant"]]
        answer = timed(plan, request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def timed(plan: Plan, request: dict[str, str]) -> dict[str, object]:
    """Runs a plan; a failure is an answer too, so that the other plans can go on."""
    started = time.perf_counter()
    try:
        own = plan(request)
    except Exception:
        return {"error": traceback.format_exc()}
    return {"whole_s": time.perf_counter() - started} | (own or {})
