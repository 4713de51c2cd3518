//! The schema, as the list of steps that led to it.
//!
//! A step never changes once it was released. `PRAGMA user_version` counts the steps that a file
//! has seen.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::Error;

const MIGRATIONS: &[&str] = &[
    // 1: runs, their nodes, and who may write.
    "CREATE TABLE runs (
        run_id TEXT NOT NULL PRIMARY KEY,
        command TEXT NOT NULL,
        selection TEXT,
        target TEXT NOT NULL,
        env TEXT NOT NULL,
        lake TEXT NOT NULL,
        started_at TEXT NOT NULL,
        finished_at TEXT,
        outcome TEXT CHECK (outcome IN ('success', 'failed', 'cancelled')),
        reason TEXT,
        version TEXT NOT NULL,
        host TEXT NOT NULL,
        scope TEXT NOT NULL,
        pid INTEGER NOT NULL,
        process_started INTEGER,
        peak_memory_bytes INTEGER,
        rows INTEGER,
        bytes INTEGER
    ) STRICT;
    CREATE INDEX runs_by_start ON runs (started_at);
    CREATE INDEX runs_unfinished ON runs (run_id) WHERE finished_at IS NULL;

    CREATE TABLE node_runs (
        run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE,
        node TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        kind TEXT,
        outcome TEXT CHECK (outcome IN ('success', 'failed', 'skipped', 'cancelled', 'reused')),
        reason TEXT,
        failed_node TEXT,
        started_at TEXT NOT NULL,
        elapsed_ms INTEGER,
        rows INTEGER,
        bytes INTEGER,
        files INTEGER,
        table_version INTEGER,
        fingerprint TEXT,
        error_code TEXT,
        error_message TEXT,
        fault TEXT CHECK (fault IN ('user', 'external', 'internal')),
        PRIMARY KEY (run_id, node, attempt)
    ) STRICT;
    CREATE INDEX node_runs_by_node ON node_runs (node, started_at);

    CREATE TABLE leases (
        lake TEXT NOT NULL,
        env TEXT NOT NULL,
        token TEXT NOT NULL,
        run_id TEXT NOT NULL,
        command TEXT NOT NULL,
        host TEXT NOT NULL,
        scope TEXT NOT NULL,
        pid INTEGER NOT NULL,
        process_started INTEGER,
        acquired_at TEXT NOT NULL,
        renewed_at TEXT NOT NULL,
        expires_at TEXT NOT NULL,
        PRIMARY KEY (lake, env)
    ) STRICT;",
    // 2: rows that failed and went to the error table.
    "ALTER TABLE node_runs ADD COLUMN error_rows INTEGER;",
    // 3: rows that failed and have NULL for what Python should have answered.
    "ALTER TABLE node_runs ADD COLUMN null_rows INTEGER;",
    // 4: what a run was asked for, as JSON.
    "ALTER TABLE runs ADD COLUMN arguments TEXT;",
];

/// Brings a file up to date. Several processes may do so at once; one does the work.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let failed = |source| Error::OpenStore { path: path.to_owned(), source };
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    let found = version(connection).map_err(failed)?;
    if found > known {
        return Err(Error::NewerStore { path: path.to_owned(), found, known });
    }
    use_write_ahead_log(connection).map_err(failed)?;
    if found < known { apply(connection).map_err(failed) } else { Ok(()) }
}

fn apply(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster, so the version counts that holds inside.
    let found = usize::try_from(version(&transaction)?).unwrap_or(usize::MAX);
    for migration in MIGRATIONS.iter().skip(found) {
        transaction.execute_batch(migration)?;
    }
    if found < MIGRATIONS.len() {
        transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    }
    transaction.commit()
}

/// Lets readers and one writer go on side by side. The setting stays in the file. Where it is not
/// possible (some network file systems), SQLite keeps its rollback journal, which also works.
fn use_write_ahead_log(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode == "wal" {
        return Ok(());
    }
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}
