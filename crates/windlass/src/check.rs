//! What `run` and `plan` check before the first row: files, names, types, contracts.
//!
//! Mistakes of the files do not keep the SQL of other nodes from being checked: all are reported.

use std::collections::BTreeSet;

use windlass_engine::{Plan, Sample};
use windlass_error::{Diagnostic, Severity};

use crate::choice::Choice;
use crate::output::{Output, Prefix};
use crate::printer::Printer;
use crate::report::{self, Mistakes};
use crate::session::Session;
use crate::settings::Settings;

/// Nodes that can run, and what it takes.
pub(crate) struct Checked {
    /// The nodes.
    pub(crate) choice: Choice,
    /// Their plan.
    pub(crate) plan: Plan,
    /// The engine that planned them.
    pub(crate) session: Session,
}

/// What nodes are checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// They are computed on all rows of sources or on a sample of them, so what they read has to be of the same.
    Run(Option<Sample>),
    /// Some of their rows are computed again, so their Python has to have its packages.
    Compute,
    /// What they have published is looked at.
    Look,
}

/// Plans the chosen nodes and prints warnings; fails with every mistake found.
pub(crate) fn check(
    choice: Choice,
    purpose: Purpose,
    threads: Option<u16>,
    settings: &Settings,
    printer: &Printer,
) -> anyhow::Result<Checked> {
    let mut choice = choice;
    let mut diagnostics = std::mem::take(&mut choice.diagnostics);
    let output = Output::new(printer, Prefix::Worker);
    let sample = if let Purpose::Run(sample) = purpose { sample } else { None };
    let session = Session::open_on(settings, &choice.project, (threads, sample), output);
    let planned = session.map(|session| {
        let (engine, Choice { project, nodes, .. }) = (&session.engine, &choice);
        let plan = session.block_on(Box::pin(async {
            let mut plan = engine.plan(project, nodes).await;
            if purpose != Purpose::Look {
                plan.diagnostics.extend(engine.lock_mistakes(project, nodes, &plan).await);
            }
            if let Purpose::Run(_) = purpose {
                let mistakes = engine.sample_mistakes(project, &plan).await;
                plan.diagnostics.extend(mistakes);
            }
            plan
        }));
        (plan, session)
    });
    if let Ok((plan, ..)) = &planned {
        diagnostics.extend(plan.diagnostics.iter().cloned());
    }
    if has_errors(&diagnostics) {
        return Err(Mistakes { diagnostics }.into());
    }
    warn(&diagnostics, printer);
    let (plan, session) = planned?;
    Ok(Checked { choice, plan, session })
}

/// Returns whether one of them stops a run.
pub(crate) fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

fn warn(warnings: &[Diagnostic], printer: &Printer) {
    if !warnings.is_empty() {
        printer.note(&report::diagnostics(warnings, printer.paint(), &mut BTreeSet::new()));
    }
}
