//! Flags of `windlass env`.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use super::{Format, VarsArgs};
use crate::completion;

/// What to do with environments.
#[derive(Debug, Subcommand)]
pub(crate) enum EnvCommand {
    /// List the environments of the lake.
    #[command(after_help = "\
Examples:
  windlass env ls
  windlass env ls --format json")]
    Ls(EnvLsArgs),
    /// Show the tables that an environment has of its own, and how they differ from those of its base.
    #[command(after_help = "\
Examples:
  windlass env diff dev_ana          what has changed, and why
  windlass env diff dev_ana --rows   and how many rows differ")]
    Diff(EnvDiffArgs),
    /// Publish what an environment has built in its base, without computing it again.
    #[command(after_help = "\
Examples:
  windlass env promote dev_ana                  every table of its own
  windlass env promote dev_ana +feat_flight     one table and all that it needs")]
    Promote(EnvPromoteArgs),
    /// Remove an environment with all tables of its own.
    #[command(after_help = "\
Examples:
  windlass env drop dev_ana          say what that removes, and ask
  windlass env drop dev_ana --yes    remove it")]
    Drop(EnvDropArgs),
}

/// Flags of `env ls`.
#[derive(Debug, Args)]
pub(crate) struct EnvLsArgs {
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `env diff`.
#[derive(Debug, Args)]
pub(crate) struct EnvDiffArgs {
    /// The environment; else that of -e or of the target.
    #[arg(value_name = "ENV")]
    pub(crate) name: Option<String>,
    /// What to hold it against; else the base of the target, else the base that it was last run on.
    #[arg(long, value_name = "BASE")]
    pub(crate) to: Option<String>,
    /// Read the tables that differ, and count the rows that do.
    #[arg(long)]
    pub(crate) rows: bool,
    #[command(flatten)]
    pub(crate) vars: VarsArgs,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `env promote`.
#[derive(Debug, Args)]
pub(crate) struct EnvPromoteArgs {
    /// The environment; else that of -e or of the target.
    #[arg(value_name = "ENV")]
    pub(crate) name: Option<String>,
    /// The tables, every table of its own if none is named; several are joined by `or`.
    #[arg(value_name = "SELECT", add = ArgValueCompleter::new(completion::selections))]
    pub(crate) selections: Vec<String>,
    /// Where to publish them; else the base of the target, else the base that it was last run on.
    #[arg(long, value_name = "BASE")]
    pub(crate) to: Option<String>,
    /// Publish tables also where their definition or what they read has changed since they were built.
    #[arg(long)]
    pub(crate) allow_stale: bool,
    /// Say what would be published, and publish nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) vars: VarsArgs,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `env drop`.
#[derive(Debug, Args)]
pub(crate) struct EnvDropArgs {
    /// The environment.
    #[arg(value_name = "ENV")]
    pub(crate) name: String,
    /// Remove it without asking.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Its name once more, where it is the one that the target itself names; with --yes.
    #[arg(long, value_name = "ENV", requires = "yes")]
    pub(crate) confirm: Option<String>,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}
