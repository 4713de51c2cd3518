-- Phase 1: one row for each flight with what is known about it.
{{ config(materialized=var('facts')) }}

with history as (
  select
    *,
    lag(dep_delay) over (partition by tailnum order by time_hour, minute, carrier, flight) as plane_prev_delay,
    avg(dep_delay) over (
      partition by origin, carrier order by time_hour, minute, flight
      rows between 100 preceding and 1 preceding
    ) as carrier_delay_100
  from {{ source('nyc', 'flights') }}
)

select
  f.time_hour, f.carrier, f.flight, f.tailnum, f.origin, f.dest, f.year, f.month, f.hour, f.distance,
  f.dep_delay, f.arr_delay, f.plane_prev_delay, f.carrier_delay_100,
  w.temp, w.wind_speed, w.precip, w.visib,
  p.year as built_year, p.seats,
  o.lat as origin_lat, o.lon as origin_lon, d.lat as dest_lat, d.lon as dest_lon,
  r.route_flights, r.route_delay
from history f
left join {{ ref('weather_hourly') }} w      on w.origin = f.origin and w.time_hour = f.time_hour
left join {{ source('nyc', 'planes') }} p    on p.tailnum = f.tailnum
left join {{ source('nyc', 'airports') }} o  on o.faa = f.origin
left join {{ source('nyc', 'airports') }} d  on d.faa = f.dest
left join {{ ref('routes') }} r              on r.carrier = f.carrier and r.origin = f.origin and r.dest = f.dest
