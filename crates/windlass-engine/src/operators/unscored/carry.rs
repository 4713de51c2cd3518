//! Sends rows that could not be scored on to the writer, beside the rows of the result.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    ChildrenPropertiesMode, EmissionType, PlanProperties, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, SendableRecordBatchStream,
};
use futures::StreamExt;
use futures::stream::try_unfold;

use super::{UnscoredSink, conformed};
use crate::operators::python::{FailureObserver, Verdict};
use crate::tables::error_rows::{ErrorRows, carrier_field, carrying, without_errors};

/// Appends the carrier of error rows to its input; see the module above.
#[derive(Debug)]
pub(crate) struct CarryExec {
    input: Arc<dyn ExecutionPlan>,
    errors: Arc<ErrorRows>,
    sink: Arc<UnscoredSink>,
    properties: Arc<PlanProperties>,
}

impl CarryExec {
    /// Returns the operator above `input`, for error rows that are told as `errors` say.
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, errors: Arc<ErrorRows>, sink: Arc<UnscoredSink>) -> Self {
        // In a row that carries error rows all others are NULL.
        let columns = input.schema();
        let fields = columns.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let schema: SchemaRef = Arc::new(Schema::new(fields.chain([carrier_field()]).collect::<Vec<Field>>()));
        // The order that a query asks for is that of its rows; those that carry errors are none of them.
        let orderings = input.equivalence_properties().oeq_class().iter().cloned();
        let equivalences = EquivalenceProperties::new_with_orderings(Arc::clone(&schema), orderings);
        let partitioning = input.output_partitioning().clone();
        let properties =
            PlanProperties::new(equivalences, partitioning, EmissionType::Incremental, input.boundedness());
        Self { input, errors, sink, properties: Arc::new(properties) }
    }

    /// Returns how many rows could not be scored, and whether more than may.
    pub(crate) fn verdict(&self) -> Verdict {
        self.sink.verdict()
    }
}

impl DisplayAs for CarryExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CarryExec")
    }
}

impl ExecutionPlan for CarryExec {
    fn name(&self) -> &str {
        "CarryExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(children.swap_remove(0), Arc::clone(&self.errors), Arc::clone(&self.sink))))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let partition = Partition {
            input: self.input.execute(partition, Arc::clone(&context))?,
            is_ended: false,
            schema: self.schema(),
            errors: Arc::clone(&self.errors),
            sink: Arc::clone(&self.sink),
            observer: context.session_config().get_extension::<FailureObserver>(),
            ready: VecDeque::new(),
            batches: 0,
        };
        let rows = try_unfold(partition, |mut partition| async move {
            Ok(partition.next().await?.map(|batch| (batch, partition)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

/// The rows of one partition.
struct Partition {
    input: SendableRecordBatchStream,
    is_ended: bool,
    schema: SchemaRef,
    errors: Arc<ErrorRows>,
    sink: Arc<UnscoredSink>,
    observer: Option<Arc<FailureObserver>>,
    ready: VecDeque<RecordBatch>,
    batches: i64,
}

impl Partition {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if self.is_ended {
                return Ok(None);
            }
            match self.input.next().await.transpose()? {
                Some(batch) if batch.num_rows() > 0 => self.ready.push_back(without_errors(&batch, &self.schema)?),
                Some(_) => {}
                None => self.is_ended = true,
            }
            self.carry()?;
        }
    }

    /// Sends on what waits, whoever has found it.
    fn carry(&mut self) -> Result<()> {
        for waiting in self.sink.drain() {
            if let Some(observer) = &self.observer {
                (observer.0)(waiting.errors.len() as u64);
            }
            self.batches += 1;
            let rows = conformed(&waiting.rows, &self.errors.row)?;
            let rows = self.errors.unscored(&rows, &waiting.errors, &waiting.by, self.batches)?;
            self.ready.push_back(carrying(&rows, &self.schema)?);
        }
        Ok(())
    }
}
