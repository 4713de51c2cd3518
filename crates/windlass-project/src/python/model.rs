//! `models/**/*.py`: the one `@model` of a file, a function that trains a model.
//!
//! What it reads is looked up later, in [`ModelDraft`], where its rows become a query like that of `CREATE MODEL`.

use serde_json::{Map, Value};
use windlass_error::{Code, Diagnostic, Location};

use super::arguments::{Arguments, Known, SettingShape};
use super::definitions::{Callable, Definition, find, lacks_import};
use super::literal::{Literal, LiteralValue, Reference};
use super::module::Module;
use super::settings::workers;
use super::{PythonCode, WorkerSettings, volatile};
use crate::SortKey;
use crate::checks::{Written, parse_threshold};
use crate::config::{Patch, Subject};
use crate::models::Gate;
use crate::problems::Problems;

const EXAMPLE: &str = "write `@model(input=ref(\"a_table\"), label=\"a_column\")` above `def train(data, run):`";
const INPUT: &str = "write `ref(\"a_table\")` or `source(\"a_source\", \"a_table\")`";
const GATES: &str = "write `gates={\"auc\": \">= 0.85\"}`, with the names that `run.log_metric` gives";
/// What the rows may take in memory unless it is said.
const MAX_BYTES: u64 = 1 << 30;

const KNOWN: Known = Known { decorator: "model", positional: Some("input"), names: &[OWN, SETTINGS] };

const OWN: &[&str] = &[
    "columns",
    "deterministic",
    "features",
    "gates",
    "input",
    "keep",
    "label",
    "max_bytes",
    "memory",
    "num_cpus",
    "num_gpus",
    "order_by",
    "seed",
    "start",
    "start_timeout",
    "task",
    "timeout",
    "where",
];

/// Settings that models in SQL have as well.
const SETTINGS: &[&str] = &["description", "on_upstream_failure", "owner", "retries", "tags"];

/// A function of `models/*.py` that trains a model.
#[derive(Debug, Clone)]
pub struct PythonModel {
    /// What is called.
    pub code: PythonCode,
    /// The column to predict.
    pub label: String,
    /// The columns that the model reads, in its order; `None` for all but the label.
    pub features: Option<Vec<String>>,
    /// Columns that training reads beside those.
    pub columns: Option<Vec<String>>,
    /// What it predicts; `None` leaves it to the type of the label.
    pub task: Option<PythonTask>,
    /// The order of the rows.
    pub order_by: Vec<SortKey>,
    /// What random choices follow from, where that is said.
    pub seed: Option<u64>,
    /// What the rows may take in memory.
    pub max_bytes: u64,
    /// Whether equal rows give an equal model.
    pub deterministic: Option<bool>,
    /// What is kept of it.
    pub keep: PythonKeep,
}

/// What is kept of a model that was trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PythonKeep {
    /// A file that is scored without Python.
    #[default]
    Native,
    /// A pickle, which workers alone open.
    Pickle,
}

/// What a model predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PythonTask {
    /// One of several classes.
    Classification,
    /// A number.
    Regression,
}

impl PythonModel {
    /// Returns what makes it another model every time; `None` where nothing does. With a seed, what is drawn without
    /// a generator of its own follows from that.
    pub fn volatile(&self) -> Option<String> {
        match (self.deterministic, self.seed) {
            (None, Some(_)) => None,
            (deterministic, _) => volatile(deterministic, &self.code),
        }
    }

    /// Returns how it is called, as text: part of its fingerprint, beside its files, variables and packages.
    pub(crate) fn identity(&self) -> String {
        let Self { code, label, features, columns, task, order_by, seed, max_bytes: _, deterministic: _, keep } = self;
        let order: Vec<String> = order_by.iter().map(|key| format!("{} {}", key.column, key.descending)).collect();
        let kept = if *keep == PythonKeep::Pickle { " pickle" } else { "" };
        format!("python {} {label:?} {features:?} {columns:?} {task:?} {order:?} {seed:?}{kept}", code.object)
    }
}

impl PartialEq for PythonModel {
    fn eq(&self, other: &Self) -> bool {
        (self.identity(), &self.code.sources) == (other.identity(), &other.code.sources)
    }
}

