//! Reads: first rows, columns and plans of nodes, and ad-hoc queries over published tables.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::dataframe::DataFrame;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::physical_plan::displayable;
use futures::TryStreamExt;
use indexmap::IndexMap;
use windlass_error::{Diagnostic, Location, SourceFile};
use windlass_project::{
    Input, InputPart, Materialized, Node, NodeConfig, NodeKind, OnError, Project, SourceMap, Transform, models_named,
};

use crate::models;
use crate::planner::{Reading, Tables, calls, diagnose, name_of};
use crate::python::{self, functions::Caller};
use crate::session::PlanStyle;
use crate::tables::schema::sql_type;
use crate::{Engine, Error};

/// The first rows of a query.
#[derive(Debug)]
pub struct Shown {
    /// The columns.
    pub schema: SchemaRef,
    /// Rows, at most as many as were asked for.
    pub batches: Vec<RecordBatch>,
}

/// A column for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Name.
    pub name: String,
    /// SQL type.
    pub data_type: String,
}

impl Engine {
    /// Returns the first rows of a node: of its table as published, of a view or source as it is now.
    pub async fn show(&self, project: &Project, node: &str, limit: usize) -> Result<Shown, Error> {
        let query = format!("select * from {}", quoted(node));
        self.show_sql(project, &query, limit).await
    }

    /// Returns the first rows of an ad-hoc query. Nodes are named as in `ref`, sources as
    /// `source.table`.
    pub async fn show_sql(&self, project: &Project, sql: &str, limit: usize) -> Result<Shown, Error> {
        let (node, frame) = self.ad_hoc_frame(project, sql).await?;
        let failed = |source| failure(project, &node, source);
        let frame = frame.limit(0, Some(limit)).map_err(failed)?;
        let schema = Arc::clone(frame.schema().inner());
        let batches = frame.execute_stream().await.map_err(failed)?.try_collect().await.map_err(failed)?;
        Ok(Shown { schema, batches })
    }

    /// Returns the optimised logical and the physical plan of a query.
    pub async fn explain(&self, project: &Project, sql: &str) -> Result<(String, String), Error> {
        let (node, frame) = self.ad_hoc_frame(project, sql).await?;
        let failed = |source| failure(project, &node, source);
        let (state, plan) = frame.into_parts();
        let logical = state.optimize(&plan).map_err(failed)?;
        let physical = state.create_physical_plan(&plan).await.map_err(failed)?;
        Ok((logical.display_indent().to_string(), displayable(physical.as_ref()).indent(false).to_string()))
    }

    /// Returns the physical plan of a query.
    #[cfg(test)]
    pub(crate) async fn physical_plan(
        &self,
        project: &Project,
        sql: &str,
    ) -> Result<Arc<dyn datafusion::physical_plan::ExecutionPlan>, Error> {
        let (node, frame) = self.ad_hoc_frame(project, sql).await?;
        let failed = |source| failure(project, &node, source);
        let (state, plan) = frame.into_parts();
        state.create_physical_plan(&plan).await.map_err(failed)
    }

    pub(crate) async fn frame(&self, project: &Project, sql: &str) -> Result<DataFrame, Error> {
        Ok(self.ad_hoc_frame(project, sql).await?.1)
    }

