//! Flags of `windlass models`.

use clap::{Args, Subcommand};
use windlass_model::ModelRef;

use super::Format;

/// What to do with trained models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// List the models of the environment.
    #[command(after_help = "\
Examples:
  windlass models ls
  windlass models ls --env prod --format json")]
    Ls(ModelsLsArgs),
    /// Show a version of a model, the others, and where aliases were.
    #[command(after_help = "\
Examples:
  windlass models show late_risk
  windlass models show late_risk@champion --format json")]
    Show(ModelsShowArgs),
    /// Point an alias at a version, so that readers of the alias get it.
    #[command(after_help = "\
Examples:
  windlass models promote late_risk@3
  windlass models promote late_risk@challenger --alias champion --expect 2")]
    Promote(ModelsPromoteArgs),
    /// Take an alias back to the version before.
    #[command(after_help = "\
Examples:
  windlass models rollback late_risk
  windlass models rollback late_risk --alias challenger")]
    Rollback(ModelsRollbackArgs),
    /// Compare two versions: metrics, parameters, inputs and columns.
    #[command(after_help = "\
Examples:
  windlass models compare late_risk
  windlass models compare late_risk@champion late_risk@4 --format json")]
    Compare(ModelsCompareArgs),
}

/// Flags of `models ls`.
#[derive(Debug, Args)]
pub(crate) struct ModelsLsArgs {
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `models show`.
#[derive(Debug, Args)]
pub(crate) struct ModelsShowArgs {
    /// The model, or one version of it: `name`, `name@alias` or `name@3`.
    #[arg(value_name = "MODEL")]
    pub(crate) model: ModelRef,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `models promote`.
#[derive(Debug, Args)]
pub(crate) struct ModelsPromoteArgs {
    /// The version: `name@alias`, `name@3`, or `name` for the newest.
    #[arg(value_name = "MODEL")]
    pub(crate) model: ModelRef,
    /// The alias that gets it.
    #[arg(long, value_name = "ALIAS", default_value = "champion")]
    pub(crate) alias: String,
    /// Change nothing unless the alias is at this version; 0 means that it must not exist.
    #[arg(long, value_name = "VERSION")]
    pub(crate) expect: Option<u64>,
    /// Promote a version that missed a gate too.
    #[arg(long)]
    pub(crate) force: bool,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `models rollback`.
#[derive(Debug, Args)]
pub(crate) struct ModelsRollbackArgs {
    /// The model.
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// The alias to take back.
    #[arg(long, value_name = "ALIAS", default_value = "champion")]
    pub(crate) alias: String,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `models compare`.
#[derive(Debug, Args)]
pub(crate) struct ModelsCompareArgs {
    /// One version; the champion where only a name is given.
    #[arg(value_name = "MODEL")]
    pub(crate) first: ModelRef,
    /// The other; the newest of the same model where it is left out.
    #[arg(value_name = "OTHER")]
    pub(crate) second: Option<ModelRef>,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}
