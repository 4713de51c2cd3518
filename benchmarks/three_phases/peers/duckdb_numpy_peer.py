"""DuckDB for SQL, NumPy in threads of the same process for the features: `add_features` gives the interpreter's
lock free while it computes.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import duckdb_tables
import flight_sql
import peer
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import add_features

BATCH_ROWS = 122_880  # a row group of DuckDB
BATCHES_WAITING = 2


def batches_of_file(asked: peer.Request) -> Iterator[pa.Table]:
    """Returns the facts as phase 1 wrote them, a row group at a time."""
    file = pq.ParquetFile(f"{asked.facts}.parquet")
    for group in range(file.num_row_groups):
        yield file.read_row_group(group, use_threads=True)


def write_features(batches: Iterator[pa.Table], asked: peer.Request) -> None:
    """Phase 2: hands batches to the threads; each thread's results go to a file of its own."""
    asked.features.mkdir()
    writers: list[pq.ParquetWriter] = []
    free: list[pq.ParquetWriter] = []
    lock = threading.Lock()

    def work(rows: pa.Table) -> None:
        made = add_features(rows)
        with lock:
            if free:
                writer = free.pop()
            else:
                file = asked.features / f"part-{len(writers)}.parquet"
                writer = pq.ParquetWriter(file, made.schema, compression="zstd")
                writers.append(writer)
        writer.write_table(made)
        with lock:
            free.append(writer)

    with ThreadPoolExecutor(asked.threads) as pool:
        waiting = set()
        for rows in batches:
            if len(waiting) >= asked.threads + BATCHES_WAITING:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for one in done:
                    one.result()
            waiting.add(pool.submit(work, rows))
        for one in waiting:
            one.result()
    for writer in writers:
        writer.close()


def main() -> None:
    asked = peer.request()
    pa.set_cpu_count(asked.threads)
    connection = duckdb_tables.connect(asked)

    def streamed() -> None:
        reader = connection.sql(flight_sql.FACTS).to_arrow_reader(BATCH_ROWS)
        write_features((pa.Table.from_batches([batch]) for batch in reader), asked)

    peer.run(
        asked,
        lambda: duckdb_tables.write_facts(connection, asked),
        lambda: write_features(batches_of_file(asked), asked),
        streamed,
        lambda: duckdb_tables.figures(connection, asked),
    )


if __name__ == "__main__":
    main()
