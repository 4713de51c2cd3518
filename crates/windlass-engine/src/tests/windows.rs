//! Window functions that Windlass computes itself give what DataFusion gives.

use std::sync::Arc;

use datafusion::physical_plan::displayable;
use expect_test::expect;

use super::support::World;
use crate::operators::{Leave, specialise};

/// Sorts stay where they are.
const AS_PLANNED: Leave = Leave { room: 0, may_reorder: false };

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
        let text = displayable(specialise(plan, AS_PLANNED).unwrap().as_ref()).indent(false).to_string();
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

/// The same windows twice: where rows may come in any order, and below an ORDER BY, which has them sorted as DataFusion plans it.
/// Keys with NULL, in descending order and of several columns, rows that came in no order, and one window over another's column.
const SCATTERED: &str = "
-- transforms/rows.sql --
select value as id, case when value % 13 = 0 then null else value % 7 end as k, concat('n', value % 5) as name,
  value * 7919 % 60013 as t, case when value % 11 < 2 then null else cast(value * 37 % 1009 as double) end as x
from generate_series(1, 60000)
-- transforms/scattered.sql --
select id,
  lag(x) over by_k as before, lead(id, 2, -1) over by_k as after, row_number() over by_k as n,
  avg(x) over (partition by name, k order by t rows between 9 preceding and current row) as mean,
  rank() over (partition by name order by x desc nulls last) as place
from {{ ref('rows') }}
window by_k as (partition by k order by t, id)
-- transforms/sorted.sql --
select id,
  lag(x) over by_k as before, lead(id, 2, -1) over by_k as after, row_number() over by_k as n,
  avg(x) over (partition by name, k order by t rows between 9 preceding and current row) as mean,
  rank() over (partition by name order by x desc nulls last) as place
from {{ ref('rows') }}
window by_k as (partition by k order by t, id)
order by id
";

#[tokio::test]
async fn scattered_windows_give_what_sorted_ones_give() {
    let mut world = World::new(SCATTERED);
    world.run().await.unwrap();
    let answer = world
        .sql(
            "select count(*) as n, count(s.before) as before, count(s.mean) as mean, sum(s.place) as place,
               count(*) filter (where (l.before is distinct from s.before) or (l.after is distinct from s.after)
                 or l.n <> s.n or l.place <> s.place or (l.mean is null) <> (s.mean is null)
                 or abs(l.mean - s.mean) > 1e-9) as differ
             from scattered l join sorted s on l.id = s.id",
        )
        .await;
    expect![[r#"
        +-------+--------+-------+-----------+--------+
        | n     | before | mean  | place     | differ |
        +-------+--------+-------+-----------+--------+
        | 60000 | 49086  | 59993 | 347920032 | 0      |
        +-------+--------+-------+-----------+--------+"#]]
    .assert_eq(&answer);
}

#[tokio::test]
async fn a_row_that_fails_ends_windows_of_all_partitions() {
    let mut world = World::new(
        "
-- transforms/rows.sql --
select value as id, value % 7 as k from generate_series(1, 60000)
-- transforms/bad.sql --
select *, lag(x) over (partition by k order by id) as before
from (select *, 10 / case when id = 59999 then 0 else 1 end as x from {{ ref('rows') }})
",
    );
    let error = world.run().await.unwrap_err();
    assert!(format!("{error:?}").contains("division by zero in `10 / CASE"), "{error:?}");
    assert_eq!(world.files("bad/_delta_log"), [""; 0]);
}

#[tokio::test]
async fn windows_are_scattered_where_nothing_relies_on_their_order() {
    let mut world = World::new(SCATTERED);
    world.run().await.unwrap();
    let by_k = "lag(x) over (partition by k order by t) as before";
    for (sql, expected) in [
        (format!("select *, {by_k} from rows"), 1),
        (format!("select *, {by_k}, lag(x) over (partition by name order by t) as other from rows"), 1),
        (format!("select *, lag(before) over (partition by name order by t) from (select *, {by_k} from rows)"), 2),
        (format!("select *, {by_k}, sum(x) over (partition by k order by t) as total from rows"), 0),
        (format!("select k, max(before) from (select *, {by_k} from rows) group by k"), 0),
        (format!("select name, max(before) from (select *, {by_k} from rows) group by name"), 1),
        ("select *, lag(x) over (order by t) as before from rows".to_string(), 0),
    ] {
        let plan = world.engine.physical_plan(&world.project, &sql).await.unwrap();
        let leave = Leave { room: 1 << 30, may_reorder: true };
        let text = displayable(specialise(Arc::clone(&plan), leave).unwrap().as_ref()).indent(false).to_string();
        assert_eq!(text.matches("ScatteredWindowsExec").count(), expected, "{sql}\n{text}");
        for leave in [Leave { room: 1 << 20, may_reorder: true }, Leave { room: 1 << 30, may_reorder: false }] {
            let text = displayable(specialise(Arc::clone(&plan), leave).unwrap().as_ref()).indent(false).to_string();
            assert!(!text.contains("ScatteredWindowsExec"), "{sql}\n{text}");
        }
    }
}
