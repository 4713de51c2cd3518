//! `windlass try`: one transform on a few rows of its inputs as they are published.
//!
//! What its code prints goes straight to the screen, then come the first rows of its result and those
//! that failed. Nothing is published and nothing is written down.

use std::time::Duration;

use windlass_engine::Tried;
use windlass_error::{Classify, Code, Fault};
use windlass_project::{Loaded, Node, NodeKind, Project};

use crate::causes::{self, Detail};
use crate::cli::{Format, TryArgs};
use crate::output::{Output, Prefix};
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::{self, Mistakes, Status};
use crate::session::Session;
use crate::settings::Settings;
use crate::wire::TryReport;
use crate::{check, choice, human, open, rows};

mod watch;

/// Codes of failures before the user's code was called.
const NOT_CALLED: [Code; 5] = [Code::LOCK, Code::ENVIRONMENT, Code::PACKAGE, Code::UV, Code::RESOURCES];

/// Tries a node, once or whenever a file changes.
pub(super) fn run(args: &TryArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    if args.watch {
        return watch::run(args, settings, printer);
    }
    let loaded = open::load(settings, &args.vars.vars)?;
    let (project, node) = find(&loaded, &args.node)?;
    let mut session = open_session(settings, project, printer)?;
    let tried = session.block_on(Box::pin(session.engine.try_node(project, &args.node, args.rows)));
    // All that the code prints stands above the result.
    session.close();
    answer(node, tried, args, printer)
}

/// Returns a node that can be tried.
fn find<'a>(loaded: &'a Loaded, name: &str) -> anyhow::Result<(&'a Project, &'a Node)> {
    let found = choice::find(loaded, name)?;
    if check::has_errors(&found.obstacles) {
        return Err(Mistakes { diagnostics: found.obstacles }.into());
    }
    let Some(project) = &loaded.project else {
        return Err(Mistakes { diagnostics: loaded.diagnostics.clone() }.into());
    };
    match &found.node.kind {
        NodeKind::Transform(_) | NodeKind::Python(_) => Ok((project, found.node)),
        NodeKind::Model(_) | NodeKind::Imported(_) => {
            let refusal = Refusal::new(format!("`{name}` is a model and has no rows to try"));
            Err(refusal.hint(format!("train it: windlass run {name}")).into())
        }
        NodeKind::Source(_) | NodeKind::Seed(_) => {
            let refusal = Refusal::new(format!("`{name}` is a {} and computes nothing", found.node.kind_name()));
            Err(refusal.hint(format!("its first rows: windlass show {name}")).into())
        }
    }
}

fn open_session(settings: &Settings, project: &Project, printer: &Printer) -> anyhow::Result<Session> {
    Session::open(settings, project, None, Output::new(printer, Prefix::None))
}

/// Prints what came of it. That the user's code failed is a result.
fn answer(
    node: &Node,
    tried: Result<Tried, windlass_engine::Error>,
    args: &TryArgs,
    printer: &Printer,
) -> anyhow::Result<Status> {
    match tried {
        Ok(tried) => {
            tell(node, &tried, args, printer)?;
            Ok(if fails_for_all(&tried) { Status::Failures } else { Status::Done })
        }
        Err(error) if is_of_the_code(&error) => {
            let mut codes = std::collections::BTreeSet::new();
            printer.problem(&report::failure(&error, printer.paint(), &mut codes));
            if let Some(line) = report::more(&codes, printer.paint()) {
                printer.problem(&line);
            }
            Ok(Status::Failures)
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns whether the user's code was called and failed.
fn is_of_the_code(error: &windlass_engine::Error) -> bool {
    let was_called = matches!(error, windlass_engine::Error::Compute { .. });
    was_called && error.fault() == Fault::User && error.code().is_none_or(|code| !NOT_CALLED.contains(&code))
}

/// Returns whether the code was called for rows and failed for each of them.
fn fails_for_all(tried: &Tried) -> bool {
    let was_called = tried.failures.iter().any(|cause| !matches!(cause.stage.as_str(), "requires" | "reject"));
    was_called && failed_rows(tried) == tried.rows_in
}

fn tell(node: &Node, tried: &Tried, args: &TryArgs, printer: &Printer) -> anyhow::Result<()> {
    let shown = rows::first(&tried.shown, args.limit);
    if args.format == Format::Json {
        return printer.json("try", &report(node, tried, &shown)?);
    }
    printer.data(&rows::as_text(&shown)?)?;
    if !tried.failures.is_empty() {
        let failed = human::counted(failed_rows(tried), "row");
        let causes = causes::text(&tried.failures, Detail::Traceback, printer.data_paint());
        printer.data(&format!("\n{failed} failed\n\n{causes}\n"))?;
    }
    printer.note(&printer.paint().faint(&facts(node, tried, args.limit)));
    Ok(())
}

/// Returns the last line: `100 rows in, 97 rows out, 3 failed · ready after 8 ms, computed in 4 ms`.
fn facts(node: &Node, tried: &Tried, limit: usize) -> String {
    let count = rows::count(&tried.shown);
    let out = human::counted(count as u64, "row");
    let mut facts = match node.python() {
        Some(_) => format!("{} in, {out} out", human::counted(tried.rows_in, "row")),
        None => out,
    };
    let failed = failed_rows(tried);
    if failed > 0 {
        facts.push_str(&format!(", {} failed", human::count(failed)));
    }
    if count > limit {
        facts.push_str(&format!(", first {limit} shown"));
    }
    let ready = match node.python() {
        Some(_) => format!("ready after {}, ", human::duration(tried.prepare)),
        None => String::new(),
    };
    format!("{facts} · {ready}computed in {}", human::duration(tried.compute))
}

fn failed_rows(tried: &Tried) -> u64 {
    tried.failures.iter().map(|cause| cause.rows).sum()
}

fn report(node: &Node, tried: &Tried, shown: &windlass_engine::Shown) -> anyhow::Result<TryReport> {
    Ok(TryReport {
        node: node.name.clone(),
        columns: windlass_engine::columns(&shown.schema).into_iter().map(Into::into).collect(),
        rows: rows::as_json(shown)?,
        row_count: rows::count(&tried.shown),
        rows_in: node.python().map(|_| tried.rows_in),
        error_rows: failed_rows(tried),
        causes: tried.failures.iter().map(Into::into).collect(),
        prepare_ms: milliseconds(tried.prepare),
        compute_ms: milliseconds(tried.compute),
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
