-- One row per departed flight. The windows sort all flights, so they come first, over few columns;
-- what each flight meets is joined to them, and the joins keep every row.
with history as (
  select
    *,
    lag(dep_delay) over plane       as plane_prev_delay,
    avg(dep_delay) over carrier_100 as carrier_delay_100
  from {{ ref('stg_flights') }}
  where not cancelled
  window
    plane as (partition by tailnum order by time_hour, minute, flight),
    carrier_100 as (
      partition by origin, carrier order by time_hour, minute, flight
      rows between 100 preceding and 1 preceding
    )
)

select
  concat_ws('-', f.carrier, f.flight, f.origin, f.local_day) as flight_id,
  f.time_hour, f.carrier, f.tailnum, f.origin, f.dest,
  f.month, f.hour, f.distance,
  h.day is not null              as is_holiday,
  f.dep_delay, f.plane_prev_delay, f.carrier_delay_100,
  w.temp, w.temp_6h, w.humid, w.wind_speed, w.precip_6h, w.visib,
  f.year - p.built_year          as age_years,
  p.seats, p.is_airbus,
  o.lat as origin_lat, o.lon as origin_lon,
  d.lat as dest_lat, d.lon as dest_lon,
  d.tz - o.tz                    as time_zones,
  r.flights                      as route_flights_1d,
  r.late_rate                    as route_late_rate_1d,
  {{ is_late('f.arr_delay') }}   as is_late
from history f
left join {{ ref('feat_weather_hourly') }} w on w.origin = f.origin and w.time_hour = f.time_hour
left join {{ ref('feat_plane') }} p          on p.tailnum = f.tailnum
left join {{ ref('stg_airports') }} o        on o.airport = f.origin
left join {{ ref('stg_airports') }} d        on d.airport = f.dest
left join {{ ref('holidays') }} h            on h.day = f.local_day
left join {{ ref('feat_route_daily') }} r    -- yesterday's rate: today's is not known yet
  on  r.origin = f.origin and r.dest = f.dest
  and r.day = cast(f.time_hour as date) - interval '1 day'
