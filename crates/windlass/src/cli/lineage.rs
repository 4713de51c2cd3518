//! Flags of `lineage`. The doc comments are the help text.

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCompleter;

use super::VarsArgs;
use crate::completion;

/// Flags of `lineage`.
#[derive(Debug, Args)]
pub(crate) struct LineageArgs {
    /// The node, or one of its columns.
    #[arg(value_name = "NODE[.COLUMN]", add = ArgValueCompleter::new(completion::nodes))]
    pub(crate) of: String,
    /// What it is computed from; both directions unless one is named.
    #[arg(long)]
    pub(crate) upstream: bool,
    /// What is computed from it.
    #[arg(long)]
    pub(crate) downstream: bool,
    /// How many nodes to follow in each direction, views counted; all unless said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) depth: Option<u32>,
    #[command(flatten)]
    pub(crate) vars: VarsArgs,
    /// How to print it.
    #[arg(long, default_value = "tree")]
    pub(crate) format: LineageFormat,
}

/// How `lineage` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LineageFormat {
    /// For people.
    Tree,
    /// A flowchart for Markdown and mermaid.live.
    Mermaid,
    /// One object with stable names.
    Json,
}
