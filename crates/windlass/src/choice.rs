//! Which nodes a command works on, and which mistakes of the files concern them.
//!
//! A broken node stops only what needs it: the selected nodes, what they read, and through views
//! what those read.

use std::collections::BTreeSet;

use windlass_error::{Diagnostic, nearest};
use windlass_project::{Loaded, Node, Project, SelectionError, select};

use crate::cli::SelectArgs;
use crate::refusal::Refusal;
use crate::report::Mistakes;

/// What was selected.
pub(crate) struct Choice {
    /// The project.
    pub(crate) project: Project,
    /// The selected nodes.
    pub(crate) nodes: BTreeSet<String>,
    /// The selection as it was written; `None` for everything.
    pub(crate) text: Option<String>,
    /// What the files say that concerns these nodes; errors stand in the way of a run.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// One node, named by its full name.
pub(crate) struct Found<'a> {
    /// The node.
    pub(crate) node: &'a Node,
    /// What the files say that concerns it or what it needs.
    pub(crate) obstacles: Vec<Diagnostic>,
}

/// Chooses nodes; fails where there is no usable project or the selection picks nothing.
pub(crate) fn choose(loaded: Loaded, args: &SelectArgs) -> anyhow::Result<Choice> {
    let nodes = selected(&loaded, args)?;
    let Loaded { project, diagnostics, broken: _ } = loaded;
    let Some(project) = project else { return Err(Mistakes { diagnostics }.into()) };
    let (selected, excluded) = unions(args);
    let diagnostics = match (&selected, &excluded) {
        (None, None) => diagnostics,
        _ => obstacles(&project, diagnostics, &nodes),
    };
    Ok(Choice { project, nodes, text: described(selected, excluded), diagnostics })
}

/// Returns the nodes that a selection picks; fails where there is no usable project or it picks nothing.
pub(crate) fn selected(loaded: &Loaded, args: &SelectArgs) -> anyhow::Result<BTreeSet<String>> {
    let Loaded { project, diagnostics, broken } = loaded;
    let Some(project) = project else { return Err(Mistakes { diagnostics: diagnostics.clone() }.into()) };
    let (selected, excluded) = unions(args);
    match select::choose(project, selected.as_deref(), excluded.as_deref()) {
        Ok(nodes) => Ok(nodes.into_iter().collect()),
        Err(error) => Err(instead_of(error, diagnostics.clone(), broken)),
    }
}

/// Returns a node by its name, or says what is wrong with it or which one was meant.
pub(crate) fn find<'a>(loaded: &'a Loaded, name: &str) -> anyhow::Result<Found<'a>> {
    let diagnostics = loaded.diagnostics.clone();
    let Some(project) = &loaded.project else { return Err(Mistakes { diagnostics }.into()) };
    let obstacles = obstacles(project, diagnostics, &BTreeSet::from([name.to_owned()]));
    if let Some(node) = project.nodes.get(name) {
        return Ok(Found { node, obstacles });
    }
    if loaded.broken.iter().any(|broken| broken == name) {
        return Err(Mistakes { diagnostics: obstacles }.into());
    }
    let hint = match nearest(name, project.nodes.keys().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`windlass ls` lists the nodes; a query goes behind `windlass show --sql`".to_owned(),
    };
    Err(Refusal::new(format!("no node `{name}`")).hint(hint).into())
}

/// Returns what concerns these nodes, what they need, or the project as a whole.
fn obstacles(project: &Project, all: Vec<Diagnostic>, nodes: &BTreeSet<String>) -> Vec<Diagnostic> {
    let needed = needed(project, nodes);
    let concerns = |diagnostic: &Diagnostic| diagnostic.node.as_ref().is_none_or(|node| needed.contains(node));
    all.into_iter().filter(concerns).collect()
}

/// Returns what is selected and what is left out.
fn unions(args: &SelectArgs) -> (Option<String>, Option<String>) {
    (union(args.selections.iter().chain(&args.select)), union(&args.exclude))
}

/// Returns selections joined by `or`.
fn union<'a>(selections: impl IntoIterator<Item = &'a String>) -> Option<String> {
    let selections: Vec<&String> = selections.into_iter().collect();
    match selections.as_slice() {
        [] => None,
        [one] => Some((*one).clone()),
        several => {
            let has_words = |text: &str| text.contains(char::is_whitespace);
            let term = |text: &&String| if has_words(text) { format!("({text})") } else { (*text).clone() };
            Some(several.iter().map(term).collect::<Vec<_>>().join(" "))
        }
    }
}

fn described(selected: Option<String>, excluded: Option<String>) -> Option<String> {
    match (selected, excluded) {
        (selected, None) => selected,
        (None, Some(excluded)) => Some(format!("not ({excluded})")),
        (Some(selected), Some(excluded)) => Some(format!("({selected}) and not ({excluded})")),
    }
}

/// Who selects a node that cannot be used wants to know what is wrong with it.
fn instead_of(error: SelectionError, diagnostics: Vec<Diagnostic>, broken: &[String]) -> anyhow::Error {
    let named = error.text.get(error.span.clone()).unwrap_or_default();
    let named = named.trim_matches(|c: char| c.is_ascii_digit() || "+@".contains(c));
    if !broken.iter().any(|name| name == named) {
        return error.into();
    }
    let blamed = |diagnostic: &Diagnostic| diagnostic.node.as_deref().is_none_or(|node| node == named);
    let (own, others): (Vec<_>, Vec<_>) = diagnostics.into_iter().partition(blamed);
    // A node may be broken by what it reads alone.
    let diagnostics = if own.is_empty() { others } else { own };
    Mistakes { diagnostics }.into()
}

/// Returns the selected nodes, what they read, and through views what those read; also names of nodes
/// that cannot be used.
fn needed(project: &Project, selected: &BTreeSet<String>) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    let mut waiting: Vec<&str> = selected.iter().map(String::as_str).collect();
    while let Some(name) = waiting.pop() {
        if !needed.insert(name.to_owned()) {
            continue;
        }
        let is_published = project.nodes.get(name).is_some_and(windlass_project::Node::is_published);
        if selected.contains(name) || !is_published {
            waiting.extend(project.graph.parents(name).iter().map(String::as_str));
        }
    }
    needed
}
