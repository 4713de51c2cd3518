//! Runs that go on from an earlier one: `run --failed` and `runs resume`.

use expect_test::expect;
use serde_json::Value;

use crate::support::{Answer, Project, parsed};

/// `bad` divides by what a variable says; `after` needs it, `other` does not.
const PROJECT: &str = "
-- windlass.yml --
name: test
version: 1
vars: {by: 0}
-- transforms/first.sql --
select value as id from generate_series(1, 10) t(value)
-- transforms/bad.sql --
select id / ({{ var('by') }} + id - id) as x from {{ ref('first') }}
-- transforms/after.sql --
select count(*) as n from {{ ref('bad') }}
-- transforms/other.sql --
select max(id) as id from {{ ref('first') }}
";

#[track_caller]
fn succeed(answer: &Answer) {
    assert_eq!(answer.code, 0, "{answer}");
}

/// Returns what became of each node: `first: reused`.
fn outcomes(run: &Value) -> String {
    let line = |node: &Value| format!("{}: {}", node["name"].as_str().unwrap(), node["outcome"].as_str().unwrap());
    run["nodes"].as_array().unwrap().iter().map(line).collect::<Vec<_>>().join(", ")
}

/// Kills a run where it is held.
fn kill_at<const N: usize>(project: &Project, args: [&str; N], point: &str) {
    let mut run = project.start(args, &[("WINDLASS_TEST_HOLD_AT", point)]);
    run.wait_for(&format!("held at {point}"));
    run.signal("KILL");
    assert_eq!(run.wait().code, -1);
}

#[test]
fn what_failed_is_done_again_with_what_it_needs() {
    let project = Project::new(PROJECT);
    project.windlass(["run", "--failed"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no run of `prod` yet, so nothing is known to have failed
          hint: run everything that has changed: windlass run
    "#]]);
    let run = project.windlass(["run", "--format", "json"]);
    assert_eq!(run.code, 1);
    assert_eq!(outcomes(&parsed(&run.stdout)["data"]), "first: success, bad: failed, after: skipped, other: success");
    let plan = project.json(["plan", "--failed"]);
    let planned: Vec<&str> =
        plan["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect();
    assert_eq!(planned, ["first", "bad", "after"]);
    let again = project.json(["run", "--failed", "--vars", "by=2"]);
    assert_eq!(outcomes(&again), "first: reused, bad: success, after: success");
    assert_eq!(again["selection"], "first bad after");
    project.windlass(["run", "--failed"]).check(expect![[r#"
        exit 0
        -- stderr
        nothing of this has failed in run [RUN], the last of its environment
        Published 0 of 0 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    // Of another environment nothing is known.
    assert_eq!(project.windlass(["run", "--failed", "-e", "dev"]).code, 2);
}

#[test]
fn a_selection_is_kept_within_what_failed() {
    let project = Project::new(PROJECT);
    assert_eq!(project.windlass(["run", "+after", "-q"]).code, 1);
    let again = project.json(["run", "bad", "other", "--failed", "--vars", "by=1"]);
    assert_eq!(outcomes(&again), "bad: success");
}

#[test]
fn a_killed_run_goes_on_with_what_it_was_asked_for() {
    let project = Project::new(PROJECT);
    kill_at(&project, ["run", "+after", "--vars", "by=5", "-e", "dev", "--no-cache"], "staging:bad");
    let resumed = project.windlass(["runs", "resume"]);
    resumed.check(expect![[r#"
        exit 0
        -- stderr
        continues run [RUN] in dev: 1 of 3 nodes are done: first
          ✓ first  unchanged  version 0
          ✓ bad             10 rows  [SIZE]  version 0  [TIME]
          ✓ after             1 row  [SIZE]  version 0  [TIME]
        Published 2 of 3 to dev, 1 unchanged  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    let shown = project.json(["runs", "show"]);
    assert_eq!(shown["run"]["env"], "dev");
    assert_eq!(shown["run"]["selection"], "+after");
    assert_eq!(shown["run"]["arguments"]["vars"], serde_json::json!(["by=5"]));
    let before = project.json(["runs", "ls"])["runs"][1]["run_id"].clone();
    assert_eq!(shown["run"]["arguments"]["resumes"], before);
    // `first` was done, so `--no-cache` asks for it no more.
    let kinds: Vec<String> = shown["nodes"].as_array().unwrap().iter().map(|node| node["kind"].to_string()).collect();
    assert_eq!(kinds, ["\"reused\"", "\"published\"", "\"published\""]);
    assert_eq!(project.rows("select 1 as one"), r#"{"one":1}"#);
    let done = project.windlass(["runs", "resume"]);
    assert!(done.code == 0 && done.stderr.contains("ended well, nothing of it is left to do"), "{done}");
}

#[test]
fn a_run_is_continued_twice() {
    let project = Project::new(PROJECT);
    kill_at(&project, ["run", "--full-refresh", "--vars", "by=5"], "staging:bad");
    kill_at(&project, ["runs", "resume"], "staging:after");
    let resumed = project.json(["runs", "resume"]);
    assert_eq!(outcomes(&resumed), "first: reused, bad: reused, after: success, other: success");
}

#[test]
fn intervals_that_are_done_stay_done() {
    let project = Project::new(
        "
-- transforms/daily.sql --
{{ config(materialized='incremental', strategy='by_interval', time_column='day', interval='day',
          start='2013-05-01', end='2013-05-05', batch_intervals=1) }}
select cast('2013-05-01' as date) + cast(value as int) as day, random() as x from generate_series(0, 3) t(value)
-- transforms/reader.sql --
select count(*) as days from {{ ref('daily') }}
",
    );
    succeed(&project.windlass(["run", "-q"]));
    let days = || project.rows("select day, x from daily order by day");
    let before = days();
    kill_at(&project, ["run", "--from", "2013-05-02", "--to", "2013-05-04"], "staging:reader");
    let between = days();
    let line = |text: &str, at: usize| text.lines().nth(at).unwrap().to_owned();
    assert_eq!((line(&before, 0), line(&before, 3)), (line(&between, 0), line(&between, 3)));
    assert_ne!(line(&before, 1), line(&between, 1));
    let resumed = project.json(["runs", "resume"]);
    assert_eq!(outcomes(&resumed), "daily: reused, reader: success");
    assert_eq!(between, days());
    let intervals = &resumed["nodes"][0]["intervals"];
    expect![[r#"{"unit":"day","total":4,"done":4,"run":[{"from":"2013-05-02T00:00:00Z","to":"2013-05-04T00:00:00Z"}],"missing":[]}"#]].assert_eq(&intervals.to_string());
}

#[test]
fn what_cannot_be_continued_says_why() {
    let project = Project::new(PROJECT);
    project.windlass(["runs", "resume"]).check(expect![[r#"
        exit 2
        -- stderr
        error: there was no run yet
          hint: windlass run
    "#]]);
    let mut run = project.start(["run", "--vars", "by=1"], &[("WINDLASS_TEST_HOLD_AT", "staging:bad")]);
    run.wait_for("held at staging:bad");
    let answer = project.windlass(["runs", "resume"]);
    assert!(answer.code == 2 && answer.stderr.contains("goes on, in process"), "{answer}");
    run.signal("KILL");
    run.wait();
    project.windlass(["runs", "resume", "ffff"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no run `ffff`
          hint: `windlass runs ls` lists the runs
    "#]]);
}
