//! Flags and subcommands. The doc comments are the help text.
//!
//! Nothing here reads the environment or the disk; `settings` says what the flags mean.

mod diff;
mod env;
mod intervals;
mod lineage;
pub(crate) mod models;
mod run;
mod runs;
mod test;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;

use crate::completion;
pub(crate) use diff::DiffArgs;
pub(crate) use env::{EnvCommand, EnvDiffArgs, EnvDropArgs, EnvLsArgs, EnvPromoteArgs};
pub(crate) use intervals::IntervalArgs;
pub(crate) use lineage::{LineageArgs, LineageFormat};
pub(crate) use run::{PlanArgs, RunArgs, SubsetArgs};
pub(crate) use runs::{RunsCommand, RunsLogsArgs, RunsLsArgs, RunsResumeArgs, RunsShowArgs};
pub(crate) use test::TestArgs;

/// Runs SQL and Python pipelines on DataFusion and publishes Delta tables.
#[derive(Debug, Parser)]
#[command(name = "windlass", bin_name = "windlass", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "\
Examples:
  windlass init demo   make a project that runs as it is
  windlass run         build and publish everything

Exit codes: 0 done, 1 the run finished with failures, 2 it could not run.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// The project's folder; else WINDLASS_PROJECT, else the nearest `windlass.yml` upwards.
    #[arg(short, long, global = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub(crate) project: Option<PathBuf>,
    /// The target of `targets.yml`; else WINDLASS_TARGET, else its default.
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) target: Option<String>,
    /// The environment, the first folder below the lake; else WINDLASS_ENV, else the target's.
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) env: Option<String>,
    /// Log what happens to stderr; twice for more. WINDLASS_LOG takes a filter such as `debug`.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Print results and errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Fail where the lock of a Python environment is missing or out of date; also WINDLASS_LOCKED=1.
    #[arg(long, global = true)]
    pub(crate) locked: bool,
    /// Make Python environments without the network; also WINDLASS_OFFLINE=1.
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// When to use colours; NO_COLOR turns them off as well.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorWhen,
    /// Print a line for each event in place of moving progress.
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new project.
    #[command(after_help = "\
Examples:
  windlass init demo                    the flights example, with its data
  windlass init --template blank        a small project in this folder")]
    Init(InitArgs),
    /// Build what has changed among the selected nodes, and publish their tables.
    #[command(after_help = "\
A selection names nodes: x, +x with all that it needs, x+ with all that needs it, stg_*,
tag:, path:, kind:, owner:, source: and config.<setting>:, joined by and, or, not and ( ).

Examples:
  windlass run                 everything that has changed
  windlass run +feat_flight    one table and all that it needs")]
    Run(RunArgs),
    /// Check the selected nodes and say what a run would build, and why.
    #[command(after_help = "\
Examples:
  windlass plan                everything
  windlass plan feat_flight+   one table and all that reads it")]
    Plan(PlanArgs),
    /// Look at published tables, views and sources with their checks.
    #[command(after_help = "\
Examples:
  windlass check                   everything that has checks
  windlass check +feat_flight      one table and all that it needs")]
    Check(CheckArgs),
    /// Show statistics of every column of a table; store them as what drift is measured from.
    #[command(after_help = "\
Examples:
  windlass profile feat_flight             nulls, distinct values, bounds, quantiles, histograms
  windlass profile feat_flight --accept    the same, from now on `baseline: stored` of its drift checks")]
    Profile(ProfileArgs),
    /// Run unit tests of transforms: given rows, expected rows. No table is read or written.
    #[command(after_help = "\
