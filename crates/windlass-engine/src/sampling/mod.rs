//! Runs on a share of the rows of sources, chosen by a key, so that rows that join each other are chosen together.
//!
//! `share` is how many rows, `key` decides about a row by the values of its key, `scan` reads what is chosen. A source
//! without a `sample_key` is read as a whole: what has few rows joins whatever is chosen.
//!
//! Must stay true: a table below a source that is sampled says so in its definition, and only a run with the
//! same sample reads it.

mod key;
mod scan;
mod share;

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::catalog::TableProvider;
use windlass_error::{Code, Diagnostic, nearest};
use windlass_project::{Node, NodeKind, Project, SourceTable};

pub use share::Sample;

use crate::planner::{Content, Plan};
use crate::tables::contract::listing;
use crate::tables::published::PublishedTable;
use crate::tables::schema::sql_type;
use crate::{Engine, Error};

/// The setting of a definition that says of which sample its rows are.
pub(crate) const SETTING: &str = "sample";

/// What stands before the sample in the state of a source.
const MARK: &str = "\nsample ";

/// Which rows of a source are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sampled {
    sample: Sample,
    key: Vec<String>,
}

/// The sources that a run on a sample reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sampling {
    /// The sources of which it reads a share, each with its key.
    pub sampled: Vec<(String, Vec<String>)>,
    /// The sources that it reads as a whole.
    pub whole: Vec<String>,
}

impl Sampled {
    /// Returns the same table with the chosen rows alone.
    pub(crate) fn of(&self, whole: Arc<dyn TableProvider>) -> Arc<dyn TableProvider> {
        Arc::new(scan::SampledTable::new(whole, self.sample, self.key.clone()))
    }

    /// Returns what tells the chosen rows, out of what tells all of them.
    pub(crate) fn mark(&self, whole: &str) -> String {
        format!("{whole}{MARK}{} by {}", self.sample, self.key.join(", "))
    }
}

impl Sampling {
    /// Returns what a run of a plan reads.
    pub fn of(project: &Project, plan: &Plan) -> Self {
        let mut found = Self::default();
        for node in plan.nodes.keys().filter_map(|name| project.nodes.get(name)) {
            let NodeKind::Source(source) = &node.kind else { continue };
            match source.sample_key.as_slice() {
                [] => found.whole.push(node.name.clone()),
                key => found.sampled.push((node.name.clone(), key.to_vec())),
            }
        }
        found
    }
}

impl Engine {
    /// Returns which rows of a source are read; `None` for all of them.
    pub(crate) fn sampled(&self, source: &SourceTable) -> Option<Sampled> {
        let sample = self.sample.filter(|_| !source.sample_key.is_empty())?;
        Some(Sampled { sample, key: source.sample_key.clone() })
    }

    /// Returns the sample that the rows of a node are of; `None` where all rows decide about them.
    pub(crate) fn sample_of(&self, project: &Project, node: &Node) -> Option<Sample> {
        self.sample.filter(|_| is_below_sampled(project, node))
    }

    /// Returns what keeps the planned nodes from being computed on the sample of the engine, or on all rows where it has
    /// none: tables that are read as they stand and were built in another way, and sources without any key.
    pub async fn sample_mistakes(&self, project: &Project, plan: &Plan) -> Vec<Diagnostic> {
        let mut mistakes = Vec::new();
        for (name, planned) in &plan.nodes {
            let (Some(node), Content::Table(table)) = (project.nodes.get(name), &planned.content) else { continue };
            let (built, wanted) = (sample_of_table(table).await, self.sample_of(project, node));
            if built.as_deref() != wanted.map(|sample| sample.to_string()).as_deref() {
                mistakes.push(self.other_sample((project, plan), node, built.as_deref()));
            }
        }
        let mut nodes = plan.nodes.keys().filter_map(|name| project.nodes.get(name)).peekable();
        if self.sample.is_some() && nodes.peek().is_some() && nodes.all(|node| self.sample_of(project, node).is_none())
        {
            mistakes.push(no_key(project, plan));
        }
        mistakes
    }

    fn other_sample(&self, (project, plan): (&Project, &Plan), node: &Node, built: Option<&str>) -> Diagnostic {
        let name = &node.name;
        let of = |sample: Option<&str>| {
            sample.map_or_else(|| "all rows".to_string(), |sample| format!("a sample of {sample}"))
        };
        let wanted = self.sample.map(|sample| sample.to_string());
        let message =
            format!("table `{name}` was built from {}, and this run reads {}", of(built), of(wanted.as_deref()));
        let mistake = Diagnostic::error(Code::SAMPLE, message).at(node.location.clone()).node(name);
        let reader =
            project.graph.children(name).iter().find(|reader| plan.nodes.contains_key(*reader)).unwrap_or(name);
        mistake.hint(format!("build it too: select `+{reader}`"))
    }

