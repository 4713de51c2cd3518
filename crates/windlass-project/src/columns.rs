//! Declared columns, the same in sources and in properties files.

use windlass_error::{Code, Diagnostic, Location, nearest};

use crate::Column;
use crate::decode::{Fields, expected, list, named, text};
use crate::problems::Problems;
use crate::yaml::{Value, Yaml};

/// Checks of a column are decoded with those of its table.
const KEYS: [&str; 5] = ["checks", "data_tests", "description", "tests", "type"];

/// Decodes the key `columns`: a list of `- name:` or of names, or a map by name, where
/// `id: bigint` is short for `id: {type: bigint}`.
pub(crate) fn decode_columns(fields: Fields<'_>, problems: &mut Problems) -> Vec<Column> {
    let Some(yaml) = fields.value("columns") else { return Vec::new() };
    if let Value::Map(entries) = &yaml.value {
        return entries.iter().filter_map(|entry| column(&entry.key, &entry.key_at, &entry.value, problems)).collect();
    }
    let mut columns = Vec::new();
    for item in named(yaml, "`columns`", problems) {
        let what = format!("column `{}`", item.name);
        if let Some(fields) = item.fields(&what, &KEYS, problems) {
            columns.push(from_fields(&item.name, &item.at, fields, problems));
        }
    }
    columns
}

/// Words of SQL for one type, as far as they are sure to mean the same.
const SAME_TYPES: [&[&str]; 6] = [
    &["bigint", "int64", "long"],
    &["int", "integer", "int32"],
    &["smallint", "int16"],
    &["double", "double precision", "float64"],
    &["varchar", "string", "text"],
    &["boolean", "bool"],
];

/// Adds what a properties file says about columns that a Python file declares; reports those that it
/// does not declare, and other types.
pub(crate) fn describe(columns: &mut [Column], properties: &[Column], problems: &mut Problems) {
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    for said in properties {
        let Some(column) = columns.iter_mut().find(|column| column.name == said.name) else {
            let message = format!("the Python file declares no column `{}`", said.name);
            let problem = Diagnostic::error(Code::INVALID_VALUE, message).at(said.location.clone());
            problems.push(match nearest(&said.name, names.iter().map(String::as_str)) {
                Some(near) => problem.label(format!("did you mean `{near}`?")),
                None => problem.hint(format!("its `columns` are {}", list(&names))),
            });
            continue;
        };
        column.description.clone_from(&said.description);
        if let (Some(declared), Some(other)) = (&column.data_type, &said.data_type)
            && !is_same_type(declared, other)
        {
            let message = format!("column `{}` is declared as `{declared}` and as `{other}`", said.name);
            problems.push(
                Diagnostic::error(Code::INVALID_VALUE, message)
                    .at(said.location.clone())
                    .related(column.location.clone(), "declared here")
                    .hint("the type in the Python file decides: remove the one beside it"),
            );
        }
    }
}

fn is_same_type(left: &str, right: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    let (left, right) = (plain(left), plain(right));
    left == right || SAME_TYPES.iter().any(|same| same.contains(&left.as_str()) && same.contains(&right.as_str()))
}

fn column(name: &str, at: &Location, body: &Yaml, problems: &mut Problems) -> Option<Column> {
    let what = format!("column `{name}`");
    match &body.value {
        Value::Scalar(scalar) if !scalar.is_null() => {
            let data_type = text(body, "type", problems);
            Some(Column { name: name.to_owned(), data_type, description: None, location: at.clone() })
        }
        Value::List(_) => {
            problems.push(expected("a type or a map", &what, body));
            None
        }
        _ => Fields::open(body, &what, &KEYS, problems).map(|fields| from_fields(name, at, fields, problems)),
    }
}

fn from_fields(name: &str, at: &Location, fields: Fields<'_>, problems: &mut Problems) -> Column {
    Column {
        name: name.to_owned(),
        data_type: fields.text("type", problems),
        description: fields.text("description", problems),
        location: at.clone(),
    }
}
