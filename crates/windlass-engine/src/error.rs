//! What can go wrong while tables are read, computed and published.
//!
//! DataFusion, Delta and object store errors are classified here, in one place, by following the
//! chain of sources down to the first fact that says whose fault it is. Texts are read only where a
//! library gives nothing else, and each such place names the text.

mod cause;

use std::error::Error as StdError;

use datafusion::error::DataFusionError;
use deltalake_core::DeltaTableError;
use windlass_error::{Classify, Code, Diagnostic, Fault, Retry};
use windlass_project::error_table;

use crate::audit::CheckFailure;
use crate::checks::outcome::CheckOutcome;
use crate::tables::candidate::SUFFIX;

use self::cause::{chain, classify};
pub(crate) use self::cause::{code_of, decimal_overflow, source_of};

/// An operation of the engine that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A folder or URL cannot be understood or reached.
    #[error("cannot open `{location}`")]
    OpenStorage {
        /// Folder or URL.
        location: String,
        /// Why.
        source: object_store::Error,
    },
    /// A location is not a path or URL that we know.
    #[error("`{location}` is not a folder or URL that can be read")]
    Location {
        /// Folder or URL as written.
        location: String,
    },
    /// The lake's folder refuses writes.
    #[error("cannot write to the lake `{location}`")]
    LakeNotWritable {
        /// Folder or URL.
        location: String,
        /// Why.
        source: object_store::Error,
    },
    /// The query engine cannot be set up.
    #[error("cannot start the query engine")]
    Start {
        /// Why.
        source: DataFusionError,
    },
    /// A published table cannot be opened.
    #[error("cannot open table `{table}`")]
    OpenTable {
        /// Table name.
        table: String,
        /// Why.
        source: DeltaTableError,
    },
    /// A table is read that no run has published.
    #[error("table `{table}` has not been published yet")]
    NotPublished {
        /// Table name.
        table: String,
    },
    /// Files of a table are missing or unreadable while it is listed.
    #[error("cannot list `{location}`")]
    List {
        /// Folder or URL.
        location: String,
        /// Why.
        source: object_store::Error,
    },
    /// The project's files or input data have mistakes.
    #[error("{} mistake{} found", diagnostics.len(), if diagnostics.len() == 1 { "" } else { "s" })]
    Mistakes {
        /// The mistakes, at least one.
        diagnostics: Vec<Diagnostic>,
    },
    /// A query failed while it ran.
    #[error("cannot compute `{node}`")]
    Compute {
        /// Node name.
        node: String,
        /// The mistake in the user's SQL that is to blame, where one was found.
        blame: Option<Box<Diagnostic>>,
        /// Why.
        source: DataFusionError,
    },
    /// A table breaks its checks and was not published.
    #[error("{}", crate::audit::told(table, outcomes, failure))]
    Checks {
        /// Table name.
        table: String,
        /// The outcome of every check of the table.
        outcomes: Vec<CheckOutcome>,
        /// What else is to blame.
        failure: CheckFailure,
    },
    /// A result has a column that Delta tables cannot hold.
    #[error("column `{column}` of `{node}` has type {data_type}, which a Delta table cannot hold")]
    UnsupportedType {
        /// Node name.
        node: String,
        /// Column name.
        column: String,
        /// Arrow type.
        data_type: String,
    },
    /// No run has left what stands beside a table: a candidate, or failing rows of checks.
    #[error("no run has left `{name}`")]
    NothingKept {
        /// What was asked for, such as `orders@candidate`.
        name: String,
    },
    /// There are no error rows to replay.
    #[error("`{node}` has no error rows")]
    NoErrors {
        /// Node name.
        node: String,
    },
    /// What a replay answers does not fit the table.
    #[error("the columns of `{node}` have changed since it was published")]
    ChangedColumns {
        /// Node name.
        node: String,
    },
    /// Rows that stay and rows that are added do not fit into one table.
    #[error("the columns of `{node}` have changed, and its rows are to stay: {change}")]
    KeptColumns {
        /// Node name.
        node: String,
        /// What has changed, for people.
        change: String,
    },
    /// Rows that are to be merged do not say which rows they replace.
    #[error("rows of `{node}` cannot be merged: {problem}")]
    MergeKey {
        /// Node name.
        node: String,
        /// What is wrong with their key.
        problem: String,
    },
    /// Rows of a Python transform are in other intervals than the rows that it was given.
    #[error("a row of `{node}` is in no interval that was computed: {row}")]
    OutsideIntervals {
        /// Node name.
        node: String,
        /// The time of such a row, and where its intervals are.
        row: String,
    },
    /// A model cannot be looked up, read or registered.
    #[error("cannot use model `{model}`")]
    UseModel {
        /// The model, with the version that is asked for.
        model: String,
        /// Why.
        source: windlass_model::Error,
    },
    /// The files of a model cannot be read where they stand, or kept where workers load them.
    #[error("cannot {operation} `{}` of model `{model}`", .path.display())]
    ModelFiles {
        /// `read` or `write`.
        operation: &'static str,
        /// The model.
        model: String,
        /// The file or folder.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A model is read as if it were a table.
    #[error("`{model}` is a model, not a table")]
    NoTable {
        /// The model.
        model: String,
    },
    /// A version of a model missed its gates and was not promoted.
    #[error("version {version} of model `{model}` is kept and not promoted: it missed {}", missed.join("; "))]
    Gates {
        /// The model.
        model: String,
        /// The version.
        version: u64,
        /// Each gate that was missed, with what was found.
        missed: Vec<String>,
    },
    /// Files of a table cannot be put where it is to be published.
    #[error("cannot copy the files of table `{table}`")]
    Copy {
        /// Table name.
        table: String,
        /// Why.
        source: object_store::Error,
    },
    /// The commit that publishes a table failed.
    #[error("cannot commit version {version} of table `{table}`")]
    Commit {
        /// Table name.
        table: String,
        /// The version that was tried.
        version: u64,
        /// Why.
        source: DeltaTableError,
    },
    /// A version of a table is asked for that there is not.
    #[error("table `{table}` has no version {version}")]
    NoVersion {
        /// Table name.
        table: String,
        /// The version.
        version: u64,
        /// The newest version.
        newest: u64,
    },
    /// The profile that drift is measured from cannot be read.
    #[error("cannot read the stored profile of `{table}`")]
    ReadProfile {
        /// Table name.
        table: String,
        /// Why.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A profile cannot be stored.
    #[error("cannot store the profile of `{table}`")]
    StoreProfile {
        /// Table name.
        table: String,
        /// Why.
        source: object_store::Error,
    },
    /// Leftover files cannot be removed.
    #[error("cannot remove `{path}`")]
    Remove {
        /// File.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Classify for Error {
    fn fault(&self) -> Fault {
        match self {
            Self::Location { .. }
            | Self::NotPublished { .. }
            | Self::NoVersion { .. }
            | Self::Mistakes { .. }
            | Self::NothingKept { .. }
            | Self::NoErrors { .. }
            | Self::ChangedColumns { .. }
            | Self::KeptColumns { .. }
            | Self::MergeKey { .. }
            | Self::OutsideIntervals { .. }
            | Self::Checks { .. }
            | Self::NoTable { .. }
            | Self::Gates { .. }
            | Self::UnsupportedType { .. } => Fault::User,
            Self::Compute { blame: Some(_), .. } => Fault::User,
            Self::UseModel { source, .. } => source.fault(),
            _ => classify(self).0,
        }
    }

    fn retry(&self) -> Retry {
        if let Self::UseModel { source, .. } = self {
            return source.retry();
        }
        match self.fault() {
            Fault::External => classify(self).1,
            Fault::User | Fault::Internal => Retry::Never,
        }
    }

    fn code(&self) -> Option<Code> {
        match self {
            Self::Compute { blame: Some(diagnostic), .. } => Some(diagnostic.code),
            Self::Mistakes { diagnostics } => diagnostics.first().map(|diagnostic| diagnostic.code),
            Self::Location { .. } | Self::List { .. } => Some(classify(self).2.unwrap_or(Code::MISSING_FILE)),
            Self::LakeNotWritable { .. } => match classify(self) {
                (_, _, Some(Code::DISK_FULL)) => Some(Code::DISK_FULL),
                // It did not answer, which says nothing about permissions.
                (_, Retry::Backoff, code) => code,
                _ => Some(Code::LAKE_NOT_WRITABLE),
            },
            Self::NotPublished { .. } | Self::NoVersion { .. } | Self::NothingKept { .. } => Some(Code::UNKNOWN_TABLE),
            Self::Checks { outcomes, .. } if !outcomes.iter().any(CheckOutcome::blocks) => Some(Code::ERROR_BUDGET),
            Self::Checks { .. } => Some(Code::CHECK_FAILED),
            Self::UnsupportedType { .. } | Self::ChangedColumns { .. } | Self::KeptColumns { .. } => {
                Some(Code::TYPE_MISMATCH)
            }
            Self::MergeKey { .. } => Some(Code::MERGE_KEY),
            Self::OutsideIntervals { .. } => Some(Code::OUTSIDE_INTERVALS),
            Self::UseModel { source, .. } => source.code(),
            Self::NoTable { .. } => Some(Code::CREATE_MODEL),
            Self::Gates { .. } => Some(Code::MODEL_GATE),
            _ => classify(self).2,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Compute { blame: Some(diagnostic), .. } => diagnostic.hint.clone(),
            Self::UseModel { source, .. } => source.hint(),
            Self::NoTable { model } => Some(format!("score with it: select * from ml.predict(model {model}, table …)")),
            Self::Gates { .. } => Some(
                "readers keep the version before; train a better one, lower the gate, or promote it all the same"
                    .to_string(),
            ),
            Self::NotPublished { table } => Some(format!("publish it first: windlass run {table}")),
            Self::Checks { table, outcomes, failure } => way_out(table, outcomes, failure),
            Self::NothingKept { name } => Some(match name.strip_suffix(SUFFIX) {
                Some(_) => {
                    "a table has a candidate after a run that broke its checks, until it is published".to_string()
                }
                None => "each run of the table writes it, and `store_failures` of its checks says so".to_string(),
            }),
            Self::NoVersion { newest, .. } => Some(format!("the newest is version {newest}")),
            Self::ChangedColumns { node } => Some(format!("build it anew: windlass run {node}")),
            Self::KeptColumns { node, .. } => Some(format!(
                "`on_definition_change: forward` keeps rows as they are; compute all of them anew: windlass run {node} \
                 --full-refresh"
            )),
            Self::MergeKey { .. } => {
                Some("let the query return one row for each key, and none without, or correct `key`".to_string())
            }
            Self::OutsideIntervals { .. } => Some("return `time_column` as it came".to_string()),
            Self::UnsupportedType { column, .. } => {
                Some(format!("cast it, for example `cast({column} as varchar) as {column}`"))
            }
            Self::LakeNotWritable { .. } if self.code() == Some(Code::LAKE_NOT_WRITABLE) => {
                Some("check the folder's permissions, or set `lake:` of the target in targets.yml".to_string())
            }
            _ => match self.code() {
                Some(Code::MEMORY) => {
                    Some("raise `memory:` of the target, lower `threads:`, or split the query".to_string())
                }
                Some(Code::DISK_FULL) if matches!(self, Self::Compute { .. }) && !is_of_store(self) => Some(
                    "the temporary folder is full, where large queries spill: set TMPDIR to a larger disk, or raise \
                     `memory:` of the target"
                        .to_string(),
                ),
                Some(Code::DISK_FULL) => {
                    Some("free some space; `windlass gc` removes files that no table uses any more".to_string())
                }
                Some(Code::COMMIT_CONFLICT) => Some("run again: the table as it is now is used".to_string()),
                Some(Code::STORAGE) if lacks_credentials(self) => Some(
                    "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
                     `skip_signature: true` under `storage:` for a public bucket"
                        .to_string(),
                ),
                _ => None,
            },
        }
    }
}

/// Returns what to do about a table that its checks keep back.
fn way_out(table: &str, outcomes: &[CheckOutcome], failure: &CheckFailure) -> Option<String> {
    let is_over = failure.over_budget.is_some();
    let looked_at = match outcomes.iter().any(CheckOutcome::blocks) || !is_over {
        true => table.to_string(),
        // The rows that stay are good; those that left are of interest.
        false => error_table(table),
    };
    let look = failure.has_candidate.then(|| format!("look at its rows: windlass show {looked_at}@candidate"));
    let raise = is_over.then(|| "correct the input or the SQL, or raise `max_error_rate`".to_string());
    let parts: Vec<String> = raise.into_iter().chain(look).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Returns whether a store asked the machine for credentials, the last place where it looks, in vain.
fn lacks_credentials(error: &(dyn StdError + 'static)) -> bool {
    // `object_store` names the address that it asked: "Error performing PUT http://.../latest/api/token".
    chain(error).any(|cause| cause.to_string().contains("/latest/api/token"))
}

/// Returns whether an error comes from the lake or a source, not from the folder for spilled data.
fn is_of_store(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|cause| cause.is::<object_store::Error>())
}
