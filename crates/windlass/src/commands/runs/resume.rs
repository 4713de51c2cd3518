//! `windlass runs resume`: does what is left of a run that ended early.

use windlass_error::Code;
use windlass_runner::{RunArguments, RunDetail, RunRow, RunStore};

use crate::cli::RunsResumeArgs;
use crate::commands::run::{self, again};
use crate::open;
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::Status;
use crate::settings::Settings;

/// The word for the newest run.
const LATEST: &str = "latest";

/// Continues a run with what it was asked for.
pub(in crate::commands) fn resume(
    args: &RunsResumeArgs,
    settings: &Settings,
    printer: &Printer,
) -> anyhow::Result<Status> {
    let project = open::project(settings)?;
    let no_run = || anyhow::Error::from(Refusal::new("there was no run yet").hint("windlass run"));
    let store = open::existing_store(&project)?.ok_or_else(no_run)?;
    let found = found(&store, args, settings)?.ok_or_else(no_run)?;
    let Some(arguments) = permitted(&found)? else {
        printer.note(&format!("run {} ended well, nothing of it is left to do", found.run.run_id));
        return Ok(Status::Done);
    };
    let RunRow { target, env, lake, .. } = &found.run;
    let settings = Settings { target: Some(target.clone()), env: Some(env.clone()), ..settings.clone() };
    let now = open::project(&settings)?.target;
    if now.lake != *lake {
        let message = format!("run {} wrote to {lake}, and target `{target}` names {} now", found.run.run_id, now.lake);
        return Err(Refusal::new(message).hint("windlass run").into());
    }
    let continued = again::done_by(&store, &found)?;
    let of_run = |name: &&String| continued.done.contains(*name);
    let done: Vec<&str> = arguments.nodes.iter().filter(of_run).map(String::as_str).collect();
    let count = arguments.nodes.len();
    printer.note(&match done.as_slice() {
        [] => format!("continues run {} in {env}: none of {count} nodes is done", found.run.run_id),
        done => format!(
            "continues run {} in {env}: {} of {count} nodes are done: {}",
            found.run.run_id,
            done.len(),
            done.join(", ")
        ),
    });
    let flags = again::flags(&arguments, (args.yes, args.threads, args.format));
    run::continued(&flags, continued, "windlass runs resume", (&settings, printer))
}

/// Returns the run that is meant: the one that is named, else the newest of the environment that is named, else the
/// newest.
fn found(store: &RunStore, args: &RunsResumeArgs, settings: &Settings) -> anyhow::Result<Option<RunDetail>> {
    if args.run != LATEST {
        return Ok(Some(store.run(&args.run)?));
    }
    again::last_run(store, |run| settings.env.as_ref().is_none_or(|env| run.env == *env))
}

/// Returns what a run was asked for; `None` where all of it is done. Refuses one that goes on, and what is no run.
fn permitted(found: &RunDetail) -> Result<Option<RunArguments>, Refusal> {
    let RunRow { run_id, command, outcome, pid, host, arguments, .. } = &found.run;
    if command != again::COMMAND {
        let refusal = Refusal::new(format!("{run_id} was `windlass {command}`, and only runs are continued"));
        return Err(refusal.hint(format!("say it again: windlass {command}")));
    }
    match (outcome.as_deref(), arguments) {
        (None, _) => {
            let refusal = Refusal::new(format!("run {run_id} goes on, in process {pid} on {host}"));
            Err(refusal.code(Code::LEASE_HELD).hint("wait for its end, or stop it with Ctrl-C"))
        }
        (Some("success"), _) => Ok(None),
        (Some(_), Some(arguments)) => Ok(Some(arguments.clone())),
        (Some(_), None) => {
            let refusal =
                Refusal::new(format!("run {run_id} was made by a Windlass that did not keep what it was asked for"));
            Err(refusal.hint("windlass run goes on where it ended, for what is selected"))
        }
    }
}
