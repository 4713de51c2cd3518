//! Flags of `windlass test`, which runs unit tests.

use clap::Args;

use super::{Format, SelectArgs, VarsArgs};

/// Flags of `test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) vars: VarsArgs,
    /// How many tests run at a time; else `threads:` of the target, else all that the process may use.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}
