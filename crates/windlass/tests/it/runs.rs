//! `windlass runs`.

use expect_test::expect;

use crate::run::SHOP;
use crate::support::{Project, is_there, pretty};

#[test]
fn runs_are_remembered() {
    let project = Project::new(SHOP);
    project.windlass(["runs", "ls"]).check(expect![[r#"
        exit 0
        -- stderr
        no run yet
    "#]]);
    project.windlass(["runs", "show"]).check(expect![[r#"
        exit 2
        -- stderr
        error: there was no run yet
          hint: windlass run
    "#]]);
    assert!(!is_there(&project.path(".windlass")), "looking leaves nothing behind");
    assert_eq!(project.windlass(["run", "spending"]).code, 0);
    project.windlass(["runs", "ls"]).check(expect![[r#"
        exit 0
        -- stdout
        [RUN]  [AT]  success  [TIME]            3 rows  local to prod: spending
    "#]]);
    project.windlass(["runs", "show"]).check(expect![[r#"
        exit 0
        -- stdout
        run        [RUN]
        outcome    success
        started    [AT], [TIME]
        selection  spending
        target     local, env prod, lake [DIR]/lake
        written    3 rows, [SIZE]
        peak  [SIZE]
        process    [PROCESS]

          success    spending  3 rows  [SIZE]  version 0  [TIME]
    "#]]);
    expect![[r#"
        {
          "run": {
            "run_id": "[RUN_ID]",
            "command": "run",
            "selection": "spending",
            "target": "local",
            "env": "prod",
            "lake": "[LAKE]",
            "started_at": "[STARTED_AT]",
            "finished_at": "[FINISHED_AT]",
            "outcome": "success",
            "reason": null,
            "version": "0.1.0",
            "host": "[HOST]",
            "pid": "[PID]",
            "peak_memory_bytes": "[PEAK_MEMORY_BYTES]",
            "rows": 3,
            "bytes": "[BYTES]",
            "arguments": {
              "select": [
                "spending"
              ],
              "exclude": [],
              "vars": [],
              "from": null,
              "to": null,
              "sample": null,
              "no_cache": false,
              "full_refresh": false,
              "fail_fast": false,
              "nodes": [
                "spending"
              ],
              "resumes": null
            }
          },
          "nodes": [
            {
              "run_id": "[RUN_ID]",
              "node": "spending",
              "attempt": 1,
              "kind": "published",
              "outcome": "success",
              "reason": null,
              "failed_node": null,
              "started_at": "[STARTED_AT]",
              "elapsed_ms": "[ELAPSED_MS]",
              "rows": 3,
              "error_rows": null,
              "null_rows": null,
              "bytes": "[BYTES]",
              "files": 1,
              "table_version": 0,
              "fingerprint": "[FINGERPRINT]",
              "error_code": null,
              "error_message": null,
              "fault": null
            }
          ]
        }"#]]
    .assert_eq(&pretty(project.json(["runs", "show", "latest"])));
    expect![[r#"
        {
          "runs": [
            {
              "run_id": "[RUN_ID]",
              "command": "run",
              "selection": "spending",
              "target": "local",
              "env": "prod",
              "lake": "[LAKE]",
              "started_at": "[STARTED_AT]",
              "finished_at": "[FINISHED_AT]",
              "outcome": "success",
              "reason": null,
              "version": "0.1.0",
              "host": "[HOST]",
              "pid": "[PID]",
              "peak_memory_bytes": "[PEAK_MEMORY_BYTES]",
              "rows": 3,
              "bytes": "[BYTES]",
              "arguments": {
                "select": [
                  "spending"
                ],
                "exclude": [],
                "vars": [],
                "from": null,
                "to": null,
                "sample": null,
                "no_cache": false,
                "full_refresh": false,
                "fail_fast": false,
                "nodes": [
                  "spending"
                ],
                "resumes": null
              }
            }
          ]
        }"#]]
    .assert_eq(&pretty(project.json(["runs", "ls", "-n", "1"])));
    project.windlass(["runs", "show", "nope"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no run `nope`
          hint: `windlass runs ls` lists the runs
    "#]]);
}

#[test]
fn failures_are_remembered() {
    let project = Project::new(
        "-- transforms/a.sql --\nselect 1 / x as y from (values (0), (1)) t(x)\n-- transforms/b.sql --\nselect y from {{ ref('a') }}\n",
    );
    assert_eq!(project.windlass(["run"]).code, 1);
    project.windlass(["runs", "ls"]).check(expect![[r#"
        exit 0
        -- stdout
        [RUN]  [AT]  failed  [TIME]            0 rows  local to prod: everything
    "#]]);
    project.windlass(["runs", "show", "latest"]).check(expect![[r#"
        exit 0
        -- stdout
        run        [RUN]
        outcome    failed, node_failed
        started    [AT], [TIME]
        selection  everything
        target     local, env prod, lake [DIR]/lake
        written    0 rows, [SIZE]
        peak  [SIZE]
        process    [PROCESS]

          failed     a  [TIME]  E0801
            division by zero in `1 / x` of `a` (transforms/a.sql:1:8)
          skipped    b  `a` failed
        windlass explain E0801
    "#]]);
}
