//! Performs what [`step`] decides and tells it what came of that.
//!
//! One loop on one task owns everything: the nodes' tasks in a `JoinSet`, the waits between
//! attempts, and the wish to stop. Decisions are in `state.rs`; here are only their effects.
//!
//! Invariants: every attempt that starts is reported ended exactly once; a panic in a node fails
//! that node and nothing else; dropping [`Driver::run`] stops every node it started.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::task::{self, AbortHandle, JoinError, JoinSet};
use tracing::{Instrument, error, info, info_span, warn};
use windlass_error::{Classify, Fault};

use crate::cancel::{Level, Wish};
use crate::error::error_chain;
use crate::observer::{Observer, RunEvent, RunReason, RunSummary, SharedError};
use crate::{
    Action, Attempt, Backend, BackendError, CancelSignal, Clock, Error, Event, NodeOutcome, NodeProgress, RunOutcome,
    RunState, SkipReason, step,
};

/// Runs graphs of nodes on a backend.
pub struct Driver {
    backend: Arc<dyn Backend>,
    clock: Arc<dyn Clock>,
    cancel: CancelSignal,
}

type Joined = Result<(task::Id, Result<NodeOutcome, BackendError>), JoinError>;

/// A run that goes on: the state, and what stands behind its running and waiting nodes.
struct Run<'a> {
    driver: &'a Driver,
    observer: &'a mut dyn Observer,
    state: RunState,
    tasks: JoinSet<Result<NodeOutcome, BackendError>>,
    running: HashMap<task::Id, RunningNode>,
    waits: FuturesUnordered<BoxFuture<'static, String>>,
    totals: Totals,
    started: Duration,
    done: bool,
}

struct RunningNode {
    node: String,
    attempt: Attempt,
    started: Duration,
    progress: Arc<NodeProgress>,
    abort: AbortHandle,
}

#[derive(Default)]
struct Totals {
    retries: usize,
    rows: u64,
    bytes: u64,
    files: u64,
    error_rows: u64,
}

impl Driver {
    /// Returns a driver that stops when `cancel` asks for it.
    pub fn new(backend: Arc<dyn Backend>, clock: Arc<dyn Clock>, cancel: CancelSignal) -> Self {
        Self { backend, clock, cancel }
    }

    /// Runs every node of `state` to its final state and tells `observer` about it.
    ///
    /// After the first wish to stop it waits for the nodes that are publishing; after the second
    /// it waits for nothing. Dropping the future stops every node; then no end is reported.
    pub async fn run(&self, state: RunState, observer: &mut dyn Observer) -> RunSummary {
        let mut wishes = self.cancel.subscribe();
        let mut run = Run {
            driver: self,
            observer,
            state,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            waits: FuturesUnordered::new(),
            totals: Totals::default(),
            started: self.clock.monotonic(),
            done: false,
        };
        run.begin(*wishes.borrow_and_update());
        while !run.done {
            tokio::select! {
                biased;
                wish = next_wish(&mut wishes) => run.on_wish(wish),
                Some(joined) = run.tasks.join_next_with_id() => run.on_joined(joined),
                Some(node) = run.waits.next() => run.apply(Event::BackoffElapsed { node }),
            }
        }
        run.finish()
    }
}

