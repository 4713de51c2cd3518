//! The first step of a build: what a node is made from, and the plans that compute it and stage its files.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use datafusion::prelude::SessionContext;
use windlass_project::{Node, Project, PythonEnvironment, PythonMode, error_table};
use windlass_worker::Environment;

use super::slices::Slice;
use super::unscored::UnscoredRows;
use super::{BuildProgress, BuildRequest, Prepared, RowsFrom, pieces, replay, steps};
use crate::audit::Looking;
use crate::checks::facts::Baselines;
use crate::fingerprint::{Definition, InputVersion, Inputs, fingerprint};
use crate::models;
use crate::operators::check::{CheckSink, Writing};
use crate::operators::python::{Budget, FailureObserver, Limit, PythonError, PythonExec, WorkersHandle};
use crate::operators::write::{WriteExec, WriteObserver, WriteSpec};
use crate::operators::{Leave, specialise};
use crate::planner::{Content, Reading, Tables, blame};
use crate::python::functions::Caller;
use crate::python::{self, WorkRequest};
use crate::session::PlanStyle;
use crate::tables::error_layout::{self, Stamp};
use crate::tables::error_rows::ErrorRows;
use crate::tables::pieced::PiecedTable;
use crate::tables::schema;
use crate::{Engine, Error};

/// What a build is made from, looked up once: the plans for parts of its rows read the same.
pub(super) struct Ground {
    pub(super) context: SessionContext,
    pub(super) queries: Vec<LogicalPlan>,
    pub(super) read: Inputs,
    pub(super) definition: Definition,
    pub(super) fingerprint: String,
    pub(super) published: SchemaRef,
    /// The input, where it may be read in pieces.
    pub(super) pieced: Option<Arc<PiecedTable>>,
    /// How far rows of an input reach that a later step goes on from.
    until: Option<String>,
    environment: Option<Environment>,
    /// The stored profiles that drift is measured from.
    pub(super) stored: Option<Arc<Baselines>>,
    /// Where rows go that models cannot score.
    unscored: Option<UnscoredRows>,
    style: PlanStyle,
}

impl Ground {
    /// Returns what is said of the rows once they are staged.
    pub(super) fn prepared(self, errors: Option<ErrorRows>) -> Prepared {
        let Self { read, definition, fingerprint, published, until, .. } = self;
        Prepared { read, definition, fingerprint, published, errors, until }
    }
}

/// What a node computes, over tables as they stand.
#[derive(Default)]
struct Queried {
    queries: Vec<LogicalPlan>,
    read: Inputs,
    pieced: Option<Arc<PiecedTable>>,
    until: Option<String>,
}

impl Queried {
    fn of(query: LogicalPlan, read: Inputs) -> Self {
        Self { queries: vec![query], read, ..Self::default() }
    }
}

impl Engine {
    /// Looks up what a node is made from.
    pub(super) async fn look_up(
        &self,
        request: &BuildRequest<'_>,
        rows: &RowsFrom,
        style: PlanStyle,
    ) -> Result<Ground, Error> {
        let node = request.node;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let context = self.observed_context(style, &request.progress);
        let Queried { mut queries, mut read, pieced, until } = match rows {
            RowsFrom::Inputs | RowsFrom::Step(_) => self.queries(request, &context, rows).await?,
            RowsFrom::Errors(errors) => {
                let errors = errors.provider(&error_table(&node.name)).await?;
                Queried::of(replay::rows_of_input(request.project, node, &context, errors).await?, Inputs::new())
            }
        };
        if let RowsFrom::Inputs | RowsFrom::Step(_) = rows {
            self.note_diverting_tables(request, &mut read).await?;
        }
        let unscored = self.divert_unscored(request, &context, &mut queries, rows)?;
        let environment = self.environments(request, &queries).await?;
        let definition = self.definition(request.project, request.plan, node).await?;
        if let RowsFrom::Inputs = rows {
            Box::pin(self.note_columns(request.project, request.plan, node, &mut read)).await?;
        }
        let fingerprint = fingerprint(&definition, &read);
        let columns = queries.iter().map(widest).max().unwrap_or_default();
        let batch_rows = self.session.batch_rows(style, columns);
        let state = context.state_ref();
        state.write().config_mut().options_mut().execution.batch_size =
            ConfigNonZeroUsize::try_new(batch_rows).map_err(failed)?;
        let published = match node.python() {
            Some(code) => python::planned_columns(&context, node, code).await?,
            None => schema::published(&node.name, queries[0].schema().as_arrow())?,
        };
        let stored = self.stored_baselines(node).await?;
        Ok(Ground {
            context,
            queries,
            read,
            definition,
            fingerprint,
            published,
            pieced,
            until,
            environment,
            stored,
            unscored,
            style,
        })
    }

