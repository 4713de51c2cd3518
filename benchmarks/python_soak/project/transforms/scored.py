"""Scores rows, and loses some in each way that there is: `requires`, `reject` and an exception."""

import time

import numpy as np
from windlass import reject, source, transform, var


@transform(
    input=source("soak", "rows"),
    columns={"id": "bigint", "name": "varchar", "score": "double"},
    key=["id"],
    requires={"not_null": ["a"]},
    batch_size=1000,
    concurrency=(2, 4),
    num_cpus=0.5,
    on_error="quarantine",
    max_error_rate="1%",
)
class Scored:
    def __init__(self):
        self.weights = np.linspace(0.5, 1.5, 1000)
        self.pace_s = int(var("pace_us")) / 1e6

    def __call__(self, batch):
        ids = batch["id"]
        time.sleep(len(ids) * self.pace_s)
        refused = ids[ids % 5003 == 0]
        if len(refused):
            raise ValueError(f"id {refused[0]} is a multiple of 5003")
        reject(ids % 1009 == 0, "a multiple of 1009")
        score = np.tanh(batch["a"] * self.weights[ids % 1000])
        return {"id": ids, "name": batch["name"], "score": score}
