-- What a departure is like, with features written in Python: functions/features.py.
select
  flight_id, time_hour, carrier, origin, dest, distance, dep_delay,
  great_circle_km(origin_lat, origin_lon, dest_lat, dest_lon) as distance_km,
  cyclic_sin(hour, 24)           as hour_sin,
  cyclic_cos(hour, 24)           as hour_cos,
  cyclic_sin(month - 1, 12)      as month_sin,
  cyclic_cos(month - 1, 12)      as month_cos,
  wind_chill_f(temp, wind_speed) as wind_chill,
  temp, wind_speed, route_late_rate_1d, is_late
from {{ ref('feat_flight') }}
