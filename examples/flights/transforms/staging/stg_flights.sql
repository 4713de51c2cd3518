-- One row per scheduled departure.
select
  make_date(year, month, day)   as local_day,
  time_hour, year, month, hour, minute,
  carrier, flight, tailnum, origin, dest, distance,
  dep_delay, arr_delay,
  dep_time is null              as cancelled
from {{ source('nyc', 'flights') }}
