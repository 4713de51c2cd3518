//! Time as a port.
//!
//! Everything in this crate that asks for the time or waits does it through [`Clock`], so that
//! tests neither sleep nor depend on the hour.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;

/// Tells the time and waits.
pub trait Clock: Send + Sync + 'static {
    /// Returns the wall clock's time. It may jump, so durations come from [`Clock::monotonic`].
    fn now(&self) -> DateTime<Utc>;

    /// Returns the time since some fixed moment; never goes back.
    fn monotonic(&self) -> Duration;

    /// Waits; dropping the future ends the wait.
    fn sleep(&self, delay: Duration) -> BoxFuture<'static, ()>;
}

/// The real clock. Its `sleep` needs a tokio runtime.
#[derive(Debug, Clone)]
pub struct SystemClock {
    origin: Instant,
}

/// A clock that only moves when told to: by [`ManualClock::advance`] or by a `sleep`, which moves
/// it by the whole delay and returns at once.
#[derive(Debug)]
pub struct ManualClock {
    start: DateTime<Utc>,
    elapsed: Mutex<Duration>,
}

impl SystemClock {
    /// Returns the real clock.
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    fn sleep(&self, delay: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(delay).boxed()
    }
}

impl ManualClock {
    /// Returns a clock that stands at `start`.
    pub fn new(start: DateTime<Utc>) -> Self {
        Self { start, elapsed: Mutex::new(Duration::ZERO) }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.start + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, delay: Duration) -> BoxFuture<'static, ()> {
        self.advance(delay);
        futures::future::ready(()).boxed()
    }
}
