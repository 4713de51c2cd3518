//! Why a Python operator has no answer.

use windlass_error::{Classify, Code, Fault, Retry};

use super::Verdict;

/// A failure of the operator; travels through DataFusion as an external error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PythonError {
    /// Workers could not start, or a call has no answer.
    #[error(transparent)]
    Worker(Box<windlass_worker::Error>),
    /// More rows failed than may.
    #[error("{0}")]
    Budget(Verdict),
    /// A precondition does not hold, and rows may not fail.
    #[error("{rows} row{} of a batch of {of} do not meet `requires`: {rule}", if *rows == 1 { "" } else { "s" })]
    Requires {
        /// The rule, in words.
        rule: String,
        /// Rows that break it.
        rows: usize,
        /// Rows of the batch.
        of: usize,
    },
    /// A table is too large to be handed over as a whole.
    #[error("the tables of `{node}` take more than {} MiB, at `{table}`", .max_bytes >> 20)]
    TableLimit {
        /// Node name.
        node: String,
        /// The table at which the limit was hit.
        table: String,
        /// The limit.
        max_bytes: u64,
    },
    /// The rows that a model is to be trained on are too many to be handed over.
    #[error("the training rows of `{node}` take more than {} MiB", .max_bytes >> 20)]
    TrainingLimit {
        /// Node name.
        node: String,
        /// The limit.
        max_bytes: u64,
    },
    /// Rows were lost or invented on the way.
    #[error("{rows_in} rows were handed over, {rows_out} came back and {failed} failed")]
    Account {
        /// Rows handed over.
        rows_in: usize,
        /// Rows that came back.
        rows_out: usize,
        /// Rows that failed.
        failed: usize,
    },
}

impl From<windlass_worker::Error> for PythonError {
    fn from(error: windlass_worker::Error) -> Self {
        Self::Worker(Box::new(error))
    }
}

impl From<PythonError> for datafusion::error::DataFusionError {
    fn from(error: PythonError) -> Self {
        Self::External(Box::new(error))
    }
}

impl Classify for PythonError {
    fn fault(&self) -> Fault {
        match self {
            Self::Worker(error) => error.fault(),
            Self::Budget(_) | Self::Requires { .. } | Self::TableLimit { .. } | Self::TrainingLimit { .. } => {
                Fault::User
            }
            Self::Account { .. } => Fault::Internal,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Worker(error) => error.retry(),
            _ => Retry::Never,
        }
    }

    fn code(&self) -> Option<Code> {
        match self {
            Self::Worker(error) => error.code(),
            Self::Budget(_) | Self::Requires { .. } => Some(Code::ERROR_BUDGET),
            Self::TableLimit { .. } | Self::TrainingLimit { .. } => Some(Code::TABLE_LIMIT),
            Self::Account { .. } => Some(Code::WORKER_DIED),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Worker(error) => error.hint(),
            Self::Budget(verdict) => Some(verdict.hint()),
            Self::Requires { .. } => {
                Some("correct the input, or let such rows go to the error table: on_error=\"quarantine\"".to_string())
            }
            Self::TableLimit { .. } => {
                Some("use mode=\"batch\", which streams, or raise `max_bytes` if the memory is there".to_string())
            }
            Self::TrainingLimit { .. } => {
                Some("train on fewer rows or columns, or raise `max_bytes` if the memory is there".to_string())
            }
            Self::Account { .. } => None,
        }
    }
}
