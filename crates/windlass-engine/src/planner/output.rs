//! What a transform's result must be, to become a table: named columns, once each, of types that a
//! Delta table holds, and the declared ones among them.

use std::collections::HashMap;

use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::prelude::SessionContext;
use windlass_error::{Code, Diagnostic, Location};
use windlass_project::{Node, Transform};

use super::spans::Places;
use crate::Error;
use crate::tables::{contract, schema};

/// Characters that the Parquet format of Delta tables refuses in names.
const REFUSED: &[char] = &[' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='];

/// Returns the columns of the table that a result becomes.
///
/// # Errors
///
/// [`Error::Mistakes`] with everything that stands in the way.
pub(crate) async fn published(
    context: &SessionContext,
    node: &Node,
    transform: &Transform,
    result: &Schema,
) -> Result<SchemaRef, Error> {
    let places = Places::new(transform);
    let mut mistakes = names(node, &places, result);
    mistakes.extend(types(node, &places, result));
    match contract::declared(context, node).await {
        Ok(declared) => {
            mistakes.extend(contract::violations(node, &declared, result, &format!("the result of `{}`", node.name)))
        }
        Err(unknown) => mistakes.extend(unknown),
    }
    mistakes.extend(settings(node, result));
    mistakes.extend(partition_types(node, result));
    if !mistakes.is_empty() {
        return Err(Error::Mistakes { diagnostics: mistakes });
    }
    schema::published(&node.name, result)
}

/// Returns what stands in the way of columns that a node declares and computes elsewhere.
pub(crate) fn declared_columns(node: &Node, declared: &Schema) -> Vec<Diagnostic> {
    let mut mistakes = Vec::new();
    for (column, field) in node.columns.iter().zip(declared.fields()) {
        let wrong =
            |code, message: String| Diagnostic::error(code, message).at(column.location.clone()).node(&node.name);
        if column.name.contains(REFUSED) || column.name.is_empty() {
            let message = format!("`{}` cannot be the name of a column", column.name);
            mistakes.push(wrong(Code::UNNAMED_COLUMN, message).hint("use a name without spaces and brackets"));
        }
        if column.data_type.is_none() {
            let message = format!("column `{}` of `{}` needs a type", column.name, node.name);
            mistakes.push(wrong(Code::MISSING_KEY, message).hint("declare it: columns={\"id\": \"bigint\"}"));
        } else if schema::published(&node.name, &Schema::new(vec![field.as_ref().clone()])).is_err() {
            let data_type = schema::sql_type(field.data_type());
            let message = format!("column `{}` has type {data_type}, which a Delta table cannot hold", column.name);
            mistakes.push(wrong(Code::TYPE_MISMATCH, message).hint("declare another type, such as varchar or bigint"));
        }
        let same = |other: &&windlass_project::Column| other.name.eq_ignore_ascii_case(&column.name);
        if node.columns.iter().filter(same).count() > 1 {
            let message = format!("`{}` has two columns `{}`", node.name, column.name);
            mistakes.push(wrong(Code::DUPLICATE_COLUMN, message).hint("letter case does not tell columns apart"));
        }
    }
    mistakes.extend(settings(node, declared));
    mistakes.extend(partition_types(node, declared));
    mistakes
}

fn names(node: &Node, places: &Places<'_>, result: &Schema) -> Vec<Diagnostic> {
    let mut first_seen: HashMap<String, usize> = HashMap::new();
    let mut mistakes = Vec::new();
    let place = |mistake: Diagnostic, index: usize| match places.of_output(index) {
        Some(location) => mistake.at(location),
        None => mistake.at(node.location.clone()),
    };
    for (index, field) in result.fields().iter().enumerate() {
        let name = field.name();
        if name.contains(REFUSED) || name.is_empty() {
            let mistake =
                Diagnostic::error(Code::UNNAMED_COLUMN, format!("column `{name}` of `{}` needs a name", node.name))
                    .hint("add a name without spaces and brackets: `... as name`")
                    .node(&node.name);
            mistakes.push(place(mistake, index));
        } else if let Some(&first) = first_seen.get(&name.to_lowercase()) {
            let message = format!("`{}` has two columns `{name}`", node.name);
            let mut mistake = Diagnostic::error(Code::DUPLICATE_COLUMN, message)
                .hint("rename one with `as`, or leave it out; letter case does not tell columns apart")
                .node(&node.name);
            if let Some(location) = places.of_output(first) {
                mistake = mistake.related(location, "first here");
            }
            mistakes.push(place(mistake, index));
        } else {
            first_seen.insert(name.to_lowercase(), index);
        }
    }
    mistakes
}

