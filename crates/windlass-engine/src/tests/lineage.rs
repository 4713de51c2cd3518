//! The lineage of a project: views, Python, error tables, and the way from column to column.

use expect_test::{Expect, expect};

use super::support::{World, plain};
use crate::lineage::tests::inputs_text;
use crate::{ColumnRef, Direction, End, Lineage, TableLineage};

const PROJECT: &str = "\
-- seeds/prices.csv --
id,price,day
1,2.5,2024-01-01
-- transforms/shops.sql --
{{ config(materialized='view') }}select id, price * 2 as double_price, day from {{ ref('prices') }} where price > 0
-- transforms/rates.sql --
select s.id, rate(s.double_price, s.day) as r, count(*) over () as n from {{ ref('shops') }} s
-- transforms/counted.sql --
select count(*) as n from {{ ref('shops') }}
-- functions/rate.py --
from windlass import udf

@udf(returns='double')
def rate(price, day):
    return price
-- transforms/scores.py --
from windlass import ref, transform

@transform(input=ref('rates'), input_columns=['id', 'r'], columns={'id': 'bigint', 'score': 'double'}, key=['id'],
           requires={'not_null': ['n']}, on_error='quarantine', max_error_rate='5%')
def scores(batch):
    return batch
-- transforms/whole.py --
from windlass import ref, transform

@transform(inputs={'left': ref('scores'), 'right': ref('counted')}, columns={'id': 'bigint'}, mode='table')
def whole(left, right):
    return left
-- transforms/failed.sql --
select key_id, error from (select id as key_id, error from {{ ref('scores__errors') }}) e
";

async fn lineage() -> Lineage {
    lineage_of(PROJECT).await
}

async fn lineage_of(project: &str) -> Lineage {
    let world = World::new(project);
    let plan = world.plan().await;
    assert!(plan.diagnostics.is_empty(), "{}", plain(&plan.diagnostics));
    world.engine.lineage(&world.project, &plan).await.unwrap()
}

fn text(table: &TableLineage) -> String {
    let mut lines = vec![format!("reads {}", table.reads.join(", "))];
    let columns = table.columns.iter();
    lines.extend(columns.map(|known| {
        let column = &known.column;
        format!("{} {}: {}", column.name, column.data_type, inputs_text(&known.inputs)).trim_end().to_string()
    }));
    lines.push(format!("rows: {}", inputs_text(&table.rows)));
    lines.join("\n")
}

fn check(table: &TableLineage, expected: Expect) {
    expected.assert_eq(&text(table));
}

#[tokio::test]
async fn views_stay_apart_until_they_are_taken_out() {
    let lineage = lineage().await;
    check(
        &lineage.tables["prices"],
        expect![[r#"
        reads 
        id bigint:
        price double:
        day date:
        rows: "#]],
    );
    check(
        &lineage.tables["shops"],
        expect![[r#"
        reads prices
        id bigint: prices.id identity
        double_price double: prices.price transformation
        day date: prices.day identity
        rows: prices.price filter"#]],
    );
    check(
        &lineage.tables["rates"],
        expect![[r#"
        reads shops
        id bigint: shops.id identity
        r double: shops.day transformation, shops.double_price transformation
        n bigint:
        rows: "#]],
    );
    check(
        &lineage.through("rates", &|table| table != "shops"),
        expect![[r#"
        reads prices
        id bigint: prices.id identity
        r double: prices.day transformation, prices.price transformation
        n bigint:
        rows: prices.price filter"#]],
    );
    check(
        &lineage.through("counted", &|table| table != "shops"),
        expect![[r#"
        reads prices
        n bigint:
        rows: prices.price filter"#]],
    );
}

#[tokio::test]
async fn python_depends_on_what_it_is_given() {
    let lineage = lineage().await;
    check(
        &lineage.tables["scores"],
        expect![[r#"
        reads rates
        id bigint: rates.id identity
        score double: rates.id transformation, rates.r transformation
        rows: rates.id filter, rates.n filter, rates.r filter"#]],
    );
    check(
        &lineage.tables["whole"],
        expect![[r#"
        reads scores, counted
        id bigint: counted.n transformation, scores.id transformation, scores.score transformation
        rows: counted.n filter, scores.id filter, scores.score filter"#]],
    );
    let errors = &lineage.tables["scores__errors"];
    assert_eq!(inputs_text(&errors.column("id").unwrap().inputs), "rates.id identity");
    assert_eq!(inputs_text(&errors.column("error").unwrap().inputs), "rates.id transformation, rates.r transformation");
    assert_eq!(inputs_text(&errors.column("worker").unwrap().inputs), "");
    check(
        &lineage.tables["failed"],
        expect![[r#"
        reads scores__errors
        key_id bigint: scores__errors.id identity
        error varchar: scores__errors.error identity
        rows: "#]],
    );
}

#[tokio::test]
async fn checks_divert_rows() {
    let lineage = lineage_of(
        "-- seeds/raw.csv --\nid,x,y\n1,2,3\n-- transforms/t.sql --\nselect id, x + 1 as v, y from {{ ref('raw') }}\n\
         -- transforms/t.yml --\ntransforms:\n  t:\n    columns:\n      id: {checks: [unique]}\n\
         \x20     v: {checks: [{range: {max: 5}, on_fail: quarantine}]}\n",
    )
    .await;
    check(
        &lineage.tables["t"],
        expect![[r#"
        reads raw
        id bigint: raw.id identity
        v bigint: raw.x transformation
        y bigint: raw.y identity
        rows: raw.x filter"#]],
    );
    check(
        &lineage.tables["t__errors"],
        expect![[r#"
        reads raw
        id bigint: raw.id identity
        row struct<id bigint, v bigint, y bigint>: raw.id transformation, raw.x transformation, raw.y transformation
        stage varchar: raw.x transformation
        error_type varchar: raw.x transformation
        error varchar: raw.x transformation
        checks array<varchar>: raw.x transformation
        traceback varchar: raw.x transformation
        traceback_hash varchar: raw.x transformation
        attempts int:
        batch_id bigint:
        worker int:
        run_id varchar:
        fingerprint varchar:
        at timestamp with time zone:
        rows: raw.x filter"#]],
    );
}

#[tokio::test]
async fn columns_are_followed_where_values_flow() {
    let lineage = lineage().await;
    let check = |column: ColumnRef, direction: Direction, depth: usize, expected: Expect| {
        let edges = lineage.flow(&column, direction, depth);
        let end = |end: &End| match end {
            End::Column(column) => column.to_string(),
            End::Rows(table) => format!("rows of {table}"),
        };
        let uses = |edge: &crate::Edge| edge.uses.iter().map(|usage| usage.as_str()).collect::<Vec<_>>().join("+");
        let lines = edges.iter().map(|edge| format!("{} -> {} {}", edge.from, end(&edge.to), uses(edge)));
        expected.assert_eq(&lines.collect::<Vec<_>>().join("\n"));
    };
    check(
        ColumnRef::new("rates", "r"),
        Direction::Upstream,
        usize::MAX,
        expect![[r#"
        shops.day -> rates.r transformation
        shops.double_price -> rates.r transformation
        prices.day -> shops.day identity
        prices.price -> rows of shops filter
        prices.price -> shops.double_price transformation"#]],
    );
    check(
        ColumnRef::new("prices", "price"),
        Direction::Downstream,
        2,
        expect![[r#"
        prices.price -> shops.double_price transformation
        prices.price -> rows of shops filter
        shops.double_price -> rates.r transformation"#]],
    );
    check(ColumnRef::new("prices", "price"), Direction::Upstream, usize::MAX, expect![[r#""#]]);
}
