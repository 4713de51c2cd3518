//! Gathers a small table into one row: a list of structs, as `mode="table"` hands it to Python.
//!
//! The only operator that holds a table, so it has a limit, shared by all tables of one transform,
//! and takes its memory from the pool. The rows go on as one value, so that several tables are joined
//! by a plain cross join of single rows.
//!
//! Must stay true: unary, reads one partition, answers exactly one row, and no row over the limit.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::array::{Array, ArrayRef, LargeListArray, RecordBatch, StructArray};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{CastOptions, cast_with_options, concat_batches};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{
    ChildrenPropertiesMode, EmissionType, PlanProperties, ReplaceChildrenOptions,
};
use datafusion::physical_plan::joins::CrossJoinExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    SendableRecordBatchStream,
};
use futures::TryStreamExt;

use super::python::PythonError;

/// What several gathered tables may take together.
#[derive(Debug)]
pub(crate) struct TableLimit {
    /// The node, for messages.
    pub(crate) node: String,
    /// Bytes in memory.
    pub(crate) max_bytes: u64,
    /// Bytes so far.
    pub(crate) used: AtomicU64,
}

/// Gathers its input into one row; see the module.
#[derive(Debug)]
struct GatherExec {
    input: Arc<dyn ExecutionPlan>,
    /// The row's only column.
    field: Field,
    /// Columns of the rows in it, plain types.
    columns: SchemaRef,
    limit: Arc<TableLimit>,
    properties: Arc<PlanProperties>,
}

/// Returns a plan of one row that has a column for each table, named as given.
pub(crate) fn gather(
    tables: Vec<(String, Arc<dyn ExecutionPlan>, SchemaRef)>,
    limit: TableLimit,
) -> Result<Arc<dyn ExecutionPlan>> {
    let limit = Arc::new(limit);
    let mut plan: Option<Arc<dyn ExecutionPlan>> = None;
    for (name, input, columns) in tables {
        let input: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(input));
        let one: Arc<dyn ExecutionPlan> = Arc::new(GatherExec::new(input, &name, columns, Arc::clone(&limit)));
        plan = Some(match plan {
            None => one,
            Some(others) => Arc::new(CrossJoinExec::new(others, one)),
        });
    }
    Ok(plan.unwrap_or_else(|| {
        Arc::new(datafusion::physical_plan::placeholder_row::PlaceholderRowExec::new(Arc::new(Schema::empty())))
    }))
}

impl GatherExec {
    fn new(input: Arc<dyn ExecutionPlan>, name: &str, columns: SchemaRef, limit: Arc<TableLimit>) -> Self {
        let item = Field::new("item", DataType::Struct(columns.fields().clone()), true);
        let field = Field::new(name, DataType::LargeList(Arc::new(item)), true);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(Schema::new(vec![field.clone()]))),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            input.boundedness(),
        );
        Self { input, field, columns, limit, properties: Arc::new(properties) }
    }
}

impl DisplayAs for GatherExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GatherExec: {}, max_bytes={}", self.field.name(), self.limit.max_bytes)
    }
}

impl ExecutionPlan for GatherExec {
    fn name(&self) -> &str {
        "GatherExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
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
        let (columns, limit) = (Arc::clone(&self.columns), Arc::clone(&self.limit));
        Ok(Arc::new(Self::new(children.swap_remove(0), self.field.name(), columns, limit)))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut input = self.input.execute(partition, Arc::clone(&context))?;
        let (columns, limit) = (Arc::clone(&self.columns), Arc::clone(&self.limit));
        let schema = self.schema();
        let field = self.field.clone();
        let answer = async move {
            let consumer = MemoryConsumer::new(format!("GatherExec[{}]", field.name()));
            let memory = consumer.register(context.memory_pool());
            let mut batches = Vec::new();
            while let Some(batch) = input.try_next().await? {
                let batch = plain(&batch, &columns)?;
                let bytes = batch.get_array_memory_size();
                let used = limit.used.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
                if used > limit.max_bytes {
                    let (node, max_bytes) = (limit.node.clone(), limit.max_bytes);
                    return Err(PythonError::TableLimit { node, table: field.name().clone(), max_bytes }.into());
                }
                memory.try_grow(bytes)?;
                batches.push(batch);
            }
            let rows = StructArray::from(concat_batches(&columns, &batches)?);
            let DataType::LargeList(item) = field.data_type().clone() else { unreachable!("made so above") };
            let list = LargeListArray::try_new(item, OffsetBuffer::from_lengths([rows.len()]), Arc::new(rows), None)?;
            Ok(RecordBatch::try_new(schema, vec![Arc::new(list) as ArrayRef])?)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), futures::stream::once(answer))))
    }
}

/// Returns a batch with columns of other types.
pub(crate) fn plain(batch: &RecordBatch, columns: &SchemaRef) -> Result<RecordBatch> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let cast = batch
        .columns()
        .iter()
        .zip(columns.fields())
        .map(|(column, field)| Ok(cast_with_options(column, field.data_type(), &options)?))
        .collect::<Result<Vec<ArrayRef>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(columns), cast)?)
}
