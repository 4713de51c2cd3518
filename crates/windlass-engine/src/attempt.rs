//! Tries a node on a few rows: what it answers, what fails, and nothing is published.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::TryStreamExt;
use windlass_project::{Node, Project, PythonMode, PythonTransform};

use crate::errors::{ErrorCause, group};
use crate::operators::python::{PythonExec, WorkersHandle};
use crate::planner::{Reading, Tables};
use crate::python::functions::Caller;
use crate::python::{self, WorkRequest};
use crate::session::PlanStyle;
use crate::show::Shown;
use crate::tables::error_rows::split;
use crate::{Engine, Error};

/// What a node made of a few rows.
#[derive(Debug)]
pub struct Tried {
    /// What it answers.
    pub shown: Shown,
    /// Rows that it was given; 0 for SQL, which reads what it wants.
    pub rows_in: u64,
    /// Why rows failed, most rows first.
    pub failures: Vec<ErrorCause>,
    /// Time until the first row could move: planning and the environment.
    pub prepare: Duration,
    /// Time from there to the last row, the start of a worker included.
    pub compute: Duration,
}

impl Engine {
    /// Runs a transform on the first rows of its inputs as they are published; of a SQL transform the
    /// first rows of its result are computed. Nothing is written.
    ///
    /// # Errors
    ///
    /// Those of planning, and [`Error::Compute`] with the user's line where the code fails as a whole.
    pub async fn try_node(&self, project: &Project, node: &str, rows: usize) -> Result<Tried, Error> {
        let unknown = || Error::NotPublished { table: node.to_string() };
        let definition = project.nodes.get(node).ok_or_else(unknown)?;
        match (definition.python(), definition.transform()) {
            (Some(python), _) => self.try_python(project, definition, python, rows).await,
            (None, Some(transform)) => self.try_sql(project, &transform.sql, rows).await,
            (None, None) => self.try_sql(project, &format!("select * from \"{node}\""), rows).await,
        }
    }

    async fn try_sql(&self, project: &Project, sql: &str, rows: usize) -> Result<Tried, Error> {
        let started = Instant::now();
        let shown = self.show_sql(project, sql, rows).await?;
        let compute = started.elapsed();
        Ok(Tried { shown, rows_in: 0, failures: Vec::new(), prepare: Duration::ZERO, compute })
    }

    async fn try_python(
        &self,
        project: &Project,
        node: &Node,
        python: &PythonTransform,
        rows: usize,
    ) -> Result<Tried, Error> {
        let started = Instant::now();
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let plan = self.plan_python_try(project, node, python, rows).await?;
        let prepare = started.elapsed();
        let (exec, context) = plan;
        let plan: Arc<dyn ExecutionPlan> = Arc::clone(&exec) as _;
        let blame = |source| match python::python_error(&source) {
            Some(error) => {
                let blame = Some(Box::new(python::diagnose(project, node, error)));
                Error::Compute { node: node.name.clone(), blame, source }
            }
            None => failed(source),
        };
        let mut stream = execute_stream(plan, context.task_ctx()).map_err(blame)?;
        let mut known = BTreeMap::new();
        let mut batches: Vec<RecordBatch> = Vec::new();
        let mut schema = exec.schema();
        while let Some(batch) = stream.try_next().await.map_err(blame)? {
            if !exec.carries_errors() {
                batches.push(batch);
                continue;
            }
            let (rows, errors) = split(&batch).map_err(failed)?;
            for errors in errors {
                group(&errors, &mut known).map_err(failed)?;
            }
            schema = rows.schema();
            if rows.num_rows() > 0 {
                batches.push(rows);
            }
        }
        let mut failures: Vec<ErrorCause> = known.into_values().collect();
        failures.sort_by_key(|cause| std::cmp::Reverse(cause.rows));
        let rows_in = exec.verdict().seen;
        let compute = started.elapsed().saturating_sub(prepare);
        Ok(Tried { shown: Shown { schema, batches }, rows_in, failures, prepare, compute })
    }

    async fn plan_python_try(
        &self,
        project: &Project,
        node: &Node,
        python: &PythonTransform,
        rows: usize,
    ) -> Result<(Arc<PythonExec>, datafusion::prelude::SessionContext), Error> {
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let context = self.session.context(PlanStyle::Fast);
        let workers = Arc::new(WorkersHandle(Arc::clone(&self.workers)));
        context.state_ref().write().config_mut().set_extension(workers);
        let named: BTreeSet<String> = python.inputs.iter().map(|input| input.node.clone()).collect();
        let is_read_through = |name: &&String| project.nodes.get(*name).is_some_and(|node| !node.is_published());
        let through = named.iter().filter(is_read_through).cloned().collect();
        let plan = self.plan_reading(project, &named, &through).await;
        if !plan.diagnostics.is_empty() {
            return Err(Error::Mistakes { diagnostics: plan.diagnostics });
        }
        let reading = Reading { project, plan: &plan, tables: Tables::InLake };
        self.register_inputs(&context, &python.inputs, &reading).await?;
        self.register_functions(&context, project, Caller { node: &node.name, sql: "" }).await;
        let output = python::planned_columns(&context, node, python).await?;
        let environment = self.environment(project, node, &python.code.environment).await?;
        let queries = match python.mode {
            PythonMode::Batch => {
                let query = python::input_query(&context, project, node, python).await?;
                let limited = LogicalPlanBuilder::from(query).limit(0, Some(rows)).and_then(|plan| plan.build());
                vec![limited.map_err(failed)?]
            }
            PythonMode::Table { .. } => python::table_queries(&context, node, python).await?,
        };
        let mut plans = Vec::with_capacity(queries.len());
        for query in &queries {
            plans.push(context.state().create_physical_plan(query).await.map_err(failed)?);
        }
        let input = python::whole_tables(node, python, plans)?;
        let request = WorkRequest { project, node, python, environment, output, errors: None };
        let work = self.python_work(&context, &input, &request)?;
        let work = python::for_trying(work, &request, &input.schema())?;
        Ok((Arc::new(PythonExec::new(input, Arc::new(work))), context))
    }
}
