//! Flags of `windlass runs`.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use super::Format;
use crate::completion;

/// What to know about earlier runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List the newest runs.
    #[command(after_help = "\
Examples:
  windlass runs ls
  windlass runs ls -n 100 --format json")]
    Ls(RunsLsArgs),
    /// Show one run and how each node fared.
    #[command(after_help = "\
Examples:
  windlass runs show
  windlass runs show 0193a5f0 --format json")]
    Show(RunsShowArgs),
    /// Do what is left of a run that failed or was stopped, with what it was asked for.
    #[command(after_help = "\
Examples:
  windlass runs resume             the newest run
  windlass runs resume 0193a5f0")]
    Resume(RunsResumeArgs),
    /// Print what the Python code of a run has printed.
    #[command(after_help = "\
Examples:
  windlass runs logs
  windlass runs logs latest score_flights")]
    Logs(RunsLogsArgs),
}

/// Flags of `runs ls`.
#[derive(Debug, Args)]
pub(crate) struct RunsLsArgs {
    /// How many.
    #[arg(short = 'n', long, value_name = "RUNS", default_value_t = 20)]
    pub(crate) limit: usize,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `runs show`.
#[derive(Debug, Args)]
pub(crate) struct RunsShowArgs {
    /// A run's id, the beginning of one, or `latest`.
    #[arg(value_name = "RUN", default_value = "latest")]
    pub(crate) run: String,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `runs resume`.
#[derive(Debug, Args)]
pub(crate) struct RunsResumeArgs {
    /// A run's id, the beginning of one, or `latest`: the newest, of the environment that -e names where it does.
    #[arg(value_name = "RUN", default_value = "latest")]
    pub(crate) run: String,
    /// Write to the environment also where `targets.yml` protects it.
    #[arg(long)]
    pub(crate) yes: bool,
    /// How many threads work; else `threads:` of the target, else all that the process may use.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// `json` prints one object on stdout when the run is over.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `runs logs`.
#[derive(Debug, Args)]
pub(crate) struct RunsLogsArgs {
    /// A run's id, the beginning of one, or `latest`.
    #[arg(value_name = "RUN", default_value = "latest")]
    pub(crate) run: String,
    /// The node; without one, all nodes of the run.
    #[arg(value_name = "NODE", add = ArgValueCompleter::new(completion::python_nodes))]
    pub(crate) node: Option<String>,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}
