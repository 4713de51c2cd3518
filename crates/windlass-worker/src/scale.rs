//! How many workers a pool should have, and how many rows a batch.

use std::time::Duration;

/// What a pool knows about its work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Demand {
    pub(crate) fewest: u32,
    pub(crate) most: u32,
    /// Batches that wait or are with a worker.
    pub(crate) waiting: u64,
    /// Batches still to come, where it is known.
    pub(crate) remaining: Option<u64>,
    /// Time of a call, where there was one.
    pub(crate) call_seconds: Option<f64>,
    /// Time in calls since the pool was last idle.
    pub(crate) spent_seconds: f64,
    /// Time that a worker takes to get ready, where one did.
    pub(crate) start_seconds: Option<f64>,
}

/// Returns how many workers the work that is left is worth.
///
/// With `w` seconds of work and workers that take `t` seconds to start, `sqrt(w * most / t)` balances
/// the time that is won against the time spent on starts. Where the end is not known, as much is
/// taken to be left as was done already.
pub(crate) fn workers_wanted(demand: Demand) -> u32 {
    let (Some(call), Some(start)) = (demand.call_seconds, demand.start_seconds) else {
        return demand.fewest;
    };
    let left = match demand.remaining {
        Some(remaining) => (remaining + demand.waiting) as f64 * call,
        None => demand.spent_seconds.max(demand.waiting as f64 * call),
    };
    let wanted = (left * f64::from(demand.most) / start.max(1e-3)).sqrt().round();
    // More workers than batches at hand would have nothing to do. The cast saturates.
    let useful = u32::try_from(demand.waiting).unwrap_or(u32::MAX);
    (wanted as u32).min(useful).clamp(demand.fewest, demand.most)
}

/// Finds the number of rows that makes calls worth their fixed cost and not longer than need be.
///
/// Batches are doubled while that makes a row cheaper, and while calls are short as long as it makes none
/// dearer: what a call costs its surroundings is not all in its time. A size is judged by its fastest call: the
/// first calls of a worker load what they need, and on a busy machine any call may be slow.
#[derive(Debug)]
pub(crate) struct BatchSizer {
    rows: usize,
    settled: bool,
    /// Calls of this size so far, and seconds that the fastest took for a row.
    calls: u32,
    fastest: f64,
    /// The size that was cheapest, and what a row cost there.
    best: Option<(usize, f64)>,
}

const FIRST_ROWS: usize = 8192;
const MOST_ROWS: usize = 1 << 20;
/// Seconds of a call that is short, and of one that is long.
const SHORT_CALL: f64 = 0.02;
const LONG_CALL: f64 = 0.1;
const LARGE_BATCH: usize = 8 << 20;
/// Calls that a size is judged by.
const CALLS: u32 = 3;
/// What a row costs of the best size's cost where a size is cheaper, and where it is dearer.
const CHEAPER: f64 = 0.99;
const DEARER: f64 = 1.03;

impl BatchSizer {
    pub(crate) fn new() -> Self {
        Self { rows: FIRST_ROWS, settled: false, calls: 0, fastest: f64::INFINITY, best: None }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Learns from a call.
    pub(crate) fn observe(&mut self, rows: usize, bytes: impl FnOnce() -> usize, elapsed: Duration) {
        if self.settled || rows < self.rows {
            return;
        }
        self.calls += 1;
        self.fastest = self.fastest.min(elapsed.as_secs_f64() / rows as f64);
        if self.calls < CALLS {
            return;
        }
        let seconds = self.fastest * rows as f64;
        let best = self.best.map(|(_, cost)| cost);
        if best.is_some_and(|best| self.fastest > best * DEARER) {
            self.settled = true;
            self.rows = self.best.map_or(self.rows, |(rows, _)| rows);
            return;
        }
        let pays = best.is_none_or(|best| self.fastest < best * CHEAPER) || seconds < SHORT_CALL;
        let is_full = seconds * 2.0 > LONG_CALL || bytes().saturating_mul(2) > LARGE_BATCH || self.rows >= MOST_ROWS;
        if is_full || !pays {
            self.settled = true;
            return;
        }
        if best.is_none_or(|best| self.fastest < best) {
            self.best = Some((self.rows, self.fastest));
        }
        self.rows *= 2;
        (self.calls, self.fastest) = (0, f64::INFINITY);
    }
}

#[cfg(test)]
mod tests;
