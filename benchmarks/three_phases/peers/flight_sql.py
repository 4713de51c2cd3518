"""Phases 1 and 3 as SQL that DuckDB and Spark both understand, over views named after the tables."""

from rules import ACCEPTED, DISTANCES, KEY, MEANS, NOT_NULL, RANGES, Figures

FACTS = """
    with weather_hourly as (
      select
        origin, time_hour,
        avg(temp) as temp, avg(wind_speed) as wind_speed, avg(precip) as precip, avg(visib) as visib
      from weather
      group by origin, time_hour
    ),
    routes as (
      select carrier, origin, dest, count(*) as route_flights, avg(arr_delay) as route_delay
      from flights
      group by carrier, origin, dest
    ),
    history as (
      select
        *,
        lag(dep_delay) over (partition by tailnum order by time_hour, minute, carrier, flight) as plane_prev_delay,
        avg(dep_delay) over (
          partition by origin, carrier order by time_hour, minute, flight
          rows between 100 preceding and 1 preceding
        ) as carrier_delay_100
      from flights
    )
    select
      f.time_hour, f.carrier, f.flight, f.tailnum, f.origin, f.dest, f.year, f.month, f.hour, f.distance,
      f.dep_delay, f.arr_delay, f.plane_prev_delay, f.carrier_delay_100,
      w.temp, w.wind_speed, w.precip, w.visib,
      p.year as built_year, p.seats,
      o.lat as origin_lat, o.lon as origin_lon, d.lat as dest_lat, d.lon as dest_lon,
      r.route_flights, r.route_delay
    from history f
    left join weather_hourly w on w.origin = f.origin and w.time_hour = f.time_hour
    left join planes p on p.tailnum = f.tailnum
    left join airports o on o.faa = f.origin
    left join airports d on d.faa = f.dest
    left join routes r on r.carrier = f.carrier and r.origin = f.origin and r.dest = f.dest
"""

DUPLICATES = f"""
    select coalesce(sum(n), 0) from (
      select count(*) as n from features group by {", ".join(KEY)} having count(*) > 1
    ) as keys
"""


def counts() -> str:
    """Returns the query of one row with all that one pass over the features finds."""
    accepted = ", ".join(f"'{value}'" for value in ACCEPTED[1])
    found = ["count(*)", f"count(*) filter (where {ACCEPTED[0]} not in ({accepted}))"]
    found += [f"count(*) - count({name})" for name in NOT_NULL]
    found += [
        f"count(*) filter (where {name} not between {least} and {most})" for name, (least, most) in RANGES.items()
    ]
    found += [f"avg({name})" for name in MEANS]
    return f"select {', '.join(found)} from features"


def distance(name: str) -> str:
    """Returns the query of the exact Kolmogorov-Smirnov distance between both halves of the year."""
    return f"""
        with counted as (
          select {name} as value, count(*) filter (where month <= 6) as a, count(*) filter (where month > 6) as b
          from features
          where {name} is not null
          group by {name}
        ),
        summed as (
          select
            sum(a) over (order by value rows unbounded preceding) as a_below, sum(a) over () as a_all,
            sum(b) over (order by value rows unbounded preceding) as b_below, sum(b) over () as b_all
          from counted
        )
        select max(abs(a_below * 1e0 / a_all - b_below * 1e0 / b_all)) from summed
    """


def figures(row_of, distances=None) -> Figures:
    """Returns the figures; `row_of` runs a query and returns its row."""
    rows, unaccepted, *values = row_of(counts())
    at = iter(values)
    nulls = {name: next(at) for name in NOT_NULL}
    outside = {name: next(at) for name in RANGES}
    means = {name: next(at) for name in MEANS}
    found = distances or {name: row_of(distance(name))[0] for name in DISTANCES}
    source_rows = row_of("select count(*) from flights")[0]
    return Figures(rows, source_rows, int(row_of(DUPLICATES)[0]), unaccepted, nulls, outside, means, found)
