//! Why a pool has given up.

use std::time::Duration;

use crate::worker::Death;
use crate::{Error, Failure};

/// Why no worker of a pool can work; told to every caller.
#[derive(Debug, Clone)]
pub(crate) enum Broken {
    /// User code fails before the first batch.
    Init(Failure),
    /// Workers are not ready in time.
    StartTimeout { limit: Duration, output: String },
    /// Workers die before they are ready.
    Death(Death),
    /// An environment cannot run workers.
    Package { message: String },
    /// The system does not let us start workers.
    Process { operation: &'static str, kind: std::io::ErrorKind, message: String },
}

impl Broken {
    /// Takes down an error that stood in the way of a worker.
    pub(crate) fn by(error: &Error) -> Self {
        match error {
            Error::Package { message, .. } => Self::Package { message: message.clone() },
            Error::StartTimeout { limit, output, .. } => Self::StartTimeout { limit: *limit, output: output.clone() },
            Error::Died { how, output, .. } => {
                let stage = crate::Stage::Crash;
                Self::Death(Death { stage, name: "Lost".to_owned(), how: how.clone(), output: output.clone() })
            }
            Error::Process { operation, source, .. } => {
                Self::Process { operation, kind: source.kind(), message: source.to_string() }
            }
            other => {
                let kind = std::io::ErrorKind::Other;
                Self::Process { operation: "start a worker", kind, message: other.to_string() }
            }
        }
    }

    /// Returns whether trying again is pointless.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Init(_) | Self::StartTimeout { .. } | Self::Package { .. })
    }

    /// Returns the error for a caller.
    pub(crate) fn error(&self, node: &str) -> Error {
        let node = node.to_owned();
        match self.clone() {
            Self::Init(failure) => Error::Start { node, failure },
            Self::StartTimeout { limit, output } => Error::StartTimeout { node, limit, output },
            Self::Death(death) => {
                Error::Died { node, how: format!("{} before it was ready", death.how), output: death.output }
            }
            Self::Package { message } => Error::Package { node, message },
            Self::Process { operation, kind, message } => {
                Error::Process { node, operation, source: std::io::Error::new(kind, message) }
            }
        }
    }
}
