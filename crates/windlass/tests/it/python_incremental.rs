//! Python transforms that are computed bit by bit: which rows Python is given, what they replace, error rows, and
//! runs that end in the middle.

use expect_test::expect;

use crate::support::{Answer, Project};

/// Days of May that are over since long. Negative numbers are rejected, and 13 makes the code fail.
const DAYS: &str = r#"
-- sources.yml --
sources: {raw: {path: 'data/{name}.csv', tables: {events: {columns: {at: timestamp, id: bigint, n: bigint}}}}}
-- transforms/scored.py --
from windlass import ref, reject, source, transform, var


@transform(
    input=source("raw", "events"),
    columns={"at": "timestamp", "id": "bigint", "score": "double"},
    key=["id"],
    requires={"not_null": ["n"]},
    materialized="incremental",
    strategy="by_interval",
    time_column="at",
    interval="day",
    start="2013-05-01",
    end="2013-05-04",
    lookback=1,
    max_error_rate="60%",
)
def scored(batch):
    with open(var("log"), "a") as log:
        log.write("".join(f"{id}\n" for id in batch["id"]))
    reject(batch["n"] < 0, "is negative")
    if (batch["n"] == 13).any():
        raise ValueError("thirteen")
    return {"at": batch["at"], "id": batch["id"], "score": batch["n"] / 2}
-- transforms/reader.sql --
select count(*) as n, (select count(*) from {{ ref('scored__errors') }}) as errors from {{ ref('scored') }}
"#;

/// Three days with an event or two; two rows fail.
const EVENTS: &str = "at,id,n
2013-05-01T01:00:00,1,1
2013-05-01T02:00:00,2,-2
2013-05-02T00:00:00,3,3
2013-05-02T23:59:59,4,
2013-05-03T12:00:00,5,5
";

fn days() -> Project {
    let project = Project::with_python(DAYS);
    let log = project.path("log").display().to_string();
    project.write("windlass.yml", &format!("name: test\nversion: 1\nvars: {{log: '{log}'}}\n"));
    project.write("data/events.csv", EVENTS);
    project
}

