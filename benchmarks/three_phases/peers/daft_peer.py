"""Daft: DataFrames for phases 1 and 3, a batch function for phase 2."""

import daft
import numpy as np
import peer
import pyarrow as pa
from daft import DataFrame, DataType, Series, Window, col

from pipeline import FEATURES, INPUTS, KEPT, features
from rules import ACCEPTED, DISTANCES, KEY, MEANS, NOT_NULL, RANGES, Figures

MADE = DataType.struct(dict.fromkeys(FEATURES, DataType.float64()))
BATCH_ROWS = 100_000


def source(asked: peer.Request, name: str) -> DataFrame:
    return daft.read_parquet(str(asked.data / f"{name}.parquet"))


def history(asked: peer.Request) -> DataFrame:
    plane = Window().partition_by("tailnum").order_by("time_hour", "minute", "carrier", "flight")
    carrier = Window().partition_by("origin", "carrier").order_by("time_hour", "minute", "flight")
    return source(asked, "flights").select(
        *(
            "time_hour", "carrier", "flight", "tailnum", "origin", "dest", "year", "month", "hour", "distance",
            "dep_delay", "arr_delay",
        ),
        col("dep_delay").lag(1).over(plane).alias("plane_prev_delay"),
        col("dep_delay").mean().over(carrier.rows_between(-100, -1)).alias("carrier_delay_100"),
    )  # fmt: skip


def airports(asked: peer.Request, prefix: str) -> DataFrame:
    return source(asked, "airports").select(
        col("faa").alias(prefix), col("lat").alias(f"{prefix}_lat"), col("lon").alias(f"{prefix}_lon")
    )


def facts(asked: peer.Request) -> DataFrame:
    """Phase 1."""
    weather = source(asked, "weather").groupby("origin", "time_hour")
    weather = weather.agg(*(col(name).mean() for name in ("temp", "wind_speed", "precip", "visib")))
    planes = source(asked, "planes").select("tailnum", col("year").alias("built_year"), "seats")
    routes = source(asked, "flights").groupby("carrier", "origin", "dest")
    flights = col("flight").count("all").cast(DataType.int64()).alias("route_flights")
    routes = routes.agg(flights, col("arr_delay").mean().alias("route_delay"))
    return (
        history(asked)
        .join(weather, on=["origin", "time_hour"], how="left")
        .join(planes, on="tailnum", how="left")
        .join(airports(asked, "origin"), on="origin", how="left")
        .join(airports(asked, "dest"), on="dest", how="left")
        .join(routes, on=["carrier", "origin", "dest"], how="left")
    )


@daft.func.batch(return_dtype=MADE, unnest=True, batch_size=BATCH_ROWS)
def made_features(
    origin_lat, origin_lon, dest_lat, dest_lon, hour, month, year, distance,
    temp, wind_speed, built_year, plane_prev_delay, carrier_delay_100, route_delay,
):  # fmt: skip
    given = [
        origin_lat, origin_lon, dest_lat, dest_lon, hour, month, year, distance,
        temp, wind_speed, built_year, plane_prev_delay, carrier_delay_100, route_delay,
    ]  # fmt: skip
    found = features({name: one.to_arrow().to_numpy(zero_copy_only=False) for name, one in zip(INPUTS, given)})
    made = [pa.array(values, from_pandas=True) for values in found.values()]
    return Series.from_arrow(pa.StructArray.from_arrays(made, names=list(found)))


def with_features(rows: DataFrame) -> DataFrame:
    """Phase 2."""
    return rows.select(*KEPT, made_features(*map(col, INPUTS)))


def write(rows: DataFrame, target: object) -> None:
    rows.write_parquet(str(target), compression="zstd")


def distance(rows: DataFrame, name: str) -> float:
    """Returns the exact Kolmogorov-Smirnov distance between both halves of the year."""
    known = rows.select(name, (col("month") <= 6).alias("first")).where(col(name).not_null()).sort(name).to_arrow()
    values, first = known[name].to_numpy(), known["first"].to_numpy()
    below = np.cumsum(first) / first.sum() - np.cumsum(~first) / (~first).sum()
    is_last = np.append(values[1:] != values[:-1], True)
    return float(np.abs(below[is_last]).max())


def figures(asked: peer.Request) -> Figures:
    """Phase 3."""
    rows = daft.read_parquet(f"{asked.features}/*.parquet")
    is_outside = {name: ~col(name).between(*bounds) for name, bounds in RANGES.items()}
    looked = rows.with_columns(
        {f"outside {name}": wrong.cast(DataType.int64()) for name, wrong in is_outside.items()}
        | {"unaccepted": (~col(ACCEPTED[0]).is_in(ACCEPTED[1])).cast(DataType.int64())}
    )
    counted = looked.agg(
        col("flight").count("all").alias("rows"),
        col("unaccepted").sum(),
        *(col(name).count("null").alias(f"null {name}") for name in NOT_NULL),
        *(col(f"outside {name}").sum() for name in RANGES),
        *(col(name).mean().alias(f"mean {name}") for name in MEANS),
    ).to_pylist()[0]
    keys = rows.groupby(*KEY).agg(col("dep_delay").count("all").alias("n")).where(col("n") > 1)
    duplicates = keys.agg(col("n").sum()).to_pylist()[0]["n"] or 0
    return Figures(
        counted["rows"],
        source(asked, "flights").count_rows(),
        duplicates,
        counted["unaccepted"],
        {name: counted[f"null {name}"] for name in NOT_NULL},
        {name: counted[f"outside {name}"] for name in RANGES},
        {name: counted[f"mean {name}"] for name in MEANS},
        {name: distance(rows, name) for name in DISTANCES},
    )


def main() -> None:
    asked = peer.request()
    daft.set_runner_native(num_threads=asked.threads)
    peer.run(
        asked,
        lambda: write(facts(asked), asked.facts),
        lambda: write(with_features(daft.read_parquet(f"{asked.facts}/*.parquet")), asked.features),
        lambda: write(with_features(facts(asked)), asked.features),
        lambda: figures(asked),
    )


if __name__ == "__main__":
    main()
