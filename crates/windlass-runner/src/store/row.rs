//! The rows of the run store, as `--format json` prints them.
//!
//! Field names are stable: they are only ever added. Times are UTC, RFC 3339, with milliseconds.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::Row;
use rusqlite::types::Type;
use serde::{Serialize, Serializer};

use super::{RunArguments, arguments, time_text};
use crate::ProcessId;

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunRow {
    /// The run's id.
    pub run_id: String,
    /// The command, such as `run`.
    pub command: String,
    /// The selection as it was written; `None` for everything.
    pub selection: Option<String>,
    /// The target's name.
    pub target: String,
    /// The environment's name.
    pub env: String,
    /// The lake's location.
    pub lake: String,
    /// When it began.
    #[serde(serialize_with = "serialize_time")]
    pub started_at: DateTime<Utc>,
    /// When it ended; `None` while it goes on.
    #[serde(serialize_with = "serialize_maybe_time")]
    pub finished_at: Option<DateTime<Utc>>,
    /// `success`, `failed` or `cancelled`; `None` while it goes on.
    pub outcome: Option<String>,
    /// Why it was not a success: `node_failed`, `interrupted`, `lease_lost`, `timed_out` or
    /// `process_ended`.
    pub reason: Option<String>,
    /// The version of Windlass.
    pub version: String,
    /// The host on which it ran.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The most memory that the process had.
    pub peak_memory_bytes: Option<u64>,
    /// Rows written by all nodes.
    pub rows: Option<u64>,
    /// Bytes written by all nodes, as stored.
    pub bytes: Option<u64>,
    /// What it was asked for; `None` for what cannot be continued.
    pub arguments: Option<RunArguments>,
}

/// One attempt of a node in a run, or a node that was skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeRunRow {
    /// The run's id.
    pub run_id: String,
    /// The node's name.
    pub node: String,
    /// Which try, from 1; 0 for a node that was skipped.
    pub attempt: u32,
    /// What was left behind: `published`, `view`, `reused`, `replayed` or `promoted`.
    pub kind: Option<String>,
    /// `success`, `failed`, `skipped`, `cancelled` or `reused`; `None` while it goes on.
    pub outcome: Option<String>,
    /// Why: `unchanged`, `upstream_failed`, `fail_fast`, `cancelled`, `will_retry` or
    /// `process_ended`.
    pub reason: Option<String>,
    /// The node whose failure is the reason.
    pub failed_node: Option<String>,
    /// When it began, or was skipped.
    #[serde(serialize_with = "serialize_time")]
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub elapsed_ms: Option<u64>,
    /// Rows written; for a replay those that came to the table.
    pub rows: Option<u64>,
    /// Rows that failed; `None` where the node has no error table.
    pub error_rows: Option<u64>,
    /// Rows that failed and have NULL for what Python should have answered; `None` where none may.
    pub null_rows: Option<u64>,
    /// Bytes written, as stored.
    pub bytes: Option<u64>,
    /// Data files written.
    pub files: Option<u64>,
    /// The Delta version that holds the rows.
    pub table_version: Option<u64>,
    /// The node's fingerprint.
    pub fingerprint: Option<String>,
    /// The code that `windlass explain` knows.
    pub error_code: Option<String>,
    /// The failure and its causes.
    pub error_message: Option<String>,
    /// Whose fault it was: `user`, `external` or `internal`.
    pub fault: Option<String>,
}

/// A run with its nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunDetail {
    /// The run.
    pub run: RunRow,
    /// Its nodes' attempts, in the order in which they began.
    pub nodes: Vec<NodeRunRow>,
}

/// A node's last success, for estimates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeHistory {
    /// How long it took.
    pub elapsed: Duration,
    /// Rows written.
    pub rows: u64,
    /// Bytes written, as stored.
    pub bytes: u64,
    /// When it began.
    pub started_at: DateTime<Utc>,
}

impl RunRow {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            run_id: row.get("run_id")?,
            command: row.get("command")?,
            selection: row.get("selection")?,
            target: row.get("target")?,
            env: row.get("env")?,
            lake: row.get("lake")?,
            started_at: time(row, "started_at")?,
            finished_at: maybe_time(row, "finished_at")?,
            outcome: row.get("outcome")?,
            reason: row.get("reason")?,
            version: row.get("version")?,
            host: row.get("host")?,
            pid: row.get("pid")?,
            peak_memory_bytes: count(row, "peak_memory_bytes")?,
            rows: count(row, "rows")?,
            bytes: count(row, "bytes")?,
            arguments: arguments::read(row.get("arguments")?)?,
        })
    }
}

impl RunDetail {
    /// Returns what is known last of each node that it has begun or skipped: whether it is done.
    pub fn ends(&self) -> BTreeMap<&str, bool> {
        // Attempts stand in the order in which they began.
        let is_done = |row: &NodeRunRow| matches!(row.outcome.as_deref(), Some("success" | "reused"));
        self.nodes.iter().map(|row| (row.node.as_str(), is_done(row))).collect()
    }
}

impl NodeRunRow {
    /// Returns the row of an attempt of which nothing is known but its beginning.
    pub fn begun(run_id: &str, node: &str, attempt: u32, started_at: DateTime<Utc>) -> Self {
        Self {
            run_id: run_id.to_owned(),
            node: node.to_owned(),
            attempt,
            kind: None,
            outcome: None,
            reason: None,
            failed_node: None,
            started_at,
            elapsed_ms: None,
            rows: None,
            error_rows: None,
            null_rows: None,
            bytes: None,
            files: None,
            table_version: None,
            fingerprint: None,
            error_code: None,
            error_message: None,
            fault: None,
        }
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            run_id: row.get("run_id")?,
            node: row.get("node")?,
            attempt: row.get("attempt")?,
            kind: row.get("kind")?,
            outcome: row.get("outcome")?,
            reason: row.get("reason")?,
            failed_node: row.get("failed_node")?,
            started_at: time(row, "started_at")?,
            elapsed_ms: count(row, "elapsed_ms")?,
            rows: count(row, "rows")?,
            error_rows: count(row, "error_rows")?,
            null_rows: count(row, "null_rows")?,
            bytes: count(row, "bytes")?,
            files: count(row, "files")?,
            table_version: count(row, "table_version")?,
            fingerprint: row.get("fingerprint")?,
            error_code: row.get("error_code")?,
            error_message: row.get("error_message")?,
            fault: row.get("fault")?,
        })
    }
}

/// Reads the process of a run or lease.
pub(crate) fn process(row: &Row<'_>) -> rusqlite::Result<ProcessId> {
    Ok(ProcessId {
        host: row.get("host")?,
        scope: row.get("scope")?,
        pid: row.get("pid")?,
        started: count(row, "process_started")?,
    })
}

/// Reads a count that may be missing; a negative one, which we never write, counts as missing.
pub(super) fn count(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<u64>> {
    let value: Option<i64> = row.get(column)?;
    Ok(value.and_then(|value| u64::try_from(value).ok()))
}

/// Reads a time.
pub(crate) fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<DateTime<Utc>> {
    parse_time(&row.get::<_, String>(column)?)
}

pub(super) fn maybe_time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<DateTime<Utc>>> {
    row.get::<_, Option<String>>(column)?.map(|text| parse_time(&text)).transpose()
}

fn parse_time(text: &str) -> rusqlite::Result<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))?;
    Ok(time.to_utc())
}

fn serialize_time<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time_text(*time))
}

fn serialize_maybe_time<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serialize_time(time, serializer),
        None => serializer.serialize_none(),
    }
}