impl Run<'_> {
    fn begin(&mut self, wish: Wish) {
        let nodes: Vec<String> = self.state.nodes().map(str::to_owned).collect();
        info!(nodes = nodes.len(), "run started");
        self.observer.observe(&RunEvent::RunStarted { nodes });
        self.on_wish(wish);
        self.apply(Event::Started);
    }

    fn finish(self) -> RunSummary {
        let outcome = self.state.outcome().unwrap_or(RunOutcome::Cancelled);
        let stopped = self.driver.cancel.reason().map(RunReason::Stopped);
        let reason = match outcome {
            RunOutcome::Success => None,
            RunOutcome::Failed => Some(stopped.unwrap_or(RunReason::NodeFailed)),
            RunOutcome::Cancelled => stopped,
        };
        let Totals { retries, rows, bytes, files, error_rows } = self.totals;
        let elapsed = self.driver.clock.monotonic().saturating_sub(self.started);
        let counts = self.state.counts();
        let summary = RunSummary { outcome, reason, counts, retries, rows, bytes, files, error_rows, elapsed };
        info!(
            outcome = outcome.as_str(),
            reason = reason.map(RunReason::as_str),
            elapsed_ms = elapsed.as_millis(),
            "run finished"
        );
        self.observer.observe(&RunEvent::RunFinished { summary: summary.clone() });
        summary
    }

    fn on_wish(&mut self, wish: Wish) {
        match wish.level {
            Level::None => {}
            Level::Interrupt => self.apply(Event::Interrupted),
            Level::Abort => self.apply(Event::Aborted),
        }
    }

    fn on_joined(&mut self, joined: Joined) {
        let (id, result) = match joined {
            Ok((id, result)) => (id, Ok(result)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(running) = self.running.remove(&id) else { return };
        match result {
            Ok(Ok(outcome)) => self.on_finished(running, outcome),
            Ok(Err(_)) if running.progress.is_cancelled() => self.on_cancelled(running),
            Ok(Err(error)) => self.on_failed(running, error.into()),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => {
                    let message = panic_message(panic.as_ref());
                    let error = Error::RunNode { node: running.node.clone(), message };
                    self.on_failed(running, Arc::new(error));
                }
                Err(_aborted) => self.on_cancelled(running),
            },
        }
    }

    fn on_finished(&mut self, running: RunningNode, outcome: NodeOutcome) {
        let elapsed = self.elapsed(&running);
        let RunningNode { node, attempt, .. } = running;
        let kind = outcome.kind;
        let error_rows = outcome.errors.as_ref().map(|errors| errors.rows);
        info!(
            %node,
            attempt = attempt.number(),
            outcome = kind.as_str(),
            rows_out = outcome.rows,
            rows_error = error_rows,
            bytes = outcome.bytes,
            version = outcome.version,
            elapsed_ms = elapsed.as_millis(),
            "node finished"
        );
        self.totals.rows += outcome.rows;
        self.totals.bytes += outcome.bytes;
        self.totals.files += outcome.files;
        self.totals.error_rows += error_rows.unwrap_or_default();
        let event = RunEvent::NodeFinished { node: node.clone(), attempt, outcome, elapsed };
        self.observer.observe(&event);
        self.apply(Event::Finished { node, kind });
    }

    fn on_failed(&mut self, running: RunningNode, error: SharedError) {
        let elapsed = self.elapsed(&running);
        let RunningNode { node, attempt, .. } = running;
        let (fault, retry) = (error.fault(), error.retry());
        let actions = step(&mut self.state, Event::Failed { node: node.clone(), fault, retry });
        let will_retry_in = actions.iter().find_map(|action| match action {
            Action::Wait { delay, .. } => Some(*delay),
            _ => None,
        });
        log_failure(&node, attempt, &*error, will_retry_in);
        self.totals.retries += usize::from(will_retry_in.is_some());
        self.observer.observe(&RunEvent::NodeFailed { node, attempt, error, elapsed, will_retry_in });
        self.perform(actions);
    }

    fn on_cancelled(&mut self, running: RunningNode) {
        let node = running.node.clone();
        self.tell_cancelled(running);
        self.apply(Event::Cancelled { node });
    }

    fn apply(&mut self, event: Event) {
        let actions = step(&mut self.state, event);
        self.perform(actions);
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start { node, attempt, last_good } => self.start(node, attempt, last_good),
                Action::Wait { node, delay } => {
                    let sleep = self.driver.clock.sleep(delay);
                    self.waits.push(sleep.map(|()| node).boxed());
                }
                Action::Skip { node, reason } => self.skip(node, reason),
                Action::Cancel { node } => self.cancel(node),
                Action::CancelRunning => self.cancel_running(),
                Action::Done => self.done = true,
            }
        }
    }

    fn start(&mut self, node: String, attempt: Attempt, last_good: Vec<String>) {
        info!(%node, attempt = attempt.number(), last_good = last_good.join(","), "node started");
        let progress = Arc::new(NodeProgress::new());
        let started = self.driver.clock.monotonic();
        self.observer.observe(&RunEvent::NodeStarted {
            node: node.clone(),
            attempt,
            last_good,
            progress: Arc::clone(&progress),
        });
        let span = info_span!("node", %node, attempt = attempt.number());
        let abort = self.tasks.spawn({
            let backend = Arc::clone(&self.driver.backend);
            let (node, progress) = (node.clone(), Arc::clone(&progress));
            async move { backend.run_node(&node, attempt, progress).await }.instrument(span)
        });
        self.running.insert(abort.id(), RunningNode { node, attempt, started, progress, abort });
    }

    fn skip(&mut self, node: String, reason: SkipReason) {
        info!(%node, reason = reason.as_str(), "node skipped");
        self.observer.observe(&RunEvent::NodeSkipped { node, reason });
    }

    /// Stops a node without waiting for its task; what the task says later is not looked at.
    fn cancel(&mut self, node: String) {
        let id = self.running.iter().find(|(_, running)| running.node == node).map(|(id, _)| *id);
        match id.and_then(|id| self.running.remove(&id)) {
            Some(running) => {
                // Until the task notices, it may go on, but not into a commit.
                running.progress.cancel();
                running.abort.abort();
                self.tell_cancelled(running);
            }
            None => {
                let elapsed = Duration::ZERO;
                self.observer.observe(&RunEvent::NodeCancelled { node, attempt: None, elapsed });
            }
        }
    }

    /// Stops every node that is not publishing. Their tasks end at their next `.await`.
    fn cancel_running(&mut self) {
        let mut committing = Vec::new();
        for running in self.running.values() {
            // What has ended already is reported for what it was, a success or a failure.
            if running.abort.is_finished() {
                continue;
            }
            match running.progress.cancel() {
                true => running.abort.abort(),
                false => committing.push(running.node.clone()),
            }
        }
        committing.sort();
        info!(committing = committing.len(), "run stopping");
        self.observer.observe(&RunEvent::Stopping { committing });
    }

    fn tell_cancelled(&mut self, running: RunningNode) {
        let elapsed = self.elapsed(&running);
        let RunningNode { node, attempt, .. } = running;
        info!(%node, attempt = attempt.number(), elapsed_ms = elapsed.as_millis(), "node cancelled");
        let attempt = Some(attempt);
        self.observer.observe(&RunEvent::NodeCancelled { node, attempt, elapsed });
    }

    fn elapsed(&self, running: &RunningNode) -> Duration {
        self.driver.clock.monotonic().saturating_sub(running.started)
    }
}

/// Waits for a change; never returns when nobody can ask any more.
async fn next_wish(wishes: &mut watch::Receiver<Wish>) -> Wish {
    match wishes.changed().await {
        Ok(()) => *wishes.borrow_and_update(),
        Err(_) => std::future::pending().await,
    }
}

fn log_failure(node: &str, attempt: Attempt, failure: &dyn Classify, retry: Option<Duration>) {
    let (attempt, message) = (attempt.number(), error_chain(failure));
    match (failure.fault(), retry) {
        (_, Some(delay)) => {
            let delay_ms = delay.as_millis();
            warn!(node, attempt, error = message, delay_ms, "node failed, will be tried again");
        }
        (Fault::User, None) => warn!(node, attempt, error = message, "node failed"),
        (Fault::External | Fault::Internal, None) => {
            error!(node, attempt, error = message, "node failed");
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests;
