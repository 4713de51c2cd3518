//! What Python says about a failure, as it arrives.

use serde::Deserialize;

/// A failure of user code, or of its result.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Failure {
    /// What failed.
    pub kind: FailureKind,
    /// The exception's class, such as `ValueError`.
    #[serde(rename = "type", default)]
    pub error_type: String,
    /// The exception's text, at most 4 KiB.
    pub message: String,
    /// The stack without frames of ours, at most 8 KiB.
    #[serde(default)]
    pub traceback: String,
    /// The innermost file of the project on the stack.
    #[serde(default)]
    pub file: Option<String>,
    /// The line in `file`, from 1.
    #[serde(default)]
    pub line: Option<u32>,
    /// The function in `file`.
    #[serde(default)]
    pub function: Option<String>,
    /// What to do, where Python knows.
    #[serde(default)]
    pub way_out: Option<String>,
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// User code raised.
    Exception,
    /// The result does not match the declared columns.
    Output,
    /// User code ran out of memory.
    Memory,
    /// The class could not be constructed.
    Construct,
    /// The user's file could not be imported.
    Import,
    /// A package that the batch format needs is not installed.
    MissingPackage,
    /// `reject` was called wrongly.
    Reject,
    /// A model that was trained cannot be kept, or one that is kept cannot be loaded.
    Model,
}

impl Failure {
    /// Returns what went wrong in a line: the exception's class where it tells users something, and its text.
    pub fn summary(&self) -> String {
        let is_ours = matches!(self.kind, FailureKind::Output | FailureKind::MissingPackage | FailureKind::Model)
            || ["", "InputError", "LoadError", "OutputError"].contains(&self.error_type.as_str());
        // An exception without a text has its class in place of one.
        match is_ours || self.message == self.error_type {
            true => self.message.clone(),
            false => format!("{}: {}", self.error_type, self.message),
        }
    }

    /// Returns the way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        if let Some(way_out) = &self.way_out {
            return Some(way_out.clone());
        }
        if self.error_type != "ModuleNotFoundError" {
            return None;
        }
        let (_, name) = self.message.split_once("No module named '")?;
        let module = name.split(['.', '\'']).next()?;
        Some(format!(
            "name the package of `{module}` in the file's `# /// script` block, or put `{module}.py` into `lib/`"
        ))
    }
}
