//! Window functions over rows that stay where they are.
//!
//! DataFusion shuffles and sorts whole rows for each set of windows with a partition of its own. Here the rows are held as
//! they came; of each window only its keys are grouped and put in order, its functions are computed over the
//! columns that they read, and each row takes its values from there when it goes on. Input that is nearly in the
//! windows' order, as files that grew with time are, costs next to no sorting.
//!
//! [`specialise`] replaces chains of windows in a finished plan where nothing above relies on their order or
//! distribution, and where the rows are known to fit half of the memory limit; all else stays as
//! planned, and spills.
//!
//! Must stay true: as many partitions as the input, in each the same rows in the same order. All
//! partitions are read to their end before the first row goes on, so whoever reads them must read all at once.

mod chain;
mod compute;
mod packed;
mod shares;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, PlanProperties, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, SendableRecordBatchStream,
};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::{Barrier, watch};

pub(super) use self::chain::specialise;
use self::compute::{Column, Rows, Window, compute};

/// Bytes that grouping and ordering take for a row of a window, roughly.
const BYTES_TO_ORDER: usize = 96;

/// Adds the columns of window functions to rows in any order; see the module.
#[derive(Debug)]
struct ScatteredWindowsExec {
    input: Arc<dyn ExecutionPlan>,
    windows: Arc<[Window]>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    shared: Arc<Shared>,
    metrics: ExecutionPlanMetricsSet,
}

/// Where the partitions come together.
#[derive(Debug)]
struct Shared {
    /// The rows of each partition.
    gathered: Mutex<Vec<Vec<RecordBatch>>>,
    all_gathered: Barrier,
    /// The columns of all functions, over the rows of one partition after the other.
    computed: watch::Sender<Option<Result<Arc<Computed>, Arc<DataFusionError>>>>,
}

#[derive(Debug)]
struct Computed {
    columns: Vec<Column>,
    /// Where the rows of each partition begin.
    starts: Vec<usize>,
    _memory: MemoryReservation,
}

impl ScatteredWindowsExec {
    fn new(input: Arc<dyn ExecutionPlan>, windows: Arc<[Window]>, schema: SchemaRef) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let shared = Shared {
            gathered: Mutex::new(vec![Vec::new(); partitions]),
            all_gathered: Barrier::new(partitions),
            computed: watch::Sender::new(None),
        };
        Self {
            input,
            windows,
            schema,
            properties: Arc::new(properties),
            shared: Arc::new(shared),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl DisplayAs for ScatteredWindowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let windows = self.windows.iter().map(ToString::to_string);
        write!(f, "ScatteredWindowsExec: windows=[{}]", windows.collect::<Vec<_>>().join("; "))
    }
}

impl ExecutionPlan for ScatteredWindowsExec {
    fn name(&self) -> &str {
        "ScatteredWindowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let mut answer = TreeNodeRecursion::Continue;
        for expr in self.windows.iter().flat_map(Window::expressions) {
            answer = answer.visit_sibling(|| f(&expr))?;
        }
        Ok(answer)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(children.swap_remove(0), Arc::clone(&self.windows), Arc::clone(&self.schema))))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let memory = |name: &str| MemoryConsumer::new(format!("{name}[{partition}]")).register(context.memory_pool());
        let share = Share {
            partition,
            schema: Arc::clone(&self.schema),
            of_input: self.input.schema(),
            windows: Arc::clone(&self.windows),
            shared: Arc::clone(&self.shared),
            rows: memory("ScatteredWindowsExec"),
            order: memory("ScatteredWindowsExec order"),
            metrics: BaselineMetrics::new(&self.metrics, partition),
        };
        let rows = futures::stream::once(share.run(input)).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// What one partition does.
struct Share {
    partition: usize,
    schema: SchemaRef,
    of_input: SchemaRef,
    windows: Arc<[Window]>,
    shared: Arc<Shared>,
    /// Memory of the rows that are held, and of putting them in order.
    rows: MemoryReservation,
    order: MemoryReservation,
    metrics: BaselineMetrics,
}

impl Share {
    async fn run(self, mut input: SendableRecordBatchStream) -> Result<SendableRecordBatchStream> {
        let mut batches = Vec::new();
        while let Some(batch) = input.try_next().await? {
            self.rows.try_grow(batch.get_array_memory_size())?;
            batches.push(batch);
        }
        drop(input);
        self.gathered()[self.partition] = batches.clone();
        let mut computed = self.shared.computed.subscribe();
        if self.shared.all_gathered.wait().await.is_leader()
            && let Err(error) = self.compute().await
        {
            self.shared.computed.send_replace(Some(Err(Arc::new(error))));
        }
        let computed = match computed.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(computed))) => Arc::clone(computed),
            Ok(Some(Err(error))) => return Err(DataFusionError::Shared(Arc::clone(error))),
            Ok(None) | Err(_) => return Err(DataFusionError::Internal("windows were not computed".to_string())),
        };
        let mut start = computed.starts[self.partition];
        let schema = Arc::clone(&self.schema);
        let rows = futures::stream::iter(batches).map(move |batch| {
            let of_batch = |column: &Column| column.of_rows(start, batch.num_rows());
            let added = computed.columns.iter().map(of_batch).collect::<Result<Vec<_>>>()?;
            start += batch.num_rows();
            self.metrics.record_output(batch.num_rows());
            let columns = batch.columns().iter().cloned().chain(added).collect();
            let batch_bytes = batch.get_array_memory_size();
            self.rows.shrink(batch_bytes.min(self.rows.size()));
            Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn gathered(&self) -> std::sync::MutexGuard<'_, Vec<Vec<RecordBatch>>> {
        self.shared.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Computes the windows of all partitions; done by one of them. Whoever waits is told by the thread that
    /// computes: woken by a thread of the runtime, a task waits until that one has time for it, though others have none to do.
    async fn compute(&self) -> Result<()> {
        let timer = self.metrics.elapsed_compute().timer();
        let gathered = std::mem::take(&mut *self.gathered());
        let threads = gathered.len();
        let rows_of = |batches: &Vec<RecordBatch>| batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        let starts = gathered.iter().scan(0, |next, batches| {
            let start = *next;
            *next += rows_of(batches);
            Some(start)
        });
        let starts: Vec<usize> = starts.collect();
        let count = gathered.iter().map(rows_of).sum::<usize>();
        self.order.try_grow(count * BYTES_TO_ORDER * self.windows.len())?;
        let memory = self.order.split(self.order.size());
        let rows = Rows::new(gathered.into_iter().flatten().collect(), Arc::clone(&self.of_input), threads);
        let (windows, shared) = (Arc::clone(&self.windows), Arc::clone(&self.shared));
        let computing = tokio::task::spawn_blocking(move || {
            let computed = compute(&windows, &rows).and_then(|columns| {
                memory.try_resize(columns.iter().map(Column::bytes).sum())?;
                Ok(Arc::new(Computed { columns, starts, _memory: memory }))
            });
            shared.computed.send_replace(Some(computed.map_err(Arc::new)));
        });
        let ended = computing.await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)));
        drop(timer);
        ended
    }
}
