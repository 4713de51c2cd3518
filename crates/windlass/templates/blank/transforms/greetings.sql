-- One row per person. The file's name is the table's name.
select
  id,
  '{{ var("greeting") }}, ' || name || '!' as greeting
from {{ ref('people') }}
