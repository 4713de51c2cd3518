//! Why a run would build a node, and the intervals of incremental tables, as JSON.

use serde::Serialize;
use windlass_engine::{IntervalsDone, IntervalsToDo};

/// Why a run would build a node.
#[derive(Debug, Serialize)]
pub(crate) struct PlanReason {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) intervals: Option<PlannedIntervals>,
    pub(crate) continues: Option<Continues>,
}

/// What an earlier attempt has done of it.
#[derive(Debug, Serialize)]
pub(crate) struct Continues {
    pub(crate) rows: u64,
    pub(crate) of: u64,
}

/// The intervals that it would compute.
#[derive(Debug, Serialize)]
pub(crate) struct PlannedIntervals {
    pub(crate) unit: &'static str,
    pub(crate) total: u64,
    pub(crate) missing: Vec<Span>,
    pub(crate) again: Vec<Span>,
}

/// How far a table by interval has come.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WireIntervals {
    pub(crate) unit: &'static str,
    pub(crate) total: u64,
    pub(crate) done: u64,
    pub(crate) run: Vec<Span>,
    pub(crate) missing: Vec<Span>,
}

/// A span of time; `to` is the first moment that is no part of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Span {
    pub(crate) from: String,
    pub(crate) to: String,
}

impl From<&IntervalsToDo> for PlannedIntervals {
    fn from(intervals: &IntervalsToDo) -> Self {
        let IntervalsToDo { unit, total, missing, again } = intervals;
        Self { unit, total: *total, missing: spans(missing), again: spans(again) }
    }
}

impl From<&IntervalsDone> for WireIntervals {
    fn from(intervals: &IntervalsDone) -> Self {
        let IntervalsDone { unit, total, done, of_run, missing } = intervals;
        Self { unit, total: *total, done: *done, run: spans(of_run), missing: spans(missing) }
    }
}

fn spans(ends: &[(String, String)]) -> Vec<Span> {
    ends.iter().map(|(from, to)| Span { from: from.clone(), to: to.clone() }).collect()
}
