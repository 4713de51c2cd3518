-- What each route looked like on each UTC day. Days that are done stay; rows that arrive up to two days late are found.
{{ config(materialized='incremental', strategy='by_interval', time_column='day', interval='day',
          start='2013-01-01', end='2014-01-02', lookback=2) }}

select
  cast(time_hour as date)        as day,
  origin, dest,
  count(*)                       as flights,
  avg(arr_delay)                 as avg_arr_delay,
  {{ late_rate('arr_delay') }}   as late_rate
from {{ ref('stg_flights') }}
where not cancelled
  and time_hour >= {{ interval_start }} and time_hour < {{ interval_end }}
group by 1, 2, 3
