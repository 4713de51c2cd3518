//! Names keys that several rows share, which are known by their hashes alone.
//!
//! The hash of an integer tells it. For other keys rows are read until each hash was met once: what a hash
//! stands for is the same in all its rows.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::error::Result;
use datafusion::prelude::ident;
use futures::TryStreamExt;
use windlass_project::checks::{CheckDefinition, CheckKind};

use super::Subject;
use super::queries::{ROWS, own_rows};
use crate::Engine;
use crate::checks::columns::{View, is_integer, normalise};
use crate::checks::hash::{Keys, keys, unmix};
use crate::checks::keys::Prehashed;
use crate::session::PlanStyle;

impl Engine {
    /// Returns a row for each of the most frequent keys, with the number of its rows.
    pub(super) async fn named(
        &self,
        subject: &Subject<'_>,
        definition: &CheckDefinition,
        frequent: &[(u128, u64)],
    ) -> Result<Vec<RecordBatch>> {
        let CheckKind::Unique { columns, .. } = &definition.kind else { return Ok(Vec::new()) };
        let frequent = &frequent[..frequent.len().min(definition.sample_rows)];
        if let [column] = columns.as_slice()
            && let Ok(field) = subject.rows.schema().field_with_name(&column.text)
            && is_integer(field.data_type())
        {
            return frequent.iter().map(|(key, rows)| spelled(field, *key as u64, *rows)).collect();
        }
        let mut wanted: HashMap<u64, usize, Prehashed> =
            frequent.iter().enumerate().map(|(at, (key, _))| (*key as u64, at)).collect();
        let mut found: Vec<Option<RecordBatch>> = vec![None; frequent.len()];
        let context = self.session.context(PlanStyle::Fast);
        let columns: Vec<_> = columns.iter().map(|column| ident(&column.text)).collect();
        let mut rows = own_rows(&context, subject, definition)?.select(columns)?.execute_stream().await?;
        while !wanted.is_empty()
            && let Some(batch) = rows.try_next().await?
        {
            for row in rows_with(&batch, &wanted)? {
                if let (row, Some(at)) = (row.0, wanted.remove(&row.1)) {
                    found[at] = Some(with_rows(&batch.slice(row, 1), frequent[at].1)?);
                }
            }
        }
        Ok(found.into_iter().flatten().collect())
    }
}

/// Returns a row for the key of an integer, with the number of its rows.
fn spelled(field: &Field, key: u64, rows: u64) -> Result<RecordBatch> {
    let value: ArrayRef = Arc::new(Int64Array::from(vec![unmix(key) as i64]));
    let value = cast(&value, field.data_type())?;
    with_rows(&RecordBatch::try_new(Arc::new(Schema::new(vec![field.clone()])), vec![value])?, rows)
}

/// Returns the rows whose key is wanted, with it. Of one column NULL is no key.
fn rows_with(batch: &RecordBatch, wanted: &HashMap<u64, usize, Prehashed>) -> Result<Vec<(usize, u64)>> {
    let arrays = batch.columns().iter().map(normalise).collect::<std::result::Result<Vec<ArrayRef>, _>>()?;
    let views: Vec<View<'_>> = arrays.iter().map(View::of).collect();
    let nulls = views.first().filter(|_| views.len() == 1).and_then(|view| view.nulls.as_ref());
    let is_key = |row: usize, key: u64| wanted.contains_key(&key) && nulls.is_none_or(|nulls| nulls.is_valid(row));
    let fitting =
        |keys: &mut dyn Iterator<Item = u64>| keys.enumerate().filter(|(row, key)| is_key(*row, *key)).collect();
    Ok(match keys(&views.iter().collect::<Vec<_>>()) {
        Keys::Narrow(keys) => fitting(&mut keys.into_iter()),
        Keys::Wide(keys) => fitting(&mut keys.into_iter().map(|key| key as u64)),
    })
}

/// Returns a row with one more column: how many rows are like it.
fn with_rows(row: &RecordBatch, count: u64) -> Result<RecordBatch> {
    let schema = row.schema();
    let fields = schema.fields().iter().cloned();
    let fields: Vec<_> = fields.chain([Arc::new(Field::new(ROWS, DataType::Int64, false))]).collect();
    let counts: ArrayRef = Arc::new(Int64Array::from(vec![count as i64]));
    let columns = row.columns().iter().cloned().chain([counts]).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
