//! What Python files define: transforms that turn batches into batches, functions for SQL, checks, and models.
//!
//! Everything here was read from the syntax tree; no user code has run. `reader` reads the files;
//! `transform`, `function`, `check` and `model` know one decorator each, `arguments` and `literal` what stands in it;
//! `facts`, `fingerprint` and `environment` say what else decides the result.

mod arguments;
mod check;
mod constants;
mod definitions;
mod draft;
mod environment;
mod facts;
mod fingerprint;
mod function;
mod increments;
mod literal;
mod model;
mod model_draft;
mod module;
mod reader;
mod script;
mod settings;
mod transform;
mod volatile;

use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::{Map, Value};
use windlass_error::Location;

use crate::Input;
pub(crate) use arguments::duration as parse_duration;
pub use check::PythonCheck;
pub(crate) use draft::Draft;
pub(crate) use increments::refuse_increments;
pub use model::{PythonKeep, PythonModel, PythonTask};
pub(crate) use model_draft::ModelDraft;
pub(crate) use reader::{LIB, PythonReader, is_module};

/// A Python transform: `transforms/**/*.py`.
#[derive(Debug, Clone)]
pub struct PythonTransform {
    /// What is called.
    pub code: PythonCode,
    /// The nodes that it reads. A transform of batches has one.
    pub inputs: Vec<Input>,
    /// The argument that each input is handed over as, in the order of `inputs`; a transform of
    /// tables alone needs them.
    pub arguments: Vec<String>,
    /// Whether the callable gets batches or whole tables.
    pub mode: PythonMode,
    /// Columns of the input that the callable reads; `None` hands over all.
    pub input_columns: Option<Vec<String>>,
    /// Columns that identify a row, kept by the result.
    pub key: Vec<String>,
    /// What must hold for a row before Python sees it.
    pub requires: Vec<Requirement>,
    /// Rows of a batch.
    pub batch_size: BatchSize,
    /// How output rows relate to input rows.
    pub rows: PythonRows,
    /// Whether a row's result depends on that row alone.
    pub rowwise: bool,
    /// What becomes of rows that fail.
    pub on_error: OnError,
    /// Positional arguments of the class.
    pub constructor_args: Vec<Value>,
    /// Named arguments of the class.
    pub constructor_kwargs: Map<String, Value>,
    /// Positional arguments after the batch.
    pub fn_args: Vec<Value>,
    /// Named arguments beside the batch.
    pub fn_kwargs: Map<String, Value>,
    /// Whether the callable gets copies that it may write to.
    pub copy_inputs: bool,
    /// Whether equal input gives equal output.
    pub deterministic: Option<bool>,
}

/// A function of `functions/*.py` that SQL calls by name.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name, in Python and SQL.
    pub name: String,
    /// What is called.
    pub code: PythonCode,
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
    /// The type of its result, as written, such as `double`.
    pub returns: String,
    /// Whether equal arguments give equal results.
    pub deterministic: Option<bool>,
    /// Whether it sees rows with a NULL argument; if not, their result is NULL.
    pub sees_nulls: bool,
    /// What becomes of rows for which it raises: [`OnError::Fail`] or [`OnError::Null`].
    pub on_error: OnError,
    /// Where it is defined.
    pub location: Location,
}

/// A parameter of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its declared type as written; `None` takes any.
    pub data_type: Option<String>,
}

impl PythonTransform {
    /// Returns what makes its result another one every time; `None` where nothing does.
    pub fn volatile(&self) -> Option<String> {
        volatile(self.deterministic, &self.code)
    }
}

impl Function {
    /// Returns what makes its answers others every time; `None` where nothing does.
    pub fn volatile(&self) -> Option<String> {
        volatile(self.deterministic, &self.code)
    }
}

/// What is declared wins over what the code looks like.
fn volatile(deterministic: Option<bool>, code: &PythonCode) -> Option<String> {
    match deterministic {
        Some(true) => None,
        Some(false) => Some(format!("{} is declared `deterministic=False`", code.object)),
        None => code.volatile.as_ref().map(|call| format!("{} calls {call}()", code.object)),
    }
}

/// A callable with all that it needs.
#[derive(Debug, Clone)]
pub struct PythonCode {
    /// The file, absolute.
    pub path: PathBuf,
    /// The name of the function or class in the file.
    pub object: String,
    /// Whether it is a class.
    pub is_class: bool,
    /// What a batch looks like to it.
    pub batch_format: PythonBatchFormat,
    /// What the file and the modules of `lib/` that it reaches hash to, comments and layout aside, by
    /// path relative to the project.
    pub sources: IndexMap<String, String>,
    /// A call in these files that answers anew every time, such as `np.random.rand`; a guess.
    pub volatile: Option<String>,
    /// Variables that it reads with `var("name")`, with their values.
    pub vars: Map<String, Value>,
    /// The packages that it needs.
    pub environment: PythonEnvironment,
    /// The workers that run it.
    pub workers: WorkerSettings,
}

/// The packages that a file needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonEnvironment {
    /// Where they are named.
    pub origin: PythonOrigin,
    /// The versions of Python that will do, such as `>=3.11`.
    pub requires_python: Option<String>,
    /// Requirements as written, those of the project first. Empty for [`PythonOrigin::Project`].
    pub dependencies: Vec<String>,
}

/// Where packages are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PythonOrigin {
    /// `python:` of `windlass.yml`, or nowhere.
    Defaults,
    /// A `# /// script` block (PEP 723).
    Script,
    /// A `requirements.txt` beside the file.
    Requirements,
    /// A `pyproject.toml` beside the file, with `uv.lock`.
    Project {
        /// The folder, absolute.
        folder: PathBuf,
    },
}

/// How many workers, with what.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerSettings {
    /// Fewest and most workers. `None` is one to as many as there are CPUs.
    pub concurrency: Option<(u32, u32)>,
    /// CPUs of a worker.
    pub num_cpus: f64,
    /// GPUs of a worker; less than one is a share.
    pub num_gpus: f64,
    /// Most memory of a worker beyond what it has when ready, in bytes.
    pub memory: Option<u64>,
    /// Longest time of one call.
    pub timeout: Option<Duration>,
    /// Longest time for a worker to get ready.
    pub start_timeout: Duration,
    /// Whether workers are started anew and not forked.
    pub spawn: bool,
}

/// What must hold for a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The rule.
    pub rule: Rule,
    /// Where it is written.
    pub location: Location,
}

/// A rule on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// A column is not NULL.
    NotNull(String),
    /// A SQL predicate over the input's columns holds.
    Sql(String),
}

/// Whether a callable gets batches or whole tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PythonMode {
    /// Batches.
    Batch,
    /// Whole tables, of at most so many bytes together.
    Table {
        /// The limit.
        max_bytes: u64,
    },
}

/// Rows of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchSize {
    /// As many as make a call worth its price.
    Auto,
    /// Exactly so many, but for the last.
    Rows(u32),
}

/// How output rows relate to input rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PythonRows {
    /// One for each, in order.
    OneToOne,
    /// Any number.
    Many,
}

/// What becomes of rows that fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The node fails.
    Fail,
    /// They go to `<table>__errors`.
    Quarantine,
    /// They stay, with NULL in all columns but the key.
    Null,
}

/// What a batch looks like to user code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PythonBatchFormat {
    /// A dict of NumPy arrays, Ray Data's default.
    Numpy,
    /// A pandas DataFrame.
    Pandas,
    /// A polars DataFrame.
    Polars,
    /// A pyarrow Table.
    Pyarrow,
}

#[cfg(test)]
mod tests;