/// What a decorator says about a model.
#[derive(Debug)]
pub(super) struct Decorated {
    pub(super) object: String,
    pub(super) location: Location,
    pub(super) workers: WorkerSettings,
    pub(super) parts: Parts,
}

/// The arguments that do not go to the worker.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) input: Reference,
    pub(super) filter: Option<Written>,
    pub(super) patch: Patch,
    pub(super) gates: Vec<Gate>,
    pub(super) label: (String, Location),
    pub(super) features: Option<Vec<String>>,
    pub(super) columns: Option<Vec<String>>,
    pub(super) order_by: Vec<SortKey>,
    /// Where the values of arguments stand, by name.
    pub(super) places: Vec<(&'static str, Location)>,
    pub(super) task: Option<PythonTask>,
    pub(super) seed: Option<u64>,
    pub(super) max_bytes: u64,
    pub(super) deterministic: Option<bool>,
    pub(super) keep: PythonKeep,
}

/// Reads the model of a file; `None` where there is not exactly one, or none that can be used.
pub(super) fn read(module: &Module<'_>, vars: &Map<String, Value>, problems: &mut Problems) -> Option<Decorated> {
    let before = problems.list.len();
    let mut found = find(module, "model", problems);
    if found.len() > 1 {
        let message = format!("`{}` defines {} models", module.file.path.display(), found.len());
        let problem = Diagnostic::error(Code::NO_TRANSFORM, message).at(module.at(&found[1].object_at));
        problems.push(problem.hint("a model is named after its file: give each a file of its own"));
        return None;
    }
    let Some(definition) = found.pop() else {
        if problems.list.len() == before {
            problems.push(none(module));
        }
        return None;
    };
    let Some(call) = definition.call else {
        let problem = Diagnostic::error(Code::DECORATOR, "`@model` needs arguments").at(module.at(&definition.at));
        problems.push(problem.hint(EXAMPLE));
        return None;
    };
    let arguments = Arguments::read(module, call, &KNOWN, vars, problems);
    check_function(module, &definition, problems);
    let workers = workers(&arguments, problems);
    let parts = parts(&arguments, problems)?;
    let location = module.at(&definition.object_at);
    Some(Decorated { object: definition.object, location, workers, parts })
}

fn none(module: &Module<'_>) -> Diagnostic {
    let message = format!("`{}` defines no model", module.file.path.display());
    let problem = Diagnostic::error(Code::NO_TRANSFORM, message).at(Location::new(module.file, 0..0));
    if lacks_import(module, "model") {
        return problem.hint("import the decorator: `from windlass import model`");
    }
    problem.hint("decorate one function at module level with `@model(...)`; shared code belongs into `lib/`")
}

fn check_function(module: &Module<'_>, definition: &Definition<'_>, problems: &mut Problems) {
    let name = &definition.object;
    let wrong = |message: String| Diagnostic::error(Code::DECORATOR, message).at(module.at(&definition.object_at));
    match definition.callable {
        Callable::Function { is_async: true, .. } => {
            let problem = wrong(format!("`{name}` is an async function"));
            problems.push(problem.hint("write `def`: a worker calls it and waits"));
        }
        Callable::Function { parameters, .. } => {
            let takes = parameters.posonlyargs.len() + parameters.args.len();
            if takes != 2 && parameters.vararg.is_none() {
                let plural = if takes == 1 { "" } else { "s" };
                let problem = wrong(format!("`{name}` takes {takes} argument{plural}, and training hands over two"));
                problems.push(problem.hint(format!("write `def {name}(data, run):`, the rows and what is noted")));
            }
        }
        Callable::Class { .. } => {
            let problem = wrong(format!("`{name}` is a class, and a model is trained by a function"));
            problems.push(problem.hint(EXAMPLE));
        }
        Callable::Elsewhere => {}
    }
}

