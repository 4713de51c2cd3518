"""The floor: the same functions in the same process as the data, over batches of 10,000 rows.

Processes take a share of the files each and never speak to each other while they work. What the
function takes is measured around its calls, so reading and writing do not blur it. A batch is
fetched from memory that the reading of the whole file has just left, as in an engine.
"""

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import serve

from functions import FEATURES, fma, load_model, predict

BATCH_ROWS = 10_000
INPUTS = {"fma": ["x0", "x1", "x2"], "predict": FEATURES, "identity": None}


def fma_batch(batch: pa.RecordBatch, _model: str) -> pa.RecordBatch:
    result = fma(*(column.to_numpy() for column in batch.columns))
    return pa.record_batch({"r": pa.array(result)})


def predict_batch(batch: pa.RecordBatch, model: str) -> pa.RecordBatch:
    columns = [column.to_numpy() for column in batch.columns]
    return pa.record_batch({"p": pa.array(predict(load_model(model), columns))})


def identity_batch(batch: pa.RecordBatch, _model: str) -> pa.RecordBatch:
    return batch


FUNCTIONS = {"fma": fma_batch, "predict": predict_batch, "identity": identity_batch}


def run_share(case: str, request: dict[str, str], share: int, shares: int) -> tuple[float, float]:
    """Works on every `shares`-th file; returns seconds and CPU seconds of the function alone."""
    spent_s = spent_cpu_s = 0.0
    if case == "predict":
        load_model(request["model"])
    output = Path(request["output"])
    for file in sorted(Path(request["input"]).iterdir())[share::shares]:
        table = pq.read_table(file, columns=INPUTS[case], use_threads=False).combine_chunks()
        batches = table.to_batches(max_chunksize=BATCH_ROWS)
        started, started_cpu = time.perf_counter(), time.thread_time()
        results = [FUNCTIONS[case](batch, request["model"]) for batch in batches]
        spent_cpu_s += time.thread_time() - started_cpu
        spent_s += time.perf_counter() - started
        pq.write_table(pa.Table.from_batches(results), output / file.name, compression="zstd")
    return spent_s, spent_cpu_s


def plan(case: str, pool: ProcessPoolExecutor, shares: int) -> serve.Plan:
    """Returns the plan that spreads a case over `shares` processes."""

    def run(request: dict[str, str]) -> dict[str, float]:
        parts = [pool.submit(run_share, case, request, share, shares) for share in range(shares)]
        spent = [part.result() for part in parts]
        return {"udf_s": max(s for s, _ in spent), "udf_cpu_s": sum(cpu_s for _, cpu_s in spent)}

    return run


def start(threads: int) -> dict[tuple[str, str], serve.Plan]:
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    plans = {}
    for shares in sorted({1, threads}):
        pool = ProcessPoolExecutor(shares, get_context("spawn"), initializer=pa.set_cpu_count, initargs=(1,))
        variant = "1 process" if shares == 1 else f"{shares} processes"
        plans |= {(case, variant): plan(case, pool, shares) for case in FUNCTIONS}
    return plans


if __name__ == "__main__":
    serve.serve(start)
