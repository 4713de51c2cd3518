//! Splits a batch by the values of its partition columns.

use std::collections::HashMap;

use datafusion::arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::error::Result;

/// Splits batches of one schema by some of their columns.
#[derive(Debug)]
pub(crate) struct Splitter {
    columns: Vec<usize>,
    rest: Vec<usize>,
    converter: RowConverter,
}

/// Rows that share their partition values.
#[derive(Debug)]
pub(crate) struct Slice {
    /// Identifies the values.
    pub(crate) key: OwnedRow,
    /// The values, in the order of the partition columns.
    pub(crate) values: Vec<ScalarValue>,
    /// The rows without the partition columns.
    pub(crate) rows: RecordBatch,
}

impl Splitter {
    /// Returns a splitter by the columns at these positions.
    pub(crate) fn try_new(schema: &SchemaRef, columns: &[usize]) -> Result<Self> {
        let fields = columns.iter().map(|&index| SortField::new(schema.field(index).data_type().clone())).collect();
        let rest = (0..schema.fields().len()).filter(|index| !columns.contains(index)).collect();
        Ok(Self { columns: columns.to_vec(), rest, converter: RowConverter::new(fields)? })
    }

    /// Returns one slice for each combination of values, in order of first appearance. Rows keep
    /// their order.
    pub(crate) fn split(&self, batch: &RecordBatch) -> Result<Vec<Slice>> {
        let keys: Vec<ArrayRef> = self.columns.iter().map(|&index| ArrayRef::clone(batch.column(index))).collect();
        let rows = self.converter.convert_columns(&keys)?;
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut known = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            let group = *known.entry(row).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[group].push(u32::try_from(index).expect("a batch has fewer than 2^32 rows"));
        }
        let stored = batch.project(&self.rest)?;
        groups
            .into_iter()
            .map(|indices| {
                let first = indices[0] as usize;
                let values = keys.iter().map(|key| ScalarValue::try_from_array(key, first)).collect::<Result<_>>()?;
                let whole = indices.len() == batch.num_rows();
                let slice =
                    if whole { stored.clone() } else { take_record_batch(&stored, &UInt32Array::from(indices))? };
                Ok(Slice { key: rows.row(first).owned(), values, rows: slice })
            })
            .collect()
    }
}
