//! The lineage of each node of a plan.
//!
//! A node is planned over the schemas of its inputs alone, so that views stay apart from the nodes
//! that read them. User code does not run: a column that Python computes depends on all that its
//! code is given.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use indexmap::IndexSet;
use windlass_project::{InputPart, Node, Project, PythonMode, PythonRows, PythonTransform, Transform, error_table};

use super::error_tables::{self, ErrorInputs};
use super::inputs::{ColumnInputs, Use};
use super::plans::{Scope, Traced, Tracer, trace};
use super::{ColumnLineage, Lineage, TableLineage};
use crate::models;
use crate::planner::{Content, Plan, PlannedNode, Reading, Tables, register};
use crate::python::functions::Caller;
use crate::python::{input_query, requirements, table_queries};
use crate::session::PlanStyle;
use crate::show::columns;
use crate::{Engine, Error};

/// What is computed by a node: its result, and its error table where it has one.
#[derive(Default)]
struct NodeTraced {
    result: Traced,
    errors: Option<Traced>,
}

/// What Python code is given.
struct Given {
    /// The names of the input's columns, with what they are computed from.
    columns: Vec<(String, ColumnInputs)>,
    /// All that the code sees.
    seen: ColumnInputs,
    /// What decides which rows it is given.
    rows: ColumnInputs,
}

impl Engine {
    /// Returns what the columns of every planned node are computed from. Nodes that are planned as
    /// they stand in the lake, sources and seeds come from nothing.
    ///
    /// # Errors
    ///
    /// Those of planning; a node that is in the plan has passed it.
    pub async fn lineage(&self, project: &Project, plan: &Plan) -> Result<Lineage, Error> {
        let mut lineage = Lineage::default();
        for (name, planned) in &plan.nodes {
            let Some(node) = project.nodes.get(name) else { continue };
            let traced = match (&planned.content, node.transform(), node.python()) {
                (Content::Query(_), Some(transform), _) => {
                    let result = self.trace_transform(project, node, transform, plan).await?;
                    Some(NodeTraced { result, errors: None })
                }
                (Content::Python, _, Some(python)) => {
                    Some(self.trace_python(project, node, python, (planned, plan)).await?)
                }
                _ => None,
            };
            let reads: IndexSet<String> = match traced {
                Some(_) => node.inputs().iter().map(windlass_project::Input::table).collect(),
                None => IndexSet::new(),
            };
            let reads: Vec<String> = reads.into_iter().collect();
            let NodeTraced { mut result, errors } = traced.unwrap_or_default();
            let errors = planned.errors.as_ref().map(|schema| {
                let of_checks = || error_tables::of_checks(node, schema, &planned.schema, &result);
                (schema, errors.unwrap_or_else(of_checks))
            });
            // Rows that checks divert are missing in the result.
            let diverting = error_tables::diverting(node, &planned.schema, &result);
            result.rows.merge(diverting.used_as(Use::Filter));
            lineage.tables.insert(name.clone(), table_lineage(&planned.schema, result, reads.clone()));
            if let Some((schema, errors)) = errors {
                lineage.tables.insert(error_table(name), table_lineage(schema, errors, reads));
            }
        }
        Ok(lineage)
    }

    async fn trace_transform(
        &self,
        project: &Project,
        node: &Node,
        transform: &Transform,
        plan: &Plan,
    ) -> Result<Traced, Error> {
        let context = self.context_of_schemas(project, node, plan).await?;
        self.register_functions(&context, project, Caller { node: &node.name, sql: &transform.sql }).await;
        let query = models::logical_plan(&context.state(), &transform.sql).await.map_err(failed(node))?;
        trace(&query).map_err(failed(node))
    }

