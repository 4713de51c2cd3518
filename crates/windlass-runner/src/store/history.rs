//! Questions about earlier runs.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::Connection;

use super::row::{self, NodeHistory, NodeRunRow, RunDetail, RunRow};
use super::{RunStore, signed};
use crate::Error;

/// The word for the newest run.
const LATEST: &str = "latest";

impl RunStore {
    /// Returns the newest runs, newest first.
    pub fn runs(&self, limit: usize) -> Result<Vec<RunRow>, Error> {
        list(&self.lock(), limit).map_err(|source| Error::ReadRuns { source })
    }

    /// Returns a run and its nodes by its id, the beginning of its id where only one run has it,
    /// or `latest`.
    pub fn run(&self, wanted: &str) -> Result<RunDetail, Error> {
        let connection = self.lock();
        let fitting = match wanted {
            LATEST => list(&connection, 1),
            _ => with_prefix(&connection, &wanted.to_lowercase()),
        };
        let mut fitting = fitting.map_err(|source| Error::ReadRuns { source })?;
        match fitting.len() {
            0 => Err(Error::FindRun { wanted: wanted.to_owned() }),
            1 => {
                let run = fitting.remove(0);
                let nodes = nodes_of(&connection, &run.run_id).map_err(|source| Error::ReadRuns { source })?;
                Ok(RunDetail { run, nodes })
            }
            _ => {
                let fitting = fitting.into_iter().map(|run| run.run_id).collect();
                Err(Error::ChooseRun { wanted: wanted.to_owned(), fitting })
            }
        }
    }

    /// Returns the attempts of all nodes in all runs, in the order in which they began.
    pub fn node_runs(&self) -> Result<Vec<NodeRunRow>, Error> {
        all_nodes(&self.lock()).map_err(|source| Error::ReadRuns { source })
    }

    /// Returns the last success of every node in a lake and environment. Replays of error rows say
    /// nothing about how long the whole takes.
    pub fn last_successes(&self, lake: &str, env: &str) -> Result<HashMap<String, NodeHistory>, Error> {
        successes(&self.lock(), lake, env).map_err(|source| Error::ReadRuns { source })
    }
}

fn list(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<RunRow>> {
    let sql = "SELECT * FROM runs ORDER BY started_at DESC, run_id DESC LIMIT ?1";
    let limit = signed(u64::try_from(limit).unwrap_or(u64::MAX));
    connection.prepare_cached(sql)?.query_map([limit], RunRow::read)?.collect()
}

fn with_prefix(connection: &Connection, prefix: &str) -> rusqlite::Result<Vec<RunRow>> {
    let sql = "SELECT * FROM runs WHERE substr(run_id, 1, length(?1)) = ?1 AND ?1 != '' \
               ORDER BY started_at DESC, run_id DESC";
    connection.prepare_cached(sql)?.query_map([prefix], RunRow::read)?.collect()
}

fn nodes_of(connection: &Connection, run_id: &str) -> rusqlite::Result<Vec<NodeRunRow>> {
    let sql = "SELECT * FROM node_runs WHERE run_id = ?1 ORDER BY started_at, node, attempt";
    connection.prepare_cached(sql)?.query_map([run_id], NodeRunRow::read)?.collect()
}

fn all_nodes(connection: &Connection) -> rusqlite::Result<Vec<NodeRunRow>> {
    let sql = "SELECT * FROM node_runs ORDER BY started_at, node, attempt";
    connection.prepare_cached(sql)?.query_map([], NodeRunRow::read)?.collect()
}

fn successes(connection: &Connection, lake: &str, env: &str) -> rusqlite::Result<HashMap<String, NodeHistory>> {
    // Beside a lone `max`, SQLite takes the other columns from the row that has the maximum.
    let sql = "SELECT node, elapsed_ms, node_runs.rows AS rows, node_runs.bytes AS bytes, \
               max(node_runs.started_at) AS started_at \
               FROM node_runs JOIN runs USING (run_id) \
               WHERE node_runs.outcome = 'success' AND coalesce(node_runs.kind, '') NOT IN ('replayed', 'promoted') \
               AND lake = ?1 AND env = ?2 GROUP BY node";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([lake, env], |row| {
        let history = NodeHistory {
            elapsed: Duration::from_millis(row::count(row, "elapsed_ms")?.unwrap_or_default()),
            rows: row::count(row, "rows")?.unwrap_or_default(),
            bytes: row::count(row, "bytes")?.unwrap_or_default(),
            started_at: row::time(row, "started_at")?,
        };
        Ok((row.get::<_, String>("node")?, history))
    })?;
    rows.collect()
}
