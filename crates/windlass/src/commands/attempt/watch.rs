//! `windlass try --watch`: tries again whenever a file of the project changes.
//!
//! The engine stays, and with it environments and workers, as long as the target does. Nothing that
//! goes wrong ends it: the next change may mend it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use windlass_project::{Project, Target};

use super::{answer, find, open_session};
use crate::changes::Snapshot;
use crate::cli::TryArgs;
use crate::open;
use crate::printer::Printer;
use crate::report::{self, Status};
use crate::session::Session;
use crate::settings::Settings;
use crate::signals::Stop;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long files must have been left alone: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(50);
/// How long the last lines of a worker may be on their way.
const LAST_LINES: Duration = Duration::from_millis(20);

/// An engine, and the target that it was opened for.
struct Held {
    target: Target,
    session: Session,
}

/// Tries until it is told to stop.
pub(super) fn run(args: &TryArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let root = open::root(settings)?;
    let stop = Stop::listen()?;
    let mut held = None;
    while !stop.is_asked() {
        let before = Snapshot::take(&root);
        if let Err(error) = attempt(args, settings, printer, (&mut held, &stop)) {
            let mut codes = BTreeSet::new();
            printer.problem(&report::failure(error.as_ref(), printer.paint(), &mut codes));
            if let Some(line) = report::more(&codes, printer.paint()) {
                printer.problem(&line);
            }
        }
        if !stop.is_asked() {
            printer.note(&printer.paint().faint("waiting for a file to change, Ctrl-C ends it"));
            wait(&root, &before, &stop, printer);
        }
    }
    Ok(Status::Done)
}

fn attempt(
    args: &TryArgs,
    settings: &Settings,
    printer: &Printer,
    (held, stop): (&mut Option<Held>, &Stop),
) -> anyhow::Result<()> {
    let loaded = open::load(settings, &args.vars.vars)?;
    let (project, node) = find(&loaded, &args.node)?;
    let session = hold(held, settings, project, printer)?;
    let tried = session.block_on(Box::pin(async {
        tokio::select! {
            tried = session.engine.try_node(project, &args.node, args.rows) => Some(tried),
            () = stop.asked() => None,
        }
    }));
    let Some(tried) = tried else { return Ok(()) };
    std::thread::sleep(LAST_LINES);
    session.output.flush();
    answer(node, tried, args, printer).map(drop)
}

/// Returns the session that is there, or a new one where there is none for this target.
fn hold<'a>(
    held: &'a mut Option<Held>,
    settings: &Settings,
    project: &Project,
    printer: &Printer,
) -> anyhow::Result<&'a Session> {
    let kept = held.take().filter(|held| is_same(&held.target, &project.target));
    let next = match kept {
        Some(kept) => kept,
        None => Held { target: project.target.clone(), session: open_session(settings, project, printer)? },
    };
    Ok(&held.insert(next).session)
}

/// Returns whether an engine for one target is right for the other.
fn is_same(one: &Target, other: &Target) -> bool {
    let parts = |target: &Target| {
        let Target { lake, state, env, base, memory, threads, storage, tracking, .. } = target.clone();
        (lake, state, env, base, memory, threads, storage, tracking)
    };
    parts(one) == parts(other)
}

/// Waits until a file is another one than before, or for the end.
fn wait(root: &Path, before: &Snapshot, stop: &Stop, printer: &Printer) {
    let mut seen = before.clone();
    loop {
        let now = Snapshot::take(root);
        if seen == now
            && let Some(changed) = before.difference(&now)
        {
            printer.note(&printer.paint().faint(&format!("\n{} changed", changed.display())));
            return;
        }
        let has_moved = seen != now;
        seen = now;
        std::thread::sleep(if has_moved { SETTLE } else { LOOK_EVERY });
        if stop.is_asked() {
            return;
        }
    }
}
