//! Reads what workers answer for a model: a struct of its columns, and why a row has none.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::error::{DataFusionError, Result};
use windlass_model::{RowFailure, Scores};

/// The field that says why a row has no answer.
pub(super) const FAILURE: &str = "failure";
/// What is told of a row that took its worker along.
const DIED: &str = "the worker that scored it died";
/// What is told of a row for which the one answer is NULL.
const NOTHING: &str = "the model answers nothing";

/// Returns the answers of a model, with the rows that have none.
pub(super) fn read(answered: &ArrayRef) -> Result<Scores> {
    let lost = || DataFusionError::Internal("a worker answered other columns than a model has".to_string());
    let rows = answered.as_struct_opt().ok_or_else(lost)?;
    let Some((told, columns)) = rows.columns().split_last() else { return Err(lost()) };
    let told = told.as_string_opt::<i32>().ok_or_else(lost)?;
    let only = match columns {
        [one] => Some(one),
        _ => None,
    };
    let why = |row: usize| {
        if rows.is_null(row) {
            Some(DIED.to_string())
        } else if told.is_valid(row) {
            Some(told.value(row).to_string())
        } else {
            only.is_some_and(|column| column.is_null(row)).then(|| NOTHING.to_string())
        }
    };
    let may_fail =
        rows.null_count() > 0 || told.null_count() < told.len() || only.is_some_and(|column| column.null_count() > 0);
    let failures = match may_fail {
        false => Vec::new(),
        true => (0..rows.len()).filter_map(|row| Some(RowFailure { row, message: why(row)? })).collect(),
    };
    let failed: Vec<bool> = match failures.is_empty() {
        true => Vec::new(),
        false => {
            let mut failed = vec![false; rows.len()];
            failures.iter().for_each(|failure| failed[failure.row] = true);
            failed
        }
    };
    let column = |column: &ArrayRef| match failed.is_empty() {
        true => Ok(std::sync::Arc::clone(column)),
        false => datafusion::arrow::compute::nullif(column, &failed.clone().into()),
    };
    let columns = columns.iter().map(column).collect::<std::result::Result<_, _>>()?;
    Scores::of_answers(columns, failures).map_err(|error| DataFusionError::External(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Float64Array, StringArray, StructArray};
    use datafusion::arrow::buffer::NullBuffer;
    use datafusion::arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn rows_without_an_answer_say_why() {
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(f64::NAN), None, Some(9.0)]));
        let told: ArrayRef = Arc::new(StringArray::from(vec![None, Some("ValueError: no"), None, None, None]));
        let fields = vec![Field::new("prediction", DataType::Float64, true), Field::new(FAILURE, DataType::Utf8, true)];
        let is_there = NullBuffer::from(vec![true, true, true, true, false]);
        let answered = StructArray::new(fields.into(), vec![numbers, told], Some(is_there));
        let scores = read(&(Arc::new(answered) as ArrayRef)).unwrap();
        let failures: Vec<(usize, &str)> =
            scores.failures.iter().map(|failure| (failure.row, failure.message.as_str())).collect();
        let expected = [(1, "ValueError: no"), (2, "the model answers NaN"), (3, NOTHING), (4, DIED)];
        assert_eq!(failures, expected);
        assert_eq!(
            (0..5).map(|row| scores.columns[0].is_null(row)).collect::<Vec<_>>(),
            [false, true, true, true, true]
        );
    }
}
