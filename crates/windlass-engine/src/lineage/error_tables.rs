//! What rows that go to an error table depend on, and what that leaves in the result.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::SchemaRef;
use windlass_project::Node;
use windlass_project::checks::{CheckDefinition, CheckKind};

use super::inputs::{ColumnInputs, Use};
use super::plans::Traced;
use crate::tables::error_rows::ROW;

/// Columns of an error table that tell of the run, and not of the row that failed.
const OF_THE_RUN: [&str; 6] = ["attempts", "at", "batch_id", "fingerprint", "run_id", "worker"];

/// What a column of an error table is computed from.
pub(super) struct ErrorInputs<'a> {
    /// Those of the key, by name.
    pub(super) key: &'a dyn Fn(&str) -> Option<ColumnInputs>,
    /// All columns of the row that failed.
    pub(super) row: ColumnInputs,
    /// What decides whether it fails.
    pub(super) decides: ColumnInputs,
}

impl ErrorInputs<'_> {
    /// Returns what an error table with these columns is computed from; `rows` decides about the rows
    /// that can fail.
    pub(super) fn traced(&self, schema: &SchemaRef, mut rows: ColumnInputs) -> Traced {
        rows.merge(self.decides.clone().used_as(Use::Filter));
        let columns = schema.fields().iter().map(|field| self.column(field.name()));
        Traced { columns: columns.collect(), rows }
    }

    fn column(&self, name: &str) -> ColumnInputs {
        if let Some(key) = (self.key)(name) {
            return key;
        }
        match name {
            ROW => self.row.clone().used_as(Use::Transformation),
            _ if OF_THE_RUN.contains(&name) => ColumnInputs::default(),
            _ => self.decides.clone().used_as(Use::Transformation),
        }
    }
}

/// Returns the columns of a result that decide whether checks divert a row.
pub(super) fn diverting(node: &Node, schema: &SchemaRef, result: &Traced) -> ColumnInputs {
    let mut named = BTreeSet::new();
    for check in node.checks.iter().filter(|check| check.quarantines()) {
        match only_column(check) {
            Some(column) => named.insert(column),
            None => return ColumnInputs::union(result.columns.iter().cloned()),
        };
    }
    let columns = schema.fields().iter().zip(&result.columns);
    ColumnInputs::union(columns.filter(|(field, _)| named.contains(field.name().as_str())).map(|(_, of)| of.clone()))
}

/// Returns the one column that a check looks at; `None` where it may look at others.
fn only_column(check: &CheckDefinition) -> Option<&str> {
    let is_free = matches!(check.kind, CheckKind::Pair { .. } | CheckKind::Expression { .. });
    check.column.as_deref().filter(|_| !is_free && check.filter.is_none())
}

/// Returns what an error table of rows that broke checks is computed from.
pub(super) fn of_checks(node: &Node, errors: &SchemaRef, schema: &SchemaRef, result: &Traced) -> Traced {
    let key = |name: &str| {
        let place = schema.index_of(name).ok().filter(|_| node.key().contains(&name));
        place.and_then(|place| result.columns.get(place)).cloned()
    };
    let row = ColumnInputs::union(result.columns.iter().cloned());
    let inputs = ErrorInputs { key: &key, row, decides: diverting(node, schema, result) };
    inputs.traced(errors, result.rows.clone())
}
