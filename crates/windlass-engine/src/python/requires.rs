//! `requires`: rules in the user's words, as conditions that the engine evaluates before Python sees a row.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchema};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable};
use datafusion::prelude::SessionContext;
use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic, Location};
use windlass_project::{Node, OnError, Project, PythonTransform, Requirement, Rule, SourceMap, Transform};

use crate::Error;
use crate::operators::python::Precondition;
use crate::planner::diagnose;
use crate::tables::schema;

/// Returns the rules of `requires` as boolean expressions over the input.
///
/// # Errors
///
/// [`Error::Mistakes`] for SQL that does not fit, each at its place in the Python file.
pub(crate) fn requirements(
    context: &SessionContext,
    project: &Project,
    (node, python): (&Node, &PythonTransform),
    input: &DFSchema,
) -> Result<Vec<Expr>, Error> {
    let state = context.state();
    let mut rules = Vec::with_capacity(python.requires.len());
    let mut mistakes = Vec::new();
    for Requirement { rule, location } in &python.requires {
        match rule {
            Rule::NotNull(column) => rules.push(Expr::Column(Column::from_name(column)).is_not_null()),
            Rule::Sql(sql) => match condition(&state, project, &written(node, location), (sql, location), input) {
                Ok(rule) => rules.push(rule),
                Err(mistake) => mistakes.push(*mistake),
            },
        }
    }
    match mistakes.is_empty() {
        true => Ok(rules),
        false => Err(Error::Mistakes { diagnostics: mistakes }),
    }
}

/// Returns what each rule tells a row that breaks it, in the order of [`requirements`].
pub(crate) fn violations(python: &PythonTransform) -> Vec<String> {
    let words = python.requires.iter().map(|requirement| match &requirement.rule {
        Rule::NotNull(column) => format!("`{column}` is null"),
        Rule::Sql(sql) => format!("not: {sql}"),
    });
    words.collect()
}

/// Returns the rules as the operator evaluates them.
pub(crate) fn preconditions(
    context: &SessionContext,
    python: &PythonTransform,
    rules: Vec<Expr>,
    input: &DFSchema,
) -> Result<Vec<Precondition>, DataFusionError> {
    let state = context.state();
    let words = violations(python);
    rules
        .into_iter()
        .zip(words)
        .map(|(rule, violation)| Ok(Precondition { holds: state.create_physical_expr(rule, input)?, violation }))
        .collect()
}

/// Returns the node as it stands behind mistakes of a rule: what has no place of its own in the SQL is
/// told at the rule.
fn written(node: &Node, location: &Location) -> Node {
    Node { location: location.clone(), ..node.clone() }
}

/// Returns a rule's SQL as a condition on one row of the input.
fn condition(
    state: &SessionState,
    project: &Project,
    node: &Node,
    (sql, location): (&str, &Location),
    input: &DFSchema,
) -> Result<Expr, Box<Diagnostic>> {
    let mistake = |code, message: String| Diagnostic::error(code, message).at(location.clone()).node(&node.name);
    let transform = Transform {
        sql: sql.to_string(),
        map: SourceMap::literal(location, sql),
        inputs: Vec::new(),
        vars: IndexMap::new(),
        incremental: None,
        on_error: OnError::Null,
    };
    let wrong = |error: DataFusionError| -> Box<Diagnostic> {
        let called = diagnose::unknown_function(&error).and_then(|name| project.functions.get(&name));
        Box::new(match called {
            Some(function) => {
                let message = format!("`{}` is Python, and `requires` is evaluated before Python", function.name);
                mistake(Code::FUNCTION, message)
                    .related(function.location.clone(), "the function")
                    .hint("call it in the SQL that the transform reads and require its column, or use `reject`")
            }
            None => diagnose::planning(project, node, &transform, state, &error),
        })
    };
    let rule = state.create_logical_expr(sql, input).map_err(wrong)?;
    if looks_beyond_the_row(&rule) {
        let message = "`requires` is a condition on one row: no aggregate, window function or subquery";
        let hint = "compute it in the SQL that the transform reads and require its column";
        return Err(Box::new(mistake(Code::INVALID_SQL, message.to_string()).hint(hint)));
    }
    match rule.get_type(input).map_err(wrong)? {
        DataType::Boolean => {}
        other => {
            let message = format!("`{sql}` is of type {}, not boolean", schema::sql_type(&other));
            let hint = "write a condition, such as `x > 0`";
            return Err(Box::new(mistake(Code::TYPE_MISMATCH, message).hint(hint)));
        }
    }
    // Types are brought together here, and show whether they fit.
    state.create_physical_expr(rule.clone(), input).map_err(wrong)?;
    Ok(rule)
}

fn looks_beyond_the_row(rule: &Expr) -> bool {
    let looks = |expr: &Expr| {
        Ok(matches!(
            expr,
            Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
                | Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
        ))
    };
    rule.exists(looks).unwrap_or(false)
}
