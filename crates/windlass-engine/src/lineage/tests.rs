//! What single queries are computed from, over tables that are known by their columns.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema};
use datafusion::datasource::empty::EmptyTable;
use datafusion::prelude::SessionContext;
use expect_test::{Expect, expect};

use super::ColumnInputs;
use super::plans::trace;
use crate::planner::register;

fn context() -> SessionContext {
    let context = SessionContext::new();
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    let list = DataType::List(Arc::new(Field::new("item", DataType::Int64, true)));
    let point = DataType::Struct(Fields::from(vec![number("x"), number("y")]));
    let tables = [
        ("a", vec![number("id"), number("x"), number("y"), number("z")]),
        ("b", vec![number("id"), number("x"), number("w")]),
        ("s.t", vec![number("id"), Field::new("list", list, true), Field::new("point", point, true)]),
        ("Odd Name", vec![number("A b"), number("\"q\"")]),
    ];
    for (name, fields) in tables {
        register(&context, name, Arc::new(EmptyTable::new(Arc::new(Schema::new(fields))))).unwrap();
    }
    context
}

/// Returns columns with what they are used for, in a line.
pub(crate) fn inputs_text(inputs: &ColumnInputs) -> String {
    let text = inputs.iter().map(|(column, uses)| {
        let uses: Vec<&str> = uses.iter().map(|usage| usage.as_str()).collect();
        format!("{column} {}", uses.join("+"))
    });
    text.collect::<Vec<_>>().join(", ")
}

async fn check(sql: &str, expected: Expect) {
    let context = context();
    let plan = context.state().create_logical_plan(sql).await.unwrap();
    let traced = trace(&plan).unwrap();
    assert_eq!(traced.columns.len(), plan.schema().fields().len(), "{sql}");
    let columns = plan.schema().fields().iter().zip(&traced.columns);
    let mut text: Vec<String> = columns
        .map(|(field, inputs)| format!("{}: {}", field.name(), inputs_text(inputs)).trim_end().to_string())
        .collect();
    if !traced.rows.is_empty() {
        text.push(format!("rows: {}", inputs_text(&traced.rows)));
    }
    expected.assert_eq(&text.join("\n"));
}

