//! What `windlass diff --format json` prints.

use arrow::array::RecordBatch;
use serde::Serialize;
use serde_json::value::RawValue;
use windlass_engine::{ColumnChange, DiffRequest, DifferingRow, OtherTable, TableDiff};

use super::json_rows;

/// `windlass.diff/1`.
#[derive(Debug, Serialize)]
pub(crate) struct DiffReport {
    table: DiffSide,
    other: DiffSide,
    equal: bool,
    column_changes: Vec<WireColumnChange>,
    key: Vec<String>,
    is_key_unique: Option<bool>,
    missing_rows: u64,
    extra_rows: u64,
    changed_rows: u64,
    columns: Vec<DifferingColumn>,
    examples: Vec<WireDifferingRow>,
}

/// A table at a version.
#[derive(Debug, Serialize)]
struct DiffSide {
    name: String,
    env: String,
    version: u64,
    rows: u64,
}

/// A column that is not the same on both sides.
#[derive(Debug, Serialize)]
struct WireColumnChange {
    name: String,
    change: &'static str,
    #[serde(rename = "type")]
    data_type: Option<String>,
    other_type: Option<String>,
}

/// A column whose values differ.
#[derive(Debug, Serialize)]
struct DifferingColumn {
    name: String,
    rows: Option<u64>,
}

/// A row that differs.
#[derive(Debug, Serialize)]
struct WireDifferingRow {
    kind: &'static str,
    times: u64,
    columns: Vec<String>,
    row: Option<Box<RawValue>>,
    other_row: Option<Box<RawValue>>,
}

impl DiffReport {
    /// Returns how a table of an environment differs.
    pub(crate) fn new(request: &DiffRequest<'_>, env: &str, diff: &TableDiff) -> Self {
        let own_env = diff.base.as_deref().unwrap_or(env);
        let (other_name, other_env) = match request.other {
            OtherTable::Before | OtherTable::Version(_) => (request.table, env),
            OtherTable::Env(other) => (request.table, other),
            OtherTable::Table(other) => (other, env),
        };
        let other_env = diff.other_base.as_deref().unwrap_or(other_env);
        let side = |(name, env): (&str, &str), (version, rows): (u64, u64)| DiffSide {
            name: name.to_owned(),
            env: env.to_owned(),
            version,
            rows,
        };
        let differing = diff.differing.iter().map(|(name, rows)| DifferingColumn { name: name.clone(), rows: *rows });
        Self {
            table: side((request.table, own_env), (diff.version, diff.rows)),
            other: side((other_name, other_env), (diff.other_version, diff.other_rows)),
            equal: diff.is_equal(),
            column_changes: diff.columns.iter().map(Into::into).collect(),
            key: diff.key.clone(),
            is_key_unique: (!diff.key.is_empty()).then_some(!diff.has_doubles),
            missing_rows: diff.missing,
            extra_rows: diff.extra,
            changed_rows: diff.changed,
            columns: differing.collect(),
            examples: diff.examples.iter().map(|row| one(row, &diff.compared)).collect(),
        }
    }
}

fn one(row: &DifferingRow, names: &[String]) -> WireDifferingRow {
    let json = |row: &Option<RecordBatch>| json_rows(row.as_ref()?).pop();
    WireDifferingRow {
        kind: match (&row.own, &row.other) {
            (Some(_), Some(_)) => "changed",
            (Some(_), None) => "extra",
            (None, _) => "missing",
        },
        times: row.times,
        columns: row.columns.iter().filter_map(|at| names.get(*at).cloned()).collect(),
        row: json(&row.own),
        other_row: json(&row.other),
    }
}

impl From<&ColumnChange> for WireColumnChange {
    fn from(change: &ColumnChange) -> Self {
        match change {
            ColumnChange::Added(column) => Self {
                name: column.name.clone(),
                change: "added",
                data_type: Some(column.data_type.clone()),
                other_type: None,
            },
            ColumnChange::Removed(column) => Self {
                name: column.name.clone(),
                change: "removed",
                data_type: None,
                other_type: Some(column.data_type.clone()),
            },
            ColumnChange::Retyped { column, other_type, .. } => Self {
                name: column.name.clone(),
                change: "retyped",
                data_type: Some(column.data_type.clone()),
                other_type: Some(other_type.clone()),
            },
        }
    }
}
