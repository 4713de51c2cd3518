//! `windlass env`: the environments of a lake, what they have of their own, and what becomes of it.

use windlass_error::Code;
use windlass_project::{Loaded, Project, Target};

use crate::cli::EnvCommand;
use crate::open;
use crate::output::{Output, Prefix};
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::{Mistakes, Status};
use crate::session::Session;
use crate::settings::Settings;

mod diff;
mod drop;
mod ls;
mod promote;

/// Does what was asked for.
pub(super) fn run(command: &EnvCommand, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    match command {
        EnvCommand::Ls(args) => ls::run(args, settings, printer),
        EnvCommand::Diff(args) => diff::run(args, settings, printer),
        EnvCommand::Promote(args) => promote::run(args, settings, printer),
        EnvCommand::Drop(args) => drop::run(args, settings, printer),
    }
}

/// Reads the project for an environment and settles what its base is: the one that is named, else that of
/// the target, else the one that it was last run on.
fn load(
    name: Option<&String>,
    to: Option<&String>,
    (settings, vars): (&Settings, &[String]),
    printer: &Printer,
) -> anyhow::Result<(Loaded, Settings)> {
    let mut settings = settings.clone();
    settings.env = name.cloned().or(settings.env);
    let mut loaded = open::load(&settings, vars)?;
    let Some(project) = &mut loaded.project else { return Err(Mistakes { diagnostics: loaded.diagnostics }.into()) };
    if let Some(to) = to {
        project.target.base = Some(to.clone());
    } else if project.target.base.is_none() {
        let session = open_session(project, &settings, printer)?;
        project.target.base = session.block_on(session.engine.noted_base(&project.target.env))?;
    }
    let Target { env, base, .. } = &project.target;
    match base {
        Some(base) if base != env => Ok((loaded, settings)),
        Some(_) => Err(Refusal::new(format!("`{env}` is the environment itself, not its base")).into()),
        None => {
            let refusal = Refusal::new(format!("environment `{env}` has no base"));
            Err(refusal.hint("name it: --to prod, or `base: prod` of the target in targets.yml").into())
        }
    }
}

fn open_session(project: &Project, settings: &Settings, printer: &Printer) -> anyhow::Result<Session> {
    Session::open(settings, project, None, Output::new(printer, Prefix::Worker))
}

/// Refuses an environment that the lake does not have.
fn unknown(env: &str, known: &[String]) -> Refusal {
    let refusal = Refusal::new(format!("the lake has no environment `{env}`")).code(Code::UNKNOWN_TABLE);
    match windlass_error::nearest(env, known.iter().map(String::as_str)) {
        Some(near) => refusal.hint(format!("did you mean `{near}`?")),
        None => refusal.hint("`windlass env ls` lists them"),
    }
}
