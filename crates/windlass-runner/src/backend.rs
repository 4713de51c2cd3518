//! The port behind which a node's work happens.
//!
//! `windlass/src/compose.rs` implements [`Backend`] with the engine or the cluster; tests implement
//! it with a script.

use std::sync::Arc;

use async_trait::async_trait;
use windlass_error::Classify;

use crate::NodeProgress;

/// Why a node's attempt failed.
pub type BackendError = Box<dyn Classify + Send + Sync>;

/// One try of a node, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt(u32);

/// What an attempt left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutcomeKind {
    /// A table version was committed.
    Published,
    /// A view was defined; nothing was written.
    View,
    /// The published version is still right; nothing was written.
    Reused,
    /// A table version was committed that has rows more: error rows that did not fail again.
    Replayed,
}

/// What an attempt that did not fail has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeOutcome {
    /// What was left behind.
    pub kind: OutcomeKind,
    /// Rows written; for a replay those that came to the table.
    pub rows: u64,
    /// Bytes written, as stored.
    pub bytes: u64,
    /// Data files written.
    pub files: u64,
    /// The Delta version that holds the rows.
    pub version: Option<u64>,
    /// The environment of that version, where it is not the run's own.
    pub env: Option<String>,
    /// The node's fingerprint.
    pub fingerprint: Option<String>,
    /// Rows that failed, where the node has an error table.
    pub errors: Option<ErrorRows>,
    /// Rows that failed and stayed, with NULL for what failed, where the node may leave such.
    pub nulls: Option<ErrorRows>,
}

/// Rows that failed and did not fail the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorRows {
    /// How many.
    pub rows: u64,
    /// Rows that were tried: all of the input, or all that were replayed.
    pub of: u64,
    /// Why, with the number of rows of each cause, most first.
    pub causes: Vec<(String, u64)>,
}

/// Runs nodes.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Runs one attempt of a node to its end and returns what it left behind.
    ///
    /// The future may be dropped at any `.await` and must then leave nothing half published. It
    /// says where it is through `progress`, asks [`NodeProgress::begin_commit`] before it
    /// publishes, and does not publish when that answers `false`.
    async fn run_node(
        &self,
        node: &str,
        attempt: Attempt,
        progress: Arc<NodeProgress>,
    ) -> Result<NodeOutcome, BackendError>;
}

impl Attempt {
    /// The first try.
    pub const FIRST: Self = Self(1);

    /// Returns the attempt's number, from 1.
    pub fn number(self) -> u32 {
        self.0
    }

    /// Returns the try after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl OutcomeKind {
    /// Returns the stable name: `published`, `view`, `reused` or `replayed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::View => "view",
            Self::Reused => "reused",
            Self::Replayed => "replayed",
        }
    }
}
