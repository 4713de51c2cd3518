//! Holds all rows of a training query in memory, for code that wants them at once.
//!
//! Must stay true: what is held is asked of the memory pool first and never more than the limit.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::TryStreamExt;

use crate::operators::gather::plain;
use crate::operators::python::PythonError;

/// Rows in memory, which are given back when this is dropped.
pub(super) struct HeldRows {
    pub(super) batch: RecordBatch,
    _memory: MemoryReservation,
}

/// Computes a plan and holds its rows, as columns of plain types; `seen` is told how many there are so far.
pub(super) async fn hold(
    plan: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
    columns: &SchemaRef,
    (node, max_bytes): (&str, u64),
    seen: impl Fn(u64),
) -> Result<HeldRows> {
    let memory = MemoryConsumer::new(format!("training rows of {node}")).register(task.memory_pool());
    let mut rows = execute_stream(plan, task)?;
    let (mut batches, mut bytes, mut count) = (Vec::new(), 0, 0);
    while let Some(batch) = rows.try_next().await? {
        let batch = plain(&batch, columns)?;
        let size = batch.get_array_memory_size();
        bytes += size;
        if bytes as u64 > max_bytes {
            return Err(PythonError::TrainingLimit { node: node.to_string(), max_bytes }.into());
        }
        memory.try_grow(size)?;
        count += batch.num_rows() as u64;
        seen(count);
        batches.push(batch);
    }
    // For a moment both are there.
    memory.try_grow(bytes)?;
    let batch = concat_batches(columns, &batches)?;
    drop(batches);
    memory.shrink(bytes);
    Ok(HeldRows { batch, _memory: memory })
}
