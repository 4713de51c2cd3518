select plane_fma(x0, x1, x2) as r from {{ source('bench', 'rows') }}
