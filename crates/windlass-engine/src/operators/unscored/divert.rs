//! Takes out the rows that a model could not score, right above where it was asked.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, PlanProperties, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, SendableRecordBatchStream};
use futures::StreamExt;

use super::{UnscoredSink, rows_at};
use crate::models::FAILURE;
use crate::tables::error_rows::ScoredBy;

/// One model that was asked, below.
#[derive(Debug, Clone)]
pub(crate) struct Diverted {
    /// The column that holds what it answered and why it could not.
    pub(crate) scores: Arc<dyn PhysicalExpr>,
    /// What a row that failed is told with: a name and a value.
    pub(crate) row: Vec<(String, Arc<dyn PhysicalExpr>)>,
    /// The model.
    pub(crate) by: ScoredBy,
}

/// Passes on the rows that all its models could score; see the module above.
#[derive(Debug)]
pub(crate) struct DivertExec {
    input: Arc<dyn ExecutionPlan>,
    diverted: Arc<[Diverted]>,
    sink: Arc<UnscoredSink>,
    metrics: ExecutionPlanMetricsSet,
}

impl DivertExec {
    /// Returns the operator above `input`.
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, diverted: Arc<[Diverted]>, sink: Arc<UnscoredSink>) -> Self {
        Self { input, diverted, sink, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for DivertExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models: Vec<&str> = self.diverted.iter().map(|diverted| diverted.by.reference.as_str()).collect();
        write!(f, "DivertExec: models=[{}]", models.join(", "))
    }
}

impl ExecutionPlan for DivertExec {
    fn name(&self) -> &str {
        "DivertExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let mut answer = TreeNodeRecursion::Continue;
        let of = |diverted: &Diverted| {
            let row: Vec<_> = diverted.row.iter().map(|(_, value)| Arc::clone(value)).collect();
            std::iter::once(Arc::clone(&diverted.scores)).chain(row)
        };
        for expression in self.diverted.iter().flat_map(of) {
            answer = answer.visit_sibling(|| visit(&expression))?;
        }
        Ok(answer)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(children.swap_remove(0), Arc::clone(&self.diverted), Arc::clone(&self.sink))))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (diverted, sink) = (Arc::clone(&self.diverted), Arc::clone(&self.sink));
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let rows = self.input.execute(partition, context)?.map(move |batch| {
            let batch = divert(batch?, &diverted, &sink)?;
            metrics.record_output(batch.num_rows());
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Returns the rows of a batch that go on. A row that several models failed for is told by the first.
fn divert(mut batch: RecordBatch, diverted: &[Diverted], sink: &UnscoredSink) -> Result<RecordBatch> {
    for diverted in diverted {
        let failed = failed(&batch, diverted)?;
        let rows = match failed.is_empty() {
            true => RecordBatch::new_empty(Arc::new(Schema::empty())),
            false => told(&rows_at(&batch, &failed)?, diverted)?,
        };
        sink.take(batch.num_rows(), &failed, rows, &diverted.by)?;
        if !failed.is_empty() {
            let mut is_kept = vec![true; batch.num_rows()];
            failed.iter().for_each(|(row, _)| is_kept[*row] = false);
            batch = filter_record_batch(&batch, &BooleanArray::from(is_kept))?;
        }
    }
    Ok(batch)
}

/// Returns the rows that a model could not score, in order, and why.
fn failed(batch: &RecordBatch, diverted: &Diverted) -> Result<Vec<(usize, String)>> {
    let lost = || DataFusionError::Internal("a model lost why rows failed".to_string());
    let scores = diverted.scores.evaluate(batch)?.into_array(batch.num_rows())?;
    let failures = scores.as_struct_opt().and_then(|scores| scores.column_by_name(FAILURE)).ok_or_else(lost)?;
    if failures.null_count() == failures.len() {
        return Ok(Vec::new());
    }
    let failures = failures.as_string_opt::<i32>().ok_or_else(lost)?;
    let told = failures.iter().enumerate();
    Ok(told.filter_map(|(row, message)| Some((row, message?.to_string()))).collect())
}

/// Returns what rows that failed are told with.
fn told(rows: &RecordBatch, diverted: &Diverted) -> Result<RecordBatch> {
    let (mut fields, mut arrays): (Vec<Field>, Vec<ArrayRef>) = Default::default();
    for (name, value) in &diverted.row {
        let array = value.evaluate(rows)?.into_array(rows.num_rows())?;
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?)
}
