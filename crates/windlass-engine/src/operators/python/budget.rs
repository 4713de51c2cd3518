//! How many rows may fail, counted while a plan runs.
//!
//! A node whose code is broken should stop in seconds and not after hours: as soon as the rows that
//! failed cannot be a small enough share of all any more, and as soon as a thousand rows have come
//! back from Python and all of them have failed; where the rows of a batch fail together, ten batches.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use windlass_project::ErrorLimit;
use windlass_worker::{RowError, Stage};

/// Rows after which a share of failures means something.
const ENOUGH_ROWS: u64 = 1_000;
/// Batches after which a share of failures means something where a batch fails as a whole.
const ENOUGH_BATCHES: u64 = 10;
/// Causes that are told apart.
const CAUSES: usize = 64;

/// How many rows may fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    /// Any number.
    None,
    /// A share of all rows.
    Rate(f64),
    /// A number.
    Rows(u64),
}

impl Limit {
    /// Returns the limit of a node.
    pub(crate) fn of(limit: ErrorLimit) -> Self {
        match limit {
            ErrorLimit::Rate(rate) => Self::Rate(rate),
            ErrorLimit::Rows(rows) => Self::Rows(rows),
        }
    }

    /// Returns whether `failed` of `rows` rows are more than may.
    pub(crate) fn is_passed(self, failed: u64, rows: u64) -> bool {
        match self {
            Self::None => false,
            // A number of rows stays far below 2^52.
            Self::Rate(rate) => failed as f64 > rate * rows as f64,
            Self::Rows(limit) => failed > limit,
        }
    }

    /// Returns whether no later row can mend it that `failed` of the `seen` rows have failed, of those
    /// that are expected where their number is known.
    pub(crate) fn is_hopeless(self, failed: u64, seen: u64, expected: Option<u64>) -> bool {
        match (self, expected) {
            (Self::Rate(_), None) => false,
            (_, expected) => self.is_passed(failed, expected.unwrap_or(seen).max(seen)),
        }
    }
}

/// What fails together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Together {
    /// Each row fails for itself.
    Row,
    /// The rows of a batch.
    Batch,
}

/// Rows that failed for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    /// Where they failed.
    pub(crate) stage: Stage,
    /// The exception's class.
    pub(crate) error_type: String,
    /// The first message.
    pub(crate) message: String,
    /// The first stack.
    pub(crate) traceback: String,
    /// How many.
    pub(crate) rows: u64,
}

/// Causes by what tells them apart: stage, class and place.
type Causes = BTreeMap<(Stage, String, String), Cause>;

/// Counts rows over all partitions of an operator.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: Limit,
    together: Together,
    expected: Option<u64>,
    seen: AtomicU64,
    failed: AtomicU64,
    /// Batches and rows that Python saw, and those of the rows that failed.
    batches: AtomicU64,
    called: AtomicU64,
    calls_failed: AtomicU64,
    causes: Mutex<Causes>,
}

/// What has been counted: all of it, or what has come since some moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Spent {
    /// Rows seen.
    pub(crate) seen: u64,
    /// Rows that failed.
    pub(crate) failed: u64,
    /// Batches that Python saw.
    pub(crate) batches: u64,
    /// Their rows.
    pub(crate) called: u64,
    /// Those of them that failed.
    pub(crate) calls_failed: u64,
    /// Why rows failed.
    pub(crate) causes: Vec<Cause>,
}

/// How the count stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    /// Rows seen.
    pub(crate) seen: u64,
    /// Rows that failed.
    pub(crate) failed: u64,
    /// How many may.
    pub(crate) limit: Limit,
    /// Whether more failed than may.
    pub(crate) is_over: bool,
    /// Why they failed, most rows first.
    pub(crate) causes: Vec<Cause>,
}

impl Budget {
    /// Returns a budget of which nothing is spent. `expected` is the exact number of rows to come.
    pub(crate) fn new(limit: Limit, together: Together, expected: Option<u64>) -> Self {
        let zero = || AtomicU64::new(0);
        let (seen, failed, batches, called, calls_failed) = (zero(), zero(), zero(), zero(), zero());
        let causes = Mutex::new(BTreeMap::new());
        Self { limit, together, expected, seen, failed, batches, called, calls_failed, causes }
    }

    /// Counts rows that broke a precondition, or a batch that came back from Python with those of its
    /// rows that failed. Answers the verdict where no later row can mend it.
    pub(crate) fn spend(&self, rows: u64, errors: &[RowError]) -> Option<Verdict> {
        let add = |to: &AtomicU64, rows: u64| to.fetch_add(rows, Ordering::Relaxed) + rows;
        let seen = add(&self.seen, rows);
        let from_calls = !errors.iter().all(|error| error.stage == Stage::Requires) || errors.is_empty();
        let batches = add(&self.batches, u64::from(from_calls));
        let called = add(&self.called, if from_calls { rows } else { 0 });
        if errors.is_empty() {
            return None;
        }
        let count = errors.len() as u64;
        let failed = add(&self.failed, count);
        let calls_failed = add(&self.calls_failed, if from_calls { count } else { 0 });
        self.note(errors);
        let is_hopeless = self.limit.is_hopeless(failed, seen, self.expected);
        let is_enough = match self.together {
            Together::Row => called >= ENOUGH_ROWS,
            Together::Batch => batches >= ENOUGH_BATCHES,
        };
        let is_all = self.limit != Limit::None && is_enough && calls_failed == called;
        (is_hopeless || is_all).then(|| Verdict { is_over: true, ..self.verdict() })
    }

