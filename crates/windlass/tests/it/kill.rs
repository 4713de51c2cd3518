//! `kill -9` at every point of a run: readers see the old version or the new one, never a part of
//! one, the next run ends as if nothing had happened, and `gc` removes what was left behind.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Project, Running};

/// A table, a partitioned table over it, and an aggregate over that. `scale` changes every row.
const PROJECT: &str = "
-- windlass.yml --
name: test
version: 1
vars: {scale: 1}
-- transforms/numbers.sql --
select value as id, value % 5 as bucket, value * {{ var('scale') }} as amount
from generate_series(1, 2000) t(value)
-- transforms/buckets.sql --
{{ config(partition_by=['bucket']) }}
select id, amount, bucket from {{ ref('numbers') }}
-- transforms/sums.sql --
select bucket, count(*) as ids, sum(amount) as amount from {{ ref('buckets') }} group by bucket
";

/// The tables, in the order in which one thread builds them.
const TABLES: [&str; 3] = ["numbers", "buckets", "sums"];

/// How long a test waits for what takes a second on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Rows of each table, a line each, in order; `None` for a table that is not there.
type Tables = BTreeMap<&'static str, Option<String>>;

/// What runs that nothing disturbs publish, with `scale` 1 and 2.
static FIRST: LazyLock<Tables> = LazyLock::new(|| undisturbed("1"));
static SECOND: LazyLock<Tables> = LazyLock::new(|| undisturbed("2"));

fn undisturbed(scale: &str) -> Tables {
    let project = Project::new(PROJECT);
    run(&project, scale);
    tables(&project)
}

/// Runs to the end.
fn run(project: &Project, scale: &str) {
    let answer = project.windlass(["run", "--vars", &format!("scale={scale}")]);
    assert_eq!(answer.code, 0, "{answer}");
}

/// Starts a run and kills it where it is held.
fn kill_at(project: &Project, point: &str) {
    let run = hold_at(project, point);
    run.signal("KILL");
    assert_eq!(run.wait().code, -1);
}

fn hold_at(project: &Project, point: &str) -> Running {
    let mut run = project.start(["run", "--vars", "scale=2"], &[("WINDLASS_TEST_HOLD_AT", point)]);
    run.wait_for(&format!("held at {point}"));
    run
}

/// Reads every table as users do.
fn tables(project: &Project) -> Tables {
    let read = |name: &'static str| {
        let answer = project.windlass(["show", name, "-n", "100000", "--format", "json"]);
        if answer.code != 0 {
            assert!(answer.stderr.contains("has not been published yet"), "{answer}");
            return (name, None);
        }
        let shown = crate::support::parsed(&answer.stdout);
        let mut rows: Vec<String> = shown["data"]["rows"].as_array().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(shown["data"]["table_rows"], rows.len(), "the log counts the rows of `{name}`");
        rows.sort();
        (name, Some(rows.join("\n")))
    };
    TABLES.into_iter().map(read).collect()
}

/// Compares without printing thousands of rows.
#[track_caller]
fn assert_tables(found: &Tables, expected: &Tables, when: &str) {
    for name in TABLES {
        let lines = |text: &Option<String>| text.as_ref().map(|text| text.lines().count());
        let (found, expected) = (&found[name], &expected[name]);
        assert_eq!(lines(found), lines(expected), "rows of `{name}` {when}");
        assert!(found == expected, "rows of `{name}` {when} differ from those of an undisturbed run");
    }
}

/// Returns what readers must see after a kill at `phase` of `node`.
fn expected(phase: &str, node: &str, before: &Tables) -> Tables {
    let at = TABLES.iter().position(|name| *name == node).unwrap();
    let published = if phase == "committed" { at + 1 } else { at };
    let of = |(index, name): (usize, &'static str)| {
        (name, if index < published { SECOND[name].clone() } else { before[name].clone() })
    };
    TABLES.into_iter().enumerate().map(of).collect()
}

/// The newest runs, newest first: outcome and reason.
fn runs(project: &Project, limit: &str) -> Vec<(Value, Value)> {
    let listed = project.json(["runs", "ls", "-n", limit]);
    let runs = listed["runs"].as_array().unwrap().iter();
    runs.map(|run| (run["outcome"].clone(), run["reason"].clone())).collect()
}

/// What `gc` finds: table, path and reason.
fn garbage(project: &Project, args: &[&str]) -> Vec<(String, String, String)> {
    let answer = project.answer(project.command(&["gc", "--format", "json"]).args(args));
    assert_eq!(answer.code, 0, "{answer}");
    let report = crate::support::parsed(&answer.stdout);
    let text = |file: &Value, key: &str| file[key].as_str().unwrap().to_owned();
    let files = report["data"]["files"].as_array().unwrap().iter();
    files.map(|file| (text(file, "table"), text(file, "path"), text(file, "reason"))).collect()
}

