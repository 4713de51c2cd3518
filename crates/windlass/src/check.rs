//! What `run` and `plan` check before the first row: files, names, types, contracts.
//!
//! Mistakes of the files do not keep the SQL of other nodes from being checked: all are reported.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::runtime::Runtime;
use windlass_engine::{Engine, Plan};
use windlass_error::{Diagnostic, Severity};

use crate::choice::Choice;
use crate::open;
use crate::printer::Printer;
use crate::report::{self, Mistakes};
use crate::settings::Settings;

/// Nodes that can run, and what it takes.
pub(crate) struct Checked {
    /// The nodes.
    pub(crate) choice: Choice,
    /// Their plan.
    pub(crate) plan: Plan,
    /// The engine that planned them.
    pub(crate) engine: Arc<Engine>,
    /// Its threads.
    pub(crate) runtime: Runtime,
    /// How many there are.
    pub(crate) threads: usize,
}

/// Plans the chosen nodes and prints warnings; fails with every mistake found.
pub(crate) fn check(
    choice: Choice,
    threads: Option<u16>,
    settings: &Settings,
    printer: &Printer,
) -> anyhow::Result<Checked> {
    let threads = open::threads(&choice.project, threads);
    let mut choice = choice;
    let mut diagnostics = std::mem::take(&mut choice.diagnostics);
    let planned = plan(&choice, threads, settings);
    if let Ok((plan, ..)) = &planned {
        diagnostics.extend(plan.diagnostics.iter().cloned());
    }
    if has_errors(&diagnostics) {
        return Err(Mistakes { diagnostics }.into());
    }
    warn(&diagnostics, printer);
    let (plan, engine, runtime) = planned?;
    Ok(Checked { choice, plan, engine, runtime, threads })
}

/// Returns whether one of them stops a run.
pub(crate) fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

fn plan(choice: &Choice, threads: usize, settings: &Settings) -> anyhow::Result<(Plan, Arc<Engine>, Runtime)> {
    let runtime = open::runtime(threads)?;
    let engine = open::engine(settings, &choice.project, threads)?;
    let plan = runtime.block_on(Box::pin(engine.plan(&choice.project, &choice.nodes)));
    Ok((plan, engine, runtime))
}

fn warn(warnings: &[Diagnostic], printer: &Printer) {
    if !warnings.is_empty() {
        printer.note(&report::diagnostics(warnings, printer.paint(), &mut BTreeSet::new()));
    }
}
