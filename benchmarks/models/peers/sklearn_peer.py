"""scikit-learn without an engine: `predict_proba` over Arrow batches, a process for each core, and its own training."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from peer import BATCH_ROWS, Request, files, request_of_command, serve
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from columns import LINEAR, answer, in_units, matrix, plain
from linear import logistic_of_file


def one_thread() -> None:
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


def run_share(request: Request, output: str, share: int, with_model: bool) -> None:
    """Works on every so many files."""
    model = logistic_of_file(request["weights"]) if with_model else None
    for file in files(request)[share :: int(request["threads"])]:
        rows = pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=["id", *LINEAR], use_threads=False)
        writer = None
        for batch in rows:
            if model is None:
                made = plain(batch, LINEAR)
            else:
                made = answer(batch.column(0), model.predict_proba(matrix(batch, LINEAR))[:, 1])
            writer = writer or pq.ParquetWriter(Path(output) / file.name, made.schema, compression="zstd")
            writer.write_table(made)
        if writer:
            writer.close()


def scoring(pool: ProcessPoolExecutor, with_model: bool):
    def run(request: Request, output: Path) -> None:
        shares = range(int(request["threads"]))
        for done in [pool.submit(run_share, request, str(output), share, with_model) for share in shares]:
            done.result()

    return run


def training(**settings: object):
    """Returns the plan that reads the rows and fits the pipeline that `CREATE MODEL` stands for."""

    def run(request: Request, _output: Path) -> dict[str, object]:
        table = pq.read_table(request["rows"], columns=[*LINEAR, "y"])
        features, label = matrix(table, LINEAR), table["y"].to_numpy()
        del table
        model = make_pipeline(StandardScaler(copy=False), LogisticRegression(C=1.0, **settings)).fit(features, label)
        scaler, regression = (step for _, step in model.steps)
        found = in_units(scaler.mean_, scaler.scale_, regression.coef_[0], regression.intercept_[0])
        return {"coefficients": found, "iterations": int(regression.n_iter_[0])}

    return run


def main() -> None:
    request = request_of_command()
    plans = {
        "training scikit-learn lbfgs": training(max_iter=1_000),
        "training scikit-learn newton-cholesky": training(solver="newton-cholesky", tol=1e-8),
    }
    # For the processes that score; this one, which trains, has its threads already.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with ProcessPoolExecutor(int(request["threads"]), get_context("spawn"), initializer=one_thread) as pool:
        plans["logistic plain"] = scoring(pool, with_model=False)
        plans["logistic scikit-learn"] = scoring(pool, with_model=True)
        serve(plans, request)


if __name__ == "__main__":
    main()
