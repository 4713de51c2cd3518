"""The transport alone: the example `transport` of windlass-worker, without the engine around it."""

import json
import os
import subprocess
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
FUNCTIONS = ("fma", "identity11", "alias11")
BATCHES = {1_000: 20_000, 10_000: 4_000, 100_000: 400}
REPEAT = 5


def measure_transport(program: Path, python: Path, threads: int, variables: dict[str, str]) -> list[dict]:
    """Returns the medians for each function, batch size and number of workers, measured in turns."""
    runs: dict[tuple[str, int, int], list[dict[str, float]]] = {}
    costs: dict[int, list[dict[str, float]]] = {}
    for _ in range(REPEAT):
        for rows, batches in BATCHES.items():
            costs.setdefault(rows, []).append(function_costs(python, rows, variables))
            for function in FUNCTIONS:
                for workers in sorted({1, threads}):
                    arguments = [program, python, function, rows, batches, workers]
                    runs.setdefault((function, rows, workers), []).append(run_once(arguments, variables))
    return [
        {"function": function, "rows": rows, "workers": workers}
        | {name: median(run[name] for run in measured) for name in measured[0]}
        | {"function_cpu_us": median(cost[function] for cost in costs[rows])}
        for (function, rows, workers), measured in runs.items()
    ]


def run_once(arguments: list[object], variables: dict[str, str]) -> dict[str, float]:
    """Runs the example once and returns the figures that it prints as `name=value`."""
    shown = subprocess.run(
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | variables,
    )
    fields = dict(item.split("=", 1) for item in shown.stdout.split() if "=" in item)
    return {name: float(fields[name]) for name in ("rows_per_s", "cpu_us_per_batch", "alone_us")}


def function_costs(python: Path, rows: int, variables: dict[str, str]) -> dict[str, float]:
    """Returns the CPU microseconds a call of each function in one process."""
    command = [str(python), str(HERE / "function_cost.py"), str(rows)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | variables)
    return json.loads(shown.stdout)
