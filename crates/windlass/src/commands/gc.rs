//! `windlass gc`: removes files that no table uses any more.
//!
//! Takes the lease, so that no run stages files meanwhile.

use std::collections::BTreeMap;

use windlass_engine::{Garbage, GarbageReason, GcOptions};
use windlass_runner::{Clock, LeaseGuard, LeaseRequest, RunId, SystemClock};

use crate::cli::{Format, GcArgs};
use crate::output::{Output, Prefix};
use crate::printer::Printer;
use crate::report::Status;
use crate::session::Session;
use crate::settings::Settings;
use crate::wire::{GcReport, RemovedFile};
use crate::{human, open};

/// Removes garbage, or says what it would remove.
pub(super) fn run(args: &GcArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let project = open::project(settings)?;
    let session = Session::open(settings, &project, None, Output::new(printer, Prefix::Worker))?;
    let store = open::store(&project)?;
    let clock = SystemClock::new();
    let target = &project.target;
    let _lease = LeaseGuard::acquire(
        &store,
        &LeaseRequest {
            lake: target.lake.clone(),
            env: target.env.clone(),
            run_id: RunId::generate(clock.now()),
            command: "gc".to_owned(),
        },
    )?;
    let finished = store.runs(usize::MAX)?.into_iter().filter(|run| run.finished_at.is_some());
    let options = GcOptions {
        keep_versions_for: args.keep_versions_for,
        finished_runs: finished.map(|run| run.run_id).collect(),
        dry_run: args.dry_run,
        now: clock.now(),
    };
    let garbage = session.block_on(Box::pin(session.engine.gc(&project, &options)))?;
    match args.format {
        Format::Json => {
            let report = GcReport {
                lake: target.lake.clone(),
                env: target.env.clone(),
                dry_run: args.dry_run,
                bytes: garbage.iter().map(|file| file.bytes).sum(),
                files: garbage.into_iter().map(removed).collect(),
            };
            printer.json("gc", &report)?;
        }
        Format::Text => {
            if !garbage.is_empty() {
                printer.data(&by_table(&garbage))?;
            }
            printer.note(&total(&garbage, args.dry_run));
        }
    }
    Ok(Status::Done)
}

/// Returns a line for each table and reason.
fn by_table(garbage: &[Garbage]) -> String {
    let mut sums: BTreeMap<(&str, &'static str), (u64, u64)> = BTreeMap::new();
    for file in garbage {
        let (files, bytes) = sums.entry((&file.table, reason(file.reason))).or_default();
        *files += 1;
        *bytes += file.bytes;
    }
    let width = sums.keys().map(|(table, _)| table.chars().count()).max().unwrap_or_default();
    let line = |((table, reason), (files, bytes)): ((&str, &str), (u64, u64))| {
        format!("{table:width$}  {:>12}  {:>9}  {reason}", human::counted(files, "file"), human::bytes(bytes))
    };
    sums.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

fn total(garbage: &[Garbage], dry_run: bool) -> String {
    if garbage.is_empty() {
        return "Nothing to remove".to_owned();
    }
    let files = human::counted(garbage.len() as u64, "file");
    let bytes = human::bytes(garbage.iter().map(|file| file.bytes).sum());
    let verb = if dry_run { "Would remove" } else { "Removed" };
    format!("{verb} {files}, {bytes}")
}

fn removed(file: Garbage) -> RemovedFile {
    RemovedFile { table: file.table, path: file.path, bytes: file.bytes, reason: reason(file.reason) }
}

fn reason(reason: GarbageReason) -> &'static str {
    match reason {
        GarbageReason::Leftover => "leftover",
        GarbageReason::Replaced => "replaced",
        GarbageReason::Candidate => "candidate",
    }
}
