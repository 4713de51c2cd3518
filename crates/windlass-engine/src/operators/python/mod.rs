//! Hands batches to Python workers, and keeps account of every row.
//!
//! One operator for transforms, whose result replaces the input, and for functions in SQL, whose
//! results are appended to it. Each partition evaluates the preconditions, cuts its rows into calls,
//! keeps a bounded number of them in flight and answers in the order of its input. Rows that fail
//! go on as [`error_rows`](crate::tables::error_rows), stay with NULLs, or fail the operator.
//!
//! Must stay true: unary, as many partitions as its input, no state by partition index; every input
//! row is in exactly one of result and error rows, and a one-to-one result has as many rows as did
//! not fail.

mod budget;
mod chunks;
mod failure;
mod preconditions;
mod stream;

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    ChildrenPropertiesMode, EmissionType, PlanProperties, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, SendableRecordBatchStream,
};
use futures::stream::try_unfold;
use windlass_worker::{CallErrors, Program, Role, Workers};

pub(crate) use budget::{Budget, Cause, Limit, Spent, Together, Verdict};
pub(crate) use failure::PythonError;
pub(crate) use preconditions::Precondition;

use crate::tables::error_rows::{ErrorRows, carrier_field};
use stream::Partition;

/// What a [`PythonExec`] does.
#[derive(Debug)]
pub(crate) struct Work {
    /// What workers run.
    pub(crate) program: Program,
    /// What is handed over, one expression over the input for each column of `program.input`.
    pub(crate) arguments: Vec<Arc<dyn PhysicalExpr>>,
    /// What must hold for a row before Python sees it.
    pub(crate) requires: Vec<Precondition>,
    /// Rows of a call; `None` finds a good number.
    pub(crate) batch_rows: Option<usize>,
    /// What becomes of the answers.
    pub(crate) shape: Shape,
    /// How many rows may fail.
    pub(crate) limit: Limit,
    /// Rows of the input over all partitions, where they are known exactly.
    pub(crate) expected_rows: Option<u64>,
}

/// What becomes of answers.
#[derive(Debug)]
pub(crate) enum Shape {
    /// They are columns beside those of the input.
    Append,
    /// They are the result, and rows that fail end it.
    Fail,
    /// They are the result, and rows that fail are carried along.
    Quarantine(ErrorRows),
    /// They are the result; rows that fail stay, with NULL in all columns but these: pairs of places
    /// in input and output.
    Null(Vec<(usize, usize)>),
}

/// The workers of the process; found in the session's extensions.
pub(crate) struct WorkersHandle(pub(crate) Arc<Workers>);

/// Told about rows that fail, as they do; found in the session's extensions, absent on a cluster.
pub(crate) struct FailureObserver(pub(crate) Arc<dyn Fn(u64) + Send + Sync>);

/// Hands batches to Python; see the module.
#[derive(Debug)]
pub(crate) struct PythonExec {
    input: Arc<dyn ExecutionPlan>,
    work: Arc<Work>,
    budget: Arc<Budget>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl PythonExec {
    /// Returns the operator above `input`.
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, work: Arc<Work>) -> Self {
        let together = match &work.program.role {
            Role::Transform(code) if !code.rowwise => Together::Batch,
            Role::Transform(_) | Role::Training(_) | Role::Functions { .. } => Together::Row,
        };
        let budget = Arc::new(Budget::new(work.limit, together, work.expected_rows));
        Self::counting(input, work, budget)
    }

    /// Returns the operator over some rows of a table whose failures are counted together.
    pub(crate) fn counting(input: Arc<dyn ExecutionPlan>, work: Arc<Work>, budget: Arc<Budget>) -> Self {
        let schema = output_schema(&input.schema(), &work);
        let equivalences = match work.shape {
            // The input's columns come first and unchanged, so what is known of them stays known.
            Shape::Append => EquivalenceProperties::new_with_orderings(
                Arc::clone(&schema),
                input.equivalence_properties().oeq_class().iter().cloned(),
            ),
            _ => EquivalenceProperties::new(Arc::clone(&schema)),
        };
        let partitioning = match work.shape {
            Shape::Append => input.output_partitioning().clone(),
            _ => {
                let count = input.output_partitioning().partition_count();
                datafusion::physical_plan::Partitioning::UnknownPartitioning(count)
            }
        };
        let properties =
            PlanProperties::new(equivalences, partitioning, EmissionType::Incremental, input.boundedness());
        Self { input, work, budget, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }

    /// Returns whether rows that fail stay, with NULL for what Python should have answered.
    pub(crate) fn leaves_nulls(&self) -> bool {
        match (&self.work.shape, &self.work.program.role) {
            (_, Role::Functions { calls, .. }) => calls.iter().any(|call| call.on_error == CallErrors::Null),
            (shape, Role::Transform(_) | Role::Training(_)) => matches!(shape, Shape::Null(_)),
        }
    }

    /// Returns whether the last column of its answers carries error rows.
    pub(crate) fn carries_errors(&self) -> bool {
        matches!(self.work.shape, Shape::Quarantine(_))
    }

    /// Returns how many rows failed so far, and whether more than may.
    pub(crate) fn verdict(&self) -> Verdict {
        self.budget.verdict()
    }
}

fn output_schema(input: &SchemaRef, work: &Work) -> SchemaRef {
    let answers = work.program.output.fields().iter().map(|field| field.as_ref().clone());
    let fields: Vec<Field> = match &work.shape {
        Shape::Append => input.fields().iter().map(|field| field.as_ref().clone()).chain(answers).collect(),
        Shape::Quarantine(_) => answers.chain([carrier_field()]).collect(),
        Shape::Fail | Shape::Null(_) => answers.collect(),
    };
    Arc::new(Schema::new(fields))
}

impl DisplayAs for PythonExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let called = match &self.work.program.role {
            Role::Transform(code) => code.object.clone(),
            Role::Training(_) => "training".to_string(),
            Role::Functions { calls, .. } => {
                calls.iter().map(|call| call.object.as_str()).collect::<Vec<_>>().join(", ")
            }
        };
        let arguments: Vec<String> = self.work.arguments.iter().map(ToString::to_string).collect();
        write!(f, "PythonExec: {called}, arguments=[{}]", arguments.join(", "))
    }
}

impl ExecutionPlan for PythonExec {
    fn name(&self) -> &str {
        "PythonExec"
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
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let mut answer = TreeNodeRecursion::Continue;
        let requires = self.work.requires.iter().map(|precondition| &precondition.holds);
        for expr in self.work.arguments.iter().chain(requires) {
            answer = answer.visit_sibling(|| f(expr))?;
        }
        Ok(answer)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.swap_remove(0);
        Ok(Arc::new(Self::counting(input, Arc::clone(&self.work), Arc::clone(&self.budget))))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let Some(workers) = context.session_config().get_extension::<WorkersHandle>() else {
            return Err(DataFusionError::Internal("no Python workers in this session".to_string()));
        };
        let partition = Partition::new(
            self.input.execute(partition, Arc::clone(&context))?,
            Arc::clone(&self.work),
            Arc::clone(&self.budget),
            stream::Surroundings {
                workers: Arc::clone(&workers.0),
                observer: context.session_config().get_extension::<FailureObserver>(),
                schema: self.schema(),
                metrics: BaselineMetrics::new(&self.metrics, partition),
                partitions: self.input.output_partitioning().partition_count(),
            },
        );
        let answer = try_unfold(partition, |mut partition| async move {
            Ok(partition.next().await?.map(|batch| (batch, partition)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), answer)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

#[cfg(test)]
mod tests;
