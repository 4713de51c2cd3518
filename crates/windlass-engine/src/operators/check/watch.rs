//! Watches over all partitions whether a table can still be published, so that hopeless work ends.
//!
//! Only facts that no later row can mend count: rows that offend already are more than may, or more
//! rows have left the table than its budget allows. Shares of rows to come, figures and least numbers
//! of rows never end anything early.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use windlass_project::checks::{CheckDefinition, CheckSeverity};

use crate::checks::part::Part;
use crate::checks::program::Program;
use crate::operators::python::Limit;

/// A table is looked at up to this row in any case: the whole truth about a small one costs nothing.
const ENOUGH_ROWS: u64 = 10_000;

/// Counts what may end the work, over all partitions.
#[derive(Debug)]
pub(super) struct Watch {
    limit: Limit,
    expected: Option<u64>,
    /// By the number of the rule: how many rows may break it, and how many do.
    rules: Vec<(Option<u64>, AtomicU64)>,
    seen: AtomicU64,
    diverted: AtomicU64,
    is_hopeless: AtomicBool,
}

/// What a partition has told already.
#[derive(Debug, Default)]
pub(super) struct Told {
    seen: u64,
    diverted: u64,
    failing: Vec<u64>,
}

impl Watch {
    /// Returns a watch over a table of so many rows, where their number is known exactly.
    pub(super) fn new(program: &Program, limit: Limit, expected: Option<u64>) -> Self {
        let most = program.rules.iter().map(|rule| most_failing(&program.checks[rule.check].definition));
        let rules = most.map(|most| (most, AtomicU64::new(0))).collect();
        let (seen, diverted) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { limit, expected, rules, seen, diverted, is_hopeless: AtomicBool::new(false) }
    }

    /// Takes what a part has seen since it was told of last.
    pub(super) fn note(&self, part: &Part, told: &mut Told) {
        let add = |to: &AtomicU64, all: u64, told: &mut u64| {
            let more = all - std::mem::replace(told, all);
            to.fetch_add(more, Ordering::Relaxed) + more
        };
        let seen = add(&self.seen, part.rows + part.diverted, &mut told.seen);
        let diverted = add(&self.diverted, part.diverted, &mut told.diverted);
        told.failing.resize(self.rules.len(), 0);
        let mut is_hopeless = self.limit.is_hopeless(diverted, seen, self.expected);
        for ((tally, (most, failing)), told) in part.tallies.iter().zip(&self.rules).zip(&mut told.failing) {
            let failing = add(failing, tally.failing, told);
            is_hopeless |= most.is_some_and(|most| failing > most);
        }
        if is_hopeless && seen >= ENOUGH_ROWS {
            self.is_hopeless.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether nothing that is still to come can change that the table is not published.
    pub(super) fn is_hopeless(&self) -> bool {
        self.is_hopeless.load(Ordering::Relaxed)
    }
}

/// Returns how many rows may offend without blocking the table, where one more always does.
fn most_failing(check: &CheckDefinition) -> Option<u64> {
    let is_counted = check.kind.is_on_rows() && check.severity == CheckSeverity::Error;
    let most = check.error_if.most().filter(|_| is_counted)?;
    // What is counted no further never gets there.
    check.limit.is_none_or(|limit| limit > most).then_some(most)
}