/// Returns the files of the lake, but for the tables' logs.
fn data_files(project: &Project) -> Vec<String> {
    project.files("lake").into_iter().filter(|path| !path.contains("/_delta_log/")).collect()
}

/// Kills at `phase` of every node, with and without an older version, and looks at what follows.
fn check(phase: &str) {
    let nothing: Tables = TABLES.into_iter().map(|name| (name, None)).collect();
    for node in TABLES {
        for before in [&nothing, &*FIRST] {
            let project = Project::new(PROJECT);
            if before["sums"].is_some() {
                run(&project, "1");
            }
            let files_before = data_files(&project);
            let point = format!("{phase}:{node}");
            kill_at(&project, &point);
            let expected = expected(phase, node, before);
            assert_tables(&tables(&project), &expected, &format!("after a kill at {point}"));
            assert_eq!(runs(&project, "1"), [("failed".into(), "process_ended".into())], "{point}");

            let leftovers = garbage(&project, &["--dry-run"]);
            let staged = data_files(&project);
            match phase {
                "staged" => {
                    let files = if node == "buckets" { 5 } else { 1 };
                    assert_eq!(leftovers.len(), files, "{leftovers:?}");
                    for (table, path, reason) in &leftovers {
                        assert_eq!((table.as_str(), reason.as_str()), (node, "leftover"));
                        assert!(staged.contains(&format!("prod/{table}/{path}")), "{path} is not in {staged:?}");
                    }
                }
                _ => assert_eq!(leftovers, [], "{point}"),
            }
            assert_eq!(garbage(&project, &[]), leftovers, "gc removes what it announced");
            assert_eq!(garbage(&project, &[]), [], "nothing is found twice");
            let left = data_files(&project);
            assert_eq!(left.len(), staged.len() - leftovers.len());
            assert!(files_before.iter().all(|file| left.contains(file)), "files of old versions stay");
            assert_tables(&tables(&project), &expected, &format!("after gc, killed at {point}"));

            run(&project, "2");
            assert_tables(&tables(&project), &SECOND, &format!("after the run that followed a kill at {point}"));
            let outcomes = runs(&project, "2");
            assert_eq!(outcomes, [("success".into(), Value::Null), ("failed".into(), "process_ended".into())]);
        }
    }
}

#[test]
fn while_staging() {
    check("staging");
}

#[test]
fn between_staging_and_commit() {
    check("staged");
}

#[test]
fn right_after_the_commit() {
    check("committed");
}

#[test]
fn gc_after_the_next_run_removes_the_dead_runs_files() {
    let project = Project::new(PROJECT);
    run(&project, "1");
    kill_at(&project, "staged:buckets");
    let leftovers = garbage(&project, &["--dry-run"]);
    assert_eq!(leftovers.len(), 5);
    run(&project, "2");
    assert_eq!(garbage(&project, &["--dry-run"]), leftovers);
    assert_eq!(garbage(&project, &[]), leftovers);
    assert!(leftovers.iter().all(|(table, path, _)| !project.path(&format!("lake/prod/{table}/{path}")).is_file()));
    assert_tables(&tables(&project), &SECOND, "after gc");
    // What the run before published goes on request only.
    let replaced = garbage(&project, &["--keep-versions-for", "0s"]);
    assert!(replaced.iter().all(|(_, _, reason)| reason == "replaced"), "{replaced:?}");
    assert_tables(&tables(&project), &SECOND, "after gc of old versions");
}

/// Noise does not compress: the writer uploads in parts of 10 MiB, which on a disk is a file with `#`
/// behind its name until it is complete.
const LONG: &str = "
-- windlass.yml --
name: test
version: 1
vars: {rows: 1000}
-- transforms/long.sql --
select value as id, sin(value) as wave from generate_series(1, {{ var('rows') }}) t(value)
";

