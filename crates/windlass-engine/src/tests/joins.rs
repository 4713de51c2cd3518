//! Which side of a join is held in memory, and joins that Windlass does itself.

use datafusion::physical_plan::displayable;
use expect_test::expect;

use super::support::World;
use crate::operators::{Leave, specialise};

const ROWS: &str = "
-- transforms/rows.sql --
select value as id, value % 7 as k, value % 40000 as wide, value * 1e0 as x from generate_series(1, 60000)
";

async fn check(world: &World, sql: &str, expected: &str) {
    let plan = world.engine.physical_plan(&world.project, sql).await.unwrap();
    let text = displayable(plan.as_ref()).indent(false).to_string();
    let join = text.lines().find(|line| line.contains("HashJoinExec")).unwrap_or_default();
    assert!(join.contains(expected), "{sql}\n{text}");
}

#[tokio::test]
async fn totals_are_held_and_rows_stream_past_them() {
    let mut world = World::new(ROWS);
    world.run().await.unwrap();
    let totals = "select k, count(*) as n from rows group by k";
    let rows = "select *, lag(x) over (partition by k order by id) as before from rows";
    let other = "select r.*, o.x as other from rows r join rows o on o.id = r.id";
    for (left, kind, right, expected) in [
        ("select * from rows", "left", totals, "mode=CollectLeft, join_type=Right,"),
        (totals, "left", "select * from rows", "mode=CollectLeft, join_type=Left,"),
        (rows, "left", totals, "mode=CollectLeft, join_type=Right,"),
        (other, "left", totals, "mode=CollectLeft, join_type=Right,"),
        ("select * from rows", "inner", totals, "mode=CollectLeft, join_type=Inner, on=[(k@0, k@1)]"),
        // The totals of a grouping that keeps most rows are no larger than the rows themselves.
        ("select * from rows", "left", "select wide as k, count(*) as n from rows group by wide", "join_type=Right,"),
    ] {
        check(&world, &format!("select * from ({left}) l {kind} join ({right}) r on r.k = l.k"), expected).await;
    }
}

/// NULL in keys, keys that are not there, keys of two columns, a small side with keys that stand twice, and one without rows.
const LOOKUPS: &str = "
-- transforms/rows.sql --
select value as id, case when value % 5 = 0 then null else value % 7 end as k, concat('n', value % 3) as name
from generate_series(1, 60000)
-- transforms/small.sql --
select value as k, concat('n', value % 3) as name, value * 10 as v from generate_series(0, 4)
union all select null, 'n0', 99
-- transforms/looked.sql --
select r.id, r.k, s.v, b.v as both_v, n.v as none_v
from {{ ref('rows') }} r
left join {{ ref('small') }} s on s.k = r.k
left join {{ ref('small') }} b on b.k = r.k and b.name = r.name
left join (select * from {{ ref('small') }} where v < 0) n on n.k = r.k
-- transforms/repeated.sql --
select r.id, r.k, t.v
from {{ ref('rows') }} r
left join (select k, v from {{ ref('small') }} union all select k, -v from {{ ref('small') }}) t on t.k = r.k
";

#[tokio::test]
async fn lookups_give_what_joins_give() {
    let mut world = World::new(LOOKUPS);
    world.run().await.unwrap();
    let looked = "select count(*) as n, count(distinct id) as ids, count(v) as v, count(both_v) as both_v, count(none_v) as none_v,
        count(*) filter (where (v is null) <> coalesce(k > 4, true) or v <> k * 10
          or (both_v is null) <> coalesce(k > 4 or id % 3 <> k % 3, true) or both_v <> k * 10) as wrong
      from looked";
    expect![[r#"
        +-------+-------+-------+--------+--------+-------+
        | n     | ids   | v     | both_v | none_v | wrong |
        +-------+-------+-------+--------+--------+-------+
        | 60000 | 60000 | 34287 | 11431  | 0      | 0     |
        +-------+-------+-------+--------+--------+-------+"#]]
    .assert_eq(&world.sql(looked).await);
    let repeated = "select count(*) as n, count(distinct id) as ids, count(v) as v, sum(v) as sum,
        count(*) filter (where (v is null) <> coalesce(k > 4, true) or abs(v) <> k * 10) as wrong
      from repeated";
    expect![[r#"
        +-------+-------+-------+-----+-------+
        | n     | ids   | v     | sum | wrong |
        +-------+-------+-------+-----+-------+
        | 94287 | 60000 | 68574 | 0   | 0     |
        +-------+-------+-------+-----+-------+"#]]
    .assert_eq(&world.sql(repeated).await);
}

#[tokio::test]
async fn only_joins_that_keep_the_large_side_are_lookups() {
    let mut world = World::new(LOOKUPS);
    world.run().await.unwrap();
    let leave = Leave { room: 0, may_reorder: false };
    for (join, expected) in [
        ("left join small s on s.k = r.k", "LookupExec: on=[k@1 = k@0]"),
        ("left join small s on s.k = r.k and s.v < r.id", "HashJoinExec"),
        ("join small s on s.k = r.k", "HashJoinExec"),
        ("right join small s on s.k = r.k", "HashJoinExec"),
        ("full join small s on s.k = r.k", "HashJoinExec"),
        ("left join small s on s.k is not distinct from r.k", "HashJoinExec"),
    ] {
        let sql = format!("select r.id, s.v from rows r {join}");
        let plan = world.engine.physical_plan(&world.project, &sql).await.unwrap();
        let text = displayable(specialise(plan, leave).unwrap().as_ref()).indent(false).to_string();
        assert!(text.contains(expected), "{sql}\n{text}");
    }
}
