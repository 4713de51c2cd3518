//! The first step of a build: the plan that computes a node and stages its files.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use datafusion::prelude::{SessionContext, ident};
use sha2::{Digest, Sha256};
use windlass_project::{Node, Project, PythonEnvironment, PythonMode, error_table};
use windlass_worker::Environment;

use super::{BuildProgress, BuildRequest, Prepared, RowsFrom};
use crate::operators::check::CheckSink;
use crate::operators::moving_mean::specialise;
use crate::operators::python::{FailureObserver, Limit, PythonError, PythonExec, WorkersHandle};
use crate::operators::write::{WriteExec, WriteObserver, WriteSpec};
use crate::planner::{Content, Reading, Tables, blame, register};
use crate::python::functions::Caller;
use crate::python::{self, WorkRequest};
use crate::session::PlanStyle;
use crate::tables::error_rows::ROW;
use crate::tables::published::PublishedTable;
use crate::tables::schema;
use crate::{Engine, Error};

impl Engine {
    pub(super) async fn prepare(
        &self,
        request: &BuildRequest<'_>,
        rows: &RowsFrom,
        style: PlanStyle,
    ) -> Result<Prepared, Error> {
        let node = request.node;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let context = self.observed_context(style, &request.progress);
        let (queries, read) = match rows {
            RowsFrom::Inputs => self.queries(request, &context).await?,
            RowsFrom::Errors(errors) => (vec![self.failed_rows(request, &context, errors).await?], BTreeMap::new()),
        };
        let (definition, environment) = self.definition(request, &queries).await?;
        let fingerprint = fingerprint(node, &definition, &read);
        let columns = queries.iter().map(widest).max().unwrap_or_default();
        let batch_rows = self.session.batch_rows(style, columns);
        let state = context.state_ref();
        state.write().config_mut().options_mut().execution.batch_size =
            ConfigNonZeroUsize::try_new(batch_rows).map_err(failed)?;
        let published = match node.python() {
            Some(code) => python::planned_columns(&context, node, code).await?,
            None => schema::published(&node.name, queries[0].schema().as_arrow())?,
        };
        let plan = self.compute(request, &context, &queries).await?;
        let errors = match node.python() {
            Some(code) => python::error_schema(node, code, &plan.schema())?,
            None => None,
        };
        let plan = match (node.python(), environment) {
            (Some(code), Some(environment)) => {
                let work = WorkRequest {
                    project: request.project,
                    node,
                    python: code,
                    environment,
                    output: Arc::clone(&published),
                    run_id: request.run_id,
                    fingerprint: &fingerprint,
                    started_us: request.started_us,
                };
                self.call_python(&context, plan, &work, rows)?
            }
            _ => plan,
        };
        let plan = self.lay_out(node, plan).map_err(failed)?;
        let plan = self.with_checks(node, plan, &context.state()).map_err(failed)?;
        let spec = self.write_spec(request, &published, errors.as_ref());
        let plan: Arc<dyn ExecutionPlan> = Arc::new(WriteExec::new(plan, spec));
        tracing::debug!(node = %node.name, plan = %datafusion::physical_plan::displayable(plan.as_ref()).indent(false), "planned");
        let state = context.state();
        let query = queries.into_iter().next().unwrap_or_default();
        Ok(Prepared { query, state, plan, read, fingerprint, published, errors })
    }

    /// Returns what a node computes as text, with the environment of a Python node.
    async fn definition(
        &self,
        request: &BuildRequest<'_>,
        queries: &[LogicalPlan],
    ) -> Result<(String, Option<Environment>), Error> {
        let node = request.node;
        let texts: Vec<String> = queries.iter().map(|query| query.display_indent_schema().to_string()).collect();
        let mut definition = texts.join("\n");
        definition.push_str(&self.function_definitions(request.project, node, queries).await?);
        let Some(code) = node.python() else { return Ok((definition, None)) };
        let environment = self.environment(request.project, node, &code.code.environment).await?;
        definition.push_str(&python::definition(node, code, &environment.key));
        Ok((definition, Some(environment)))
    }

