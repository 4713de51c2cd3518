//! What a call answers: the rows that came back, and the rows that failed.

use std::time::Duration;

use arrow::record_batch::RecordBatch;

/// The answer to one batch. For one-to-one programs, the rows that came back and those that failed
/// make up the batch; functions answer every row, with NULL for those that failed.
#[derive(Debug, Clone)]
pub struct BatchOutcome {
    /// Rows with the program's output schema, in the order of the batch's rows that did not fail.
    pub rows: RecordBatch,
    /// Rows that failed, in order of `row`, each at most once.
    pub errors: Vec<RowError>,
    /// From handing the batch over to its answer.
    pub elapsed: Duration,
    /// The worker that answered, from 1.
    pub worker: u32,
}

/// A row that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// Its place in the batch, from 0.
    pub row: u32,
    /// Where it failed.
    pub stage: Stage,
    /// The exception's class, or what killed the worker.
    pub error_type: String,
    /// What went wrong.
    pub message: String,
    /// The stack; empty where there is none.
    pub traceback: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The worker that saw it fail, from 1; 0 where none did.
    pub worker: u32,
}

/// Where a row failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// A precondition, evaluated before Python saw the row.
    Requires,
    /// User code called `reject`.
    Reject,
    /// User code raised.
    Python,
    /// The row kills its worker.
    Crash,
    /// The row takes longer than the timeout.
    Timeout,
    /// The row takes more memory than there is.
    Memory,
    /// A model cannot score the row; no worker says so.
    Model,
}

impl Stage {
    /// Returns the stable name, as error tables hold it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requires => "requires",
            Self::Reject => "reject",
            Self::Python => "python",
            Self::Crash => "crash",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Model => "model",
        }
    }

    /// Returns the stage of a stable name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Requires, Self::Reject, Self::Python, Self::Crash, Self::Timeout, Self::Memory]
            .into_iter()
            .find(|stage| stage.as_str() == name)
    }
}
