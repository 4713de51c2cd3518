//! Window functions that Windlass computes itself give what DataFusion gives.

use datafusion::physical_plan::displayable;
use expect_test::expect;

use super::support::World;
use crate::operators::specialise;

/// Many partitions of uneven size, NULLs in runs and alone, over many batches.
const ROWS: &str = "
-- transforms/rows.sql --
select value as id, value % 7 * (value % 3) as k,
  case when value % 11 < 2 or value % 4000 < 300 then null else cast(value * 37 % 1009 as double) end as x
from generate_series(1, 60000)
-- transforms/means.sql --
select *,
  avg(x) over (partition by k order by id rows between 100 preceding and 1 preceding) as before,
  avg(x) over (partition by k order by id rows between 5 preceding and current row) as around
from {{ ref('rows') }}
-- transforms/sums.sql --
select id,
  sum(x) over before / nullif(count(x) over before, 0) as before,
  sum(x) over around / nullif(count(x) over around, 0) as around
from {{ ref('rows') }}
window before as (partition by k order by id rows between 100 preceding and 1 preceding),
  around as (partition by k order by id rows between 5 preceding and current row)
";

#[tokio::test]
async fn moving_means_are_sums_by_counts() {
    let mut world = World::new(ROWS);
    world.run().await.unwrap();
    let answer = world
        .sql(
            "select count(*) as n, count(m.before) as before, count(m.around) as around,
               count(*) filter (where (m.before is null) <> (s.before is null)
                 or (m.around is null) <> (s.around is null)
                 or abs(m.before - s.before) > 1e-9 or abs(m.around - s.around) > 1e-9) as differ
             from means m join sums s on m.id = s.id",
        )
        .await;
    expect![[r#"
        +-------+--------+--------+--------+
        | n     | before | around | differ |
        +-------+--------+--------+--------+
        | 60000 | 59268  | 56130  | 0      |
        +-------+--------+--------+--------+"#]]
    .assert_eq(&answer);
}

#[tokio::test]
async fn only_short_means_of_doubles_are_ours() {
    let mut world = World::new("-- transforms/rows.sql --\nselect 1 as k, 1 as id, 1.5 as x, 2 as n\n");
    world.run().await.unwrap();
    for (window, expected) in [
        ("avg(x) over (partition by k order by id rows between 3 preceding and 1 preceding)", "MovingMeanExec"),
        ("avg(n) over (order by id rows between 3 preceding and current row)", "MovingMeanExec"),
        ("avg(x) over (order by id rows between 3 preceding and 1 following)", "BoundedWindowAggExec"),
        ("avg(x) over (order by id rows between unbounded preceding and current row)", "BoundedWindowAggExec"),
        ("avg(x) over (order by id range between 3 preceding and current row)", "BoundedWindowAggExec"),
        ("avg(x) over (order by id rows between 9000 preceding and current row)", "BoundedWindowAggExec"),
        ("sum(x) over (order by id rows between 3 preceding and current row)", "BoundedWindowAggExec"),
    ] {
        let plan =
            world.engine.physical_plan(&world.project, &format!("select {window} as y from rows")).await.unwrap();
        let text = displayable(specialise(plan).unwrap().as_ref()).indent(false).to_string();
        assert!(text.contains(expected), "{window}\n{text}");
    }
}

#[tokio::test]
async fn a_nan_leaves_with_its_row() {
    let mut world = World::new(
        "
-- transforms/t.sql --
select id, avg(x) over (order by id rows between 1 preceding and current row) as mean
from (values (1, 1.0), (2, cast('NaN' as double)), (3, 3.0), (4, 5.0), (5, null), (6, null)) as v(id, x)
",
    );
    world.run().await.unwrap();
    expect![[r#"
        +----+------+
        | id | mean |
        +----+------+
        | 1  | 1.0  |
        | 2  | NaN  |
        | 3  | NaN  |
        | 4  | 4.0  |
        | 5  | 5.0  |
        | 6  |      |
        +----+------+"#]]
    .assert_eq(&world.sql("select * from t order by id").await);
}

#[tokio::test]
async fn filtered_means_keep_their_filter() {
    let mut world = World::new(
        "
-- transforms/t.sql --
select id, avg(x) filter (where x > 1) over (order by id rows between 1 preceding and current row) as mean
from (values (1, 1.0), (2, 2.0), (3, 0.5)) as v(id, x)
",
    );
    world.run().await.unwrap();
    expect![[r#"
        +----+------+
        | id | mean |
        +----+------+
        | 1  |      |
        | 2  | 2.0  |
        | 3  | 2.0  |
        +----+------+"#]]
    .assert_eq(&world.sql("select * from t order by id").await);
}