#[test]
fn in_the_middle_of_a_file() {
    for has_version in [false, true] {
        let project = Project::new(LONG);
        if has_version {
            assert_eq!(project.windlass(["run"]).code, 0);
        }
        let read = || project.windlass(["show", "--sql", "select count(*) as n, max(id) as m from long"]);
        let before = read();
        assert_eq!(before.code, if has_version { 0 } else { 2 }, "{before}");

        let run = project.start(["run", "--vars", "rows=100000000000"], &[]);
        let folder = project.path("lake/prod/long");
        wait_until("a part of a file is written", || partial_files(&folder) > 0);
        run.signal("KILL");
        assert_eq!(run.wait().code, -1);

        assert_eq!(read().to_string(), before.to_string(), "a reader sees what it saw before");
        let found = garbage(&project, &["--dry-run"]);
        assert!(found.iter().any(|(_, path, _)| path.contains('#')), "{found:?}");
        assert_eq!(garbage(&project, &[]), found);
        assert_eq!(partial_files(&folder), 0);
        assert_eq!(data_files(&project).len(), usize::from(has_version));
        assert_eq!(read().to_string(), before.to_string(), "gc takes nothing that is read");

        assert_eq!(project.windlass(["run"]).code, 0);
        assert_eq!(project.rows("select count(*) as n, max(id) as m from long"), r#"{"n":1000,"m":1000}"#);
    }
}

fn partial_files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains('#')).count()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Another project reads the published tables while their writer is killed.
#[test]
fn a_run_that_reads_meanwhile_sees_whole_versions() {
    let project = Project::new(PROJECT);
    run(&project, "1");
    let reader = Project::new("-- transforms/copy.sql --\nselect * from {{ source('shop', 'buckets') }}\n");
    let lake = project.path("lake/prod");
    reader.write(
        "sources.yml",
        &format!(
            "sources:\n  shop:\n    tables:\n      buckets: {{path: \"{}/buckets\", format: delta}}\n",
            lake.display()
        ),
    );
    let sum = || {
        assert_eq!(reader.windlass(["run"]).code, 0);
        reader.rows("select count(*) as n, sum(amount) as amount from copy")
    };
    let (old, new) = (r#"{"n":2000,"amount":2001000}"#, r#"{"n":2000,"amount":4002000}"#);
    assert_eq!(sum(), old);
    for (point, expected) in [("staging:buckets", old), ("staged:buckets", old), ("committed:buckets", new)] {
        let writer = hold_at(&project, point);
        assert_eq!(sum(), expected, "while the writer is held at {point}");
        writer.signal("KILL");
        assert_eq!(writer.wait().code, -1);
        assert_eq!(sum(), expected, "after the writer was killed at {point}");
    }

    // A reader that is killed leaves what it reads as it was.
    let mut held = reader.start(["run", "--no-cache"], &[("WINDLASS_TEST_HOLD_AT", "staging:copy")]);
    held.wait_for("held at staging:copy");
    held.signal("KILL");
    assert_eq!(held.wait().code, -1);
    assert_eq!(sum(), new);
    run(&project, "2");
    assert_tables(&tables(&project), &SECOND, "after all");
}

/// A reader that has opened a version reads it to its end, whatever is published meanwhile.
#[test]
fn a_version_that_is_being_read_stays() {
    let project = Project::new(PROJECT);
    run(&project, "1");
    let sql = "select count(*) as n, sum(a.amount) as amount \
               from buckets a cross join generate_series(1, 20000) t(value)";
    let reader = {
        let mut command = project.command(&["show", "--sql", sql, "--format", "json"]);
        command.stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    kill_at(&project, "committed:sums");
    assert_eq!(garbage(&project, &[]), []);
    let output = reader.wait_with_output().unwrap();
    assert!(output.status.success());
    let shown = crate::support::parsed(&String::from_utf8_lossy(&output.stdout));
    let row = shown["data"]["rows"][0].to_string();
    let whole = |amount: i64| format!(r#"{{"n":40000000,"amount":{}}}"#, amount * 20_000);
    assert!([whole(2_001_000), whole(4_002_000)].contains(&row), "{row}");
}

#[test]
fn a_second_run_is_told_who_holds_the_lease() {
    let project = Project::new(PROJECT);
    let first = hold_at(&project, "staged:numbers");
    let pid = project.json(["runs", "ls"])["runs"][0]["pid"].clone();
    let started = Instant::now();
    let answer = project.windlass(["run"]);
    assert!(started.elapsed() < Duration::from_secs(20), "it is refused at once");
    assert_eq!(answer.code, 2, "{answer}");
    assert!(answer.stderr.contains("error[E0901]"), "{answer}");
    assert!(answer.stderr.contains(&format!("pid {pid} on host ")), "{answer}");
    assert_eq!(project.json(["runs", "ls"])["runs"].as_array().unwrap().len(), 1, "no second run began");
    first.signal("KILL");
    assert_eq!(first.wait().code, -1);
    run(&project, "2");
    assert_tables(&tables(&project), &SECOND, "after the second run");
}
