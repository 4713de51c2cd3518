//! Which tables have error rows because a model of theirs may find rows that it cannot score.
//!
//! A table that scores has an error table unless its `on_error` says otherwise, whether its own SQL names the model or
//! that of a view which it reads. This shows when all SQL is rendered, so names of such error tables are taken on
//! trust before, and those that turn out to mean nothing are told here.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic};

use super::mentions::scores;
use crate::assemble::start_of;
use crate::names::no_errors;
use crate::problems::Problems;
use crate::{Input, InputPart, Materialized, Node, NodeKind, OnError, error_table};

/// Settles what becomes of rows that models cannot score, for each SQL transform.
pub(crate) fn settle_unscored(nodes: &mut IndexMap<String, Node>, problems: &mut Problems) {
    let models: BTreeSet<String> =
        nodes.values().filter(|node| node.is_model()).map(|node| node.name.clone()).collect();
    let scoring: BTreeSet<String> = nodes.keys().filter(|name| scores_through(nodes, name, &models)).cloned().collect();
    for node in nodes.values_mut() {
        let (materialized, is_scoring) = (node.config.materialized, scoring.contains(&node.name));
        let NodeKind::Transform(transform) = &mut node.kind else { continue };
        let settled = settled(transform.on_error, materialized, is_scoring);
        transform.on_error = settled;
        transform.incremental.iter_mut().for_each(|adding| adding.on_error = settled);
    }
    refuse_taken_names(nodes, problems);
    refuse_missing_tables(nodes, problems);
}

/// Returns what becomes of the rows of one transform.
fn settled(wanted: OnError, materialized: Materialized, is_scoring: bool) -> OnError {
    match (materialized, wanted) {
        _ if !is_scoring => OnError::Null,
        // Its readers decide, whose query it is a part of.
        (Materialized::View, _) => OnError::Null,
        // Rows that stay have no error rows of their own.
        (Materialized::Incremental, OnError::Quarantine) => OnError::Null,
        (Materialized::Table | Materialized::Incremental, wanted) => wanted,
    }
}

/// Returns whether a node scores with a model, in its own SQL or in that of a view that it reads.
fn scores_through(nodes: &IndexMap<String, Node>, name: &str, models: &BTreeSet<String>) -> bool {
    let (mut seen, mut waiting) = (BTreeSet::new(), vec![name]);
    while let Some(node) = waiting.pop().and_then(|name| nodes.get(name)) {
        let NodeKind::Transform(transform) = &node.kind else { continue };
        if !seen.insert(node.name.as_str()) {
            continue;
        }
        let texts = [Some(transform), transform.incremental.as_deref()];
        if texts.into_iter().flatten().any(|text| scores(&text.sql, models)) {
            return true;
        }
        let views = node.inputs().iter().filter(|input| input.part == InputPart::Result);
        let is_view = |input: &&Input| nodes.get(&input.node).is_some_and(|input| input.kind_name() == "view");
        waiting.extend(views.filter(is_view).map(|input| input.node.as_str()));
    }
    false
}

/// Reports nodes that have the name of an error table, and takes them out.
fn refuse_taken_names(nodes: &mut IndexMap<String, Node>, problems: &mut Problems) {
    let taken: Vec<(String, String)> = nodes
        .values()
        .filter(|node| node.diverts_unscored())
        .map(|node| (node.name.clone(), error_table(&node.name)))
        .filter(|(_, errors)| nodes.contains_key(errors))
        .collect();
    for (name, errors) in taken {
        let (Some(owner), Some(other)) = (nodes.get(&name), nodes.get(&errors)) else { continue };
        let message = format!("`{errors}` is the error table of `{name}`");
        let problem = Diagnostic::error(Code::DUPLICATE_NAME, message).at(start_of(&other.file));
        let problem = problem.related(owner.location.clone(), "its rows that a model cannot score go there");
        problems.push(problem.node(&errors).hint("give this node another name"));
        nodes.shift_remove(&errors);
    }
}

/// Reports those who read the error table of a node that has none, and takes them out.
fn refuse_missing_tables(nodes: &mut IndexMap<String, Node>, problems: &mut Problems) {
    let is_missing = |input: &&Input| {
        input.part == InputPart::Errors && nodes.get(&input.node).is_some_and(|owner| !owner.has_error_table())
    };
    let wrong: Vec<(String, Input)> = nodes
        .values()
        .flat_map(|node| node.inputs().iter().filter(is_missing).map(|input| (node.name.clone(), input.clone())))
        .collect();
    for (reader, input) in wrong {
        problems.push(no_errors(&input.node).at(input.location).node(&reader));
        nodes.shift_remove(&reader);
    }
}
