//! Rows on a screen, as JSON and as CSV.

use std::sync::Arc;

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::csv;
use arrow::json::writer::{JsonArray, WriterBuilder};
use arrow::util::pretty::pretty_format_batches_with_schema;
use serde_json::value::RawValue;
use windlass_engine::Shown;

/// Returns how many rows there are.
pub(crate) fn count(shown: &Shown) -> usize {
    shown.batches.iter().map(RecordBatch::num_rows).sum()
}

/// Returns the first rows.
pub(crate) fn first(shown: &Shown, limit: usize) -> Shown {
    let mut left = limit;
    let mut batches = Vec::new();
    for batch in &shown.batches {
        let rows = batch.num_rows().min(left);
        batches.push(batch.slice(0, rows));
        left -= rows;
    }
    Shown { schema: Arc::clone(&shown.schema), batches }
}

/// Returns rows as a table for people.
pub(crate) fn as_text(shown: &Shown) -> anyhow::Result<String> {
    let table = pretty_format_batches_with_schema(Arc::clone(&shown.schema), &shown.batches);
    Ok(table.context("cannot print the rows")?.to_string())
}

/// Returns rows as a JSON array of objects.
pub(crate) fn as_json(shown: &Shown) -> anyhow::Result<Box<RawValue>> {
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
    for batch in &shown.batches {
        writer.write(batch).context("cannot print the rows as JSON")?;
    }
    writer.finish().context("cannot print the rows as JSON")?;
    let text = String::from_utf8(writer.into_inner())?;
    Ok(RawValue::from_string(if text.is_empty() { "[]".to_owned() } else { text })?)
}

/// Returns rows as CSV with a header.
pub(crate) fn as_csv(shown: &Shown) -> anyhow::Result<String> {
    let mut writer = csv::Writer::new(Vec::new());
    // A header stands above no rows as well.
    writer.write(&RecordBatch::new_empty(Arc::clone(&shown.schema))).context("cannot print the rows as CSV")?;
    for batch in &shown.batches {
        writer.write(batch).context("cannot print the rows as CSV")?;
    }
    Ok(String::from_utf8(writer.into_inner())?)
}
