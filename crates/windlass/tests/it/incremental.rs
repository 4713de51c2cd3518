//! Incremental tables from the command line: what a plan says, spans of time, mistakes, other readers.

use expect_test::expect;

use crate::support::Project;

/// Days of May that are over since long, and orders by key.
const PROJECT: &str = "
-- sources.yml --
sources: {raw: {path: 'data/{name}.csv', tables: {events: {columns: {at: timestamp, id: bigint, n: bigint}}}}}
-- data/events.csv --
at,id,n
2013-05-01T01:00:00,1,1
2013-05-02T01:00:00,2,2
2013-05-03T01:00:00,1,3
-- transforms/daily.sql --
{{ config(materialized='incremental', strategy='by_interval', time_column='day', interval='day',
          start='2013-05-01', end='2013-05-04') }}
select cast(at as date) as day, sum(n) as n from {{ source('raw', 'events') }}
where at >= {{ interval_start }} and at < {{ interval_end }}
group by 1
-- transforms/latest.sql --
{{ config(materialized='incremental', strategy='merge', key='id') }}
select id, at, n from {{ source('raw', 'events') }}
{% if is_incremental() %}where at > (select max(at) from {{ this }}){% endif %}
qualify row_number() over (partition by id order by at desc) = 1
-- transforms/reader.sql --
select count(*) as days from {{ ref('daily') }}
";

