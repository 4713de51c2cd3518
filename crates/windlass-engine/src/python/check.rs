//! Puts the operator of a check in Python together, and finds what keeps one from being asked.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_plan::ExecutionPlan;
use windlass_error::{Code, Diagnostic};
use windlass_project::checks::{CheckDefinition, CheckKind};
use windlass_project::{BatchSize, Node, Project, PythonCheck};
use windlass_worker::{Environment, InputMode, Program, Role, RowsMode, TransformCode};

use super::{batch_format, code_hash, handed_over, lib_folders, pool_settings};
use crate::estimates::exact_rows;
use crate::operators::python::{Limit, Shape, Work};
use crate::{Engine, Error};

/// The column behind those of the table that says of each row whether it is good.
const HOLDS: &str = "\u{1}holds";

/// What a check's operator is made from.
pub(crate) struct CheckRequest<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// The node of its table.
    pub(crate) node: &'a Node,
    /// The check.
    pub(crate) check: &'a PythonCheck,
    /// Its packages.
    pub(crate) environment: Environment,
}

impl Engine {
    /// Prepares the environments of a node's checks, so that one that cannot be made is known before the
    /// table is computed.
    ///
    /// # Errors
    ///
    /// [`Error::Compute`] at the line of the check.
    pub(crate) async fn prepare_checks(&self, project: &Project, node: &Node) -> Result<(), Error> {
        for (definition, check) in in_python(node) {
            self.environment(project, &standing(node, definition), &check.code.environment).await?;
        }
        Ok(())
    }

    /// Returns what workers do with the rows of `input`: whether each is good, behind its columns.
    pub(crate) fn check_work(&self, input: &Arc<dyn ExecutionPlan>, request: CheckRequest<'_>) -> Result<Work, Error> {
        let CheckRequest { project, node, check, environment } = request;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let columns = input.schema();
        let sent = sent(check, &columns);
        let handed = columns.project(&sent).map_err(|error| failed(error.into()))?;
        let of = |index: &usize| col(columns.field(*index).name(), &columns);
        let arguments = sent.iter().map(of).collect::<Result<Vec<Arc<dyn PhysicalExpr>>, DataFusionError>>();
        let program = Program {
            node: node.name.clone(),
            environment,
            role: Role::Transform(Box::new(code(check))),
            input: handed_over(&node.name, &handed)?,
            output: Arc::new(Schema::new(vec![Field::new(HOLDS, DataType::Boolean, true)])),
            root: project.root.clone(),
            lib: lib_folders(project),
            code_hash: code_hash(&check.code),
            vars: check.code.vars.clone(),
            // An exception is no answer: no row is to blame for it.
            isolate: false,
            settings: pool_settings(&check.code.workers, self.session.settings().threads),
        };
        Ok(Work {
            program,
            arguments: arguments.map_err(failed)?,
            requires: Vec::new(),
            batch_rows: match check.batch_size {
                BatchSize::Auto => None,
                BatchSize::Rows(rows) => Some(rows as usize),
            },
            shape: Shape::Append,
            limit: Limit::None,
            expected_rows: exact_rows(input),
        })
    }
}

/// Returns the checks of a node that are asked in Python.
pub(crate) fn in_python(node: &Node) -> impl Iterator<Item = (&CheckDefinition, &PythonCheck)> {
    node.checks.iter().filter_map(|definition| match &definition.kind {
        CheckKind::Python(check) => Some((definition, check.as_ref())),
        _ => None,
    })
}

/// Returns a node that stands where a check is defined, for messages.
pub(crate) fn standing(node: &Node, definition: &CheckDefinition) -> Node {
    let location = definition.location.clone();
    Node { file: Arc::clone(&location.file), location, checks: Vec::new(), ..node.clone() }
}

/// Returns what is wrong with a check whose columns are known: values that Python is not given.
pub(crate) fn check_mistake(node: &Node, definition: &CheckDefinition, schema: &SchemaRef) -> Option<Diagnostic> {
    let CheckKind::Python(check) = &definition.kind else { return None };
    let handed = schema.project(&sent(check, schema)).ok()?;
    let error = handed_over(&node.name, &handed).err()?;
    let mistake = Diagnostic::error(Code::INVALID_CHECK, error.to_string()).at(definition.location.clone());
    Some(mistake.node(&node.name).hint("name the columns that the check reads: `columns=[...]`"))
}

/// Returns the places of the columns that a check is handed.
fn sent(check: &PythonCheck, schema: &SchemaRef) -> Vec<usize> {
    match &check.columns {
        None => (0..schema.fields().len()).collect(),
        Some(columns) => columns.iter().filter_map(|column| schema.index_of(&column.text).ok()).collect(),
    }
}

fn code(check: &PythonCheck) -> TransformCode {
    TransformCode {
        file: check.code.path.clone(),
        object: check.code.object.clone(),
        is_class: check.code.is_class,
        batch_format: batch_format(check.code.batch_format),
        // This is what makes the worker take it for a check.
        rows: RowsMode::EveryRow,
        mode: InputMode::Batch,
        rowwise: true,
        key: Vec::new(),
        constructor_args: check.constructor_args.clone(),
        constructor_kwargs: check.constructor_kwargs.clone(),
        fn_args: check.fn_args.clone(),
        fn_kwargs: check.fn_kwargs.clone(),
        copy_inputs: check.copy_inputs,
    }
}
