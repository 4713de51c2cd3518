//! What came of unit tests, for people: a line for each, and below it what is not as expected.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use windlass_engine::{Comparison, PreparedTest, TestOutcome, TestResult};

use crate::causes::{self, Detail};
use crate::differences::{self, Cell, Line, spelled};
use crate::style::Paint;
use crate::{human, report};

/// Rows that differ and are shown.
const SHOWN: usize = 20;
const INDENT: &str = "    ";

/// Returns tests one below the other.
pub(crate) fn text(results: &[(PreparedTest, TestResult)], paint: Paint) -> anyhow::Result<String> {
    let width = |of: fn(&PreparedTest) -> &str| results.iter().map(|(test, _)| of(test).chars().count()).max();
    let node_width = width(|test| &test.test.node.text).unwrap_or_default();
    let name_width = width(|test| &test.test.name).unwrap_or_default();
    let mut lines = Vec::new();
    for (test, result) in results {
        let has_passed = matches!(result.outcome, TestOutcome::Passed);
        let sign = if has_passed { paint.good("✓") } else { paint.bad("✗") };
        let (node, name) = (&test.test.node.text, &test.test.name);
        let took = paint.faint(&human::duration(result.elapsed));
        lines.push(format!("{sign} {node:node_width$}  {name:name_width$}  {took}"));
        if !has_passed {
            lines.extend(details(test, result, paint)?.iter().flat_map(|text| text.lines()).map(indented));
        }
    }
    Ok(lines.join("\n"))
}

fn indented(line: &str) -> String {
    format!("{INDENT}{line}").trim_end().to_owned()
}

/// Returns what is wrong with a test that did not pass.
fn details(test: &PreparedTest, result: &TestResult, paint: Paint) -> anyhow::Result<Vec<String>> {
    let at = test.test.location.to_string();
    let wanted = test.test.expected.failure.as_ref().map(|failure| failure.text.as_str()).unwrap_or_default();
    let mut texts = Vec::new();
    match &result.outcome {
        TestOutcome::Passed => {}
        TestOutcome::NotFailed => texts.push(format!("{at}: should have failed with `{wanted}`, and did not")),
        TestOutcome::TooManyRows => {
            texts.push(format!("{at}: the result has more rows than a unit test compares: give fewer"));
        }
        TestOutcome::Failed(error) => {
            texts.push(match wanted {
                "" => format!("{at}: failed"),
                wanted => format!("{at}: failed, but not with `{wanted}`"),
            });
            texts.push(report::failure(error, paint, &mut BTreeSet::new()));
        }
        TestOutcome::Different { rows, errors } => {
            for (rows, what) in [(rows, "row"), (errors, "error row")] {
                if let Some(comparison) = rows {
                    texts.push(format!("{at}: {}", headline(comparison, what)));
                    texts.push(table(comparison, paint)?);
                }
            }
        }
    }
    if !result.failures.is_empty() {
        texts.push(format!("rows that failed:\n{}", causes::text(&result.failures, Detail::Traceback, paint)));
    }
    if let (TestOutcome::Different { .. }, false) = (&result.outcome, test.empty_inputs.is_empty()) {
        let names: Vec<String> = test.empty_inputs.iter().map(|name| format!("`{name}`")).collect();
        texts.push(paint.faint(&format!("not given, so without rows: {}", names.join(", "))));
    }
    Ok(texts)
}

fn headline(comparison: &Comparison, what: &str) -> String {
    let count = |rows: &RecordBatch| human::count(rows.num_rows() as u64);
    let expected = human::counted(comparison.expected.num_rows() as u64, what);
    let differ = comparison.differences.len() as u64;
    let verb = if differ == 1 { "differs" } else { "differ" };
    format!("expected {expected}, found {}: {} {verb}", count(&comparison.found), human::count(differ))
}

fn table(comparison: &Comparison, paint: Paint) -> anyhow::Result<String> {
    let Comparison { expected, found, differences } = comparison;
    let schema = expected.schema();
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut lines = Vec::new();
    for difference in differences.iter().take(SHOWN) {
        let (mark, rows, row) = match (difference.expected, difference.found) {
            (Some(_), Some(row)) => ("changed", found, row),
            (Some(row), None) => ("missing", expected, row),
            (None, Some(row)) => ("unexpected", found, row),
            (None, None) => continue,
        };
        let cell = |column: usize| {
            let value = spelled(rows, column, row)?;
            match difference.expected.filter(|_| difference.columns.contains(&column)) {
                Some(wanted) => Ok(Cell::Changed(spelled(expected, column, wanted)?, value)),
                None => Ok(Cell::Same(value)),
            }
        };
        lines.push(Line { mark: mark.to_owned(), cells: (0..columns.len()).map(cell).collect::<anyhow::Result<_>>()? });
    }
    let mut text = differences::table(&columns, &lines, paint);
    if differences.len() > SHOWN {
        text.push_str(&format!("\nand {} more", human::count((differences.len() - SHOWN) as u64)));
    }
    Ok(text)
}
