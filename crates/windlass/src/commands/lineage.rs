//! `windlass lineage`: what a node or column is computed from, and what is computed from it.
//!
//! Everything comes from the definitions: no table needs to be published, and no row is read.

mod mermaid;
mod tree;

use std::collections::BTreeSet;

use indexmap::IndexMap;
use windlass_engine::{ColumnRef, Direction, Edge, Lineage, Plan};
use windlass_error::{Code, nearest};
use windlass_project::{Loaded, Node, Project, error_table};

use crate::cli::{LineageArgs, LineageFormat};
use crate::output::{Output, Prefix};
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::{Mistakes, Status};
use crate::session::Session;
use crate::settings::Settings;
use crate::wire::{LineageReport, LineageTable};
use crate::{check, choice, human, open};

/// What was asked for.
struct Subject {
    /// The node, or the error table of one.
    table: String,
    column: Option<String>,
}

/// What is told of a subject.
struct Answer<'a> {
    project: &'a Project,
    lineage: &'a Lineage,
    subject: &'a Subject,
    directions: &'a [Direction],
    depth: Option<u32>,
}

/// A table on the way, and how far it is.
struct Reached {
    direction: Option<Direction>,
    distance: usize,
}

/// Prints it.
pub(super) fn run(args: &LineageArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let loaded = open::load(settings, &args.vars.vars)?;
    let Some(project) = &loaded.project else { return Err(Mistakes { diagnostics: loaded.diagnostics }.into()) };
    let (node, subject) = find(&loaded, project, &args.of)?;
    let directions: &[Direction] = match (args.upstream, args.downstream) {
        (true, false) => &[Direction::Upstream],
        (false, true) => &[Direction::Downstream],
        _ => &[Direction::Upstream, Direction::Downstream],
    };
    let selected = to_plan(project, &node.name, directions);
    let session = Session::open(settings, project, None, Output::new(printer, Prefix::Worker))?;
    let (plan, lineage) = session.block_on(Box::pin(async {
        let plan = session.engine.plan(project, &selected).await;
        let lineage = session.engine.lineage(project, &plan).await?;
        Ok::<_, windlass_engine::Error>((plan, lineage))
    }))?;
    let Some(known) = lineage.tables.get(&subject.table) else {
        return Err(Mistakes { diagnostics: plan.diagnostics }.into());
    };
    if let Some(column) = &subject.column
        && known.column(column).is_none()
    {
        let columns: Vec<&str> = known.columns.iter().map(|known| known.column.name.as_str()).collect();
        return Err(unknown_column(&subject.table, column, &columns).into());
    }
    let answer = Answer { project, lineage: &lineage, subject: &subject, directions, depth: args.depth };
    match args.format {
        LineageFormat::Tree => printer.data(&tree::text(&answer, printer.data_paint()))?,
        LineageFormat::Mermaid => printer.data(&mermaid::text(&answer))?,
        LineageFormat::Json => printer.json("lineage", &report(&answer))?,
    }
    if let Some(note) = left_out(&selected, &plan) {
        printer.note(&note);
    }
    Ok(Status::Done)
}

/// Returns what is named, or says which node was meant. Names of nodes may hold dots, as may those of
/// columns; the longest node wins.
fn find<'a>(loaded: &'a Loaded, project: &'a Project, text: &str) -> anyhow::Result<(&'a Node, Subject)> {
    let owner = |name: &str| {
        let of_errors =
            || project.nodes.values().find(|node| node.has_error_table() && error_table(&node.name) == name);
        project.nodes.get(name).or_else(of_errors)
    };
    let cuts = text.rmatch_indices('.').map(|(at, _)| (&text[..at], Some(&text[at + 1..])));
    let readings: Vec<(&str, Option<&str>)> = std::iter::once((text, None)).chain(cuts).collect();
    for (name, column) in &readings {
        let Some(node) = owner(name) else { continue };
        let found = choice::find(loaded, &node.name)?;
        if check::has_errors(&found.obstacles) {
            return Err(Mistakes { diagnostics: found.obstacles }.into());
        }
        return Ok((node, Subject { table: (*name).to_owned(), column: column.map(str::to_owned) }));
    }
    // One of these is broken, resembles a node, or is unknown: `find` says so.
    let names = || project.nodes.keys().map(String::as_str);
    let is_near = |name: &str| loaded.broken.iter().any(|broken| broken == name) || nearest(name, names()).is_some();
    let meant = readings.iter().map(|(name, _)| *name).find(|name| is_near(name)).unwrap_or(text);
    choice::find(loaded, meant).and_then(|_| Err(Refusal::new(format!("no node `{text}`")).into()))
}

fn unknown_column(table: &str, column: &str, known: &[&str]) -> Refusal {
    let refusal = Refusal::new(format!("no column `{column}` in `{table}`")).code(Code::UNKNOWN_COLUMN);
    match nearest(column, known.iter().copied()) {
        Some(near) => refusal.hint(format!("did you mean `{near}`?")),
        None => refusal.hint(format!("columns: {}", known.join(", "))),
    }
}

