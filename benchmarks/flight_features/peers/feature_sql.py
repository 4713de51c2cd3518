"""The flight feature transform as SQL that DuckDB and Spark both understand.

It reads the views `flights`, `weather`, `planes`, `airports`, `airlines` and `holidays_csv`, and
each table reads those before it by name.
"""

STG_FLIGHTS = """
    select
      make_date(year, month, day) as local_day,
      time_hour, year, month, hour, minute,
      carrier, flight, tailnum, origin, dest, distance,
      dep_delay, arr_delay,
      dep_time is null as cancelled
    from flights
"""

TABLES = {
    "holidays": "select * from holidays_csv",
    "feat_weather_hourly": """
        select
          origin, time_hour,
          temp, humid, wind_speed, precip, visib,
          avg(temp) over last_6h as temp_6h,
          avg(precip) over last_6h as precip_6h
        from weather
        window last_6h as (
          partition by origin order by time_hour rows between 5 preceding and current row
        )
    """,
    "feat_plane": """
        select
          tailnum, year as built_year, seats, engines,
          manufacturer ilike 'AIRBUS%' as is_airbus
        from planes
    """,
    "feat_route_daily": """
        select
          cast(time_hour as date) as day,
          origin, dest,
          count(*) as flights,
          avg(arr_delay) as avg_arr_delay,
          avg(case when arr_delay > 15 then 1e0 else 0e0 end) as late_rate
        from stg_flights
        where not cancelled
        group by 1, 2, 3
    """,
    "feat_flight": """
        with history as (
          select
            *,
            lag(dep_delay) over plane as plane_prev_delay,
            avg(dep_delay) over carrier_100 as carrier_delay_100
          from stg_flights
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
          h.day is not null as is_holiday,
          f.dep_delay, f.plane_prev_delay, f.carrier_delay_100,
          w.temp, w.temp_6h, w.humid, w.wind_speed, w.precip_6h, w.visib,
          f.year - p.built_year as age_years,
          p.seats, p.is_airbus,
          o.lat as origin_lat, o.lon as origin_lon,
          d.lat as dest_lat, d.lon as dest_lon,
          d.tz - o.tz as time_zones,
          r.flights as route_flights_1d,
          r.late_rate as route_late_rate_1d,
          f.arr_delay > 15 as is_late
        from history f
        left join feat_weather_hourly w on w.origin = f.origin and w.time_hour = f.time_hour
        left join feat_plane p on p.tailnum = f.tailnum
        left join airports o on o.faa = f.origin
        left join airports d on d.faa = f.dest
        left join holidays h on h.day = f.local_day
        left join feat_route_daily r
          on  r.origin = f.origin and r.dest = f.dest
          and r.day = cast(f.time_hour as date) - 1
    """,
    "carrier_summary": """
        select
          f.carrier,
          a.name as airline,
          count(*) as flights,
          count(distinct f.tailnum) as planes,
          avg(case when f.cancelled then 1e0 else 0e0 end) as cancelled_rate,
          avg(f.dep_delay) as avg_dep_delay,
          avg(f.arr_delay) as avg_arr_delay,
          avg(case when f.arr_delay > 15 then 1e0 else 0e0 end) filter (where not f.cancelled)
            as late_rate
        from stg_flights f
        left join airlines a on a.carrier = f.carrier
        group by f.carrier, a.name
        order by flights desc
    """,
}