#[tokio::test]
async fn copies_and_computations() {
    check(
        "select id, x as renamed, x + y * 2 as v, 1 as one from a",
        expect![[r#"
        id: a.id identity
        renamed: a.x identity
        v: a.x transformation, a.y transformation
        one:"#]],
    )
    .await;
    check(
        "select * from a",
        expect![[r#"
        id: a.id identity
        x: a.x identity
        y: a.y identity
        z: a.z identity"#]],
    )
    .await;
    check(
        "select a.* from a join b on a.id = b.id",
        expect![[r#"
        id: a.id identity
        x: a.x identity
        y: a.y identity
        z: a.z identity
        rows: a.id join, b.id join"#]],
    )
    .await;
    check(
        "select cast(x as varchar) as t, coalesce(x, y) as c, x is null as n from a",
        expect![[r#"
        t: a.x transformation
        c: a.x transformation, a.y transformation
        n: a.x transformation"#]],
    )
    .await;
    check(
        "select case when x > 0 then y else z end as v, case id when 1 then x end as w from a",
        expect![[r#"
        v: a.x conditional, a.y transformation, a.z transformation
        w: a.id conditional, a.x transformation"#]],
    )
    .await;
    check(
        "select point['x'] as px, point, list[1] as first from s.t",
        expect![[r#"
        px: s.t.point transformation
        point: s.t.point identity
        first: s.t.list transformation"#]],
    )
    .await;
    check(
        "select \"A b\" + \"\"\"q\"\"\" as sum, \"A b\" from \"Odd Name\"",
        expect![[r#"
        sum: Odd Name."q" transformation, Odd Name.A b transformation
        A b: Odd Name.A b identity"#]],
    )
    .await;
}

#[tokio::test]
async fn filters_orders_and_limits() {
    check(
        "select id from a where x > 1 and y in (1, 2)",
        expect![[r#"
        id: a.id identity
        rows: a.x filter, a.y filter"#]],
    )
    .await;
    check(
        "select id from a order by x desc limit 3",
        expect![[r#"
        id: a.id identity
        rows: a.x sort"#]],
    )
    .await;
    check(
        "select distinct x, y from a",
        expect![[r#"
        x: a.x identity
        y: a.y identity
        rows: a.x group_by, a.y group_by"#]],
    )
    .await;
    check(
        "select distinct on (x) id from a order by x, y",
        expect![[r#"
        id: a.id identity
        rows: a.x group_by+sort, a.y sort"#]],
    )
    .await;
}

#[tokio::test]
async fn groups_and_windows() {
    check(
        "select x, sum(y) as s, count(*) as n from a group by x having max(z) > 1",
        expect![[r#"
        x: a.x identity
        s: a.y aggregation
        n:
        rows: a.x group_by, a.z filter"#]],
    )
    .await;
    check(
        "select sum(x) filter (where y > 0) as s, array_agg(x order by z) as l from a",
        expect![[r#"
        s: a.x aggregation, a.y filter
        l: a.x aggregation, a.z sort"#]],
    )
    .await;
    check(
        "select x, y, sum(z) as s, grouping(x) as g from a group by grouping sets ((x), (x, y))",
        expect![[r#"
        x: a.x identity
        y: a.y identity
        s: a.z aggregation
        g: a.x aggregation
        rows: a.x group_by, a.y group_by"#]],
    )
    .await;
    check(
        "select sum(x) over (partition by y order by z) as s, lag(x) over (order by id) as l from a",
        expect![[r#"
        s: a.x aggregation, a.y window, a.z window
        l: a.id window, a.x transformation"#]],
    )
    .await;
    check(
        "select id from a qualify row_number() over (partition by x order by y) = 1",
        expect![[r#"
        id: a.id identity
        rows: a.x window, a.y window"#]],
    )
    .await;
    check(
        "select x + y as k, count(*) as n from a group by 1 order by 2",
        expect![[r#"
        k: a.x transformation, a.y transformation
        n:
        rows: a.x group_by, a.y group_by"#]],
    )
    .await;
}

#[tokio::test]
async fn joins() {
    check(
        "select a.x, b.x as bx, w from a left join b on a.id = b.id and a.y > b.w",
        expect![[r#"
        x: a.x identity
        bx: b.x identity
        w: b.w identity
        rows: a.id join, a.y join, b.id join, b.w join"#]],
    )
    .await;
    check(
        "select id, w from a join b using (id)",
        expect![[r#"
        id: a.id identity
        w: b.w identity
        rows: a.id join, b.id join"#]],
    )
    .await;
    check(
        "select * from a full join b using (id, x)",
        expect![[r#"
        id: a.id identity
        x: a.x identity
        y: a.y identity
        z: a.z identity
        w: b.w identity
        rows: a.id join, a.x join, b.id join, b.x join"#]],
    )
    .await;
    check(
        "select * from a natural join b",
        expect![[r#"
        id: a.id identity
        x: a.x identity
        y: a.y identity
        z: a.z identity
        w: b.w identity
        rows: a.id join, a.x join, b.id join, b.x join"#]],
    )
    .await;
    check(
        "select l.x as lx, r.x as rx from a l join a r on l.id = r.y",
        expect![[r#"
        lx: a.x identity
        rx: a.x identity
        rows: a.id join, a.y join"#]],
    )
    .await;
    check(
        "select a.id, t.v from a cross join lateral (select b.w + a.x as v from b where b.id = a.id) t",
        expect![[r#"
        id: a.id identity
        v: a.x transformation, b.w transformation
        rows: a.id filter, b.id filter"#]],
    )
    .await;
    check(
        "select id from a left semi join b on a.id = b.id",
        expect![[r#"
        id: a.id identity
        rows: a.id join, b.id join"#]],
    )
    .await;
}

#[tokio::test]
async fn unions_and_recursion() {
    check(
        "select id, x from a union all select w, id from b where x = 1",
        expect![[r#"
        id: a.id identity, b.w identity
        x: a.x identity, b.id identity
        rows: b.x filter"#]],
    )
    .await;
    check(
        "select x from a union select w from b",
        expect![[r#"
        x: a.x identity, b.w identity
        rows: a.x group_by, b.w group_by"#]],
    )
    .await;
    check(
        "select x from a except select w from b",
        expect![[r#"
        x: a.x identity
        rows: a.x join+group_by, b.w join"#]],
    )
    .await;
    check(
        "with recursive r as (select id, x as n from a union all select b.id, r.n + b.w from r join b on r.id = b.x) \
         select id, n from r",
        expect![[r#"
            id: a.id identity, b.id identity
            n: a.x identity+transformation, b.w transformation
            rows: a.id join, b.id join, b.x join"#]],
    )
    .await;
    check(
        "with a as (select x as y from a), c as (select y + 1 as z from a) select z, y from c, a",
        expect![[r#"
        z: a.x transformation
        y: a.x identity"#]],
    )
    .await;
}

#[tokio::test]
async fn subqueries() {
    check(
        "select id, (select max(w) from b where b.id = a.id and b.x > 1) as m from a",
        expect![[r#"
        id: a.id identity
        m: a.id filter, b.id filter, b.w aggregation, b.x filter"#]],
    )
    .await;
    check(
        "select id from a where x in (select w from b where b.id = a.y)",
        expect![[r#"
        id: a.id identity
        rows: a.x filter, a.y filter, b.id filter, b.w filter"#]],
    )
    .await;
    check(
        "select id from a where exists (select 1 from b where b.id = a.id)",
        expect![[r#"
        id: a.id identity
        rows: a.id filter, b.id filter"#]],
    )
    .await;
    check(
        "select id from a where x > (select avg(x) from b)",
        expect![[r#"
        id: a.id identity
        rows: a.x filter, b.x filter"#]],
    )
    .await;
    check(
        "select d.v from (select x + 1 as v, y from a where z = 1) d where d.y > 0",
        expect![[r#"
        v: a.x transformation
        rows: a.y filter, a.z filter"#]],
    )
    .await;
    check(
        "select id from a where exists (select 1 from b where exists (select 1 from s.t where t.id = a.z and t.id = b.w))",
        expect![[r#"
            id: a.id identity
            rows: a.z filter, b.w filter, s.t.id filter"#]],
    )
    .await;
}

#[tokio::test]
async fn lists_values_and_constants() {
    check(
        "select id, unnest(list) as v from s.t",
        expect![[r#"
        id: s.t.id identity
        v: s.t.list transformation
        rows: s.t.list join"#]],
    )
    .await;
    check(
        "select unnest(point) from s.t",
        expect![[r#"
        s.t.point.x: s.t.point transformation
        s.t.point.y: s.t.point transformation"#]],
    )
    .await;
    check(
        "select * from (values (1, 2), (3, 4)) as v(p, q)",
        expect![[r#"
        p:
        q:"#]],
    )
    .await;
    check(
        "select 1 as one, now() as t",
        expect![[r#"
        one:
        t:"#]],
    )
    .await;
    check("select count(*) as n from a", expect!["n:"]).await;
}
