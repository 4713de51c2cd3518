//! Mistakes in a project's SQL and inputs: the exact message, at the user's own line.

use expect_test::{Expect, expect};

use super::support::{World, plain};

const BASE: &str = "
-- data/flights.csv --
id,origin,dest,dep_delay,air_time,cancelled,day
1,JFK,LAX,3.5,300,false,2024-01-01
-- data/weather.csv --
origin,day,temp,visib
JFK,2024-01-01,3.5,10.0
-- sources.yml --
sources:
  nyc:
    path: data/{name}.csv
    tables:
      flights:
        columns:
          id: {type: bigint}
          origin: {type: varchar}
          dest: {type: varchar}
          dep_delay: {type: double}
          air_time: {type: bigint}
          cancelled: {type: boolean}
          day: {type: date}
      weather: {}
-- transforms/stg_flights.sql --
{{ config(materialized='view') }}
select * from {{ source('nyc', 'flights') }}
";

/// Plans a project whose transform `t` is `sql` and compares every mistake.
async fn check(sql: &str, expected: Expect) {
    let world = World::new(&format!("{BASE}-- transforms/t.sql --\n{sql}\n"));
    let plan = world.plan().await;
    expected.assert_eq(&plain(&plan.diagnostics));
}

#[tokio::test]
async fn unknown_column() {
    check(
        "-- a comment\nselect f.orgin from {{ ref('stg_flights') }} f",
        expect![[r#"
        error[E0102]: no column `orgin` in `stg_flights`
          --> transforms/t.sql:2:8 `f.orgin` did you mean `f.origin`?
          note: columns: `id`, `origin`, `dest`, `dep_delay`, `air_time`, `cancelled`, `day`
    "#]],
    )
    .await;
    check(
        "select\n  visibility\nfrom {{ source('nyc', 'weather') }}",
        expect![[r#"
        error[E0102]: no column `visibility`
          --> transforms/t.sql:2:3 `visibility` did you mean `visib`?
          note: columns: `origin`, `day`, `temp`, `visib`
    "#]],
    )
    .await;
    check(
        "select w.id from {{ ref('stg_flights') }} f",
        expect![[r#"
        error[E0103]: no table `w` in this part of the query
          --> transforms/t.sql:1:8 `w.id`
          note: tables: `f`
    "#]],
    )
    .await;
}

#[tokio::test]
async fn unknown_column_behind_a_loop() {
    check(
        "select {% for c in ['origin', 'dest'] %}{{ c }}, {% endfor %} dep_dely from {{ ref('stg_flights') }}",
        expect![[r#"
            error[E0102]: no column `dep_dely`
              --> transforms/t.sql:1:63 `dep_dely` did you mean `dep_delay`?
              note: columns: `id`, `origin`, `dest`, `dep_delay`, `air_time`, `cancelled`, `day`
        "#]],
    )
    .await;
    check(
        "{% set column = 'oops' %}\nselect {{ column }} from {{ ref('stg_flights') }}",
        expect![[r#"
        error[E0102]: no column `oops`
          --> transforms/t.sql:2:11 `column`
          note: columns: `id`, `origin`, `dest`, `dep_delay`, `air_time`, `cancelled`, `day`
    "#]],
    )
    .await;
}

#[tokio::test]
async fn unknown_table() {
    check(
        "select * from stg_flights",
        expect![[r#"
        error[E0103]: no table `stg_flights` here
          --> transforms/t.sql:1:15 `stg_flights`
          hint: name it as an input: {{ ref('stg_flights') }}
    "#]],
    )
    .await;
    check(
        "select * from nyc.weather",
        expect![[r#"
        error[E0103]: no table `nyc.weather` here
          --> transforms/t.sql:1:15 `nyc.weather`
          hint: name it as an input: {{ source('nyc', 'weather') }}
    "#]],
    )
    .await;
    check(
        "select * from {{ ref('stg_flights') }} join flihgts using (id)",
        expect![[r#"
        error[E0103]: no table `flihgts` here
          --> transforms/t.sql:1:45 `flihgts`
          hint: inputs are named with {{ ref('node') }} or {{ source('source', 'table') }}
    "#]],
    )
    .await;
}

#[tokio::test]
async fn unknown_function() {
    check(
        "select dat_trunc('day', day) as d from {{ ref('stg_flights') }}",
        expect![[r#"
        error[E0104]: no function `dat_trunc`
          --> transforms/t.sql:1:8 `dat_trunc` did you mean `datetrunc`?
    "#]],
    )
    .await;
    check(
        "select summ(id) as d from {{ ref('stg_flights') }}",
        expect![[r#"
        error[E0104]: no function `summ`
          --> transforms/t.sql:1:8 `summ` did you mean `sum`?
    "#]],
    )
    .await;
    check(
        "select zzzzzzzzz(id) as d from {{ ref('stg_flights') }}",
        expect![[r#"
        error[E0104]: no function `zzzzzzzzz`
          --> transforms/t.sql:1:8 `zzzzzzzzz`
          hint: SQL functions are those of Apache DataFusion 55
    "#]],
    )
    .await;
}

#[tokio::test]
async fn syntax() {
    check(
        "select id,, origin from {{ ref('stg_flights') }}",
        expect![[r#"
        error[E0101]: expected an expression, found `,`
          --> transforms/t.sql:1:11 `,`
    "#]],
    )
    .await;
    check(
        "select id\nfrom {{ ref('stg_flights') }}\nwhere (id > 1",
        expect![[r#"
        error[E0101]: the SQL ends too early: expected )
          --> transforms/t.sql:3:13 `1`
    "#]],
    )
    .await;
    check(
        "selec id from {{ ref('stg_flights') }}",
        expect![[r#"
        error[E0101]: expected an SQL statement, found `selec`
          --> transforms/t.sql:1:1 `selec`
    "#]],
    )
    .await;
    check(
        "select id from {{ ref('stg_flights') }} where origin = 'JFK",
        expect![[r#"
        error[E0101]: unterminated string literal
          --> transforms/t.sql:1:56 ``
    "#]],
    )
    .await;
    check(
        "select 1 as a; select 2 as b",
        expect![[r#"
        error[E0107]: `t` holds more than one statement
          --> transforms/t.sql:1:16 `select`
          hint: write one query; Windlass creates and fills the table
    "#]],
    )
    .await;
}

#[tokio::test]
async fn not_a_query() {
    check(
        "create table x as select 1 as a",
        expect![[r#"
        error[E0107]: `t` must be one SELECT, not CREATE
          --> transforms/t.sql:1:14 `x`
          hint: write one query; Windlass creates and fills the table
    "#]],
    )
    .await;
    check(
        "delete from stg_flights",
        expect![[r#"
        error[E0107]: `t` must be one SELECT, not DELETE
          --> transforms/t.sql:1:1 `delete`
          hint: write one query; Windlass creates and fills the table
    "#]],
    )
    .await;
    check(
        "drop table stg_flights",
        expect![[r#"
        error[E0107]: `t` must be one SELECT, not DROP
          --> transforms/t.sql:1:1 `d`
          hint: write one query; Windlass creates and fills the table
    "#]],
    )
    .await;
}

#[tokio::test]
async fn types_that_do_not_fit() {
    check(
        "select f.id from {{ ref('stg_flights') }} f\njoin {{ ref('stg_flights') }} g on f.cancelled = g.day",
        expect![[r#"
            error[E0105]: `f.cancelled = g.day` has types that do not fit: boolean and date
              --> transforms/t.sql:2:36 `f.cancelled = g.day`
              hint: cast one side, for example `cast(x as bigint)`
        "#]],
    )
    .await;
    check(
        "select id from {{ ref('stg_flights') }} union all select cancelled from {{ ref('stg_flights') }}",
        expect![[r#"
        error[E0105]: the queries of a UNION have columns whose types do not fit
          --> transforms/t.sql:1:58 `cancelled`
          note: previous inputs were of type bigint, but got incompatible type boolean on column 'cancelled'
          hint: cast the column to one type in every query of the UNION
    "#]],
    )
    .await;
    check(
        "select id, origin from {{ ref('stg_flights') }} union all select id from {{ ref('stg_flights') }}",
        expect![[r#"
        error[E0105]: the queries of a UNION have different numbers of columns
          --> transforms/t.sql:1:1 `select id, origin from `
    "#]],
    )
    .await;
    check(
        "select id + origin as x from {{ ref('stg_flights') }} where day > true",
        expect![[r#"
        error[E0105]: cannot coerce arithmetic expression bigint + varchar to valid types
          --> transforms/t.sql:1:8 `id + origin`
          hint: cast one side, for example `cast(x as bigint)`
    "#]],
    )
    .await;
    check(
        "select sum(origin) as x from {{ ref('stg_flights') }}",
        expect![[r#"
        error[E0105]: function `sum` does not take varchar
          --> transforms/t.sql:1:8 `sum`
          hint: cast the argument, for example `cast(x as double)`
    "#]],
    )
    .await;
    check("select case when id then 1 else 2 end as x from {{ ref('stg_flights') }}", expect![[""]]).await;
}

#[tokio::test]
async fn results_that_are_no_table() {
    check(
        "select origin, count(*) from {{ ref('stg_flights') }} group by 1",
        expect![[r#"
        error[E0109]: column `count(*)` of `t` needs a name
          --> transforms/t.sql:1:16 `count`
          hint: add a name without spaces and brackets: `... as name`
    "#]],
    )
    .await;
    check(
        "select f.id, g.id from {{ ref('stg_flights') }} f join {{ ref('stg_flights') }} g on f.id = g.id",
        expect![[r#"
        error[E0108]: `t` has two columns `id`
          --> transforms/t.sql:1:14 `g.id`
          ::: transforms/t.sql:1:8 first here
          hint: rename one with `as`, or leave it out; letter case does not tell columns apart
    "#]],
    )
    .await;
    check(
        "select id, dest as ID2, origin as id2 from {{ ref('stg_flights') }}",
        expect![[r#"
        error[E0108]: `t` has two columns `id2`
          --> transforms/t.sql:1:25 `origin as id2`
          ::: transforms/t.sql:1:12 first here
          hint: rename one with `as`, or leave it out; letter case does not tell columns apart
    "#]],
    )
    .await;
    check(
        "select id, null as nothing, day - day as span from {{ ref('stg_flights') }}",
        expect![[r#"
        error[E0105]: column `nothing` of `t` is always NULL and has no type
          --> transforms/t.sql:1:12 `null as nothing`
          hint: say which: `cast(null as varchar)`
    "#]],
    )
    .await;
    check(
        "select interval '1 day' as span from {{ ref('stg_flights') }}",
        expect![[r#"
        error[E0105]: column `span` of `t` has type interval, which a Delta table cannot hold
          --> transforms/t.sql:1:17 `'1 day' as span`
          hint: cast it, for example to varchar or bigint
    "#]],
    )
    .await;
    check(
        "{{ config(partition_by=['orign'], sort_by=['idd desc']) }}\nselect id, origin from {{ ref('stg_flights') }}",
        expect![[r#"
        error[E0102]: `partition_by` of `t` names column `orign`, which the result does not have
          --> transforms/t.sql:1:24 `[`
          note: columns: `id`, `origin`
          hint: did you mean `origin`?
        error[E0102]: `sort_by` of `t` names column `idd`, which the result does not have
          --> transforms/t.sql:1:43 `[`
          note: columns: `id`, `origin`
          hint: did you mean `id`?
    "#]],
    )
    .await;
}

#[tokio::test]
async fn ambiguous_and_ungrouped() {
    check(
        "select id from {{ ref('stg_flights') }} f join {{ ref('stg_flights') }} g on f.id = g.id",
        expect![[r#"
        error[E0106]: column `id` is in more than one table
          --> transforms/t.sql:1:8 `id`
          hint: say which: `table.id`
    "#]],
    )
    .await;
    check(
        "select origin, dest, count(*) as n from {{ ref('stg_flights') }} group by origin",
        expect![[r#"
        error[E0107]: `stg_flights.dest` must stand in GROUP BY or in an aggregate function
          --> transforms/t.sql:1:16 `dest`
    "#]],
    )
    .await;
}

#[tokio::test]
async fn folders_need_text() {
    check(
        "{{ config(partition_by=['b']) }}\nselect id, x'00ff' as b from {{ ref('stg_flights') }}",
        expect![[r#"
        error[E0105]: `partition_by` of `t` names column `b` of type binary
          --> transforms/t.sql:1:24 `[`
          hint: partition by a number, a text, a date or a boolean
    "#]],
    )
    .await;
}
