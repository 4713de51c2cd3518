//! Looks up columns of a small table for each row, and leaves the row as it is.
//!
//! DataFusion's hash join copies every column of the large side, although each of its rows comes out once where
//! the small side has a key once: a chain of five joins copies a wide table ten times. [`specialise`]
//! replaces outer joins that keep the large side's rows and share the small side between partitions;
//! their columns then pass through untouched. Keys turn out to be unique, or not, only when the small
//! side has been read, and where they are not, the join that was planned does the work on what was read.
//!
//! Must stay true: every row of the large side comes out exactly once and in order, with the same
//! values as from the join that was planned; NULL finds nothing. The one operator of ours with two inputs:
//! as in DataFusion's shared hash join, each process reads all of the small one.

mod table;

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::compute::{concat_batches, take};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, NullEquality};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, PlanProperties, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, SendableRecordBatchStream};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use self::table::KeyTable;

/// Replaces joins in a finished plan where they only look columns up.
pub(crate) fn specialise(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let replaced = plan.transform_up(|node| {
        Ok(match LookupExec::of(&node) {
            Some(ours) => Transformed::yes(Arc::new(ours) as Arc<dyn ExecutionPlan>),
            None => Transformed::no(node),
        })
    })?;
    Ok(replaced.data)
}

/// Adds columns of its small input to each row of its large one; see the module.
#[derive(Debug)]
struct LookupExec {
    /// What was planned: the small side on the left, the large one on the right.
    join: Arc<dyn ExecutionPlan>,
    small: Arc<dyn ExecutionPlan>,
    large: Arc<dyn ExecutionPlan>,
    /// Keys of both sides, pair by pair.
    keys: Vec<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)>,
    /// Where each column of the result comes from.
    columns: Arc<[Origin]>,
    /// The small side, read once for all partitions.
    read: Arc<OnceCell<Small>>,
    metrics: ExecutionPlanMetricsSet,
}

/// A column's side and its place there.
#[derive(Debug, Clone, Copy)]
enum Origin {
    Small(usize),
    Large(usize),
}

/// The small side, when it has been read.
#[derive(Debug)]
enum Small {
    /// Each key stands once.
    Unique { rows: RecordBatch, table: KeyTable, _memory: MemoryReservation },
    /// Some key stands several times: the join that was planned, over the rows that were read.
    Repeated { join: Arc<dyn ExecutionPlan>, _memory: MemoryReservation },
}

