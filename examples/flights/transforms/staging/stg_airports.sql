-- Where an airport lies.
select faa as airport, name, lat, lon, alt, tz
from {{ source('nyc', 'airports') }}
