//! Runs small graphs on a scripted backend and compares what an observer sees.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use chrono::DateTime;
use expect_test::{Expect, expect};
use tokio::sync::Notify;
use windlass_error::Retry;

use super::*;
use crate::{CancelReason, FailurePolicy, Leaves, ManualClock, NodeSpec, OutcomeKind, RunOptions};

#[derive(Debug, thiserror::Error)]
#[error("the store is {0:?}")]
struct Down(Fault);

impl Classify for Down {
    fn fault(&self) -> Fault {
        self.0
    }

    fn retry(&self) -> Retry {
        Retry::Backoff
    }
}

/// A backend that follows a script: for each node what its attempts do, the last one repeated.
struct Script {
    plots: HashMap<String, Vec<&'static str>>,
    cancel: CancelSignal,
    /// Told when a hanging attempt is dropped.
    dropped: Arc<Notify>,
    was_dropped: Arc<AtomicBool>,
}

struct TellDrop(Arc<Notify>, Arc<AtomicBool>);

impl Drop for TellDrop {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
        self.0.notify_one();
    }
}

fn published(rows: u64) -> NodeOutcome {
    let (bytes, files) = (rows * 10, 1);
    let (version, fingerprint) = (Some(3), None);
    let (env, errors, nulls) = (None, None, None);
    NodeOutcome { kind: OutcomeKind::Published, rows, bytes, files, version, env, fingerprint, errors, nulls }
}

#[async_trait]
impl Backend for Script {
    async fn run_node(
        &self,
        node: &str,
        attempt: Attempt,
        progress: Arc<NodeProgress>,
    ) -> Result<NodeOutcome, BackendError> {
        let plot = &self.plots[node];
        match plot[(attempt.number() as usize - 1).min(plot.len() - 1)] {
            "ok" => Ok(published(100)),
            "user" => Err(Box::new(Down(Fault::User))),
            "down" => Err(Box::new(Down(Fault::External))),
            "panic" => panic!("index out of bounds"),
            "hang" => {
                let _guard = TellDrop(Arc::clone(&self.dropped), Arc::clone(&self.was_dropped));
                std::future::pending().await
            }
            "interrupt" => {
                self.cancel.raise(CancelReason::Interrupted);
                std::future::pending().await
            }
            // Publishes, and ends only after a hanging node was dropped.
            "commit" => {
                assert!(progress.begin_commit());
                self.cancel.raise(CancelReason::LeaseLost);
                self.dropped.notified().await;
                Ok(published(7))
            }
            "commit forever" => {
                assert!(progress.begin_commit());
                self.cancel.raise(CancelReason::Interrupted);
                self.cancel.raise(CancelReason::Interrupted);
                std::future::pending().await
            }
            // Holds its thread until it is told to stop, then fails because it may not publish.
            "refused" => {
                self.cancel.raise(CancelReason::TimedOut);
                while !progress.is_cancelled() {
                    std::thread::yield_now();
                }
                assert!(!progress.begin_commit());
                Err(Box::new(Down(Fault::External)))
            }
            other => panic!("no plot {other}"),
        }
    }
}

#[derive(Default)]
struct Trace(String);

impl Observer for Trace {
    fn observe(&mut self, event: &RunEvent) {
        let line = match event {
            RunEvent::RunStarted { nodes } => format!("run {}", nodes.join(" ")),
            RunEvent::NodeStarted { node, attempt, .. } => format!("{node} #{attempt} started"),
            RunEvent::NodeFinished { node, attempt, outcome, .. } => {
                format!("{node} #{attempt} finished, {} rows", outcome.rows)
            }
            RunEvent::NodeFailed { node, attempt, error, will_retry_in, .. } => {
                format!("{node} #{attempt} failed: {error} ({:?}), again in {will_retry_in:?}", error.fault())
            }
            RunEvent::NodeSkipped { node, reason } => format!("{node} skipped: {}", reason.as_str()),
            RunEvent::NodeCancelled { node, attempt, .. } => {
                format!("{node} #{} cancelled", attempt.map_or(0, Attempt::number))
            }
            RunEvent::Stopping { committing } => format!("stopping, committing {committing:?}"),
            RunEvent::RunFinished { summary } => {
                let RunSummary { outcome, reason, retries, rows, elapsed, .. } = summary;
                let reason = reason.map_or("-", RunReason::as_str);
                format!("{} {reason}, {retries} retries, {rows} rows, {elapsed:?}", outcome.as_str())
            }
        };
        self.0.push_str(&line);
        self.0.push('\n');
    }
}

