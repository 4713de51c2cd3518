"""Phase 2: ten features of each row in Python, the same for all engines.

Peers import this file from a copy that the benchmark makes; the Windlass project gets the same copy
in its `lib/`. Engines that hand over columns call `add_features` or `features`; those that call Python
once for each row call `features_of_row`, the same formulas for numbers.
"""

import math

import numpy as np
import pyarrow as pa

EARTH_KM = 6371.0088
# What is taken for granted where a figure is missing: a plane's first flight, a carrier's first hundred, a new route.
USUAL = {"plane_prev_delay": 0.0, "carrier_delay_100": 12.6, "route_delay": 6.9}
WEIGHTS = {"plane_prev_delay": 0.021, "carrier_delay_100": 0.034, "route_delay": 0.045}

# What the features are made from.
INPUTS = [
    "origin_lat", "origin_lon", "dest_lat", "dest_lon", "hour", "month", "year", "distance",
    "temp", "wind_speed", "built_year", "plane_prev_delay", "carrier_delay_100", "route_delay",
]  # fmt: skip
# Columns that go on as they are.
KEPT = [
    "time_hour", "carrier", "flight", "origin", "dest", "month",
    "dep_delay", "plane_prev_delay", "carrier_delay_100", "route_delay",
]  # fmt: skip
# What phase 2 reads of the facts.
READ = list(dict.fromkeys([*KEPT, *INPUTS]))
FEATURES = [
    "distance_km", "bearing", "hour_sin", "hour_cos", "month_sin", "month_cos",
    "log_distance", "wind_chill", "plane_age", "delay_risk",
]  # fmt: skip


def add_features(rows: pa.Table | pa.RecordBatch) -> pa.Table:
    """Returns the kept columns of some rows with their features."""
    found = features({name: rows[name].to_numpy(zero_copy_only=False) for name in INPUTS})
    made = {name: pa.array(values, from_pandas=True) for name, values in found.items()}
    return pa.table({name: rows[name] for name in KEPT} | made)


def features(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the ten features of many rows; NaN is what is not known, on both sides."""
    with np.errstate(invalid="ignore"):
        return places(columns) | times(columns) | weather(columns) | history(columns)


def places(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = ("origin_lat", "origin_lon", "dest_lat", "dest_lon")
    lat, lon, to_lat, to_lon = (np.radians(columns[name]) for name in names)
    cos_lat, cos_to, east = np.cos(lat), np.cos(to_lat), to_lon - lon
    half = np.sin((to_lat - lat) / 2) ** 2 + cos_lat * cos_to * np.sin(east / 2) ** 2
    north = cos_lat * np.sin(to_lat) - np.sin(lat) * cos_to * np.cos(east)
    return {
        "distance_km": 2 * EARTH_KM * np.arcsin(np.sqrt(half)),
        "bearing": np.degrees(np.arctan2(np.sin(east) * cos_to, north)) % 360,
    }


def times(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    hour, month = columns["hour"] * (2 * np.pi / 24), (columns["month"] - 1) * (2 * np.pi / 12)
    return {
        "hour_sin": np.sin(hour),
        "hour_cos": np.cos(hour),
        "month_sin": np.sin(month),
        "month_cos": np.cos(month),
        "log_distance": np.log(columns["distance"]),
    }


def weather(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    temp, wind = columns["temp"], columns["wind_speed"]
    gust = np.power(wind, 0.16)
    chill = 35.74 + 0.6215 * temp - 35.75 * gust + 0.4275 * temp * gust
    return {"wind_chill": np.where((temp <= 50) & (wind >= 3), chill, temp)}


def history(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    risk = np.full(len(columns["hour"]), -2.2)
    for name, weight in WEIGHTS.items():
        values = columns[name]
        risk += weight * np.where(np.isnan(values), USUAL[name], values)
    return {
        "plane_age": np.asarray(columns["year"] - columns["built_year"], np.float64),
        "delay_risk": 1 / (1 + np.exp(-risk)),
    }


def features_of_row(
    origin_lat, origin_lon, dest_lat, dest_lon, hour, month, year, distance,
    temp, wind_speed, built_year, plane_prev_delay, carrier_delay_100, route_delay,
):  # fmt: skip
    """Returns the ten features of one row; None is what is not known, on both sides."""
    distance_km = bearing = None
    if dest_lat is not None:
        lat, lon, to_lat, to_lon = map(math.radians, (origin_lat, origin_lon, dest_lat, dest_lon))
        east = to_lon - lon
        half = math.sin((to_lat - lat) / 2) ** 2 + math.cos(lat) * math.cos(to_lat) * math.sin(east / 2) ** 2
        north = math.cos(lat) * math.sin(to_lat) - math.sin(lat) * math.cos(to_lat) * math.cos(east)
        distance_km = 2 * EARTH_KM * math.asin(math.sqrt(half))
        bearing = math.degrees(math.atan2(math.sin(east) * math.cos(to_lat), north)) % 360
    wind_chill = temp
    if temp is not None and wind_speed is not None and temp <= 50 and wind_speed >= 3:
        gust = wind_speed**0.16
        wind_chill = 35.74 + 0.6215 * temp - 35.75 * gust + 0.4275 * temp * gust
    known = {"plane_prev_delay": plane_prev_delay, "carrier_delay_100": carrier_delay_100, "route_delay": route_delay}
    risk = -2.2
    for name, weight in WEIGHTS.items():
        risk += weight * (USUAL[name] if known[name] is None else known[name])
    return (
        distance_km,
        bearing,
        math.sin(hour * (2 * math.pi / 24)),
        math.cos(hour * (2 * math.pi / 24)),
        math.sin((month - 1) * (2 * math.pi / 12)),
        math.cos((month - 1) * (2 * math.pi / 12)),
        math.log(distance),
        wind_chill,
        None if built_year is None else float(year - built_year),
        1 / (1 + math.exp(-risk)),
    )
