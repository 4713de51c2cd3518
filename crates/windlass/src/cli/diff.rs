//! Flags of `windlass diff`, which compares published tables.

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::{Format, VarsArgs};
use crate::completion;

/// Flags of `diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The table, at its newest version.
    #[arg(add = ArgValueCompleter::new(completion::nodes))]
    pub(crate) table: String,
    /// What to compare it with: a version such as `3`, or `env:NAME`; else the version before.
    #[arg(long, value_name = "VERSION|env:NAME", conflicts_with = "with")]
    pub(crate) to: Option<String>,
    /// Another table to compare it with.
    #[arg(long, value_name = "TABLE", add = ArgValueCompleter::new(completion::nodes))]
    pub(crate) with: Option<String>,
    /// Columns that identify a row; else the key of the transform, or of its first `unique` check.
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    pub(crate) key: Vec<String>,
    /// How many rows that differ are shown.
    #[arg(short = 'n', long, value_name = "ROWS", default_value_t = 10)]
    pub(crate) limit: usize,
    /// Exit with 1 where the tables differ.
    #[arg(long)]
    pub(crate) exit_code: bool,
    #[command(flatten)]
    pub(crate) vars: VarsArgs,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}
