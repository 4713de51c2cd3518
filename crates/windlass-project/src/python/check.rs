//! `checks/**/*.py`: checks in Python, each a function or class under `@check`.
//!
//! What is common to all checks (severity, bounds, `where`) is handed on as it would stand in YAML, so
//! that it means the same and is refused in the same words.

use serde_json::{Map, Value};
use windlass_error::{Code, Diagnostic, Location};

use super::arguments::{Arguments, Known};
use super::definitions::{Definition, find, lacks_import};
use super::literal::{LiteralValue, Reference};
use super::module::Module;
use super::settings::{batch_format, workers};
use super::transform::{batch_size, check_callable};
use super::{BatchSize, PythonBatchFormat, PythonCode, WorkerSettings, volatile};
use crate::checks::Written;
use crate::problems::Problems;
use crate::yaml::{Entry, Scalar, Value as YamlValue, Yaml};

const EXAMPLE: &str = "write `@check(input=ref(\"a_table\"))` above a function or class";
const INPUT: &str = "write `ref(\"a_table\")` or `source(\"a_source\", \"a_table\")`";

const KNOWN: Known = Known { decorator: "check", positional: Some("input"), names: &[SETTINGS, OWN] };

/// What every check may say.
const SETTINGS: &[&str] = &[
    "description",
    "error_if",
    "limit",
    "max_rate",
    "max_rows",
    "name",
    "on_fail",
    "owner",
    "sample_rows",
    "severity",
    "store_failures",
    "warn_if",
    "where",
];

/// What only a check in Python may say.
const OWN: &[&str] = &[
    "batch_format",
    "batch_size",
    "columns",
    "concurrency",
    "deterministic",
    "fn_args",
    "fn_constructor_args",
    "fn_constructor_kwargs",
    "fn_kwargs",
    "input",
    "memory",
    "num_cpus",
    "num_gpus",
    "start",
    "start_timeout",
    "timeout",
    "zero_copy_batch",
];

/// A check in Python: what is called, with which columns of its table.
#[derive(Debug, Clone)]
pub struct PythonCheck {
    /// What is called.
    pub code: PythonCode,
    /// Columns that it is handed; `None` hands over all.
    pub columns: Option<Vec<Written>>,
    /// Rows of a batch.
    pub batch_size: BatchSize,
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
    /// Whether equal rows get equal answers.
    pub deterministic: Option<bool>,
}

impl PythonCheck {
    /// Returns whether its answer may be another one every time.
    pub fn is_volatile(&self) -> bool {
        self.volatile().is_some()
    }

    /// Returns what makes its answer another one every time; `None` where nothing does.
    pub fn volatile(&self) -> Option<String> {
        volatile(self.deterministic, &self.code)
    }

    /// Returns what decides its answer, but for the lock of its packages, as text.
    pub(crate) fn identity(&self) -> String {
        let Self {
            code,
            columns,
            // Rows of a call, and whether they are copies, are no part of what is asked.
            batch_size: _,
            constructor_args,
            constructor_kwargs,
            fn_args,
            fn_kwargs,
            copy_inputs: _,
            deterministic,
        } = self;
        let columns = columns.as_ref().map(|all| all.iter().map(|column| &column.text).collect::<Vec<_>>());
        format!(
            "{} {:?} {:?} {:?} {columns:?} {constructor_args:?} {constructor_kwargs:?} {fn_args:?} {fn_kwargs:?} {deterministic:?}",
            code.object, code.batch_format, code.sources, code.vars
        )
    }
}

/// What a decorator says about a check.
#[derive(Debug)]
pub(super) struct Decorated {
    pub(super) object: String,
    /// `None` where the object is imported.
    pub(super) is_class: Option<bool>,
    pub(super) location: Location,
    /// The table that it is for.
    pub(super) on: Reference,
    /// What every check may say, as YAML has it.
    pub(super) settings: Vec<Entry>,
    pub(super) columns: Option<Vec<Written>>,
    pub(super) batch_size: BatchSize,
    pub(super) batch_format: PythonBatchFormat,
    pub(super) workers: WorkerSettings,
    pub(super) constructor_args: Vec<Value>,
    pub(super) constructor_kwargs: Map<String, Value>,
    pub(super) fn_args: Vec<Value>,
    pub(super) fn_kwargs: Map<String, Value>,
    pub(super) copy_inputs: bool,
    pub(super) deterministic: Option<bool>,
}

