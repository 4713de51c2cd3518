//! Whose fault an error is and whether trying again can help.
//!
//! Two facts on every error, so that no caller ever has to look at its text.

use crate::Code;

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The project, its SQL or its input data: the user changes something.
    User,
    /// The world outside: disk, network, another process.
    External,
    /// An invariant of ours broke.
    Internal,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// The same call fails the same way.
    Never,
    /// A later call may succeed; wait longer before each.
    Backoff,
}

/// What every error of the workspace answers.
pub trait Classify: std::error::Error {
    /// Returns whose fault this is.
    fn fault(&self) -> Fault;

    /// Returns whether trying again can help. Only outside faults may answer [`Retry::Backoff`].
    fn retry(&self) -> Retry;

    /// Returns the code that `windlass explain` knows, where the failure has one.
    fn code(&self) -> Option<Code> {
        None
    }

    /// Returns the way out, as one sentence without a full stop.
    fn hint(&self) -> Option<String> {
        None
    }
}
