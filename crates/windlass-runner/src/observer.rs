//! What a run tells the outside while it goes on.
//!
//! The printer, the run store and tests are all [`Observer`]s of the same events.

use std::sync::Arc;
use std::time::Duration;

use windlass_error::Classify;

use crate::{Attempt, CancelReason, NodeOutcome, NodeProgress, RunOutcome, SkipReason, StateCounts};

/// A node's failure, shared by everybody who looks at it.
pub type SharedError = Arc<dyn Classify + Send + Sync>;

/// Something that a run tells. For each node: either one skip, or one start for each attempt, each
/// followed by one end (finished, failed or cancelled).
#[derive(Debug, Clone)]
pub enum RunEvent {
    /// The run begins.
    RunStarted {
        /// Every node that was selected, in the order in which they were given.
        nodes: Vec<String>,
    },
    /// An attempt begins.
    NodeStarted {
        /// The node.
        node: String,
        /// Which try this is.
        attempt: Attempt,
        /// Nodes that it reads and that have no new version: it reads what is published.
        last_good: Vec<String>,
        /// How far it has come; to be polled.
        progress: Arc<NodeProgress>,
    },
    /// A node is done.
    NodeFinished {
        /// The node.
        node: String,
        /// Which try this was.
        attempt: Attempt,
        /// What it left behind.
        outcome: NodeOutcome,
        /// How long the attempt took.
        elapsed: Duration,
    },
    /// An attempt failed.
    NodeFailed {
        /// The node.
        node: String,
        /// Which try this was.
        attempt: Attempt,
        /// Why.
        error: SharedError,
        /// How long the attempt took.
        elapsed: Duration,
        /// When the next try comes; `None` when the node has failed for good.
        will_retry_in: Option<Duration>,
    },
    /// A node will never start.
    NodeSkipped {
        /// The node.
        node: String,
        /// Why.
        reason: SkipReason,
    },
    /// A node was stopped from outside.
    NodeCancelled {
        /// The node.
        node: String,
        /// The try that was stopped; `None` when the node waited for its next one.
        attempt: Option<Attempt>,
        /// How long the attempt took; zero between attempts.
        elapsed: Duration,
    },
    /// Nothing starts any more, and the run waits for what is publishing.
    Stopping {
        /// The nodes that are publishing and will finish.
        committing: Vec<String>,
    },
    /// The run is over.
    RunFinished {
        /// How it went.
        summary: RunSummary,
    },
}

/// How a run went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// Success, failure or cancellation.
    pub outcome: RunOutcome,
    /// Why it was not a success; `None` when it was.
    pub reason: Option<RunReason>,
    /// How many nodes ended how.
    pub counts: StateCounts,
    /// Attempts that failed and were repeated.
    pub retries: usize,
    /// Rows written by all nodes.
    pub rows: u64,
    /// Bytes written by all nodes, as stored.
    pub bytes: u64,
    /// Data files written by all nodes.
    pub files: u64,
    /// Rows that failed and went to error tables, of all nodes.
    pub error_rows: u64,
    /// How long the run took.
    pub elapsed: Duration,
}

/// Why a run was not a success. When it was asked to stop, that is the reason, even if a node had
/// failed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunReason {
    /// At least one node failed.
    NodeFailed,
    /// The run was asked to stop.
    Stopped(CancelReason),
}

/// Watches a run. Called on the driver's task, so it returns quickly.
pub trait Observer: Send {
    /// Takes note of an event.
    fn observe(&mut self, event: &RunEvent);
}

impl Observer for Vec<&mut dyn Observer> {
    fn observe(&mut self, event: &RunEvent) {
        for observer in self {
            observer.observe(event);
        }
    }
}

impl RunReason {
    /// Returns the stable name: `node_failed`, `interrupted`, `lease_lost` or `timed_out`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NodeFailed => "node_failed",
            Self::Stopped(CancelReason::Interrupted) => "interrupted",
            Self::Stopped(CancelReason::LeaseLost) => "lease_lost",
            Self::Stopped(CancelReason::TimedOut) => "timed_out",
        }
    }
}
