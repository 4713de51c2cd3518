//! `windlass ls`.

use expect_test::expect;

use crate::run::SHOP;
use crate::support::{Project, is_there, pretty};

#[test]
fn nodes_are_listed() {
    let project = Project::new(SHOP);
    project.windlass(["ls"]).check(expect![[r#"
        exit 0
        -- stdout
        people      seed
        raw.clicks  source
        raw.orders  source
        spending    table
        profile     table
    "#]]);
    project.windlass(["ls", "+spending"]).check(expect![[r#"
        exit 0
        -- stdout
        raw.orders  source
        spending    table
    "#]]);
    project.windlass(["ls", "kind:source", "people", "-x", "raw.clicks"]).check(expect![[r#"
        exit 0
        -- stdout
        people      seed
        raw.orders  source
    "#]]);
    project.windlass(["ls", "--format", "tree"]).check(expect![[r#"
        exit 0
        -- stdout
        profile  table
        ├── spending  table
        │   └── raw.orders  source
        ├── people  seed
        └── raw.clicks  source
    "#]]);
    expect![[r#"
        {
          "project": "test",
          "target": "local",
          "env": "prod",
          "nodes": [
            {
              "name": "spending",
              "kind": "table",
              "file": "transforms/spending.sql",
              "line": 1,
              "inputs": [
                "raw.orders"
              ],
              "description": null,
              "tags": [],
              "owner": null,
              "partition_by": [],
              "sort_by": [],
              "columns": []
            }
          ]
        }"#]]
    .assert_eq(&pretty(project.json(["ls", "spending"])));
    assert!(!is_there(&project.path(".windlass")));
}

#[test]
fn broken_nodes_are_left_out() {
    let project = Project::new(SHOP);
    project.add("-- transforms/spending.sql --\nselect * from {{ ref('spendings') }}\n");
    project.windlass(["ls"]).check(expect![[r#"
        exit 0
        -- stdout
        people      seed
        raw.clicks  source
        raw.orders  source
        profile     table
        -- stderr
        1 node left out because of mistakes: spending; see windlass plan
    "#]]);
    project.windlass(["ls", "spending"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0302]: no node `spendings`
         --> transforms/spending.sql:1:22
          |
        1 | select * from {{ ref('spendings') }}
          |                      ^^^^^^^^^^^ did you mean `spending`?
          |
          = help: a node is named after its file in `transforms/` or `seeds/`
        windlass explain E0302
    "#]]);
}
