//! What a run was asked for, as the store keeps it: what it takes to continue a run that ended early.

use rusqlite::types::Type;
use serde::{Deserialize, Serialize};

/// What a run was asked for. Fields are only ever added, so that runs of an older Windlass can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunArguments {
    /// Its selections; empty for everything.
    pub select: Vec<String>,
    /// What was left out of them.
    pub exclude: Vec<String>,
    /// Variables over those of the project, each as `name=value`.
    pub vars: Vec<String>,
    /// The time from which intervals were asked for.
    pub from: Option<String>,
    /// The time up to which intervals were asked for.
    pub to: Option<String>,
    /// The share of rows of sources that was read, such as `1%`.
    pub sample: Option<String>,
    /// Whether every node was to be computed.
    pub no_cache: bool,
    /// Whether incremental tables were to be computed from nothing as well.
    pub full_refresh: bool,
    /// Whether the first failure was to stop everything.
    pub fail_fast: bool,
    /// The nodes that it was to do, in order.
    pub nodes: Vec<String>,
    /// The run that it continues.
    pub resumes: Option<String>,
}

/// Reads what stands in the store; `None` for a run that kept nothing.
pub(super) fn read(text: Option<String>) -> rusqlite::Result<Option<RunArguments>> {
    let parse = |text: String| serde_json::from_str(&text);
    let parsed = text.map(parse).transpose();
    parsed.map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))
}

/// Returns what stands in the store.
pub(super) fn text(arguments: Option<&RunArguments>) -> Option<String> {
    arguments.and_then(|arguments| serde_json::to_string(arguments).ok())
}