    /// Returns a query as a node, for messages, and what it computes.
    async fn ad_hoc_frame(&self, project: &Project, sql: &str) -> Result<(Node, DataFrame), Error> {
        let context = self.session.context(PlanStyle::Fast);
        let state = context.state();
        let (node, names) = ad_hoc(project, &state, sql)?;
        let transform = node.transform().expect("`ad_hoc` makes a transform");
        if let Some(mistaken) = diagnose::shape(&node, transform) {
            return Err(mistake(mistaken));
        }
        self.register_system(&context, &names).await?;
        self.register_kept(&context, project, &names).await?;
        let named: BTreeSet<String> = transform.inputs.iter().map(|input| input.node.clone()).collect();
        // A table is read as it is published; a view or source is planned through.
        let through = named.iter().filter(|name| !project.nodes[*name].is_kept()).cloned().collect();
        let plan = self.plan_reading(project, &named, &through).await;
        if !plan.diagnostics.is_empty() {
            return Err(Error::Mistakes { diagnostics: plan.diagnostics });
        }
        let reading = Reading { project, plan: &plan, tables: Tables::Unnoted };
        self.register_inputs(&context, &transform.inputs, &reading).await?;
        self.register_functions(&context, project, Caller { node: &node.name, sql }).await;
        let state = context.state();
        let wrong = |error| mistake(diagnose::planning(project, &node, transform, &state, &error));
        let query = models::logical_plan(&state, sql).await.map_err(wrong)?;
        if calls::calls_python(&query) {
            state.optimize(&query).map_err(wrong)?;
        }
        let frame = DataFrame::new(state, query);
        Ok((node, frame))
    }
}

/// Returns an ad-hoc query as a transform that reads the nodes which it names, and its other names.
fn ad_hoc(project: &Project, state: &SessionState, sql: &str) -> Result<(Node, BTreeSet<String>), Error> {
    let file = SourceFile::new(std::path::Path::new("query"), sql.to_string());
    let location = Location::new(&file, 0..sql.len());
    let transform = |inputs| Node {
        name: "query".to_string(),
        file: Arc::clone(&file),
        location: location.clone(),
        kind: NodeKind::Transform(Transform {
            sql: sql.to_string(),
            map: SourceMap::identity(&file),
            inputs,
            vars: IndexMap::new(),
            incremental: None,
            on_error: OnError::Null,
        }),
        config: NodeConfig { materialized: Materialized::View, ..NodeConfig::default() },
        columns: Vec::new(),
        checks: Vec::new(),
    };
    let syntax = |error: DataFusionError| {
        let node = transform(Vec::new());
        let parsed = node.transform().expect("it was just made one");
        mistake(diagnose::planning(project, &node, parsed, state, &error))
    };
    let statement = models::statement(state, sql).map_err(syntax)?;
    let references = state.resolve_table_references(&statement).map_err(syntax)?;
    let names = references.iter().map(name_of);
    let input = |name: &String| {
        let of_errors = || name.strip_suffix("__errors").filter(|node| project.nodes.contains_key(*node));
        let (node, part) = match project.nodes.contains_key(name) {
            true => (name.clone(), InputPart::Result),
            false => (of_errors()?.to_string(), InputPart::Errors),
        };
        Some(Input { node, reference: name.clone(), location: location.clone(), part })
    };
    let (mut inputs, mut others) = (Vec::new(), BTreeSet::new());
    inputs.extend(models_named(project, sql).into_iter().map(|(node, reference, span)| Input {
        node,
        reference,
        location: Location::new(&file, span),
        part: InputPart::Model,
    }));
    for name in names {
        match input(&name) {
            Some(input) => inputs.push(input),
            None => {
                others.insert(name);
            }
        }
    }
    Ok((transform(inputs), others))
}

fn failure(project: &Project, node: &Node, source: DataFusionError) -> Error {
    let blame = python::python_error(&source).map(|error| Box::new(python::diagnose(project, node, error)));
    Error::Compute { node: node.name.clone(), blame, source }
}

fn mistake(diagnostic: Diagnostic) -> Error {
    Error::Mistakes { diagnostics: vec![diagnostic] }
}

/// Returns a node's name as SQL refers to it.
pub(crate) fn quoted(node: &str) -> String {
    let part = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    match node.split_once('.') {
        Some((source, table)) => format!("{}.{}", part(source), part(table)),
        None => part(node),
    }
}

/// Returns the columns of a schema for people.
pub fn columns(schema: &SchemaRef) -> Vec<ColumnInfo> {
    let describe =
        |name: &str, data_type: &DataType| ColumnInfo { name: name.to_string(), data_type: sql_type(data_type) };
    schema.fields().iter().map(|field| describe(field.name(), field.data_type())).collect()
}
