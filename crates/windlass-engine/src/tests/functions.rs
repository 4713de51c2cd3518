//! Python functions in SQL: where their calls stand in a plan, and what is said about mistakes.

use expect_test::{Expect, expect};

use super::support::{World, plain};
use crate::planner::calls::functions_in;
use crate::{Engine, Error};

const BASE: &str = r#"
-- data/flights.csv --
id,origin,delay,note
1,JFK,3.5,late
-- data/airports.csv --
code,name,height
JFK,Kennedy,13
-- sources.yml --
sources:
  nyc:
    path: data/{name}.csv
    tables:
      flights:
        columns:
          id: {type: bigint}
          origin: {type: varchar}
          delay: {type: double}
          note: {type: varchar}
      airports:
        columns:
          code: {type: varchar}
          name: {type: varchar}
          height: {type: int}
-- functions/text.py --
from windlass import udf

@udf(returns="varchar")
def clean(text):
    return text

@udf(returns="double", args={"text": "varchar", "weight": "double"})
def score(text, weight):
    return text

@udf(returns="double", deterministic=False)
def noise(value):
    return value
-- functions/places.py --
# /// script
# dependencies = ["pyproj"]
# ///
from windlass import udf

@udf(returns="double", args={"height": "int"}, nulls="pass", on_error="null")
def feet(height):
    return height
"#;

/// Compares the optimised plan of a query.
async fn check(sql: &str, expected: Expect) {
    let world = World::new(BASE);
    expected.assert_eq(&optimized(&world, sql).await);
}

async fn optimized(world: &World, sql: &str) -> String {
    match plan(&world.engine, world, sql).await {
        Ok(plan) => format!("{}\n", plan.display_indent()),
        Err(Error::Mistakes { diagnostics }) => plain(&diagnostics),
        Err(error) => format!("{error}\n"),
    }
}

async fn plan(engine: &Engine, world: &World, sql: &str) -> Result<datafusion::logical_expr::LogicalPlan, Error> {
    let (state, plan) = engine.frame(&world.project, sql).await?.into_parts();
    state.optimize(&plan).map_err(|source| Error::Start { source })
}

