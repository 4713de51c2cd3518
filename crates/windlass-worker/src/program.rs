//! What workers are to run: the callable, the columns in and out, and how many workers may run it.

use std::path::PathBuf;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Environment;

/// What a pool's workers run. Two programs that are equal in what a worker sees share a pool.
#[derive(Debug, Clone)]
pub struct Program {
    /// The node, for messages and output.
    pub node: String,
    /// Where its packages are.
    pub environment: Environment,
    /// What is called.
    pub role: Role,
    /// Columns of the batches handed over: plain Arrow types, no dictionaries, views or run ends.
    pub input: SchemaRef,
    /// Columns of the answers: plain Arrow types.
    pub output: SchemaRef,
    /// The project's folder: files below it are the user's own in tracebacks.
    pub root: PathBuf,
    /// Folders that modules are imported from, such as `<project>/lib`.
    pub lib: Vec<PathBuf>,
    /// What the user's files hash to; a changed file never meets an old worker.
    pub code_hash: String,
    /// Variables of the project that the code may read.
    pub vars: Map<String, Value>,
    /// Whether rows that fail are told apart; if not, a batch fails as a whole.
    pub isolate: bool,
    /// How many workers, with what.
    pub settings: PoolSettings,
}

/// What is called.
#[derive(Debug, Clone)]
pub enum Role {
    /// A function or class that turns batches into batches.
    Transform(Box<TransformCode>),
    /// A function that trains a model out of all rows of one batch.
    Training(Box<TrainingCode>),
    /// Functions called from SQL: one output column each, in order.
    Functions {
        /// The calls.
        calls: Vec<Call>,
        /// Constant arguments: one row, one column each; `None` where there are none.
        constants: Option<RecordBatch>,
    },
}

/// A transform's callable.
#[derive(Debug, Clone)]
pub struct TransformCode {
    /// The file, absolute.
    pub file: PathBuf,
    /// The name of the function or class in the file.
    pub object: String,
    /// Whether `object` is a class: constructed once per worker, then called.
    pub is_class: bool,
    /// What a batch looks like to the callable.
    pub batch_format: BatchFormat,
    /// How output rows relate to input rows.
    pub rows: RowsMode,
    /// Whether the callable gets batches or whole tables.
    pub mode: InputMode,
    /// Whether a row's result depends on that row alone, so that a batch may be halved.
    pub rowwise: bool,
    /// Columns that identify a row; kept as they are by one-to-one callables.
    pub key: Vec<String>,
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
}

/// What trains a model.
#[derive(Debug, Clone)]
pub struct TrainingCode {
    /// The file, absolute, and the name of the function in it; without it, trees are grown by code of ours.
    pub function: Option<(PathBuf, String)>,
    /// What training is told; see `_training.py`.
    pub settings: Map<String, Value>,
}

/// A function called from SQL.
#[derive(Debug, Clone)]
pub struct Call {
    /// The file, absolute.
    pub file: PathBuf,
    /// The function's name in the file.
    pub object: String,
    /// Its arguments, in order.
    pub arguments: Vec<CallArgument>,
    /// What it gets for each argument.
    pub batch_format: BatchFormat,
    /// What becomes of rows with a NULL argument.
    pub nulls: Nulls,
    /// What becomes of rows for which it raises.
    pub on_error: CallErrors,
    /// What loads the model that is asked in place of a function; see `_models.py`.
    pub model: Option<Map<String, Value>>,
}

/// An argument of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallArgument {
    /// A column of the batch, by place.
    Column(usize),
    /// A column of the constants, by place.
    Constant(usize),
}

/// What user code gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum BatchFormat {
    /// A dict of NumPy arrays, Ray Data's default.
    #[default]
    Numpy,
    /// A pandas DataFrame.
    Pandas,
    /// A polars DataFrame.
    Polars,
    /// A pyarrow Table.
    Pyarrow,
}

/// How output rows relate to input rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum RowsMode {
    /// One output row for each input row, in order.
    #[default]
    OneToOne,
    /// Any number.
    Many,
    /// One output row for each input row, in order, also for those that fail.
    EveryRow,
}

/// Whether user code gets batches or whole tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum InputMode {
    /// Batches of the one input.
    #[default]
    Batch,
    /// All inputs at once: the batch has one row, and a column of lists of structs for each table.
    Table,
}

/// What becomes of rows with a NULL argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Nulls {
    /// The result is NULL and the function does not see them.
    #[default]
    Skip,
    /// The function sees them.
    Pass,
}

/// What becomes of rows for which a function raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum CallErrors {
    /// The call fails.
    #[default]
    Fail,
    /// The result is NULL.
    Null,
}

/// How many workers, with what.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolSettings {
    /// Fewest and most workers, at least 1.
    pub concurrency: (u32, u32),
    /// CPU slots of a worker; also its threads in BLAS and OpenMP.
    pub num_cpus: f64,
    /// Share of a GPU, or number of whole GPUs.
    pub num_gpus: f64,
    /// Longest time for one call; `None` is for ever.
    pub timeout: Option<Duration>,
    /// Longest time from the start of a worker to its readiness.
    pub start_timeout: Duration,
    /// Most memory of a worker, in bytes, beyond what it has when ready.
    pub memory: Option<u64>,
    /// How workers are made.
    pub start: StartMode,
}

/// How workers are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum StartMode {
    /// Forked from a process that has imported the packages already.
    #[default]
    Fork,
    /// Started anew; needed for CUDA.
    Spawn,
}