/// Runs a command; what it prints is left as it is, times included.
fn raw(project: &Project, args: &[&str]) -> (Option<i32>, String, String) {
    let output = project.command(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[track_caller]
fn succeed(answer: &crate::support::Answer) {
    assert_eq!(answer.code, 0, "{answer}");
}

#[test]
fn a_plan_says_what_is_missing() {
    let project = Project::new(PROJECT);
    succeed(&project.windlass(["run", "daily", "--from", "2013-05-02", "--to", "2013-05-03"]));
    let (_, planned, _) = raw(&project, &["plan", "daily"]);
    assert!(planned.contains("  2 of 3 days to do: 2013-05-01, 2013-05-03  last time 1 row"), "{planned}");
    let plan = crate::support::parsed(&raw(&project, &["plan", "daily", "--format", "json"]).1)["data"].take();
    expect![[r#"{"kind":"interval","text":"2 of 3 days to do: 2013-05-01, 2013-05-03","intervals":{"unit":"day","total":3,"missing":[{"from":"2013-05-01T00:00:00Z","to":"2013-05-02T00:00:00Z"},{"from":"2013-05-03T00:00:00Z","to":"2013-05-04T00:00:00Z"}],"again":[]},"continues":null}"#]]
        .assert_eq(&plan["nodes"][0]["reason"].to_string());
    assert_eq!(plan["nodes"][0]["kind"], "incremental");
    succeed(&project.windlass(["run"]));
    assert_eq!(project.rows("select * from daily order by day").lines().count(), 3);
    assert_eq!(project.rows("select * from reader"), r#"{"days":3}"#);
    let again = project.windlass(["run"]);
    assert!(again.stderr.contains("Nothing has changed, 3 tables of prod stay"), "{again}");
    let (code, planned, _) = raw(&project, &["plan", "--from", "2013-05-02", "--exit-code"]);
    assert_eq!(code, Some(10), "{planned}");
    assert!(planned.contains("2 days again, asked for: 2013-05-02 to 2013-05-03"), "{planned}");
}

#[test]
fn spans_of_time_that_are_refused() {
    let project = Project::new(PROJECT);
    let refused = |args: &[&str]| {
        let (code, _, stderr) = raw(&project, args);
        assert_eq!(code, Some(2), "{stderr}");
        stderr
    };
    expect![[r#"
        error[E0902]: no selected node has intervals, which `--from` and `--to` are about
          hint: select a transform with `strategy: by_interval`: windlass ls config.strategy:by_interval
        windlass explain E0902
    "#]]
    .assert_eq(&refused(&["run", "latest", "--from", "2013-05-01"]));
    expect![[r#"
        error[E0203]: there is no time from 2013-05-02T00:00:00Z to 2013-05-02T00:00:00Z
          hint: `--to` is the first moment that is left out
        windlass explain E0203
    "#]]
    .assert_eq(&refused(&["plan", "--from", "2013-05-02", "--to", "2013-05-02"]));
    assert!(refused(&["run", "--from", "May"]).contains("expected a time of UTC such as `2013-05-01`"));
    assert!(refused(&["run", "--from", "2013-05-01", "--full-refresh"]).contains("cannot be used with"));
    let listed = project.windlass(["ls", "config.strategy:by_interval"]);
    assert!(listed.stdout.contains("daily") && !listed.stdout.contains("latest"), "{listed}");
}

#[test]
fn a_changed_definition_and_a_full_refresh() {
    let project = Project::new(PROJECT);
    succeed(&project.windlass(["run"]));
    project.write("data/events.csv", "at,id,n\n2013-05-01T01:00:00,1,10\n");
    let again = project.windlass(["run"]);
    succeed(&again);
    let rows = || project.rows("select sum(n) as n, count(*) as days from daily");
    assert_eq!(rows(), r#"{"n":6,"days":3}"#, "what is done stays");
    succeed(&project.windlass(["run", "daily", "--full-refresh"]));
    assert_eq!(rows(), r#"{"n":10,"days":1}"#);
    let text = std::fs::read_to_string(project.path("transforms/daily.sql")).unwrap();
    project.write("transforms/daily.sql", &text.replace("sum(n)", "2 * sum(n)"));
    let (_, planned, _) = raw(&project, &["plan", "daily"]);
    assert!(planned.contains("sql changed: line 3; 3 days: 2013-05-01 to 2013-05-03"), "{planned}");
    succeed(&project.windlass(["run"]));
    assert_eq!(rows(), r#"{"n":20,"days":1}"#);
}

/// A check that has changed is made on what is there, and what is done is not forgotten.
#[test]
fn a_changed_check_changes_nothing_that_is_done() {
    let project = Project::new(PROJECT);
    let checks = |most: u32| format!("transforms: {{daily: {{checks: [row_count: {{max: {most}}}]}}}}\n");
    project.write("transforms/t.yml", &checks(10));
    succeed(&project.windlass(["run"]));
    project.write("transforms/t.yml", &checks(3));
    assert_eq!(project.json(["plan", "daily"])["nodes"][0]["action"], "check");
    succeed(&project.windlass(["run", "daily"]));
    assert_eq!(project.json(["plan", "daily"])["nodes"][0]["action"], "reuse");
    project.write("transforms/t.yml", &checks(2));
    assert_eq!(project.windlass(["run", "daily"]).code, 1);
    assert_eq!(project.rows("select * from daily").lines().count(), 3);
}

/// A run that is killed in its second step has done the first.
#[test]
fn a_killed_run_keeps_the_steps_that_are_done() {
    let project = Project::new(&PROJECT.replace("end='2013-05-04'", "end='2013-05-04', batch_intervals=1"));
    project.write("data/events.csv", "at,id,n\n2013-05-01T01:00:00,1,1\n");
    succeed(&project.windlass(["run", "daily", "--from", "2013-05-01", "--to", "2013-05-02"]));
    let mut running = project.start(["run", "daily"], &[("WINDLASS_TEST_HOLD_AT", "staged:daily")]);
    running.wait_for("held at");
    running.signal("KILL");
    running.wait();
    assert_eq!(project.rows("select * from daily"), r#"{"day":"2013-05-01","n":1}"#);
    succeed(&project.windlass(["run", "daily"]));
    let plan = project.json(["plan", "daily"]);
    assert_eq!(plan["nodes"][0]["action"], "reuse");
}

#[test]
fn a_run_says_how_far_its_tables_have_come() {
    let project = Project::new(PROJECT);
    let run = project.json(["run", "daily", "--from", "2013-05-02", "--to", "2013-05-03"]);
    expect![[r#"{"unit":"day","total":3,"done":1,"run":[{"from":"2013-05-02T00:00:00Z","to":"2013-05-03T00:00:00Z"}],"missing":[{"from":"2013-05-01T00:00:00Z","to":"2013-05-02T00:00:00Z"},{"from":"2013-05-03T00:00:00Z","to":"2013-05-04T00:00:00Z"}]}"#]].assert_eq(&run["nodes"][0]["intervals"].to_string());
    assert_eq!(run["nodes"][0]["left_out_rows"], 0);
    let run = project.json(["run"]);
    let of = |name: &str| run["nodes"].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap().clone();
    expect![[r#"{"unit":"day","total":3,"done":3,"run":[{"from":"2013-05-01T00:00:00Z","to":"2013-05-02T00:00:00Z"},{"from":"2013-05-03T00:00:00Z","to":"2013-05-04T00:00:00Z"}],"missing":[]}"#]].assert_eq(&of("daily")["intervals"].to_string());
    assert_eq!(
        (&of("latest")["intervals"], &of("reader")["intervals"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
}

#[test]
fn rows_without_a_time_are_counted() {
    let project = Project::new(PROJECT);
    let events = "at,id,n\n2013-05-01T01:00:00,1,1\n,7,2\n,8,3\n2013-05-02T01:00:00,9,4\n";
    project.write("data/events.csv", events);
    // What the query itself leaves out is its own affair.
    let run = project.json(["run", "daily"]);
    assert_eq!(run["nodes"][0]["left_out_rows"], 0);
    let config = "{{ config(materialized='incremental', strategy='by_interval', time_column='day', interval='day',\n          \
                  start='2013-05-01', end='2013-05-04', batch_intervals=1) }}\n";
    let whole = "select cast(at as date) as day, id, n from {{ source('raw', 'events') }}\n";
    project.write("transforms/daily.sql", &format!("{config}{whole}"));
    project.windlass(["run", "daily"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ daily            2 rows  [SIZE]  version 1  [TIME]
          ! daily  2 rows are in no interval and left out: `day` is NULL
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    assert_eq!(project.rows("select id from daily order by id"), "{\"id\":1}\n{\"id\":9}");
    // Several parts that see the same rows do not count them several times; those that see others do.
    let run = project.json(["run", "daily", "--from", "2013-05-01"]);
    assert_eq!(run["nodes"][0]["left_out_rows"], 2);
    let asked = "select cast(at as date) as day, id, n from {{ source('raw', 'events') }}\nwhere at >= {{ interval_start }} and \
                 at < {{ interval_end }} or (id = 7 and {{ interval_start }} = timestamp '2013-05-01') or (id = 8 and {{ \
                 interval_start }} = timestamp '2013-05-02')\n";
    project.write("transforms/daily.sql", &format!("{config}{asked}"));
    succeed(&project.windlass(["run", "daily", "-q"]));
    let run = project.json(["run", "daily", "--from", "2013-05-01"]);
    assert_eq!(run["nodes"][0]["left_out_rows"], 2);
}

/// What is computed again and comes out as it was leaves readers alone.
#[test]
fn readers_stay_where_rows_come_out_as_they_were() {
    let project = Project::new(&PROJECT.replace("end='2013-05-04'", "end='2013-05-04', lookback=1"));
    let events = std::fs::read_to_string(project.path("data/events.csv")).unwrap();
    let outcomes = || {
        let run = project.json(["run", "daily", "reader"]);
        let nodes = run["nodes"].as_array().unwrap().clone();
        let of = |name: &str| nodes.iter().find(|node| node["name"] == name).unwrap()["outcome"].clone();
        (of("daily"), of("reader"))
    };
    assert_eq!(outcomes(), ("success".into(), "success".into()));
    // A row of a day that is not looked at again.
    project.write("data/events.csv", &format!("{events}2013-05-01T02:00:00,3,7\n"));
    assert_eq!(outcomes(), ("success".into(), "reused".into()));
    project.write("data/events.csv", &format!("{events}2013-05-03T02:00:00,3,7\n"));
    assert_eq!(outcomes(), ("success".into(), "success".into()));
    assert_eq!(project.rows("select max(n) as n from daily"), r#"{"n":10}"#);
    project.write("data/events.csv", &format!("{events}2013-05-03T02:30:00,4,7\n"));
    assert_eq!(outcomes(), ("success".into(), "reused".into()), "what went and what came are the same");
}

#[test]
fn a_plan_says_where_rows_that_stay_do_not_fit() {
    let project = Project::new(PROJECT);
    let text = std::fs::read_to_string(project.path("transforms/daily.sql")).unwrap();
    let forward = text.replace("strategy=", "on_definition_change='forward', strategy=");
    project.write("transforms/daily.sql", &forward);
    succeed(&project.windlass(["run", "-q"]));
    project.write("transforms/daily.sql", &forward.replace("sum(n) as n", "sum(n) as n, max(id) as id"));
    let plan = |args: &[&str]| raw(&project, args);
    let (code, planned, _) = plan(&["plan", "daily", "reader"]);
    assert_eq!(code, Some(0), "{planned}");
    assert!(
        planned.contains(
            "fail   daily    3 columns  rows are to stay, but column id is new; all of them anew: --full-refresh"
        ),
        "{planned}"
    );
    assert!(planned.contains("skip   reader"), "{planned}");
    assert!(planned.contains("0 to build, 2 not possible, 0 unchanged, 0 views"), "{planned}");
    let plan = project.json(["plan", "daily"]);
    assert_eq!((&plan["nodes"][0]["action"], &plan["nodes"][0]["reason"]["kind"]), (&"fail".into(), &"columns".into()));
    let run = project.windlass(["run", "daily", "reader"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("the columns of `daily` have changed, and its rows are to stay: column id is new"),
        "{run}"
    );
    succeed(&project.windlass(["run", "daily", "--full-refresh", "-q"]));
}
