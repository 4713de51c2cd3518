//! The command line of Windlass: parse, resolve, dispatch, exit code.
//!
//! `cli` holds the flags, `settings` what they mean together with the environment, `commands` one
//! file a command, `compose` joins engine and runner, and only `printer` prints.

// What a build waits for holds syntax trees of SQL, whose types nest deeper than the default.
#![recursion_limit = "256"]

use std::process::ExitCode;

use clap::Parser;

mod causes;
mod changes;
mod check;
mod choice;
mod cli;
mod commands;
mod completion;
mod compose;
mod differences;
mod human;
mod intervals;
mod open;
mod openlineage;
mod output;
mod printer;
mod progress;
mod protection;
mod python;
mod refusal;
mod report;
mod rows;
mod sampling;
mod session;
mod settings;
mod signals;
mod style;
mod system;
mod telemetry;
mod tracking;
mod tree;
mod unit_tests;
mod usage;
mod verdicts;
mod wire;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    if let Some(code) = completion::answer() {
        return code;
    }
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return report::usage(&error),
    };
    let printer = printer::Printer::new(&cli.global);
    let settings = match settings::Settings::resolve(&cli.global) {
        Ok(settings) => settings,
        Err(error) => return report::exit_code(Err(error), &printer),
    };
    telemetry::init(&settings);
    let status = commands::dispatch(cli.command, &settings, &printer);
    report::exit_code(status, &printer)
}
