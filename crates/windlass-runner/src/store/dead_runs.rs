//! Ends the runs that could not end themselves.
//!
//! A killed process writes nothing down. The next one to open the store does so for it: the run,
//! and the attempts that were going on, failed because their process ended.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Row};

use super::row;
use crate::ProcessId;

/// How long a run on another machine may go on without a lease: it takes one soon after it begins.
const LEASELESS: TimeDelta = TimeDelta::minutes(1);

struct OpenRun {
    run_id: String,
    process: ProcessId,
    started_at: DateTime<Utc>,
    lease_ends: Option<DateTime<Utc>>,
}

/// Marks every unfinished run whose process has died as failed.
pub(super) fn end_dead_runs(connection: &mut Connection, now: DateTime<Utc>) -> rusqlite::Result<()> {
    let mut open = open_runs(connection)?;
    open.retain(|run| !is_alive(run, now));
    if open.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for run in open {
        end_run(&transaction, &run.run_id)?;
        tracing::warn!(run_id = run.run_id, "run marked as failed because its process has ended");
    }
    transaction.commit()
}

fn is_alive(run: &OpenRun, now: DateTime<Utc>) -> bool {
    run.process.is_alive().unwrap_or_else(|| match run.lease_ends {
        Some(ends) => now < ends,
        None => now < run.started_at + LEASELESS,
    })
}

fn open_runs(connection: &Connection) -> rusqlite::Result<Vec<OpenRun>> {
    let sql = "SELECT runs.*, (SELECT max(expires_at) FROM leases \
               WHERE leases.run_id = runs.run_id) AS lease_ends \
               FROM runs WHERE finished_at IS NULL";
    let read = |row: &Row<'_>| {
        Ok(OpenRun {
            run_id: row.get("run_id")?,
            process: row::process(row)?,
            started_at: row::time(row, "started_at")?,
            lease_ends: row::maybe_time(row, "lease_ends")?,
        })
    };
    connection.prepare(sql)?.query_map([], read)?.collect()
}

/// Ends a run at its last sign of life: a renewed lease, or the beginning or end of an attempt.
fn end_run(connection: &Connection, run_id: &str) -> rusqlite::Result<()> {
    let last_sign = "UPDATE runs SET outcome = 'failed', reason = 'process_ended', \
        rows = (SELECT sum(rows) FROM node_runs WHERE run_id = ?1), \
        bytes = (SELECT sum(bytes) FROM node_runs WHERE run_id = ?1), \
        finished_at = max(started_at, \
            coalesce((SELECT max(renewed_at) FROM leases WHERE run_id = ?1), ''), \
            coalesce((SELECT max(strftime('%Y-%m-%dT%H:%M:%fZ', started_at, \
                (coalesce(elapsed_ms, 0) / 1000.0) || ' seconds')) \
                FROM node_runs WHERE run_id = ?1), '')) \
        WHERE run_id = ?1 AND finished_at IS NULL";
    connection.execute(last_sign, [run_id])?;
    let attempts = "UPDATE node_runs SET outcome = 'failed', reason = 'process_ended' \
        WHERE run_id = ?1 AND outcome IS NULL";
    connection.execute(attempts, [run_id])?;
    Ok(())
}
