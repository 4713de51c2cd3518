select
  tailnum,
  year                           as built_year,
  seats,
  engines,
  manufacturer ilike 'AIRBUS%'   as is_airbus
from {{ source('nyc', 'planes') }}
