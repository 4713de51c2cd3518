//! Writes a run into the run store while it goes on.
//!
//! History is a convenience, so a store that cannot be written does not stop the run: the first
//! failure is logged and kept for [`Recorder::into_result`], and the rest goes on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::warn;
use windlass_error::{Classify, Fault};

use crate::error::error_chain;
use crate::{
    Attempt, Error, NodeOutcome, NodeRunRow, Observer, OutcomeKind, RunEnd, RunEvent, RunId, RunStore, RunSummary,
    SkipReason,
};

/// Answers how much memory the process has had at most, in bytes.
type PeakMemory = Box<dyn Fn() -> Option<u64> + Send>;

/// An observer that records a run that [`RunStore::begin_run`] has begun. Each event costs one
/// small transaction without waiting for the disk.
pub struct Recorder {
    store: Arc<RunStore>,
    run_id: RunId,
    peak_memory: PeakMemory,
    /// When the attempts that go on began.
    begun: HashMap<String, DateTime<Utc>>,
    failure: Option<Error>,
}

impl Recorder {
    /// Returns a recorder of one run; `peak_memory` is asked once, at the run's end.
    pub fn new(store: Arc<RunStore>, run_id: RunId, peak_memory: impl Fn() -> Option<u64> + Send + 'static) -> Self {
        let peak_memory = Box::new(peak_memory);
        Self { store, run_id, peak_memory, begun: HashMap::new(), failure: None }
    }

    /// Returns the first failure to write, if there was one.
    pub fn into_result(self) -> Result<(), Error> {
        self.failure.map_or(Ok(()), Err)
    }

    fn now(&self) -> DateTime<Utc> {
        self.store.clock().now()
    }

    fn begin(&mut self, node: &str, attempt: Attempt) {
        let now = self.now();
        self.begun.insert(node.to_owned(), now);
        self.write(&NodeRunRow::begun(self.run_id.as_str(), node, attempt.number(), now));
    }

    fn finish(&mut self, node: &str, attempt: Attempt, outcome: &NodeOutcome, elapsed: Duration) {
        let (ended, reason) = match outcome.kind {
            OutcomeKind::Published | OutcomeKind::View | OutcomeKind::Replayed => ("success", None),
            OutcomeKind::Reused => ("reused", Some("unchanged")),
        };
        let row = NodeRunRow {
            reason: reason.map(str::to_owned),
            kind: Some(outcome.kind.as_str().to_owned()),
            rows: Some(outcome.rows),
            bytes: Some(outcome.bytes),
            files: Some(outcome.files),
            table_version: outcome.version,
            fingerprint: outcome.fingerprint.clone(),
            error_rows: outcome.errors.as_ref().map(|errors| errors.rows),
            null_rows: outcome.nulls.as_ref().map(|nulls| nulls.rows),
            ..self.ended(node, attempt, ended, elapsed)
        };
        self.write(&row);
    }

    /// Adds a failure to an ended attempt's row.
    fn fail(&mut self, ended: NodeRunRow, error: &dyn Classify, will_retry_in: Option<Duration>) {
        self.write(&NodeRunRow {
            reason: will_retry_in.map(|_| "will_retry".to_owned()),
            error_code: error.code().map(|code| code.to_string()),
            error_message: Some(error_chain(error)),
            fault: Some(fault_text(error.fault()).to_owned()),
            ..ended
        });
    }

    fn skip(&mut self, node: &str, reason: &SkipReason) {
        let row = NodeRunRow {
            outcome: Some("skipped".to_owned()),
            reason: Some(reason.as_str().to_owned()),
            failed_node: reason.failed_node().map(str::to_owned),
            ..NodeRunRow::begun(self.run_id.as_str(), node, 0, self.now())
        };
        self.write(&row);
    }

    fn finish_run(&mut self, summary: &RunSummary) {
        let end = RunEnd {
            outcome: summary.outcome,
            reason: summary.reason.map(crate::RunReason::as_str),
            peak_memory_bytes: (self.peak_memory)(),
            rows: summary.rows,
            bytes: summary.bytes,
        };
        let result = self.store.finish_run(&self.run_id, &end);
        self.keep(result);
    }

    fn ended(&mut self, node: &str, attempt: Attempt, outcome: &str, elapsed: Duration) -> NodeRunRow {
        let begun = self.begun.remove(node).unwrap_or_else(|| self.now());
        NodeRunRow {
            outcome: Some(outcome.to_owned()),
            elapsed_ms: Some(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)),
            ..NodeRunRow::begun(self.run_id.as_str(), node, attempt.number(), begun)
        }
    }

    fn write(&mut self, row: &NodeRunRow) {
        let result = self.store.record_node(row);
        self.keep(result);
    }

    fn keep(&mut self, result: Result<(), Error>) {
        if let Err(error) = result
            && self.failure.is_none()
        {
            warn!(error = error_chain(&error), "run store not written");
            self.failure = Some(error);
        }
    }
}

impl Observer for Recorder {
    fn observe(&mut self, event: &RunEvent) {
        match event {
            RunEvent::RunStarted { .. } | RunEvent::Stopping { .. } => {}
            RunEvent::NodeStarted { node, attempt, .. } => self.begin(node, *attempt),
            RunEvent::NodeFinished { node, attempt, outcome, elapsed } => {
                self.finish(node, *attempt, outcome, *elapsed);
            }
            RunEvent::NodeFailed { node, attempt, error, elapsed, will_retry_in } => {
                let ended = self.ended(node, *attempt, "failed", *elapsed);
                self.fail(ended, &**error, *will_retry_in);
            }
            RunEvent::NodeSkipped { node, reason } => self.skip(node, reason),
            RunEvent::NodeCancelled { node, attempt: Some(attempt), elapsed } => {
                let row = self.ended(node, *attempt, "cancelled", *elapsed);
                self.write(&row);
            }
            // Between two attempts; the failed one stands in the store already.
            RunEvent::NodeCancelled { attempt: None, .. } => {}
            RunEvent::RunFinished { summary } => self.finish_run(summary),
        }
    }
}

fn fault_text(fault: Fault) -> &'static str {
    match fault {
        Fault::User => "user",
        Fault::External => "external",
        Fault::Internal => "internal",
    }
}

#[cfg(test)]
mod tests;
