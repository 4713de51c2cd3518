//! One writer at a time for a lake and environment.
//!
//! A lease is a row in the run store that its holder keeps renewing from a thread of its own, so
//! that a busy runtime cannot starve it. Who finds a row that has expired, or whose process is
//! known to be dead, takes it over. The old holder learns of that when it renews, and before that
//! from its own clock: [`LeaseWatch::is_held`] is never `true` after the lease has run out.
//!
//! The run store is local, so this keeps out runs of the same checkout. Runs from elsewhere meet
//! in the lake, where the commit itself decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use tokio::sync::watch;
use tracing::{debug, warn};

use self::table::{Held, Taken};
use crate::error::error_chain;
use crate::{Clock, Error, ProcessId, RunId, RunStore};

mod table;

/// How long a lease lasts unless it is renewed.
pub const LEASE_TERM: Duration = Duration::from_secs(30);
/// How often a lease is renewed.
pub const RENEW_EVERY: Duration = Duration::from_secs(10);

/// Who wants to write, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    /// The lake's location, without secrets. Compared as text, so always written the same way.
    pub lake: String,
    /// The environment's name.
    pub env: String,
    /// The run that will write.
    pub run_id: RunId,
    /// Its command, such as `run`.
    pub command: String,
}

/// A lease, given back when dropped. Dropping blocks for one small transaction.
pub struct LeaseGuard {
    watch: LeaseWatch,
    /// Dropped to end the thread.
    stop: Option<mpsc::Sender<()>>,
    renewal: Option<JoinHandle<()>>,
}

/// Answers whether a lease is still held. Clones ask about the same lease.
#[derive(Clone)]
pub struct LeaseWatch {
    clock: Arc<dyn Clock>,
    /// In milliseconds since 1970.
    expires_at: Arc<AtomicI64>,
    lost: watch::Sender<bool>,
}

/// What the renewing thread owns.
struct Renewal {
    connection: Connection,
    lake: String,
    token: String,
    watch: LeaseWatch,
}

impl LeaseGuard {
    /// Takes the lease, or fails with [`Error::LeaseHeld`] when another live run has it. Blocks.
    pub fn acquire(store: &RunStore, request: &LeaseRequest) -> Result<Self, Error> {
        Self::acquire_with(store, request, RENEW_EVERY)
    }

    fn acquire_with(store: &RunStore, request: &LeaseRequest, renew_every: Duration) -> Result<Self, Error> {
        let clock = Arc::clone(store.clock());
        let now = clock.now();
        let mut connection = store.connect()?;
        let lake = request.lake.clone();
        let taken = table::take(&mut connection, request, &ProcessId::current(), now);
        let token = match taken {
            Ok(Taken::Token(token)) => token,
            Ok(Taken::HeldBy(held)) => return Err(lease_held(request, &held, now)),
            Err(source) => return Err(Error::AcquireLease { lake, source }),
        };
        let expires_at = Arc::new(AtomicI64::new(table::expiry(now).timestamp_millis()));
        let watch = LeaseWatch { clock, expires_at, lost: watch::Sender::new(false) };
        let renewal = Renewal { connection, lake, token, watch: watch.clone() };
        let (stop, stopped) = mpsc::channel();
        let renewal = thread::Builder::new()
            .name("lease".to_owned())
            .spawn(move || renewal.run(&stopped, renew_every))
            .map_err(|source| Error::StartRenewal { lake: request.lake.clone(), source })?;
        Ok(Self { watch, stop: Some(stop), renewal: Some(renewal) })
    }

    /// Returns whether the lease is still held. Ask right before a commit.
    pub fn is_held(&self) -> bool {
        self.watch.is_held()
    }

    /// Returns a handle that outlives borrows of the guard.
    pub fn watch(&self) -> LeaseWatch {
        self.watch.clone()
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(renewal) = self.renewal.take()
            && renewal.join().is_err()
        {
            warn!("lease renewal panicked");
        }
    }
}

impl LeaseWatch {
    /// Returns whether the lease is still held: nobody took it over and its time has not run out.
    pub fn is_held(&self) -> bool {
        !*self.lost.borrow() && self.clock.now().timestamp_millis() < self.expires_at.load(Ordering::Acquire)
    }

    /// Waits until the lease is lost; while it is held, never returns.
    pub async fn lost(&self) {
        // The sender is `self`, so the channel does not close while this waits.
        let _ = self.lost.subscribe().wait_for(|lost| *lost).await;
    }
}

impl Renewal {
    fn run(self, stopped: &mpsc::Receiver<()>, every: Duration) {
        while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            if !self.renew() {
                self.watch.lost.send_replace(true);
                return;
            }
        }
        self.watch.expires_at.store(i64::MIN, Ordering::Release);
        if let Err(error) = table::release(&self.connection, &self.token) {
            debug!(lake = self.lake, %error, "lease not released, it will run out");
        }
    }

    /// Renews once; `false` when the lease is gone.
    fn renew(&self) -> bool {
        let now = self.watch.clock.now();
        match table::renew(&self.connection, &self.token, now) {
            Ok(true) => {
                let expires_at = table::expiry(now).timestamp_millis();
                self.watch.expires_at.store(expires_at, Ordering::Release);
                true
            }
            Ok(false) => {
                warn!(lake = self.lake, "lease lost to another run");
                false
            }
            Err(source) => {
                let error = Error::AcquireLease { lake: self.lake.clone(), source };
                warn!(lake = self.lake, error = error_chain(&error), "lease not renewed");
                self.watch.is_held()
            }
        }
    }
}

fn lease_held(request: &LeaseRequest, held: &Held, now: DateTime<Utc>) -> Error {
    let format = match held.acquired_at.date_naive() == now.date_naive() {
        true => "%H:%M:%S UTC",
        false => "%Y-%m-%d %H:%M:%S UTC",
    };
    let since = held.acquired_at.format(format);
    let ProcessId { pid, host, .. } = &held.process;
    Error::LeaseHeld {
        lake: request.lake.clone(),
        env: request.env.clone(),
        holder: format!("pid {pid} on host {host}, run {}, since {since}", held.run_id),
        expires_in: (held.expires_at - now).to_std().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
