//! What goes into the decision and what comes out: [`Event`] and [`Action`].

use std::time::Duration;

use windlass_error::{Fault, Retry};

use crate::{Attempt, OutcomeKind};

/// Why a node was never started.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// A node that it needs, directly or not, failed.
    UpstreamFailed {
        /// The node that failed.
        node: String,
    },
    /// Another node failed and the run stops at the first failure.
    FailFast {
        /// The node that failed.
        node: String,
    },
    /// The run was asked to stop.
    Cancelled,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The run begins.
    Started,
    /// A running node is done.
    Finished {
        /// The node.
        node: String,
        /// What it left behind.
        kind: OutcomeKind,
    },
    /// A running node's attempt failed.
    Failed {
        /// The node.
        node: String,
        /// Whose fault it was.
        fault: Fault,
        /// Whether trying again can help.
        retry: Retry,
    },
    /// A running node was stopped, as [`Action::CancelRunning`] asked.
    Cancelled {
        /// The node.
        node: String,
    },
    /// The delay of an [`Action::Wait`] is over.
    BackoffElapsed {
        /// The node.
        node: String,
    },
    /// The run shall end in good order.
    Interrupted,
    /// The run shall end now.
    Aborted,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Run an attempt of a node.
    Start {
        /// The node.
        node: String,
        /// Which try this is.
        attempt: Attempt,
        /// Parents without a new version, of which it reads what is published.
        last_good: Vec<String>,
    },
    /// Report [`Event::BackoffElapsed`] after a delay.
    Wait {
        /// The node.
        node: String,
        /// How long.
        delay: Duration,
    },
    /// Tell that a node never runs.
    Skip {
        /// The node.
        node: String,
        /// Why.
        reason: SkipReason,
    },
    /// Stop one node, whatever it is doing, and do not report back: its attempt or its wait for
    /// the next one is over.
    Cancel {
        /// The node.
        node: String,
    },
    /// Stop every running node that is not publishing and report [`Event::Cancelled`] for each;
    /// the others finish and report as usual.
    CancelRunning,
    /// The run is over.
    Done,
}

impl SkipReason {
    /// Returns the stable name: `upstream_failed`, `fail_fast` or `cancelled`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::UpstreamFailed { .. } => "upstream_failed",
            Self::FailFast { .. } => "fail_fast",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns the failed node that is to blame, if one is.
    pub fn failed_node(&self) -> Option<&str> {
        match self {
            Self::UpstreamFailed { node } | Self::FailFast { node } => Some(node),
            Self::Cancelled => None,
        }
    }
}
