//! Checks on the way in: what is published, and what is not.

use expect_test::{Expect, expect};

use super::support::{World, plain};
use crate::{CheckOutcome, Error};

const ORDERS: &str = "
-- seeds/customers.csv --
id,country
1,NO
2,IT
-- transforms/orders.sql --
select * from (values
  (1, 1, 10.5, 'placed', timestamp '2023-11-14 00:00:00'),
  (2, 2, 20.0, 'shipped', timestamp '2023-11-14 06:13:20'),
  (3, 2, 5.0, 'placed', timestamp '2023-11-14 10:13:20')
) as v(id, customer, amount, status, at)
";

fn world(checks: &str) -> World {
    World::new(&format!("{ORDERS}-- transforms/p.yml --\n{checks}\n"))
}

fn lines(outcomes: &[CheckOutcome]) -> String {
    outcomes.iter().map(|outcome| crate::audit::line(outcome) + "\n").collect()
}

async fn check(checks: &str, expected: Expect) {
    let mut world = world(checks);
    let told = match world.run().await {
        Ok(built) => lines(&built["orders"].checks),
        Err(Error::Checks { outcomes, .. }) => format!("not published\n{}", lines(&outcomes)),
        Err(error) => format!("{error:?}"),
    };
    expected.assert_eq(&told);
}

