"""The flight feature transform in Polars: `polars_peer.py DATA SEEDS OUT THREADS`.

Every table that the Windlass project publishes is written as one zstd Parquet file, and later
tables read it from there. One sort by time serves both windows.
"""

import os
import sys
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = sys.argv[4]
import polars as pl  # noqa: E402  (reads the number of threads when it is imported)

DATA, SEEDS, OUT = (Path(argument) for argument in sys.argv[1:4])
IS_LATE = pl.col("arr_delay") > 15
LATE_RATE = IS_LATE.fill_null(False).mean()


def source(name: str) -> pl.LazyFrame:
    return pl.scan_parquet(DATA / f"{name}.parquet")


def ref(name: str) -> pl.LazyFrame:
    return pl.scan_parquet(OUT / f"{name}.parquet")


def stg_flights() -> pl.LazyFrame:
    return source("flights").select(
        pl.date("year", "month", "day").alias("local_day"),
        "time_hour", "year", "month", "hour", "minute",
        "carrier", "flight", "tailnum", "origin", "dest", "distance",
        "dep_delay", "arr_delay",
        pl.col("dep_time").is_null().alias("cancelled"),
    )


def departed() -> pl.LazyFrame:
    return stg_flights().filter(~pl.col("cancelled"))


def holidays() -> pl.LazyFrame:
    return pl.scan_csv(SEEDS / "holidays.csv", try_parse_dates=True)


def feat_weather_hourly() -> pl.LazyFrame:
    def last_6h(column: str) -> pl.Expr:
        mean = pl.col(column).rolling_mean(6, min_samples=1)
        return mean.over("origin").alias(f"{column}_6h")

    return (
        source("weather")
        .sort("time_hour")
        .select(
            "origin", "time_hour", "temp", "humid", "wind_speed", "precip", "visib",
            last_6h("temp"), last_6h("precip"),
        )
    )


def feat_plane() -> pl.LazyFrame:
    return source("planes").select(
        "tailnum",
        pl.col("year").alias("built_year"),
        "seats",
        "engines",
        pl.col("manufacturer").str.to_uppercase().str.starts_with("AIRBUS").alias("is_airbus"),
    )


def feat_route_daily() -> pl.LazyFrame:
    return (
        departed()
        .group_by(pl.col("time_hour").dt.date().alias("day"), "origin", "dest")
        .agg(
            pl.len().cast(pl.Int64).alias("flights"),
            pl.col("arr_delay").mean().alias("avg_arr_delay"),
            LATE_RATE.alias("late_rate"),
        )
    )


def history() -> pl.LazyFrame:
    last_100 = pl.col("dep_delay").rolling_mean(100, min_samples=1).shift(1)
    return (
        departed()
        .sort("time_hour", "minute", "flight")
        .with_columns(
            pl.col("dep_delay").shift(1).over("tailnum").alias("plane_prev_delay"),
            last_100.over("origin", "carrier").alias("carrier_delay_100"),
            (pl.col("time_hour").dt.date() - pl.duration(days=1)).alias("yesterday"),
        )
    )


def airports(prefix: str) -> pl.LazyFrame:
    return source("airports").select(
        pl.col("faa").alias(prefix),
        pl.col("lat").alias(f"{prefix}_lat"),
        pl.col("lon").alias(f"{prefix}_lon"),
        pl.col("tz").alias(f"{prefix}_tz"),
    )


def feat_flight() -> pl.LazyFrame:
    weather = ref("feat_weather_hourly").drop("precip")
    holiday = ref("holidays").select(pl.col("day").alias("local_day"), is_holiday=True)
    yesterday = ref("feat_route_daily").select(
        pl.col("day").alias("yesterday"),
        "origin",
        "dest",
        pl.col("flights").alias("route_flights_1d"),
        pl.col("late_rate").alias("route_late_rate_1d"),
    )
    joined = (
        history()
        .join(weather, on=["origin", "time_hour"], how="left")
        .join(ref("feat_plane"), on="tailnum", how="left")
        .join(airports("origin"), on="origin", how="left")
        .join(airports("dest"), on="dest", how="left")
        .join(holiday, on="local_day", how="left")
        .join(yesterday, on=["origin", "dest", "yesterday"], how="left")
    )
    return joined.select(
        pl.concat_str("carrier", "flight", "origin", "local_day", separator="-").alias("flight_id"),
        "time_hour", "carrier", "tailnum", "origin", "dest", "month", "hour", "distance",
        pl.col("is_holiday").fill_null(False),
        "dep_delay", "plane_prev_delay", "carrier_delay_100",
        "temp", "temp_6h", "humid", "wind_speed", "precip_6h", "visib",
        (pl.col("year") - pl.col("built_year")).alias("age_years"),
        "seats", "is_airbus",
        "origin_lat", "origin_lon", "dest_lat", "dest_lon",
        (pl.col("dest_tz") - pl.col("origin_tz")).alias("time_zones"),
        "route_flights_1d", "route_late_rate_1d",
        IS_LATE.alias("is_late"),
    )


def carrier_summary() -> pl.LazyFrame:
    names = source("airlines").rename({"name": "airline"})
    departed_late = IS_LATE.fill_null(False).filter(~pl.col("cancelled")).mean()
    return (
        stg_flights()
        .group_by("carrier")
        .agg(
            pl.len().cast(pl.Int64).alias("flights"),
            pl.col("tailnum").drop_nulls().n_unique().cast(pl.Int64).alias("planes"),
            pl.col("cancelled").mean().alias("cancelled_rate"),
            pl.col("dep_delay").mean().alias("avg_dep_delay"),
            pl.col("arr_delay").mean().alias("avg_arr_delay"),
            departed_late.alias("late_rate"),
        )
        .join(names, on="carrier", how="left")
        .sort("flights", descending=True)
    )


TABLES = (holidays, feat_weather_hourly, feat_plane, feat_route_daily, feat_flight, carrier_summary)


def main() -> None:
    for table in TABLES:
        table().sink_parquet(
            OUT / f"{table.__name__}.parquet", compression="zstd", maintain_order=False
        )


if __name__ == "__main__":
    main()
