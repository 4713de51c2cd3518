//! Runs a Python node without publishing anything: for `windlass try`, and for unit tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use windlass_project::{Node, PythonMode, PythonTransform};

use super::functions::Caller;
use super::{
    WorkRequest, diagnose, for_trying, input_query, planned_columns, python_error, table_queries, whole_tables,
};
use crate::operators::python::{Limit, PythonExec, WorkersHandle};
use crate::planner::Reading;
use crate::session::PlanStyle;
use crate::tables::error_layout::{self, Stamp};
use crate::tables::error_rows::split;
use crate::{Engine, Error};

/// Which rows a trial gives to the code, and what becomes of those that fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trial {
    /// The first rows of its input; all that fail are told, whatever the node wants.
    FirstRows(usize),
    /// All rows, as in a run, but for the limit of failures: a few rows say nothing about shares.
    AllRows,
}

/// What came of a trial.
pub(crate) struct Tested {
    /// The columns of the result.
    pub(crate) schema: SchemaRef,
    /// The result.
    pub(crate) rows: Vec<RecordBatch>,
    /// Rows that failed, as the error table has them.
    pub(crate) errors: Vec<RecordBatch>,
    /// Rows that the code was given.
    pub(crate) rows_in: u64,
    /// Time until the first row could move: planning and the environment.
    pub(crate) prepare: Duration,
}

impl Engine {
    /// Runs a Python node over what there is to read.
    ///
    /// # Errors
    ///
    /// Those of planning, and [`Error::Compute`] with the user's line where the code fails as a whole.
    pub(crate) async fn python_trial(
        &self,
        reading: &Reading<'_>,
        node: &Node,
        python: &PythonTransform,
        trial: Trial,
    ) -> Result<Tested, Error> {
        let started = Instant::now();
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let blame = |source: DataFusionError| match python_error(&source) {
            Some(error) => {
                let blame = Some(Box::new(diagnose(reading.project, node, error)));
                Error::Compute { node: node.name.clone(), blame, source }
            }
            None => failed(source),
        };
        let (exec, context) = self.plan_trial(reading, node, python, trial).await?;
        let prepare = started.elapsed();
        let (mut rows, mut errors) = (Vec::new(), Vec::new());
        let mut schema = exec.schema();
        let plan: Arc<dyn ExecutionPlan> = Arc::clone(&exec) as _;
        let mut stream = execute_stream(plan, context.task_ctx()).map_err(blame)?;
        while let Some(mut batch) = stream.try_next().await.map_err(blame)? {
            if exec.carries_errors() {
                let (answered, rejected) = split(&batch).map_err(failed)?;
                errors.extend(rejected);
                schema = answered.schema();
                batch = answered;
            }
            if batch.num_rows() > 0 {
                rows.push(batch);
            }
        }
        Ok(Tested { schema, rows, errors, rows_in: exec.verdict().seen, prepare })
    }

    async fn plan_trial(
        &self,
        reading: &Reading<'_>,
        node: &Node,
        python: &PythonTransform,
        trial: Trial,
    ) -> Result<(Arc<PythonExec>, SessionContext), Error> {
        let project = reading.project;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let context = self.session.context(PlanStyle::Fast);
        let workers = Arc::new(WorkersHandle(Arc::clone(&self.workers)));
        context.state_ref().write().config_mut().set_extension(workers);
        self.register_inputs(&context, &python.inputs, reading).await?;
        self.register_functions(&context, project, Caller { node: &node.name, sql: "" }).await;
        let output = planned_columns(&context, node, python).await?;
        let environment = self.environment(project, node, &python.code.environment).await?;
        let queries = match (python.mode, trial) {
            (PythonMode::Batch, Trial::FirstRows(rows)) => {
                let query = input_query(&context, project, node, python).await?;
                let limited = LogicalPlanBuilder::from(query).limit(0, Some(rows)).and_then(|plan| plan.build());
                vec![limited.map_err(failed)?]
            }
            (PythonMode::Batch, Trial::AllRows) => vec![input_query(&context, project, node, python).await?],
            (PythonMode::Table { .. }, _) => table_queries(&context, node, python).await?,
        };
        let mut plans = Vec::with_capacity(queries.len());
        for query in &queries {
            plans.push(context.state().create_physical_plan(query).await.map_err(failed)?);
        }
        let input = whole_tables(node, python, plans)?;
        let errors = error_layout::of(node, Some(&input.schema()), &output, Stamp::default())?;
        let request = WorkRequest { project, node, python, environment, output, errors: errors.as_ref() };
        let mut work = self.python_work(&context, &input, &request)?;
        if let Trial::FirstRows(_) = trial {
            work = for_trying(work, &request, &input.schema())?;
        }
        work.limit = Limit::None;
        Ok((Arc::new(PythonExec::new(input, Arc::new(work))), context))
    }
}
