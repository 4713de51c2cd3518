//! Compares the rows that came with those that were expected, whatever their order; pure.
//!
//! NULL equals NULL, NaN equals NaN, `-0.0` equals `0.0`, and floats may be a little apart. Rows without
//! an equal are told in pairs where they have something in common, so that a wrong cell reads as one.

use std::collections::HashMap;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use windlass_project::checks::Tolerance;

/// Rows without an equal that are looked through for similar ones; more say nothing to a person.
const PAIRED: usize = 200;

/// How rows differ from those that were expected.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The rows that were expected.
    pub expected: RecordBatch,
    /// The rows that came, with the same columns.
    pub found: RecordBatch,
    /// Rows that differ, in the order in which they were expected, then those that nobody expected.
    pub differences: Vec<Difference>,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its place among the expected rows; `None` for one that nobody expected.
    pub expected: Option<usize>,
    /// Its place among the rows that came; `None` for one that is missing.
    pub found: Option<usize>,
    /// The columns in which the two differ.
    pub columns: Vec<usize>,
}

/// Compares rows of the same columns. A column with a tolerance is compared as numbers; what an expected
/// row does not name, by row and column, is not compared.
pub(super) fn compare(
    expected: RecordBatch,
    found: RecordBatch,
    tolerances: &[Option<Tolerance>],
    is_named: &[Vec<bool>],
) -> Result<Comparison, ArrowError> {
    let mut wanted = Rows::of(&expected, tolerances)?;
    wanted.is_named = is_named.to_vec();
    let came = Rows::of(&found, tolerances)?;
    // Whatever is compared exactly tells where to look for an equal.
    let mut candidates: HashMap<Vec<&Cell>, Vec<usize>> = HashMap::new();
    for row in 0..found.num_rows() {
        candidates.entry(came.exact(row)).or_default().push(row);
    }
    let mut is_taken = vec![false; found.num_rows()];
    let mut missing = Vec::new();
    // A row that leaves something open must not take the equal of one that does not.
    let (complete, open): (Vec<usize>, Vec<usize>) =
        (0..expected.num_rows()).partition(|row| is_named[*row].iter().all(|is_named| *is_named));
    let everywhere: Vec<usize> = (0..found.num_rows()).collect();
    for (rows, is_complete) in [(complete, true), (open, false)] {
        for row in rows {
            let near = if is_complete { candidates.get(&wanted.exact(row)) } else { Some(&everywhere) };
            let equals = |other: &&usize| !is_taken[**other] && wanted.differing(row, &came, **other).is_empty();
            match near.and_then(|rows| rows.iter().find(equals)) {
                Some(other) => is_taken[*other] = true,
                None => missing.push(row),
            }
        }
    }
    missing.sort_unstable();
    let mut unexpected: Vec<usize> = (0..found.num_rows()).filter(|row| !is_taken[*row]).collect();
    let is_one_each = missing.len() == 1 && unexpected.len() == 1;
    let mut differences = Vec::new();
    for (at, row) in missing.into_iter().enumerate() {
        let near = unexpected.iter().take(if at < PAIRED { PAIRED } else { 0 });
        let near =
            near.map(|other| (wanted.differing(row, &came, *other), *other)).min_by_key(|(cells, _)| cells.len());
        match near.filter(|(columns, _)| columns.len() < expected.num_columns() || is_one_each) {
            Some((columns, other)) => {
                unexpected.retain(|known| *known != other);
                differences.push(Difference { expected: Some(row), found: Some(other), columns });
            }
            None => differences.push(Difference { expected: Some(row), found: None, columns: Vec::new() }),
        }
    }
    let rest = unexpected.into_iter().map(|row| Difference { expected: None, found: Some(row), columns: Vec::new() });
    differences.extend(rest);
    Ok(Comparison { expected, found, differences })
}

/// A value as it is compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Cell {
    Null,
    Exact(String),
}

/// A column as it is compared.
enum Column {
    Exact(Vec<Cell>),
    Numbers(Vec<Option<f64>>, Tolerance),
}

/// Rows as they are compared.
struct Rows {
    columns: Vec<Column>,
    /// Which values stand there, by row and column; no entry says that all do.
    is_named: Vec<Vec<bool>>,
}

impl Rows {
    fn of(batch: &RecordBatch, tolerances: &[Option<Tolerance>]) -> Result<Self, ArrowError> {
        let columns = batch.columns().iter().zip(tolerances).map(|(column, tolerance)| {
            if let Some(tolerance) = tolerance {
                let numbers = cast(column, &DataType::Float64)?;
                return Ok(Column::Numbers(numbers.as_primitive::<Float64Type>().iter().collect(), *tolerance));
            }
            let options = FormatOptions::default().with_display_error(true);
            let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
            let cell = |row| match column.is_null(row) {
                true => Cell::Null,
                false => Cell::Exact(formatter.value(row).to_string()),
            };
            Ok(Column::Exact((0..column.len()).map(cell).collect()))
        });
        Ok(Self { columns: columns.collect::<Result<_, ArrowError>>()?, is_named: Vec::new() })
    }

