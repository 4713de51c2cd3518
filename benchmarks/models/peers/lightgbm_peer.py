"""LightGBM without an engine: its own `predict` with all threads, over files and over rows in memory."""

import time
from pathlib import Path

import lightgbm
import pyarrow as pa
import pyarrow.parquet as pq
from peer import Request, files, request_of_command, serve

from columns import COLUMNS, answer, matrix, plain


def scoring(booster: lightgbm.Booster | None):
    """Returns the plan that takes a file at a time, as large as LightGBM likes them: a million rows and more."""

    def run(request: Request, output: Path) -> None:
        for file in files(request):
            table = pq.read_table(file, columns=["id", *COLUMNS])
            if booster is None:
                made = plain(table, COLUMNS)
            else:
                scores = booster.predict(matrix(table, COLUMNS), num_threads=int(request["threads"]))
                made = answer(table["id"], scores)
            pq.write_table(made, output / file.name, compression="zstd")

    return run


def in_memory(booster: lightgbm.Booster, as_matrix: bool):
    """Returns the plan that scores rows of memory; only `predict` is on the clock."""
    loaded: dict[str, object] = {}

    def run(request: Request, _output: Path) -> dict[str, object]:
        if not loaded:
            table = pa.ipc.open_file(pa.memory_map(request["memory"])).read_all()
            loaded["rows"] = matrix(table, COLUMNS) if as_matrix else table
        started = time.perf_counter()
        scores = booster.predict(loaded["rows"], num_threads=int(request["threads"]))
        return {"seconds": time.perf_counter() - started, "rows": len(scores), "sum": float(scores.sum())}

    return run


def main() -> None:
    request = request_of_command()
    booster = lightgbm.Booster(model_file=request["trees"])
    plans = {
        "trees plain": scoring(None),
        "trees lightgbm": scoring(booster),
        "trees memory matrix": in_memory(booster, as_matrix=True),
        "trees memory arrow": in_memory(booster, as_matrix=False),
    }
    serve(plans, request)


if __name__ == "__main__":
    main()
