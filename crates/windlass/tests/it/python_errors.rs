//! `windlass errors`: why rows failed, out of the lake as a file, and once more through the code.

use expect_test::expect;

use crate::support::{Project, is_there, pretty};

/// Of 1,000 rows ten lack `x`, and one makes the code fail.
pub(crate) const SCORE: &str = r#"
-- transforms/numbers.sql --
select value as id, case when value % 100 <> 7 then value * 0.5 end as x from generate_series(1, 1000) t(value)
-- transforms/score.py --
from windlass import ref, transform


@transform(
    input=ref("numbers"),
    columns={"id": "bigint", "y": "double"},
    key=["id"],
    requires={"not_null": ["x"]},
    max_error_rate="5%",
)
def score(batch):
    if (batch["id"] == 500).any():
        print("looking at 500")
        raise ValueError("500 is\nnot a number")
    return {"id": batch["id"], "y": batch["x"] * 2}
"#;

#[test]
fn causes_are_told_with_an_example() {
    let project = Project::with_python(SCORE);
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    project.windlass(["errors"]).check(expect![[r#"
        exit 0
        -- stdout
        score       11 error rows    1.10%  `x` is null
        -- stderr
        windlass errors NODE says more
    "#]]);
    project.windlass(["errors", "score", "--traceback"]).check(expect![[r#"
        exit 0
        -- stdout
        score  11 of 1,000 rows failed (1.10%), version 0

          10  requires  `x` is null
                        such as id=7  {"id":7,"x":null}
           1  python    ValueError: 500 is
                        such as id=500  {"id":500,"x":250.0}
                        Traceback (most recent call last):
                          File "[DIR]/transforms/score.py", line 14, in score
                            raise ValueError("500 is\nnot a number")
                        ValueError: 500 is
                        not a number
        -- stderr

        run them again with the code as it is now: windlass errors score --replay
    "#]]);
    project.windlass(["errors", "score", "-n", "1", "-q"]).check(expect![[r#"
        exit 0
        -- stdout
        score  11 of 1,000 rows failed (1.10%), version 0

          10  requires  `x` is null
                        such as id=7  {"id":7,"x":null}
    "#]]);
    expect![[r#"
        {
          "env": "prod",
          "lake": "[LAKE]",
          "nodes": [
            {
              "node": "score",
              "error_table": "score__errors",
              "error_rows": 11,
              "table_rows": 989,
              "table_version": 0
            }
          ]
        }"#]]
    .assert_eq(&pretty(project.json(["errors"])));
    expect![[r#"
        {
          "node": "score",
          "error_table": "score__errors",
          "error_rows": 11,
          "table_rows": 989,
          "table_version": 0,
          "causes": [
            {
              "error_rows": 10,
              "stage": "requires",
              "error_type": null,
              "message": "`x` is null",
              "traceback": null,
              "example_key": "id=7",
              "example_row": {
                "id": 7,
                "x": null
              }
            },
            {
              "error_rows": 1,
              "stage": "python",
              "error_type": "ValueError",
              "message": "500 is\nnot a number",
              "traceback": "Traceback (most recent call last):\n  File \"[DIR]/transforms/score.py\", line 14, in score\n    raise ValueError(\"500 is\\nnot a number\")\nValueError: 500 is\nnot a number\n",
              "example_key": "id=500",
              "example_row": {
                "id": 500,
                "x": 250.0
              }
            }
          ],
          "cause_count": 2
        }"#]].assert_eq(&pretty(project.json(["errors", "score"])));
    project.windlass(["show", "score__errors", "-n", "1", "--schema"]).check(expect![[r#"
        exit 0
        -- stdout
        id              bigint
        row             struct<id bigint, x double>
        stage           varchar
        error_type      varchar
        error           varchar
        traceback       varchar
        traceback_hash  varchar
        attempts        int
        batch_id        bigint
        worker          int
        run_id          varchar
        fingerprint     varchar
        at              timestamp with time zone
    "#]]);
}

#[test]
fn error_rows_are_exported() {
    let project = Project::with_python(SCORE);
    assert_eq!(project.windlass(["run"]).code, 0);
    project.windlass(["errors", "score", "--export", "bad.csv"]).check(expect![[r#"
        exit 0
        -- stderr
        wrote 11 error rows of `score` to `bad.csv`
    "#]]);
    let csv = std::fs::read_to_string(project.path("bad.csv")).unwrap();
    let first: Vec<&str> = csv.lines().take(2).map(|line| line.split(",,").next().unwrap()).collect();
    expect![[r#"
        id,x,stage,error_type,error,traceback,traceback_hash,attempts,batch_id,worker,run_id,fingerprint,at
        7"#]]
    .assert_eq(&first.join("\n"));
    assert_eq!(csv.lines().filter(|line| line.contains("requires")).count(), 10);
    assert_eq!(project.windlass(["errors", "score", "--export", "bad.json"]).code, 0);
    let json = std::fs::read_to_string(project.path("bad.json")).unwrap();
    assert_eq!(json.lines().count(), 11);
    assert!(json.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    let exported = project.json(["errors", "score", "--export", "bad.parquet"]);
    assert_eq!(exported["error_rows"], 11);
    assert!(is_there(&project.path("bad.parquet")));
    project.windlass(["errors", "score", "--export", "bad.xlsx"]).check(expect![[r#"
        exit 2
        -- stderr
        error: the ending of `bad.xlsx` does not say how to write it
          hint: name a file that ends in .csv, .json or .parquet
    "#]]);
}

#[test]
fn rows_that_failed_are_run_again_with_the_code_as_it_is_now() {
    let project = Project::with_python(SCORE);
    assert_eq!(project.windlass(["run"]).code, 0);
    let code = std::fs::read_to_string(project.path("transforms/score.py")).unwrap();
    project.write("transforms/score.py", &code.replace("== 500", "== -1"));
    project.windlass(["errors", "score", "--replay"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ score             1 row  merged  version 1  [TIME]
          ! score  10 of 11 rows failed again: `x` is null 10   see: windlass errors score
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"{"n":990,"ids":990,"y":495930.0}"#]]
        .assert_eq(&project.rows("select count(*) as n, count(distinct id) as ids, sum(y) as y from score"));
    expect![[r#"{"stage":"requires","n":10}"#]]
        .assert_eq(&project.rows("select stage, count(*) as n from score__errors group by 1"));
    let runs = project.windlass(["runs", "ls"]).stdout;
    assert_eq!(runs.lines().count(), 2);
    let detail = project.json(["runs", "show"]);
    expect![[r#"
        [
          {
            "run_id": "[RUN_ID]",
            "node": "score",
            "attempt": 1,
            "kind": "replayed",
            "outcome": "success",
            "reason": null,
            "failed_node": null,
            "started_at": "[STARTED_AT]",
            "elapsed_ms": "[ELAPSED_MS]",
            "rows": 1,
            "error_rows": 10,
            "null_rows": null,
            "bytes": "[BYTES]",
            "files": 0,
            "table_version": 1,
            "fingerprint": null,
            "error_code": null,
            "error_message": null,
            "fault": null
          }
        ]"#]]
    .assert_eq(&pretty(detail["nodes"].clone()));
    assert_eq!(detail["run"]["command"], "errors --replay");
    project.windlass(["runs", "show"]).check(expect![[r#"
        exit 0
        -- stdout
        run        [RUN]
        outcome    success
        started    [AT], [TIME]
        selection  score
        target     local, env prod, lake [DIR]/lake
        written    1 row, [SIZE]
        peak  [SIZE]
        process    [PROCESS]

          success    score  replayed  1 row  10 error rows  version 1  [TIME]
    "#]]);

    // A plan does not take the replay for the usual time and size.
    assert!(project.windlass(["plan"]).stdout.contains("last time 989 rows"), "{}", project.windlass(["plan"]));

    project.write(
        "transforms/score.py",
        &code.replace("== 500", "== -1").replace("requires={\"not_null\": [\"x\"]},", ""),
    );
    assert_eq!(project.windlass(["errors", "score", "--replay"]).code, 0);
    project.windlass(["errors", "score"]).check(expect![[r#"
        exit 0
        -- stderr
        `score` has no error rows
    "#]]);
    project.windlass(["errors"]).check(expect![[r#"
        exit 0
        -- stderr
        no error rows in prod
    "#]]);
    project.windlass(["errors", "score", "--replay"]).check(expect![[r#"
        exit 0
        -- stderr
        `score` has no error rows
    "#]]);
    assert_eq!(project.json(["errors", "score", "--replay"])["error_rows"], 0);
    assert_eq!(project.windlass(["runs", "ls"]).stdout.lines().count(), 3, "no run for nothing");
    expect![[r#"{"n":1000,"ids":1000}"#]]
        .assert_eq(&project.rows("select count(*) as n, count(distinct id) as ids from score"));
}

#[test]
fn a_replay_that_fails_changes_nothing() {
    let project = Project::with_python(SCORE);
    assert_eq!(project.windlass(["run"]).code, 0);
    let code = std::fs::read_to_string(project.path("transforms/score.py")).unwrap();
    project.write(
        "transforms/score.py",
        &code.replace("\"y\": batch[\"x\"] * 2", "\"z\": batch[\"x\"]").replace("== 500", "== -1"),
    );
    let answer = project.windlass(["errors", "score", "--replay"]);
    assert_eq!(answer.code, 1, "{answer}");
    assert!(answer.stderr.contains("error[E0405]"), "{answer}");
    expect![[r#"{"n":989}"#]].assert_eq(&project.rows("select count(*) as n from score"));
    expect![[r#"{"n":11}"#]].assert_eq(&project.rows("select count(*) as n from score__errors"));
}

#[test]
fn who_cannot_have_error_rows_says_so() {
    let project = Project::with_python(SCORE);
    project.add(
        "-- transforms/strict.py --\nfrom windlass import ref, transform\n\n\n@transform(input=ref('numbers'), \
         columns={'id': 'bigint'}, input_columns=['id'], on_error='fail')\ndef strict(batch):\n    return batch\n",
    );
    project.windlass(["errors", "scor"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no node `scor`
          hint: did you mean `score`?
    "#]]);
    project.windlass(["errors", "numbers"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: `numbers` has no error table
          hint: Python transforms of batches with `on_error="quarantine"` have one, and tables with a check of `on_fail: quarantine` or that score with a model
        windlass explain E0103
    "#]]);
    project.windlass(["errors", "score"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: table `score` has not been published yet
          hint: publish it and what it needs: windlass run +score
        windlass explain E0103
    "#]]);
    assert_eq!(project.windlass(["errors", "score", "--replay"]).code, 2);
    assert_eq!(project.windlass(["run", "+strict"]).code, 0);
    project.windlass(["errors", "strict"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: `strict` has no error table
          hint: Python transforms of batches with `on_error="quarantine"` have one, and tables with a check of `on_fail: quarantine` or that score with a model
        windlass explain E0103
    "#]]);
    project.windlass(["errors"]).check(expect![[r#"
        exit 0
        -- stderr
        no error rows in prod
    "#]]);
    project.windlass(["errors", "--replay"]).check(expect![[r#"
        exit 2
        -- stderr
        error: the following required arguments were not provided:
          <NODE>

        Usage: windlass errors --replay <NODE>

        For more information, try '--help'.
    "#]]);
}
