"""Prints what the functions of the `transport` example take in this process: CPU microseconds a call.

`function_cost.py ROWS`, run with the interpreter that the example's workers use.
"""

import json
import sys
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

SECONDS = 0.5
ROWS = int(sys.argv[1])


def make_batch(seed: int) -> pa.Table:
    columns = {f"c{column}": (np.arange(ROWS) * column + seed) * 0.5 for column in range(10)}
    return pa.table(columns | {"s": [f"u{seed}-{row}" for row in range(ROWS)]})


def fma(batch: pa.Table) -> object:
    columns = [batch[name].chunk(0).to_numpy() for name in ("c0", "c1", "c2")]
    return {"y": columns[0] * columns[1] + columns[2]}


def identity11(batch: pa.Table) -> object:
    def copied(array: pa.Array) -> pa.Array:
        return pa.concat_arrays([array.slice(0, 1), array.slice(1)])

    return pa.table({name: copied(batch[name].chunk(0)) for name in batch.column_names})


def alias11(batch: pa.Table) -> object:
    return batch


def cost_us(function: Callable[[pa.Table], object]) -> float:
    batches = [make_batch(seed) for seed in range(4)]
    calls = 0
    started, deadline = time.thread_time(), time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for batch in batches:
            function(batch)
        calls += len(batches)
    return (time.thread_time() - started) * 1e6 / calls


print(json.dumps({function.__name__: cost_us(function) for function in (fma, identity11, alias11)}))