#[tokio::test]
async fn a_table_that_keeps_its_rules_is_published() {
    check(
        "transforms:
  orders:
    checks:
      - row_count: {min: 1, max: 100}
      - unique: [customer, at]
      - relationships: {columns: customer, to: ref('customers'), field: id}
      - same_row_count: {to: customers, tolerance: 50%}
      - coverage: {of: customers}
      - expression: amount > 0 and id < 100
      - schema: {columns: {id: bigint, customer: bigint, amount: double, status: varchar, at: timestamp}, ordered: true}
      - rows_per_key: {key: customer, max_over_mean: 2}
    columns:
      id: {checks: [not_null, unique, {monotonic: increasing}, {monotonic: {order_by: at}}]}
      status: {checks: [{accepted_values: [placed, shipped]}, {regex: '^[a-z]+$'}, {length: {max: 10}}, {distinct_count: 2}]}
      amount:
        checks:
          - range: {min: 0, max: 1000}
          - mean: {min: 1, max: 12}
          - quantile: {p: 0.5, min: 10.5, max: 10.5}
          - anomaly: mean
          - drift
      at: {checks: [{freshness: 1 day}]}
",
        expect![[r#"
            pass not_null_id: 0 of 3 rows (0.0 %), error if <> 0 (transforms/p.yml:13:21)
            pass unique_id: 0 of 3 rows (0.0 %), error if <> 0 (transforms/p.yml:13:31)
            pass monotonic_id: 0 of 3 rows (0.0 %), error if <> 0 (transforms/p.yml:13:40)
            pass monotonic_id_2: 0 of 3 rows (0.0 %), error if <> 0 (transforms/p.yml:13:65)
            pass accepted_values_status: 0 of 3 rows (0.0 %), error if <> 0 (transforms/p.yml:14:26)
            pass regex_status: 0 of 3 rows (0.0 %), error if <> 0 (transforms/p.yml:14:64)
            pass length_status: 0 of 3 rows (0.0 %), error if <> 0 (transforms/p.yml:14:85)
            pass distinct_count_status: distinct_count 2, 2 (transforms/p.yml:14:106)
            pass range_amount: 0 of 3 rows (0.0 %), error if <> 0 (transforms/p.yml:17:13)
            pass mean_amount: mean 11.8333, 1 to 12 (transforms/p.yml:18:13)
            pass quantile_amount: quantile 10.5, 10.5 (transforms/p.yml:19:13)
            not_evaluable anomaly_amount: cannot be evaluated: too few runs have left a value to compare with (transforms/p.yml:20:13)
            not_evaluable drift_amount: cannot be evaluated: there is nothing to compare with yet (transforms/p.yml:21:13)
            pass freshness_at: the newest row is 12 h old, at most 1 d (transforms/p.yml:22:22)
            pass row_count: rows 3, 1 to 100 (transforms/p.yml:4:9)
            pass unique_customer_at: 0 of 3 rows (0.0 %), error if <> 0 (transforms/p.yml:5:9)
            pass relationships_customer_customers: 0 of 3 rows (0.0 %), error if <> 0 (transforms/p.yml:6:9)
            pass same_row_count_customers: 3 rows, `customers` has 2, 2 as in `customers` (transforms/p.yml:7:9)
            pass coverage_customers: 3 of 2 rows of `customers` (150.0 %), at least 100.0 % (transforms/p.yml:8:9)
            pass expression: 0 of 3 rows (0.0 %), error if <> 0 (transforms/p.yml:9:9)
            pass schema: columns are as declared (transforms/p.yml:10:9)
            pass rows_per_key_customer: 2 keys, 1.5 rows on average, largest `2` has 2 (1.33333 times the mean), at most 2 times the mean (transforms/p.yml:11:9)
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_table_that_breaks_a_rule_is_not() {
    check(
        "transforms:
  orders:
    checks:
      - row_count: {min: 4}
      - row_count: {max: 2}
        severity: warn
      - relationships: {columns: customer, to: customers, field: country}
      - expression: {expression: amount < 20, where: status = 'shipped'}
    columns:
      status:
        checks:
          - accepted_values: [placed]
          - unique
          - unique: {where: id < 3}
            max_rows: 5
      at: {checks: [{freshness: 3h}]}
",
        expect![[r#"
            not published
            fail accepted_values_status: 1 of 3 rows (33.3 %), error if <> 0, such as id=2 customer=2 amount=20.0 status=shipped at=2023-11-14T06:13:20 (transforms/p.yml:12:13)
            fail unique_status: 2 of 3 rows (66.7 %), error if <> 0, such as status=placed rows=2 (transforms/p.yml:13:13)
            pass unique_status_2: 0 of 2 rows (0.0 %), error if > 5 (transforms/p.yml:14:13)
            fail freshness_at: the newest row is 12 h old, at most 3 h (transforms/p.yml:16:22)
            fail row_count: rows 3, at least 4 (transforms/p.yml:4:9)
            warn row_count_2: rows 3, at most 2 (transforms/p.yml:5:9)
            error relationships_customer_customers: cannot be looked at: Arrow error: Cast error: Cannot cast string 'NO' to value of Int64 type (transforms/p.yml:7:9)
            fail expression: 1 of 1 rows (100.0 %), error if <> 0, such as id=2 customer=2 amount=20.0 status=shipped at=2023-11-14T06:13:20 (transforms/p.yml:8:9)
        "#]],
    )
    .await;
}

#[tokio::test]
async fn the_published_version_stays() {
    let mut world = world("transforms: {orders: {columns: {amount: {checks: [{range: {min: 1}}]}}}}");
    world.run().await.unwrap();
    let before = world.sql("select * from orders order by id").await;
    world.edit("-- transforms/orders.sql --\nselect 1 as id, 0.5 as amount\n");
    let error = world.run().await.unwrap_err();
    expect![[r#"
        table `orders` breaks a check and was not published
        fail range_amount: 1 of 1 rows (100.0 %), error if <> 0, such as id=1 amount=0.5 (transforms/p.yml:1:52)"#]]
    .assert_eq(&error.to_string());
    assert_eq!(world.sql("select * from orders order by id").await, before);
    assert!(matches!(error, Error::Checks { .. }));
}

#[tokio::test]
async fn figures_are_compared_with_earlier_versions() {
    let mut world = world(
        "transforms:
  orders:
    checks: [{row_count_change: 20%}, {anomaly: {metric: row_count, min_runs: 3}}]
    columns:
      amount: {checks: [{mean: {vs_previous: {max_change: 10%}}}, {drift: {method: ks, error: 0.3}}]}
",
    );
    for _ in 0..4 {
        world.run().await.unwrap();
    }
    let outcomes = world.run().await.unwrap()["orders"].checks.clone();
    expect![[r#"
        pass mean_amount: 11.8333 after 11.8333 (+0.0 %), -10.0 % to +10.0 % (transforms/p.yml:5:26)
        pass drift_amount: ks 0, p 1, below 0.3 (transforms/p.yml:5:68)
        pass row_count_change: 3 after 3 (+0.0 %), -20.0 % to +20.0 % (transforms/p.yml:3:15)
        pass anomaly: 3, within 3 deviations of 4 runs (transforms/p.yml:3:40)
    "#]]
    .assert_eq(&lines(&outcomes));
    world.edit("-- transforms/orders.sql --\nselect 1 as id, 99.5 as amount\n");
    expect![[r#"
        table `orders` breaks checks and was not published
        fail mean_amount: 99.5 after 11.8333 (+740.8 %), -10.0 % to +10.0 % (transforms/p.yml:5:26)
        fail drift_amount: ks 1, p 0.5, below 0.3 (transforms/p.yml:5:68)
        fail row_count_change: 1 after 3 (-66.7 %), -20.0 % to +20.0 % (transforms/p.yml:3:15)
        fail anomaly: 1 after a history that never moved, within 3 deviations of 5 runs (transforms/p.yml:3:40)"#]]
    .assert_eq(&world.run().await.unwrap_err().to_string());
}

#[tokio::test]
async fn queries_of_users_see_what_was_computed() {
    let mut world = world("transforms: {}");
    world.edit(
        "-- checks/expensive.sql --
{{ config(on='orders', sample_rows=1) }}
select o.id, o.amount, c.country from {{ ref('orders') }} o join {{ ref('customers') }} c on c.id = o.customer where amount > 10
",
    );
    expect![[r#"
        table `orders` breaks a check and was not published
        fail expensive: 2 of 3 rows (66.7 %), error if <> 0, such as id=1 amount=10.5 country=NO (checks/expensive.sql:1:1)"#]].assert_eq(&world.run().await.unwrap_err().to_string());
}

#[tokio::test]
async fn tables_are_reconciled() {
    let old = "-- transforms/old.sql --
select * from (values (1, 'a', 1.0), (2, 'b', 2.0), (3, 'c', 3.0), (5, null, 5.0)) as v(id, name, amount)
-- transforms/new.sql --
select * from (values (1, 'a', 1.0), (2, 'x', 2.0001), (4, 'd', 4.0), (5, null, 5.0)) as v(id, name, amount)
";
    for (checks, expected) in [
        (
            "{reconcile: {to: old, key: id}}",
            expect![[r#"
            table `new` breaks a check and was not published
            fail reconcile_old: 1 rows missing, 1 rows extra, different: `name` in 1 rows, `amount` in 1 rows, error if <> 0, such as id=2 name=x amount=2.0001 id there=2 name there=b amount there=2.0 (transforms/p.yml:1:30)"#]],
        ),
        (
            "{reconcile: {to: old, key: id, exclude: name, tolerance: {amount: 0.01}}}",
            expect![[r#"
                table `new` breaks a check and was not published
                fail reconcile_old: 1 rows missing, 1 rows extra, error if <> 0, such as id=4 amount=4.0 id there=null amount there=null (transforms/p.yml:1:30)"#]],
        ),
        (
            "{reconcile: {to: old}}",
            expect![[r#"
                table `new` breaks a check and was not published
                fail reconcile_old: 2 rows missing, 2 rows extra, different: `id`, `name`, `amount`, error if <> 0, such as id=2 name=b amount=2.0 rows=-1 (transforms/p.yml:1:30)"#]],
        ),
        (
            "{reconcile: {to: new_again, key: id}}",
            expect![[r#"
            pass reconcile_new_again: equal to `new_again`, error if <> 0 (transforms/p.yml:1:30)
        "#]],
        ),
        // A column that only the other table has is a difference, unless it is left out.
        (
            "{reconcile: {to: wide, key: id}}",
            expect![[r#"
            table `new` breaks a check and was not published
            error reconcile_wide: cannot be looked at: Error during planning: `wide` has a column `more` more: leave it out with `exclude`, or add it here (transforms/p.yml:1:30)"#]],
        ),
        (
            "{reconcile: {to: wide, key: id, exclude: more}}",
            expect![[r#"
            pass reconcile_wide: equal to `wide`, error if <> 0 (transforms/p.yml:1:30)
        "#]],
        ),
        (
            "{reconcile: {to: wide, key: id, exclude: [more, mroe]}}",
            expect![[r#"
            table `new` breaks a check and was not published
            error reconcile_wide: cannot be looked at: Error during planning: neither table has the column `mroe` of `exclude` (transforms/p.yml:1:30)"#]],
        ),
        (
            "{reconcile: {to: old, key: id, where: 'id in (1, 5)'}}",
            expect![[r#"
            pass reconcile_old: equal to `old`, error if <> 0 (transforms/p.yml:1:30)
        "#]],
        ),
    ] {
        let again = "-- transforms/new_again.sql --\nselect * from (values (4, 'd', 4.0), (5, null, 5.0), (1, 'a', 1.0), (2, 'x', 2.0001)) as v(id, name, amount)\n\
                     -- transforms/wide.sql --\nselect *, 1 as more from {{ ref('new_again') }}\n";
        let mut world =
            World::new(&format!("{old}{again}-- transforms/p.yml --\ntransforms: {{new: {{checks: [{checks}]}}}}\n"));
        let told = match world.run().await {
            Ok(built) => lines(&built["new"].checks),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&told);
    }
}

#[tokio::test]
async fn mistakes_are_found_while_planning() {
    let mut world = world("transforms: {}");
    world.edit(
        "-- transforms/p.yml --
transforms:
  orders:
    checks:
      - unique: [id, costumer]
      - expression: amont > 3
      - expression: amount +
      - expression: amount + 1
    columns:
      id: {checks: [{regex: a}, {range: {min: x}}, {not_null: {where: stat = 1}}]}
      at: {checks: [{mean: {min: 1}}]}
-- checks/wrong.sql --
select idd from {{ ref('orders') }}
",
    );
    expect![[r#"
        error[E0102]: no column `stat`
          --> transforms/p.yml:9:71 `stat = 1` did you mean `status`?
        error[E0102]: no column `amont`
          --> transforms/p.yml:5:21 `amont > 3` did you mean `amount`?
        error[E0101]: the condition cannot be parsed
          --> transforms/p.yml:6:21 `amount +`
          note: sql parser error: Expected: an expression, found: EOF
        error[E0105]: the condition is double, not true or false
          --> transforms/p.yml:7:21 `amount + 1`
        error[E0603]: `regex` needs a text, and column `id` is bigint
          --> transforms/p.yml:9:22 `regex`
        error[E0603]: `x` is no bigint, as column `id` is
          --> transforms/p.yml:9:47 `x`
        error[E0603]: `mean` needs a number, and column `at` is timestamp
          --> transforms/p.yml:10:22 `mean`
        error[E0102]: check `unique_id_costumer` names column `costumer`, which `orders` does not have
          --> transforms/p.yml:4:22 `costumer` did you mean `customer`?
        error[E0102]: no column `idd`
          --> checks/wrong.sql:1:8 `idd` did you mean `id`?
          note: columns: `id`, `customer`, `amount`, `status`, `at`
    "#]]
    .assert_eq(&plain(&world.plan().await.diagnostics));
}

#[tokio::test]
async fn what_is_there_already_is_looked_at() {
    let mut world = World::new(&format!(
        "{ORDERS}-- data/a.csv --\nid,day\n1,2024-01-01\n1,\n-- sources.yml --
sources: {{s: {{path: 'data/{{name}}.csv', tables: {{a: {{columns: {{id: {{checks: [unique]}}, day: {{checks: [not_null]}}}}}}}}}}}}
-- transforms/v.sql --
{{{{ config(materialized='view') }}}} select id from {{{{ ref('orders') }}}} where id > 1
-- transforms/p.yml --
transforms: {{v: {{checks: [{{row_count: 3}}]}}, orders: {{checks: [{{row_count: 3}}, {{row_count_change: 1%}}]}}}}
"
    ));
    world.run().await.unwrap();
    let plan = world.plan().await;
    let mut told = String::new();
    for name in ["s.a", "v", "orders"] {
        let node = &world.project.nodes[name];
        let outcomes = world
            .engine
            .inspect(&world.project, &plan, node, (crate::Inspected::Current, chrono::DateTime::UNIX_EPOCH))
            .await
            .unwrap();
        told.push_str(&lines(&outcomes));
    }
    expect![[r#"
        fail unique_id: 2 of 2 rows (100.0 %), error if <> 0, such as id=1 rows=2 (sources.yml:1:77)
        fail not_null_day: 1 of 2 rows (50.0 %), error if <> 0, such as id=1 day=null (sources.yml:1:102)
        fail row_count: rows 2, 3 (transforms/p.yml:1:28)
        pass row_count: rows 3, 3 (transforms/p.yml:1:64)
        not_evaluable row_count_change: cannot be evaluated: there is nothing to compare with yet (transforms/p.yml:1:80)
    "#]].assert_eq(&told);
}

#[tokio::test]
async fn figures_read_their_columns_and_those_of_their_conditions() {
    let mut world = World::new(
        "
-- transforms/t.sql --
select concat('a text of row ', value) as name, value % 2 = 0 as even, value as id, value / 4.0 as amount
from range(0, 1000)
-- transforms/p.yml --
transforms:
  t:
    checks: [{row_count: 500, where: even}, {rows_per_key: {key: even, max_over_mean: 1}}]
    columns:
      amount: {checks: [{mean: {min: 1.125, max: 1.125}, where: id < 10}, {drift: {baseline: stored, method: ks}}]}
",
    );
    world.run().await.unwrap();
    let profile = world.engine.profile(&world.project, "t", None).await.unwrap();
    world.engine.accept_profile(&profile, chrono::DateTime::UNIX_EPOCH).await.unwrap();
    let plan = world.plan().await;
    let how = (crate::Inspected::Current, chrono::DateTime::UNIX_EPOCH);
    let told = world.engine.inspect(&world.project, &plan, &world.project.nodes["t"], how).await.unwrap();
    expect![[r#"
        pass mean_amount: mean 1.125, 1.125 (transforms/p.yml:5:26)
        pass drift_amount: ks 0, p 1, below 0.2 (transforms/p.yml:5:76)
        pass row_count: rows 500, 500 (transforms/p.yml:3:15)
        pass rows_per_key_even: 2 keys, 500 rows on average, largest `false` has 500 (1 times the mean), at most 1 times the mean (transforms/p.yml:3:46)
    "#]]
    .assert_eq(&lines(&told));
}

#[tokio::test]
async fn a_share_is_one_of_the_rows_that_a_condition_leaves() {
    let mut world = World::new(
        "
-- seeds/customers.csv --
id
1
-- transforms/t.sql --
select value as id, case when value < 4 then 2 else 1 end as customer, case when value < 4 then 2.0 else 1.0 end as other
from range(0, 1000)
-- transforms/p.yml --
transforms:
  t:
    checks:
      - relationships: {columns: customer, to: ref('customers'), field: id, where: id < 10, max_rate: 40%, severity: warn}
      - relationships: {columns: customer, to: ref('customers'), field: id, where: id < 10, max_rate: 39%, severity: warn}
      - relationships: {columns: other, to: ref('customers'), field: id, where: id < 10, max_rate: 40%, severity: warn}
      - relationships: {columns: other, to: ref('customers'), field: id, where: id < 10, max_rate: 39%, severity: warn}
      - relationships: {columns: other, to: ref('customers'), field: id, where: id > 2000, severity: warn}
",
    );
    expect![[r#"
        pass relationships_customer_customers: 4 of 10 rows (40.0 %), warn if > 40 %, such as id=0 customer=2 other=2.0 (transforms/p.yml:4:9)
        warn relationships_customer_customers_2: 4 of 10 rows (40.0 %), warn if > 39 %, such as id=0 customer=2 other=2.0 (transforms/p.yml:5:9)
        pass relationships_other_customers: 4 of 10 rows (40.0 %), warn if > 40 %, such as id=0 customer=2 other=2.0 (transforms/p.yml:6:9)
        warn relationships_other_customers_2: 4 of 10 rows (40.0 %), warn if > 39 %, such as id=0 customer=2 other=2.0 (transforms/p.yml:7:9)
        pass relationships_other_customers_3: 0 of 0 rows (0.0 %), warn if <> 0 (transforms/p.yml:8:9)
    "#]]
    .assert_eq(&lines(&world.run().await.unwrap()["t"].checks));
}

#[tokio::test]
async fn partitioned_and_sorted_tables_are_looked_at_too() {
    let mut world = World::new(
        "
-- transforms/t.sql --
{{ config(partition_by=['city'], sort_by=['id desc']) }}
select value as id, case when value % 2 = 0 then 'Oslo' end as city, value % 10 as bucket from range(0, 100000)
-- transforms/p.yml --
transforms:
  t:
    checks: [{unique: [id]}, {row_count: 100000}, {unique: [city, bucket]}]
    columns: {city: {checks: [{null_rate: 50%}]}, id: {checks: [{monotonic: {order_by: id}}, {distinct_count: {min: 99000, max: 101000}}]}}
",
    );
    expect![[r#"
        table `t` breaks checks and was not published
        fail distinct_count_id: distinct_count 98,746, 99000 to 101000 (transforms/p.yml:4:95)
        fail unique_city_bucket: 100,000 of 100,000 rows (100.0 %), error if <> 0, such as city=Oslo bucket=0 rows=10000 (transforms/p.yml:3:52)"#]].assert_eq(&world.run().await.unwrap_err().to_string());
    assert_eq!(world.files("t/_delta_log"), [""; 0]);
}

#[tokio::test]
async fn runs_that_end_together_are_all_recorded() {
    let mut world = world("transforms: {orders: {checks: [{row_count: {min: 1}}, {anomaly: row_count}]}}");
    let outcomes = world.run().await.unwrap()["orders"].checks.clone();
    let of = |version| {
        let checked_at = chrono::DateTime::UNIX_EPOCH;
        [crate::CheckedNode { node: "orders".to_string(), version, checked_at, outcomes: outcomes.clone() }]
    };
    let ids: Vec<String> = (0..6).map(|at| format!("00000000-0000-7000-8000-00000000000{at}")).collect();
    let checked: Vec<_> = (0..6).map(|at| of((at > 0).then_some(at))).collect();
    let records = (0..6).map(|at| world.engine.record_checks(&ids[at], at as i64, &checked[at]));
    futures::future::try_join_all(records).await.unwrap();
    expect![[r#"
        +---------------+---+---------------+
        | table_version | n | worst         |
        +---------------+---+---------------+
        | 1             | 2 | not_evaluable |
        | 2             | 2 | not_evaluable |
        | 3             | 2 | not_evaluable |
        | 4             | 2 | not_evaluable |
        | 5             | 2 | not_evaluable |
        |               | 2 | not_evaluable |
        +---------------+---+---------------+"#]]
    .assert_eq(
        &world
            .sql("select table_version, count(*) as n, min(status) as worst from system.checks group by 1 order by 1")
            .await,
    );
    // An attempt that is repeated, though the first got through, changes nothing.
    for _ in 0..2 {
        world.engine.record_checks(&ids[5], 9, &checked[5]).await.unwrap();
    }
    assert!(world.sql("select count(*) as n from system.checks").await.contains("| 14 |"));
}

#[tokio::test]
async fn a_long_history_lies_in_few_files() {
    let mut world = world("transforms: {orders: {checks: [{row_count: {min: 1}}]}}");
    let outcomes = world.run().await.unwrap()["orders"].checks.clone();
    let at = |second| chrono::DateTime::from_timestamp(second, 0).unwrap();
    let of = |second| {
        let (node, outcomes, checked_at) = ("orders".to_string(), outcomes.clone(), at(second));
        [crate::CheckedNode { node, version: Some(second as u64), checked_at, outcomes }]
    };
    let all: Vec<_> =
        (0..54).map(|second| (format!("00000000-0000-7000-8000-0000000000{second:02}"), of(second))).collect();
    let in_use = async |world: &World| {
        let place = world.engine.place(windlass_project::SYSTEM_FOLDER).join("checks");
        let table = crate::tables::published::PublishedTable::open("checks", &place, None).await.unwrap().unwrap();
        table.snapshot().log_data().num_files()
    };
    for (second, (run_id, checked)) in all[..34].iter().enumerate() {
        world.engine.record_checks(run_id, second as i64, checked).await.unwrap();
        assert!(in_use(&world).await <= 33, "after {second}");
    }
    assert_eq!(in_use(&world).await, 2);
    // Several at once: some add, some merge, and no row is lost or there twice.
    for (round, some) in all[34..].chunks(10).enumerate() {
        let records = some
            .iter()
            .enumerate()
            .map(|(at, (run_id, checked))| world.engine.record_checks(run_id, (34 + 10 * round + at) as i64, checked));
        futures::future::try_join_all(records).await.unwrap();
    }
    world.engine.record_checks("00000000-0000-7000-8000-000000000054", 54, &of(54)).await.unwrap();
    let counted =
        "select count(*) as n, count(distinct run_id) as runs, sum(table_version) as versions from system.checks";
    let told = world.sql(counted).await;
    assert!(told.contains("| 55 | 55   | 1485     |"), "{told}");
    assert!(in_use(&world).await <= 33, "{}", in_use(&world).await);
}

#[tokio::test]
async fn files_without_rows_that_leave_stay_as_they_are() {
    let checks = "transforms: {t: {checks: [{unique: {columns: [k], where: n < 6, keep: first, order_by: n}, on_fail: quarantine}, \
                  {unique: [k, n]}, {row_count: 6}], max_errors: 10}}";
    let mut world = World::new(&format!(
        "
-- transforms/t.sql --
{{{{ config(partition_by=['city']) }}}}
select * from (values (1, 'Oslo', 1), (2, 'Oslo', 2), (3, 'Rome', 3), (1, 'Rome', 4), (4, 'Bergen', 5), (4, 'Pisa', 6), (5, null, 7))
  as v(k, city, n)
-- transforms/p.yml --
{checks}
"
    ));
    let built = world.run().await.unwrap();
    assert_eq!((built["t"].rows, built["t"].failures.as_ref().map(|failed| failed.rows)), (6, Some(1)));
    expect![[r#"
        +---+--------+---+
        | k | city   | n |
        +---+--------+---+
        | 1 | Oslo   | 1 |
        | 2 | Oslo   | 2 |
        | 3 | Rome   | 3 |
        | 4 | Bergen | 5 |
        | 4 | Pisa   | 6 |
        | 5 |        | 7 |
        +---+--------+---+"#]]
    .assert_eq(&world.sql("select k, city, n from t order by n").await);
    expect![[r#"
        +---+------------+
        | n | checks     |
        +---+------------+
        | 4 | [unique_k] |
        +---+------------+"#]]
    .assert_eq(&world.sql("select row['n'] as n, checks from t__errors").await);
    let place = world.engine.place("t");
    let table = crate::tables::published::PublishedTable::open("t", &place, None).await.unwrap().unwrap();
    let files = table.files("t", |_| true).unwrap();
    let node = &world.project.nodes["t"];
    let of = |key: i64| {
        let keys = std::sync::Arc::new([u128::from(crate::checks::hash::mix(key as u64))].into_iter().collect());
        let suspects = crate::checks::suspects::Suspects { keys, first: None };
        crate::checks::suspects::Suspected::from([("unique_k".to_string(), suspects)])
    };
    for (key, wanted) in [(1, &["Oslo"][..]), (3, &["Rome"]), (4, &["Bergen"]), (5, &[]), (9, &[])] {
        let touched = world.engine.touched(node, &files, &of(key)).await.unwrap();
        let places = files.each().into_iter().zip(touched).filter(|(_, touched)| *touched).map(|((place, _), _)| place);
        let folders: Vec<String> =
            places.filter_map(|place| Some(place.split_once("city=")?.1.split_once('/')?.0.to_string())).collect();
        assert_eq!(folders, wanted, "key {key}");
    }
}

#[tokio::test]
async fn drift_is_measured_from_what_is_named() {
    let table = |amount: &str, kind: &str| {
        format!(
            "-- transforms/t.sql --\nselect {amount} as amount, case when value % 2 = 0 then 'a' else '{kind}' end as kind \
             from range(0, 1000)\n"
        )
    };
    let mut world = World::new(&format!(
        "{}-- transforms/p.yml --
transforms:
  t:
    columns:
      amount:
        checks:
          - {{drift: {{baseline: stored, method: ks}}, severity: warn, name: stored}}
          - {{drift: {{baseline: version 0, method: ks}}, severity: warn, name: first}}
          - {{drift: {{baseline: window 1d, method: ks}}, severity: warn, name: window}}
          - {{drift: {{baseline: previous, method: ks}}, severity: warn, where: kind = 'a', name: previous}}
          - {{drift: {{baseline: version 9, method: ks}}, severity: warn, name: missing}}
      kind: {{checks: [{{drift: {{baseline: stored}}, severity: warn, name: kinds}}, {{drift: {{baseline: version 0}}, severity: warn, name: first_kinds}}]}}
",
        table("cast(value % 100 as double)", "b")
    ));
    let told = |built: &indexmap::IndexMap<String, crate::Built>| lines(&built["t"].checks);
    expect![[r#"
        not_evaluable stored: cannot be evaluated: there is nothing to compare with yet (transforms/p.yml:6:14)
        not_evaluable first: cannot be evaluated: there is nothing to compare with yet (transforms/p.yml:7:14)
        not_evaluable window: cannot be evaluated: there is nothing to compare with yet (transforms/p.yml:8:14)
        not_evaluable previous: cannot be evaluated: there is nothing to compare with yet (transforms/p.yml:9:14)
        not_evaluable missing: cannot be evaluated: there is nothing to compare with yet (transforms/p.yml:10:14)
        not_evaluable kinds: cannot be evaluated: there is nothing to compare with yet (transforms/p.yml:11:24)
        not_evaluable first_kinds: cannot be evaluated: there is nothing to compare with yet (transforms/p.yml:11:82)
    "#]]
    .assert_eq(&told(&world.run().await.unwrap()));
    let profile = world.engine.profile(&world.project, "t", None).await.unwrap();
    world.engine.accept_profile(&profile, chrono::DateTime::UNIX_EPOCH).await.unwrap();
    world.edit(&table("cast(value % 100 as double) + 50", "c"));
    expect![[r#"
        warn stored: ks 0.5, p 5.51549e-114, below 0.2 (transforms/p.yml:6:14)
        warn first: ks 0.5, p 5.51549e-114, below 0.2 (transforms/p.yml:7:14)
        warn window: ks 0.5, p 5.51549e-114, below 0.2 (transforms/p.yml:8:14)
        warn previous: ks 0.5, p 3.56866e-57, below 0.2 (transforms/p.yml:9:14)
        error missing: the baseline cannot be read: table `t` has no version 9 (transforms/p.yml:10:14)
        warn kinds: jensen_shannon 0.707107, 1 new categories such as `c`, 1 gone categories such as `b`, below 0.2 (transforms/p.yml:11:24)
        warn first_kinds: jensen_shannon 0.707107, 1 new categories such as `c`, 1 gone categories such as `b`, below 0.2 (transforms/p.yml:11:82)
    "#]].assert_eq(&told(&world.run().await.unwrap()));
    // Both versions together are the window now, and the last one is like this.
    expect![[r#"
        warn stored: ks 0.5, p 5.51549e-114, below 0.2 (transforms/p.yml:6:14)
        warn first: ks 0.5, p 5.51549e-114, below 0.2 (transforms/p.yml:7:14)
        warn window: ks 0.25, p 4.98624e-37, below 0.2 (transforms/p.yml:8:14)
        pass previous: ks 0, p 1, below 0.2 (transforms/p.yml:9:14)
        error missing: the baseline cannot be read: table `t` has no version 9 (transforms/p.yml:10:14)
        warn kinds: jensen_shannon 0.707107, 1 new categories such as `c`, 1 gone categories such as `b`, below 0.2 (transforms/p.yml:11:24)
        warn first_kinds: jensen_shannon 0.707107, 1 new categories such as `c`, 1 gone categories such as `b`, below 0.2 (transforms/p.yml:11:82)
    "#]].assert_eq(&told(&world.run().await.unwrap()));
    let profile = world.engine.profile(&world.project, "t", Some(2)).await.unwrap();
    assert_eq!(profile.accepted.map(|accepted| accepted.version), Some(Some(0)));
    world.engine.accept_profile(&profile, chrono::DateTime::UNIX_EPOCH).await.unwrap();
    let stored = world.run().await.unwrap()["t"].checks[0].clone();
    assert_eq!((stored.status.name(), stored.observed), ("pass", Some(0.0)));
    // Both acts are kept; what is no profile is said to be none.
    assert_eq!(world.files("_windlass/profiles/t").len(), 2);
    let file = world.root().join("lake/prod/_windlass/profiles/t/00000000000000000002.json");
    std::fs::write(file, "{}").unwrap();
    expect![[r#"
        error stored: the baseline cannot be read: cannot read the stored profile of `t`: missing field `format` at line 1 column 2 (transforms/p.yml:6:14)
    "#]].assert_eq(&lines(&world.run().await.unwrap()["t"].checks[..1]));
    expect!["table `t` has no version 99"]
        .assert_eq(&world.engine.profile(&world.project, "t", Some(99)).await.unwrap_err().to_string());
}

#[tokio::test]
async fn versions_of_a_window_may_be_gone() {
    let mut world = World::new(
        "-- transforms/t.sql --\nselect value as id from range(0, 100)\n-- transforms/p.yml --\n\
         transforms: {t: {columns: {id: {checks: [{drift: {baseline: window 1d}, name: window}]}}}}\n",
    );
    world.run().await.unwrap();
    world.run().await.unwrap();
    let parts: Vec<String> = world.files("t").into_iter().filter(|file| file.ends_with(".parquet")).collect();
    let first = parts.iter().filter(|file| file.contains("000000000001-"));
    first.for_each(|file| std::fs::remove_file(world.root().join("lake/prod").join(file)).unwrap());
    expect![[r#"
        pass window: psi 0, below 0.25 (transforms/p.yml:1:43)
    "#]]
    .assert_eq(&lines(&world.run().await.unwrap()["t"].checks));
}

#[tokio::test]
async fn queries_in_yaml_see_what_was_computed() {
    let mut world = world(
        "transforms:
  orders:
    checks:
      - sql:
          name: rich
          failing_rows: |
            select o.id, c.country
            from {{ this }} o
            join {{ ref('customers') }} c on c.id = o.customer
            where amount > 10 and country = 'IT'
",
    );
    expect![[r#"
        table `orders` breaks a check and was not published
        fail rich: 1 of 3 rows (33.3 %), error if <> 0, such as id=2 country=IT (transforms/p.yml:4:9)"#]]
    .assert_eq(&world.run().await.unwrap_err().to_string());
    world.edit(
        "-- transforms/p.yml --
transforms:
  orders:
    checks:
      - sql: |
          select *
          from {{ this }}
          where amont > 3
      - sql: 'select 1 from {{ this }}'
        where: id > 1
",
    );
    expect![[r#"
        error[E0603]: a query says itself which rows it looks at
          --> transforms/p.yml:9:16 `id > 1`
          hint: move the condition into the query
        error[E0102]: no column `amont`
          --> transforms/p.yml:7:17 `amont` did you mean `amount`?
          note: columns: `id`, `customer`, `amount`, `status`, `at`
    "#]]
    .assert_eq(&plain(&world.plan().await.diagnostics));
}
