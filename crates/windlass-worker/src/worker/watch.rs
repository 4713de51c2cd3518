//! What a worker's time and memory are measured against.
//!
//! Takes the time as a value, so that tests set it.

use std::time::Duration;

use tokio::time::Instant;

use super::Cause;

/// How often memory is measured, and whether somebody still waits.
const LOOK: Duration = Duration::from_millis(100);
/// Longest silence after a ping.
const PING_LIMIT: Duration = Duration::from_secs(2);
/// A worker that had nothing to do for this long is pinged before its next batch.
const IDLE: Duration = Duration::from_secs(1);
/// How long a worker may go on with a batch that nobody waits for: as long as starting a new one
/// takes, within bounds.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// What is known about a worker at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    pub(super) is_starting: bool,
    /// The call that is at work.
    pub(super) call: Option<Pace>,
    /// Whether the call waits for us, not we for it.
    pub(super) waits_for_us: bool,
    /// Whether nobody waits for the call that is at work.
    pub(super) is_deserted: bool,
}

/// What a call's time depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    Normal,
    /// Many tries, each with a limit of its own.
    Careful {
        rows: usize,
    },
}

/// What a worker may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) start: Duration,
    pub(super) call: Option<Duration>,
    /// Bytes beyond what it has when ready.
    pub(super) memory: Option<u64>,
}

/// A worker's time and memory.
#[derive(Debug)]
pub(super) struct Clock {
    limits: Limits,
    pid: Option<u32>,
    began: Instant,
    took: Duration,
    /// Since when the call that is at work is.
    turn: Instant,
    ping: Option<(u64, Instant)>,
    next_token: u64,
    memory_at_start: u64,
    deserted_since: Option<Instant>,
    next_look: Instant,
}

impl Clock {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            pid: None,
            began: now,
            took: Duration::ZERO,
            turn: now,
            ping: None,
            next_token: 1,
            memory_at_start: 0,
            deserted_since: None,
            next_look: now,
        }
    }

    pub(super) fn started(&mut self, pid: u32) {
        self.pid = Some(pid);
    }

    /// Takes note that the worker is ready, and returns how long it took.
    pub(super) fn ready(&mut self, now: Instant) -> Duration {
        self.took = now - self.began;
        self.turn = now;
        self.memory_at_start = self.pid.and_then(own_memory).unwrap_or(0);
        self.took
    }

    /// Takes note that another call is at work now, or none. Returns how long the last one took.
    pub(super) fn next_turn(&mut self, now: Instant) -> Duration {
        now - std::mem::replace(&mut self.turn, now)
    }

    /// Returns when the call that is at work began, or the last one ended.
    pub(super) fn turn(&self) -> Instant {
        self.turn
    }

    /// Returns the token of a ping to send, where the worker had nothing to do for a while.
    pub(super) fn ping(&mut self, now: Instant) -> Option<u64> {
        if now - self.turn < IDLE {
            return None;
        }
        let token = self.next_token;
        self.next_token += 1;
        self.ping = Some((token, now + PING_LIMIT));
        Some(token)
    }

    pub(super) fn pong(&mut self, token: u64, now: Instant) {
        if self.ping.is_some_and(|(expected, _)| expected == token) {
            self.ping = None;
            self.turn = now;
        }
    }

    /// Returns when to look again.
    pub(super) fn due(&self, view: View) -> Option<Instant> {
        if view.is_starting {
            return Some(self.began + self.limits.start);
        }
        let watches = view.call.is_some() || self.limits.memory.is_some();
        let look = watches.then_some(self.next_look);
        [look, self.ping.map(|(_, limit)| limit), self.call_end(view)].into_iter().flatten().min()
    }

    /// Returns what is wrong by now, if anything.
    pub(super) fn check(&mut self, view: View, now: Instant) -> Option<Cause> {
        if view.is_starting {
            return (now >= self.began + self.limits.start).then_some(Cause::StartTimeout);
        }
        if self.ping.is_some_and(|(_, limit)| now >= limit) {
            return Some(Cause::Silent);
        }
        if self.call_end(view).is_some_and(|end| now >= end) {
            return Some(Cause::CallTimeout);
        }
        if now < self.next_look {
            return None;
        }
        self.next_look = now + LOOK;
        let since = view.is_deserted.then(|| self.deserted_since.unwrap_or(now));
        self.deserted_since = since;
        if since.is_some_and(|since| now >= since + self.took.clamp(PATIENCE.0, PATIENCE.1)) {
            return Some(Cause::Deserted);
        }
        let limit = self.limits.memory?.saturating_add(self.memory_at_start);
        let bytes = self.pid.and_then(own_memory)?;
        (bytes > limit).then_some(Cause::Memory { bytes })
    }

    /// Returns when the call at work has to be over.
    fn call_end(&self, view: View) -> Option<Instant> {
        if self.ping.is_some() || view.waits_for_us {
            return None;
        }
        let limit = match view.call? {
            Pace::Normal => self.limits.call?,
            Pace::Careful { rows } => careful_limit(self.limits.call?, rows),
        };
        Some(self.turn + limit)
    }
}

/// Returns the longest time for a batch that is tried in parts: each of at most eight rows that take
/// too long costs the limit once for every part around it, and the good rows cost theirs.
fn careful_limit(call: Duration, rows: usize) -> Duration {
    let halvings = usize::BITS - rows.leading_zeros();
    call * 2 * (8 * (halvings + 1) + 2)
}

/// Returns the memory that a process has to itself, in bytes: without files and shared slots.
fn own_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests;
