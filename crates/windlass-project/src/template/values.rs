//! Carries values between YAML, Jinja and JSON.

use minijinja::Value as Jinja;
use minijinja::value::ValueKind;
use serde_json::Value as Json;
use windlass_error::Location;

use crate::yaml::{Entry, Scalar, Value, Yaml};

/// Returns what a template sees of a YAML value.
pub(crate) fn to_jinja(yaml: &Yaml) -> Jinja {
    match &yaml.value {
        Value::List(items) => items.iter().map(to_jinja).collect(),
        Value::Map(entries) => {
            Jinja::from_pairs(entries.iter().map(|entry| (entry.key.clone(), to_jinja(&entry.value))))
        }
        Value::Scalar(scalar) => {
            if scalar.is_null() {
                Jinja::from(())
            } else if let Some(flag) = scalar.as_bool() {
                Jinja::from(flag)
            } else if let Some(number) = scalar.as_int() {
                Jinja::from(number)
            } else if let Some(number) = scalar.as_float() {
                Jinja::from(number)
            } else {
                Jinja::from(scalar.text.as_str())
            }
        }
    }
}

/// Returns what Python sees of a value.
pub(crate) fn to_json(value: &Jinja) -> Json {
    let items = || value.try_iter().into_iter().flatten();
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number => match i64::try_from(value.clone()) {
            Ok(number) if value.is_integer() => Json::from(number),
            _ => f64::try_from(value.clone()).ok().map_or(Json::Null, Json::from),
        },
        ValueKind::Seq | ValueKind::Iterable => items().map(|item| to_json(&item)).collect(),
        ValueKind::Map => {
            let entry = |key: Jinja| (key.to_string(), to_json(&value.get_item(&key).unwrap_or_default()));
            Json::Object(items().map(entry).collect())
        }
        _ => Json::String(value.to_string()),
    }
}

/// Returns an argument of `config()` as YAML that stands at `at`.
pub(crate) fn to_yaml(value: &Jinja, at: &Location) -> Yaml {
    let scalar = |text: String, plain: bool| Value::Scalar(Scalar { text, plain, written: None });
    let items = || value.try_iter().into_iter().flatten();
    let value = match value.kind() {
        ValueKind::Undefined | ValueKind::None => scalar(String::new(), true),
        ValueKind::Bool | ValueKind::Number => scalar(value.to_string(), true),
        ValueKind::Seq | ValueKind::Iterable => Value::List(items().map(|item| to_yaml(&item, at)).collect()),
        ValueKind::Map => Value::Map(items().map(|key| entry(&key.to_string(), value, at)).collect()),
        _ => scalar(value.to_string(), false),
    };
    Yaml { value, at: at.clone() }
}

fn entry(key: &str, map: &Jinja, at: &Location) -> Entry {
    let value = map.get_attr(key).unwrap_or_default();
    Entry { key: key.to_owned(), key_at: at.clone(), value: to_yaml(&value, at) }
}
