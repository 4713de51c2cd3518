-- Both halves of the year are alike in two columns.
{{ config(on='flight_features') }}

select 'dep_delay' as name, distance from ({{ half_year_distance('dep_delay') }}) where distance > {{ var('most_dep_delay') }}
union all
select 'delay_risk' as name, distance from ({{ half_year_distance('delay_risk') }}) where distance > {{ var('most_delay_risk') }}
