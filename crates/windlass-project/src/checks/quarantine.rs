//! Checks that divert rows: which can, whose rows, and what that means for the table.
//!
//! A row that breaks such a check goes to the error table in place of the table, so these checks are
//! a part of what the node computes.

use windlass_error::{Code, Diagnostic};

use super::identity::rule;
use super::{CheckDefinition, CheckKind, KeptDuplicate, OnFail};
use crate::{Node, NodeKind, OnError};

impl CheckDefinition {
    /// Returns whether rows that break it go to the error table.
    pub fn quarantines(&self) -> bool {
        self.on_fail == OnFail::Quarantine
    }

    /// Returns whether it diverts rows for their keys, which are known once all rows have been seen. Of a
    /// check in Python that is what it is given of a row.
    pub fn diverts_keys(&self) -> bool {
        let is_by_key =
            matches!(self.kind, CheckKind::Unique { .. } | CheckKind::Relationships { .. } | CheckKind::Python(_));
        self.quarantines() && is_by_key
    }

    /// Returns what decides which rows it diverts, without places; part of the fingerprint.
    fn diversion(&self) -> String {
        let filter = self.filter.as_ref().map(|filter| &filter.text);
        format!("{} {:?} {} {filter:?}", self.name, self.column, rule(&self.kind))
    }
}

impl Node {
    /// Returns whether rows that break checks go to its error table.
    pub fn quarantines(&self) -> bool {
        self.checks.iter().any(CheckDefinition::quarantines)
    }

    /// Returns whether rows that break checks are kept in a table of their own.
    pub fn stores_failures(&self) -> bool {
        self.checks.iter().any(|check| check.store_failures)
    }

    /// Returns whether it has a table of rows that failed.
    pub fn has_error_table(&self) -> bool {
        let in_python = self.python().is_some_and(|python| python.on_error == OnError::Quarantine);
        self.quarantines() || self.diverts_unscored() || in_python
    }

    /// Returns whether rows that a model cannot score go to its error table.
    pub fn diverts_unscored(&self) -> bool {
        matches!(&self.kind, NodeKind::Transform(transform) if transform.on_error == OnError::Quarantine)
    }

    /// Returns the columns that identify a row: those of a Python transform's `key`, or of the first
    /// check that all rows differ in them.
    pub fn key(&self) -> Vec<&str> {
        if let Some(python) = self.python() {
            return python.key.iter().map(String::as_str).collect();
        }
        let unique = self.checks.iter().filter(|check| check.filter.is_none()).find_map(|check| match &check.kind {
            CheckKind::Unique { columns, .. } => Some(columns),
            _ => None,
        });
        unique.into_iter().flatten().map(|column| column.text.as_str()).collect()
    }

    /// Returns the tables that decide which rows its checks divert.
    pub fn diverting_tables(&self) -> impl Iterator<Item = &str> {
        let checks = self.checks.iter().filter(|check| check.diverts_keys());
        checks.flat_map(CheckDefinition::tables).map(|table| table.text.as_str())
    }

    /// Returns which rows its checks divert, as text; empty where they divert none.
    pub fn diversions(&self) -> String {
        let checks = self.checks.iter().filter(|check| check.quarantines());
        checks.map(|check| format!("\ndiverts {}", check.diversion())).collect()
    }
}

/// Returns why a check of a node cannot divert rows.
pub(super) fn refusal(node: &Node, check: &CheckDefinition) -> Option<Diagnostic> {
    if let (CheckKind::Unique { keep: KeptDuplicate::First { by, .. }, .. }, false) = (&check.kind, check.quarantines())
    {
        let message = format!("`keep: first` of check `{}` keeps nothing: its rows stay where they are", check.name);
        let problem = Diagnostic::error(Code::INVALID_CHECK, message).at(by.location.clone());
        return Some(problem.hint("add `on_fail: quarantine`, or remove `keep` and `order_by`"));
    }
    if !check.quarantines() {
        return None;
    }
    if let CheckKind::Python(python) = &check.kind
        && let Some(why) = python.volatile()
    {
        let message =
            format!("check `{}` cannot quarantine rows: {why}, so other rows would leave every time", check.name);
        let problem = Diagnostic::error(Code::INVALID_CHECK, message).at(check.location.clone());
        return Some(
            problem.hint("add `deterministic=True` where equal rows get equal answers, or use `on_fail=\"warn\"`"),
        );
    }
    let (reason, hint) = match (&check.kind, &node.kind) {
        (_, NodeKind::Source(_)) => (
            format!("`{}` is a source, whose rows others wrote", node.name),
            "put the check on the transform that reads it, or use `severity: warn`",
        ),
        _ if !node.is_published() => (
            format!("`{}` is a view, which has no rows of its own", node.name),
            "put the check on the tables that read it, or make it one: `materialized: table`",
        ),
        _ if node.config.incremental.is_some() => (
            format!("`{}` is incremental", node.name),
            "leave such rows out in SQL, or put the check on a table that reads it",
        ),
        (kind, _) if !kind.is_on_rows() && !check.diverts_keys() => (
            format!("`{}` does not say which rows are wrong", kind.name()),
            "use `on_fail: error` or `on_fail: warn`, or say in SQL which rows are wrong: `expression`",
        ),
        _ => return None,
    };
    let message = format!("check `{}` cannot quarantine rows: {reason}", check.name);
    Some(Diagnostic::error(Code::INVALID_CHECK, message).at(check.location.clone()).hint(hint))
}
