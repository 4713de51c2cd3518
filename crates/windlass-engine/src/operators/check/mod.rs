//! Looks at rows on their way to the writer, and diverts those that break checks which say so.
//!
//! Each partition gathers what its checks need. At its end it hands that to the [`CheckSink`] of the
//! session, where parts merge. What grows with the table is known to the memory pool; where that has
//! no room, sets of keys are given up and a query over the staged files takes their place. Rows that
//! leave the table go on as [`error_rows`](crate::tables::error_rows). Where it is certain that the table
//! is not published, all partitions end as if their input did.
//!
//! Must stay true: unary, as many partitions as its input; every row is passed on in order or is an
//! error row, never both; between partitions nothing is shared but the counts of `watch`. All that it is
//! made from (definitions, conditions as expressions) can travel.

mod stream;
mod watch;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    ChildrenPropertiesMode, EmissionType, PlanProperties, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, SendableRecordBatchStream,
};
use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic};
use windlass_project::checks::{CheckDefinition, Written};

use self::stream::Partition;
use self::watch::{Told, Watch};
use super::python::{FailureObserver, Limit};
use crate::checks::compile::{Target, compile};
use crate::checks::facts::{Baselines, Queried, Unanswered};
use crate::checks::part::Part;
use crate::checks::program::Program;
use crate::checks::rules::Condition;
use crate::checks::suspects::Suspected;
use crate::estimates::exact_rows;
use crate::tables::error_rows::{CARRIER, ErrorRows, carrier_field};
use crate::tables::schema::sql_type;

/// SQL conditions of checks by their text, planned over a table's columns.
pub(crate) type Conditions = IndexMap<String, Arc<dyn PhysicalExpr>>;

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct CheckSpec {
    /// The table.
    pub(crate) node: String,
    /// Its checks.
    pub(crate) checks: Arc<[CheckDefinition]>,
    /// Their conditions.
    pub(crate) conditions: Conditions,
    /// How rows are written that break checks; `None` where rows are looked at alone.
    pub(crate) writing: Option<Writing>,
    /// Keys whose rows leave the table, where the rows are looked at once more.
    pub(crate) suspects: Suspected,
    /// The stored profiles that drift is measured from, where they have been read: numbers are then counted into their
    /// bins.
    pub(crate) stored: Option<Arc<Baselines>>,
}

/// What becomes of rows that are about to be written.
#[derive(Debug, Clone)]
pub(crate) struct Writing {
    /// How rows that leave the table are told, where checks divert any.
    pub(crate) errors: Option<ErrorRows>,
    /// How many rows may leave it.
    pub(crate) limit: Limit,
    /// Whether the work ends as soon as the table cannot be published any more.
    pub(crate) ends_early: bool,
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
    /// Whether looking ended before the last row, since the table cannot be published.
    pub(crate) is_cut_short: bool,
    /// The stored profiles that drift is measured from, where values have been counted by them.
    pub(crate) stored: Option<Arc<Baselines>>,
    /// What checks have answered that were asked before all others, by name.
    pub(crate) answered: HashMap<String, std::result::Result<Queried, Unanswered>>,
    /// Keeps the pool informed for as long as the state lives.
    memory: Vec<MemoryReservation>,
}

impl CheckSink {
    /// Takes what was gathered; `None` where no checked plan has run.
    pub(crate) fn take(&self) -> Option<Gathered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn add(&self, seen: Gathered) {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match gathered.as_mut() {
            Some(gathered) => gathered.add(seen),
            None => *gathered = Some(seen),
        }
    }
}

impl Gathered {
    /// Adds what was seen of other rows.
    pub(crate) fn add(&mut self, other: Self) {
        self.part.merge(other.part);
        self.is_cut_short |= other.is_cut_short;
        self.memory.extend(other.memory);
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
        let (node, suspects, none) = (&self.node, &self.suspects, Baselines::new());
        let stored = self.stored.as_deref().unwrap_or(&none);
        compile(&self.checks, &Target { node, schema, type_name: sql_type, suspects, stored, condition: &condition })
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
    watch: Option<Arc<Watch>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl CheckExec {
    /// Returns the operator above `input`.
    pub(crate) fn try_new(input: Arc<dyn ExecutionPlan>, spec: CheckSpec) -> Result<Self> {
        let mut program = spec.compile(&without_carrier(&input.schema())).map_err(|diagnostics| {
            // Found while planning already; here only where the result's columns differ from the plan's.
            DataFusionError::External(Box::new(crate::Error::Mistakes { diagnostics }))
        })?;
        let errors = spec.writing.as_ref().and_then(|writing| writing.errors.as_ref());
        program.rules.iter_mut().for_each(|rule| rule.diverts &= errors.is_some());
        let expected = exact_rows(&input);
        let watching = spec.writing.as_ref().filter(|writing| writing.ends_early);
        let watch = watching.map(|writing| Arc::new(Watch::new(&program, writing.limit, expected)));
        let properties = match errors.is_some() && input.schema().index_of(CARRIER).is_err() {
            false => Arc::clone(input.properties()),
            true => Arc::new(carrying_properties(&input)),
        };
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Self { input, spec, program: Arc::new(program), watch, properties, metrics })
    }

    /// Returns whether it has ended before its input, since the table cannot be published.
    pub(crate) fn was_cut_short(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.is_hopeless())
    }
}

/// Returns the properties of an operator that appends the carrier of error rows.
fn carrying_properties(input: &Arc<dyn ExecutionPlan>) -> PlanProperties {
    let columns = input.schema();
    // In a row that carries error rows all others are NULL.
    let fields = columns.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    let fields = fields.chain([carrier_field()]);
    let schema = Arc::new(Schema::new(fields.collect::<Vec<Field>>()));
    let partitions = input.output_partitioning().partition_count();
    let partitioning = Partitioning::UnknownPartitioning(partitions);
    PlanProperties::new(
        EquivalenceProperties::new(schema),
        partitioning,
        EmissionType::Incremental,
        input.boundedness(),
    )
}

impl DisplayAs for CheckExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.spec.checks.iter().map(|check| check.name.as_str()).collect();
        write!(f, "CheckExec: checks=[{}]", names.join(", "))?;
        match self.program.rules.iter().any(|rule| rule.diverts) {
            true => f.write_str(", diverts rows"),
            false => Ok(()),
        }
    }
}

impl ExecutionPlan for CheckExec {
    fn name(&self) -> &str {
        "CheckExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
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
        let partition = Partition {
            input: self.input.execute(partition, Arc::clone(&context))?,
            schema: self.schema(),
            part: Part::new(Arc::clone(&self.program)),
            stored: self.spec.stored.clone(),
            errors: self.spec.writing.as_ref().and_then(|writing| writing.errors.clone()),
            watch: self.watch.clone(),
            memory: MemoryConsumer::new(format!("CheckExec[{partition}]")).register(context.memory_pool()),
            sink: context.session_config().get_extension::<CheckSink>(),
            observer: context.session_config().get_extension::<FailureObserver>(),
            metrics: BaselineMetrics::new(&self.metrics, partition),
            ready: VecDeque::new(),
            told: Told::default(),
            batches: 0,
        };
        let rows = futures::stream::try_unfold(partition, Partition::next);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
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
