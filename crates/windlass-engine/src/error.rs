//! What can go wrong while tables are read, computed and published.
//!
//! DataFusion, Delta and object store errors are classified here, in one place, by following the
//! chain of sources down to the first fact that says whose fault it is. Texts are read only where a
//! library gives nothing else, and each such place names the text.

use std::error::Error as StdError;

use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use deltalake_core::DeltaTableError;
use windlass_error::{Classify, Code, Diagnostic, Fault, Retry};
use windlass_project::error_table;

use crate::audit::CheckFailure;
use crate::checks::outcome::CheckOutcome;
use crate::operators::python::PythonError;
use crate::tables::candidate::SUFFIX;
use crate::tables::publish::is_conflict;

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

/// Returns an error and its causes.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |current| source_of(*current))
}

/// Answers whose fault an error is, whether to retry and its code, from the chain of its sources.
fn classify(error: &(dyn StdError + 'static)) -> (Fault, Retry, Option<Code>) {
    // The deepest cause knows best: a full disk arrives inside three layers of wrapping.
    chain(error).filter_map(classify_one).last().unwrap_or((Fault::Internal, Retry::Never, None))
}

/// Returns the cause of an error, also where the library hides it from `source`.
pub(crate) fn source_of<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<DataFusionError>() {
        Some(DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner)) => Some(inner.as_ref()),
        Some(DataFusionError::Shared(inner)) => Some(inner.as_ref()),
        Some(DataFusionError::Collection(all)) => all.first().map(|first| first as &(dyn StdError + 'static)),
        Some(DataFusionError::ArrowError(inner, _)) => Some(inner.as_ref()),
        Some(DataFusionError::External(inner)) => Some(inner.as_ref()),
        _ => match error.downcast_ref::<ArrowError>() {
            Some(ArrowError::ExternalError(inner)) => Some(inner.as_ref()),
            Some(ArrowError::IoError(_, inner)) => Some(inner),
            _ => match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
                // Its `source` is the cause of what it wraps, and skips that itself.
                Some(inner) => Some(inner),
                None => error.source(),
            },
        },
    }
}

/// Returns what is wrong with a number that has more digits than its decimal type.
pub(crate) fn decimal_overflow(error: &ArrowError) -> Option<String> {
    let ArrowError::InvalidArgumentError(text) = error else { return None };
    // "300.0 is too large to store in a Decimal128 of precision 3. Max is 99.9"
    let (value, rest) = text
        .split_once(" is too large to store in a Decimal")
        .or_else(|| text.split_once(" is too small to store in a Decimal"))?;
    let digits: String = rest.split_once(" of precision ")?.1.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("{value} does not fit a decimal of {digits} digits"))
}

fn classify_one(error: &(dyn StdError + 'static)) -> Option<(Fault, Retry, Option<Code>)> {
    if let Some(io) = error.downcast_ref::<std::io::Error>() {
        return Some(classify_io(io));
    }
    if let Some(store) = error.downcast_ref::<object_store::Error>() {
        return Some(classify_store(store));
    }
    if let Some(delta) = error.downcast_ref::<DeltaTableError>() {
        return Some(classify_delta(delta));
    }
    if let Some(arrow) = error.downcast_ref::<ArrowError>() {
        return Some(classify_arrow(arrow));
    }
    if let Some(code) = crate::build::unscored_code(error) {
        return Some((Fault::User, Retry::Never, Some(code)));
    }
    if let Some(python) = error.downcast_ref::<PythonError>() {
        return Some((python.fault(), python.retry(), python.code()));
    }
    let user = |code| Some((Fault::User, Retry::Never, Some(code)));
    match error.downcast_ref::<DataFusionError>()? {
        DataFusionError::ResourcesExhausted(_) => user(Code::MEMORY),
        DataFusionError::SQL(..) => user(Code::SQL_SYNTAX),
        DataFusionError::Plan(_) | DataFusionError::SchemaError(..) | DataFusionError::NotImplemented(_) => {
            user(Code::INVALID_SQL)
        }
        DataFusionError::Execution(_) => user(Code::EXECUTION),
        DataFusionError::ParquetError(_) => user(Code::BAD_FILE),
        DataFusionError::Internal(_) => Some((Fault::Internal, Retry::Never, Some(Code::EXECUTION))),
        _ => None,
    }
}

fn classify_io(error: &std::io::Error) -> (Fault, Retry, Option<Code>) {
    use std::io::ErrorKind;
    match error.kind() {
        // A full disk stays full for the seconds that a retry waits.
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (Fault::External, Retry::Never, Some(Code::DISK_FULL)),
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory
        | ErrorKind::FileTooLarge => (Fault::External, Retry::Never, Some(Code::STORAGE)),
        ErrorKind::NotFound => (Fault::User, Retry::Never, Some(Code::MISSING_FILE)),
        _ => (Fault::External, Retry::Backoff, Some(Code::STORAGE)),
    }
}

fn classify_store(error: &object_store::Error) -> (Fault, Retry, Option<Code>) {
    match error {
        object_store::Error::NotFound { .. } => (Fault::User, Retry::Never, Some(Code::MISSING_FILE)),
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            (Fault::External, Retry::Never, Some(Code::STORAGE))
        }
        _ => (Fault::External, Retry::Backoff, Some(Code::STORAGE)),
    }
}

fn classify_delta(error: &DeltaTableError) -> (Fault, Retry, Option<Code>) {
    let code = if is_conflict(error) { Code::COMMIT_CONFLICT } else { Code::STORAGE };
    // What a store has answered to the kernel is left as text. `Generic` is object_store's word for all that has no name of
    // its own, such as a server that is away.
    let is_of_store = matches!(error, DeltaTableError::KernelError(_))
        && error.to_string().contains("Error interacting with object store: Generic");
    (Fault::External, if is_of_store { Retry::Backoff } else { Retry::Never }, Some(code))
}

fn classify_arrow(error: &ArrowError) -> (Fault, Retry, Option<Code>) {
    let code = match error {
        ArrowError::DivideByZero => Code::DIVISION_BY_ZERO,
        ArrowError::CastError(_) => Code::CAST,
        error if decimal_overflow(error).is_some() => Code::CAST,
        ArrowError::ArithmeticOverflow(_) => Code::OVERFLOW,
        ArrowError::CsvError(_)
        | ArrowError::JsonError(_)
        | ArrowError::ParquetError(_)
        | ArrowError::ParseError(_) => Code::BAD_FILE,
        ArrowError::MemoryError(_) => Code::MEMORY,
        _ => Code::EXECUTION,
    };
    (Fault::User, Retry::Never, Some(code))
}

/// Returns the code of a DataFusion error.
pub(crate) fn code_of(error: &DataFusionError) -> Option<Code> {
    classify(error).2
}
