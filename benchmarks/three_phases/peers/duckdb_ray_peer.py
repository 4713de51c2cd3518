"""DuckDB for SQL, Ray Data for the features: `map_batches` over the file that DuckDB wrote."""

import os

# Ray's workers step back behind all other processes unless told otherwise.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
import duckdb_tables
import peer
import pyarrow as pa
import ray
import ray.data

from pipeline import READ, add_features

BATCH_ROWS = 100_000


def batch_features(batch: pa.Table) -> pa.Table:
    return add_features(batch)


def write_features(asked: peer.Request) -> None:
    """Phase 2."""
    ray.init(num_cpus=asked.threads, include_dashboard=False, logging_level="warning", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = ray.data.read_parquet(f"{asked.facts}.parquet", columns=READ)
    rows = rows.map_batches(batch_features, batch_size=BATCH_ROWS, batch_format="pyarrow")
    rows.write_parquet(str(asked.features), compression="zstd")
    ray.shutdown()


def main() -> None:
    asked = peer.request()
    connection = duckdb_tables.connect(asked)
    peer.run(
        asked,
        lambda: duckdb_tables.write_facts(connection, asked),
        lambda: write_features(asked),
        None,
        lambda: duckdb_tables.figures(connection, asked),
    )


if __name__ == "__main__":
    main()