    /// Returns whether a table that stands may be read by this run in place of one that failed.
    ///
    /// # Errors
    ///
    /// Errors of storage.
    pub async fn has_sample_of_run(&self, project: &Project, node: &Node) -> Result<bool, Error> {
        let Some(table) = self.open_table(&node.name).await? else { return Ok(false) };
        let wanted = self.sample_of(project, node).map(|sample| sample.to_string());
        Ok(sample_of_table(&table).await == wanted)
    }
}

/// Returns the sample that a table was built from, as its commit says.
pub(crate) async fn sample_of_table(table: &PublishedTable) -> Option<String> {
    table.provenance().await?.definition()?.settings.get(SETTING).cloned()
}

/// Returns the state of all rows of a source, and what was chosen of them, out of what tells the chosen ones.
pub(crate) fn divided(state: &str) -> (&str, Option<&str>) {
    state.split_once(MARK).map_or((state, None), |(whole, sample)| (whole, Some(sample)))
}

/// Returns whether rows of a node come from a source that has a key to be sampled by.
fn is_below_sampled(project: &Project, node: &Node) -> bool {
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<&Node> = vec![node];
    while let Some(node) = waiting.pop() {
        if !seen.insert(node.name.as_str()) {
            continue;
        }
        if let NodeKind::Source(source) = &node.kind
            && !source.sample_key.is_empty()
        {
            return true;
        }
        let read = node.inputs().iter().map(|input| input.node.as_str()).chain(node.diverting_tables());
        waiting.extend(read.filter_map(|name| project.nodes.get(name)));
    }
    false
}

/// Returns that a run on a sample would read all rows.
fn no_key(project: &Project, plan: &Plan) -> Diagnostic {
    let largest = plan
        .nodes
        .iter()
        .filter_map(|(name, planned)| Some((project.nodes.get(name)?, planned.rows.unwrap_or_default())))
        .filter(|(node, _)| matches!(node.kind, NodeKind::Source(_)))
        .max_by_key(|(_, rows)| *rows);
    let message = "no source that this run reads has a `sample_key`, so there is nothing to take a sample of";
    let mistake = Diagnostic::error(Code::SAMPLE, message);
    match largest {
        Some((node, _)) => {
            let (name, key) = (&node.name, node.key().join(", "));
            let example = match key.is_empty() {
                true => format!("as `sample_key` of `{name}`"),
                false => format!("such as `sample_key: [{key}]` of `{name}`"),
            };
            let hint = format!("name the columns that large sources are joined by, {example}");
            mistake.at(node.location.clone()).hint(hint)
        }
        None => mistake.hint("select nodes that read sources"),
    }
}

/// Returns what is wrong with the key of a source: columns that it lacks, or whose values are no keys.
pub(crate) fn key_mistakes(node: &Node, source: &SourceTable, schema: &Schema) -> Vec<Diagnostic> {
    let at = source.sample_key_at.clone().unwrap_or_else(|| node.location.clone());
    let mistake = |column: &String| {
        let name = &node.name;
        let Ok(field) = schema.field_with_name(column) else {
            let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let message = format!("`sample_key` of `{name}` names column `{column}`, which it does not have");
            let mistake = Diagnostic::error(Code::UNKNOWN_COLUMN, message).at(at.clone()).node(name);
            let mistake = mistake.note(format!("columns: {}", listing(&known)));
            return Some(match nearest(column, known.iter().copied()) {
                Some(near) => mistake.hint(format!("did you mean `{near}`?")),
                None => mistake,
            });
        };
        let is_key = !matches!(field.data_type(), DataType::Interval(_) | DataType::Duration(_) | DataType::Null)
            && !field.data_type().is_nested();
        let message =
            format!("`sample_key` of `{name}` names column `{column}` of type {}", sql_type(field.data_type()));
        let mistake = Diagnostic::error(Code::TYPE_MISMATCH, message).at(at.clone()).node(name);
        (!is_key).then(|| mistake.hint("name columns of numbers, text or times"))
    };
    source.sample_key.iter().filter_map(mistake).collect()
}
