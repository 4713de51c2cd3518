//! Declared columns as a contract: what a file must bring, and how its absence is reported.

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::prelude::SessionContext;
use windlass_error::{Code, Diagnostic, Location, nearest};
use windlass_project::{Column, Node};

use super::schema::sql_type;

/// A declared column with its type understood.
#[derive(Debug, Clone)]
pub(crate) struct DeclaredColumn<'a> {
    /// What the user wrote.
    pub(crate) column: &'a Column,
    /// Its type; `None` where it is left open.
    pub(crate) data_type: Option<DataType>,
}

/// Reads the declared types of a node.
///
/// # Errors
///
/// One diagnostic for each type that SQL does not know.
pub(crate) async fn declared<'a>(
    context: &SessionContext,
    node: &'a Node,
) -> Result<Vec<DeclaredColumn<'a>>, Vec<Diagnostic>> {
    let mut columns = Vec::with_capacity(node.columns.len());
    let mut mistakes = Vec::new();
    for column in &node.columns {
        let data_type = match &column.data_type {
            None => None,
            Some(text) => match parse_type(context, text).await {
                Some(data_type) => Some(data_type),
                None => {
                    mistakes.push(unknown_type(node, column, text));
                    None
                }
            },
        };
        columns.push(DeclaredColumn { column, data_type });
    }
    if mistakes.is_empty() { Ok(columns) } else { Err(mistakes) }
}

/// Returns the Arrow type of a SQL type name.
pub(crate) async fn parse_type(context: &SessionContext, text: &str) -> Option<DataType> {
    let alias = match text.trim().to_lowercase().as_str() {
        "string" => "varchar",
        "timestamptz" => "timestamp with time zone",
        "int64" => "bigint",
        "int32" => "int",
        "int16" => "smallint",
        "int8" => "tinyint",
        "float64" => "double",
        "float32" => "float",
        "bool" => "boolean",
        _ => text,
    };
    if alias.contains([';', '\'', '"']) {
        return None;
    }
    let plan = context.state().create_logical_plan(&format!("select cast(null as {alias})")).await.ok()?;
    let data_type = plan.schema().field(0).data_type().clone();
    (data_type != DataType::Null).then_some(data_type)
}

fn unknown_type(node: &Node, column: &Column, text: &str) -> Diagnostic {
    not_a_type(text, &column.location).node(&node.name)
}

/// Returns the mistake that a text is no name of a type.
pub(crate) fn not_a_type(text: &str, location: &Location) -> Diagnostic {
    let known = [
        "boolean",
        "tinyint",
        "smallint",
        "int",
        "bigint",
        "float",
        "double",
        "decimal",
        "varchar",
        "string",
        "date",
        "timestamp",
        "timestamptz",
        "binary",
    ];
    let mistake = Diagnostic::error(Code::INVALID_VALUE, format!("`{text}` is not a SQL type"))
        .at(location.clone())
        .hint("use a SQL type such as bigint, double, decimal(18, 2), varchar, date or timestamp");
    match nearest(text, known) {
        Some(near) => mistake.label(format!("did you mean `{near}`?")),
        None => mistake,
    }
}

/// Returns what a file or table lacks of its contract. `found_in` names it for people.
pub(crate) fn violations(
    node: &Node,
    declared: &[DeclaredColumn<'_>],
    found: &Schema,
    found_in: &str,
) -> Vec<Diagnostic> {
    declared
        .iter()
        .filter_map(|declared| {
            let column = declared.column;
            match (found.field_with_name(&column.name), &declared.data_type) {
                (Err(_), _) => Some(missing(node, column, found, found_in)),
                (Ok(field), Some(expected)) if sql_type(field.data_type()) != sql_type(expected) => {
                    Some(changed(node, column, expected, field.data_type(), found_in))
                }
                _ => None,
            }
        })
        .collect()
}

fn missing(node: &Node, column: &Column, found: &Schema, found_in: &str) -> Diagnostic {
    let names: Vec<&str> = found.fields().iter().map(|field| field.name().as_str()).collect();
    let mistake = Diagnostic::error(Code::MISSING_COLUMN, format!("column `{}` is missing in {found_in}", column.name))
        .at(column.location.clone())
        .note(format!("expected: `{}` {}", column.name, column.data_type.as_deref().unwrap_or("of any type")))
        .note(format!("found: {}", listing(&names)))
        .hint("correct the file, or the declaration if the column is gone for good")
        .node(&node.name);
    match nearest(&column.name, names.iter().copied()) {
        Some(near) => mistake.label(format!("the file has `{near}`")),
        None => mistake,
    }
}

fn changed(node: &Node, column: &Column, expected: &DataType, found: &DataType, found_in: &str) -> Diagnostic {
    let (expected, found) = (sql_type(expected), sql_type(found));
    let message = format!("column `{}` of {found_in} has type {found}, not {expected}", column.name);
    Diagnostic::error(Code::CHANGED_TYPE, message)
        .at(column.location.clone())
        .note(format!("expected: {expected}"))
        .note(format!("found: {found}"))
        .hint("correct the file, or declare the new type if the change is wanted")
        .node(&node.name)
}

/// Returns up to twelve names, separated by commas.
pub(crate) fn listing(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "no columns".to_string(),
        count if count > SHOWN => format!("{} and {} more", shown.join(", "), count - SHOWN),
        _ => shown.join(", "),
    }
}
