//! Unit tests: what a transform must make of given rows.
//!
//! They stand in `tests/**/*.yml`, and as dbt's `unit_tests:` beside transforms. `decode` reads one test,
//! `rows` its tables, and `suite` gathers all of them with the projects that their variables make.
//!
//! Must stay true: a value is kept as written, since only the column that it is for says what it means.

mod decode;
mod rows;
mod suite;

use indexmap::IndexMap;
use windlass_error::{Diagnostic, Location};

use crate::checks::{Tolerance, Written};
use crate::{Input, InputPart, Loaded, Project};

pub(crate) use suite::read_suite;

/// dbt's key for unit tests.
pub(crate) const UNIT_TESTS: &str = "unit_tests";

/// The unit tests of a project.
#[derive(Debug)]
pub struct TestSuite {
    /// The tests, in order of their files.
    pub tests: Vec<UnitTest>,
    /// The project under each set of variables that a test wants; the first one is as it runs.
    pub projects: Vec<Loaded>,
    /// What is wrong with the tests themselves; one that names a node concerns tests of that node.
    pub diagnostics: Vec<Diagnostic>,
}

/// What a transform must make of given rows.
#[derive(Debug, Clone)]
pub struct UnitTest {
    /// Unique in the project.
    pub name: String,
    /// Where it is defined.
    pub location: Location,
    /// The transform.
    pub node: Written,
    /// Tables in place of those that the transform reads, itself or through views.
    pub given: Vec<Given>,
    /// What must come of it.
    pub expected: Expected,
    /// Its place in [`TestSuite::projects`].
    pub project: usize,
}

/// A table in place of another.
#[derive(Debug, Clone)]
pub struct Given {
    /// The table that it stands for, such as `stg_flights`, `nyc.flights` or `score_flights__errors`.
    pub table: Written,
    /// Its rows.
    pub rows: TestRows,
}

/// What must come of a test: at least one of the three.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The rows of the result.
    pub rows: Option<TestRows>,
    /// The rows that fail.
    pub errors: Option<TestRows>,
    /// A part of the message with which the transform fails as a whole.
    pub failure: Option<Written>,
    /// How far floats may be apart; `None` leaves it to the type.
    pub tolerance: Option<Tolerance>,
    /// The same for single columns.
    pub tolerances: Vec<(Written, Tolerance)>,
}

/// Rows as written.
#[derive(Debug, Clone)]
pub struct TestRows {
    /// The columns that any row names, in order of their first mention.
    pub columns: Vec<Written>,
    /// The rows.
    pub rows: Vec<TestRow>,
}

/// A row as written.
#[derive(Debug, Clone)]
pub struct TestRow {
    /// Where it stands.
    pub location: Location,
    /// A value for each column of the table; `None` where the row does not name it.
    pub cells: Vec<Option<TestCell>>,
}

/// A value as written.
#[derive(Debug, Clone)]
pub struct TestCell {
    /// The value.
    pub value: TestValue,
    /// Where it stands.
    pub location: Location,
}

/// What is written.
#[derive(Debug, Clone, PartialEq)]
pub enum TestValue {
    /// NULL.
    Null,
    /// A number, a text, a date: what, says the column.
    Text(String),
    /// A list or a struct.
    Nested(serde_json::Value),
}

/// Returns the tables that a transform reads, itself or through views, by name. A view at which
/// `stops_at` holds is not looked through.
pub fn tables_read<'a>(
    project: &'a Project,
    node: &str,
    stops_at: impl Fn(&str) -> bool,
) -> IndexMap<String, &'a Input> {
    let mut tables = IndexMap::new();
    let mut waiting = vec![node];
    while let Some(reader) = waiting.pop() {
        for input in project.nodes.get(reader).map_or(&[][..], |node| node.inputs()) {
            let is_view = project.nodes.get(&input.node).is_some_and(|node| node.kind_name() == "view");
            if is_view && input.part == InputPart::Result && !stops_at(&input.node) {
                waiting.push(&input.node);
            }
            tables.entry(input.table()).or_insert(input);
        }
    }
    tables
}

#[cfg(test)]
mod tests;