    /// Returns the plan of a node's queries: of the one, or of one row that holds all tables.
    async fn compute(
        &self,
        request: &BuildRequest<'_>,
        context: &SessionContext,
        queries: &[LogicalPlan],
    ) -> Result<Arc<dyn ExecutionPlan>, Error> {
        let node = request.node;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let state = context.state();
        let mut plans = Vec::with_capacity(queries.len());
        for query in queries {
            match state.create_physical_plan(query).await {
                Ok(plan) => plans.push(specialise(plan).map_err(failed)?),
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
        match node.python() {
            Some(python) => python::whole_tables(node, python, plans),
            None => Ok(plans.swap_remove(0)),
        }
    }

    /// Puts the workers on top of a plan.
    fn call_python(
        &self,
        context: &SessionContext,
        plan: Arc<dyn ExecutionPlan>,
        request: &WorkRequest<'_>,
        rows: &RowsFrom,
    ) -> Result<Arc<dyn ExecutionPlan>, Error> {
        let mut work = self.python_work(context, &plan, request)?;
        if let RowsFrom::Errors(_) = rows {
            // All of them have failed once; how many fail again is what the caller wants to know.
            work.limit = Limit::None;
        }
        Ok(Arc::new(PythonExec::new(plan, Arc::new(work))))
    }

    fn write_spec(&self, request: &BuildRequest<'_>, published: &SchemaRef, errors: Option<&SchemaRef>) -> WriteSpec {
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
    ) -> Result<(Vec<LogicalPlan>, BTreeMap<String, String>), Error> {
        let node = request.node;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let reading = Reading { project: request.project, plan: request.plan, tables: Tables::InLake };
        let caller = Caller { node: &node.name, sql: node.transform().map_or("", |transform| &transform.sql) };
        self.register_functions(context, request.project, caller).await;
        if let Some(python) = node.python() {
            let read = self.register_inputs(context, &python.inputs, &reading).await?;
            let queries = match python.mode {
                PythonMode::Batch => vec![python::input_query(context, node, python).await?],
                PythonMode::Table { .. } => python::table_queries(context, node, python).await?,
            };
            return Ok((queries, read));
        }
        let Some(transform) = node.transform() else {
            let Some(Content::Files(files)) = request.plan.nodes.get(&node.name).map(|planned| &planned.content) else {
                return Err(Error::NotPublished { table: node.name.clone() });
            };
            let table = context.read_table(Arc::clone(&files.provider)).map_err(failed)?;
            let read = BTreeMap::from([(node.name.clone(), files.identity.clone())]);
            return Ok((vec![table.into_unoptimized_plan()], read));
        };
        let read = self.register_inputs(context, &transform.inputs, &reading).await?;
        let query = context.state().create_logical_plan(&transform.sql).await.map_err(failed)?;
        Ok((vec![query], read))
    }

    /// Returns the query of a Python node over rows that failed, in place of its input.
    async fn failed_rows(
        &self,
        request: &BuildRequest<'_>,
        context: &SessionContext,
        errors: &PublishedTable,
    ) -> Result<LogicalPlan, Error> {
        let node = request.node;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let Some(python) = node.python() else { return Err(Error::NoErrors { node: node.name.clone() }) };
        let provider = errors.provider(&error_table(&node.name)).await?;
        let rows = context.read_table(provider).map_err(failed)?;
        let fields = match rows.schema().field_with_unqualified_name(ROW).map(|field| field.data_type()) {
            Ok(DataType::Struct(fields)) => fields.clone(),
            _ => return Err(Error::NoErrors { node: node.name.clone() }),
        };
        let columns = fields.iter().map(|field| get_field(ident(ROW), field.name().as_str()).alias(field.name()));
        let rows = rows.select(columns.collect::<Vec<_>>()).map_err(failed)?;
        let input = &python.inputs[0];
        register(context, &input.table(), Arc::new(ViewTable::new(rows.into_unoptimized_plan(), None)))?;
        python::input_query(context, node, python).await
    }

    /// Adds what `partition_by` and `sort_by` ask for, and spreads a single stream over all threads
    /// where its order is nobody's wish.
    fn lay_out(&self, node: &Node, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
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

/// Returns the columns of the widest operator of a query.
fn widest(query: &LogicalPlan) -> usize {
    let mut columns = 0;
    let _ = query.apply_with_subqueries(|node| {
        columns = columns.max(node.schema().fields().len());
        Ok(TreeNodeRecursion::Continue)
    });
    columns
}

/// Hashes what a node computes, how it is laid out, and what exactly it read.
fn fingerprint(node: &Node, definition: &str, read: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    hash.update(definition.as_bytes());
    hash.update(format!("{:?} {:?}", node.config.partition_by, node.config.sort_by).as_bytes());
    for (input, version) in read {
        hash.update(format!("\n{input}\n{version}").as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
