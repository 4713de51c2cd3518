"""Phase 2: ten features of each flight. The formulas are in lib/pipeline.py, the same file that the peers import."""

from pipeline import add_features
from windlass import ref, transform


@transform(
    input=ref("flight_facts"),
    input_columns=[
        "time_hour", "carrier", "flight", "origin", "dest", "month",
        "dep_delay", "plane_prev_delay", "carrier_delay_100", "route_delay",
        "origin_lat", "origin_lon", "dest_lat", "dest_lon", "hour", "year", "distance",
        "temp", "wind_speed", "built_year",
    ],  # fmt: skip
    columns={
        "time_hour": "timestamp with time zone",
        "carrier": "varchar",
        "flight": "bigint",
        "origin": "varchar",
        "dest": "varchar",
        "month": "bigint",
        "dep_delay": "bigint",
        "plane_prev_delay": "bigint",
        "carrier_delay_100": "double",
        "route_delay": "double",
        "distance_km": "double",
        "bearing": "double",
        "hour_sin": "double",
        "hour_cos": "double",
        "month_sin": "double",
        "month_cos": "double",
        "log_distance": "double",
        "wind_chill": "double",
        "plane_age": "double",
        "delay_risk": "double",
    },
    key=["time_hour", "carrier", "flight"],
    batch_format="pyarrow",
)
def flight_features(batch):
    return add_features(batch)
