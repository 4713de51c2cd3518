select x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7 as p from {{ source('bench', 'rows') }}