Tests stand in tests/*.yml: see docs/tests.md.

Examples:
  windlass test                    all of them
  windlass test score_flights      those of one transform")]
    Test(TestArgs),
    /// Compare a table with an earlier version, another environment or another table.
    #[command(after_help = "\
Examples:
  windlass diff feat_flight                   the newest version with the one before
  windlass diff feat_flight --to env:dev      with that of another environment")]
    Diff(DiffArgs),
    /// Show the first rows of a node or query, or how it is computed.
    #[command(after_help = "\
Examples:
  windlass show feat_flight -n 5
  windlass show --sql \"select carrier, count(*) as n from stg_flights group by carrier\"")]
    Show(ShowArgs),
    /// Try a transform on a few rows of its inputs; nothing is published.
    #[command(after_help = "\
Examples:
  windlass try score_flights --rows 1000
  windlass try score_flights --watch")]
    Try(TryArgs),
    /// Show why rows failed, export them, or run them again.
    #[command(after_help = "\
Examples:
  windlass errors score_flights --traceback    what went wrong, and where
  windlass errors score_flights --replay       run those rows again with the code as it is now")]
    Errors(ErrorsArgs),
    /// Show what a node or column is computed from, and what is computed from it.
    #[command(after_help = "\
Examples:
  windlass lineage feat_flight                           a node with its columns
  windlass lineage carrier_summary.late_rate --upstream  a column, back to the sources")]
    Lineage(LineageArgs),
    /// List nodes.
    #[command(after_help = "\
Examples:
  windlass ls tag:hourly
  windlass ls --format tree")]
    Ls(LsArgs),
    /// List, compare, promote and drop environments.
    #[command(
        subcommand,
        after_help = "\
Examples:
  windlass env ls
  windlass env promote dev_ana"
    )]
    Env(EnvCommand),
    /// Look at earlier runs, and continue one that ended early.
    #[command(
        subcommand,
        after_help = "\
Examples:
  windlass runs ls
  windlass runs show latest"
    )]
    Runs(RunsCommand),
    /// Look at trained models, promote versions and take that back.
    #[command(subcommand, after_help = "Examples:\n  windlass models ls\n  windlass models promote late_risk@3")]
    Models(models::ModelsCommand),
    /// Remove files that no table uses any more.
    #[command(after_help = "\
Examples:
  windlass gc --dry-run
  windlass gc --keep-versions-for 30d")]
    Gc(GcArgs),
    /// Explain error codes.
    #[command(after_help = "\
Examples:
  windlass explain E0102
  windlass explain E0102 E0301")]
    Explain(ExplainArgs),
    /// Print a script that completes commands, flags and names of nodes in a shell.
    #[command(after_help = "\
Examples:
  source <(windlass completions bash)
  windlass completions fish > ~/.config/fish/completions/windlass.fish")]
    Completions(CompletionsArgs),
}

/// Flags of `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Where to make it; missing folders are made.
    #[arg(value_name = "DIR", default_value = ".", value_hint = clap::ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// What to start from.
    #[arg(long, default_value = "flights")]
    pub(crate) template: Template,
}

/// What a new project starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Template {
    /// Features of 336,776 flights, with the data (6 MB).
    Flights,
    /// One small table and one transform.
    Blank,
}

/// Which nodes.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SelectArgs {
    /// The nodes, everything if none is named; several are joined by `or`.
    #[arg(value_name = "SELECT", add = ArgValueCompleter::new(completion::selections))]
    pub(crate) selections: Vec<String>,
    /// The same as a flag; may be given several times.
    #[arg(short, long = "select", value_name = "SELECT", add = ArgValueCompleter::new(completion::selections))]
    pub(crate) select: Vec<String>,
    /// The nodes to leave out; may be given several times.
    #[arg(short = 'x', long, value_name = "SELECT", add = ArgValueCompleter::new(completion::selections))]
    pub(crate) exclude: Vec<String>,
}

impl SelectArgs {
    /// Returns whether nothing is named.
    pub(crate) fn is_everything(&self) -> bool {
        self.selections.is_empty() && self.select.is_empty() && self.exclude.is_empty()
    }
}

/// Flags that change what a project's files say.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct VarsArgs {
    /// A variable over that of `windlass.yml`, as `name=value`; may be given several times.
    #[arg(long = "vars", value_name = "NAME=VALUE")]
    pub(crate) vars: Vec<String>,
}

/// Flags of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Look at the rows that the last run kept back, with the checks as they are now.
    #[arg(long)]
    pub(crate) candidate: bool,
    #[command(flatten)]
    pub(crate) vars: VarsArgs,
    /// How many threads work; else `threads:` of the target, else all that the process may use.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `profile`.
#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// The node: a table as it is published, a view, seed or source as it is now.
    #[arg(add = ArgValueCompleter::new(completion::nodes))]
    pub(crate) node: String,
    /// The version of a table; else the newest.
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<u64>,
    /// Store the profile: drift with `baseline: stored` is measured from it until another is accepted.
    #[arg(long, alias = "store")]
    pub(crate) accept: bool,
    /// How many threads work; else `threads:` of the target, else all that the process may use.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    #[command(flatten)]
    pub(crate) vars: VarsArgs,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `show`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct ShowArgs {
    /// The node: a table as it is published, a view, seed or source as it is now.
    #[arg(group = "what", add = ArgValueCompleter::new(completion::nodes))]
    pub(crate) node: Option<String>,
    /// A query over nodes; sources are written `source.table`.
    #[arg(long, group = "what", value_name = "QUERY")]
    pub(crate) sql: Option<String>,
    /// How many rows.
    #[arg(short = 'n', long, value_name = "ROWS", default_value_t = 10)]
    pub(crate) limit: usize,
    /// Print the node's SQL after its templates, or its Python file.
    #[arg(long, group = "instead", conflicts_with = "sql")]
    pub(crate) compiled: bool,
    /// Print the logical and the physical plan.
    #[arg(long, group = "instead")]
    pub(crate) explain: bool,
    /// Print the columns that the node's definition gives.
    #[arg(long, group = "instead")]
    pub(crate) schema: bool,
    #[command(flatten)]
    pub(crate) vars: VarsArgs,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: ShowFormat,
}

/// Flags of `try`.
#[derive(Debug, Args)]
pub(crate) struct TryArgs {
    /// The transform, in Python or SQL.
    #[arg(add = ArgValueCompleter::new(completion::nodes))]
    pub(crate) node: String,
    /// How many rows of its input a Python transform gets; of a SQL transform, rows of its result.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) rows: usize,
    /// How many rows of the result to print.
    #[arg(short = 'n', long, value_name = "ROWS", default_value_t = 10)]
    pub(crate) limit: usize,
    /// Try again whenever a file of the project changes; workers stay warm. Ctrl-C ends it.
    #[arg(long, conflicts_with = "format")]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) vars: VarsArgs,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `errors`.
#[derive(Debug, Args)]
pub(crate) struct ErrorsArgs {
    /// The node whose rows failed; without one, all nodes with error rows.
    #[arg(add = ArgValueCompleter::new(completion::python_nodes))]
    pub(crate) node: Option<String>,
    /// How many causes to print.
    #[arg(short = 'n', long, value_name = "CAUSES", default_value_t = 10)]
    pub(crate) limit: usize,
    /// Print where in the code each cause was raised.
    #[arg(long, requires = "node")]
    pub(crate) traceback: bool,
    /// Write the error rows to a file: .csv, .json (an object a line) or .parquet.
    #[arg(long, value_name = "FILE", requires = "node", value_hint = clap::ValueHint::FilePath)]
    pub(crate) export: Option<PathBuf>,
    /// Run the error rows again with the code as it is now, and merge what comes of them.
    #[arg(long, requires = "node", conflicts_with_all = ["export", "traceback"])]
    pub(crate) replay: bool,
    /// Merge them also where `targets.yml` protects the environment.
    #[arg(long, requires = "replay")]
    pub(crate) yes: bool,
    /// How many threads work at a replay; else `threads:` of the target, else all there are.
    #[arg(long, value_name = "N", requires = "replay", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    #[command(flatten)]
    pub(crate) vars: VarsArgs,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) vars: VarsArgs,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: LsFormat,
}

/// Flags of `gc`.
#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Say what would be removed, and remove nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long files of replaced versions are kept for their readers: a number and s, m, h, d or w.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = crate::human::parse_duration)]
    pub(crate) keep_versions_for: std::time::Duration,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Codes, such as E0102; none lists them all.
    #[arg(value_name = "CODE", add = clap_complete::ArgValueCandidates::new(completion::codes))]
    pub(crate) codes: Vec<String>,
    /// How to print it.
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Flags of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
    /// Print a script that stands alone: it knows commands and flags, but no names of nodes.
    #[arg(long = "static")]
    pub(crate) is_static: bool,
}

/// How to print a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One object with stable names.
    Json,
}

/// How `ls` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LsFormat {
    /// A line for each node.
    Text,
    /// What each table reads, as a tree.
    Tree,
    /// One object with stable names.
    Json,
}

/// How `show` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShowFormat {
    /// For people.
    Text,
    /// One object with stable names.
    Json,
    /// Comma-separated values with a header; rows only.
    Csv,
}
