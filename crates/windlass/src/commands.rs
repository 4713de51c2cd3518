//! The commands, one file each.

use crate::cli::{Command, RunsCommand};
use crate::printer::Printer;
use crate::report::Status;
use crate::settings::Settings;

mod attempt;
mod check;
mod completions;
mod diff;
mod env;
mod errors;
mod explain;
mod gc;
mod init;
mod lineage;
mod ls;
mod models;
mod plan;
mod profile;
mod run;
mod runs;
mod show;
mod test;

/// Does what was asked for.
pub(crate) fn dispatch(command: Command, settings: &Settings, printer: &Printer) -> anyhow::Result<Status> {
    match command {
        Command::Init(args) => init::run(&args, settings, printer),
        Command::Run(args) => run::run(&args, settings, printer),
        Command::Plan(args) => plan::run(&args, settings, printer),
        Command::Check(args) => check::run(&args, settings, printer),
        Command::Profile(args) => profile::run(&args, settings, printer),
        Command::Diff(args) => diff::run(&args, settings, printer),
        Command::Test(args) => test::run(&args, settings, printer),
        Command::Show(args) => show::run(&args, settings, printer),
        Command::Try(args) => attempt::run(&args, settings, printer),
        Command::Errors(args) => errors::run(&args, settings, printer),
        Command::Lineage(args) => lineage::run(&args, settings, printer),
        Command::Ls(args) => ls::run(&args, settings, printer),
        Command::Env(command) => env::run(&command, settings, printer),
        Command::Runs(RunsCommand::Ls(args)) => runs::list(&args, settings, printer),
        Command::Runs(RunsCommand::Show(args)) => runs::show(&args, settings, printer),
        Command::Runs(RunsCommand::Resume(args)) => runs::resume(&args, settings, printer),
        Command::Runs(RunsCommand::Logs(args)) => runs::logs(&args, settings, printer),
        Command::Models(command) => models::run(&command, settings, printer),
        Command::Gc(args) => gc::run(&args, settings, printer),
        Command::Explain(args) => explain::run(&args, printer),
        Command::Completions(args) => completions::run(&args, printer),
    }
}
