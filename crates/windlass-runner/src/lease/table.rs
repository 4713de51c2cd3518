//! The rows behind leases: take, renew, release.
//!
//! Each is one transaction. A random token marks a holder's row, so that a holder which was taken
//! over can neither renew nor release the lease of its successor.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use uuid::Uuid;

use super::{LEASE_TERM, LeaseRequest};
use crate::ProcessId;
use crate::store::{process, signed, time, time_text};

/// What came of the wish for a lease.
#[derive(Debug)]
pub(super) enum Taken {
    /// It is ours, and this proves it.
    Token(String),
    /// Somebody else has it.
    HeldBy(Held),
}

/// A lease that somebody has.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) process: ProcessId,
    pub(super) run_id: String,
    pub(super) acquired_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
}

/// Returns when a lease that is taken or renewed now ends.
pub(super) fn expiry(now: DateTime<Utc>) -> DateTime<Utc> {
    now + LEASE_TERM
}

/// Takes the lease unless a live process has it.
pub(super) fn take(
    connection: &mut Connection,
    request: &LeaseRequest,
    process: &ProcessId,
    now: DateTime<Utc>,
) -> rusqlite::Result<Taken> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if let Some(held) = find(&transaction, request)? {
        if is_valid(&held, now) {
            return Ok(Taken::HeldBy(held));
        }
        tracing::info!(lake = request.lake, env = request.env, run_id = held.run_id, "lease taken over");
    }
    let token = Uuid::new_v4().to_string();
    let values = rusqlite::params![
        request.lake,
        request.env,
        token,
        request.run_id.as_str(),
        request.command,
        process.host,
        process.scope,
        process.pid,
        process.started.map(signed),
        time_text(now),
        time_text(expiry(now)),
    ];
    let sql = "INSERT OR REPLACE INTO leases (lake, env, token, run_id, command, host, scope, pid, \
               process_started, acquired_at, renewed_at, expires_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11)";
    transaction.execute(sql, values)?;
    transaction.commit()?;
    Ok(Taken::Token(token))
}

/// Extends the lease; `false` when it has another holder now.
pub(super) fn renew(connection: &Connection, token: &str, now: DateTime<Utc>) -> rusqlite::Result<bool> {
    let sql = "UPDATE leases SET renewed_at = ?2, expires_at = ?3 WHERE token = ?1";
    let values = [token, &time_text(now), &time_text(expiry(now))];
    Ok(connection.execute(sql, values)? == 1)
}

/// Gives the lease back, unless it has another holder now.
pub(super) fn release(connection: &Connection, token: &str) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM leases WHERE token = ?1", [token]).map(|_| ())
}

/// A holder that is known to be dead loses the lease at once, any other when its time is up: a
/// process may live and yet be suspended.
fn is_valid(held: &Held, now: DateTime<Utc>) -> bool {
    now < held.expires_at && held.process.is_alive() != Some(false)
}

fn find(connection: &Connection, request: &LeaseRequest) -> rusqlite::Result<Option<Held>> {
    let sql = "SELECT * FROM leases WHERE lake = ?1 AND env = ?2";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Held {
            process: process(row)?,
            run_id: row.get("run_id")?,
            acquired_at: time(row, "acquired_at")?,
            expires_at: time(row, "expires_at")?,
        })
    };
    connection.query_row(sql, [&request.lake, &request.env], read).optional()
}