    /// Returns the plan that computes rows and stages them, and what the error table holds, where there is one.
    /// Rows that fail are counted in `budget`, where there is one that counts for several plans.
    pub(super) async fn plan_rows(
        &self,
        request: &BuildRequest<'_>,
        rows: &RowsFrom,
        ground: &Ground,
        budget: Option<&Arc<Budget>>,
    ) -> Result<(Arc<dyn ExecutionPlan>, Option<ErrorRows>), Error> {
        let Ground { context, queries, fingerprint, published, style, .. } = ground;
        let node = request.node;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let mut plans = self.compute(request, context, queries, *style).await?;
        // Rows of an earlier result are what Python made already.
        let runs_python = !matches!(rows, RowsFrom::Errors(_)) || error_layout::fails_by_row(node);
        let code = node.python().filter(|_| runs_python);
        let plan = match code {
            Some(code) => python::whole_tables(node, code, plans)?,
            None => plans.swap_remove(0),
        };
        let plan = match rows {
            RowsFrom::Step(step) => steps::with_time(plan, step).map_err(failed)?,
            _ => plan,
        };
        let stamp = Stamp { run_id: request.run_id, fingerprint, at_us: request.started_us };
        let given = plan.schema();
        let given = ground.unscored.as_ref().map_or(given.as_ref(), UnscoredRows::row);
        let errors = error_layout::of(node, Some(given), published, stamp)?;
        let plan = match (code, ground.environment.clone()) {
            (Some(python), Some(environment)) => {
                let (project, output) = (request.project, Arc::clone(published));
                let work = WorkRequest { project, node, python, environment, output, errors: errors.as_ref() };
                self.answers(context, plan, &work, (rows, budget)).await?
            }
            _ => plan,
        };
        let plan = UnscoredRows::carried(ground.unscored.as_ref(), plan, errors.as_ref());
        let plan = self.lay_out(node, plan).map_err(failed)?;
        let diverted = errors.clone().filter(|_| node.quarantines());
        let writing = Some(Writing { errors: diverted, limit: rows.limit(node), ends_early: true });
        let looking = Looking { writing, stored: ground.stored.clone(), ..Looking::default() };
        let plan = self.with_checks(node, plan, &context.state(), looking).map_err(failed)?;
        let error_columns = errors.as_ref().map(ErrorRows::schema);
        let spec = self.write_spec(request, published, error_columns.as_ref());
        let plan: Arc<dyn ExecutionPlan> = Arc::new(WriteExec::new(plan, spec));
        tracing::debug!(node = %node.name, plan = %datafusion::physical_plan::displayable(plan.as_ref()).indent(false), "planned");
        Ok((plan, errors))
    }

    /// Notes the tables that decide which rows leave this one.
    async fn note_diverting_tables(&self, request: &BuildRequest<'_>, read: &mut Inputs) -> Result<(), Error> {
        let reading = Reading { project: request.project, plan: request.plan, tables: Tables::InLake };
        for table in request.node.diverting_tables() {
            if let Some(planned) = request.plan.nodes.get(table) {
                self.input_provider(table, planned, &reading, read).await?;
            }
        }
        Ok(())
    }

