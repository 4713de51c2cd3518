//! Tables that are computed bit by bit: what is done, what is to be done, what a run asks for.
//!
//! `spans` are sets of intervals, `ledger` is what a commit says of those that are done, `todo` holds that
//! against what there should be. The steps themselves are builds; see `build/steps`.
//!
//! Must stay true: the newest commit of a table alone says what is done; no other state is kept.

mod ledger;
mod spans;
mod todo;

pub(crate) use ledger::Ledger;
pub(crate) use spans::Spans;
pub(crate) use todo::{Extension, Prospect, TableBefore, Todo, asked, wanted};

use windlass_project::{IntervalUnit, spell_time};

/// What a run asks for beyond what has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ask<'a> {
    /// What it does where nothing has changed.
    pub refresh: Refresh,
    /// Only intervals that begin in this span of time are computed, done or not: from and to, in
    /// microseconds of UTC.
    pub range: Option<(i64, i64)>,
    /// The time now, in microseconds of UTC.
    pub now_us: i64,
    /// The run that asks: what it has done itself it does not do again. `None` where nobody runs yet.
    pub run_id: Option<&'a str>,
}

/// What a run does with incremental tables where nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refresh {
    /// Nothing.
    #[default]
    IfChanged,
    /// One more step.
    Always,
    /// The whole table, from nothing.
    Whole,
}

/// The intervals that a run computes, for those who read them as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntervalsToDo {
    /// `hour`, `day`, `month` or `year`.
    pub unit: &'static str,
    /// How many intervals the table has once all are done.
    pub total: u64,
    /// Those that are not done, each run of them from its start to its end.
    pub missing: Vec<(String, String)>,
    /// Those that are done and computed again.
    pub again: Vec<(String, String)>,
}

impl IntervalsToDo {
    fn new(unit: IntervalUnit, total: u64, (missing, again): (&Spans, &Spans)) -> Self {
        let ends = |spans: &Spans| {
            let text = |number| spell_time(unit.start_us(number));
            spans.iter().map(|span| (text(span.start), text(span.end))).collect()
        };
        Self { unit: unit.name(), total, missing: ends(missing), again: ends(again) }
    }
}
