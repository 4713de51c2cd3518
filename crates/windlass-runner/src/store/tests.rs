//! Runs written down and found again, across reopening, killed processes and broken files.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use chrono::{TimeDelta, TimeZone};
use expect_test::expect;
use tempfile::TempDir;
use windlass_error::{Classify, Code};

use super::*;
use crate::ManualClock;

struct Bench {
    folder: TempDir,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        let start = Utc.with_ymd_and_hms(2026, 3, 1, 12, 3, 4).unwrap();
        Self { folder: TempDir::new().unwrap(), clock: Arc::new(ManualClock::new(start)) }
    }

    fn open(&self) -> Result<RunStore, Error> {
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&self.clock);
        RunStore::open_with(&self.folder.path().join(".windlass"), clock)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(".windlass").join(FILE_NAME)
    }

    /// Begins a run of this process, a second after the one before.
    fn begin(&self, store: &RunStore) -> RunId {
        self.clock.advance(Duration::from_secs(1));
        let run_id = RunId::generate(self.clock.now());
        store.begin_run(&new_run(&run_id)).unwrap();
        run_id
    }
}

fn new_run(run_id: &RunId) -> NewRun {
    NewRun {
        run_id: run_id.clone(),
        command: "run".to_owned(),
        selection: None,
        target: "local".to_owned(),
        env: "dev".to_owned(),
        lake: "file:///lake".to_owned(),
        version: "0.1.0".to_owned(),
        arguments: None,
    }
}

fn success(run_id: &RunId, node: &str, started_at: DateTime<Utc>, rows: u64) -> NodeRunRow {
    NodeRunRow {
        outcome: Some("success".to_owned()),
        kind: Some("published".to_owned()),
        elapsed_ms: Some(1500),
        rows: Some(rows),
        error_rows: Some(2),
        null_rows: Some(3),
        bytes: Some(rows * 10),
        files: Some(1),
        table_version: Some(4),
        ..NodeRunRow::begun(run_id.as_str(), node, 1, started_at)
    }
}

const ENDED: RunEnd =
    RunEnd { outcome: RunOutcome::Success, reason: None, peak_memory_bytes: Some(1 << 30), rows: 10, bytes: 100 };

#[test]
fn the_folder_keeps_itself_out_of_the_repository() {
    let bench = Bench::new();
    bench.open().unwrap();
    let ignore = bench.folder.path().join(".windlass").join(".gitignore");
    assert_eq!(fs::read_to_string(&ignore).unwrap(), "*\n");
    fs::write(&ignore, "mine").unwrap();
    bench.open().unwrap();
    assert_eq!(fs::read_to_string(&ignore).unwrap(), "mine");
}

