//! `windlass check`: looks at rows that are there already, and publishes nothing.
//!
//! Tables as they are published, views and sources as they are now. What it finds is kept in
//! `system.checks`, as what runs find is. Exit code 1 says that a check
//! stands in the way: a run that computed these rows would not publish them.

use windlass_engine::{CheckedNode, Inspected};
use windlass_project::{Node, Project};
use windlass_runner::{Clock, RunId, SystemClock};

use crate::check::{self, Checked, Purpose};
use crate::choice;
use crate::cli::{CheckArgs, Format};
use crate::printer::Printer;
use crate::report::{self, Status};
use crate::settings::Settings;
use crate::verdicts::{Verdicts, Wanted};
use crate::wire::{CheckReport, WireFailure, WireNode};
use crate::{human, open};

/// Looks at the selected nodes that have checks.
pub(super) fn run(args: &CheckArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let loaded = open::load(settings, &args.vars.vars)?;
    let choice = choice::choose(loaded, &args.select)?;
    let Checked { choice, plan, session, .. } = check::check(choice, Purpose::Look, args.threads, settings, printer)?;
    let project = choice.project;
    let rows = if args.candidate { Inspected::Candidate } else { Inspected::Current };
    let is_looked_at = |node: &&Node| {
        let has_rows = node.is_published() || !args.candidate;
        choice.nodes.contains(&node.name) && !node.checks.is_empty() && has_rows
    };
    let nodes: Vec<&Node> = project.nodes.values().filter(is_looked_at).collect();
    let now = SystemClock::new().now();
    let verdicts = Verdicts::default();
    let mut report = Vec::new();
    let mut failed = 0;
    for node in &nodes {
        // The version that is looked at; one of others that comes in between is looked at next time.
        let is_current = node.is_published() && rows == Inspected::Current;
        let published = if is_current { session.block_on(session.engine.published(&node.name)) } else { Ok(None) };
        let version = published.ok().flatten().map(|table| table.version);
        let inspected = session.block_on(Box::pin(session.engine.inspect(&project, &plan, node, (rows, now))));
        let error = match inspected {
            Ok(outcomes) => {
                verdicts.add(CheckedNode { node: node.name.clone(), version, checked_at: now, outcomes });
                None
            }
            Err(error) => {
                printer.problem(&report::failure(&error, printer.paint(), &mut Default::default()));
                failed += 1;
                Some(WireFailure::new(&error))
            }
        };
        report.push(WireNode {
            name: node.name.clone(),
            kind: node.kind_name(),
            checks: verdicts.of(&node.name),
            error,
        });
    }
    let run_id = RunId::generate(now);
    session.block_on(verdicts.record(&session.engine, (run_id.as_str(), now.timestamp_millis()), printer));
    let is_good = failed == 0 && !verdicts.has_blocking();
    match args.format {
        Format::Json => printer.json("check", &json(&project, report, is_good))?,
        Format::Text => {
            if let Some(text) = verdicts.told(printer.data_paint(), Wanted::All) {
                printer.data(&text)?;
            }
            if nodes.is_empty() {
                printer.note("no selected node has checks");
            } else {
                let unread = if failed > 0 { format!(", {failed} could not be read") } else { String::new() };
                printer.note(&format!("Looked at {}{unread}", human::counted(nodes.len() as u64, "node")));
            }
        }
    }
    Ok(if is_good { Status::Done } else { Status::Failures })
}

fn json(project: &Project, nodes: Vec<WireNode>, is_good: bool) -> CheckReport {
    let target = &project.target;
    CheckReport {
        target: target.name.clone(),
        env: target.env.clone(),
        lake: target.lake.clone(),
        outcome: if is_good { "pass" } else { "fail" },
        nodes,
    }
}
