//! What can go wrong between this process and Python.

use std::time::Duration;

use windlass_error::{Classify, Code, Fault, Retry};

use crate::Failure;

/// An operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// User code raised, or its result does not fit, and the batch has no answer.
    #[error("{}", .failure.summary())]
    Call {
        /// The node.
        node: String,
        /// What Python says.
        failure: Failure,
    },
    /// A worker could not get ready.
    #[error("a worker of `{node}` could not start: {}", .failure.summary())]
    Start {
        /// The node.
        node: String,
        /// What Python says.
        failure: Failure,
    },
    /// A worker took too long to get ready.
    #[error("a worker of `{node}` was not ready after {} s", .limit.as_secs())]
    StartTimeout {
        /// The node.
        node: String,
        /// How long it had.
        limit: Duration,
        /// The last lines that it wrote.
        output: String,
    },
    /// A worker died and the batch has no answer.
    #[error("a worker of `{node}` died: {how}")]
    Died {
        /// The node.
        node: String,
        /// The signal or exit code, in words.
        how: String,
        /// The last lines that it wrote.
        output: String,
    },
    /// A call took too long and the batch has no answer.
    #[error("a call of `{node}` took longer than its timeout of {} ms", .limit.as_millis())]
    Timeout {
        /// The node.
        node: String,
        /// How long it had.
        limit: Duration,
        /// The stack of the worker when its time was up.
        stack: String,
    },
    /// A worker's answer cannot be read.
    #[error("a worker of `{node}` gave an answer that cannot be read: {message}")]
    Answer {
        /// The node.
        node: String,
        /// What is wrong with it.
        message: String,
    },
    /// The machine cannot give what the node asks for.
    #[error("`{node}` asks for {asked}, the machine has {available}")]
    Resources {
        /// The node.
        node: String,
        /// What is asked for.
        asked: String,
        /// What there is.
        available: String,
    },
    /// Shared memory is not to be had.
    #[error("cannot get {bytes} bytes of shared memory for `{node}`")]
    SharedMemory {
        /// The node.
        node: String,
        /// How much.
        bytes: usize,
        /// Why.
        source: std::io::Error,
    },
    /// A process or socket operation failed.
    #[error("cannot {operation} for `{node}`")]
    Process {
        /// The node.
        node: String,
        /// What was tried, such as `start Python`.
        operation: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The Python package in an environment is missing or too old.
    #[error("{message}")]
    Package {
        /// The node.
        node: String,
        /// What is missing.
        message: String,
    },
    /// A lock is missing or out of date.
    #[error("{message}")]
    Lock {
        /// The node.
        node: String,
        /// What is wrong with it.
        message: String,
        /// What to do about it.
        way_out: String,
    },
    /// An environment cannot be resolved or built.
    #[error("cannot {operation} the environment of `{node}`")]
    Environment {
        /// The node.
        node: String,
        /// `resolve` or `build`.
        operation: &'static str,
        /// What uv says.
        output: String,
    },
    /// A package that we need ourselves cannot be fetched.
    #[error("cannot fetch `{requirement}` into the cache: {}", .output.lines().next_back().unwrap_or_default())]
    Fetch {
        /// Name and version.
        requirement: String,
        /// What uv says.
        output: String,
    },
    /// uv is missing and cannot be fetched.
    #[error("uv is not installed and cannot be fetched")]
    Uv {
        /// What was tried, and what came of it.
        output: String,
    },
    /// A folder of the cache cannot be used.
    #[error("cannot {operation} `{}`", .path.display())]
    Cache {
        /// What was tried.
        operation: &'static str,
        /// The file or folder.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The pool was shut down.
    #[error("the workers of `{node}` are shut down")]
    Closed {
        /// The node.
        node: String,
    },
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::Call { .. } | Self::Start { .. } | Self::StartTimeout { .. } | Self::Died { .. } => Fault::User,
            Self::Timeout { .. } | Self::Resources { .. } | Self::Package { .. } | Self::Lock { .. } => Fault::User,
            Self::Environment { .. } => Fault::User,
            Self::SharedMemory { .. } | Self::Process { .. } | Self::Uv { .. } | Self::Cache { .. } => Fault::External,
            Self::Fetch { .. } => Fault::External,
            Self::Answer { .. } | Self::Closed { .. } => Fault::Internal,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::SharedMemory { .. } | Self::Process { .. } => Retry::Backoff,
            _ => Retry::Never,
        }
    }

    fn code(&self) -> Option<Code> {
        use crate::FailureKind as Kind;
        Some(match self {
            Self::Call { failure, .. } => match failure.kind {
                Kind::Output => Code::PYTHON_OUTPUT,
                Kind::Model => Code::MODEL_EXPORT,
                Kind::MissingPackage => Code::PACKAGE,
                Kind::Construct | Kind::Import => Code::CONSTRUCT,
                Kind::Exception | Kind::Memory | Kind::Reject => Code::PYTHON_FAILED,
            },
            Self::Start { failure, .. } if failure.kind == Kind::MissingPackage => Code::PACKAGE,
            Self::Start { failure, .. } if failure.kind == Kind::Model => Code::MODEL_LOAD,
            Self::Start { .. } => Code::CONSTRUCT,
            Self::StartTimeout { .. } | Self::Timeout { .. } => Code::PYTHON_TIMEOUT,
            Self::Died { .. } | Self::Answer { .. } | Self::Closed { .. } => Code::WORKER_DIED,
            Self::Resources { .. } => Code::RESOURCES,
            Self::Package { .. } => Code::PACKAGE,
            Self::Lock { .. } => Code::LOCK,
            Self::Environment { .. } | Self::Fetch { .. } => Code::ENVIRONMENT,
            Self::Uv { .. } => Code::UV,
            Self::SharedMemory { .. } | Self::Process { .. } | Self::Cache { .. } => Code::STORAGE,
        })
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Lock { way_out, .. } => Some(way_out.clone()),
            Self::Call { failure, .. } | Self::Start { failure, .. } => failure.hint(),
            Self::Package { .. } => Some(
                "name it among the node's requirements; beside a `uv.lock`, in `pyproject.toml`, and run `uv lock`"
                    .to_owned(),
            ),
            Self::Environment { output, .. } | Self::Fetch { output, .. } => crate::environment::hint(output),
            Self::Cache { source, .. } => crate::environment::hint(&source.to_string()),
            Self::Uv { .. } => {
                Some("install uv (https://docs.astral.sh/uv), or a `python3` with pip to fetch it with".to_owned())
            }
            _ => None,
        }
    }
}
