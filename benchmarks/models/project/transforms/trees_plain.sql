select id, cast(x0 > 0.5 as bigint) as predicted_y, x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9 + x10 + x11 + x12 + x13 + x14 + x15 + x16 + x17 + x18 + x19 as p from {{ source('bench', 'rows') }}
