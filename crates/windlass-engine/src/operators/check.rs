//! Looks at rows on their way to the writer, and lets them pass.
//!
//! Each partition gathers what its checks need. At its end it hands that to the [`CheckSink`] of the
//! session, where parts merge. What grows with the table is known to the memory pool; where that has
//! no room, sets of keys are given up and a query over the staged files takes their place.
//!
//! Must stay true: unary, as many partitions as its input, every batch passed on unchanged and in
//! order, no state shared between partitions. All that it is made from (definitions, conditions as
//! expressions) can travel.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::{filter_record_batch, is_null};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, PlanProperties, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, SendableRecordBatchStream};
use futures::StreamExt;
use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic};
use windlass_project::checks::{CheckDefinition, Written};

use crate::checks::compile::{Target, compile};
use crate::checks::part::Part;
use crate::checks::program::Program;
use crate::checks::rules::Condition;
use crate::tables::error_rows::CARRIER;
use crate::tables::schema::sql_type;

/// SQL conditions of checks by their text, planned over a table's columns.
pub(crate) type Conditions = IndexMap<String, Arc<dyn PhysicalExpr>>;

/// What is looked for.
#[derive(Debug, Clone)]
pub(crate) struct CheckSpec {
    /// The table.
    pub(crate) node: String,
    /// Its checks.
    pub(crate) checks: Arc<[CheckDefinition]>,
    /// Their conditions.
    pub(crate) conditions: Conditions,
}

/// Where the parts of a table come together; found in the session's extensions.
#[derive(Debug, Default)]
pub(crate) struct CheckSink(Mutex<Option<Gathered>>);

/// What all partitions have seen.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// The state of the checks.
    pub(crate) part: Part,
    /// The columns that were looked at.
    pub(crate) schema: SchemaRef,
    /// Keeps the pool informed for as long as the state lives.
    memory: Vec<MemoryReservation>,
}

impl CheckSink {
    /// Takes what was gathered; `None` where no checked plan has run.
    pub(crate) fn take(&self) -> Option<Gathered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn add(&self, part: Part, schema: SchemaRef, memory: MemoryReservation) {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match gathered.as_mut() {
            Some(gathered) => {
                gathered.part.merge(part);
                gathered.memory.push(memory);
            }
            None => *gathered = Some(Gathered { part, schema, memory: vec![memory] }),
        }
    }
}

impl CheckSpec {
    /// Compiles the checks for a table's columns.
    pub(crate) fn compile(&self, schema: &SchemaRef) -> std::result::Result<Program, Vec<Diagnostic>> {
        let condition = |text: &Written| match self.conditions.get(&text.text) {
            Some(expression) => Ok(evaluator(Arc::clone(expression))),
            None => {
                Err(Diagnostic::error(Code::INVALID_SQL, "the condition was not planned").at(text.location.clone()))
            }
        };
        compile(&self.checks, &Target { node: &self.node, schema, type_name: sql_type, condition: &condition })
    }
}

/// Returns what evaluates an expression for the rows of a batch.
fn evaluator(expression: Arc<dyn PhysicalExpr>) -> Condition {
    let external = |error: DataFusionError| ArrowError::ExternalError(Box::new(error));
    Arc::new(move |batch: &RecordBatch| {
        let value = expression.evaluate(batch).map_err(external)?;
        let array = value.into_array(batch.num_rows()).map_err(external)?;
        Ok(array.as_boolean().clone())
    })
}

/// Looks at its input; see the module.
#[derive(Debug)]
pub(crate) struct CheckExec {
    input: Arc<dyn ExecutionPlan>,
    spec: CheckSpec,
    program: Arc<Program>,
    metrics: ExecutionPlanMetricsSet,
}

impl CheckExec {
    /// Returns the operator above `input`.
    pub(crate) fn try_new(input: Arc<dyn ExecutionPlan>, spec: CheckSpec) -> Result<Self> {
        let program = spec.compile(&without_carrier(&input.schema())).map_err(|diagnostics| {
            // Found while planning already; here only where the result's columns differ from the plan's.
            DataFusionError::External(Box::new(crate::Error::Mistakes { diagnostics }))
        })?;
        Ok(Self { input, spec, program: Arc::new(program), metrics: ExecutionPlanMetricsSet::new() })
    }
}

impl DisplayAs for CheckExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.spec.checks.iter().map(|check| check.name.as_str()).collect();
        write!(f, "CheckExec: checks=[{}]", names.join(", "))
    }
}

impl ExecutionPlan for CheckExec {
    fn name(&self) -> &str {
        "CheckExec"
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
        for expression in self.spec.conditions.values() {
            if visit(expression)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::try_new(children.swap_remove(0), self.spec.clone())?))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let schema = input.schema();
        let memory = MemoryConsumer::new(format!("CheckExec[{partition}]")).register(context.memory_pool());
        let looking = Looking {
            input,
            part: Part::new(Arc::clone(&self.program)),
            memory,
            sink: context.session_config().get_extension::<CheckSink>(),
            metrics: BaselineMetrics::new(&self.metrics, partition),
        };
        let rows = futures::stream::try_unfold(looking, Looking::next);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Returns the columns of the result: the carrier of error rows is none of them.
fn without_carrier(schema: &SchemaRef) -> SchemaRef {
    if schema.index_of(CARRIER).is_err() {
        return Arc::clone(schema);
    }
    let fields = schema.fields().iter().filter(|field| field.name() != CARRIER).cloned();
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Returns the rows of the result; a row that carries error rows is none of them.
fn rows_of_result(batch: &RecordBatch) -> Result<RecordBatch> {
    let Ok(carrier) = batch.schema().index_of(CARRIER) else { return Ok(batch.clone()) };
    let columns: Vec<usize> = (0..batch.num_columns()).filter(|column| *column != carrier).collect();
    let result = batch.project(&columns)?;
    let carried = batch.column(carrier);
    match carried.null_count() == batch.num_rows() {
        true => Ok(result),
        false => Ok(filter_record_batch(&result, &is_null(carried)?)?),
    }
}

/// The rows of one partition.
struct Looking {
    input: SendableRecordBatchStream,
    part: Part,
    memory: MemoryReservation,
    sink: Option<Arc<CheckSink>>,
    metrics: BaselineMetrics,
}

impl Looking {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        let Some(batch) = self.input.next().await.transpose()? else {
            let schema = without_carrier(&self.input.schema());
            if let Some(sink) = &self.sink {
                sink.add(self.part, schema, self.memory);
            }
            self.metrics.done();
            return Ok(None);
        };
        let timer = self.metrics.elapsed_compute().timer();
        self.part.add(&rows_of_result(&batch)?)?;
        while self.memory.try_resize(self.part.bytes()).is_err() {
            if !self.part.shrink() {
                // What remains is small; it is accounted for all the same.
                self.memory.resize(self.part.bytes());
                break;
            }
        }
        timer.done();
        self.metrics.record_output(batch.num_rows());
        Ok(Some((batch, self)))
    }
}
