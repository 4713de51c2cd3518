select
  f.carrier,
  a.name                                                           as airline,
  count(*)                                                         as flights,
  count(distinct f.tailnum)                                        as planes,
  avg(case when f.cancelled then 1.0 else 0.0 end)                 as cancelled_rate,
  avg(f.dep_delay)                                                 as avg_dep_delay,
  avg(f.arr_delay)                                                 as avg_arr_delay,
  {{ late_rate('f.arr_delay') }} filter (where not f.cancelled)    as late_rate
from {{ ref('stg_flights') }} f
left join {{ source('nyc', 'airlines') }} a on a.carrier = f.carrier
group by f.carrier, a.name
order by flights desc
