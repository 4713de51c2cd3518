{{ config(materialized='view') }}

select carrier, origin, dest, count(*) as route_flights, avg(arr_delay) as route_delay
from {{ source('nyc', 'flights') }}
group by carrier, origin, dest
