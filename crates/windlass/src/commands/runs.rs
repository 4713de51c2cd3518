//! `windlass runs`: what the run store remembers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use windlass_error::Code;
use windlass_runner::{NodeRunRow, RunDetail, RunRow};

use crate::cli::{Format, RunsLsArgs, RunsShowArgs};
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::Status;
use crate::settings::Settings;
use crate::style::Paint;
use crate::wire::{RunsDetail, RunsListing};
use crate::{human, open};

mod logs;
mod resume;

pub(super) use logs::logs;
pub(super) use resume::resume;

/// Prints the newest runs.
pub(super) fn list(args: &RunsLsArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let store = open::existing_store(&open::project(settings)?)?;
    let runs = store.map(|store| store.runs(args.limit)).transpose()?.unwrap_or_default();
    match args.format {
        Format::Json => printer.json("runs.ls", &RunsListing { runs })?,
        Format::Text if runs.is_empty() => printer.note("no run yet"),
        Format::Text => {
            let paint = printer.data_paint();
            printer.data(&runs.iter().map(|run| run_line(run, paint)).collect::<Vec<_>>().join("\n"))?;
        }
    }
    Ok(Status::Done)
}

/// Prints one run.
pub(super) fn show(args: &RunsShowArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let Some(store) = open::existing_store(&open::project(settings)?)? else {
        return Err(Refusal::new("there was no run yet").hint("windlass run").into());
    };
    let detail: RunsDetail = store.run(&args.run)?;
    match args.format {
        Format::Json => printer.json("runs.show", &detail)?,
        Format::Text => printer.data(&run_text(&detail, printer.data_paint()))?,
    }
    Ok(Status::Done)
}

fn run_line(run: &RunRow, paint: Paint) -> String {
    let rows = run.rows.map_or_else(String::new, |rows| human::counted(rows, "row"));
    let selection = run.selection.as_deref().unwrap_or("everything");
    format!(
        "{}  {}  {}  {:>10}  {rows:>16}  {}",
        run.run_id,
        time(run.started_at),
        outcome(run.outcome.as_deref(), paint),
        took(run),
        paint.faint(&format!("{} to {}: {selection}", run.target, run.env)),
    )
}

fn run_text(detail: &RunDetail, paint: Paint) -> String {
    let run = &detail.run;
    let mut lines = vec![format!("run        {}", run.run_id)];
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            lines.push(format!("{name:9}  {value}"));
        }
    };
    let reason = run.reason.as_deref().map(|reason| format!(", {reason}")).unwrap_or_default();
    fact("outcome", Some(format!("{}{reason}", outcome(run.outcome.as_deref(), paint).trim_end())));
    fact("started", Some(format!("{}, {}", time(run.started_at), took(run))));
    fact("selection", Some(run.selection.clone().unwrap_or_else(|| "everything".to_owned())));
    let arguments = run.arguments.as_ref();
    fact("continues", arguments.and_then(|arguments| arguments.resumes.clone()));
    fact("sample", arguments.and_then(|arguments| arguments.sample.clone()));
    fact("target", Some(format!("{}, env {}, lake {}", run.target, run.env, run.lake)));
    fact(
        "written",
        run.rows
            .map(|rows| format!("{}, {}", human::counted(rows, "row"), human::bytes(run.bytes.unwrap_or_default()))),
    );
    fact("peak", run.peak_memory_bytes.map(human::memory));
    fact("process", Some(format!("{} on {}, windlass {}", run.pid, run.host, run.version)));
    lines.push(String::new());
    let width = detail.nodes.iter().map(|node| node.node.chars().count()).max().unwrap_or_default();
    for node in &detail.nodes {
        lines.push(node_line(node, width, paint));
        if let Some(error) = &node.error_message {
            lines.push(format!("    {}", error.trim_end().replace('\n', "\n    ")));
        }
    }
    let codes: std::collections::BTreeSet<Code> = detail
        .nodes
        .iter()
        .filter_map(|node| Code::find(node.error_code.as_deref()?).map(|entry| entry.code))
        .collect();
    lines.extend(crate::report::more(&codes, paint));
    lines.join("\n")
}

fn node_line(node: &NodeRunRow, width: usize, paint: Paint) -> String {
    let mut facts = Vec::new();
    if node.attempt > 1 {
        facts.push(format!("attempt {}", node.attempt));
    }
    let kind = node.kind.as_deref();
    match kind {
        Some("view") => facts.push("view".to_owned()),
        Some("reused") => facts.push("unchanged".to_owned()),
        _ => {
            if kind == Some("replayed") {
                facts.push("replayed".to_owned());
            }
            facts.extend(node.rows.map(|rows| human::counted(rows, "row")));
            let error_rows = node.error_rows.filter(|rows| *rows > 0);
            facts.extend(error_rows.map(|rows| human::counted(rows, "error row")));
            let null_rows = node.null_rows.filter(|rows| *rows > 0);
            facts.extend(null_rows.map(|rows| format!("{} of NULL", human::counted(rows, "row"))));
            facts.extend(node.bytes.filter(|_| kind != Some("replayed")).map(human::bytes));
            facts.extend(node.table_version.map(|version| format!("version {version}")));
            facts.extend(node.elapsed_ms.map(|elapsed| human::duration(Duration::from_millis(elapsed))));
        }
    }
    match (&node.reason, &node.failed_node) {
        (Some(_), Some(failed)) => facts.push(format!("`{failed}` failed")),
        (Some(reason), None) if reason != "unchanged" => facts.push(reason.replace('_', " ")),
        _ => {}
    }
    facts.extend(node.error_code.clone());
    format!("  {}  {:width$}  {}", outcome(node.outcome.as_deref(), paint), node.node, facts.join("  "))
}

/// Returns an outcome in its colour, as wide as the widest.
fn outcome(outcome: Option<&str>, paint: Paint) -> String {
    let text = format!("{:9}", outcome.unwrap_or("running"));
    match outcome {
        Some("success" | "reused") => paint.good(&text),
        Some("failed") => paint.bad(&text),
        Some("cancelled") => paint.odd(&text),
        _ => paint.faint(&text),
    }
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn took(run: &RunRow) -> String {
    let elapsed = run.finished_at.and_then(|finished| (finished - run.started_at).to_std().ok());
    elapsed.map_or_else(|| "running".to_owned(), human::duration)
}
