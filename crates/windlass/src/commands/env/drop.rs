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
    let is_own = project.target.own_env == args.name;
    if is_own && args.yes && args.confirm.as_ref() != Some(&args.name) {
        return Err(own(args, &project.target).into());
    }
    if !args.yes {
        let would = remove(Removal::Told)?;
        let question = text("Remove", &args.name, &would);
        let answer = match is_own {
            true => printer.confirm_by_name(
                &format!("{question}? It is the one that target `{}` names.", project.target.name),
                &args.name,
            ),
            false => printer.confirm(&format!("{question}?")),
        };
        match answer {
            Some(true) => {}
            Some(false) => {
                printer.note("Nothing was removed");
                return Ok(Status::Done);
            }
            None => {
                let message = format!("nobody is here to ask: {}", text("to be removed is", &args.name, &would));
                return Err(Refusal::new(message).hint(format!("say so: {}", command(args, is_own))).into());
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

/// Refuses the environment that the target itself names, which `--yes` alone is too little for.
fn own(args: &EnvDropArgs, target: &Target) -> Refusal {
    let message = format!("environment `{}` is the one that target `{}` names", args.name, target.name);
    let hint = format!("if all of its tables are to go, name it once more: {}", command(args, true));
    Refusal::new(message).code(Code::PROTECTED).hint(hint)
}

/// Returns the command that asks nobody.
fn command(args: &EnvDropArgs, is_own: bool) -> String {
    let confirm = if is_own { format!(" --confirm {}", args.name) } else { String::new() };
    format!("windlass env drop {} --yes{confirm}", args.name)
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