impl LookupExec {
    /// Returns the operator that does what `plan` does, if it is a join that keeps the rows of its right side.
    fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let join = plan.downcast_ref::<HashJoinExec>()?;
        let keeps_rows = *join.join_type() == JoinType::Right && join.filter().is_none();
        let is_shared = *join.partition_mode() == PartitionMode::CollectLeft;
        let null_finds_nothing = join.null_equality() == NullEquality::NullEqualsNothing;
        if !keeps_rows || !is_shared || !null_finds_nothing || plan.fetch().is_some() {
            return None;
        }
        let small_columns = join.left().schema().fields().len();
        let of_join = |index: usize| match index.checked_sub(small_columns) {
            None => Origin::Small(index),
            Some(index) => Origin::Large(index),
        };
        let columns = match &join.projection {
            Some(chosen) => chosen.iter().map(|index| of_join(*index)).collect(),
            None => (0..join.join_schema().fields().len()).map(of_join).collect(),
        };
        Some(Self {
            join: Arc::clone(plan),
            small: Arc::clone(join.left()),
            large: Arc::clone(join.right()),
            keys: join.on().to_vec(),
            columns,
            read: Arc::default(),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for LookupExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.keys.iter().map(|(small, large)| format!("{large} = {small}"));
        write!(f, "LookupExec: on=[{}]", keys.collect::<Vec<_>>().join(", "))
    }
}

impl ExecutionPlan for LookupExec {
    fn name(&self) -> &str {
        "LookupExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.join.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false, true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.small, &self.large]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let mut answer = TreeNodeRecursion::Continue;
        for expr in self.keys.iter().flat_map(|(small, large)| [small, large]) {
            answer = answer.visit_sibling(|| f(expr))?;
        }
        Ok(answer)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let join = Arc::clone(&self.join).replace_children(children, options)?;
        Ok(match Self::of(&join) {
            Some(ours) => Arc::new(ours),
            None => join,
        })
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let looking = Looking {
            large: Arc::clone(&self.large),
            keys: self.keys.iter().map(|(_, large)| Arc::clone(large)).collect(),
            columns: Arc::clone(&self.columns),
            schema: self.schema(),
            metrics: BaselineMetrics::new(&self.metrics, partition),
        };
        let reading = Reading {
            join: Arc::clone(&self.join),
            small: Arc::clone(&self.small),
            keys: self.keys.iter().map(|(small, _)| Arc::clone(small)).collect(),
        };
        let read = Arc::clone(&self.read);
        let rows = futures::stream::once(async move {
            read.get_or_try_init(|| reading.read(&context)).await?;
            looking.rows(read, partition, context)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows.try_flatten())))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// What reading the small side takes.
struct Reading {
    join: Arc<dyn ExecutionPlan>,
    small: Arc<dyn ExecutionPlan>,
    keys: Vec<Arc<dyn PhysicalExpr>>,
}

impl Reading {
    async fn read(&self, context: &Arc<TaskContext>) -> Result<Small> {
        let memory = MemoryConsumer::new("LookupExec").register(context.memory_pool());
        let mut rows = self.small.execute(0, Arc::clone(context))?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.try_next().await? {
            memory.try_grow(batch.get_array_memory_size())?;
            batches.push(batch);
        }
        let schema = self.small.schema();
        let together = concat_batches(&schema, &batches)?;
        memory.try_resize(together.get_array_memory_size() + KeyTable::bytes(together.num_rows()))?;
        match KeyTable::try_new(evaluate(&self.keys, &together)?)? {
            Some(table) => Ok(Small::Unique { rows: together, table, _memory: memory }),
            None => {
                let small = MemorySourceConfig::try_new_exec(&[vec![together]], schema, None)?;
                let large = Arc::clone(self.join.children()[1]);
                let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
                let join = Arc::clone(&self.join).replace_children(vec![small, large], options)?;
                Ok(Small::Repeated { join, _memory: memory })
            }
        }
    }
}

fn evaluate(keys: &[Arc<dyn PhysicalExpr>], batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    keys.iter().map(|key| key.evaluate(batch)?.into_array(batch.num_rows())).collect()
}

/// What looking up takes in one partition.
struct Looking {
    large: Arc<dyn ExecutionPlan>,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    columns: Arc<[Origin]>,
    schema: SchemaRef,
    metrics: BaselineMetrics,
}

impl Looking {
    fn rows(
        self,
        read: Arc<OnceCell<Small>>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        if let Some(Small::Repeated { join, .. }) = read.get() {
            return join.execute(partition, context);
        }
        let large = self.large.execute(partition, context)?;
        let schema = Arc::clone(&self.schema);
        let rows = large.map(move |batch| {
            let _timer = self.metrics.elapsed_compute().timer();
            let batch = self.look_up(&batch?, &read)?;
            self.metrics.record_output(batch.num_rows());
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn look_up(&self, batch: &RecordBatch, read: &OnceCell<Small>) -> Result<RecordBatch> {
        let Some(Small::Unique { rows, table, .. }) = read.get() else {
            return Err(DataFusionError::Internal("the small side of a lookup was not read".to_string()));
        };
        let found = table.find(&evaluate(&self.keys, batch)?, batch.num_rows())?;
        let column = |origin: &Origin| match *origin {
            Origin::Large(index) => Ok(Arc::clone(batch.column(index))),
            Origin::Small(index) if rows.num_rows() == 0 => {
                Ok(new_null_array(rows.column(index).data_type(), batch.num_rows()))
            }
            Origin::Small(index) => Ok(take(rows.column(index), &found, None)?),
        };
        let columns = self.columns.iter().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}
