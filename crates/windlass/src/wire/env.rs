//! What `windlass env` prints with `--format json`.

use serde::Serialize;

/// `windlass.env.ls/1`.
#[derive(Debug, Serialize)]
pub(crate) struct EnvListing {
    pub(crate) lake: String,
    pub(crate) environments: Vec<ListedEnv>,
}

/// An environment of the lake.
#[derive(Debug, Serialize)]
pub(crate) struct ListedEnv {
    pub(crate) name: String,
    pub(crate) base: Option<String>,
    pub(crate) sample: Option<String>,
    pub(crate) current: bool,
    pub(crate) protected: bool,
    pub(crate) tables: u64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) last_run: Option<EnvRun>,
}

/// The newest run in an environment.
#[derive(Debug, Serialize)]
pub(crate) struct EnvRun {
    pub(crate) run_id: String,
    pub(crate) command: String,
    pub(crate) started_at: String,
    pub(crate) outcome: Option<String>,
}

/// `windlass.env.diff/1`.
#[derive(Debug, Serialize)]
pub(crate) struct EnvDiffReport {
    pub(crate) env: String,
    pub(crate) base: String,
    pub(crate) tables: Vec<EnvDiffTable>,
}

/// A table that an environment has of its own.
#[derive(Debug, Serialize)]
pub(crate) struct EnvDiffTable {
    pub(crate) name: String,
    pub(crate) change: &'static str,
    pub(crate) reason: Option<String>,
    pub(crate) version: u64,
    pub(crate) rows: Option<u64>,
    pub(crate) base_version: Option<u64>,
    pub(crate) base_rows: Option<u64>,
    pub(crate) missing_rows: Option<u64>,
    pub(crate) extra_rows: Option<u64>,
    pub(crate) changed_rows: Option<u64>,
}

/// `windlass.env.promote/1`.
#[derive(Debug, Serialize)]
pub(crate) struct EnvPromoteReport {
    pub(crate) env: String,
    pub(crate) base: String,
    pub(crate) run_id: Option<String>,
    pub(crate) dry_run: bool,
    pub(crate) tables: Vec<PromotedTable>,
}

/// A table that was, or would be, promoted.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PromotedTable {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) version: u64,
    pub(crate) base_version: Option<u64>,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) obstacle: Option<String>,
    pub(crate) aliases: Vec<String>,
}

/// `windlass.env.drop/1`.
#[derive(Debug, Serialize)]
pub(crate) struct EnvDropReport {
    pub(crate) env: String,
    pub(crate) tables: Vec<String>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) kept: Vec<String>,
}
