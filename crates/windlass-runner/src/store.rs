//! The run store: which runs there were and how each node fared, in SQLite.
//!
//! It lives in the project's `.windlass` folder and holds history only; what is published, and
//! from what, stands in the lake. Losing the file loses no data. All calls block for the time of a
//! small transaction, and up to [`BUSY_TIMEOUT`] when another process writes at the same time.
//!
//! Must stay true: times are UTC in RFC 3339 with milliseconds, so that text order is time order;
//! the schema only changes by a new entry in `migrations.rs`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, io};

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::Connection;

use crate::{Clock, Error, ProcessId, RunId, RunOutcome, SystemClock};

mod arguments;
mod dead_runs;
mod history;
mod migrations;
mod row;

pub use arguments::RunArguments;
pub use row::{NodeHistory, NodeRunRow, RunDetail, RunRow};
pub(crate) use row::{process, time};

/// How long a call waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const FILE_NAME: &str = "runs.db";

/// The history of runs of one project.
pub struct RunStore {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    connection: Mutex<Connection>,
}

/// What is known when a run begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// The run's id.
    pub run_id: RunId,
    /// The command, such as `run`.
    pub command: String,
    /// The selection as it was written; `None` for everything.
    pub selection: Option<String>,
    /// The target's name.
    pub target: String,
    /// The environment's name.
    pub env: String,
    /// The lake's location, without secrets.
    pub lake: String,
    /// The version of Windlass.
    pub version: String,
    /// What it was asked for; `None` for what cannot be continued.
    pub arguments: Option<RunArguments>,
}

/// What is known when a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunEnd {
    /// How it ended.
    pub outcome: RunOutcome,
    /// Why it was not a success, in one stable word.
    pub reason: Option<&'static str>,
    /// The most memory that the process had, where known.
    pub peak_memory_bytes: Option<u64>,
    /// Rows written by all nodes.
    pub rows: u64,
    /// Bytes written by all nodes, as stored.
    pub bytes: u64,
}

impl RunStore {
    /// Opens the store in a folder, usually `.windlass`, and makes both where they are missing.
    /// Runs whose process has died are marked as failed.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        Self::open_with(folder, Arc::new(SystemClock::new()))
    }

    /// Opens the store with another clock.
    pub fn open_with(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        create_folder(folder).map_err(|source| Error::CreateFolder { path: folder.to_owned(), source })?;
        let path = folder.join(FILE_NAME);
        let mut connection = connect(&path)?;
        migrations::migrate(&mut connection, &path)?;
        dead_runs::end_dead_runs(&mut connection, clock.now())
            .map_err(|source| Error::OpenStore { path: path.clone(), source })?;
        Ok(Self { path, clock, connection: Mutex::new(connection) })
    }

    /// Writes down that a run of this process begins now.
    pub fn begin_run(&self, run: &NewRun) -> Result<(), Error> {
        let process = ProcessId::current();
        let sql = "INSERT INTO runs (run_id, command, selection, target, env, lake, started_at, \
                   version, host, scope, pid, process_started, arguments) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
        let values = rusqlite::params![
            run.run_id.as_str(),
            run.command,
            run.selection,
            run.target,
            run.env,
            run.lake,
            time_text(self.clock.now()),
            run.version,
            process.host,
            process.scope,
            process.pid,
            process.started.map(signed),
            arguments::text(run.arguments.as_ref()),
        ];
        self.record(run.run_id.as_str(), sql, values)
    }

    /// Writes down an attempt of a node, or a node that was skipped (as attempt 0). Writing the
    /// same attempt again replaces what was known about it.
    pub fn record_node(&self, row: &NodeRunRow) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO node_runs (run_id, node, attempt, kind, outcome, reason, \
                   failed_node, started_at, elapsed_ms, rows, bytes, files, table_version, \
                   fingerprint, error_code, error_message, fault, error_rows, null_rows) VALUES \
                   (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
                   ?19)";
        let values = rusqlite::params![
            row.run_id,
            row.node,
            row.attempt,
            row.kind,
            row.outcome,
            row.reason,
            row.failed_node,
            time_text(row.started_at),
            row.elapsed_ms.map(signed),
            row.rows.map(signed),
            row.bytes.map(signed),
            row.files.map(signed),
            row.table_version.map(signed),
            row.fingerprint,
            row.error_code,
            row.error_message,
            row.fault,
            row.error_rows.map(signed),
            row.null_rows.map(signed),
        ];
        self.record(&row.run_id, sql, values)
    }

    /// Writes down that a run ends now.
    pub fn finish_run(&self, run_id: &RunId, end: &RunEnd) -> Result<(), Error> {
        let sql = "UPDATE runs SET finished_at = ?2, outcome = ?3, reason = ?4, \
                   peak_memory_bytes = ?5, rows = ?6, bytes = ?7 WHERE run_id = ?1";
        let values = rusqlite::params![
            run_id.as_str(),
            time_text(self.clock.now()),
            end.outcome.as_str(),
            end.reason,
            end.peak_memory_bytes.map(signed),
            signed(end.rows),
            signed(end.bytes),
        ];
        self.record(run_id.as_str(), sql, values)
    }

    /// Returns the clock that stamps the rows.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Opens another connection to the same file, for use on another thread.
    pub(crate) fn connect(&self) -> Result<Connection, Error> {
        connect(&self.path)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // SQLite rolls a broken-off transaction back, so a panic elsewhere does no harm here.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, run_id: &str, sql: &str, values: impl rusqlite::Params) -> Result<(), Error> {
        let connection = self.lock();
        let done = connection.prepare_cached(sql).and_then(|mut sql| sql.execute(values));
        done.map(|_| ()).map_err(|source| Error::RecordRun { run_id: run_id.to_owned(), source })
    }
}

/// Writes a time as it stands in the store.
pub(crate) fn time_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Returns a count as SQLite's integer; counts beyond its range stop there.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Makes the folder, and keeps everything in it out of the project's repository.
fn create_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let ignore = folder.join(".gitignore");
    if ignore.try_exists()? { Ok(()) } else { fs::write(ignore, "*\n") }
}

fn connect(path: &Path) -> Result<Connection, Error> {
    let open = || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // With a write-ahead log this can lose the last rows in a power failure, never the file.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(connection)
    };
    open().map_err(|source| Error::OpenStore { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
