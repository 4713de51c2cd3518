//! What the checks of a run, or of `windlass check`, have found, node by node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use windlass_engine::{CheckOutcome, CheckStatus, CheckedNode, Engine, outcome_line};

use crate::printer::Printer;
use crate::style::Paint;
use crate::wire::WireCheck;
use crate::{human, report};

/// What was found by node; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Verdicts(Arc<Mutex<BTreeMap<String, CheckedNode>>>);

impl Verdicts {
    /// Notes what the checks of a node have found; what an earlier attempt found is forgotten.
    pub(crate) fn add(&self, checked: CheckedNode) {
        if !checked.outcomes.is_empty() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(checked.node.clone(), checked);
        }
    }

    /// Adds all that was found to `system.checks`, under the id of a run and its place among runs. Where
    /// that cannot be written, the user is told.
    pub(crate) async fn record(&self, engine: &Engine, (run_id, sequence): (&str, i64), printer: &Printer) {
        if let Err(error) = Box::pin(engine.record_checks(run_id, sequence, &self.all())).await {
            tracing::warn!(%error, "history of checks not written");
            let why = report::one_line(&error);
            printer.problem(&format!("what the checks have found is missing from `system.checks`: {why}"));
        }
    }

    /// Returns all that was found, in the order of the names of nodes.
    fn all(&self) -> Vec<CheckedNode> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Returns the outcomes of a node for JSON.
    pub(crate) fn of(&self, node: &str) -> Vec<WireCheck> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(node).map(|checked| checked.outcomes.iter().map(Into::into).collect()).unwrap_or_default()
    }

    /// Returns the outcomes for people: each node in a line, below it what did not pass. Checks that
    /// kept a table from being published have been told with it, unless `all` are wanted.
    pub(crate) fn told(&self, paint: Paint, wanted: Wanted) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = Vec::new();
        for (node, CheckedNode { outcomes, .. }) in known.iter() {
            lines.push(format!("{} {}", paint.strong(node), paint.faint(&counts(outcomes))));
            let shown = outcomes.iter().filter(|outcome| match wanted {
                Wanted::All => outcome.status != CheckStatus::Pass,
                Wanted::Untold => outcome.status != CheckStatus::Pass && !outcome.blocks(),
            });
            lines.extend(shown.map(|outcome| format!("  {}", paint_line(outcome, paint))));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// Returns whether a check stands in the way of publishing.
    pub(crate) fn has_blocking(&self) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().flat_map(|checked| &checked.outcomes).any(CheckOutcome::blocks)
    }
}

/// Which outcomes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All that did not pass.
    All,
    /// Those that no failure of a node tells.
    Untold,
}

fn paint_line(outcome: &CheckOutcome, paint: Paint) -> String {
    let line = outcome_line(outcome);
    if outcome.blocks() { paint.bad(&line) } else { paint.odd(&line) }
}

/// Returns outcomes in a few words: `5 checks passed, 1 warned`.
fn counts(outcomes: &[CheckOutcome]) -> String {
    let of = |status: CheckStatus| outcomes.iter().filter(|outcome| outcome.status == status).count() as u64;
    let mut text = format!("{} passed", human::counted(of(CheckStatus::Pass), "check"));
    let others = [
        (CheckStatus::Warn, "warned"),
        (CheckStatus::Fail, "failed"),
        (CheckStatus::Error, "could not be looked at"),
        (CheckStatus::NotEvaluable, "cannot be evaluated"),
        (CheckStatus::Skipped, "not looked at to the end"),
    ];
    for (status, word) in others.into_iter().filter(|(status, _)| of(*status) > 0) {
        text.push_str(&format!(", {} {word}", of(status)));
    }
    text
}
