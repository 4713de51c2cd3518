//! `windlass env drop`: removes an environment.

use windlass_engine::{Environment, Removal, RemovedEnvironment};
use windlass_error::Code;
use windlass_project::Target;
use windlass_runner::{Clock, LeaseGuard, LeaseRequest, RunId, SystemClock};

use super::{open_session, unknown};
use crate::cli::{EnvDropArgs, Format};
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::Status;
use crate::settings::Settings;
use crate::wire::EnvDropReport;
use crate::{human, open};

/// Removes the environment, once the user has agreed.
pub(super) fn run(args: &EnvDropArgs, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    let project = open::project(settings)?;
    let session = open_session(&project, settings, printer)?;
    let known = session.block_on(Box::pin(session.engine.list_environments()))?;
    permit(&args.name, &known, &project.target)?;
    let store = open::store(&project)?;
    let _lease = LeaseGuard::acquire(
        &store,
        &LeaseRequest {
            lake: project.target.lake.clone(),
            env: args.name.clone(),
            run_id: RunId::generate(SystemClock::new().now()),
            command: "env drop".to_owned(),
        },
    )?;
    let remove = |removal| session.block_on(Box::pin(session.engine.remove_environment(&args.name, removal)));
    if !args.yes {
        let would = remove(Removal::Told)?;
        match printer.confirm(&format!("{}?", text("Remove", &args.name, &would))) {
            Some(true) => {}
            Some(false) => return Ok(Status::Done),
            None => {
                let message = format!("nobody is here to ask: {}", text("to be removed is", &args.name, &would));
                let hint = format!("say so: windlass env drop {} --yes", args.name);
                return Err(Refusal::new(message).hint(hint).into());
            }
        }
    }
    let removed = remove(Removal::Done)?;
    match args.format {
        Format::Json => {
            let RemovedEnvironment { tables, files, bytes, kept } = removed;
            let env = args.name.clone();
            printer.json("env.drop", &EnvDropReport { env, tables, files, bytes, kept })?;
        }
        Format::Text => printer.note(&text("Removed", &args.name, &removed)),
    }
    Ok(Status::Done)
}

/// Refuses what is not there, what is protected, and what another environment stands on.
fn permit(name: &str, known: &[Environment], target: &Target) -> anyhow::Result<()> {
    if !known.iter().any(|env| env.name == name) {
        let names: Vec<String> = known.iter().map(|env| env.name.clone()).collect();
        return Err(unknown(name, &names).into());
    }
    let protected = |message: String| Refusal::new(message).code(Code::PROTECTED);
    if target.is_protected(name) {
        let refusal = protected(format!("environment `{name}` is protected"));
        return Err(refusal.hint("take it out of `protected:` in targets.yml first").into());
    }
    let above: Vec<&str> =
        known.iter().filter(|env| env.base.as_deref() == Some(name)).map(|env| env.name.as_str()).collect();
    if !above.is_empty() {
        let refusal = protected(format!("environment `{name}` is the base of {}", above.join(", ")));
        return Err(refusal.hint("drop those first").into());
    }
    if target.base.as_deref() == Some(name) {
        let message = format!("environment `{name}` is the base of target `{}`", target.name);
        return Err(protected(message).hint("take it out of `base:` in targets.yml first").into());
    }
    Ok(())
}

fn text(verb: &str, name: &str, removed: &RemovedEnvironment) -> String {
    let tables = human::counted(removed.tables.len() as u64, "table");
    let (files, bytes) = (human::counted(removed.files, "file"), human::bytes(removed.bytes));
    let mut text = format!("{verb} {name}: {tables}, {files}, {bytes}");
    match removed.kept.as_slice() {
        [] => {}
        [one] => text.push_str(&format!("; {name}/{one} stays, which is not ours")),
        several => {
            text.push_str(&format!(
                "; {} files stay, which are not ours, such as {name}/{}",
                several.len(),
                several[0]
            ));
        }
    }
    text
}
