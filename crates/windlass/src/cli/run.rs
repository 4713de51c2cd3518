//! Flags of `windlass run` and `windlass plan`.

use clap::Args;
use windlass_engine::Sample;

use super::{Format, IntervalArgs, SelectArgs, VarsArgs};

/// Flags of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) vars: VarsArgs,
    #[command(flatten)]
    pub(crate) intervals: IntervalArgs,
    /// Compute every selected node, also where nothing has changed since its table was published.
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// The same, and incremental tables from nothing.
    #[arg(long)]
    pub(crate) full_refresh: bool,
    #[command(flatten)]
    pub(crate) subset: SubsetArgs,
    /// Write to the environment also where `targets.yml` protects it.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Stop everything at the first failure; else only what needs the failed node is skipped.
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// How many threads work; else `threads:` of the target, else all that the process may use.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// `json` prints one object on stdout when the run is over.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags that leave out nodes or rows.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SubsetArgs {
    /// Of the selected nodes, only those that failed or were not reached in the last run of this environment, with those
    /// of that run that they need.
    #[arg(long)]
    pub(crate) failed: bool,
    /// Read a share of the rows of sources with a `sample_key`, such as 1%; in an environment beside the target's own.
    #[arg(long, value_name = "SHARE")]
    pub(crate) sample: Option<Sample>,
}

/// Flags of `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) vars: VarsArgs,
    #[command(flatten)]
    pub(crate) intervals: IntervalArgs,
    /// Say what `run --no-cache` would do.
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Say what `run --full-refresh` would do.
    #[arg(long)]
    pub(crate) full_refresh: bool,
    #[command(flatten)]
    pub(crate) subset: SubsetArgs,
    /// End with 10 where a run would build something, for scripts.
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}
