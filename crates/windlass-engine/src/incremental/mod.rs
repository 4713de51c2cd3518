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

use windlass_project::{IntervalUnit, Node, spell_time};

use crate::{Engine, Error};

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
    /// The runs that it continues: what they have done counts as its own.
    pub resumes: &'a [String],
}

impl Ask<'_> {
    /// Returns whether the run that asks has made something, or one that it continues.
    pub(crate) fn is_by(&self, run_id: &str) -> bool {
        self.run_id == Some(run_id) || self.resumes.iter().any(|resumed| resumed == run_id)
    }
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

/// How far a table by interval has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntervalsDone {
    /// `hour`, `day`, `month` or `year`.
    pub unit: &'static str,
    /// How many intervals the table has once all are done.
    pub total: u64,
    /// How many of them are done.
    pub done: u64,
    /// Those that the run, or one that it continues, has computed.
    pub of_run: Vec<(String, String)>,
    /// Those that are not done.
    pub missing: Vec<(String, String)>,
}

impl IntervalsToDo {
    fn new(unit: IntervalUnit, total: u64, (missing, again): (&Spans, &Spans)) -> Self {
        Self { unit: unit.name(), total, missing: ends(unit, missing), again: ends(unit, again) }
    }
}

impl Engine {
    /// Returns how far a table by interval has come; `None` for any other node. Reads the log of the table.
    ///
    /// # Errors
    ///
    /// Errors of storage.
    pub async fn intervals_done(&self, node: &Node, ask: &Ask<'_>) -> Result<Option<IntervalsDone>, Error> {
        let Some(by_interval) = node.by_interval() else { return Ok(None) };
        let unit = by_interval.unit;
        let all = Spans::of(wanted(by_interval, ask.now_us));
        let known = match self.open_table(&node.name).await? {
            Some(table) => table.provenance().await,
            None => None,
        };
        let is_of_run = known.as_ref().is_some_and(|known| ask.is_by(known.run_id()));
        let ledger = known.map(|known| Ledger::from_json(known.incremental(), unit)).unwrap_or_default();
        let of_run = if is_of_run { ends(unit, &ledger.of_run) } else { Vec::new() };
        let (done, missing) = (ledger.done.within(&all).count(), ends(unit, &all.without(&ledger.done)));
        Ok(Some(IntervalsDone { unit: unit.name(), total: all.count(), done, of_run, missing }))
    }
}

/// Returns the runs of intervals, each from its start to its end.
fn ends(unit: IntervalUnit, spans: &Spans) -> Vec<(String, String)> {
    let text = |number| spell_time(unit.start_us(number));
    spans.iter().map(|span| (text(span.start), text(span.end))).collect()
}
