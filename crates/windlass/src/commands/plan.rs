//! `windlass plan`: every check that a run makes before its first row, and what it would do.

use std::collections::HashMap;
use std::time::Instant;

use chrono::SecondsFormat;
use windlass_engine::Plan;
use windlass_error::Diagnostic;
use windlass_project::{Node, NodeKind, Project};
use windlass_runner::NodeHistory;

use crate::check::{self, Checked, Purpose};
use crate::choice::{self, Choice};
use crate::cli::{Format, PlanArgs};
use crate::printer::Printer;
use crate::report::{Mistakes, Status};
use crate::settings::Settings;
use crate::style::Paint;
use crate::wire::{LastRun, PlanReport, PlannedNode};
use crate::{human, open};

/// What only a run can find out.
const NOT_CHECKED: [&str; 3] = ["values", "divisions by zero", "casts of text"];
/// What only a run of Python can find out.
const NOT_CHECKED_PYTHON: &str = "what Python answers";

/// Checks the selected nodes and prints what a run would do.
pub(super) fn run(args: &PlanArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let begun = Instant::now();
    let loaded = open::load(settings, &args.vars.vars)?;
    let place = loaded.project.as_ref().map(place);
    let checked = choice::choose(loaded, &args.select)
        .and_then(|choice| check::check(choice, Purpose::Compute, None, settings, printer));
    match checked {
        Ok(Checked { choice, plan, .. }) => {
            let history = history(&choice.project);
            match args.format {
                Format::Json => printer.json("plan", &report(&choice, &plan, &history))?,
                Format::Text => printer.data(&text(&choice, &plan, &history, begun, printer.data_paint()))?,
            }
            Ok(Status::Done)
        }
        Err(error) => {
            if let (Format::Json, Some(mistakes)) = (args.format, error.downcast_ref::<Mistakes>()) {
                printer.json("plan", &failed(place, &mistakes.diagnostics))?;
            }
            Err(error)
        }
    }
}

/// Returns the last success of each node. An estimate is not worth a failure.
pub(super) fn history(project: &Project) -> HashMap<String, NodeHistory> {
    let store = open::existing_store(project).ok().flatten();
    let target = &project.target;
    store.and_then(|store| store.last_successes(&target.lake, &target.env).ok()).unwrap_or_default()
}

/// Returns the selected nodes that a run has something to do for, in order.
fn to_run(choice: &Choice) -> impl Iterator<Item = &Node> {
    let nodes = choice.project.nodes.values();
    nodes.filter(|node| choice.nodes.contains(&node.name) && !matches!(node.kind, NodeKind::Source(_)))
}

fn action(node: &Node) -> &'static str {
    if node.is_published() { "build" } else { "view" }
}

fn text(choice: &Choice, plan: &Plan, history: &HashMap<String, NodeHistory>, begun: Instant, paint: Paint) -> String {
    let project = &choice.project;
    let nodes: Vec<&Node> = to_run(choice).collect();
    let took = human::duration(begun.elapsed());
    let target = &project.target;
    let mut lines = vec![format!("target {}, env {}, planned in {took}", target.name, target.env), String::new()];
    let last: Vec<String> = nodes.iter().map(|node| last_time(node, history)).collect();
    let width = nodes.iter().map(|node| node.name.chars().count()).max().unwrap_or_default();
    let last_width = last.iter().map(String::len).max().unwrap_or_default();
    for (node, last) in nodes.iter().zip(&last) {
        let columns = plan.nodes.get(&node.name).map_or(0, |planned| planned.schema.fields().len());
        let columns = human::counted(columns as u64, "column");
        let reads = match project.graph.parents(&node.name) {
            [] => String::new(),
            inputs => format!("  reads {}", inputs.join(", ")),
        };
        let facts = paint.faint(format!("{last:last_width$}{reads}{}", code(node)).trim_end());
        lines.push(format!("  {:5}  {:width$}  {columns:>10}{facts}", action(node), node.name));
    }
    let builds = nodes.iter().filter(|node| node.is_published()).count();
    let views = nodes.len() - builds;
    let counts = format!("{}, {}", human::counted(builds as u64, "table"), human::counted(views as u64, "view"));
    lines.push(String::new());
    lines.push(format!("{counts}. Names and types fit; not checked: {}.", not_checked(&nodes).join(", ")));
    lines.join("\n")
}

/// Returns what a Python node calls: `python ScoreFlights in transforms/ml/score_flights.py`.
fn code(node: &Node) -> String {
    match node.python() {
        Some(python) => format!("  python {} in {}", python.code.object, node.file.path.display()),
        None => String::new(),
    }
}

fn not_checked(nodes: &[&Node]) -> Vec<&'static str> {
    let python = nodes.iter().any(|node| node.python().is_some()).then_some(NOT_CHECKED_PYTHON);
    NOT_CHECKED.into_iter().chain(python).collect()
}

/// Returns what the node's last success wrote, and how long it took.
fn last_time(node: &Node, history: &HashMap<String, NodeHistory>) -> String {
    match history.get(&node.name) {
        Some(last) if node.is_published() => {
            format!("  last time {} in {}", human::counted(last.rows, "row"), human::duration(last.elapsed))
        }
        _ => String::new(),
    }
}

/// Returns names of target, environment and lake.
fn place(project: &Project) -> (String, String, String) {
    let target = &project.target;
    (target.name.clone(), target.env.clone(), target.lake.clone())
}

fn report(choice: &Choice, plan: &Plan, history: &HashMap<String, NodeHistory>) -> PlanReport {
    let (target, env, lake) = place(&choice.project);
    let node = |node: &Node| {
        let planned = plan.nodes.get(&node.name);
        let columns = planned.map(|planned| windlass_engine::columns(&planned.schema)).unwrap_or_default();
        PlannedNode {
            name: node.name.clone(),
            kind: node.kind_name(),
            action: action(node),
            inputs: choice.project.graph.parents(&node.name).to_vec(),
            columns: columns.into_iter().map(Into::into).collect(),
            last_run: history.get(&node.name).filter(|_| node.is_published()).map(last_run),
        }
    };
    let chosen: Vec<&Node> = to_run(choice).collect();
    let not_checked = not_checked(&chosen);
    let nodes = chosen.into_iter().map(node).collect();
    PlanReport { target, env, lake, nodes, not_checked, diagnostics: Vec::new() }
}

fn failed(place: Option<(String, String, String)>, diagnostics: &[Diagnostic]) -> PlanReport {
    let (target, env, lake) = place.unwrap_or_default();
    let diagnostics = diagnostics.iter().map(Into::into).collect();
    PlanReport { target, env, lake, nodes: Vec::new(), not_checked: NOT_CHECKED.to_vec(), diagnostics }
}

fn last_run(history: &NodeHistory) -> LastRun {
    LastRun {
        started_at: history.started_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        elapsed_ms: u64::try_from(history.elapsed.as_millis()).unwrap_or(u64::MAX),
        rows: history.rows,
        bytes: history.bytes,
    }
}
