//! Rows for which a model answers that there is no number: they cannot be scored.
//!
//! A linear model answers NaN where inputs are infinite, and a graph of ONNX where it was not made for a NULL. A NaN that
//! went on would be compared, ordered and summed as if it were a score.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::nullif;
use arrow::datatypes::{DataType, Float64Type};

use super::{RowFailure, Scores};
use crate::Error;

/// What such a row is told.
const MESSAGE: &str = "the model answers NaN";

/// Returns scores in which rows with a NaN have failed.
pub(super) fn without_nan(scores: Scores) -> Result<Scores, Error> {
    let mut is_nan: Option<Vec<bool>> = None;
    for column in &scores.columns {
        let (values, width) = match column.data_type() {
            DataType::Float64 => (Some(column), 1),
            DataType::FixedSizeList(_, width) => (Some(column.as_fixed_size_list().values()), *width as usize),
            _ => (None, 1),
        };
        let Some(values) = values.and_then(|values| values.as_primitive_opt::<Float64Type>()) else { continue };
        for (at, _) in values.values().iter().enumerate().filter(|(_, value)| value.is_nan()) {
            let row = at / width.max(1);
            if column.is_valid(row) {
                is_nan.get_or_insert_with(|| vec![false; column.len()])[row] = true;
            }
        }
    }
    let Some(is_nan) = is_nan else { return Ok(scores) };
    let told = is_nan.iter().enumerate().filter(|(_, is_nan)| **is_nan);
    let mut failures = scores.failures;
    failures.extend(told.map(|(row, _)| RowFailure { row, message: MESSAGE.to_string() }));
    failures.sort_by_key(|failure| failure.row);
    let mask = BooleanArray::from(is_nan);
    let column = |column: &ArrayRef| nullif(column, &mask).map_err(|source| Error::Output { source });
    Ok(Scores { columns: scores.columns.iter().map(column).collect::<Result<_, _>>()?, failures })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{FixedSizeListArray, Float64Array, StringArray};

    use super::*;

    #[test]
    fn a_row_with_a_nan_has_failed_and_is_null_everywhere() {
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.5), Some(f64::NAN), None, Some(1.0)]));
        let pairs = [Some([0.1, 0.9]), Some([0.2, 0.8]), None, Some([f64::NAN, 0.5])];
        let pairs = FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(
            pairs.into_iter().map(|pair| pair.map(|pair| pair.map(Some))),
            2,
        );
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, Some("d")]));
        let failures = vec![RowFailure { row: 2, message: "no".to_string() }];
        let scores = without_nan(Scores { columns: vec![numbers, Arc::new(pairs), texts], failures }).unwrap();
        let failed: Vec<(usize, &str)> =
            scores.failures.iter().map(|failure| (failure.row, failure.message.as_str())).collect();
        assert_eq!(failed, [(1, MESSAGE), (2, "no"), (3, MESSAGE)]);
        for column in &scores.columns {
            let nulls: Vec<bool> = (0..4).map(|row| column.is_null(row)).collect();
            assert_eq!(nulls, [false, true, true, true], "{}", column.data_type());
        }
    }

    #[test]
    fn scores_without_a_nan_stay_as_they_are() {
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.5), None, Some(f64::INFINITY)]));
        let scores = without_nan(Scores { columns: vec![Arc::clone(&numbers)], failures: Vec::new() }).unwrap();
        assert!(Arc::ptr_eq(&scores.columns[0], &numbers));
        assert!(scores.failures.is_empty());
    }
}
