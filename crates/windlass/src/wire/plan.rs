//! Why a run would build a node, as JSON.

use serde::Serialize;
use windlass_engine::IntervalsToDo;

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

/// A span of time; `to` is the first moment that is no part of it.
#[derive(Debug, Serialize)]
pub(crate) struct Span {
    pub(crate) from: String,
    pub(crate) to: String,
}

impl From<&IntervalsToDo> for PlannedIntervals {
    fn from(intervals: &IntervalsToDo) -> Self {
        let spans = |ends: &[(String, String)]| {
            ends.iter().map(|(from, to)| Span { from: from.clone(), to: to.clone() }).collect()
        };
        let IntervalsToDo { unit, total, missing, again } = intervals;
        Self { unit, total: *total, missing: spans(missing), again: spans(again) }
    }
}