fn parts(arguments: &Arguments, problems: &mut Problems) -> Option<Parts> {
    arguments.require("input", EXAMPLE, problems);
    arguments.require("label", "name the column to predict: `label=\"is_late\"`", problems);
    let input = arguments.get("input").and_then(|literal| reference(literal, problems));
    let label = arguments.text("label", problems).map(|label| (label, arguments.at("label")));
    let filter = arguments.text("where", problems).map(|text| Written { text, location: arguments.at("where") });
    let seed = arguments.count("seed", 0, problems).map(u64::from);
    let order_by = order_by(arguments, problems);
    if seed.is_some() && order_by.as_ref().is_some_and(Vec::is_empty) && !arguments.has("order_by") {
        let problem = Diagnostic::error(Code::DECORATOR, "`seed` needs `order_by`").at(arguments.name_at("seed"));
        let hint = "rows come in any order otherwise, and what is drawn falls on others: `order_by=[\"id\"]`";
        problems.push(problem.hint(hint));
    }
    let tasks = [("classification", PythonTask::Classification), ("regression", PythonTask::Regression)];
    let keeps = [("native", PythonKeep::Native), ("pickle", PythonKeep::Pickle)];
    let keep = arguments.choice("keep", &keeps, problems).unwrap_or_default();
    let places = ["features", "columns", "order_by", "seed", "where"].map(|name| (name, arguments.at(name))).into();
    let parts = (
        gates(arguments, problems),
        patch(arguments, problems),
        arguments.columns("features", problems),
        arguments.columns("columns", problems),
        arguments.choice("task", &tasks, problems),
        arguments.size("max_bytes", problems).unwrap_or(MAX_BYTES),
        arguments.flag("deterministic", problems),
    );
    let (gates, patch, features, columns, task, max_bytes, deterministic) = parts;
    let (input, label, order_by) = (input?, label?, order_by?);
    Some(Parts {
        input,
        filter,
        patch,
        gates,
        label,
        features,
        columns,
        order_by,
        places,
        task,
        seed,
        max_bytes,
        deterministic,
        keep,
    })
}

fn reference(literal: &Literal, problems: &mut Problems) -> Option<Reference> {
    match &literal.value {
        LiteralValue::Reference(reference) => Some(reference.clone()),
        _ => {
            problems.push(literal.expected("`ref(...)` or `source(...)`", "input").hint(INPUT));
            None
        }
    }
}

/// Returns the columns to order by; `None` where one cannot be read.
fn order_by(arguments: &Arguments, problems: &mut Problems) -> Option<Vec<SortKey>> {
    let Some(texts) = arguments.texts("order_by", problems) else {
        return if arguments.get("order_by").is_some() { None } else { Some(Vec::new()) };
    };
    let mut keys = Vec::with_capacity(texts.len());
    for (text, at) in texts {
        let words: Vec<&str> = text.split_whitespace().collect();
        let direction = words.get(1).map(|word| word.to_ascii_lowercase());
        let descending = match (words.len(), direction.as_deref()) {
            (1, _) | (2, Some("asc")) => false,
            (2, Some("desc")) => true,
            _ => {
                let message = format!("expected a column, or a column and `desc`, for `order_by`, found `\"{text}\"`");
                problems.push(Diagnostic::error(Code::DECORATOR, message).at(at));
                return None;
            }
        };
        keys.push(SortKey { column: words[0].to_owned(), descending });
    }
    Some(keys)
}

fn gates(arguments: &Arguments, problems: &mut Problems) -> Vec<Gate> {
    let Some(literal) = arguments.get("gates") else { return Vec::new() };
    let LiteralValue::Dict(entries) = &literal.value else {
        problems.push(literal.expected("a dict of bounds by metric", "gates").hint(GATES));
        return Vec::new();
    };
    let mut found = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let (Some(metric), Some(bound)) = (name.as_text(), value.as_text()) else {
            problems.push(value.expected("a bound such as `\">= 0.85\"`", "gates").hint(GATES));
            continue;
        };
        match parse_threshold(bound) {
            Some(threshold) => found.push(Gate {
                metric: metric.to_owned(),
                bound: threshold,
                rule: format!("{metric} {}", bound.trim()),
                location: value.at.clone(),
            }),
            None => problems.push(value.expected("a bound such as `\">= 0.85\"`", "gates").hint(GATES)),
        }
    }
    found
}

fn patch(arguments: &Arguments, problems: &mut Problems) -> Patch {
    let mut patch = Patch::default();
    for name in SETTINGS {
        let shape = match *name {
            "retries" => SettingShape::Count,
            "tags" => SettingShape::Texts,
            _ => SettingShape::Text,
        };
        if let Some(entry) = arguments.setting(name, shape, problems) {
            patch.set(Subject::Model, name, &entry, problems);
        }
    }
    patch
}

#[cfg(test)]
mod tests;