fn types(node: &Node, places: &Places<'_>, result: &Schema) -> Vec<Diagnostic> {
    let mut mistakes = Vec::new();
    for (index, field) in result.fields().iter().enumerate() {
        let single = Schema::new(vec![field.as_ref().clone()]);
        let Err(Error::UnsupportedType { column, data_type, .. }) = schema::published(&node.name, &single) else {
            continue;
        };
        let untyped = field.data_type() == &DataType::Null;
        let message = match untyped {
            true => format!("column `{column}` of `{}` is always NULL and has no type", node.name),
            false => {
                format!("column `{column}` of `{}` has type {data_type}, which a Delta table cannot hold", node.name)
            }
        };
        let hint =
            if untyped { "say which: `cast(null as varchar)`" } else { "cast it, for example to varchar or bigint" };
        let location = places.of_output(index).unwrap_or_else(|| node.location.clone());
        mistakes.push(Diagnostic::error(Code::TYPE_MISMATCH, message).at(location).hint(hint).node(&node.name));
    }
    mistakes
}

/// Returns the columns of `partition_by` whose values have no form as text, which folders need.
fn partition_types(node: &Node, result: &Schema) -> Vec<Diagnostic> {
    let columns = node.config.partition_by.iter().filter_map(|name| result.field_with_name(name).ok());
    columns
        .filter(|field| field.data_type().is_nested() || schema::sql_type(field.data_type()) == "binary")
        .map(|field| {
            let data_type = schema::sql_type(field.data_type());
            let message =
                format!("`partition_by` of `{}` names column `{}` of type {data_type}", node.name, field.name());
            let place = node.config.origins.get("partition_by").and_then(|origin| place_in(node, origin));
            Diagnostic::error(Code::TYPE_MISMATCH, message)
                .at(place.unwrap_or_else(|| node.location.clone()))
                .hint("partition by a number, a text, a date or a boolean")
                .node(&node.name)
        })
        .collect()
}

/// Returns the settings that name columns which the result does not have.
fn settings(node: &Node, result: &Schema) -> Vec<Diagnostic> {
    let sort_columns = node.config.sort_by.iter().map(|key| ("sort_by", &key.column));
    let named = node.config.partition_by.iter().map(|column| ("partition_by", column)).chain(sort_columns);
    let known: Vec<&str> = result.fields().iter().map(|field| field.name().as_str()).collect();
    named
        .filter(|(_, column)| !known.contains(&column.as_str()))
        .map(|(key, column)| {
            let message = format!("`{key}` of `{}` names column `{column}`, which the result does not have", node.name);
            let mut mistake = Diagnostic::error(Code::UNKNOWN_COLUMN, message)
                .at(node.location.clone())
                .note(format!("columns: {}", contract::listing(&known)))
                .node(&node.name);
            match node.config.origins.get(key).map(|origin| (origin, place_in(node, origin))) {
                Some((_, Some(place))) => mistake = mistake.at(place),
                Some((origin, None)) => mistake = mistake.note(format!("`{key}` is set at {origin}")),
                None => {}
            }
            match windlass_error::nearest(column, known.iter().copied()) {
                Some(near) => mistake.hint(format!("did you mean `{near}`?")),
                None => mistake,
            }
        })
        .collect()
}

/// Returns an origin such as `transforms/t.sql:3:5` as a place, when it is in the node's own file.
pub(super) fn place_in(node: &Node, origin: &str) -> Option<Location> {
    let rest = origin.strip_prefix(node.file.path.to_str()?)?.strip_prefix(':')?;
    let (line, column) = rest.split_once(':')?;
    let start = node.file.offset(line.parse().ok()?, column.parse().ok()?);
    Some(Location::new(&node.file, start..start + 1))
}