/// Returns the nodes whose definitions are looked at. What reads a node may read others besides.
fn to_plan(project: &Project, node: &str, directions: &[Direction]) -> BTreeSet<String> {
    let mut selected = BTreeSet::from([node.to_owned()]);
    if directions.contains(&Direction::Downstream) {
        selected.extend(project.graph.descendants(node));
    }
    let needed: Vec<String> = selected.iter().flat_map(|name| project.graph.ancestors(name)).collect();
    selected.extend(needed);
    selected.retain(|name| project.nodes.contains_key(name));
    selected
}

fn left_out(selected: &BTreeSet<String>, plan: &Plan) -> Option<String> {
    let missing: Vec<&str> =
        selected.iter().filter(|name| !plan.nodes.contains_key(*name)).map(String::as_str).collect();
    let nodes = human::counted(missing.len() as u64, "node");
    (!missing.is_empty())
        .then(|| format!("{nodes} left out because of mistakes: {}; see windlass plan", missing.join(", ")))
}

impl Answer<'_> {
    /// Returns how many tables to follow at most.
    fn limit(&self) -> usize {
        self.depth.map_or(usize::MAX, |depth| usize::try_from(depth).unwrap_or(usize::MAX))
    }

    /// Returns the column that was asked for.
    fn column(&self) -> Option<ColumnRef> {
        self.subject.column.as_ref().map(|column| ColumnRef::new(&self.subject.table, column))
    }

    /// Returns the tables that a table is next to.
    fn next(&self, table: &str, direction: Direction) -> Vec<&str> {
        let tables = &self.lineage.tables;
        match direction {
            Direction::Upstream => {
                tables.get(table).into_iter().flat_map(|known| known.reads.iter().map(String::as_str)).collect()
            }
            Direction::Downstream => {
                let readers = tables.iter().filter(|(_, known)| known.reads.iter().any(|read| read == table));
                readers.map(|(name, _)| name.as_str()).collect()
            }
        }
    }

    /// Returns the tables that are told of, the subject first.
    fn reached(&self) -> IndexMap<String, Reached> {
        let start = self.subject.table.clone();
        let mut reached = IndexMap::from([(start.clone(), Reached { direction: None, distance: 0 })]);
        for direction in self.directions {
            let mut level = vec![start.clone()];
            let mut distance = 0;
            while !level.is_empty() && distance < self.limit() {
                distance += 1;
                let next: Vec<String> =
                    level.iter().flat_map(|table| self.next(table, *direction)).map(str::to_owned).collect();
                level = next.into_iter().filter(|table| !reached.contains_key(table)).collect();
                for table in &level {
                    reached.insert(table.clone(), Reached { direction: Some(*direction), distance });
                }
            }
        }
        reached
    }

    /// Returns the edges that are told of: those of the column, or all between the tables.
    fn edges(&self, reached: &IndexMap<String, Reached>) -> Vec<Edge> {
        match self.column() {
            Some(column) => {
                let flow = |direction: &Direction| self.lineage.flow(&column, *direction, self.limit());
                self.directions.iter().flat_map(flow).collect()
            }
            None => {
                let edges = reached.keys().flat_map(|table| self.lineage.edges_to_table(table));
                edges.filter(|edge| reached.contains_key(&edge.from.table)).collect()
            }
        }
    }

    fn kind(&self, table: &str) -> &'static str {
        self.project.nodes.get(table).map_or("errors", Node::kind_name)
    }

    /// Returns the node that a table belongs to.
    fn node(&self, table: &str) -> Option<&Node> {
        let own = self.project.nodes.get(table);
        own.or_else(|| self.project.nodes.values().find(|node| error_table(&node.name) == table))
    }
}

fn report(answer: &Answer<'_>) -> LineageReport {
    let mut reached = answer.reached();
    let edges = answer.edges(&reached);
    if answer.subject.column.is_some() {
        let is_on_the_way =
            |table: &String| edges.iter().any(|edge| edge.from.table == *table || edge.to.table() == *table);
        reached.retain(|table, _| *table == answer.subject.table || is_on_the_way(table));
    }
    let direction = |direction: Direction| match direction {
        Direction::Upstream => "upstream",
        Direction::Downstream => "downstream",
    };
    let table = |(name, place): (&String, &Reached)| {
        let known = answer.lineage.tables.get(name);
        let location = answer.node(name).map(|node| &node.location);
        LineageTable {
            name: name.clone(),
            kind: answer.kind(name),
            direction: place.direction.map_or("start", direction),
            distance: place.distance,
            file: location.map(|at| at.file.path.to_string_lossy().into_owned()).unwrap_or_default(),
            line: location.map_or(1, |at| at.position().0),
            inputs: known.map(|known| known.reads.clone()).unwrap_or_default(),
            columns: known
                .into_iter()
                .flat_map(|known| &known.columns)
                .map(|known| known.column.clone().into())
                .collect(),
        }
    };
    LineageReport {
        node: answer.subject.table.clone(),
        column: answer.subject.column.clone(),
        directions: answer.directions.iter().map(|way| direction(*way)).collect(),
        depth: answer.depth,
        nodes: reached.iter().map(table).collect(),
        edges: edges.iter().map(Into::into).collect(),
    }
}