impl Decorated {
    /// Returns the name of the table that it is for, as it is written.
    pub(super) fn table(&self) -> String {
        match &self.on {
            Reference::Ref { name, .. } => name.clone(),
            Reference::Source { source: (source, _), table: (table, _) } => format!("{source}.{table}"),
        }
    }
}

/// Reads the checks of a file.
pub(super) fn read(module: &Module<'_>, vars: &Map<String, Value>, problems: &mut Problems) -> Vec<Decorated> {
    let definitions = find(module, "check", problems);
    if definitions.is_empty() {
        problems.push(none(module));
    }
    definitions.iter().filter_map(|definition| check(module, definition, vars, problems)).collect()
}

fn none(module: &Module<'_>) -> Diagnostic {
    let message = format!("`{}` defines no check", module.file.path.display());
    let problem = Diagnostic::warning(Code::INVALID_CHECK, message).at(Location::new(module.file, 0..0));
    if lacks_import(module, "check") {
        return problem.hint("import the decorator: `from windlass import check`");
    }
    problem.hint("decorate a function or class at module level with `@check(...)`; shared code belongs into `lib/`")
}

fn check(
    module: &Module<'_>,
    definition: &Definition<'_>,
    vars: &Map<String, Value>,
    problems: &mut Problems,
) -> Option<Decorated> {
    let Some(call) = definition.call else {
        let problem = Diagnostic::error(Code::MISSING_KEY, "`@check` needs the argument `input`");
        problems.push(problem.at(module.at(&definition.at)).hint(EXAMPLE));
        return None;
    };
    let arguments = Arguments::read(module, call, &KNOWN, vars, problems);
    arguments.require("input", EXAMPLE, problems);
    let decorated = Decorated {
        object: definition.object.clone(),
        is_class: check_callable(module, definition, &arguments, problems),
        location: module.at(&definition.object_at),
        on: input(&arguments, problems)?,
        settings: SETTINGS.iter().filter_map(|name| setting(&arguments, name, problems)).collect(),
        columns: columns(&arguments, problems),
        batch_size: batch_size(&arguments, problems),
        batch_format: batch_format(&arguments, problems),
        workers: workers(&arguments, problems),
        constructor_args: arguments.values("fn_constructor_args", problems),
        constructor_kwargs: arguments.named_values("fn_constructor_kwargs", problems),
        fn_args: arguments.values("fn_args", problems),
        fn_kwargs: arguments.named_values("fn_kwargs", problems),
        copy_inputs: arguments.flag("zero_copy_batch", problems).is_some_and(|zero_copy| !zero_copy),
        deterministic: arguments.flag("deterministic", problems),
    };
    Some(decorated)
}

fn input(arguments: &Arguments, problems: &mut Problems) -> Option<Reference> {
    let literal = arguments.get("input")?;
    match &literal.value {
        LiteralValue::Reference(reference) => Some(reference.clone()),
        _ => {
            problems.push(literal.expected("`ref(...)` or `source(...)`", "input").hint(INPUT));
            None
        }
    }
}

fn columns(arguments: &Arguments, problems: &mut Problems) -> Option<Vec<Written>> {
    // Says what is wrong with the names; the places are wanted as well.
    arguments.columns("columns", problems)?;
    let named = arguments.texts("columns", &mut Problems::default())?;
    if named.is_empty() {
        let problem = Diagnostic::error(Code::DECORATOR, "`columns` is empty").at(arguments.at("columns"));
        problems.push(problem.hint("name the columns that the code reads, or leave it out to get all"));
        return None;
    }
    Some(named.into_iter().map(|(text, location)| Written { text, location }).collect())
}

/// Returns an argument that checks in YAML know as well, in its form there.
fn setting(arguments: &Arguments, name: &str, problems: &mut Problems) -> Option<Entry> {
    let literal = arguments.get(name)?;
    let (text, plain) = match &literal.value {
        LiteralValue::Text(text) => (text.clone(), false),
        LiteralValue::Int(number) => (number.to_string(), true),
        LiteralValue::Float(number) => (number.to_string(), true),
        LiteralValue::Bool(flag) => (flag.to_string(), true),
        _ => {
            problems.push(literal.expected("a text, a number, `True` or `False`", name));
            return None;
        }
    };
    let value = Yaml { value: YamlValue::Scalar(Scalar { text, plain, written: None }), at: literal.at.clone() };
    Some(Entry { key: name.to_owned(), key_at: arguments.name_at(name), value })
}

#[cfg(test)]
mod tests;