#[test]
fn a_run_is_found_again_in_another_process() {
    let bench = Bench::new();
    let store = bench.open().unwrap();
    let run_id = bench.begin(&store);
    store.record_node(&NodeRunRow::begun(run_id.as_str(), "a", 1, bench.clock.now())).unwrap();
    store.record_node(&success(&run_id, "a", bench.clock.now(), 10)).unwrap();
    bench.clock.advance(Duration::from_millis(2250));
    store.finish_run(&run_id, &ENDED).unwrap();
    drop(store);

    let detail = bench.open().unwrap().run("latest").unwrap();
    let json = serde_json::to_string_pretty(&detail).unwrap();
    let process = ProcessId::current();
    let json = json
        .replace(run_id.as_str(), "RUN")
        .replace(&format!("\"host\": \"{}\"", process.host), "\"host\": \"HOST\"")
        .replace(&format!("\"pid\": {}", process.pid), "\"pid\": 1");
    expect![[r#"
        {
          "run": {
            "run_id": "RUN",
            "command": "run",
            "selection": null,
            "target": "local",
            "env": "dev",
            "lake": "file:///lake",
            "started_at": "2026-03-01T12:03:05.000Z",
            "finished_at": "2026-03-01T12:03:07.250Z",
            "outcome": "success",
            "reason": null,
            "version": "0.1.0",
            "host": "HOST",
            "pid": 1,
            "peak_memory_bytes": 1073741824,
            "rows": 10,
            "bytes": 100,
            "arguments": null
          },
          "nodes": [
            {
              "run_id": "RUN",
              "node": "a",
              "attempt": 1,
              "kind": "published",
              "outcome": "success",
              "reason": null,
              "failed_node": null,
              "started_at": "2026-03-01T12:03:05.000Z",
              "elapsed_ms": 1500,
              "rows": 10,
              "error_rows": 2,
              "null_rows": 3,
              "bytes": 100,
              "files": 1,
              "table_version": 4,
              "fingerprint": null,
              "error_code": null,
              "error_message": null,
              "fault": null
            }
          ]
        }"#]]
    .assert_eq(&json);
}

#[test]
fn runs_come_newest_first_and_are_found_by_prefix() {
    let bench = Bench::new();
    let store = bench.open().unwrap();
    let ids: Vec<RunId> = (0..3).map(|_| bench.begin(&store)).collect();
    let found = |wanted: &str| store.run(wanted).map(|detail| detail.run.run_id);

    let listed: Vec<String> = store.runs(2).unwrap().into_iter().map(|run| run.run_id).collect();
    assert_eq!(listed, [ids[2].to_string(), ids[1].to_string()]);
    assert_eq!(found("latest").unwrap(), ids[2].as_str());
    assert_eq!(found(ids[0].as_str()).unwrap(), ids[0].as_str());
    // The first 13 characters hold the time in milliseconds, and the runs are a second apart.
    assert_eq!(found(&ids[1].as_str()[..13].to_uppercase()).unwrap(), ids[1].as_str());

    let cases = [("0", "`0` is the beginning of 3 run ids"), ("x%", "no run `x%`"), ("", "no run ``")];
    for (wanted, message) in cases {
        assert_eq!(found(wanted).unwrap_err().to_string(), message);
    }
}

#[test]
fn an_empty_store_has_no_latest_run() {
    let store = Bench::new().open().unwrap();
    assert!(matches!(store.run("latest"), Err(Error::FindRun { .. })));
    assert_eq!(store.runs(10).unwrap(), []);
}

#[test]
fn nodes_of_unknown_runs_are_refused() {
    let bench = Bench::new();
    let store = bench.open().unwrap();
    let run_id = RunId::generate(bench.clock.now());
    let refused = store.record_node(&success(&run_id, "a", bench.clock.now(), 1)).unwrap_err();
    assert_eq!(refused.to_string(), format!("cannot record run `{run_id}`"));
}

#[test]
fn estimates_come_from_the_last_success_in_the_same_environment() {
    let bench = Bench::new();
    let store = bench.open().unwrap();
    let (first, second) = (bench.begin(&store), bench.begin(&store));
    let now = bench.clock.now();
    store.record_node(&success(&first, "a", now, 10)).unwrap();
    store.record_node(&success(&second, "a", now + TimeDelta::seconds(5), 20)).unwrap();
    let failed = NodeRunRow { outcome: Some("failed".to_owned()), ..success(&second, "b", now, 5) };
    store.record_node(&failed).unwrap();
    let later = now + TimeDelta::seconds(9);
    let replayed = NodeRunRow { kind: Some("replayed".to_owned()), ..success(&second, "a", later, 1) };
    store.record_node(&NodeRunRow { attempt: 2, ..replayed }).unwrap();

    let history = store.last_successes("file:///lake", "dev").unwrap();
    let expected = NodeHistory {
        elapsed: Duration::from_millis(1500),
        rows: 20,
        bytes: 200,
        started_at: now + TimeDelta::seconds(5),
    };
    assert_eq!(history, [("a".to_owned(), expected)].into());
    assert!(store.last_successes("file:///lake", "prod").unwrap().is_empty());
}

#[test]
fn a_run_whose_process_was_killed_has_failed() {
    let bench = Bench::new();
    let store = bench.open().unwrap();
    let (alive, killed) = (bench.begin(&store), bench.begin(&store));
    let began = bench.clock.now();
    store.record_node(&success(&killed, "a", began, 10)).unwrap();
    store.record_node(&NodeRunRow::begun(killed.as_str(), "b", 1, began)).unwrap();
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let process = ProcessId::of(child.id());
    let sql = "UPDATE runs SET pid = ?2, process_started = ?3 WHERE run_id = ?1";
    let values = rusqlite::params![killed.as_str(), process.pid, process.started.map(signed)];
    store.lock().execute(sql, values).unwrap();
    bench.clock.advance(Duration::from_secs(3600));
    let outcome = |id: &RunId| bench.open().unwrap().run(id.as_str()).unwrap().run.outcome;
    assert_eq!(outcome(&killed), None);

    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(outcome(&alive), None);
    let RunDetail { run, nodes } = bench.open().unwrap().run(killed.as_str()).unwrap();
    assert_eq!((run.outcome.as_deref(), run.reason.as_deref()), (Some("failed"), Some("process_ended")));
    assert_eq!(run.finished_at, Some(began + TimeDelta::milliseconds(1500)));
    assert_eq!(run.rows, Some(10));
    let ends: Vec<_> = nodes.iter().map(|node| (node.node.as_str(), node.outcome.as_deref())).collect();
    assert_eq!(ends, [("a", Some("success")), ("b", Some("failed"))]);
}

#[test]
fn a_run_of_another_machine_lives_as_long_as_its_lease() {
    // Seconds since the run began, when its lease ends if it has one, whether the run goes on.
    let cases = [(30, None, true), (90, None, false), (90, Some(100), true), (90, Some(80), false)];
    for (age, lease_ends, goes_on) in cases {
        let bench = Bench::new();
        let store = bench.open().unwrap();
        let run_id = bench.begin(&store);
        let began = bench.clock.now();
        store.lock().execute("UPDATE runs SET scope = 'elsewhere'", []).unwrap();
        if let Some(ends) = lease_ends {
            let sql = "INSERT INTO leases VALUES ('l', 'e', 't', ?1, 'run', 'h', 'elsewhere', 1, NULL, ?2, ?2, ?3)";
            let ends = began + TimeDelta::seconds(ends);
            store.lock().execute(sql, [run_id.as_str(), &time_text(began), &time_text(ends)]).unwrap();
        }
        bench.clock.advance(Duration::from_secs(age));
        let outcome = bench.open().unwrap().run("latest").unwrap().run.outcome;
        assert_eq!(outcome.is_none(), goes_on, "{age} s, lease {lease_ends:?}");
    }
}

#[test]
fn a_store_of_a_later_release_is_refused() {
    let bench = Bench::new();
    bench.open().unwrap().lock().pragma_update(None, "user_version", 99).unwrap();
    let refused = bench.open().err().unwrap();
    let path = bench.file();
    assert_eq!(
        refused.to_string(),
        format!("cannot open the run store `{}`: it has version 99, this release knows up to 4", path.display())
    );
    assert!(refused.hint().unwrap().contains("upgrade"));
    assert_eq!(refused.code(), Some(Code::RUN_STORE));
}

#[test]
fn a_store_of_an_earlier_release_is_brought_up_to_date() {
    let bench = Bench::new();
    let store = bench.open().unwrap();
    let run_id = bench.begin(&store);
    let row = success(&run_id, "a", bench.clock.now(), 7);
    store.record_node(&row).unwrap();
    store.lock().execute_batch("ALTER TABLE node_runs DROP COLUMN error_rows; ALTER TABLE node_runs DROP COLUMN null_rows; ALTER TABLE runs DROP COLUMN arguments; PRAGMA user_version = 1;").unwrap();
    drop(store);
    let store = bench.open().unwrap();
    assert_eq!(store.run("latest").unwrap().nodes, [NodeRunRow { error_rows: None, null_rows: None, ..row }]);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let bench = Bench::new();
    fs::create_dir_all(bench.file().parent().unwrap()).unwrap();
    fs::write(bench.file(), "not a database, but long enough to be taken for one ".repeat(40)).unwrap();
    let refused = bench.open().err().unwrap();
    assert!(matches!(refused, Error::OpenStore { .. }), "{refused:?}");
    assert!(refused.hint().unwrap().contains("move the file away"));
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let path = file.join(".windlass");
    let refused = RunStore::open(&path).err().unwrap();
    assert_eq!(refused.to_string(), format!("cannot create the folder `{}` of the run store", path.display()));
}

#[test]
fn a_full_disk_is_told_apart() {
    let bench = Bench::new();
    let store = bench.open().unwrap();
    let pages: i64 = store.lock().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.lock().pragma_update(None, "max_page_count", pages).unwrap();
    let long = NewRun { lake: "x".repeat(100_000), ..new_run(&RunId::generate(bench.clock.now())) };
    assert_eq!(store.begin_run(&long).unwrap_err().code(), Some(Code::DISK_FULL));
}

#[test]
fn many_processes_may_make_the_store_at_once() {
    let bench = Bench::new();
    let runs = 8;
    std::thread::scope(|scope| {
        for _ in 0..runs {
            scope.spawn(|| bench.begin(&bench.open().unwrap()));
        }
    });
    assert_eq!(bench.open().unwrap().runs(100).unwrap().len(), runs);
}

#[test]
fn what_a_run_was_asked_for_is_found_again() {
    let bench = Bench::new();
    let store = bench.open().unwrap();
    let asked = RunArguments {
        select: vec!["+b".to_owned()],
        vars: vec!["late=30".to_owned()],
        from: Some("2013-05-01".to_owned()),
        full_refresh: true,
        nodes: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
        ..RunArguments::default()
    };
    let run_id = RunId::generate(bench.clock.now());
    store.begin_run(&NewRun { arguments: Some(asked.clone()), ..new_run(&run_id) }).unwrap();
    store.record_node(&success(&run_id, "a", bench.clock.now(), 1)).unwrap();
    let failed = |attempt| NodeRunRow {
        outcome: Some("failed".to_owned()),
        ..NodeRunRow::begun(run_id.as_str(), "b", attempt, bench.clock.now())
    };
    store.record_node(&failed(1)).unwrap();
    let detail = store.run("latest").unwrap();
    assert_eq!(detail.run.arguments, Some(asked));
    assert_eq!(detail.ends(), BTreeMap::from([("a", true), ("b", false)]));
    store.record_node(&NodeRunRow { attempt: 2, ..success(&run_id, "b", bench.clock.now(), 1) }).unwrap();
    assert_eq!(store.run("latest").unwrap().ends(), BTreeMap::from([("a", true), ("b", true)]));
}
