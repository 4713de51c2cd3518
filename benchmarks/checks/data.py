"""Makes the tables of the benchmark: events of a shop with a few rows of each kind that checks look for."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalogue import COUNTRIES, DEVICES, STATUSES, USERS

BATCH_ROWS = 1_000_000
ROW_GROUP_ROWS = 262_144
FIRST_TS_US = 1_700_000_000_000_000
DOMAINS = ["mail", "post", "example", "inbox"]


def make_data(cache: Path, rows: int, seed: int = 7) -> Path:
    """Returns the folder of the tables, made on the first call."""
    folder = cache / f"checks-{rows}-{seed}"
    if (folder / "users.parquet").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    with pq.ParquetWriter(folder / "events.parquet", schema(), compression="zstd", compression_level=1) as writer:
        for first in range(0, rows, BATCH_ROWS):
            table = events(generator, first, min(BATCH_ROWS, rows - first))
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
    users = pa.table({"user_id": np.arange(1, USERS + 1, dtype=np.int64)})
    pq.write_table(users, folder / "users.parquet", compression="zstd")
    return folder


def schema() -> pa.Schema:
    texts = [(name, pa.string()) for name in ("country", "status", "device", "email")]
    floats = [(f"f{number}", pa.float32()) for number in range(1, 5)]
    numbers = [("amount", pa.float64()), ("score", pa.float64()), ("qty", pa.int32())]
    keys = [("event_id", pa.int64()), ("user_id", pa.int64()), ("ts", pa.timestamp("us", "UTC"))]
    return pa.schema([*keys, *numbers, *floats, *texts, ("is_new", pa.bool_())])


def events(generator: np.random.Generator, first: int, rows: int) -> pa.Table:
    """Returns rows `first` and following: a thousandth lacks its amount or has a bad address, few others are wrong."""
    event_id = np.arange(first, first + rows, dtype=np.int64)
    event_id[1::300_000] = event_id[0::300_000][: len(event_id[1::300_000])]
    user_id = (generator.pareto(1.2, rows) * 2_000).astype(np.int64) % USERS + 1
    user_id[generator.random(rows) < 1e-4] += USERS
    ts = FIRST_TS_US + event_id * 1_000_000 + generator.integers(0, 900_000, rows)
    amount = pa.array(generator.lognormal(3, 1, rows), mask=generator.random(rows) < 1e-3)
    status = generator.choice([*STATUSES, "lost"], rows, p=[0.4, 0.3, 0.2, 0.0995, 0.0005])
    names = pc.cast(pa.array(generator.integers(0, 3_000_000, rows)), pa.string())
    domains = pa.array(generator.choice(DOMAINS, rows))
    email = pc.binary_join_element_wise("user", names, "@", domains, ".com", "")
    email = pc.if_else(pa.array(generator.random(rows) < 1e-3), "not-an-email", email)
    columns = {
        "event_id": event_id,
        "user_id": user_id,
        "ts": pa.array(ts, pa.timestamp("us", "UTC")),
        "amount": amount,
        "score": generator.normal(0, 1, rows),
        "qty": generator.integers(1, 101, rows, dtype=np.int32),
        **{f"f{number}": generator.normal(0, 1, rows).astype(np.float32) for number in range(1, 5)},
        "country": generator.choice(COUNTRIES, rows),
        "status": status,
        "device": generator.choice(DEVICES, rows),
        "email": email,
        "is_new": generator.random(rows) < 0.2,
    }
    return pa.table(columns, schema=schema())
