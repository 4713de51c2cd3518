"""Polars: one sort by time serves both windows, `map_batches` calls NumPy within the streaming engine."""

import os
import sys

import peer

ASKED = peer.request()
os.environ["POLARS_MAX_THREADS"] = str(ASKED.threads)
import polars as pl  # noqa: E402  (reads the number of threads when it is imported)

from pipeline import FEATURES, INPUTS, KEPT, READ, features  # noqa: E402
from rules import ACCEPTED, DISTANCES, KEY, MEANS, NOT_NULL, RANGES, Figures  # noqa: E402

MADE = dict.fromkeys(FEATURES, pl.Float64)


def source(name: str) -> pl.LazyFrame:
    return pl.scan_parquet(ASKED.data / f"{name}.parquet")


def weather_hourly() -> pl.LazyFrame:
    return source("weather").group_by("origin", "time_hour").agg(pl.col("temp", "wind_speed", "precip", "visib").mean())


def routes() -> pl.LazyFrame:
    grouped = source("flights").group_by("carrier", "origin", "dest")
    return grouped.agg(
        pl.len().cast(pl.Int64).alias("route_flights"), pl.col("arr_delay").mean().alias("route_delay")
    )


def history() -> pl.LazyFrame:
    last_100 = pl.col("dep_delay").rolling_mean(100, min_samples=1).shift(1)
    return (
        source("flights")
        .select(
            "time_hour", "minute", "carrier", "flight", "tailnum", "origin", "dest", "year", "month", "hour",
            "distance", "dep_delay", "arr_delay",
        )
        .sort("time_hour", "minute", "carrier", "flight")
        .with_columns(
            pl.col("dep_delay").shift(1).over("tailnum").alias("plane_prev_delay"),
            last_100.over("origin", "carrier").alias("carrier_delay_100"),
        )
        .drop("minute")
    )  # fmt: skip


def airports(prefix: str) -> pl.LazyFrame:
    return source("airports").select(
        pl.col("faa").alias(prefix), pl.col("lat").alias(f"{prefix}_lat"), pl.col("lon").alias(f"{prefix}_lon")
    )


def facts() -> pl.LazyFrame:
    """Phase 1."""
    planes = source("planes").select("tailnum", pl.col("year").alias("built_year"), "seats")
    return (
        history()
        .join(weather_hourly(), on=["origin", "time_hour"], how="left")
        .join(planes, on="tailnum", how="left")
        .join(airports("origin"), on="origin", how="left")
        .join(airports("dest"), on="dest", how="left")
        .join(routes(), on=["carrier", "origin", "dest"], how="left")
    )


def batch_features(rows: pl.DataFrame) -> pl.DataFrame:
    found = features({name: rows[name].to_numpy() for name in INPUTS})
    made = [pl.Series(name, values, nan_to_null=True) for name, values in found.items()]
    return rows.select(KEPT).with_columns(made)


def with_features(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Phase 2."""
    rows = rows.select(READ)
    known = rows.collect_schema()
    schema = {name: known[name] for name in KEPT} | MADE
    return rows.map_batches(batch_features, schema=schema, streamable=True, validate_output_schema=False)


def sink(rows: pl.LazyFrame, name: object) -> None:
    rows.sink_parquet(f"{name}.parquet", compression="zstd", maintain_order=False)


def distance(rows: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """Returns the exact Kolmogorov-Smirnov distance between both halves of the year."""
    first = pl.col("month") <= 6
    below = first.cum_sum() / first.sum() - (~first).cum_sum() / (~first).sum()
    is_last = (pl.col(name) != pl.col(name).shift(-1)).fill_null(True)
    known = rows.select(name, "month").drop_nulls().sort(name)
    return known.select(below.filter(is_last).abs().max().alias(name))


def figures() -> Figures:
    """Phase 3."""
    rows = pl.scan_parquet(f"{ASKED.features}.parquet")
    counted = rows.select(
        pl.len().alias("rows"),
        (~pl.col(ACCEPTED[0]).is_in(ACCEPTED[1])).sum().alias("unaccepted"),
        *(pl.col(name).null_count().alias(f"null {name}") for name in NOT_NULL),
        *((~pl.col(name).is_between(*bounds)).sum().alias(f"outside {name}") for name, bounds in RANGES.items()),
        *(pl.col(name).mean().alias(f"mean {name}") for name in MEANS),
    )
    keys = rows.group_by(KEY).len().filter(pl.col("len") > 1).select(pl.col("len").sum().alias("duplicates"))
    source_rows = source("flights").select(pl.len().alias("source_rows"))
    asked = [counted, keys, source_rows, *(distance(rows, name) for name in DISTANCES)]
    counts, duplicates, source_count, *distances = (answer.row(0, named=True) for answer in pl.collect_all(asked))
    return Figures(
        counts["rows"],
        source_count["source_rows"],
        duplicates["duplicates"],
        counts["unaccepted"],
        {name: counts[f"null {name}"] for name in NOT_NULL},
        {name: counts[f"outside {name}"] for name in RANGES},
        {name: counts[f"mean {name}"] for name in MEANS},
        {name: value for one in distances for name, value in one.items()},
    )


def main() -> None:
    peer.run(
        ASKED,
        lambda: sink(facts(), ASKED.facts),
        lambda: sink(with_features(pl.scan_parquet(f"{ASKED.facts}.parquet")), ASKED.features),
        lambda: sink(with_features(facts()), ASKED.features),
        figures,
    )


if __name__ == "__main__":
    sys.exit(main())
