//! How far an attempt has come, in atomics that a display polls.
//!
//! Invariant: cancelling and committing exclude each other. Both are one compare-and-swap on the
//! same byte, so an attempt that was told to stop never begins to publish, and one that publishes
//! is never told to stop.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// What an attempt is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Working out how to run.
    Planning,
    /// Reading input, nothing written yet.
    Reading,
    /// Writing files that nobody sees yet.
    Staging,
    /// Publishing. Not cancelled any more.
    Committing,
}

/// The progress of one attempt. The backend writes, the display reads, the driver cancels.
#[derive(Debug)]
pub struct NodeProgress {
    /// A [`Phase`] in the low bits, [`CANCELLED`] and [`STOP_WANTED`] in the high ones.
    phase: AtomicU8,
    rows_read: AtomicU64,
    bytes_read: AtomicU64,
    rows_written: AtomicU64,
    rows_error: AtomicU64,
    /// [`UNKNOWN`] until it is known.
    expected_rows: AtomicU64,
}

/// The numbers at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgressSnapshot {
    /// What the attempt is doing.
    pub phase: Phase,
    /// Rows read from inputs.
    pub rows_read: u64,
    /// Bytes read from inputs, as stored.
    pub bytes_read: u64,
    /// Rows written to staged files.
    pub rows_written: u64,
    /// Rows that failed and go to the error table.
    pub rows_error: u64,
    /// Rows that the inputs are expected to have, where known.
    pub expected_rows: Option<u64>,
}

const CANCELLED: u8 = 0x80;
/// It was told to stop while it published: it does not begin anything after that.
const STOP_WANTED: u8 = 0x40;
const UNKNOWN: u64 = u64::MAX;
const PHASES: [Phase; 4] = [Phase::Planning, Phase::Reading, Phase::Staging, Phase::Committing];

impl NodeProgress {
    /// Returns the progress of an attempt that begins to plan.
    pub fn new() -> Self {
        Self {
            phase: AtomicU8::new(Phase::Planning as u8),
            rows_read: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
            rows_written: AtomicU64::new(0),
            rows_error: AtomicU64::new(0),
            expected_rows: AtomicU64::new(UNKNOWN),
        }
    }

    /// Says that input is being read.
    pub fn begin_reading(&self) {
        self.enter(Phase::Reading);
    }

    /// Says that files are being written.
    pub fn begin_staging(&self) {
        self.enter(Phase::Staging);
    }

    /// Asks to publish. `false` means that the attempt was cancelled and must publish nothing.
    #[must_use]
    pub fn begin_commit(&self) -> bool {
        self.enter(Phase::Committing)
    }

    /// Asks to stage more after having published a part. `false` means that the attempt was told to stop
    /// meanwhile and must end with what it has.
    #[must_use]
    pub fn begin_part(&self) -> bool {
        let is_free = |now: u8| now & (CANCELLED | STOP_WANTED) == 0;
        self.change(|now| is_free(now).then_some(Phase::Staging as u8))
    }

    /// Counts input that was read.
    pub fn add_read(&self, rows: u64, bytes: u64) {
        self.rows_read.fetch_add(rows, Ordering::Relaxed);
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts rows that were written.
    pub fn add_written(&self, rows: u64) {
        self.rows_written.fetch_add(rows, Ordering::Relaxed);
    }

    /// Counts rows that failed.
    pub fn add_failed(&self, rows: u64) {
        self.rows_error.fetch_add(rows, Ordering::Relaxed);
    }

    /// Sets the count of rows read so far, for callers whose engine keeps it.
    pub fn set_read(&self, rows: u64, bytes: u64) {
        self.rows_read.store(rows, Ordering::Relaxed);
        self.bytes_read.store(bytes, Ordering::Relaxed);
    }

    /// Says how many rows the inputs have.
    pub fn expect_rows(&self, rows: u64) {
        self.expected_rows.store(rows, Ordering::Relaxed);
    }

    /// Returns the numbers as they are now. Each is right; together they may be a moment apart.
    pub fn snapshot(&self) -> ProgressSnapshot {
        let expected = self.expected_rows.load(Ordering::Relaxed);
        ProgressSnapshot {
            phase: phase_of(self.phase.load(Ordering::Acquire)),
            rows_read: self.rows_read.load(Ordering::Relaxed),
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
            rows_written: self.rows_written.load(Ordering::Relaxed),
            rows_error: self.rows_error.load(Ordering::Relaxed),
            expected_rows: (expected != UNKNOWN).then_some(expected),
        }
    }

    /// Returns whether the attempt was told to stop.
    pub fn is_cancelled(&self) -> bool {
        self.phase.load(Ordering::Acquire) & CANCELLED != 0
    }

    /// Tells the attempt to stop; `false` when it is publishing already.
    pub(crate) fn cancel(&self) -> bool {
        let told = |now: u8| if phase_of(now) == Phase::Committing { now | STOP_WANTED } else { now | CANCELLED };
        let before = self.phase.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| Some(told(now)));
        before.is_ok_and(|before| phase_of(before) != Phase::Committing)
    }

    /// Moves on to a later phase; `false` when the attempt was cancelled.
    fn enter(&self, phase: Phase) -> bool {
        self.change(|now| (now & CANCELLED == 0).then_some(now.max(phase as u8)))
    }

    fn change(&self, next: impl FnMut(u8) -> Option<u8>) -> bool {
        self.phase.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok()
    }
}

impl Default for NodeProgress {
    fn default() -> Self {
        Self::new()
    }
}

fn phase_of(byte: u8) -> Phase {
    PHASES[usize::from(byte & !(CANCELLED | STOP_WANTED)).min(PHASES.len() - 1)]
}

#[cfg(test)]
mod tests;
