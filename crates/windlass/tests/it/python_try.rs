//! `windlass try`: one transform on a few rows, with nothing published.

use expect_test::expect;

use crate::python_errors::SCORE;
use crate::support::{Project, is_there, pretty};

#[test]
fn a_transform_is_tried_on_a_few_rows() {
    let project = Project::with_python(SCORE);
    assert_eq!(project.windlass(["run", "numbers"]).code, 0);
    project.windlass(["try", "score", "--rows", "20", "-n", "3"]).check(expect![[r#"
        exit 0
        -- stdout
        +----+-----+
        | id | y   |
        +----+-----+
        | 1  | 1.0 |
        | 2  | 2.0 |
        | 3  | 3.0 |
        +----+-----+

        1 row failed

          1  requires  `x` is null
                       such as id=7  {"id":7,"x":null}
        -- stderr
        20 rows in, 19 rows out, 1 failed, first 3 shown · ready after [TIME], computed in [TIME]
    "#]]);
    expect![[r#"
        {
          "node": "score",
          "columns": [
            {
              "name": "id",
              "type": "bigint"
            },
            {
              "name": "y",
              "type": "double"
            }
          ],
          "rows": [
            {
              "id": 1,
              "y": 1.0
            }
          ],
          "row_count": 7,
          "rows_in": 8,
          "error_rows": 1,
          "causes": [
            {
              "error_rows": 1,
              "stage": "requires",
              "error_type": null,
              "message": "`x` is null",
              "traceback": null,
              "example_key": "id=7",
              "example_row": {
                "id": 7,
                "x": null
              }
            }
          ],
          "prepare_ms": "[PREPARE_MS]",
          "compute_ms": "[COMPUTE_MS]"
        }"#]]
    .assert_eq(&pretty(project.json(["try", "score", "--rows", "8", "-n", "1"])));
    assert!(!is_there(&project.path("lake/prod/score")), "nothing is published");
    assert_eq!(project.windlass(["runs", "ls"]).stdout.lines().count(), 1, "nothing is recorded");
    project.windlass(["try", "numbers", "--rows", "3"]).check(expect![[r#"
        exit 0
        -- stdout
        +----+-----+
        | id | x   |
        +----+-----+
        | 1  | 0.5 |
        | 2  | 1.0 |
        | 3  | 1.5 |
        +----+-----+
        -- stderr
        3 rows · computed in [TIME]
    "#]]);
}

#[test]
fn prints_and_tracebacks_go_to_the_screen() {
    let project = Project::with_python(SCORE);
    assert_eq!(project.windlass(["run", "numbers"]).code, 0);
    // One row fails: that is a result.
    let sample = project.windlass(["try", "score", "--rows", "600", "-n", "1"]);
    assert_eq!(sample.code, 0, "{sample}");
    assert!(sample.stderr.starts_with("looking at 500\n"), "{sample}");
    let (_, failed) = sample.stdout.split_once("\n\n").unwrap();
    expect![[r#"
        7 rows failed

          6  requires  `x` is null
                       such as id=7  {"id":7,"x":null}
          1  python    ValueError: 500 is
                       such as id=500  {"id":500,"x":250.0}
                       Traceback (most recent call last):
                         File "[DIR]/transforms/score.py", line 14, in score
                           raise ValueError("500 is\nnot a number")
                       ValueError: 500 is
                       not a number
    "#]]
    .assert_eq(failed);
    // All rows fail: that is the code.
    let code = std::fs::read_to_string(project.path("transforms/score.py")).unwrap();
    project.write("transforms/score.py", &code.replace("batch[\"x\"]", "batch[\"z\"]"));
    project.windlass(["try", "score", "--rows", "5"]).check(expect![[r#"
        exit 1
        -- stdout
        +----+---+
        | id | y |
        +----+---+
        +----+---+

        5 rows failed

          5  python  KeyError: 'z'
                     such as id=1  {"id":1,"x":0.5}
                     Traceback (most recent call last):
                       File "[DIR]/transforms/score.py", line 15, in score
                         return {"id": batch["id"], "y": batch["z"] * 2}
                     KeyError: 'z'
        -- stderr
        5 rows in, 0 rows out, 5 failed · ready after [TIME], computed in [TIME]
    "#]]);
    project.write("transforms/score.py", &code.replace("\"y\": batch", "\"z\": batch"));
    project.windlass(["try", "score", "--rows", "5"]).check(expect![[r#"
        exit 1
        -- stderr
        error[E0405]: the result has no column `y`; it has `id`, `z`, and `columns` declares `id`, `y`
          --> transforms/score.py:11:5
           |
        11 | def score(batch):
           |     ^^^^^
        windlass explain E0405
    "#]]);
}

#[test]
fn what_cannot_be_tried_says_why() {
    let project = Project::with_python(SCORE);
    project.add("-- seeds/people.csv --\nid,name\n1,Ada\n");
    project.windlass(["try", "people"]).check(expect![[r#"
        exit 2
        -- stderr
        error: `people` is a seed and computes nothing
          hint: its first rows: windlass show people
    "#]]);
    project.windlass(["try", "nope"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no node `nope`
          hint: `windlass ls` lists the nodes; a query goes behind `windlass show --sql`
    "#]]);
    project.windlass(["try", "score"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: table `numbers` has not been published yet
         --> transforms/numbers.sql:1:1
          |
        1 | select value as id, case when value % 100 <> 7 then value * 0.5 end as x from generate_series(1, 1000) t(value)
          | ^
          |
          = help: publish it too: windlass run +score
        windlass explain E0103
    "#]]);
    project.write("transforms/score.py", "def score(batch:\n");
    project.windlass(["try", "score"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0401]: the Python file cannot be parsed: unexpected EOF while parsing
         --> transforms/score.py:1:18
          |
        1 | def score(batch:
          |                 ^
        windlass explain E0401
    "#]]);
}

#[test]
fn a_change_is_tried_at_once() {
    let project = Project::with_python(SCORE);
    assert_eq!(project.windlass(["run", "numbers"]).code, 0);
    let code = std::fs::read_to_string(project.path("transforms/score.py")).unwrap();
    let mut running = project.start(["try", "score", "--watch", "--rows", "5"], &[]);
    running.wait_for("5 rows in, 5 rows out");
    project.write("transforms/score.py", &code.replace("    if (batch", "    print('new code')\n    if (batch"));
    running.wait_for("transforms/score.py changed");
    running.wait_for("5 rows in, 5 rows out");
    project.write("transforms/score.py", "def score(batch:\n");
    running.wait_for("error[E0401]");
    project.write("transforms/score.py", &code);
    running.wait_for("5 rows in, 5 rows out");
    running.wait_for("waiting for a file to change");
    running.signal("INT");
    let answer = running.wait();
    assert_eq!(answer.code, 0, "{answer}");
    assert!(answer.stderr.contains("\nnew code\n"), "{answer}");
}
