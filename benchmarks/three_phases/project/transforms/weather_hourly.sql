{{ config(materialized='view') }}

select origin, time_hour, avg(temp) as temp, avg(wind_speed) as wind_speed, avg(precip) as precip, avg(visib) as visib
from {{ source('nyc', 'weather') }}
group by origin, time_hour
