//! Which side of a join is held in memory.

use datafusion::physical_plan::displayable;

use super::support::World;

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
