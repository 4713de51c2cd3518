//! `windlass completions`: scripts that complete the command line.
//!
//! The usual script asks this binary, so names of nodes are completed as well; the static one
//! stands alone.

use clap::CommandFactory;
use clap_complete::env::Shells;

use crate::cli::{Cli, CompletionsArgs};
use crate::printer::Printer;
use crate::refusal::Refusal;
use crate::report::Status;

const NAME: &str = "windlass";

/// Prints a script.
pub(super) fn run(args: &CompletionsArgs, printer: &Printer) -> anyhow::Result<Status> {
    let mut script = Vec::new();
    if args.is_static {
        clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    } else {
        let shell = args.shell.to_string();
        let shells = Shells::builtins();
        let Some(completer) = shells.completer(&shell) else {
            let refusal = Refusal::new(format!("names of nodes cannot be completed in {shell}"));
            return Err(refusal.hint("add --static").into());
        };
        completer.write_registration("COMPLETE", NAME, NAME, NAME, &mut script)?;
    }
    printer.data(&String::from_utf8_lossy(&script))?;
    Ok(Status::Done)
}
