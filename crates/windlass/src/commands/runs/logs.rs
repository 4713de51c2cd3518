//! `windlass runs logs`: what the Python code of a run has printed.

use chrono::SecondsFormat;
use windlass_runner::{Error, RunDetail, RunStore};

use crate::cli::{Format, RunsLogsArgs};
use crate::open;
use crate::output::harmless;
use crate::output::log::{self, Line, Lines};
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::Status;
use crate::settings::Settings;
use crate::style::Paint;
use crate::wire::{LogLine, RunsLog};

/// Text that is printed at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Prints the log of a run.
pub(crate) fn logs(args: &RunsLogsArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let project = open::project(settings)?;
    let Some(store) = open::existing_store(&project)? else {
        return Err(Refusal::new("there was no run yet").hint("windlass run").into());
    };
    let (detail, node) = find(&store, args)?;
    let run_id = &detail.run.run_id;
    let lines = Lines::open(&log::folder(&project.target.state, run_id), node.as_deref())?;
    match args.format {
        Format::Json => {
            let lines = lines.map(|line| Ok(wire(line?))).collect::<std::io::Result<_>>()?;
            printer.json("runs.logs", &RunsLog { run_id: run_id.clone(), lines })?;
        }
        Format::Text => {
            if print(lines, printer)? == 0 {
                let whose = node.map(|node| format!(" of `{node}`")).unwrap_or_default();
                printer.note(&format!("no Python code{whose} printed anything in run {run_id}"));
            }
        }
    }
    Ok(Status::Done)
}

/// Returns the run and the node. A lone name that is no run's is that of a node.
fn find(store: &RunStore, args: &RunsLogsArgs) -> anyhow::Result<(RunDetail, Option<String>)> {
    let (detail, node) = match (store.run(&args.run), &args.node) {
        (Err(unknown @ Error::FindRun { .. }), None) => {
            let detail = store.run("latest")?;
            if !detail.nodes.iter().any(|row| row.node == args.run) {
                return Err(unknown.into());
            }
            (detail, Some(args.run.clone()))
        }
        (found, node) => (found?, node.clone()),
    };
    if let Some(node) = &node
        && !detail.nodes.iter().any(|row| row.node == *node)
    {
        let refusal = Refusal::new(format!("`{node}` was not part of run {}", detail.run.run_id));
        return Err(refusal.hint(format!("windlass runs show {}", detail.run.run_id)).into());
    }
    Ok((detail, node))
}

/// Prints lines and returns how many there were.
fn print(lines: Lines, printer: &Printer) -> anyhow::Result<usize> {
    let paint = printer.data_paint();
    let mut count = 0;
    let mut chunk = String::new();
    for line in lines {
        chunk.push_str(&text(&line?, paint));
        chunk.push('\n');
        count += 1;
        if chunk.len() >= CHUNK_BYTES {
            printer.data(&chunk)?;
            chunk.clear();
        }
    }
    if !chunk.is_empty() {
        printer.data(&chunk)?;
    }
    Ok(count)
}

fn text(line: &Line, paint: Paint) -> String {
    let before = format!("{} {}", line.at.format("%H:%M:%S"), line.origin());
    format!("{} {}", paint.faint(&before), harmless(&line.text))
}

fn wire(line: Line) -> LogLine {
    LogLine {
        at: line.at.to_rfc3339_opts(SecondsFormat::Millis, true),
        worker: line.worker,
        stream: line.stream.as_str(),
        node: line.node,
        text: line.text,
    }
}
