//! The run store as tables: `system.runs` and `system.node_runs`.
//!
//! Their columns are the fields that `--format json` prints for `runs ls` and `runs show`. A project
//! that has not run yet has both, without rows.

use std::sync::Arc;

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::json::ReaderBuilder;
use serde::Serialize;
use windlass_engine::Engine;
use windlass_project::Project;

use crate::open;

/// Makes the tables known to queries.
pub(crate) fn provide(engine: &Engine, project: &Project) -> anyhow::Result<()> {
    let store = open::existing_store(project)?;
    let (runs, nodes) = match &store {
        Some(store) => (store.runs(usize::MAX)?, store.node_runs()?),
        None => Default::default(),
    };
    engine.provide("runs", batch(run_columns(), &runs)?);
    engine.provide("node_runs", batch(node_run_columns(), &nodes)?);
    Ok(())
}

fn batch<T: Serialize>(columns: SchemaRef, rows: &[T]) -> anyhow::Result<RecordBatch> {
    let reader = ReaderBuilder::new(Arc::clone(&columns)).with_batch_size(rows.len().max(1));
    let mut decoder = reader.build_decoder().context("cannot read the history of runs")?;
    decoder.serialize(rows).context("cannot read the history of runs")?;
    let batch = decoder.flush().context("cannot read the history of runs")?;
    Ok(batch.unwrap_or_else(|| RecordBatch::new_empty(columns)))
}

fn run_columns() -> SchemaRef {
    columns(
        &["run_id", "command", "selection", "target", "env", "lake"],
        &["started_at", "finished_at"],
        &["outcome", "reason", "version", "host"],
        &["pid", "peak_memory_bytes", "rows", "bytes"],
    )
}

fn node_run_columns() -> SchemaRef {
    columns(
        &["run_id", "node", "kind", "outcome", "reason", "failed_node"],
        &["started_at"],
        &["fingerprint", "error_code", "error_message", "fault"],
        &["attempt", "elapsed_ms", "rows", "error_rows", "null_rows", "bytes", "files", "table_version"],
    )
}

/// Returns columns of text, of times, again of text, and of whole numbers.
fn columns(first: &[&str], times: &[&str], texts: &[&str], numbers: &[&str]) -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let typed = |names: &[&str], data_type: DataType| -> Vec<Field> {
        names.iter().map(|name| Field::new(*name, data_type.clone(), true)).collect()
    };
    let all = [
        typed(first, DataType::Utf8),
        typed(times, time),
        typed(texts, DataType::Utf8),
        typed(numbers, DataType::Int64),
    ];
    Arc::new(Schema::new(all.concat()))
}