    async fn trace_python(
        &self,
        project: &Project,
        node: &Node,
        python: &PythonTransform,
        (planned, plan): (&PlannedNode, &Plan),
    ) -> Result<NodeTraced, Error> {
        let context = self.context_of_schemas(project, node, plan).await?;
        let given = match python.mode {
            PythonMode::Batch => {
                let query = input_query(&context, project, node, python).await?;
                given_rows(&context, project, (node, python), &query)?
            }
            PythonMode::Table { .. } => {
                let queries = table_queries(&context, node, python).await?;
                given_tables(&queries).map_err(failed(node))?
            }
        };
        let columns = planned.schema.fields().iter().map(|field| given.becomes(python, field.name()));
        let mut result = Traced { columns: columns.collect(), rows: given.rows.clone() };
        let keeps_rows = python.mode == PythonMode::Batch && python.rows == PythonRows::OneToOne;
        if !keeps_rows || planned.errors.is_some() {
            result.rows.merge(given.seen.clone().used_as(Use::Filter));
        }
        let errors = planned.errors.as_ref().map(|schema| {
            let key = |name: &str| python.key.iter().any(|key| key == name).then(|| given.becomes(python, name));
            let columns = given.columns.iter().map(|(_, inputs)| inputs.clone());
            let row = ColumnInputs::union(columns.chain([given.seen.clone()]));
            ErrorInputs { key: &key, row, decides: given.seen.clone() }.traced(schema, given.rows.clone())
        });
        Ok(NodeTraced { result, errors })
    }

    /// Returns a context that knows a node's inputs by their schemas.
    async fn context_of_schemas(&self, project: &Project, node: &Node, plan: &Plan) -> Result<SessionContext, Error> {
        let context = self.session.context(PlanStyle::Fast);
        let reading = Reading { project, plan, tables: Tables::BySchema };
        self.register_models(&context, node.inputs(), &reading, &mut BTreeMap::new()).await?;
        for input in node.inputs().iter().filter(|input| input.part != InputPart::Model) {
            let Some(planned) = plan.nodes.get(&input.node) else { continue };
            let schema = match input.part {
                InputPart::Result => Arc::clone(&planned.schema),
                InputPart::Errors => {
                    self.errors_provider(&input.node, planned, &reading, &mut BTreeMap::new()).await?.schema()
                }
                InputPart::Model => continue,
            };
            register(&context, &input.table(), Arc::new(EmptyTable::new(schema)))?;
        }
        Ok(context)
    }
}

impl Given {
    /// Returns what a column of the result is computed from. Columns of the key pass through.
    fn becomes(&self, python: &PythonTransform, column: &str) -> ColumnInputs {
        let passes = python.mode == PythonMode::Batch && python.key.iter().any(|key| key == column);
        let known = self.columns.iter().find(|(name, _)| passes && name == column);
        known.map_or_else(|| self.seen.clone(), |(_, inputs)| inputs.clone())
    }
}

fn given_rows(
    context: &SessionContext,
    project: &Project,
    (node, python): (&Node, &PythonTransform),
    query: &LogicalPlan,
) -> Result<Given, Error> {
    let traced = trace(query).map_err(failed(node))?;
    let rules = requirements(context, project, (node, python), query.schema())?;
    let scope = Scope { schema: Arc::clone(query.schema()), columns: &traced.columns, outer: None };
    let mut rows = traced.rows.clone();
    for rule in &rules {
        let decides = Tracer::default().expression(rule, &scope).map_err(failed(node))?;
        rows.merge(decides.used_as(Use::Filter));
    }
    let names = query.schema().fields().iter().map(|field| field.name().clone());
    let columns: Vec<(String, ColumnInputs)> = names.zip(traced.columns).collect();
    let is_seen = |name: &String| python.input_columns.as_ref().is_none_or(|read| read.contains(name));
    let seen = columns.iter().filter(|(name, _)| is_seen(name)).map(|(_, inputs)| inputs.clone());
    let seen = ColumnInputs::union(seen).used_as(Use::Transformation);
    Ok(Given { columns, seen, rows })
}

fn given_tables(queries: &[LogicalPlan]) -> Result<Given, DataFusionError> {
    let mut seen = ColumnInputs::default();
    for query in queries {
        seen.merge(ColumnInputs::union(trace(query)?.columns));
    }
    Ok(Given { columns: Vec::new(), seen: seen.used_as(Use::Transformation), rows: ColumnInputs::default() })
}

fn table_lineage(schema: &SchemaRef, traced: Traced, reads: Vec<String>) -> TableLineage {
    let mut inputs = traced.columns.into_iter();
    let columns = columns(schema).into_iter();
    let columns = columns.map(|column| ColumnLineage { column, inputs: inputs.next().unwrap_or_default() }).collect();
    TableLineage { columns, rows: traced.rows, reads }
}

fn failed(node: &Node) -> impl Fn(DataFusionError) -> Error {
    |source| Error::Compute { node: node.name.clone(), blame: None, source }
}
