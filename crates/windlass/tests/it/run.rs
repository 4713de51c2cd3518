//! `windlass run`.

use expect_test::expect;

use crate::support::{Project, is_there, pretty};

/// Three nodes over sources in CSV and JSON and a seed.
pub(crate) const SHOP: &str = "
-- sources.yml --
sources:
  raw:
    path: data/{name}
    tables:
      orders: {path: data/orders.csv}
      clicks: {path: data/clicks.json}
-- data/orders.csv --
id,customer,amount
1,ada,10.5
2,grace,7
3,ada,0.25
4,linus,3
-- data/clicks.json --
{\"customer\": \"ada\", \"clicks\": 3}
{\"customer\": \"grace\", \"clicks\": 5}
-- seeds/people.csv --
customer,country
ada,UK
grace,US
-- transforms/spending.sql --
select customer, sum(amount) as spent from {{ source('raw', 'orders') }} group by customer
-- transforms/profile.sql --
select s.customer, p.country, s.spent, c.clicks
from {{ ref('spending') }} s
left join {{ ref('people') }} p on p.customer = s.customer
left join {{ source('raw', 'clicks') }} c on c.customer = s.customer
";

#[test]
fn tables_are_published_and_can_be_read() {
    let project = Project::new(SHOP);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ people              2 rows  [SIZE]  version 0  [TIME]
          ✓ spending            3 rows  [SIZE]  version 0  [TIME]
          ✓ profile             3 rows  [SIZE]  version 0  [TIME]
        Published 3 of 3 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"customer":"ada","country":"UK","spent":10.75,"clicks":3}
        {"customer":"grace","country":"US","spent":7.0,"clicks":5}
        {"customer":"linus","country":null,"spent":3.0,"clicks":null}"#]]
    .assert_eq(&project.rows("select * from profile order by customer"));
    assert!(is_there(&project.path("lake/prod/profile/_delta_log/00000000000000000000.json")));
}

#[test]
fn a_second_run_publishes_a_new_version() {
    let project = Project::new(SHOP);
    project.windlass(["run", "-q"]).check(expect![[r#"
        exit 0
    "#]]);
    project.write("data/orders.csv", "id,customer,amount\n9,ada,1\n");
    project.windlass(["run", "spending"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ spending             1 row  [SIZE]  version 1  [TIME]
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"{"customer":"ada","spent":1}"#]].assert_eq(&project.rows("select * from spending"));
}

#[test]
fn the_summary_is_json() {
    let project = Project::new(SHOP);
    expect![[r#"
        {
          "run_id": "[RUN_ID]",
          "target": "local",
          "env": "prod",
          "lake": "[LAKE]",
          "selection": "people spending",
          "sample": null,
          "resumes": null,
          "outcome": "success",
          "reason": null,
          "rows": 5,
          "error_rows": 0,
          "null_rows": 0,
          "bytes": "[BYTES]",
          "files": 2,
          "retries": 0,
          "elapsed_ms": "[ELAPSED_MS]",
          "cpu_ms": "[CPU_MS]",
          "peak_memory_bytes": "[PEAK_MEMORY_BYTES]",
          "nodes": [
            {
              "name": "people",
              "kind": "seed",
              "outcome": "success",
              "reason": null,
              "failed_node": null,
              "attempts": 1,
              "last_good": [],
              "rows": 2,
              "error_rows": null,
              "null_rows": null,
              "bytes": "[BYTES]",
              "files": 1,
              "table_version": 0,
              "table_env": "prod",
              "intervals": null,
              "left_out_rows": null,
              "elapsed_ms": "[ELAPSED_MS]",
              "error": null,
              "checks": []
            },
            {
              "name": "spending",
              "kind": "table",
              "outcome": "success",
              "reason": null,
              "failed_node": null,
              "attempts": 1,
              "last_good": [],
              "rows": 3,
              "error_rows": null,
              "null_rows": null,
              "bytes": "[BYTES]",
              "files": 1,
              "table_version": 0,
              "table_env": "prod",
              "intervals": null,
              "left_out_rows": null,
              "elapsed_ms": "[ELAPSED_MS]",
              "error": null,
              "checks": []
            }
          ]
        }"#]]
    .assert_eq(&pretty(project.json(["run", "people", "spending"])));
}

const HALF_BROKEN: &str = "
-- seeds/numbers.csv --
n
1
0
-- transforms/bad.sql --
select 10 / n as share from {{ ref('numbers') }}
-- transforms/below.sql --
select * from {{ ref('bad') }}
-- transforms/good.sql --
select n + 1 as m from {{ ref('numbers') }}
";

#[test]
fn what_needs_a_failed_node_is_skipped_and_the_rest_goes_on() {
    let project = Project::new(HALF_BROKEN);
    project.windlass(["run"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ numbers            2 rows  [SIZE]  version 0  [TIME]
          ✗ bad      failed  [TIME]
        error[E0801]: division by zero in `10 / n` of `bad`
         --> transforms/bad.sql:1:8
          |
        1 | select 10 / n as share from {{ ref('numbers') }}
          |        ^^^^^^
          |
          = help: divide by `nullif(x, 0)` to get NULL for such rows
          - below    skipped, it needs `bad`
          ✓ good               2 rows  [SIZE]  version 0  [TIME]
        windlass explain E0801
        Published 2 of 4 to prod, 1 failed, 1 skipped  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    assert!(!is_there(&project.path("lake/prod/bad/_delta_log")));
    assert_eq!(project.files("lake/prod/bad"), Vec::<String>::new());
    expect![[r#"
        {"m":1}
        {"m":2}"#]]
    .assert_eq(&project.rows("select * from good order by m"));
    let answer = project.windlass(["run", "--no-cache", "--format", "json"]);
    assert_eq!(answer.code, 1);
    let mut summary = crate::support::parsed(&answer.stdout);
    expect![[r#"
        {
          "run_id": "[RUN_ID]",
          "target": "local",
          "env": "prod",
          "lake": "[LAKE]",
          "selection": null,
          "sample": null,
          "resumes": null,
          "outcome": "failed",
          "reason": "node_failed",
          "rows": 4,
          "error_rows": 0,
          "null_rows": 0,
          "bytes": "[BYTES]",
          "files": 2,
          "retries": 0,
          "elapsed_ms": "[ELAPSED_MS]",
          "cpu_ms": "[CPU_MS]",
          "peak_memory_bytes": "[PEAK_MEMORY_BYTES]",
          "nodes": [
            {
              "name": "numbers",
              "kind": "seed",
              "outcome": "success",
              "reason": null,
              "failed_node": null,
              "attempts": 1,
              "last_good": [],
              "rows": 2,
              "error_rows": null,
              "null_rows": null,
              "bytes": "[BYTES]",
              "files": 1,
              "table_version": 1,
              "table_env": "prod",
              "intervals": null,
              "left_out_rows": null,
              "elapsed_ms": "[ELAPSED_MS]",
              "error": null,
              "checks": []
            },
            {
              "name": "bad",
              "kind": "table",
              "outcome": "failed",
              "reason": null,
              "failed_node": null,
              "attempts": 1,
              "last_good": [],
              "rows": null,
              "error_rows": null,
              "null_rows": null,
              "bytes": null,
              "files": null,
              "table_version": null,
              "table_env": null,
              "intervals": null,
              "left_out_rows": null,
              "elapsed_ms": "[ELAPSED_MS]",
              "error": {
                "code": "E0801",
                "message": "division by zero in `10 / n` of `bad`",
                "fault": "user",
                "hint": "divide by `nullif(x, 0)` to get NULL for such rows",
                "diagnostic": {
                  "severity": "error",
                  "code": "E0801",
                  "message": "division by zero in `10 / n` of `bad`",
                  "node": "bad",
                  "place": {
                    "file": "transforms/bad.sql",
                    "line": 1,
                    "column": 8,
                    "end_line": 1,
                    "end_column": 14
                  },
                  "label": null,
                  "related": [],
                  "notes": [],
                  "hint": "divide by `nullif(x, 0)` to get NULL for such rows"
                }
              },
              "checks": []
            },
            {
              "name": "below",
              "kind": "table",
              "outcome": "skipped",
              "reason": "upstream_failed",
              "failed_node": "bad",
              "attempts": 0,
              "last_good": [],
              "rows": null,
              "error_rows": null,
              "null_rows": null,
              "bytes": null,
              "files": null,
              "table_version": null,
              "table_env": null,
              "intervals": null,
              "left_out_rows": null,
              "elapsed_ms": null,
              "error": null,
              "checks": []
            },
            {
              "name": "good",
              "kind": "table",
              "outcome": "success",
              "reason": null,
              "failed_node": null,
              "attempts": 1,
              "last_good": [],
              "rows": 2,
              "error_rows": null,
              "null_rows": null,
              "bytes": "[BYTES]",
              "files": 1,
              "table_version": 1,
              "table_env": "prod",
              "intervals": null,
              "left_out_rows": null,
              "elapsed_ms": "[ELAPSED_MS]",
              "error": null,
              "checks": []
            }
          ]
        }"#]]
    .assert_eq(&pretty(summary["data"].take()));
}

#[test]
fn fail_fast_stops_at_the_first_failure() {
    Project::new(HALF_BROKEN).windlass(["run", "--fail-fast"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ numbers            2 rows  [SIZE]  version 0  [TIME]
          ✗ bad      failed  [TIME]
        error[E0801]: division by zero in `10 / n` of `bad`
         --> transforms/bad.sql:1:8
          |
        1 | select 10 / n as share from {{ ref('numbers') }}
          |        ^^^^^^
          |
          = help: divide by `nullif(x, 0)` to get NULL for such rows
          - below    skipped, it needs `bad`
          - good     skipped, `bad` failed
        windlass explain E0801
        Published 1 of 4 to prod, 1 failed, 2 skipped  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}

#[test]
fn variables_change_the_result() {
    let project = Project::new("-- transforms/a.sql --\nselect {{ var('x', 1) }} as x\n");
    project.windlass(["run", "-q", "--vars", "x=7"]).check(expect![[r#"
        exit 0
    "#]]);
    expect![[r#"{"x":7}"#]].assert_eq(&project.rows("select * from a"));
    project.windlass(["run", "--vars", "x"]).check(expect![[r#"
        exit 2
        -- stderr
        error: `x` is not a variable with its value
          hint: write --vars name=value, such as --vars late_minutes=30
    "#]]);
}

#[test]
fn environments_stand_apart() {
    let project = Project::new("-- transforms/a.sql --\nselect 1 as x\n");
    assert_eq!(project.windlass(["run", "-e", "dev"]).code, 0);
    assert!(is_there(&project.path("lake/dev/a")));
    project.windlass(["show", "a"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: table `a` has not been published yet
          hint: publish it and what it needs: windlass run +a
        windlass explain E0103
    "#]]);
    assert_eq!(project.windlass_with(["show", "a"], &[("WINDLASS_ENV", "dev")]).code, 0);
}

#[test]
fn mistakes_are_told_before_anything_runs() {
    let project = Project::new(HALF_BROKEN);
    project.add("-- transforms/good.sql --\nselect m + 1 as m from {{ ref('numbers') }}\n");
    project.add("-- transforms/below.sql --\nselect * from {{ ref('bda') }}\n");
    project.windlass(["run"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0302]: no node `bda`
         --> transforms/below.sql:1:22
          |
        1 | select * from {{ ref('bda') }}
          |                      ^^^^^ did you mean `bad`?
          |
          = help: a node is named after its file in `transforms/` or `seeds/`

        error[E0102]: no column `m`
         --> transforms/good.sql:1:8
          |
        1 | select m + 1 as m from {{ ref('numbers') }}
          |        ^
          |
          = note: columns: `n`

        2 mistakes, nothing was done
        windlass explain E0102 E0302
    "#]]);
    // What is not selected may be broken.
    assert_eq!(project.windlass(["run", "numbers"]).code, 0);
    assert_eq!(project.windlass(["run", "below"]).code, 2);
    assert!(!is_there(&project.path("lake/prod/good")));
}

#[test]
fn warnings_and_selections_that_match_nothing() {
    let project = Project::new(SHOP);
    project.windlass(["run", "spendign"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0902]: no node matches `spendign`
            spendign
            ^^^^^^^^
          hint: did you mean `spending`?
        windlass explain E0902
    "#]]);
    project.windlass(["run", "spending", "-x", "spending"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0902]: nothing is left after leaving these nodes out
            spending
            ^^^^^^^^
        windlass explain E0902
    "#]]);
    project.windlass(["run", "spending,("]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0903]: expected a name or method here
            spending,(
                      ^
        windlass explain E0903
    "#]]);
    // A source is there already.
    project.windlass(["run", "raw.orders"]).check(expect![[r#"
        exit 0
        -- stderr
        Published 0 of 0 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}
