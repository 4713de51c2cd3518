//! `on_upstream_failure`: what becomes of the readers of a table that is not published.

use expect_test::expect;

use crate::support::{Project, pretty};

/// A table, a view of it, and readers that are skipped or make do.
const CHAIN: &str = "
-- seeds/amounts.csv --
id,amount
1,10
2,20
-- transforms/orders.sql --
select id, amount * {{ var('factor', 1) }} as amount from {{ ref('amounts') }}
-- transforms/seen.sql --
{{ config(materialized='view') }}
select * from {{ ref('orders') }}
-- transforms/strict.sql --
select sum(amount) as total from {{ ref('orders') }}
-- transforms/below.sql --
{{ config(on_upstream_failure='use_last_good') }}
select total + {{ var('factor', 1) }} as total from {{ ref('strict') }}
-- transforms/calm.sql --
select sum(amount) as total, {{ var('factor', 1) }} as factor from {{ ref('seen') }}
-- transforms/p.yml --
transforms:
  orders: {columns: {amount: {checks: [range: {max: 20}]}}}
  calm: {on_upstream_failure: use_last_good}
";

#[test]
fn readers_make_do_with_the_last_good_version() {
    let project = Project::new(CHAIN);
    assert_eq!(project.windlass(["run"]).code, 0);
    project.windlass(["run", "--vars", "factor=2"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ amounts  unchanged  version 0
          ✗ orders   failed  [TIME]
        error[E0604]: table `orders` breaks a check and was not published
          fail range_amount: 1 of 2 rows (50.0 %), error if <> 0, such as id=2 amount=40 (transforms/p.yml:2:40)
          hint: look at its rows: windlass show orders@candidate
          - seen     skipped, it needs `orders`
          - strict   skipped, it needs `orders`
          ✓ calm                1 row  [SIZE]  version 1  [TIME]
          ! calm     computed from the last good version of `orders`
          ✓ below               1 row  [SIZE]  version 1  [TIME]
          ! below    computed from the last good version of `strict`
        windlass explain E0604
        orders 0 checks passed, 1 failed
        Published 2 of 5 to prod, 1 unchanged, 1 failed, 2 skipped  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"{"total":30,"factor":2,"below":32}"#]]
        .assert_eq(&project.rows("select calm.total, factor, below.total as below from calm, below"));
    let run = project.answer(project.command(&["run", "--vars", "factor=3", "--format", "json", "-q"]).env("A", "b"));
    let run = crate::support::parsed(&run.stdout);
    let node =
        |name: &str| run["data"]["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap().clone();
    assert_eq!((&node("calm")["last_good"], &node("calm")["outcome"]), (&["orders"].into(), &"success".into()));
    assert_eq!(node("below")["last_good"], serde_json::json!(["strict"]));
    assert_eq!(node("strict")["outcome"], "skipped");
    expect![[r#""failed""#]].assert_eq(&pretty(run["data"]["outcome"].clone()));
}

#[test]
fn what_was_never_published_is_no_last_good_version() {
    let project = Project::new(CHAIN);
    project.windlass(["run", "--vars", "factor=2"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ amounts            2 rows  [SIZE]  version 0  [TIME]
          ✗ orders   failed  [TIME]
        error[E0604]: table `orders` breaks a check and was not published
          fail range_amount: 1 of 2 rows (50.0 %), error if <> 0, such as id=2 amount=40 (transforms/p.yml:2:40)
          hint: look at its rows: windlass show orders@candidate
          - seen     skipped, it needs `orders`
          - calm     skipped, it needs `orders`
          - strict   skipped, it needs `orders`
          - below    skipped, it needs `orders`
        windlass explain E0604
        orders 0 checks passed, 1 failed
        Published 1 of 5 to prod, 1 failed, 4 skipped  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}

#[test]
fn a_source_or_view_that_breaks_its_checks_leaves_nothing() {
    let project = Project::new(CHAIN);
    assert_eq!(project.windlass(["run"]).code, 0);
    project.write(
        "transforms/p.yml",
        "transforms:\n  seen: {columns: {amount: {checks: [range: {max: 5}]}}}\n  calm: {on_upstream_failure: use_last_good}\n",
    );
    project.windlass(["run", "seen+"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ seen  failed  [TIME]
        error[E0604]: table `seen` breaks a check
          fail range_amount: 2 of 2 rows (100.0 %), error if <> 0, such as id=1 amount=10 (transforms/p.yml:2:38)
          - calm  skipped, it needs `seen`
        windlass explain E0604
        seen 0 checks passed, 1 failed
        Published 0 of 1 to prod, 1 failed, 1 skipped  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.write("transforms/p.yml", "transforms: {calm: {on_upstream_failure: use_last_god}}\n");
    project.windlass(["plan"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0203]: expected one of `skip`, `use_last_good` for `on_upstream_failure`, found `use_last_god`
         --> transforms/p.yml:1:42
          |
        1 | transforms: {calm: {on_upstream_failure: use_last_god}}
          |                                          ^^^^^^^^^^^^ did you mean `use_last_good`?
        windlass explain E0203
    "#]]);
}