struct Stage {
    driver: Driver,
    state: RunState,
    cancel: CancelSignal,
    was_dropped: Arc<AtomicBool>,
}

/// Reads nodes written as `name:parent,parent = plot, plot`, one a line; each may be tried thrice.
fn stage(nodes: &str) -> Stage {
    let mut specs = Vec::new();
    let mut plots = HashMap::new();
    for line in nodes.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (node, plot) = line.split_once(" = ").unwrap();
        let (name, parents) = node.split_once(':').unwrap_or((node, ""));
        let parents = parents.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        specs.push(NodeSpec {
            name: name.to_owned(),
            parents,
            retries: 2,
            uses_last_good: false,
            leaves: Leaves::Nothing,
        });
        let plot = plot.split(", ").map(|plot| &*plot.to_owned().leak()).collect();
        plots.insert(name.to_owned(), plot);
    }
    let max_parallel = 2.try_into().unwrap();
    let options = RunOptions { max_parallel, failure_policy: FailurePolicy::KeepGoing };
    let state = RunState::try_new(specs, options).unwrap();
    let cancel = CancelSignal::new();
    let was_dropped = Arc::new(AtomicBool::new(false));
    let script = Script {
        plots,
        cancel: cancel.clone(),
        dropped: Arc::new(Notify::new()),
        was_dropped: Arc::clone(&was_dropped),
    };
    let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
    let driver = Driver::new(Arc::new(script), clock, cancel.clone());
    Stage { driver, state, cancel, was_dropped }
}

async fn check(nodes: &str, expected: Expect) {
    check_staged(stage(nodes), expected).await;
}

async fn check_staged(stage: Stage, expected: Expect) {
    let mut trace = Trace::default();
    stage.driver.run(stage.state, &mut trace).await;
    expected.assert_eq(&trace.0);
}