    /// Returns the cells of a row that have no tolerance.
    fn exact(&self, row: usize) -> Vec<&Cell> {
        self.columns
            .iter()
            .filter_map(|column| match column {
                Column::Exact(cells) => cells.get(row),
                Column::Numbers(..) => None,
            })
            .collect()
    }

    /// Returns the columns in which two rows differ.
    fn differing(&self, row: usize, other: &Self, there: usize) -> Vec<usize> {
        let differs = |(here, other): (&Column, &Column)| match (here, other) {
            (Column::Exact(here), Column::Exact(other)) => here[row] != other[there],
            (Column::Numbers(here, tolerance), Column::Numbers(other, _)) => match (here[row], other[there]) {
                (Some(wanted), Some(came)) => !is_near(wanted, came, *tolerance),
                (wanted, came) => wanted.is_some() != came.is_some(),
            },
            _ => true,
        };
        let is_named = |at: usize| self.is_named.get(row).is_none_or(|named| named[at]);
        let pairs = self.columns.iter().zip(&other.columns).enumerate();
        pairs.filter(|(at, pair)| is_named(*at) && differs(*pair)).map(|(at, _)| at).collect()
    }
}

fn is_near(wanted: f64, came: f64, tolerance: Tolerance) -> bool {
    let is_same = wanted == came || (wanted.is_nan() && came.is_nan());
    is_same || (wanted - came).abs() <= tolerance.absolute + tolerance.relative * wanted.abs()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Float64Array, StringArray};

    use super::*;

    fn rows(names: &[Option<&str>], numbers: &[Option<f64>]) -> RecordBatch {
        let names: ArrayRef = Arc::new(StringArray::from(names.to_vec()));
        let numbers: ArrayRef = Arc::new(Float64Array::from(numbers.to_vec()));
        RecordBatch::try_from_iter_with_nullable([("name", names, true), ("number", numbers, true)]).unwrap()
    }

    fn check(expected: RecordBatch, found: RecordBatch, wanted: &[(Option<usize>, Option<usize>, &[usize])]) {
        let tolerance = Tolerance { absolute: 0.0, relative: 1e-9 };
        let is_named = vec![vec![true; 2]; expected.num_rows()];
        let found = compare(expected, found, &[None, Some(tolerance)], &is_named).unwrap();
        let wanted: Vec<Difference> = wanted
            .iter()
            .map(|(expected, found, columns)| Difference {
                expected: *expected,
                found: *found,
                columns: columns.to_vec(),
            })
            .collect();
        assert_eq!(found.differences, wanted);
    }

    #[test]
    fn equal_rows_are_equal_in_any_order_and_number() {
        let (nan, zero) = (Some(f64::NAN), Some(-0.0));
        let expected = rows(&[Some("a"), None, Some("b"), Some("a")], &[nan, zero, None, Some(0.3)]);
        let found = rows(&[Some("b"), Some("a"), None, Some("a")], &[None, Some(0.1 + 0.2), Some(0.0), nan]);
        check(expected, found, &[]);
        check(rows(&[], &[]), rows(&[], &[]), &[]);
        let twice = rows(&[Some("a"), Some("a")], &[None, None]);
        check(twice, rows(&[Some("a")], &[None]), &[(Some(1), None, &[])]);
    }

    #[test]
    fn rows_that_differ_are_paired_by_what_they_share() {
        let expected = rows(&[Some("a"), Some("b"), Some("c")], &[Some(1.0), Some(2.0), Some(3.0)]);
        let found = rows(&[Some("z"), Some("b"), Some("c"), None], &[Some(9.0), Some(2.5), Some(3.0), None]);
        check(
            expected,
            found,
            &[(Some(0), None, &[]), (Some(1), Some(1), &[1]), (None, Some(0), &[]), (None, Some(3), &[])],
        );
        // One of each are the same row, whatever they share.
        check(rows(&[Some("a")], &[None]), rows(&[None], &[Some(1.0)]), &[(Some(0), Some(0), &[0, 1])]);
        check(rows(&[Some("null")], &[None]), rows(&[None], &[None]), &[(Some(0), Some(0), &[0])]);
    }
    #[test]
    fn what_a_row_leaves_open_may_be_anything() {
        let expected = rows(&[Some("a"), Some("a")], &[None, Some(2.0)]);
        let found = rows(&[Some("a"), Some("a")], &[Some(2.0), Some(7.0)]);
        let compared = |is_named: [bool; 2]| {
            let is_named = [is_named.to_vec(), vec![true, true]];
            compare(expected.clone(), found.clone(), &[None, None], &is_named).unwrap().differences.len()
        };
        assert_eq!((compared([true, false]), compared([true, true])), (0, 1));
    }
}