#[tokio::test]
async fn of_a_projection() {
    check(
        "select id, clean(note) as note from nyc.flights",
        expect![[r#"
        Projection: nyc.flights.id, clean(nyc.flights.note) AS note
          PythonCalls: clean(nyc.flights.note)
            TableScan: nyc.flights projection=[id, note]
    "#]],
    )
    .await;
    // Equal calls are one, constants are no columns.
    check(
        "select score(note, 1 + 1) as a, score(note, 2.0) + 1 as b, clean(origin) as c from nyc.flights",
        expect![[r#"
            Projection: score(nyc.flights.note,Float64(2)) AS a, score(nyc.flights.note,Float64(2)) + Float64(1) AS b, clean(nyc.flights.origin) AS c
              PythonCalls: score(nyc.flights.note, Float64(2)), clean(nyc.flights.origin)
                TableScan: nyc.flights projection=[origin, note]
        "#]],
    )
    .await;
    // Nobody reads it.
    check(
        "select id from (select id, clean(note) as c from nyc.flights) f",
        expect![[r#"
        SubqueryAlias: f
          TableScan: nyc.flights projection=[id]
    "#]],
    )
    .await;
    check(
        "select count(*) from (select clean(note) as c from nyc.flights) f",
        expect![[r#"
        Projection: count(Int64(1)) AS count(*)
          Aggregate: groupBy=[[]], aggr=[[count(Int64(1))]]
            SubqueryAlias: f
              TableScan: nyc.flights projection=[]
    "#]],
    )
    .await;
}

#[tokio::test]
async fn that_need_each_other_or_another_environment() {
    check("select score(clean(note), delay) as s from nyc.flights", expect![[r#"
        Projection: score(clean(nyc.flights.note),nyc.flights.delay) AS s
          PythonCalls: score(CAST(clean(nyc.flights.note) AS Utf8View), nyc.flights.delay) AS score(clean(nyc.flights.note),nyc.flights.delay)
            PythonCalls: clean(nyc.flights.note)
              TableScan: nyc.flights projection=[delay, note]
    "#]]).await;
    check("select clean(name) as n, feet(height) as f, score(name, feet(height)) as s from nyc.airports", expect![[r#"
        Projection: clean(nyc.airports.name) AS n, feet(nyc.airports.height) AS f, score(nyc.airports.name,feet(nyc.airports.height)) AS s
          PythonCalls: score(nyc.airports.name, feet(nyc.airports.height))
            PythonCalls: feet(nyc.airports.height)
              PythonCalls: clean(nyc.airports.name)
                TableScan: nyc.airports projection=[name, height]
    "#]])
        .await;
}

#[tokio::test]
async fn that_are_the_same_for_all_rows() {
    check("select id, clean('x') as c, score(clean('x'), delay) as s from nyc.flights", expect![[r#"
        Projection: nyc.flights.id, (<subquery>) AS c, score(clean(Utf8("x")),nyc.flights.delay) AS s
          Subquery:
            PythonCalls: clean(Utf8("x"))
              EmptyRelation: rows=1
          PythonCalls: score(CAST((<subquery>) AS Utf8View), nyc.flights.delay) AS score(clean(Utf8("x")),nyc.flights.delay)
            Subquery:
              PythonCalls: clean(Utf8("x"))
                EmptyRelation: rows=1
            TableScan: nyc.flights projection=[id, delay]
    "#]]).await;
    check(
        "select clean('x') as c",
        expect![[r#"
        Projection: clean(Utf8("x")) AS c
          PythonCalls: clean(Utf8("x"))
            EmptyRelation: rows=1
    "#]],
    )
    .await;
    check(
        "select id from nyc.flights where delay > score('x', 1) order by score('x', 1)",
        expect![[r#"
        Sort: (<subquery>) AS score(Utf8("x"),Int64(1)) ASC NULLS LAST
          Subquery:
            PythonCalls: score(Utf8View("x"), Float64(1))
              EmptyRelation: rows=1
          Projection: nyc.flights.id
            Filter: nyc.flights.delay > (<subquery>)
              Subquery:
                PythonCalls: score(Utf8View("x"), Float64(1))
                  EmptyRelation: rows=1
              TableScan: nyc.flights projection=[id, delay]
    "#]],
    )
    .await;
    // Not this one.
    check(
        "select noise(1) as a, noise(1) as b from nyc.flights",
        expect![[r#"
        Projection: noise(Int64(1)) AS a, noise(Int64(1)) 2 AS b
          PythonCalls: noise(Int64(1)), noise(Int64(1)) AS noise(Int64(1)) 2
            TableScan: nyc.flights projection=[]
    "#]],
    )
    .await;
    check(
        "select * from (values (1, clean('x')), (2, 'y')) as t(a, b)",
        expect![[r#"
        SubqueryAlias: t
          Projection: column1 AS a, column2 AS b
            Union
              Projection: Int64(1) AS column1, clean(Utf8("x")) AS column2
                PythonCalls: clean(Utf8("x"))
                  EmptyRelation: rows=1
              Projection: Int64(2) AS column1, Utf8("y") AS column2
                EmptyRelation: rows=1
    "#]],
    )
    .await;
}

#[tokio::test]
async fn of_a_filter() {
    check("select id from nyc.flights where score(note, 1) > 2 and delay > 3 and origin = clean(note)", expect![[r#"
        Projection: nyc.flights.id
          Filter: score(nyc.flights.note,Float64(1)) > Float64(2) AND nyc.flights.origin = CAST(clean(nyc.flights.note) AS Utf8View)
            Projection: nyc.flights.id, nyc.flights.origin, score(nyc.flights.note,Float64(1)), clean(nyc.flights.note)
              PythonCalls: score(nyc.flights.note, Float64(1)), clean(nyc.flights.note)
                Filter: nyc.flights.delay > Float64(3)
                  TableScan: nyc.flights projection=[id, origin, delay, note], partial_filters=[nyc.flights.delay > Float64(3)]
    "#]])
        .await;
    // What the filter computes is not computed again.
    check(
        "select id, clean(note) as c from nyc.flights where clean(note) <> '' order by clean(note) limit 3",
        expect![[r#"
            Sort: c ASC NULLS LAST, fetch=3
              Projection: nyc.flights.id, clean(nyc.flights.note) AS c
                Filter: clean(nyc.flights.note) != Utf8("")
                  Projection: nyc.flights.id, clean(nyc.flights.note)
                    PythonCalls: clean(nyc.flights.note)
                      TableScan: nyc.flights projection=[id, note]
        "#]],
    )
    .await;
    // A filter on a column of a view goes below its calls.
    check(
        "select c from (select id, clean(note) as c from nyc.flights) f where f.id = 7",
        expect![[r#"
        SubqueryAlias: f
          Projection: clean(nyc.flights.note) AS c
            PythonCalls: clean(nyc.flights.note)
              Filter: nyc.flights.id = Int64(7)
                TableScan: nyc.flights projection=[id, note], partial_filters=[nyc.flights.id = Int64(7)]
    "#]],
    )
    .await;
    check(
        "select c from (select id, clean(note) as c from nyc.flights) f limit 5",
        expect![[r#"
        SubqueryAlias: f
          Projection: clean(nyc.flights.note) AS c
            Limit: skip=0, fetch=5
              PythonCalls: clean(nyc.flights.note)
                Limit: skip=0, fetch=5
                  Limit: skip=0, fetch=5
                    Limit: skip=0, fetch=5
                      TableScan: nyc.flights projection=[note], fetch=5
    "#]],
    )
    .await;
    check(
        "select c from (select id, noise(delay) as c from nyc.flights) f limit 5",
        expect![[r#"
        SubqueryAlias: f
          Projection: noise(nyc.flights.delay) AS c
            Limit: skip=0, fetch=5
              PythonCalls: noise(nyc.flights.delay)
                TableScan: nyc.flights projection=[delay]
    "#]],
    )
    .await;
}

#[tokio::test]
async fn of_an_aggregate() {
    check(
        "select clean(note) as note, sum(score(note, 1)) filter (where score(note, 2) > 0) as s, count(distinct clean(origin)) as n
         from nyc.flights group by clean(note) having max(score(note, 1)) > 3",
        expect![[r#"
            Projection: clean(nyc.flights.note) AS note, sum(score(nyc.flights.note,Int64(1))) FILTER (WHERE score(nyc.flights.note, Int64(2)) > Int64(0)) AS s, count(DISTINCT clean(nyc.flights.origin)) AS n
              Filter: max(score(nyc.flights.note,Int64(1))) > Float64(3)
                Aggregate: groupBy=[[clean(nyc.flights.note)]], aggr=[[sum(score(nyc.flights.note,Float64(1))) FILTER (WHERE score(nyc.flights.note,Float64(2)) > Float64(0)) AS sum(score(nyc.flights.note,Int64(1))) FILTER (WHERE score(nyc.flights.note, Int64(2)) > Int64(0)), count(DISTINCT clean(nyc.flights.origin)), max(score(nyc.flights.note,Float64(1))) AS max(score(nyc.flights.note,Int64(1)))]]
                  Projection: clean(nyc.flights.note), score(nyc.flights.note,Float64(1)), score(nyc.flights.note,Float64(2)), clean(nyc.flights.origin)
                    PythonCalls: clean(nyc.flights.note), score(nyc.flights.note, Float64(1)), score(nyc.flights.note, Float64(2)), clean(nyc.flights.origin)
                      TableScan: nyc.flights projection=[origin, note]
        "#]],
    )
    .await;
    check(
        "select clean(note), origin, count(*) from nyc.flights group by rollup(clean(note), origin)",
        expect![[r#"
        Projection: clean(nyc.flights.note), nyc.flights.origin, count(Int64(1)) AS count(*)
          Aggregate: groupBy=[[ROLLUP (clean(nyc.flights.note), nyc.flights.origin)]], aggr=[[count(Int64(1))]]
            Projection: nyc.flights.origin, clean(nyc.flights.note)
              PythonCalls: clean(nyc.flights.note)
                TableScan: nyc.flights projection=[origin, note]
    "#]],
    )
    .await;
    check("select distinct on (clean(note)) id from nyc.flights order by clean(note), id", expect![[r#"
        Projection: first_value(nyc.flights.id) ORDER BY [clean(nyc.flights.note) ASC NULLS LAST, nyc.flights.id ASC NULLS LAST] AS id
          Sort: clean(nyc.flights.note) ASC NULLS LAST
            Aggregate: groupBy=[[clean(nyc.flights.note)]], aggr=[[first_value(nyc.flights.id) ORDER BY [clean(nyc.flights.note) ASC NULLS LAST, nyc.flights.id ASC NULLS LAST]]]
              Projection: nyc.flights.id, clean(nyc.flights.note)
                PythonCalls: clean(nyc.flights.note)
                  TableScan: nyc.flights projection=[id, note]
    "#]]).await;
    check(
        "select score(note, sum(delay)) as s from nyc.flights group by note",
        expect![[r#"
        Projection: score(nyc.flights.note,sum(nyc.flights.delay)) AS s
          PythonCalls: score(nyc.flights.note, sum(nyc.flights.delay))
            Aggregate: groupBy=[[nyc.flights.note]], aggr=[[sum(nyc.flights.delay)]]
              TableScan: nyc.flights projection=[delay, note]
    "#]],
    )
    .await;
}

#[tokio::test]
async fn of_a_sort_or_a_window() {
    check(
        "select id from nyc.flights order by clean(note) desc, id",
        expect![[r#"
        Projection: nyc.flights.id
          Sort: clean(nyc.flights.note) DESC NULLS FIRST, nyc.flights.id ASC NULLS LAST
            Projection: nyc.flights.id, clean(nyc.flights.note)
              PythonCalls: clean(nyc.flights.note)
                TableScan: nyc.flights projection=[id, note]
    "#]],
    )
    .await;
    check(
        "select id, sum(score(note, 1)) over (partition by clean(origin) order by score(note, 2)) as s from nyc.flights",
        expect![[r#"
            Projection: nyc.flights.id, sum(score(nyc.flights.note,Int64(1))) PARTITION BY [clean(nyc.flights.origin)] ORDER BY [score(nyc.flights.note, Int64(2)) ASC NULLS LAST] RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW AS s
              WindowAggr: windowExpr=[[sum(score(nyc.flights.note,Float64(1))) PARTITION BY [clean(nyc.flights.origin)] ORDER BY [score(nyc.flights.note,Float64(2)) ASC NULLS LAST] RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW AS sum(score(nyc.flights.note,Int64(1))) PARTITION BY [clean(nyc.flights.origin)] ORDER BY [score(nyc.flights.note, Int64(2)) ASC NULLS LAST] RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW]]
                Projection: nyc.flights.id, score(nyc.flights.note,Float64(1)), clean(nyc.flights.origin), score(nyc.flights.note,Float64(2))
                  PythonCalls: score(nyc.flights.note, Float64(1)), clean(nyc.flights.origin), score(nyc.flights.note, Float64(2))
                    TableScan: nyc.flights projection=[id, origin, note]
        "#]],
    )
    .await;
}

#[tokio::test]
async fn of_a_join() {
    check(
        "select id, height from nyc.flights f join nyc.airports a on clean(f.note) = a.name",
        expect![[r#"
        Projection: f.id, a.height
          Inner Join: CAST(clean(f.note) AS Utf8View) = a.name
            Projection: f.id, clean(f.note)
              PythonCalls: clean(f.note)
                SubqueryAlias: f
                  TableScan: nyc.flights projection=[id, note]
            SubqueryAlias: a
              TableScan: nyc.airports projection=[name, height]
    "#]],
    )
    .await;
    check(
        "select id, height from nyc.flights f, nyc.airports a where clean(f.note) = clean(a.name)",
        expect![[r#"
        Projection: f.id, a.height
          Inner Join: clean(f.note) = clean(a.name)
            Projection: f.id, clean(f.note)
              PythonCalls: clean(f.note)
                SubqueryAlias: f
                  TableScan: nyc.flights projection=[id, note]
            Projection: a.height, clean(a.name)
              PythonCalls: clean(a.name)
                SubqueryAlias: a
                  TableScan: nyc.airports projection=[name, height]
    "#]],
    )
    .await;
    check(
        "select id, clean(f.note) as n from nyc.flights f join nyc.airports a
         on clean(f.note) = a.name and score(f.note, a.height) > 1 and a.height > 3",
        expect![[r#"
            Projection: f.id, clean(f.note) AS n
              Filter: score(f.note,a.height) > Float64(1)
                Projection: f.id, clean(f.note), score(f.note,a.height)
                  PythonCalls: score(f.note, CAST(a.height AS Float64)) AS score(f.note,a.height)
                    Projection: f.id, f.note, a.height, clean(f.note)
                      Inner Join: CAST(clean(f.note) AS Utf8View) = a.name
                        PythonCalls: clean(f.note)
                          SubqueryAlias: f
                            TableScan: nyc.flights projection=[id, note]
                        SubqueryAlias: a
                          Filter: nyc.airports.height > Int32(3)
                            TableScan: nyc.airports projection=[name, height], partial_filters=[nyc.airports.height > Int32(3)]
        "#]],
    )
    .await;
    check(
        "select id, height from nyc.flights f left join nyc.airports a on f.origin = a.code and score(f.note, 1) > 1",
        expect![[r#"
            Projection: f.id, a.height
              Left Join: f.origin = a.code Filter: score(f.note,Float64(1)) > Float64(1)
                Projection: f.id, f.origin, score(f.note,Float64(1))
                  PythonCalls: score(f.note, Float64(1))
                    SubqueryAlias: f
                      TableScan: nyc.flights projection=[id, origin, note]
                SubqueryAlias: a
                  TableScan: nyc.airports projection=[code, height]
        "#]],
    )
    .await;
    check(
        "select id, height from nyc.flights f\nleft join nyc.airports a on f.origin = a.code and score(f.note, a.height) > 1",
        expect![[r#"
            error[E0412]: `score` gets columns of both sides of an outer join, in the condition of that join
              --> query:2:51 `score`
              ::: functions/text.py:8:5 the function
              hint: call it on one side, or join in a subquery without this condition first
        "#]],
    )
    .await;
}

#[tokio::test]
async fn of_a_subquery() {
    check(
        "select id from nyc.flights where origin in (select clean(code) from nyc.airports)",
        expect![[r#"
        Projection: nyc.flights.id
          LeftSemi Join: nyc.flights.origin = __correlated_sq_2.clean(nyc.airports.code)
            TableScan: nyc.flights projection=[id, origin]
            SubqueryAlias: __correlated_sq_2
              Projection: CAST(clean(nyc.airports.code) AS Utf8View)
                PythonCalls: clean(nyc.airports.code)
                  TableScan: nyc.airports projection=[code]
    "#]],
    )
    .await;
    check(
        "select id from nyc.flights where clean(note) not in (select name from nyc.airports)",
        expect![[r#"
        Projection: nyc.flights.id
          LeftAnti Join: CAST(clean(nyc.flights.note) AS Utf8View) = __correlated_sq_2.name null_aware
            Projection: nyc.flights.id, clean(nyc.flights.note)
              PythonCalls: clean(nyc.flights.note)
                TableScan: nyc.flights projection=[id, note]
            SubqueryAlias: __correlated_sq_2
              TableScan: nyc.airports projection=[name]
    "#]],
    )
    .await;
    check(
        "select id from nyc.flights f where exists (select 1 from nyc.airports a where a.code = f.origin and clean(a.name) = 'x')",
        expect![[r#"
            Projection: f.id
              LeftSemi Join: f.origin = __correlated_sq_2.code
                SubqueryAlias: f
                  TableScan: nyc.flights projection=[id, origin]
                SubqueryAlias: __correlated_sq_2
                  Projection: a.code
                    Filter: clean(a.name) = Utf8("x")
                      Projection: a.code, clean(a.name)
                        PythonCalls: clean(a.name)
                          SubqueryAlias: a
                            TableScan: nyc.airports projection=[code, name]
        "#]],
    )
    .await;
    check(
        "select id, (select max(feet(a.height)) from nyc.airports a where a.code = f.origin) as h from nyc.flights f",
        expect![[r#"
            Projection: f.id, __scalar_sq_2.max(feet(a.height)) AS h
              Left Join: f.origin = __scalar_sq_2.code
                SubqueryAlias: f
                  TableScan: nyc.flights projection=[id, origin]
                SubqueryAlias: __scalar_sq_2
                  Projection: max(feet(a.height)), a.code
                    Aggregate: groupBy=[[a.code]], aggr=[[max(feet(a.height))]]
                      Projection: a.code, feet(a.height)
                        PythonCalls: feet(a.height)
                          SubqueryAlias: a
                            TableScan: nyc.airports projection=[code, height]
        "#]],
    )
    .await;
    check(
        "select id from nyc.flights where delay > (select avg(feet(height)) from nyc.airports)",
        expect![[r#"
        Projection: nyc.flights.id
          Filter: nyc.flights.delay > (<subquery>)
            Subquery:
              Aggregate: groupBy=[[]], aggr=[[avg(feet(nyc.airports.height))]]
                Projection: feet(nyc.airports.height)
                  PythonCalls: feet(nyc.airports.height)
                    TableScan: nyc.airports projection=[height]
            TableScan: nyc.flights projection=[id, delay]
    "#]],
    )
    .await;
    check(
        "select id from nyc.flights f where exists (select 1 from nyc.airports a where score(a.name, f.delay) > 1)",
        expect![[r#"
            error[E0412]: `score` gets columns of the outer query and of the subquery in one condition
              --> query:1:79 `score`
              ::: functions/text.py:8:5 the function
              hint: join the tables in place of the subquery and call it on the result
        "#]],
    )
    .await;
}

#[tokio::test]
async fn of_other_clauses() {
    check(
        "select clean(note) as c from nyc.flights union all select clean(name) from nyc.airports",
        expect![[r#"
        Union
          Projection: clean(nyc.flights.note) AS c
            PythonCalls: clean(nyc.flights.note)
              TableScan: nyc.flights projection=[note]
          Projection: clean(nyc.airports.name) AS c
            PythonCalls: clean(nyc.airports.name)
              TableScan: nyc.airports projection=[name]
    "#]],
    )
    .await;
    check("select unnest(make_array(clean(note), note)) as c from nyc.flights", expect![[r#"
        Projection: __unnest_placeholder(make_array(clean(nyc.flights.note),nyc.flights.note),depth=1) AS UNNEST(make_array(clean(nyc.flights.note),nyc.flights.note)) AS c
          Unnest: lists[__unnest_placeholder(make_array(clean(nyc.flights.note),nyc.flights.note))|depth=1] structs[]
            Projection: make_array(CAST(clean(nyc.flights.note) AS Utf8View), nyc.flights.note) AS __unnest_placeholder(make_array(clean(nyc.flights.note),nyc.flights.note))
              PythonCalls: clean(nyc.flights.note)
                TableScan: nyc.flights projection=[note]
    "#]]).await;
    check(
        "with recursive r as (select 1 as i union all select i + 1 from r where score('x', i) < 3) select * from r",
        expect![[r#"
            SubqueryAlias: r
              RecursiveQuery: is_distinct=false
                Projection: Int64(1) AS i
                  EmptyRelation: rows=1
                Projection: r.i + Int64(1)
                  Filter: score(Utf8View("x"),r.i) < Float64(3)
                    PythonCalls: score(Utf8View("x"), CAST(r.i AS Float64)) AS score(Utf8View("x"),r.i)
                      TableScan: r projection=[i]
        "#]],
    )
    .await;
    check(
        "select case when delay > 0 then clean(note) else coalesce(note, clean(origin)) end as c from nyc.flights",
        expect![[r#"
            Projection: CASE WHEN nyc.flights.delay > Float64(0) THEN CAST(clean(nyc.flights.note) AS Utf8View) ELSE CASE WHEN nyc.flights.note IS NOT NULL THEN nyc.flights.note ELSE CAST(clean(nyc.flights.origin) AS Utf8View) END END AS c
              PythonCalls: clean(nyc.flights.note), clean(nyc.flights.origin)
                TableScan: nyc.flights projection=[origin, delay, note]
        "#]],
    )
    .await;
    check(
        "select array_transform(make_array(note), x -> clean(x)) as c from nyc.flights",
        expect![[r#"
        error[E0102]: no column `x`
          --> query:1:42 `x`
          note: columns: `id`, `origin`, `delay`, `note`
    "#]],
    )
    .await;
}

#[tokio::test]
async fn through_views() {
    let mut world = World::new(&format!(
        "{BASE}-- transforms/cleaned.sql --
{{{{ config(materialized='view') }}}}
select id, clean(note) as note, feet(1) as f from {{{{ source('nyc', 'flights') }}}}
-- transforms/t.sql --
select note, count(*) as n from {{{{ ref('cleaned') }}}} where id > 3 group by note
"
    ));
    let planned = world.plan().await;
    assert_eq!(plain(&planned.diagnostics), "");
    expect![[r#"
        SubqueryAlias: cleaned
          Projection: clean(nyc.flights.note) AS note
            PythonCalls: clean(nyc.flights.note)
              Filter: nyc.flights.id = Int64(1)
                TableScan: nyc.flights projection=[id, note], partial_filters=[nyc.flights.id = Int64(1)]
    "#]]
    .assert_eq(&optimized(&world, "select note from cleaned where id = 1").await);
    let functions = functions_in(&plan(&world.engine, &world, "select note from cleaned").await.unwrap());
    assert_eq!(functions.keys().collect::<Vec<_>>(), ["clean"]);
    // Plans of one shape are equal.
    let one = plan(&world.engine, &world, "select note, noise(1) as a, noise(2) as b from cleaned").await.unwrap();
    world.edit("");
    let other = plan(&world.engine, &world, "select note, noise(1) as a, noise(2) as b from cleaned").await.unwrap();
    assert_eq!(one, other);
}

/// Plans a project whose transform `t` is `sql`, with another function, and compares every mistake.
async fn mistakes(sql: &str, function: &str, expected: Expect) {
    let world = World::new(&format!("{BASE}-- functions/more.py --\n{function}\n-- transforms/t.sql --\n{sql}\n"));
    let plan = world.plan().await;
    expected.assert_eq(&plain(&plan.diagnostics));
}

const NO_FUNCTION: &str = "from windlass import udf\n@udf(returns=\"int\")\ndef more(x):\n    return x\n";

#[tokio::test]
async fn wrong_calls() {
    let flights = "{{ source('nyc', 'flights') }}";
    mistakes(
        &format!("select id,\n  score(note) as s from {flights}"),
        NO_FUNCTION,
        expect![[r#"
        error[E0412]: `score` takes (text varchar, weight double), not (varchar)
          --> transforms/t.sql:2:3 `score`
          ::: functions/text.py:8:5 the function
          hint: cast the argument, for example `cast(x as double)`, or change the function
    "#]],
    )
    .await;
    mistakes(
        &format!("select id,\n  score(note, origin) as s from {flights}"),
        NO_FUNCTION,
        expect![[r#"
        error[E0412]: `score` takes (text varchar, weight double), not (varchar, varchar)
          --> transforms/t.sql:2:3 `score`
          ::: functions/text.py:8:5 the function
          hint: cast the argument, for example `cast(x as double)`, or change the function
    "#]],
    )
    .await;
    mistakes(
        &format!("select clean(null) as c from {flights}"),
        NO_FUNCTION,
        expect![[r#"
        error[E0412]: `clean` takes (text), not (null)
          --> transforms/t.sql:1:8 `clean`
          ::: functions/text.py:4:5 the function
          hint: cast the argument, for example `cast(x as double)`, or change the function
    "#]],
    )
    .await;
    mistakes(
        &format!("select claen(note) as c from {flights}"),
        NO_FUNCTION,
        expect![[r#"
        error[E0104]: no function `claen`
          --> transforms/t.sql:1:8 `claen` did you mean `clean`?
    "#]],
    )
    .await;
    mistakes(
        &format!("select f.id from {flights} f full join {flights} g\non f.id = g.id and score(f.note, g.delay) > 1"),
        NO_FUNCTION,
        expect![[r#"
            error[E0412]: `score` gets columns of both sides of an outer join, in the condition of that join
              --> transforms/t.sql:2:20 `score`
              ::: functions/text.py:8:5 the function
              hint: call it on one side, or join in a subquery without this condition first
        "#]],
    )
    .await;
    mistakes(
        &format!("select clean(note) as c from {flights} where more(x => delay) > 1"),
        NO_FUNCTION,
        expect![[r#""#]],
    )
    .await;
}

#[tokio::test]
async fn wrong_functions() {
    let flights = "select lower(note) as l from {{ source('nyc', 'flights') }}";
    let function =
        |decorator: &str, name: &str| format!("from windlass import udf\n{decorator}\ndef {name}(x):\n    return x\n");
    mistakes(
        flights,
        &function("@udf(returns=\"double\")", "lower"),
        expect![[r#"
        error[E0412]: `lower` is a function of SQL already
          --> functions/more.py:3:5 `lower`
          hint: give it another name; SQL functions are those of Apache DataFusion 55
    "#]],
    )
    .await;
    mistakes(
        flights,
        &function("@udf(returns=\"double\")", "row_number"),
        expect![[r#"
        error[E0412]: `row_number` is a function of SQL already
          --> functions/more.py:3:5 `row_number`
          hint: give it another name; SQL functions are those of Apache DataFusion 55
    "#]],
    )
    .await;
    mistakes(
        flights,
        &function("@udf(returns=\"doubel\", args={\"x\": \"text!\"})", "more"),
        expect![[r#"
        error[E0203]: `text!` is not a SQL type
          --> functions/more.py:3:5 `more`
          note: it is the type of parameter `x` of `more`
          hint: use a SQL type such as bigint, double, decimal(18, 2), varchar, date or timestamp
        error[E0203]: `doubel` is not a SQL type
          --> functions/more.py:3:5 `more` did you mean `double`?
          note: it is the type of the result of `more`
          hint: use a SQL type such as bigint, double, decimal(18, 2), varchar, date or timestamp
    "#]],
    )
    .await;
    mistakes(
        flights,
        &function("@udf(returns=\"interval\")", "more"),
        expect![[r#"
        error[E0412]: the result of `more` has type interval, which Python is not given
          --> functions/more.py:3:5 `more`
          hint: use another type, such as varchar, double or timestamp
    "#]],
    )
    .await;
    let call = "select id, more(note) as l from {{ source('nyc', 'flights') }}";
    mistakes(
        call,
        &function("@udf(returns=\"doubel\")", "more"),
        expect![[r#"
        error[E0203]: `doubel` is not a SQL type
          --> functions/more.py:3:5 `more` did you mean `double`?
          note: it is the type of the result of `more`
          hint: use a SQL type such as bigint, double, decimal(18, 2), varchar, date or timestamp
        error[E0104]: no function `more`
          --> transforms/t.sql:1:12 `more`
          ::: functions/more.py:3:5 it has a mistake of its own
    "#]],
    )
    .await;
}
