//! Sums of hashes over a table: they do not depend on the order of its rows, nor on its partitions.
//!
//! A row has 128 bits, so two tables with equal sums are equal but for a chance below 10^-20.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::execute_stream_partitioned;
use futures::TryStreamExt;
use tokio::task::JoinSet;

use crate::checks::columns::{Values, View, normalise};
use crate::checks::hash;

/// What a scan of a table comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Checksums {
    /// Its rows.
    pub(super) rows: u64,
    whole: u128,
    columns: Vec<u128>,
}

impl Checksums {
    /// Returns whether two tables hold the same rows equally often.
    pub(super) fn is_equal(&self, other: &Self) -> bool {
        (self.rows, self.whole) == (other.rows, other.whole)
    }

    /// Returns the columns whose values are not the same equally often.
    pub(super) fn differing(&self, other: &Self) -> Vec<usize> {
        let pairs = self.columns.iter().zip(&other.columns).enumerate();
        pairs.filter(|(_, (here, there))| here != there).map(|(at, _)| at).collect()
    }

    fn of_columns(count: usize) -> Self {
        Self { columns: vec![0; count], ..Self::default() }
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut rows = vec![0u128; batch.num_rows()];
        for (column, sum) in batch.columns().iter().zip(&mut self.columns) {
            let values = hashes(column)?;
            hash::add_column(&mut rows, &values);
            *sum = values.iter().fold(*sum, |sum, value| sum.wrapping_add(*value));
        }
        self.whole = rows.iter().fold(self.whole, |sum, row| sum.wrapping_add(*row));
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.whole = self.whole.wrapping_add(other.whole);
        for (sum, other) in self.columns.iter_mut().zip(&other.columns) {
            *sum = sum.wrapping_add(*other);
        }
    }
}

/// Scans a table.
pub(super) async fn of(frame: DataFrame) -> Result<Checksums> {
    let count = frame.schema().fields().len();
    let (state, plan) = frame.into_parts();
    let plan = state.create_physical_plan(&plan).await?;
    let mut partitions = JoinSet::new();
    for mut stream in execute_stream_partitioned(Arc::clone(&plan), state.task_ctx())? {
        partitions.spawn(async move {
            let mut sums = Checksums::of_columns(count);
            while let Some(batch) = stream.try_next().await? {
                sums.add(&batch)?;
            }
            Ok::<_, DataFusionError>(sums)
        });
    }
    let mut whole = Checksums::of_columns(count);
    while let Some(joined) = partitions.join_next().await {
        whole.merge(&joined.map_err(|error| DataFusionError::Internal(error.to_string()))??);
    }
    Ok(whole)
}

fn hashes(column: &ArrayRef) -> Result<Vec<u128>> {
    let array = normalise(column)?;
    let view = View::of(&array);
    if !matches!(view.values, Values::Opaque) {
        return Ok(hash::values(&view));
    }
    let converter = RowConverter::new(vec![SortField::new(array.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(&array))?;
    Ok((0..array.len()).map(|row| hash::bytes128(rows.row(row).as_ref())).collect())
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, StringArray};

    use super::*;

    /// Values of two columns.
    type Batch<'a> = (&'a [Option<i64>], &'a [Option<&'a str>]);

    fn sums(batches: &[Batch<'_>]) -> Checksums {
        let mut sums = Checksums::of_columns(2);
        for (numbers, texts) in batches {
            let numbers: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
            let texts: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
            let batch = RecordBatch::try_from_iter_with_nullable([("a", numbers, true), ("b", texts, true)]);
            sums.add(&batch.unwrap()).unwrap();
        }
        sums
    }

    #[test]
    fn order_does_not_matter_and_every_value_does() {
        let one = sums(&[(&[Some(1), None, Some(2)], &[Some("x"), Some(""), None])]);
        let other = sums(&[(&[Some(2)], &[None]), (&[None, Some(1)], &[Some(""), Some("x")])]);
        assert!(one.is_equal(&other) && one.differing(&other).is_empty());
        let swapped = sums(&[(&[Some(1), None, Some(2)], &[None, Some(""), Some("x")])]);
        // The same values in each column, in other rows.
        assert!(!one.is_equal(&swapped) && one.differing(&swapped).is_empty());
        let changed = sums(&[(&[Some(1), Some(0), Some(2)], &[Some("x"), Some(""), None])]);
        assert_eq!(one.differing(&changed), [0]);
        let twice = sums(&[(&[Some(1), Some(1)], &[None, None])]);
        assert!(!twice.is_equal(&sums(&[(&[Some(1)], &[None])])));
    }
}