    /// Prepares all environments that a node needs; returns that of a Python node.
    async fn environments(
        &self,
        request: &BuildRequest<'_>,
        queries: &[LogicalPlan],
    ) -> Result<Option<Environment>, Error> {
        self.prepare_functions(request.project, request.node, queries).await?;
        self.prepare_checks(request.project, request.node).await?;
        match request.node.python() {
            Some(code) => self.environment(request.project, request.node, &code.code.environment).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns the plans of a node's queries.
    async fn compute(
        &self,
        request: &BuildRequest<'_>,
        context: &SessionContext,
        queries: &[LogicalPlan],
        style: PlanStyle,
    ) -> Result<Vec<Arc<dyn ExecutionPlan>>, Error> {
        let node = request.node;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let state = context.state();
        let mut plans = Vec::with_capacity(queries.len());
        for query in queries {
            match state.create_physical_plan(query).await {
                Ok(plan) => {
                    let leave = Leave { room: self.session.room(style), may_reorder: !is_ordered(query) };
                    plans.push(specialise(plan, leave).map_err(failed)?);
                }
                Err(source) if python::python_error(&source).is_some() => {
                    return Err(self.blame_python(request, source));
                }
                // Constants are computed while planning and can fail like any row.
                Err(source) => {
                    let blame = blame::find(request.project, node, query, &state, &source).await.map(Box::new);
                    return Err(Error::Compute { node: node.name.clone(), blame, source });
                }
            }
        }
        Ok(plans)
    }

    /// Puts the workers on top of a plan. Rows of their earlier answers that broke checks join those of now.
    async fn answers(
        &self,
        context: &SessionContext,
        plan: Arc<dyn ExecutionPlan>,
        request: &WorkRequest<'_>,
        (rows, budget): (&RowsFrom, Option<&Arc<Budget>>),
    ) -> Result<Arc<dyn ExecutionPlan>, Error> {
        let mut work = self.python_work(context, &plan, request)?;
        if let RowsFrom::Errors(_) = rows {
            work.limit = Limit::None;
        }
        let answers: Arc<dyn ExecutionPlan> = Arc::new(match budget {
            Some(budget) => PythonExec::counting(plan, Arc::new(work), Arc::clone(budget)),
            None => PythonExec::new(plan, Arc::new(work)),
        });
        let (RowsFrom::Errors(failed_rows), Some(errors)) = (rows, request.errors) else { return Ok(answers) };
        let node = request.node;
        let failed_rows = failed_rows.provider(&error_table(&node.name)).await?;
        let joined = replay::with_rows_of_result(answers, context, failed_rows, errors).await;
        joined.map_err(|source| Error::Compute { node: node.name.clone(), blame: None, source })
    }

    pub(super) fn write_spec(
        &self,
        request: &BuildRequest<'_>,
        published: &SchemaRef,
        errors: Option<&SchemaRef>,
    ) -> WriteSpec {
        let node = request.node;
        let spec = |table: &str, schema: &SchemaRef| {
            let place = self.place(table);
            WriteSpec {
                store: place.store_url.clone(),
                folder: place.path.clone(),
                schema: Arc::clone(schema),
                partition_by: Vec::new(),
                sorted: false,
                run_id: request.run_id.to_string(),
                errors: None,
            }
        };
        WriteSpec {
            partition_by: node.config.partition_by.clone(),
            sorted: !node.config.sort_by.is_empty(),
            errors: errors.map(|schema| Box::new(spec(&error_table(&node.name), schema))),
            ..spec(&node.name, published)
        }
    }

    /// Returns the environment of a Python file, built where it is missing.
    pub(crate) async fn environment(
        &self,
        project: &Project,
        node: &Node,
        environment: &PythonEnvironment,
    ) -> Result<Environment, Error> {
        let prepared = self.workers.environment(&python::environment_request(&node.name, environment)).await;
        prepared.map_err(|error| {
            let error = PythonError::from(error);
            let blame = Some(Box::new(python::diagnose(project, node, &error)));
            Error::Compute { node: node.name.clone(), blame, source: error.into() }
        })
    }

    /// Returns a context whose write operators report to `progress`.
    fn observed_context(&self, style: PlanStyle, progress: &Arc<dyn BuildProgress>) -> SessionContext {
        let context = self.session.context(style);
        let progress = Arc::clone(progress);
        let failures = Arc::clone(&progress);
        let observer = Arc::new(WriteObserver(Arc::new(move |rows| progress.rows_written(rows))));
        let failures = Arc::new(FailureObserver(Arc::new(move |rows| failures.rows_failed(rows))));
        let state = context.state_ref();
        let mut state = state.write();
        state.config_mut().set_extension(observer);
        state.config_mut().set_extension(failures);
        state.config_mut().set_extension(Arc::new(CheckSink::default()));
        state.config_mut().set_extension(Arc::new(WorkersHandle(Arc::clone(&self.workers))));
        drop(state);
        context
    }

    /// Returns what a node computes, over the tables as they stand in the lake: one query, or one for
    /// each table that Python gets as a whole.
    async fn queries(
        &self,
        request: &BuildRequest<'_>,
        context: &SessionContext,
        rows: &RowsFrom,
    ) -> Result<Queried, Error> {
        let node = request.node;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let reading = Reading { project: request.project, plan: request.plan, tables: Tables::InLake };
        let caller = Caller { node: &node.name, sql: node.transform().map_or("", |transform| &transform.sql) };
        self.register_functions(context, request.project, caller).await;
        if let Some(python) = node.python() {
            let read = self.register_inputs(context, &python.inputs, &reading).await?;
            let pieced = pieces::in_pieces(request, context, python, rows).await?;
            if let PythonMode::Table { .. } = python.mode {
                let queries = python::table_queries(context, node, python).await?;
                return Ok(Queried { queries, read, ..Queried::default() });
            }
            let query = python::input_query(context, request.project, node, python).await?;
            let RowsFrom::Step(step) = rows else { return Ok(Queried { pieced, ..Queried::of(query, read) }) };
            let Slice { rows, until } = self.slice(node, context, query, step).await?;
            return Ok(Queried { until, ..Queried::of(rows, read) });
        }
        let Some(transform) = node.transform() else {
            let Some(Content::Files(files)) = request.plan.nodes.get(&node.name).map(|planned| &planned.content) else {
                return Err(Error::NotPublished { table: node.name.clone() });
            };
            let table = context.read_table(Arc::clone(&files.provider)).map_err(failed)?;
            let read = Inputs::from([(node.name.clone(), InputVersion::of_identity(&files.identity))]);
            return Ok(Queried::of(table.into_unoptimized_plan(), read));
        };
        let read = self.register_inputs(context, &transform.inputs, &reading).await?;
        if let RowsFrom::Step(step) = rows {
            return Ok(Queried::of(self.step_query(node, transform, context, step).await?, read));
        }
        let query = models::logical_plan(&context.state(), &transform.sql).await.map_err(failed)?;
        Ok(Queried::of(query, read))
    }

    /// Adds what `partition_by` and `sort_by` ask for, and spreads a single stream over all threads
    /// where its order is nobody's wish.
    pub(super) fn lay_out(
        &self,
        node: &Node,
        plan: Arc<dyn ExecutionPlan>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let threads = self.session.settings().threads;
        let input = plan.schema();
        let mut plan = plan;
        if !node.config.partition_by.is_empty() {
            let columns = node.config.partition_by.iter().map(|name| col(name, &input)).collect::<Result<_, _>>()?;
            plan = Arc::new(RepartitionExec::try_new(plan, Partitioning::Hash(columns, threads))?);
        } else if plan.output_partitioning().partition_count() == 1 && plan.output_ordering().is_none() && threads > 1 {
            plan = Arc::new(RepartitionExec::try_new(plan, Partitioning::RoundRobinBatch(threads))?);
        }
        if node.config.sort_by.is_empty() {
            return Ok(plan);
        }
        let ascending = node.config.partition_by.iter().map(|name| (name, false));
        let keys = ascending.chain(node.config.sort_by.iter().map(|key| (&key.column, key.descending)));
        let sort = keys
            .map(|(name, descending)| {
                let options = SortOptions { descending, nulls_first: descending };
                Ok(PhysicalSortExpr::new(col(name, &input)?, options))
            })
            .collect::<Result<Vec<_>, DataFusionError>>()?;
        match LexOrdering::new(sort) {
            Some(ordering) => Ok(Arc::new(SortExec::new(ordering, plan).with_preserve_partitioning(true))),
            None => Ok(plan),
        }
    }
}

/// Whether a query says in which order its rows come.
fn is_ordered(query: &LogicalPlan) -> bool {
    match query {
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => true,
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Filter(_) => {
            query.inputs().into_iter().any(is_ordered)
        }
        _ => false,
    }
}

/// Returns the columns of the widest operator of a query.
fn widest(query: &LogicalPlan) -> usize {
    let mut columns = 0;
    let _ = query.apply_with_subqueries(|node| {
        columns = columns.max(node.schema().fields().len());
        Ok(TreeNodeRecursion::Continue)
    });
    columns
}
