{#- What "late" means, in one place. -#}
{%- macro is_late(arr_delay) -%}
{{ arr_delay }} > {{ var('late_minutes') }}
{%- endmacro -%}

{#- Share of late arrivals in a group; a diverted flight counts as not late. -#}
{%- macro late_rate(arr_delay) -%}
avg(case when {{ is_late(arr_delay) }} then 1.0 else 0.0 end)
{%- endmacro -%}
