//! Checks: what a run publishes, what it says, and what `windlass check` finds.

use expect_test::expect;

use crate::support::{Project, parsed, pretty};

/// A source, a table with checks, and a reader of that table.
const SHOP: &str = "
-- sources.yml --
sources:
  raw:
    path: data/{name}.csv
    tables:
      orders:
        columns:
          id: {checks: [not_null]}
-- data/orders.csv --
id,customer,amount
1,ada,10.5
2,grace,7
3,ada,0.25
-- transforms/spending.sql --
select customer, sum(amount) as spent from {{ source('raw', 'orders') }} group by customer
-- transforms/top.sql --
select * from {{ ref('spending') }} where spent > 8
-- transforms/p.yml --
transforms:
  spending:
    checks:
      - row_count: {min: 2}
      - row_count: {max: 1}
        severity: warn
    columns:
      customer: {checks: [unique, not_null]}
      spent: {checks: [{range: {min: 1}}]}
";

#[test]
fn a_table_that_breaks_a_check_is_not_published() {
    let project = Project::new(SHOP);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ raw.orders  view
          ✓ spending              2 rows  [SIZE]  version 0  [TIME]
          ✓ top                    1 row  [SIZE]  version 0  [TIME]
        raw.orders 1 check passed
        spending 4 checks passed, 1 warned
          warn row_count_2: rows 2, at most 1 (transforms/p.yml:5:9)
        Published 2 of 2 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    let before = project.rows("select * from spending order by customer");
    project.write("data/orders.csv", "id,customer,amount\n1,ada,10.5\n2,grace,0.5\n");
    project.windlass(["run"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ raw.orders  view
          ✗ spending    failed  [TIME]
        error[E0604]: table `spending` breaks a check and was not published
          fail range_spent: 1 of 2 rows (50.0 %), error if <> 0, such as customer=grace spent=0.5 (transforms/p.yml:9:25)
          hint: look at its rows: windlass show spending@candidate
          - top         skipped, it needs `spending`
        windlass explain E0604
        raw.orders 1 check passed
        spending 3 checks passed, 1 warned, 1 failed
          warn row_count_2: rows 2, at most 1 (transforms/p.yml:5:9)
        Published 0 of 2 to prod, 1 failed, 1 skipped  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    assert_eq!(project.rows("select * from spending order by customer"), before);
    let run = parsed(&project.windlass(["run", "--format", "json", "-q", "spending"]).stdout);
    let node = &run["data"]["nodes"][1];
    assert_eq!((&node["name"], &node["outcome"]), (&"spending".into(), &"failed".into()));
    assert_eq!(node["error"]["code"], "E0604");
    expect![[r#"
        {
          "name": "range_spent",
          "kind": "range",
          "column": "spent",
          "severity": "error",
          "on_fail": "error",
          "status": "fail",
          "blocks": true,
          "observed": 1.0,
          "bound": "error if <> 0",
          "failing": 1,
          "rows": 2,
          "reason": null,
          "detail": "1 of 2 rows (50.0 %)",
          "figures": {},
          "examples": [
            {
              "customer": "grace",
              "spent": 0.5
            }
          ],
          "stored_in": null,
          "place": {
            "file": "transforms/p.yml",
            "line": 9,
            "column": 25,
            "end_line": 9,
            "end_column": 30
          }
        }"#]]
    .assert_eq(&pretty(node["checks"][2].clone()));
}

#[test]
fn a_broken_source_is_found_before_anything_reads_it() {
    let project = Project::new(SHOP);
    project.write("data/orders.csv", "id,customer,amount\n1,ada,10.5\n,grace,0.5\n");
    project.windlass(["run"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ raw.orders  failed  [TIME]
        error[E0604]: table `raw.orders` breaks a check
          fail not_null_id: 1 of 2 rows (50.0 %), error if <> 0, such as id=null customer=grace amount=0.5 (sources.yml:7:25)
          - spending    skipped, it needs `raw.orders`
          - top         skipped, it needs `raw.orders`
        windlass explain E0604
        raw.orders 0 checks passed, 1 failed
        Published 0 of 2 to prod, 1 failed, 2 skipped  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.windlass(["run", "top", "-q"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: table `spending` has not been published yet
         --> transforms/spending.sql:1:1
          |
        1 | select customer, sum(amount) as spent from {{ source('raw', 'orders') }} group by customer
          | ^
          |
          = help: publish it too: windlass run +top
        windlass explain E0103
    "#]]);
}

#[test]
fn what_is_published_can_be_checked() {
    let project = Project::new(SHOP);
    project.windlass(["run", "-q"]);
    project.windlass(["check"]).check(expect![[r#"
        exit 0
        -- stdout
        raw.orders 1 check passed
        spending 4 checks passed, 1 warned
          warn row_count_2: rows 2, at most 1 (transforms/p.yml:5:9)
        -- stderr
        Looked at 2 nodes
    "#]]);
    project.write("transforms/p.yml", "transforms: {spending: {columns: {spent: {checks: [{range: {min: 8}}]}}}}\n");
    project.windlass(["check", "spending"]).check(expect![[r#"
        exit 1
        -- stdout
        spending 0 checks passed, 1 failed
          fail range_spent: 1 of 2 rows (50.0 %), error if <> 0, such as customer=grace spent=7.0 (transforms/p.yml:1:53)
        -- stderr
        Looked at 1 node
    "#]]);
    project.windlass(["check", "top"]).check(expect![[r#"
        exit 0
        -- stderr
        no selected node has checks
    "#]]);
    project.windlass(["check", "--format", "json", "spending"]).check(expect![[r#"
        exit 1
        -- stdout
        {"schema":"windlass.check/1","version":"0.1.0","data":{"target":"local","env":"prod","lake":"[DIR]/lake","outcome":"fail","nodes":[{"name":"spending","kind":"table","checks":[{"name":"range_spent","kind":"range","column":"spent","severity":"error","on_fail":"error","status":"fail","blocks":true,"observed":1.0,"bound":"error if <> 0","failing":1,"rows":2,"reason":null,"detail":"1 of 2 rows (50.0 %)","figures":{},"examples":[{"customer":"grace","spent":7.0}],"stored_in":null,"place":{"file":"transforms/p.yml","line":1,"column":53,"end_line":1,"end_column":58}}],"error":null}]}}
    "#]]);
}

#[test]
fn a_mistaken_check_is_found_before_the_first_row() {
    let project = Project::new(SHOP);
    project.write("transforms/p.yml", "transforms: {spending: {checks: [{unique: [costumer]}]}}\n");
    project.windlass(["run"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0102]: check `unique_costumer` names column `costumer`, which `spending` does not have
         --> transforms/p.yml:1:44
          |
        1 | transforms: {spending: {checks: [{unique: [costumer]}]}}
          |                                            ^^^^^^^^ did you mean `customer`?
        windlass explain E0102
    "#]]);
}

#[test]
fn a_run_that_is_killed_while_it_looks_publishes_nothing() {
    let project = Project::new(SHOP);
    project.windlass(["run", "-q"]);
    let before = project.rows("select * from spending order by customer");
    project.write("data/orders.csv", "id,customer,amount\n1,ada,10.5\n2,grace,9\n");
    let mut run = project.start(["run"], &[("WINDLASS_TEST_HOLD_AT", "staged:spending")]);
    run.wait_for("held at staged:spending");
    run.signal("KILL");
    run.wait();
    assert_eq!(project.rows("select * from spending order by customer"), before);
}

#[test]
fn references_are_found_by_keys_of_any_kind() {
    let project = Project::new(
        "
-- transforms/there.sql --
select cast(value as int) as near, value * 1000000007 as far, 'k' || value as name from generate_series(1, 1000) t(value)
union all select null, null, null
-- transforms/here.sql --
select value as id, case when value % 10 = 0 then null else value end as near, value * 1000000007 as far, 'k' || value as name,
  cast(value as smallint) as small from generate_series(1, 1004) t(value)
-- transforms/p.yml --
transforms:
  here:
    checks:
      - relationships: {columns: [near, name], to: there, fields: [near, name], severity: warn}
    columns:
      near:
        checks:
          - relationships: {to: there, field: near, severity: warn, sample_rows: 9}
          - relationships: {to: there, field: near, severity: warn, where: id <> 1002, name: some}
          - relationships: {to: there, field: near, severity: warn, where: id > 2000, name: none}
      far: {checks: [{relationships: {to: there, field: far, severity: warn}}]}
      name: {checks: [{relationships: {to: there, field: name, severity: warn}}]}
      small: {checks: [{relationships: {to: there, field: near, severity: warn}}]}
",
    );
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ there        1,001 rows  [SIZE]  version 0  [TIME]
          ✓ here         1,004 rows  [SIZE]  version 0  [TIME]
        here 1 check passed, 6 warned
          warn relationships_near_there: 4 of 1,004 rows (0.40 %), warn if <> 0, such as id=1001 near=1001 far=1001000007007 name=k1001 small=1001 (transforms/p.yml:8:13)
          warn some: 3 of 1,003 rows (0.30 %), warn if <> 0, such as id=1001 near=1001 far=1001000007007 name=k1001 small=1001 (transforms/p.yml:9:13)
          warn relationships_far_there: 4 of 1,004 rows (0.40 %), warn if <> 0, such as id=1001 near=1001 far=1001000007007 name=k1001 small=1001 (transforms/p.yml:11:23)
          warn relationships_name_there: 4 of 1,004 rows (0.40 %), warn if <> 0, such as id=1001 near=1001 far=1001000007007 name=k1001 small=1001 (transforms/p.yml:12:24)
          warn relationships_small_there: 4 of 1,004 rows (0.40 %), warn if <> 0, such as id=1001 near=1001 far=1001000007007 name=k1001 small=1001 (transforms/p.yml:13:25)
          warn relationships_near_name_there: 4 of 1,004 rows (0.40 %), warn if <> 0, such as id=1001 near=1001 far=1001000007007 name=k1001 small=1001 (transforms/p.yml:4:9)
        Published 2 of 2 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    let checks = project.json(["check", "here"])["nodes"][0]["checks"].clone();
    let ids = |check: &serde_json::Value| {
        check["examples"].as_array().map(|rows| rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>())
    };
    let named = |name: &str| checks.as_array().unwrap().iter().find(|check| check["name"] == name).cloned().unwrap();
    let mut found = ids(&named("relationships_near_there")).unwrap();
    found.sort_by_key(|id| id.as_i64());
    assert_eq!(found, [1001, 1002, 1003, 1004]);
    assert_eq!(ids(&named("some")).unwrap().len(), 3);
}
