//! The tables of a unit test: rows as maps, or as CSV beside them or in a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use windlass_error::{Code, Diagnostic, Location, SourceFile, nearest};

use super::{TestCell, TestRow, TestRows, TestValue};
use crate::checks::Written;
use crate::decode::{Fields, entries, expected, list, missing_key, text};
use crate::problems::Problems;
use crate::template::{to_jinja, to_json};
use crate::yaml::{Entry, Value, Yaml};

/// Keys that describe a table.
pub(super) const ROW_KEYS: [&str; 3] = ["rows", "format", "fixture"];
const FORMATS: [&str; 2] = ["dict", "csv"];

/// CSV files below `tests/`, by name without folder and ending.
pub(super) type Fixtures = BTreeMap<String, Arc<SourceFile>>;

/// Decodes a table; `what` names it in messages.
pub(super) fn decode(
    fields: Fields<'_>,
    (what, at): (&str, &Location),
    fixtures: &Fixtures,
    problems: &mut Problems,
) -> Option<TestRows> {
    let format = fields.value("format").map(|value| (value, text(value, "format", problems)));
    let is_csv = match &format {
        None => fields.value("fixture").is_some(),
        Some((value, format)) => match format.as_deref() {
            Some("dict") => false,
            Some("csv") => true,
            Some(_) => {
                problems.push(expected(&format!("one of {}", list(&FORMATS)), "`format`", value));
                return None;
            }
            None => return None,
        },
    };
    match (fields.value("rows"), fields.value("fixture"), is_csv) {
        (Some(rows), None, false) => dicts(rows, problems),
        (Some(rows), None, true) => {
            let text = text(rows, "rows", problems)?;
            CsvText::of_scalar(&text, &rows.at).decode(problems)
        }
        (None, Some(fixture), true) => {
            let name = text(fixture, "fixture", problems)?;
            match fixtures.get(name.trim_end_matches(".csv")) {
                Some(file) => CsvText::of_file(file).decode(problems),
                None => {
                    problems.push(unknown_fixture(&name, &fixture.at, fixtures));
                    None
                }
            }
        }
        (_, Some(fixture), false) => {
            let problem = expected("`csv`", "the `format` of a `fixture`", format.map_or(fixture, |(value, _)| value));
            problems.push(problem);
            None
        }
        (Some(_), Some(fixture), true) => {
            let problem = Diagnostic::error(Code::INVALID_VALUE, "`rows` and `fixture` exclude each other");
            problems.push(problem.at(fixture.at.clone()));
            None
        }
        (None, None, _) => {
            problems.push(missing_key("rows", what, at).hint("no rows at all are written `rows: []`"));
            None
        }
    }
}

/// Decodes a list of maps from column to value.
pub(super) fn dicts(yaml: &Yaml, problems: &mut Problems) -> Option<TestRows> {
    let Value::List(items) = &yaml.value else {
        let hint = "no rows at all are written `rows: []`; CSV needs `format: csv`";
        problems.push(expected("a list of rows", "`rows`", yaml).hint(hint));
        return None;
    };
    let rows: Vec<(&Location, &[Entry])> =
        items.iter().map(|item| Some((&item.at, entries(item, "a row", problems)?))).collect::<Option<_>>()?;
    let mut columns: Vec<Written> = Vec::new();
    for entry in rows.iter().flat_map(|(_, entries)| entries.iter()) {
        if !columns.iter().any(|column| column.text == entry.key) {
            columns.push(Written { text: entry.key.clone(), location: entry.key_at.clone() });
        }
    }
    let cell = |entry: &Entry| TestCell { value: value(&entry.value), location: entry.value.at.clone() };
    let row = |(at, entries): (&Location, &[Entry])| {
        let of = |column: &Written| entries.iter().find(|entry| entry.key == column.text).map(cell);
        TestRow { location: at.clone(), cells: columns.iter().map(of).collect() }
    };
    let rows = rows.into_iter().map(row).collect();
    Some(TestRows { columns, rows })
}

fn value(yaml: &Yaml) -> TestValue {
    match yaml.scalar() {
        Some(scalar) if scalar.is_null() => TestValue::Null,
        Some(scalar) => TestValue::Text(scalar.text.clone()),
        None => TestValue::Nested(to_json(&to_jinja(yaml))),
    }
}

fn unknown_fixture(name: &str, at: &Location, fixtures: &Fixtures) -> Diagnostic {
    let problem = Diagnostic::error(Code::MISSING_FILE, format!("no file `{name}.csv` below `tests/`")).at(at.clone());
    match nearest(name, fixtures.keys().map(String::as_str)) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem.hint("a fixture is a CSV file such as `tests/fixtures/orders.csv`, named without its ending"),
    }
}

/// CSV, and where its lines stand.
struct CsvText<'a> {
    text: &'a str,
    at: Location,
    /// The line of the file in which it begins, where that is known.
    first_line: Option<usize>,
}

impl<'a> CsvText<'a> {
    fn of_file(file: &'a Arc<SourceFile>) -> Self {
        Self { text: &file.text, at: Location::new(file, 0..0), first_line: Some(1) }
    }

    fn of_scalar(text: &'a str, at: &Location) -> Self {
        let head = text.lines().next().unwrap_or_default().trim();
        let mut written = at.file.text[at.span.clone()].lines();
        let first_line = written.position(|line| line.trim() == head).map(|below| at.position().0 + below);
        Self { text, at: at.clone(), first_line }
    }

    /// Decodes a header and its rows. An empty field is NULL.
    fn decode(&self, problems: &mut Problems) -> Option<TestRows> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(self.text.trim_start().as_bytes());
        let skipped = self.text.len() - self.text.trim_start().len();
        let skipped = self.text[..skipped].matches('\n').count();
        let line_of = |position: Option<&csv::Position>| position.map_or(1, |at| at.line() as usize) + skipped;
        let header = match reader.headers() {
            Ok(header) if !header.is_empty() => header.clone(),
            _ => {
                let problem = Diagnostic::error(Code::INVALID_VALUE, "the CSV has no header").at(self.line(1));
                problems.push(problem.hint("its first line names the columns"));
                return None;
            }
        };
        let head = self.line(1 + skipped);
        let columns = header.iter().map(|name| Written { text: name.to_owned(), location: head.clone() }).collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    let line = line_of(error.position());
                    let problem = Diagnostic::error(Code::INVALID_VALUE, "a line of the CSV cannot be read");
                    problems.push(problem.at(self.line(line)).note(error.to_string()));
                    return None;
                }
            };
            let location = self.line(line_of(record.position()));
            let cell = |field: &str| {
                let value = if field.is_empty() { TestValue::Null } else { TestValue::Text(field.to_owned()) };
                Some(TestCell { value, location: location.clone() })
            };
            rows.push(TestRow { cells: record.iter().map(cell).collect(), location });
        }
        Some(TestRows { columns, rows })
    }

    /// Returns the place of a line, counted from 1; blank lines before it are skipped, as the reader does.
    fn line(&self, line: usize) -> Location {
        let Some(first) = self.first_line else { return self.at.clone() };
        let file = &self.at.file;
        let blank = self.text.lines().skip(line - 1).take_while(|text| text.trim().is_empty()).count();
        let start = file.offset(first + line - 1 + blank, 1);
        let written = file.text[start..].lines().next().unwrap_or_default();
        let indent = written.len() - written.trim_start().len();
        Location::new(file, start + indent..start + written.trim_end().len().max(indent))
    }
}
