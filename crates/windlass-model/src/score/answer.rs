//! From the numbers that a model computes for each row to columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, Float64Array, Int64Array, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{Field, Float64Type};

use super::RowFailure;
use crate::{Column, ColumnType, Error, Label, Task};

/// Numbers for each row, and rows that have none.
#[derive(Debug)]
pub(super) struct Raw {
    /// Row after row, `width` numbers each.
    pub(super) values: Vec<f64>,
    pub(super) width: usize,
    pub(super) rows: usize,
    /// The first reason why a row cannot be scored.
    pub(super) failed: BTreeMap<usize, String>,
}

impl Raw {
    pub(super) fn new(rows: usize, width: usize) -> Self {
        Self { values: vec![0.0; rows * width], width, rows, failed: BTreeMap::new() }
    }

    /// Notes that a row cannot be scored; the first reason stays.
    pub(super) fn fail(&mut self, row: usize, why: impl FnOnce() -> String) {
        self.failed.entry(row).or_insert_with(why);
    }

    /// Returns the rows that cannot be scored, in order.
    pub(super) fn failures(&self) -> Vec<RowFailure> {
        self.failed.iter().map(|(row, message)| RowFailure { row: *row, message: message.clone() }).collect()
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    /// Returns one column for each number of a row.
    pub(super) fn numbers(&self) -> Vec<ArrayRef> {
        let nulls = self.nulls();
        let column = |at: usize| -> ArrayRef {
            let values: Vec<f64> = self.values.iter().skip(at).step_by(self.width).copied().collect();
            Arc::new(Float64Array::new(values.into(), nulls.clone()))
        };
        (0..self.width).map(column).collect()
    }

    /// Returns the predicted class, and the probabilities of all.
    pub(super) fn classification(&self, classes: &[Label], threshold: f64) -> Result<Vec<ArrayRef>, Error> {
        let predicted: Vec<u32> = match self.width {
            2 => self.values.iter().skip(1).step_by(2).map(|second| u32::from(*second >= threshold)).collect(),
            _ => {
                let best = |row| best(self.row(row), |probability, so_far| probability > so_far);
                (0..self.rows).map(|row| best(row).unwrap_or_default() as u32).collect()
            }
        };
        let all: Vec<Option<usize>> = (0..classes.len()).map(Some).collect();
        let predicted = UInt32Array::new(predicted.into(), self.nulls());
        let labels = take(&Label::column(classes, &all), &predicted, None);
        Ok(vec![labels.map_err(|source| Error::Output { source })?, self.vectors()?])
    }

    /// Returns the last number of each row.
    pub(super) fn last(&self) -> ArrayRef {
        let values: Vec<f64> =
            self.values.iter().skip(self.width.saturating_sub(1)).step_by(self.width.max(1)).copied().collect();
        Arc::new(Float64Array::new(values.into(), self.nulls()))
    }

    /// Returns the nearest cluster, and the distances to all.
    pub(super) fn clustering(&self) -> Result<Vec<ArrayRef>, Error> {
        let nearest = |row: usize| match self.failed.contains_key(&row) {
            true => None,
            false => best(self.row(row), |distance, so_far| distance < so_far).map(|cluster| cluster as i64 + 1),
        };
        let clusters: Int64Array = (0..self.rows).map(nearest).collect();
        Ok(vec![Arc::new(clusters), self.vectors()?])
    }

    /// Returns the numbers of each row as a list.
    pub(super) fn vectors(&self) -> Result<ArrayRef, Error> {
        let field = Arc::new(Field::new("item", arrow::datatypes::DataType::Float64, false));
        let values: ArrayRef = Arc::new(Float64Array::new(self.values.clone().into(), None));
        let width = i32::try_from(self.width).unwrap_or(i32::MAX);
        let list = FixedSizeListArray::try_new(field, width, values, self.nulls());
        Ok(Arc::new(list.map_err(|source| Error::Output { source })?))
    }

    fn nulls(&self) -> Option<NullBuffer> {
        let valid = |row: usize| !self.failed.contains_key(&row);
        (!self.failed.is_empty()).then(|| (0..self.rows).map(valid).collect())
    }
}

/// Returns the last number of each list of doubles; other lists are NULL.
pub(super) fn last_of(vectors: &FixedSizeListArray) -> ArrayRef {
    let width = usize::try_from(vectors.value_length()).unwrap_or(1).max(1);
    match vectors.values().as_primitive_opt::<Float64Type>() {
        Some(numbers) => {
            let last: Vec<f64> = numbers.values().iter().skip(width - 1).step_by(width).copied().collect();
            Arc::new(Float64Array::new(last.into(), vectors.nulls().cloned()))
        }
        None => Arc::new(Float64Array::new_null(vectors.len())),
    }
}

/// Returns the first number that no other is better than.
fn best(numbers: &[f64], is_better: impl Fn(f64, f64) -> bool) -> Option<usize> {
    let mut best = None;
    for (at, number) in numbers.iter().enumerate() {
        if best.is_none_or(|(_, so_far)| is_better(*number, so_far)) {
            best = Some((at, *number));
        }
    }
    best.map(|(at, _)| at)
}

/// Returns the output columns of a model. All may be NULL, as a row may fail.
pub(super) fn outputs(task: Task, width: usize, classes: Option<&[Label]>) -> Vec<Column> {
    let column = |name: &str, data_type| Column::new(name, data_type, true);
    match task {
        Task::Classification => vec![
            column("prediction", Label::type_of(classes.unwrap_or_default())),
            column("probabilities", ColumnType::Vector(width)),
        ],
        Task::Clustering => {
            vec![column("cluster", ColumnType::Long), column("distances", ColumnType::Vector(width))]
        }
        Task::Projection => (1..=width).map(|at| column(&format!("component_{at}"), ColumnType::Double)).collect(),
        Task::Regression | Task::Other => vec![column("prediction", ColumnType::Double)],
    }
}
