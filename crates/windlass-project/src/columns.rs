//! Declared columns, the same in sources and in properties files.

use windlass_error::Location;

use crate::Column;
use crate::decode::{Fields, expected, named, text};
use crate::problems::Problems;
use crate::yaml::{Value, Yaml};

const KEYS: [&str; 2] = ["description", "type"];

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
