//! What came out of a check.

use arrow::array::RecordBatch;
use windlass_error::Location;
use windlass_project::checks::{CheckDefinition, CheckSeverity, OnFail};

use super::stats::NotEvaluable;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckStatus {
    /// The rule holds.
    Pass,
    /// The rule is broken, and the table is published all the same.
    Warn,
    /// The rule is broken, and the table is not published.
    Fail,
    /// The rule could not be looked at.
    Error,
    /// There is no answer, for a reason that has a name.
    NotEvaluable,
    /// It was not looked at to the end, since the table had failed already.
    Skipped,
}

impl CheckStatus {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::NotEvaluable => "not_evaluable",
            Self::Skipped => "skipped",
        }
    }
}

/// The outcome of one check.
#[derive(Debug, Clone)]
pub struct CheckOutcome {
    /// The check's name.
    pub check: String,
    /// What it looks at, such as `not_null`.
    pub kind: &'static str,
    /// The column below which it stands.
    pub column: Option<String>,
    /// What a broken rule means.
    pub severity: CheckSeverity,
    /// What happens when it is broken.
    pub on_fail: OnFail,
    /// How it ended.
    pub status: CheckStatus,
    /// The figure that was compared: rows for rules on rows.
    pub observed: Option<f64>,
    /// What it was compared with, for people.
    pub bound: String,
    /// Offending rows, where rows are what is counted.
    pub failing: Option<u64>,
    /// Rows that were looked at.
    pub rows: u64,
    /// Why there is no answer: a stable name.
    pub reason: Option<&'static str>,
    /// What was found, for people.
    pub detail: String,
    /// Other figures on the way, by stable names.
    pub figures: Vec<(&'static str, f64)>,
    /// Some offending rows.
    pub examples: Vec<RecordBatch>,
    /// The table that holds more of them.
    pub stored_in: Option<String>,
    /// Where the check is defined.
    pub location: Location,
}

impl CheckOutcome {
    /// Returns a passed outcome to be filled in.
    pub(crate) fn new(definition: &CheckDefinition, rows: u64) -> Self {
        Self {
            check: definition.name.clone(),
            kind: definition.kind.name(),
            column: definition.column.clone(),
            severity: definition.severity,
            on_fail: definition.on_fail,
            status: CheckStatus::Pass,
            observed: None,
            bound: String::new(),
            failing: None,
            rows,
            reason: None,
            detail: String::new(),
            figures: Vec::new(),
            examples: Vec::new(),
            stored_in: None,
            location: definition.location.clone(),
        }
    }

    /// Returns the outcome of a check that has no answer.
    pub(crate) fn not_evaluable(mut self, reason: NotEvaluable) -> Self {
        self.status = CheckStatus::NotEvaluable;
        self.reason = Some(reason.name());
        self.detail = format!("cannot be evaluated: {}", reason.describe());
        self
    }

    /// Returns the outcome of a check that could not be looked at.
    pub(crate) fn failed(mut self, why: String) -> Self {
        self.status = CheckStatus::Error;
        self.detail = why;
        self
    }

    /// Returns the outcome of a check that was not looked at to the end.
    pub(crate) fn skipped(mut self) -> Self {
        self.status = CheckStatus::Skipped;
        self.detail = "not looked at to the end".to_string();
        self
    }

    /// Sets the status of a rule that is broken or not.
    pub(crate) fn broken_if(mut self, is_broken: bool) -> Self {
        self.status = match (is_broken, self.severity) {
            (false, _) => CheckStatus::Pass,
            (true, CheckSeverity::Warn) => CheckStatus::Warn,
            (true, CheckSeverity::Error) => CheckStatus::Fail,
        };
        self
    }

    /// Returns whether the table may not be published: a broken rule, and one of that severity for
    /// which the data gives no answer. Nothing to compare with yet is no reason, or no table would
    /// ever get a first version.
    pub fn blocks(&self) -> bool {
        match self.status {
            CheckStatus::Fail => true,
            CheckStatus::Pass | CheckStatus::Warn | CheckStatus::Skipped => false,
            CheckStatus::Error => self.severity == CheckSeverity::Error,
            CheckStatus::NotEvaluable => {
                let is_new = [NotEvaluable::NoBaseline, NotEvaluable::ShortHistory, NotEvaluable::EmptyReference]
                    .iter()
                    .any(|reason| self.reason == Some(reason.name()));
                self.severity == CheckSeverity::Error && !is_new
            }
        }
    }
}
