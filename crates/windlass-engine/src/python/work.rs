//! Puts the operator of a Python node together.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DFSchema;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use windlass_project::{BatchSize, Node, OnError, Project, PythonMode, PythonRows, PythonTransform};
use windlass_worker::{Environment, InputMode, Program, Role, RowsMode, TransformCode};

use super::requires::{preconditions, requirements};
use super::transform::handed_over;
use super::{batch_format, code_hash, lib_folders, pool_settings};
use crate::estimates::exact_rows;
use crate::operators::gather::{TableLimit, gather};
use crate::operators::python::{Limit, Shape, Work};
use crate::tables::error_layout::{self, Stamp};
use crate::tables::error_rows::{Broken, ErrorRows};
use crate::{Engine, Error};

/// What a Python node's operator is made from.
pub(crate) struct WorkRequest<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// The node.
    pub(crate) node: &'a Node,
    /// Its definition.
    pub(crate) python: &'a PythonTransform,
    /// Its packages.
    pub(crate) environment: Environment,
    /// The columns that it publishes.
    pub(crate) output: SchemaRef,
    /// Its error rows, where rows that fail go to an error table.
    pub(crate) errors: Option<&'a ErrorRows>,
}

impl Engine {
    /// Returns what workers do with the rows of `input`.
    pub(crate) fn python_work(
        &self,
        context: &SessionContext,
        input: &Arc<dyn ExecutionPlan>,
        request: &WorkRequest<'_>,
    ) -> Result<Work, Error> {
        let WorkRequest { project, node, python, .. } = request;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let columns = input.schema();
        let plain = match python.mode {
            PythonMode::Batch => handed_over(&node.name, &columns)?,
            // Gathered rows are plain already.
            PythonMode::Table { .. } => Arc::clone(&columns),
        };
        let sent: Vec<usize> = match &python.input_columns {
            None => (0..columns.fields().len()).collect(),
            Some(read) => read.iter().filter_map(|name| columns.index_of(name).ok()).collect(),
        };
        let arguments: Vec<Arc<dyn PhysicalExpr>> = sent
            .iter()
            .map(|index| col(columns.field(*index).name(), &columns))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        let names = DFSchema::try_from(columns.as_ref().clone()).map_err(failed)?;
        let rules = requirements(context, project, (node, python), &names)?;
        let program = Program {
            node: node.name.clone(),
            environment: request.environment.clone(),
            role: Role::Transform(Box::new(code(python))),
            input: Arc::new(plain.project(&sent).map_err(|error| failed(error.into()))?),
            output: Arc::clone(&request.output),
            root: project.root.clone(),
            lib: lib_folders(project),
            code_hash: code_hash(&python.code),
            vars: python.code.vars.clone(),
            isolate: python.on_error != OnError::Fail,
            settings: pool_settings(&python.code.workers, self.session.settings().threads),
        };
        Ok(Work {
            program,
            arguments,
            requires: preconditions(context, python, rules, &names).map_err(failed)?,
            batch_rows: batch_rows(python),
            shape: shape(request, &plain),
            limit: match python.on_error {
                OnError::Fail => Limit::None,
                OnError::Quarantine | OnError::Null => Limit::of(node.config.error_limit),
            },
            expected_rows: exact_rows(input),
        })
    }
}

/// Returns the plan whose rows Python gets: of the one input, or one row that holds all tables.
pub(crate) fn whole_tables(
    node: &Node,
    python: &PythonTransform,
    mut plans: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>, Error> {
    let PythonMode::Table { max_bytes } = python.mode else { return Ok(plans.swap_remove(0)) };
    let mut tables = Vec::with_capacity(plans.len());
    for (name, plan) in python.arguments.iter().zip(plans) {
        let columns = handed_over(&node.name, &plan.schema())?;
        tables.push((name.clone(), plan, columns));
    }
    let limit = TableLimit { node: node.name.clone(), max_bytes, used: AtomicU64::new(0) };
    gather(tables, limit).map_err(|source| Error::Compute { node: node.name.clone(), blame: None, source })
}

fn batch_rows(python: &PythonTransform) -> Option<usize> {
    match (python.mode, python.batch_size) {
        // One row holds all tables.
        (PythonMode::Table { .. }, _) => Some(1),
        (PythonMode::Batch, BatchSize::Auto) => None,
        (PythonMode::Batch, BatchSize::Rows(rows)) => Some(rows as usize),
    }
}

fn shape(request: &WorkRequest<'_>, plain: &SchemaRef) -> Shape {
    let python = request.python;
    let place = |schema: &SchemaRef, name: &String| schema.index_of(name).ok();
    match (python.on_error, python.mode) {
        (OnError::Quarantine, PythonMode::Batch) => match request.errors {
            Some(errors) => Shape::Quarantine(errors.clone()),
            None => Shape::Fail,
        },
        (OnError::Null, PythonMode::Batch) => {
            let kept = python.key.iter().filter_map(|name| place(plain, name).zip(place(&request.output, name)));
            Shape::Null(kept.collect())
        }
        (OnError::Fail, _) | (_, PythonMode::Table { .. }) => Shape::Fail,
    }
}

/// Returns work that tells all failures of a few rows, whatever the node's policy.
pub(crate) fn for_trying(mut work: Work, request: &WorkRequest<'_>, input: &SchemaRef) -> Result<Work, Error> {
    if request.python.mode == PythonMode::Batch {
        let plain = handed_over(&request.node.name, input)?;
        let rows = error_layout::rows(request.node, plain, Broken::Nowhere, Stamp::default());
        work.shape = Shape::Quarantine(rows);
        work.program.isolate = true;
    }
    work.limit = Limit::None;
    Ok(work)
}

fn code(python: &PythonTransform) -> TransformCode {
    TransformCode {
        file: python.code.path.clone(),
        object: python.code.object.clone(),
        is_class: python.code.is_class,
        batch_format: batch_format(python.code.batch_format),
        rows: match python.rows {
            PythonRows::OneToOne => RowsMode::OneToOne,
            PythonRows::Many => RowsMode::Many,
        },
        mode: match python.mode {
            PythonMode::Batch => InputMode::Batch,
            PythonMode::Table { .. } => InputMode::Table,
        },
        rowwise: python.rowwise,
        key: python.key.clone(),
        constructor_args: python.constructor_args.clone(),
        constructor_kwargs: python.constructor_kwargs.clone(),
        fn_args: python.fn_args.clone(),
        fn_kwargs: python.fn_kwargs.clone(),
        copy_inputs: python.copy_inputs,
    }
}
