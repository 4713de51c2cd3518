//! Python transforms: what they read and what they answer.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Column as ColumnName, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::SessionContext;
use windlass_error::{Code, Diagnostic, nearest};
use windlass_project::{Input, Node, Project, PythonMode, PythonTransform, Requirement, Rule};

use super::requires::requirements;
use crate::Error;
use crate::planner::output;
use crate::tables::{contract, schema};

/// Returns the query whose rows a transform of batches gets: the columns that it reads, in the
/// input's order, and those that its key and `requires` name.
///
/// # Errors
///
/// [`Error::Mistakes`] for columns that the input does not have.
pub(crate) async fn input_query(
    context: &SessionContext,
    project: &Project,
    node: &Node,
    python: &PythonTransform,
) -> Result<LogicalPlan, Error> {
    let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
    let table = context.table(reference(&python.inputs[0])).await.map_err(failed)?;
    let all: Vec<String> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mistakes = unknown_columns(node, python, &all);
    if !mistakes.is_empty() {
        return Err(Error::Mistakes { diagnostics: mistakes });
    }
    let rules = requirements(context, project, (node, python), table.schema())?;
    let wanted = |column: &String| match &python.input_columns {
        None => true,
        Some(read) => {
            let in_rules = rules.iter().any(|rule| rule.column_refs().iter().any(|named| named.name == *column));
            let is_time = node.slices_by().is_some_and(|time| time == column);
            read.contains(column) || python.key.contains(column) || in_rules || is_time
        }
    };
    let columns = all.iter().filter(|column| wanted(column));
    let columns: Vec<Expr> = columns.map(|column| Expr::Column(ColumnName::from_name(column))).collect();
    Ok(table.select(columns).map_err(failed)?.into_unoptimized_plan())
}

/// Returns the queries whose rows a transform of whole tables gets, one for each input.
pub(crate) async fn table_queries(
    context: &SessionContext,
    node: &Node,
    python: &PythonTransform,
) -> Result<Vec<LogicalPlan>, Error> {
    let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
    let mut queries = Vec::with_capacity(python.inputs.len());
    for input in &python.inputs {
        queries.push(context.table(reference(input)).await.map_err(failed)?.into_unoptimized_plan());
    }
    Ok(queries)
}

/// Returns the name under which a context knows an input.
pub(crate) fn reference(input: &Input) -> TableReference {
    let name = input.table();
    match name.split_once('.') {
        Some((schema, table)) => TableReference::partial(schema, table),
        None => TableReference::bare(name),
    }
}

fn unknown_columns(node: &Node, python: &PythonTransform, known: &[String]) -> Vec<Diagnostic> {
    let input = &python.inputs[0].reference;
    let mistake = |column: &str, what: &str, location| {
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        let mistake =
            Diagnostic::error(Code::UNKNOWN_COLUMN, format!("no column `{column}` in `{input}`, named by {what}"))
                .at(location)
                .note(format!("columns: {}", contract::listing(&names)))
                .node(&node.name);
        match nearest(column, names) {
            Some(near) => mistake.label(format!("did you mean `{near}`?")),
            None => mistake,
        }
    };
    let is_unknown = |column: &&String| !known.contains(column);
    let mut mistakes = Vec::new();
    for column in python.input_columns.iter().flatten().filter(is_unknown) {
        mistakes.push(mistake(column, "`input_columns`", node.location.clone()));
    }
    for Requirement { rule, location } in &python.requires {
        if let Rule::NotNull(column) = rule
            && !known.contains(column)
        {
            mistakes.push(mistake(column, "`requires`", location.clone()));
        }
    }
    mistakes
}

/// Returns the columns of the table that a transform publishes.
///
/// # Errors
///
/// [`Error::Mistakes`] with everything that stands in the way.
pub(crate) async fn planned_columns(
    context: &SessionContext,
    node: &Node,
    python: &PythonTransform,
) -> Result<SchemaRef, Error> {
    let declared = contract::declared(context, node).await.map_err(|diagnostics| Error::Mistakes { diagnostics })?;
    let fields: Vec<Field> = declared
        .iter()
        .map(|declared| Field::new(&declared.column.name, declared.data_type.clone().unwrap_or(DataType::Null), true))
        .collect();
    let result = Schema::new(fields);
    let mut mistakes = output::declared_columns(node, &result);
    let known: Vec<&str> = result.fields().iter().map(|field| field.name().as_str()).collect();
    let is_batch = python.mode == PythonMode::Batch;
    for column in python.key.iter().filter(|column| is_batch && !known.contains(&column.as_str())) {
        let message = format!("`key` of `{}` names column `{column}`, which `columns` does not have", node.name);
        let mistake = Diagnostic::error(Code::UNKNOWN_COLUMN, message).at(node.location.clone());
        mistakes.push(mistake.note(format!("columns: {}", contract::listing(&known))).node(&node.name));
    }
    match mistakes.is_empty() {
        true => schema::published(&node.name, &result),
        false => Err(Error::Mistakes { diagnostics: mistakes }),
    }
}

/// Returns how a transform is called, as text; part of the fingerprint beside its files, variables and
/// packages.
pub(crate) fn definition(node: &Node, python: &PythonTransform) -> String {
    let PythonTransform {
        code,
        inputs,
        arguments,
        mode,
        input_columns,
        key,
        requires,
        // Rows of a call and how often to try change no row of the result.
        batch_size: _,
        rows,
        rowwise,
        on_error,
        constructor_args,
        constructor_kwargs,
        fn_args,
        fn_kwargs,
        copy_inputs: _,
        deterministic: _,
    } = python;
    let columns: Vec<String> = node
        .columns
        .iter()
        .map(|column| format!("{}: {}", column.name, column.data_type.as_deref().unwrap_or("any")))
        .collect();
    let rules: Vec<&Rule> = requires.iter().map(|requirement| &requirement.rule).collect();
    let tables: Vec<String> = inputs.iter().map(|input| input.table()).collect();
    [
        format!("python {} {:?}", code.object, code.batch_format),
        format!("reads {tables:?} {arguments:?} {mode:?} {input_columns:?} {rules:?}"),
        format!("answers {columns:?} {key:?} {rows:?} {rowwise} {on_error:?}"),
        format!("arguments {constructor_args:?} {constructor_kwargs:?} {fn_args:?} {fn_kwargs:?}"),
    ]
    .join("\n")
}

/// Returns plain columns for Python: no views and no dictionaries, all nullable.
///
/// # Errors
///
/// [`Error::UnsupportedType`] names the first column of a type that is not handed over.
pub(crate) fn handed_over(node: &str, input: &Schema) -> Result<SchemaRef, Error> {
    schema::published(node, input).map(|plain| Arc::new(plain.as_ref().clone()))
}
