//! What Python code prints: shown at once, and kept with the run.

use expect_test::expect;

use crate::support::{Project, is_there, pretty};

const LOUD: &str = r#"
-- transforms/numbers.sql --
select value as id from generate_series(1, 10) t(value)
-- transforms/loud.py --
import sys
from windlass import ref, transform


@transform(input=ref("numbers"), columns={"id": "bigint"}, concurrency=1)
class Loud:
    def __init__(self):
        print("\x1b[31mloading\x1b[0m")
        print(" 50%\r100%", end="\r\n")

    def __call__(self, batch):
        print("tab\there", len(batch["id"]), file=sys.stderr)
        return batch
"#;

#[test]
fn prints_are_shown_and_kept() {
    let project = Project::with_python(LOUD);
    let run = project.windlass(["run"]);
    assert_eq!(run.code, 0, "{run}");
    // Lines of stdout and stderr take two ways, so either may come first.
    for line in ["loud[w1] \\x1b[31mloading\\x1b[0m\n", "loud[w1] 100%\n", "loud[w1] tab\there 10\n"] {
        assert!(run.stderr.contains(line), "{run}");
    }
    let logs = project.windlass(["runs", "logs"]);
    let mut lines: Vec<&str> = logs.stdout.lines().collect();
    lines.sort_unstable();
    expect![[r#"
        [CLOCK] loud[w1] 100%
        [CLOCK] loud[w1] \x1b[31mloading\x1b[0m
        [CLOCK] loud[w1] tab	here 10"#]]
    .assert_eq(&lines.join("\n"));
    assert_eq!(project.windlass(["runs", "logs", "loud"]).stdout, project.windlass(["runs", "logs"]).stdout);
    let mut log = project.json(["runs", "logs", "latest", "loud"]);
    let lines = log["lines"].as_array_mut().unwrap();
    lines.sort_by_key(|line| line["text"].to_string());
    expect![[r#"
        {
          "run_id": "[RUN_ID]",
          "lines": [
            {
              "at": "[AT]",
              "node": "loud",
              "worker": 1,
              "stream": "stdout",
              "text": "100%"
            },
            {
              "at": "[AT]",
              "node": "loud",
              "worker": 1,
              "stream": "stdout",
              "text": "\u001b[31mloading\u001b[0m"
            },
            {
              "at": "[AT]",
              "node": "loud",
              "worker": 1,
              "stream": "stderr",
              "text": "tab\there 10"
            }
          ]
        }"#]]
    .assert_eq(&pretty(log));
    project.windlass(["runs", "logs", "latest", "numbers"]).check(expect![[r#"
        exit 0
        -- stderr
        no Python code of `numbers` printed anything in run [RUN]
    "#]]);
    project.windlass(["runs", "logs", "latest", "nope"]).check(expect![[r#"
        exit 2
        -- stderr
        error: `nope` was not part of run [RUN]
          hint: windlass runs show [RUN]
    "#]]);
    project.windlass(["runs", "logs", "nope"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no run `nope`
          hint: `windlass runs ls` lists the runs
    "#]]);
}

#[test]
fn who_wants_it_quiet_finds_it_in_the_log() {
    let project = Project::with_python(LOUD);
    project.windlass(["run", "-q"]).check(expect![[r#"
        exit 0
    "#]]);
    assert_eq!(project.windlass(["runs", "logs"]).stdout.lines().count(), 3);
}

#[test]
fn a_line_is_shown_while_its_code_runs() {
    let project = Project::with_python(
        r#"
-- transforms/numbers.sql --
select 1 as id
-- transforms/slow.py --
import os
import time
from windlass import ref, transform, var


@transform(input=ref("numbers"), columns={"id": "bigint"})
def slow(batch):
    print("waiting")
    while not os.path.exists(var("file")):
        time.sleep(0.01)
    print("done")
    return batch
"#,
    );
    let file = project.path("go");
    let var = format!("file={}", file.display());
    let mut running = project.start(["run", "--vars", &var], &[]);
    running.wait_for("slow[w1] waiting");
    let logs = project.windlass(["runs", "logs", "latest", "slow"]);
    assert!(logs.stdout.ends_with("slow[w1] waiting\n"), "{logs}");
    std::fs::write(&file, "").unwrap();
    let answer = running.wait();
    assert_eq!(answer.code, 0, "{answer}");
    assert!(answer.stderr.contains("slow[w1] done\n"), "{answer}");
}

#[test]
fn a_run_without_python_keeps_no_log() {
    let project = Project::new("-- transforms/numbers.sql --\nselect 1 as id\n");
    project.windlass(["runs", "logs"]).check(expect![[r#"
        exit 2
        -- stderr
        error: there was no run yet
          hint: windlass run
    "#]]);
    assert_eq!(project.windlass(["run"]).code, 0);
    project.windlass(["runs", "logs"]).check(expect![[r#"
        exit 0
        -- stderr
        no Python code printed anything in run [RUN]
    "#]]);
    assert!(!is_there(&project.path(".windlass/logs")));
}
