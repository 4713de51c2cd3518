//! Events in, rows of the run store out.

use chrono::TimeZone;
use expect_test::expect;
use tempfile::TempDir;
use windlass_error::{Code, Retry};

use super::*;
use crate::observer::RunReason;
use crate::{Clock, ErrorRows, ManualClock, NewRun, NodeProgress, RunOutcome, StateCounts};

#[derive(Debug, thiserror::Error)]
#[error("cannot write table `b`")]
struct Broken(#[source] std::io::Error);

impl Classify for Broken {
    fn fault(&self) -> Fault {
        Fault::External
    }

    fn retry(&self) -> Retry {
        Retry::Backoff
    }

    fn code(&self) -> Option<Code> {
        Some(Code::STORAGE)
    }
}

fn recorder(folder: &TempDir, begin: bool) -> (Arc<ManualClock>, Arc<RunStore>, Recorder) {
    let clock = Arc::new(ManualClock::new(Utc.with_ymd_and_hms(2026, 3, 1, 0, 0, 0).unwrap()));
    let store = RunStore::open_with(folder.path(), Arc::<ManualClock>::clone(&clock)).unwrap();
    let run_id = RunId::generate(clock.now());
    let [command, target, env, lake, version] = ["run", "local", "dev", "lake", "0"].map(str::to_owned);
    if begin {
        store
            .begin_run(&NewRun {
                run_id: run_id.clone(),
                command,
                selection: None,
                target,
                env,
                lake,
                version,
                arguments: None,
            })
            .unwrap();
    }
    let store = Arc::new(store);
    let recorder = Recorder::new(Arc::clone(&store), run_id, || Some(4096));
    (clock, store, recorder)
}

fn started(node: &str, attempt: Attempt) -> RunEvent {
    RunEvent::NodeStarted {
        node: node.to_owned(),
        attempt,
        last_good: Vec::new(),
        progress: Arc::new(NodeProgress::new()),
    }
}

fn finished(node: &str, kind: OutcomeKind) -> RunEvent {
    let errors = (kind == OutcomeKind::Published).then(|| ErrorRows { rows: 3, of: 8, causes: Vec::new() });
    let fingerprint = Some("f00".to_owned());
    let outcome = NodeOutcome {
        kind,
        rows: 5,
        bytes: 50,
        files: 1,
        version: Some(2),
        env: None,
        fingerprint,
        errors,
        nulls: None,
    };
    RunEvent::NodeFinished { node: node.to_owned(), attempt: Attempt::FIRST, outcome, elapsed: Duration::from_secs(1) }
}

fn failed(node: &str, attempt: Attempt, will_retry_in: Option<Duration>) -> RunEvent {
    let error = Arc::new(Broken(std::io::Error::other("connection reset")));
    RunEvent::NodeFailed { node: node.to_owned(), attempt, error, elapsed: Duration::from_secs(2), will_retry_in }
}

#[test]
fn a_run_is_written_down_as_it_goes() {
    let folder = TempDir::new().unwrap();
    let (clock, store, mut recorder) = recorder(&folder, true);
    let second = Attempt::FIRST.next();
    let events = [
        started("a", Attempt::FIRST),
        finished("a", OutcomeKind::Published),
        started("same", Attempt::FIRST),
        finished("same", OutcomeKind::Reused),
        started("b", Attempt::FIRST),
        failed("b", Attempt::FIRST, Some(Duration::from_secs(1))),
        started("b", second),
        failed("b", second, None),
        RunEvent::NodeSkipped { node: "c".to_owned(), reason: SkipReason::UpstreamFailed { node: "b".to_owned() } },
        started("d", Attempt::FIRST),
        RunEvent::NodeCancelled {
            node: "d".to_owned(),
            attempt: Some(Attempt::FIRST),
            elapsed: Duration::from_millis(5),
        },
        started("e", Attempt::FIRST),
    ];
    for event in &events {
        recorder.observe(event);
        clock.advance(Duration::from_secs(1));
    }
    let detail = store.run("latest").unwrap();
    let mut rows = String::new();
    for row in &detail.nodes {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        rows.push_str(&format!(
            "{} #{} at {}: {} {} {} {:?}, {:?} failed, {:?} ms, {} {} {}\n",
            row.node,
            row.attempt,
            row.started_at.format("%S"),
            text(&row.outcome),
            text(&row.reason),
            text(&row.failed_node),
            row.rows,
            row.error_rows,
            row.elapsed_ms,
            text(&row.fault),
            text(&row.error_code),
            text(&row.error_message),
        ));
    }
    expect![[r#"
        a #1 at 00: success - - Some(5), Some(3) failed, Some(1000) ms, - - -
        same #1 at 02: reused unchanged - Some(5), None failed, Some(1000) ms, - - -
        b #1 at 04: failed will_retry - None, None failed, Some(2000) ms, external E0703 cannot write table `b`: connection reset
        b #2 at 06: failed - - None, None failed, Some(2000) ms, external E0703 cannot write table `b`: connection reset
        c #0 at 08: skipped upstream_failed b None, None failed, None ms, - - -
        d #1 at 09: cancelled - - None, None failed, Some(5) ms, - - -
        e #1 at 11: - - - None, None failed, None ms, - - -
    "#]]
    .assert_eq(&rows);
    recorder.into_result().unwrap();
}

fn run_finished() -> RunEvent {
    let summary = RunSummary {
        outcome: RunOutcome::Failed,
        reason: Some(RunReason::NodeFailed),
        counts: StateCounts::default(),
        retries: 0,
        rows: 5,
        bytes: 50,
        files: 1,
        error_rows: 0,
        elapsed: Duration::from_secs(9),
    };
    RunEvent::RunFinished { summary }
}

#[test]
fn the_end_is_written_down() {
    let folder = TempDir::new().unwrap();
    let (_clock, store, mut recorder) = recorder(&folder, true);
    recorder.observe(&run_finished());
    let run = store.run("latest").unwrap().run;
    assert_eq!((run.outcome.as_deref(), run.reason.as_deref()), (Some("failed"), Some("node_failed")));
    assert_eq!((run.peak_memory_bytes, run.rows, run.bytes), (Some(4096), Some(5), Some(50)));
    recorder.into_result().unwrap();
}

#[test]
fn a_store_that_cannot_be_written_is_told_at_the_end() {
    let folder = TempDir::new().unwrap();
    // The run was never begun, so its nodes are refused.
    let (_clock, _store, mut recorder) = recorder(&folder, false);
    recorder.observe(&started("a", Attempt::FIRST));
    recorder.observe(&finished("a", OutcomeKind::View));
    assert!(matches!(recorder.into_result(), Err(Error::RecordRun { .. })));
}
