//! `windlass plan`.

use expect_test::expect;

use crate::run::SHOP;
use crate::support::{Project, is_there, parsed, pretty};

#[test]
fn a_plan_says_what_a_run_would_do() {
    let project = Project::new(SHOP);
    project.add("-- transforms/spending.sql --\n{{ config(materialized='view') }}select 1 as customer, 2.5 as spent\n");
    project.windlass(["plan"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          build  people     2 columns  not published yet
          view   spending   2 columns
          build  profile    4 columns  not published yet

        2 to build, 0 unchanged, 1 view. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    assert!(!is_there(&project.path(".windlass")), "a plan leaves nothing behind");
    assert!(!is_there(&project.path("lake")), "a plan leaves nothing behind");
}

#[test]
fn a_plan_knows_the_last_run() {
    let project = Project::new(SHOP);
    assert_eq!(project.windlass(["run"]).code, 0);
    project.windlass(["plan", "spending"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          reuse  spending   2 columns  unchanged, version 0

        0 to build, 1 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    expect![[r#"
        {
          "target": "local",
          "env": "prod",
          "base": null,
          "lake": "[LAKE]",
          "sample": null,
          "nodes": [
            {
              "name": "spending",
              "kind": "table",
              "action": "reuse",
              "reason": null,
              "table_version": 0,
              "table_env": "prod",
              "volatile": null,
              "inputs": [
                "raw.orders"
              ],
              "columns": [
                {
                  "name": "customer",
                  "type": "varchar"
                },
                {
                  "name": "spent",
                  "type": "double"
                }
              ],
              "last_run": {
                "started_at": "[STARTED_AT]",
                "elapsed_ms": "[ELAPSED_MS]",
                "rows": 3,
                "bytes": "[BYTES]"
              }
            }
          ],
          "not_checked": [
            "values",
            "divisions by zero",
            "casts of text"
          ],
          "diagnostics": []
        }"#]]
    .assert_eq(&pretty(project.json(["plan", "spending"])));
}

#[test]
fn mistakes_are_json_as_well() {
    let project = Project::new(
        "-- transforms/a.sql --\nselect 1 as x,\n  y from {{ ref('b') }}\n-- transforms/b.sql --\nselect 1 as z\n",
    );
    let answer = project.windlass(["plan", "--format", "json"]);
    assert_eq!(answer.code, 2);
    expect![[r#"
        {
          "schema": "windlass.plan/1",
          "version": "0.1.0",
          "data": {
            "target": "local",
            "env": "prod",
            "base": null,
            "lake": "[LAKE]",
            "sample": null,
            "nodes": [],
            "not_checked": [
              "values",
              "divisions by zero",
              "casts of text"
            ],
            "diagnostics": [
              {
                "severity": "error",
                "code": "E0102",
                "message": "no column `y`",
                "node": "a",
                "place": {
                  "file": "transforms/a.sql",
                  "line": 2,
                  "column": 3,
                  "end_line": 2,
                  "end_column": 4
                },
                "label": null,
                "related": [],
                "notes": [
                  "columns: `z`"
                ],
                "hint": null
              }
            ]
          }
        }"#]]
    .assert_eq(&pretty(parsed(&answer.stdout)));
}
