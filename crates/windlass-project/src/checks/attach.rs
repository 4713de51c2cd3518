//! Gives nodes their checks, and finds the tables that checks name.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic, nearest};

use super::decode::settle;
use super::quarantine::refusal;
use super::singular::Singular;
use super::{CheckDefinition, CheckKind, Written};
use crate::problems::Problems;
use crate::template::SqlTemplates;
use crate::{Input, InputPart, Node, Transform, failures_table};

/// Adds checks from files to their nodes, renders the queries of YAML and settles all names. A node
/// whose checks name a table that does not exist is taken out. `known` holds the names of all nodes,
/// usable or not.
pub(crate) fn attach(
    nodes: &mut IndexMap<String, Node>,
    singular: Vec<Singular>,
    templates: &SqlTemplates,
    known: &BTreeSet<String>,
    problems: &mut Problems,
) -> Vec<String> {
    for check in singular {
        match nodes.get_mut(&check.on.text) {
            Some(node) => node.checks.push(check.definition),
            None if known.contains(&check.on.text) => {}
            None => problems.push(unknown_table("the check", &check.on, known)),
        }
    }
    let mut broken = Vec::new();
    for (name, node) in nodes.iter_mut() {
        let mut own = Problems::of_node(name);
        node.checks.retain_mut(|check| render(check, name, templates, &mut own));
        settle(&mut node.checks, &mut own);
        own.extend(taken(node, known));
        for check in &node.checks {
            own.extend(refusal(node, check));
            own.extend(unstored(node, check));
            for table in check.tables().filter(|table| !known.contains(&table.text)) {
                own.push(unknown_table(&format!("check `{}`", check.name), table, known));
            }
        }
        if own.has_errors() {
            broken.push(name.clone());
        }
        problems.absorb(own);
    }
    nodes.retain(|name, _| !broken.contains(name));
    broken
}

/// Returns that the failing rows of a check are not kept, although it says so.
fn unstored(node: &Node, check: &CheckDefinition) -> Option<Diagnostic> {
    if check.store_failures && node.config.incremental.is_some() {
        let message =
            format!("failing rows of check `{}` cannot be stored: `{}` is incremental", check.name, node.name);
        let problem = Diagnostic::error(Code::INVALID_CHECK, message).at(check.location.clone());
        return Some(problem.hint("remove `store_failures`: `windlass show` finds such rows in the table's candidate"));
    }
    if !check.store_failures || node.is_published() {
        return None;
    }
    let message = format!("failing rows of check `{}` are not stored: `{}` is no table", check.name, node.name);
    let problem = Diagnostic::warning(Code::INVALID_CHECK, message).at(check.location.clone());
    Some(problem.hint("put the check on a table that reads it, or remove `store_failures`"))
}

/// Returns that the table of a node's failing rows has the name of another node.
fn taken(node: &Node, known: &BTreeSet<String>) -> Option<Diagnostic> {
    let table = failures_table(&node.name);
    let check = node.checks.iter().find(|check| check.store_failures).filter(|_| known.contains(&table))?;
    let message = format!("`{table}` is a node, and the table of failing rows of `{}`", node.name);
    let problem = Diagnostic::error(Code::DUPLICATE_NAME, message).at(check.location.clone());
    Some(problem.hint("give that node another name, or remove `store_failures`"))
}

/// Renders the query of a check, where it has one that is not. Answers whether that worked.
fn render(check: &mut CheckDefinition, node: &str, templates: &SqlTemplates, problems: &mut Problems) -> bool {
    let CheckKind::Template { sql } = &check.kind else { return true };
    let Some(rendered) = templates.render_query(sql, node, problems) else { return false };
    let query = Transform::from(rendered);
    check.kind = CheckKind::Sql { query: Box::new(query) };
    true
}

pub(crate) fn unknown_table(what: &str, table: &Written, known: &BTreeSet<String>) -> Diagnostic {
    let message = format!("{what} names table `{}`, which does not exist", table.text);
    let problem = Diagnostic::error(Code::UNKNOWN_REF, message).at(table.location.clone());
    match nearest(&table.text, known.iter().map(String::as_str)) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem.hint("name a transform, a seed, or a source's table such as `shop.orders`"),
    }
}

impl CheckDefinition {
    /// Returns the tables that it names besides its own.
    pub fn tables(&self) -> impl Iterator<Item = &Written> {
        let one = match &self.kind {
            CheckKind::Relationships { to, .. } | CheckKind::SameRowCount { to, .. } => Some(to),
            CheckKind::Coverage { of, .. } => Some(of),
            CheckKind::Reconcile(rule) => Some(&rule.to),
            _ => None,
        };
        one.into_iter()
    }

    /// Returns what it reads besides its own table, which must be there before it is looked at.
    pub fn inputs(&self, node: &str) -> Vec<Input> {
        let named = self.tables().map(|table| Input {
            node: table.text.clone(),
            reference: table.text.clone(),
            location: table.location.clone(),
            part: InputPart::default(),
        });
        let of_query = match &self.kind {
            CheckKind::Sql { query } => query.inputs.clone(),
            _ => Vec::new(),
        };
        named.chain(of_query).filter(|input| input.node != node).collect()
    }
}