#[tokio::test]
async fn nodes_run_in_order_and_are_summed_up() {
    check(
        "a = ok
         b:a = ok",
        expect![[r#"
            run a b
            a #1 started
            a #1 finished, 100 rows
            b #1 started
            b #1 finished, 100 rows
            success -, 0 retries, 200 rows, 0ns
        "#]],
    )
    .await;
}

#[tokio::test]
async fn outside_failures_are_tried_again_after_a_wait() {
    check(
        "a = down, down, ok",
        expect![[r#"
            run a
            a #1 started
            a #1 failed: the store is External (External), again in Some(500ms)
            a #2 started
            a #2 failed: the store is External (External), again in Some(1s)
            a #3 started
            a #3 finished, 100 rows
            success -, 2 retries, 100 rows, 1.5s
        "#]],
    )
    .await;
}

#[tokio::test]
async fn failures_skip_what_is_below() {
    check(
        "a = user
         b:a = ok
         c = ok",
        expect![[r#"
            run a b c
            a #1 started
            c #1 started
            a #1 failed: the store is User (User), again in None
            b skipped: upstream_failed
            c #1 finished, 100 rows
            failed node_failed, 0 retries, 100 rows, 0ns
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_panic_fails_its_node_only() {
    check(
        "a = panic
         b = ok",
        expect![[r#"
            run a b
            a #1 started
            b #1 started
            a #1 failed: node `a` panicked: index out of bounds (Internal), again in None
            b #1 finished, 100 rows
            failed node_failed, 0 retries, 100 rows, 0ns
        "#]],
    )
    .await;
}

#[tokio::test]
async fn interrupt_cancels_what_does_not_publish_and_waits_for_what_does() {
    check(
        "a = hang
         b = commit
         c:b = ok",
        expect![[r#"
            run a b c
            a #1 started
            b #1 started
            c skipped: cancelled
            stopping, committing ["b"]
            a #1 cancelled
            b #1 finished, 7 rows
            cancelled lease_lost, 0 retries, 7 rows, 0ns
        "#]],
    )
    .await;
}

#[tokio::test]
async fn abort_does_not_wait_for_a_commit() {
    check(
        "a = commit forever
         b:a = ok",
        expect![[r#"
            run a b
            a #1 started
            b skipped: cancelled
            a #1 cancelled
            cancelled interrupted, 0 retries, 0 rows, 0ns
        "#]],
    )
    .await;
}

#[tokio::test]
async fn interrupt_ends_a_wait_between_attempts() {
    /// Interrupts the run when somebody wants to sleep, and never wakes them.
    struct Frozen(CancelSignal);
    impl Clock for Frozen {
        fn now(&self) -> DateTime<chrono::Utc> {
            DateTime::UNIX_EPOCH
        }
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            self.0.raise(CancelReason::Interrupted);
            std::future::pending().boxed()
        }
    }
    let mut stage = stage(
        "a = down
         b = hang",
    );
    stage.driver.clock = Arc::new(Frozen(stage.cancel.clone()));
    check_staged(
        stage,
        expect![[r#"
            run a b
            a #1 started
            b #1 started
            a #1 failed: the store is External (External), again in Some(500ms)
            a #0 cancelled
            stopping, committing []
            b #1 cancelled
            cancelled interrupted, 1 retries, 0 rows, 0ns
        "#]],
    )
    .await;
}

#[tokio::test]
async fn a_failure_just_before_the_interrupt_stays_a_failure() {
    check(
        "a = down
         b = interrupt",
        expect![[r#"
            run a b
            a #1 started
            b #1 started
            stopping, committing []
            a #1 failed: the store is External (External), again in None
            b #1 cancelled
            failed interrupted, 0 retries, 0 rows, 0ns
        "#]],
    )
    .await;
}

#[tokio::test]
async fn nothing_starts_when_the_run_was_interrupted_before() {
    let stage = stage("a = ok");
    stage.cancel.raise(CancelReason::Interrupted);
    check_staged(
        stage,
        expect![[r#"
            run a
            a skipped: cancelled
            cancelled interrupted, 0 retries, 0 rows, 0ns
        "#]],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_fails_because_it_was_cancelled_counts_as_cancelled() {
    check(
        "a = refused",
        expect![[r#"
            run a
            a #1 started
            stopping, committing []
            a #1 cancelled
            cancelled timed_out, 0 retries, 0 rows, 0ns
        "#]],
    )
    .await;
}

#[tokio::test]
async fn dropping_the_run_drops_its_nodes() {
    let stage = stage("a = hang");
    let mut observer = Trace::default();
    let mut run = Box::pin(stage.driver.run(stage.state, &mut observer));
    assert!(futures::poll!(&mut run).is_pending());
    // Lets the node's task come as far as its first wait.
    tokio::task::yield_now().await;
    assert!(!stage.was_dropped.load(Ordering::SeqCst));
    drop(run);
    tokio::task::yield_now().await;
    assert!(stage.was_dropped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn several_observers_see_the_same() {
    let stage = stage("a = ok");
    let (mut first, mut second) = (Trace::default(), Trace::default());
    let mut both: Vec<&mut dyn Observer> = vec![&mut first, &mut second];
    let run = stage.driver.run(stage.state, &mut both);
    // The future moves between threads, as `JoinSet::spawn` asks.
    let run: BoxFuture<'_, RunSummary> = run.boxed();
    run.await;
    assert!(first.0.contains("a #1 finished"));
    assert_eq!(first.0, second.0);
}
