//! What `windlass test --format json` prints.

use arrow::array::RecordBatch;
use serde::Serialize;
use serde_json::value::RawValue;
use windlass_engine::{Comparison, PreparedTest, TestOutcome, TestResult};

use super::{Place, WireCause, WireDiagnostic, WireFailure, json_rows};

/// `windlass.test/1`.
#[derive(Debug, Serialize)]
pub(crate) struct TestReport {
    outcome: &'static str,
    passed: usize,
    failed: usize,
    tests: Vec<WireTest>,
}

/// A unit test.
#[derive(Debug, Serialize)]
struct WireTest {
    name: String,
    node: String,
    status: &'static str,
    place: Place,
    elapsed_ms: u64,
    reason: Option<&'static str>,
    rows: Option<WireComparison>,
    error_rows: Option<WireComparison>,
    causes: Vec<WireCause>,
    error: Option<WireFailure>,
    diagnostic: Option<WireDiagnostic>,
    empty_inputs: Vec<String>,
}

/// How rows differ from those that were expected.
#[derive(Debug, Serialize)]
struct WireComparison {
    expected: usize,
    found: usize,
    differences: Vec<WireDifference>,
}

/// A row that differs.
#[derive(Debug, Serialize)]
struct WireDifference {
    kind: &'static str,
    columns: Vec<String>,
    expected: Option<Box<RawValue>>,
    found: Option<Box<RawValue>>,
}

impl TestReport {
    /// Returns the results of tests.
    pub(crate) fn new(results: &[(PreparedTest, TestResult)]) -> Self {
        let tests: Vec<WireTest> = results.iter().map(|(test, result)| one(test, result)).collect();
        let failed = tests.iter().filter(|test| test.status != "pass").count();
        let outcome = if failed == 0 { "pass" } else { "fail" };
        Self { outcome, passed: tests.len() - failed, failed, tests }
    }
}

fn one(test: &PreparedTest, result: &TestResult) -> WireTest {
    let (status, reason) = match &result.outcome {
        TestOutcome::Passed => ("pass", None),
        TestOutcome::Different { .. } => ("fail", Some("rows_differ")),
        TestOutcome::NotFailed => ("fail", Some("no_error")),
        TestOutcome::TooManyRows => ("fail", Some("too_many_rows")),
        TestOutcome::Failed(_) => ("error", Some("failed")),
    };
    let (rows, error_rows) = match &result.outcome {
        TestOutcome::Different { rows, errors } => (rows.as_ref().map(Into::into), errors.as_ref().map(Into::into)),
        _ => (None, None),
    };
    let error = match &result.outcome {
        TestOutcome::Failed(error) => Some(error),
        _ => None,
    };
    WireTest {
        name: test.test.name.clone(),
        node: test.test.node.text.clone(),
        status,
        place: (&test.test.location).into(),
        elapsed_ms: u64::try_from(result.elapsed.as_millis()).unwrap_or(u64::MAX),
        reason,
        rows,
        error_rows,
        causes: result.failures.iter().map(Into::into).collect(),
        error: error.map(WireFailure::new),
        diagnostic: error.and_then(|error| crate::report::blame(error)).map(Into::into),
        empty_inputs: test.empty_inputs.clone(),
    }
}

impl From<&Comparison> for WireComparison {
    fn from(comparison: &Comparison) -> Self {
        let Comparison { expected, found, differences } = comparison;
        let schema = expected.schema();
        let row = |rows: &RecordBatch, at: Option<usize>| json_rows(&rows.slice(at?, 1)).pop();
        let one = |difference: &windlass_engine::Difference| WireDifference {
            kind: match (difference.expected, difference.found) {
                (Some(_), Some(_)) => "changed",
                (Some(_), None) => "missing",
                (None, _) => "unexpected",
            },
            columns: difference.columns.iter().map(|at| schema.field(*at).name().clone()).collect(),
            expected: row(expected, difference.expected),
            found: row(found, difference.found),
        };
        Self {
            expected: expected.num_rows(),
            found: found.num_rows(),
            differences: differences.iter().map(one).collect(),
        }
    }
}
