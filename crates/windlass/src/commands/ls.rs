//! `windlass ls`: the nodes of a project, from its files alone. Starts no engine.

use std::collections::{BTreeSet, HashSet};

use windlass_project::{Node, Project};

use crate::choice::{self, Choice};
use crate::cli::{LsArgs, LsFormat};
use crate::printer::Printer;
use crate::report::Status;
use crate::settings::Settings;
use crate::style::Paint;
use crate::tree::Branch;
use crate::wire::{DeclaredColumn, ListedNode, Listing};
use crate::{human, open};

/// Prints the selected nodes.
pub(super) fn run(args: &LsArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let loaded = open::load(settings, &args.vars.vars)?;
    // A list is of use whatever is wrong with the nodes that it leaves out.
    let broken = loaded.broken.clone();
    let choice = choice::choose(loaded, &args.select)?;
    match args.format {
        LsFormat::Json => printer.json("ls", &listing(&choice))?,
        LsFormat::Text => printer.data(&list(&choice, printer.data_paint()))?,
        LsFormat::Tree => printer.data(&tree(&choice, printer.data_paint()))?,
    }
    if !broken.is_empty() {
        let nodes = human::counted(broken.len() as u64, "node");
        printer.note(&format!("{nodes} left out because of mistakes: {}; see windlass plan", broken.join(", ")));
    }
    Ok(Status::Done)
}

fn chosen(choice: &Choice) -> impl Iterator<Item = &Node> {
    choice.project.nodes.values().filter(|node| choice.nodes.contains(&node.name))
}

fn list(choice: &Choice, paint: Paint) -> String {
    let width = chosen(choice).map(|node| node.name.chars().count()).max().unwrap_or_default();
    let kinds = chosen(choice).map(|node| node.kind_name().len()).max().unwrap_or_default();
    let line = |node: &Node| {
        let about = node.config.description.as_deref().and_then(|text| text.lines().next()).unwrap_or_default();
        format!("{:width$}  {:kinds$}  {}", node.name, node.kind_name(), paint.faint(about)).trim_end().to_owned()
    };
    chosen(choice).map(line).collect::<Vec<_>>().join("\n")
}

/// Draws what nobody selected reads, and below each node what it reads; a node that was drawn with
/// its inputs already is marked `(*)`.
fn tree(choice: &Choice, paint: Paint) -> String {
    let project = &choice.project;
    let is_read = |name: &str| project.graph.children(name).iter().any(|child| choice.nodes.contains(child));
    let mut drawing = Drawing { project, nodes: &choice.nodes, paint, drawn: HashSet::new() };
    let mut lines = Vec::new();
    for node in chosen(choice).filter(|node| !is_read(&node.name)) {
        drawing.branch(node).draw(paint, &mut lines);
    }
    lines.join("\n")
}

struct Drawing<'a> {
    project: &'a Project,
    nodes: &'a BTreeSet<String>,
    paint: Paint,
    drawn: HashSet<&'a str>,
}

impl<'a> Drawing<'a> {
    fn branch(&mut self, node: &'a Node) -> Branch {
        let inputs = self.project.graph.parents(&node.name).iter().filter(|input| self.nodes.contains(*input));
        let inputs: Vec<&'a Node> = inputs.filter_map(|input| self.project.nodes.get(input)).collect();
        let is_repeated = !self.drawn.insert(&node.name) && !inputs.is_empty();
        let mark = if is_repeated { " (*)" } else { "" };
        let text = format!("{}  {}", node.name, self.paint.faint(&format!("{}{mark}", node.kind_name())));
        let below = if is_repeated { Vec::new() } else { inputs };
        Branch { text, below: below.into_iter().map(|input| self.branch(input)).collect() }
    }
}

fn listing(choice: &Choice) -> Listing {
    let Project { name, target, .. } = &choice.project;
    Listing {
        project: name.clone(),
        target: target.name.clone(),
        env: target.env.clone(),
        nodes: chosen(choice).map(|node| listed(&choice.project, node)).collect(),
    }
}

fn listed(project: &Project, node: &Node) -> ListedNode {
    let config = &node.config;
    let sort_key = |key: &windlass_project::SortKey| {
        if key.descending { format!("{} desc", key.column) } else { key.column.clone() }
    };
    let column = |column: &windlass_project::Column| DeclaredColumn {
        name: column.name.clone(),
        data_type: column.data_type.clone(),
        description: column.description.clone(),
    };
    ListedNode {
        name: node.name.clone(),
        kind: node.kind_name(),
        file: node.location.file.path.to_string_lossy().into_owned(),
        line: node.location.position().0,
        inputs: project.graph.parents(&node.name).to_vec(),
        description: config.description.clone(),
        tags: config.tags.clone(),
        owner: config.owner.clone(),
        partition_by: config.partition_by.clone(),
        sort_by: config.sort_by.iter().map(sort_key).collect(),
        columns: node.columns.iter().map(column).collect(),
    }
}