/// Returns the ids of the rows that Python was given since the last call, each once.
fn given(project: &Project) -> Vec<u32> {
    let text = std::fs::read_to_string(project.path("log")).unwrap_or_default();
    project.write("log", "");
    let mut ids: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn edit(project: &Project, from: &str, to: &str) {
    let path = "transforms/scored.py";
    let code = std::fs::read_to_string(project.path(path)).unwrap();
    assert!(code.contains(from), "{code}");
    project.write(path, &code.replace(from, to));
}

/// Returns why a run would compute something, with its dates as they are.
fn why(project: &Project) -> String {
    let output = project.command(&["plan", "scored", "--format", "json"]).output().unwrap();
    let plan = crate::support::parsed(&String::from_utf8(output.stdout).unwrap());
    plan["data"]["nodes"][0]["reason"]["text"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn succeed(answer: &Answer) {
    assert_eq!(answer.code, 0, "{answer}");
}

/// Returns the ids of the result and of the error rows.
fn ids(project: &Project) -> (String, String) {
    let of = |table: &str| {
        let sql = format!("select string_agg(cast(id as varchar), ' ' order by id) as ids from {table}");
        let row = crate::support::parsed(&project.rows(&sql));
        row["ids"].as_str().unwrap_or_default().to_owned()
    };
    (of("scored"), of("scored__errors"))
}

#[test]
fn days_are_given_to_python_once() {
    let project = days();
    assert_eq!(why(&project), "not published yet; 3 days: 2013-05-01 to 2013-05-03");
    succeed(&project.windlass(["run", "--from", "2013-05-02", "--to", "2013-05-03"]));
    assert_eq!(given(&project), [3]);
    assert_eq!(ids(&project), ("3".into(), "4".into()));
    let run = project.json(["run"]);
    let node = run["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "scored").unwrap().clone();
    assert_eq!((&node["intervals"]["done"], &node["intervals"]["total"]), (&3.into(), &3.into()), "{node}");
    assert_eq!(given(&project), [1, 2, 5], "days that are done stay");
    assert_eq!(ids(&project), ("1 3 5".into(), "2 4".into()));
    assert_eq!(project.rows("select * from reader"), r#"{"n":3,"errors":2}"#);
    let again = project.windlass(["run"]);
    assert!(again.stderr.contains("Nothing has changed, 2 tables of prod stay"), "{again}");

    // More days, of which one is new.
    project.write("data/events.csv", &format!("{EVENTS}2013-05-04T00:00:00,6,6\n2013-05-04T00:00:01,7,13\n"));
    edit(&project, "2013-05-04", "2013-05-05");
    edit(&project, "lookback=1", "lookback=0");
    assert_eq!(why(&project), "1 of 4 days to do: 2013-05-04");
    let answer = project.windlass(["run"]);
    succeed(&answer);
    assert!(answer.stderr.contains("thirteen"), "{answer}");
    assert_eq!(given(&project), [6, 7]);
    assert_eq!(ids(&project), ("1 3 5 6".into(), "2 4 7".into()));
    assert_eq!(project.rows("select * from reader"), r#"{"n":4,"errors":3}"#);
    project.windlass(["errors", "scored"]).check(expect![[r#"
        exit 0
        -- stdout
        scored  3 of 7 rows failed (42.86%), version 3

          1  python    ValueError: thirteen
                       such as id=7  {"at":"2013-05-04T00:00:01","id":7,"n":13}
          1  reject    is negative
                       such as id=2  {"at":"2013-05-01T02:00:00","id":2,"n":-2}
          1  requires  `n` is null
                       such as id=4  {"at":"2013-05-02T23:59:59","id":4,"n":null}
        -- stderr

        run them again with the code as it is now: windlass errors scored --replay
    "#]]);
}

/// Late rows are found as far back as is looked; error rows of a day go with its rows.
#[test]
fn late_rows_replace_their_day() {
    let project = days();
    succeed(&project.windlass(["run", "-q"]));
    given(&project);
    // A late row of each day, and a row that is mended.
    let late = EVENTS.replace("59,4,\n", "59,4,4\n")
        + "2013-05-01T03:00:00,11,1\n2013-05-02T03:00:00,12,-1\n2013-05-03T03:00:00,13,1\n";
    project.write("data/events.csv", &late);
    assert_eq!(why(&project), "2 days again, for late rows: 2013-05-02 to 2013-05-03");
    succeed(&project.windlass(["run", "-q"]));
    assert_eq!(given(&project), [3, 4, 5, 12, 13]);
    assert_eq!(ids(&project), ("1 3 4 5 13".into(), "2 12".into()));
    // A day that is asked for.
    succeed(&project.windlass(["run", "-q", "scored", "--from", "2013-05-01", "--to", "2013-05-02"]));
    assert_eq!(given(&project), [1, 2, 11]);
    assert_eq!(ids(&project), ("1 3 4 5 11 13".into(), "2 12".into()));
    succeed(&project.windlass(["run", "-q"]));
    assert_eq!(project.rows("select * from reader"), r#"{"n":6,"errors":2}"#);
}

/// Of days with a commit each, those before one that fails are done, with their error rows.
#[test]
fn a_day_that_fails_leaves_those_before_it() {
    let project = days();
    edit(&project, "lookback=1", "batch_intervals=1");
    let bad = EVENTS.replace("12:00:00,5,5", "12:00:00,5,-5");
    project.write("data/events.csv", &bad);
    let answer = project.windlass(["run"]);
    assert_eq!(answer.code, 1, "{answer}");
    assert_eq!(ids(&project), ("1 3".into(), "2 4".into()));
    assert_eq!(why(&project), "1 of 3 days to do: 2013-05-03");
    given(&project);
    project.write("data/events.csv", EVENTS);
    succeed(&project.windlass(["run"]));
    assert_eq!(given(&project), [5]);
    assert_eq!(ids(&project), ("1 3 5".into(), "2 4".into()));
}

/// A run that is killed before the commit of a day is gone on with; so is one that died between the commits of the
/// error table and of the table.
#[test]
fn a_killed_run_is_gone_on_with() {
    let project = days();
    edit(&project, "lookback=1", "batch_intervals=1");
    succeed(&project.windlass(["run", "-q", "scored", "--from", "2013-05-01", "--to", "2013-05-02"]));
    let mut running = project.start(["run", "scored"], &[("WINDLASS_TEST_HOLD_AT", "staged:scored")]);
    running.wait_for("held at");
    running.signal("KILL");
    running.wait();
    assert_eq!(ids(&project), ("1".into(), "2".into()));
    succeed(&project.windlass(["run", "-q", "scored", "--from", "2013-05-02", "--to", "2013-05-03"]));
    assert_eq!(ids(&project), ("1 3".into(), "2 4".into()));
    let log = "lake/prod/scored/_delta_log";
    let entries = project.files(log);
    std::fs::remove_file(project.path(log).join(entries.last().unwrap())).unwrap();
    assert_eq!(ids(&project), ("1".into(), "2".into()), "error rows that no version names do not count");
    succeed(&project.windlass(["run", "-q"]));
    assert_eq!(ids(&project), ("1 3 5".into(), "2 4".into()));
    assert_eq!(project.windlass(["gc"]).code, 0);
    assert_eq!(ids(&project), ("1 3 5".into(), "2 4".into()));
}

/// Rows that did not fail again join their days, and what is done stays done.
#[test]
fn a_replay_forgets_no_day() {
    let project = days();
    edit(&project, "lookback=1", "on_definition_change=\"forward\"");
    succeed(&project.windlass(["run", "-q"]));
    edit(&project, "batch[\"n\"] < 0", "batch[\"n\"] < -9");
    succeed(&project.windlass(["errors", "scored", "--replay"]));
    assert_eq!(ids(&project), ("1 2 3 5".into(), "4".into()));
    given(&project);
    let plan = project.json(["plan", "scored"]);
    assert_eq!(plan["nodes"][0]["action"], "reuse", "{plan}");
    // The code of now computes what is asked for.
    succeed(&project.windlass(["run", "-q", "scored", "--from", "2013-05-01", "--to", "2013-05-02"]));
    assert_eq!(given(&project), [1, 2]);
    assert_eq!(ids(&project), ("1 2 3 5".into(), "4".into()));
    // Other code without `forward` computes all of it.
    edit(&project, "on_definition_change=\"forward\",", "");
    edit(&project, "/ 2", "* 2");
    let planned = project.windlass(["plan", "scored"]);
    assert!(planned.stdout.contains("transforms/scored.py changed; 3 days"), "{planned}");
    succeed(&project.windlass(["run", "-q"]));
    assert_eq!(given(&project), [1, 2, 3, 5]);
}

/// A column that is new in the input joins the error rows that are there.
#[test]
fn error_rows_of_other_columns_stay() {
    let project = days();
    succeed(&project.windlass(["run", "-q", "scored", "--from", "2013-05-01", "--to", "2013-05-02"]));
    edit(&project, "lookback=1", "on_definition_change=\"forward\"");
    let yaml = std::fs::read_to_string(project.path("sources.yml")).unwrap();
    project.write("sources.yml", &yaml.replace("n: bigint", "n: bigint, more: varchar"));
    let events = EVENTS.replace("\n2013", ",x\n2013").replace("n,x\n", "n,more\n").replace(",5\n", ",5,x\n");
    project.write("data/events.csv", &events);
    succeed(&project.windlass(["run", "-q", "scored"]));
    assert_eq!(ids(&project), ("1 3 5".into(), "2 4".into()));
    let rows = project.rows("select id, row['more'] as more, row['n'] as n from scored__errors order by id");
    assert_eq!(rows, "{\"id\":2,\"more\":null,\"n\":-2}\n{\"id\":4,\"more\":\"x\",\"n\":null}");
}

#[test]
fn rows_without_a_time_and_rows_of_another_day() {
    let project = days();
    project.write("data/events.csv", &format!("{EVENTS},8,8\n"));
    let run = project.json(["run", "scored"]);
    assert_eq!(run["nodes"][0]["left_out_rows"], 1, "{run}");
    assert!(!given(&project).contains(&8));
    edit(&project, "\"at\": batch[\"at\"]", "\"at\": batch[\"at\"] + np.timedelta64(1, \"D\")");
    edit(&project, "from windlass", "import numpy as np\nfrom windlass");
    project.windlass(["run", "scored"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ scored  failed  [TIME]
        error[E0807]: a row of `scored` is in no interval that was computed: at=2013-05-04T12:00:00 is not where at >= '2013-05-01 00:00:00' AND at < '2013-05-04 00:00:00'
          hint: return `time_column` as it came
        windlass explain E0807
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    assert_eq!(ids(&project), ("1 3 5".into(), "2 4".into()), "nothing of it is published");
}

#[test]
fn columns_that_say_nothing_about_time() {
    let project = days();
    edit(&project, "time_column=\"at\"", "time_column=\"id\"");
    project.windlass(["plan", "scored"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0105]: `time_column` of `scored` names column `id` of type bigint
          --> transforms/scored.py:11:17
           |
        11 |     time_column="id",
           |                 ^
           |
           = help: cast it to date or timestamp
        windlass explain E0105
    "#]]);
    edit(&project, "time_column=\"id\"", "time_column=\"score\"");
    edit(&project, "\"score\": \"double\"", "\"score\": \"timestamp\"");
    project.windlass(["plan", "scored"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0102]: `time_column` of `scored` names column `score`, which `raw.events` does not have
          --> transforms/scored.py:11:17
           |
        11 |     time_column="score",
           |                 ^
           |
           = note: columns: `at`, `id`, `n`
        windlass explain E0102
    "#]]);
}
