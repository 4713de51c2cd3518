//! What can go wrong in the runner itself, whose fault it is, and the way out.
//!
//! Failures of nodes are the backend's errors; they pass through this crate unchanged. The only
//! failure of a node that is ours is a panic.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::ErrorCode;
use windlass_error::{Classify, Code, Fault, Retry};

/// An operation of the runner that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The selected nodes do not form a graph that can be run.
    #[error("cannot order the nodes: `{node}` {problem}")]
    OrderNodes {
        /// The node that does not fit.
        node: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A node's code panicked.
    #[error("node `{node}` panicked: {message}")]
    RunNode {
        /// The node.
        node: String,
        /// What the panic said.
        message: String,
    },
    /// The run store's folder cannot be made.
    #[error("cannot create the folder `{}` of the run store", path.display())]
    CreateFolder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The run store cannot be opened.
    #[error("cannot open the run store `{}`", path.display())]
    OpenStore {
        /// The database file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The run store was written by a later release.
    #[error(
        "cannot open the run store `{}`: it has version {found}, this release knows up to {known}",
        path.display()
    )]
    NewerStore {
        /// The database file.
        path: PathBuf,
        /// The file's schema version.
        found: u32,
        /// The last schema version that this release knows.
        known: u32,
    },
    /// The beginning, end or a node of a run cannot be written down.
    #[error("cannot record run `{run_id}`")]
    RecordRun {
        /// The run.
        run_id: String,
        /// Why.
        source: rusqlite::Error,
    },
    /// Earlier runs cannot be read.
    #[error("cannot read the history of runs")]
    ReadRuns {
        /// Why.
        source: rusqlite::Error,
    },
    /// No run has such an id.
    #[error("no run `{wanted}`")]
    FindRun {
        /// The id or beginning of an id, or `latest`.
        wanted: String,
    },
    /// The beginning of an id fits several runs.
    #[error("`{wanted}` is the beginning of {} run ids", fitting.len())]
    ChooseRun {
        /// The beginning of an id.
        wanted: String,
        /// The runs that it fits, newest first.
        fitting: Vec<String>,
    },
    /// Another run writes to the same lake and environment.
    #[error("another run is writing to environment `{env}` of lake `{lake}`: {holder}")]
    LeaseHeld {
        /// The lake.
        lake: String,
        /// The environment.
        env: String,
        /// Who: process, host, run and since when.
        holder: String,
        /// When the lease ends unless its holder renews it.
        expires_in: Duration,
    },
    /// The lease cannot be taken.
    #[error("cannot take the lease of lake `{lake}`")]
    AcquireLease {
        /// The lake.
        lake: String,
        /// Why.
        source: rusqlite::Error,
    },
    /// The thread that renews a lease cannot be started.
    #[error("cannot start renewing the lease of lake `{lake}`")]
    StartRenewal {
        /// The lake.
        lake: String,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    fn database(&self) -> Option<&rusqlite::Error> {
        match self {
            Self::OpenStore { source, .. }
            | Self::RecordRun { source, .. }
            | Self::ReadRuns { source }
            | Self::AcquireLease { source, .. } => Some(source),
            _ => None,
        }
    }

    fn is_disk_full(&self) -> bool {
        match self {
            Self::CreateFolder { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            _ => self.database().and_then(database_code) == Some(ErrorCode::DiskFull),
        }
    }
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::OrderNodes { .. } | Self::RunNode { .. } => Fault::Internal,
            Self::NewerStore { .. } | Self::FindRun { .. } | Self::ChooseRun { .. } => Fault::User,
            Self::CreateFolder { .. } | Self::StartRenewal { .. } | Self::LeaseHeld { .. } => Fault::External,
            Self::OpenStore { source, .. }
            | Self::RecordRun { source, .. }
            | Self::ReadRuns { source }
            | Self::AcquireLease { source, .. } => database_fault(source),
        }
    }

    fn retry(&self) -> Retry {
        let busy = matches!(
            self.database().and_then(database_code),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        );
        match self {
            Self::LeaseHeld { .. } => Retry::Backoff,
            _ if busy => Retry::Backoff,
            _ => Retry::Never,
        }
    }

    fn code(&self) -> Option<Code> {
        match self {
            Self::OrderNodes { .. } | Self::RunNode { .. } | Self::FindRun { .. } | Self::ChooseRun { .. } => None,
            Self::LeaseHeld { .. } => Some(Code::LEASE_HELD),
            _ if self.is_disk_full() => Some(Code::DISK_FULL),
            Self::CreateFolder { .. }
            | Self::OpenStore { .. }
            | Self::NewerStore { .. }
            | Self::RecordRun { .. }
            | Self::ReadRuns { .. }
            | Self::AcquireLease { .. }
            | Self::StartRenewal { .. } => Some(Code::RUN_STORE),
        }
    }

    fn hint(&self) -> Option<String> {
        if self.is_disk_full() {
            return Some("free some space on the disk that holds `.windlass`".to_owned());
        }
        match self {
            Self::OrderNodes { .. } | Self::StartRenewal { .. } => None,
            Self::RunNode { .. } => Some("this is a bug in Windlass; please report it with the run's log".to_owned()),
            Self::CreateFolder { .. } => Some("make the project folder writable".to_owned()),
            Self::NewerStore { .. } => Some(
                "a newer Windlass wrote it: upgrade this one, or move the file away; \
                 only the history of runs is in it"
                    .to_owned(),
            ),
            Self::FindRun { .. } => Some("`windlass runs ls` lists the runs".to_owned()),
            Self::ChooseRun { fitting, .. } => {
                let some: Vec<&str> = fitting.iter().take(3).map(String::as_str).collect();
                Some(format!("give more of the id, such as {}", some.join(", ")))
            }
            Self::LeaseHeld { expires_in, .. } => {
                Some(format!("wait until it ends; if it has crashed, its lease runs out in {} s", expires_in.as_secs()))
            }
            Self::OpenStore { .. } | Self::RecordRun { .. } | Self::ReadRuns { .. } | Self::AcquireLease { .. } => {
                self.database().and_then(database_code).and_then(database_hint)
            }
        }
    }
}

/// Returns an error's text and those of its causes, for logs and the run store.
pub(crate) fn error_chain(error: &dyn Classify) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn database_code(error: &rusqlite::Error) -> Option<ErrorCode> {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => Some(failure.code),
        _ => None,
    }
}

/// Anything but a complaint about our own SQL comes from the file, the disk or another process.
fn database_fault(error: &rusqlite::Error) -> Fault {
    match database_code(error) {
        None
        | Some(
            ErrorCode::Unknown
            | ErrorCode::InternalMalfunction
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::ApiMisuse
            | ErrorCode::ParameterOutOfRange,
        ) => Fault::Internal,
        Some(_) => Fault::External,
    }
}

fn database_hint(code: ErrorCode) -> Option<String> {
    let hint = match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            "another Windlass process is busy with the run store; try again"
        }
        ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => {
            "make the folder `.windlass` and the files in it writable"
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            "move the file away and run again; only the history of runs is in it"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests;
