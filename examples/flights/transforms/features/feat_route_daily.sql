-- What each route looked like on each UTC day.
select
  cast(time_hour as date)        as day,
  origin, dest,
  count(*)                       as flights,
  avg(arr_delay)                 as avg_arr_delay,
  {{ late_rate('arr_delay') }}   as late_rate
from {{ ref('stg_flights') }}
where not cancelled
group by 1, 2, 3
