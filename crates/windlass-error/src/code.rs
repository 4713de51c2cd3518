//! The codes of diagnostics and failures, one visible list.
//!
//! A code never changes its meaning and is never used again. `windlass explain CODE` prints the
//! entry's text, which lives in `codes/` beside this crate's sources.

/// A stable code, such as `E0102`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub &'static str);

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// What `windlass explain` prints about a code.
#[derive(Debug)]
pub struct CodeEntry {
    /// The code.
    pub code: Code,
    /// One line: what went wrong.
    pub title: &'static str,
    /// Markdown: what it means, an example, and the way out.
    pub explanation: &'static str,
}

impl Code {
    /// Returns the entry of a code, whatever its letter case.
    pub fn find(code: &str) -> Option<&'static CodeEntry> {
        CODES.iter().find(|entry| entry.code.0.eq_ignore_ascii_case(code))
    }
}

macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal;)*) => {
        impl Code {
            $(#[doc = $title] pub const $name: Self = Self($code);)*
        }

        /// Every code, in order.
        pub const CODES: &[CodeEntry] = &[
            $(CodeEntry {
                code: Code::$name,
                title: $title,
                explanation: include_str!(concat!("../codes/", $code, ".md")),
            },)*
        ];
    };
}

codes! {
    SQL_SYNTAX = "E0101", "the SQL cannot be parsed";
    UNKNOWN_COLUMN = "E0102", "a column does not exist";
    UNKNOWN_TABLE = "E0103", "a table does not exist";
    UNKNOWN_FUNCTION = "E0104", "a function does not exist";
    TYPE_MISMATCH = "E0105", "two types do not fit together";
    AMBIGUOUS_COLUMN = "E0106", "a column name fits several tables";
    INVALID_SQL = "E0107", "the SQL is understood but not possible";
    DUPLICATE_COLUMN = "E0108", "a table would have two columns of one name";
    UNNAMED_COLUMN = "E0109", "a column of the result needs a name";
    CREATE_MODEL = "E0110", "a model cannot be defined or used as it is written";
    YAML_SYNTAX = "E0201", "a YAML file cannot be parsed";
    UNKNOWN_KEY = "E0202", "a key is not known";
    INVALID_VALUE = "E0203", "a value does not fit its key";
    MISSING_KEY = "E0204", "a required key is missing";
    DUPLICATE_NAME = "E0205", "two things have one name";
    CYCLE = "E0206", "transforms need each other in a circle";
    MISSING_FILE = "E0207", "a file or folder is missing";
    UNKNOWN_TARGET = "E0208", "a target does not exist";
    UNKNOWN_NODE = "E0209", "a properties file names a node that does not exist";
    REQUIRES_VERSION = "E0210", "the project needs another version of Windlass";
    TEMPLATE_SYNTAX = "E0301", "a template cannot be parsed";
    UNKNOWN_REF = "E0302", "`ref` names a node that does not exist";
    UNKNOWN_SOURCE = "E0303", "`source` names a table that does not exist";
    UNKNOWN_VAR = "E0304", "`var` names a variable that does not exist";
    UNKNOWN_MACRO = "E0305", "a macro or template name does not exist";
    UNKNOWN_ENV_VAR = "E0306", "`env_var` names an environment variable that is not set";
    TEMPLATE_RENDER = "E0307", "a template fails while it is rendered";
    PYTHON_SYNTAX = "E0401", "a Python file cannot be parsed";
    DECORATOR = "E0402", "an argument of a decorator cannot be used";
    NO_TRANSFORM = "E0403", "a Python file does not define one transform";
    PYTHON_FAILED = "E0404", "Python code of the project raised an exception";
    PYTHON_OUTPUT = "E0405", "a result does not match the declared columns";
    CONSTRUCT = "E0406", "a class cannot be constructed or a file cannot be imported";
    WORKER_DIED = "E0407", "a worker process died";
    PYTHON_TIMEOUT = "E0408", "Python code took longer than its timeout";
    ERROR_BUDGET = "E0409", "more rows failed than `max_error_rate` allows";
    TABLE_LIMIT = "E0410", "a table is too large for `mode=\"table\"`";
    RESOURCES = "E0411", "a transform asks for more than the machine has";
    FUNCTION = "E0412", "a function of `functions/` cannot be used as it is written";
    LOCK = "E0501", "the lock of an environment is missing or out of date";
    ENVIRONMENT = "E0502", "a Python environment cannot be resolved or built";
    PACKAGE = "E0503", "a package is missing from an environment, or too old";
    UV = "E0504", "uv is missing and cannot be fetched";
    MISSING_COLUMN = "E0601", "a declared column is missing";
    CHANGED_TYPE = "E0602", "a declared column has another type";
    INVALID_CHECK = "E0603", "a check does not fit its table";
    CHECK_FAILED = "E0604", "a table breaks its checks";
    LAKE_NOT_WRITABLE = "E0701", "the lake cannot be written";
    DISK_FULL = "E0702", "the disk is full";
    STORAGE = "E0703", "a file or object store cannot be read or written";
    BAD_FILE = "E0704", "an input file cannot be decoded";
    COMMIT_CONFLICT = "E0705", "another writer changed the table first";
    DIVISION_BY_ZERO = "E0801", "a division by zero";
    CAST = "E0802", "a value cannot be cast";
    OVERFLOW = "E0803", "a number does not fit its type";
    MEMORY = "E0804", "a query does not fit the memory limit";
    EXECUTION = "E0805", "a query failed while it ran";
    MERGE_KEY = "E0806", "rows to merge do not say which rows they replace";
    OUTSIDE_INTERVALS = "E0807", "rows are outside of the intervals that were computed";
    LEASE_HELD = "E0901", "another run is writing to this lake";
    EMPTY_SELECTION = "E0902", "a selection matches nothing";
    SELECTION_SYNTAX = "E0903", "a selection cannot be parsed";
    RUN_STORE = "E0904", "the run store cannot be used";
    NO_PROJECT = "E0905", "no project was found";
    PROTECTED = "E0906", "an environment is protected";
    PROMOTION = "E0907", "a table of an environment cannot be promoted as it is";
    SAMPLE = "E0908", "a sample cannot be taken, or not here";
    UNKNOWN_MODEL = "E1001", "a model, version or alias does not exist";
    MODEL_FILE = "E1002", "a model's file cannot be read";
    MODEL_INPUT = "E1003", "an input of a model is missing or has another type";
    MODEL_GATE = "E1004", "a version that missed a gate cannot be promoted";
    ALIAS_CONFLICT = "E1005", "an alias was changed by somebody else";
    MODEL_NAME = "E1006", "a name cannot be that of a model or alias";
    ARTIFACT = "E1007", "a file of a model is not what was registered";
    TRAINING = "E1008", "a model cannot be trained on these rows";
    ONNX_RUNTIME = "E1009", "ONNX Runtime cannot be used";
    TRACKING = "E1010", "MLflow cannot be reached or refuses";
    MODEL_EXPORT = "E1011", "a trained model cannot be scored without Python";
    MODEL_LOAD = "E1012", "a model that Python scores cannot be loaded";
    UNSCORED = "E1014", "a model cannot score a row";
}
