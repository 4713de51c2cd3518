//! `requires`: what must hold for a row before Python sees it.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use windlass_worker::{RowError, Stage};

/// A rule with its words.
#[derive(Debug, Clone)]
pub(crate) struct Precondition {
    /// True for rows that may pass; NULL and false are violations.
    pub(crate) holds: Arc<dyn PhysicalExpr>,
    /// What a row that breaks it is told, such as "`temp` is null".
    pub(crate) violation: String,
}

/// Returns the rows that meet all preconditions, and for the others the first that they break, with
/// places in `batch`.
pub(super) fn sift(preconditions: &[Precondition], batch: &RecordBatch) -> Result<(RecordBatch, Vec<RowError>)> {
    let rows = batch.num_rows();
    let mut broken: Option<Vec<Option<usize>>> = None;
    for (at, precondition) in preconditions.iter().enumerate() {
        let holds = precondition.holds.evaluate(batch)?.into_array(rows)?;
        let holds = holds.as_boolean();
        if holds.null_count() == 0 && holds.true_count() == rows {
            continue;
        }
        let broken = broken.get_or_insert_with(|| vec![None; rows]);
        for (row, first) in broken.iter_mut().enumerate() {
            if first.is_none() && !(holds.is_valid(row) && holds.value(row)) {
                *first = Some(at);
            }
        }
    }
    let Some(broken) = broken else { return Ok((batch.clone(), Vec::new())) };
    let keep: BooleanArray = broken.iter().map(|first| Some(first.is_none())).collect();
    let errors = broken.iter().enumerate().filter_map(|(row, first)| {
        Some(RowError {
            row: row as u32,
            stage: Stage::Requires,
            error_type: String::new(),
            message: preconditions[(*first)?].violation.clone(),
            traceback: String::new(),
            attempts: 0,
            worker: 0,
        })
    });
    Ok((filter_record_batch(batch, &keep)?, errors.collect()))
}
