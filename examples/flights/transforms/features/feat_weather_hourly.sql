{{ config(tags=['hourly']) }}

select
  origin, time_hour,
  temp, humid, wind_speed, precip, visib,
  avg(temp)   over last_6h as temp_6h,
  avg(precip) over last_6h as precip_6h
from {{ source('nyc', 'weather') }}
window last_6h as (partition by origin order by time_hour rows between 5 preceding and current row)