    /// Returns how the count stands.
    pub(crate) fn verdict(&self) -> Verdict {
        let (seen, failed) = (self.seen.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed));
        let is_over = self.limit.is_passed(failed, seen);
        let mut causes: Vec<Cause> = self.lock().values().cloned().collect();
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.rows));
        Verdict { seen, failed, limit: self.limit, is_over, causes }
    }

    /// Returns what has been counted.
    pub(crate) fn spent(&self) -> Spent {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Spent {
            seen: of(&self.seen),
            failed: of(&self.failed),
            batches: of(&self.batches),
            called: of(&self.called),
            calls_failed: of(&self.calls_failed),
            causes: self.lock().values().cloned().collect(),
        }
    }

    /// Counts what an earlier attempt has seen of the same rows.
    pub(crate) fn take_over(&self, spent: Spent) {
        let Spent { seen, failed, batches, called, calls_failed, causes } = spent;
        let counts = [&self.seen, &self.failed, &self.batches, &self.called, &self.calls_failed];
        for (count, more) in counts.into_iter().zip([seen, failed, batches, called, calls_failed]) {
            count.fetch_add(more, Ordering::Relaxed);
        }
        causes.into_iter().for_each(|cause| self.note_cause(&mut self.lock(), cause));
    }

    fn note(&self, errors: &[RowError]) {
        let mut causes = self.lock();
        for error in errors {
            let (stage, error_type) = (error.stage, error.error_type.clone());
            let (message, traceback) = (error.message.clone(), error.traceback.clone());
            self.note_cause(&mut causes, Cause { stage, error_type, message, traceback, rows: 1 });
        }
    }

    fn note_cause(&self, causes: &mut Causes, cause: Cause) {
        let key = cause.key();
        if let Some(known) = causes.get_mut(&key) {
            known.rows += cause.rows;
        } else if causes.len() < CAUSES {
            causes.insert(key, cause);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Causes> {
        self.causes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Verdict {
    /// Returns the way out.
    pub(crate) fn hint(&self) -> String {
        let limit = if let Limit::Rows(_) = self.limit { "max_errors" } else { "max_error_rate" };
        match self.failed == self.seen {
            true => "every row failed, so this is the code and not the data: windlass try".to_string(),
            false => format!("correct the code or the input, add `requires`, or raise `{limit}`"),
        }
    }
}

impl Verdict {
    /// Adds up what two operators counted.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.seen += other.seen;
        self.failed += other.failed;
        self.causes.extend(other.causes);
        self.causes.sort_by_key(|cause| std::cmp::Reverse(cause.rows));
        self
    }
}

impl Spent {
    /// Returns what has been counted since `before`.
    #[must_use]
    pub(crate) fn since(self, before: &Self) -> Self {
        let rows_before =
            |cause: &Cause| before.causes.iter().find(|known| known.key() == cause.key()).map_or(0, |known| known.rows);
        let causes = self.causes.into_iter().map(|cause| Cause { rows: cause.rows - rows_before(&cause), ..cause });
        Self {
            seen: self.seen - before.seen,
            failed: self.failed - before.failed,
            batches: self.batches - before.batches,
            called: self.called - before.called,
            calls_failed: self.calls_failed - before.calls_failed,
            causes: causes.filter(|cause| cause.rows > 0).collect(),
        }
    }
}

impl Cause {
    /// Returns what tells it from others. Messages with values in them differ from row to row: rows that raised
    /// at one place are one cause, whatever they say.
    fn key(&self) -> (Stage, String, String) {
        let place = match self.stage {
            Stage::Python => self.traceback.lines().rfind(|line| line.trim_start().starts_with("File ")),
            _ => None,
        };
        (self.stage, self.error_type.clone(), place.unwrap_or(&self.message).to_string())
    }

    /// Returns the cause in one line.
    pub(crate) fn summary(&self) -> String {
        let line = self.message.lines().next().unwrap_or_default();
        match self.stage {
            Stage::Requires | Stage::Reject | Stage::Model => line.to_string(),
            _ if self.error_type.is_empty() => line.to_string(),
            _ => format!("{}: {line}", self.error_type),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = 100.0 * self.failed as f64 / self.seen.max(1) as f64;
        write!(f, "{} of {} rows failed ({share:.2} %)", self.failed, self.seen)?;
        match self.limit {
            Limit::None => Ok(()),
            Limit::Rate(rate) => write!(f, ", more than the {} % of `max_error_rate`", round(100.0 * rate)),
            Limit::Rows(rows) => write!(f, ", more than the {rows} of `max_errors`"),
        }
    }
}

/// Returns a percentage without the dust of binary fractions.
fn round(percent: f64) -> f64 {
    (percent * 1e6).round() / 1e6
}
