{% macro half_year_distance(column) %}
  -- The exact Kolmogorov-Smirnov distance between both halves of the year.
  with known as (
    select {{ column }} as value, case when month <= 6 then 1 else 0 end as first, case when month > 6 then 1 else 0 end as second
    from {{ ref('flight_features') }}
    where {{ column }} is not null
  ),
  counted as (
    select value, sum(first) as first, sum(second) as second from known group by value
  ),
  summed as (
    select
      sum(first) over (order by value rows unbounded preceding) as first_below, sum(first) over () as first_all,
      sum(second) over (order by value rows unbounded preceding) as second_below, sum(second) over () as second_all
    from counted
  )
  select max(abs(first_below * 1e0 / first_all - second_below * 1e0 / second_all)) as distance from summed
{% endmacro %}
