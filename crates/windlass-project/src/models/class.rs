//! Models that Python scores: what `models/*.yml` says of their class, its files, and the columns in and out.
//!
//! The class itself is read with the other Python files, by `PythonReader::class`, which knows packages and modules.

use std::path::Path;
use std::time::Duration;

use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic, Location};

use super::ImportedModel;
use super::imported::ModelPlace;
use crate::checks::word;
use crate::decode::{Fields, entries, expected, is_identifier, text};
use crate::location::resolve;
use crate::problems::Problems;
use crate::python::{PythonBatchFormat, PythonCode, WorkerSettings, parse_duration};
use crate::targets::bytes;
use crate::yaml::{Value, Yaml};

/// How a class is named.
const CLASS: &str = "name its file and the class: `class: lib/scorer.py:Scorer`";
/// Keys that mean nothing for a file that is scored without Python.
const PYTHON_KEYS: [&str; 9] = [
    "artifacts",
    "output",
    "batch_format",
    "concurrency",
    "num_cpus",
    "num_gpus",
    "memory",
    "timeout",
    "start_timeout",
];

const FORMATS: [(&str, PythonBatchFormat); 4] = [
    ("pandas", PythonBatchFormat::Pandas),
    ("numpy", PythonBatchFormat::Numpy),
    ("polars", PythonBatchFormat::Polars),
    ("pyarrow", PythonBatchFormat::Pyarrow),
];

/// A class in Python that scores, with the files that it loads.
#[derive(Debug, Clone)]
pub struct ModelClass {
    /// The class.
    pub code: PythonCode,
    /// Its files and folders, by the names that it knows them by.
    pub artifacts: IndexMap<String, ModelArtifact>,
}

/// A file or folder that a class loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelArtifact {
    /// An absolute path, or a URL.
    pub path: String,
    /// Where it is written.
    pub location: Location,
}

/// A column that a model reads or answers, with its type as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelColumn {
    /// Its name; empty for the one answer of a model, which is named after what it predicts.
    pub name: String,
    /// Its type, such as `double`.
    pub data_type: String,
    /// Where the type is written.
    pub location: Location,
}

/// A class as it is named, before its file is read.
#[derive(Debug)]
pub(crate) struct ClassDraft {
    /// The file, relative to the project.
    pub(crate) path: String,
    pub(crate) object: String,
    pub(crate) location: Location,
    pub(crate) batch_format: PythonBatchFormat,
    artifacts: IndexMap<String, ModelArtifact>,
    rest: Said,
}

/// What is said of an import beside where it stands.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) label: Option<String>,
    pub(super) classes: Vec<String>,
    pub(super) inputs: Vec<String>,
    pub(super) columns: Vec<ModelColumn>,
    pub(super) outputs: Vec<ModelColumn>,
    pub(super) workers: WorkerSettings,
}

impl ClassDraft {
    /// Returns the workers that it asks for.
    pub(crate) fn workers(&self) -> &WorkerSettings {
        &self.rest.workers
    }

    /// Returns the model, now that its code is known.
    pub(crate) fn with_code(self, code: PythonCode) -> ImportedModel {
        let Self { artifacts, rest, location, .. } = self;
        rest.of(ModelPlace::Class(Box::new(ModelClass { code, artifacts })), location)
    }
}

impl Said {
    /// Reads what is said; what Python alone understands is refused where `in_python` says no.
    pub(super) fn read(fields: &Fields<'_>, in_python: bool, problems: &mut Problems) -> Self {
        if !in_python {
            for entry in PYTHON_KEYS.iter().filter_map(|key| fields.get(key)) {
                let message = format!("`{}` is for models that Python scores", entry.key);
                let problem = Diagnostic::error(Code::INVALID_VALUE, message).at(entry.key_at.clone());
                problems.push(problem.hint("remove it: this file is scored without Python"));
            }
        }
        let (inputs, columns) = match fields.value("inputs") {
            Some(yaml) if in_python && matches!(yaml.value, Value::Map(_)) => {
                let columns = typed(yaml, "inputs", problems);
                (columns.iter().map(|column| column.name.clone()).collect(), columns)
            }
            _ => (fields.texts("inputs", problems).unwrap_or_default(), Vec::new()),
        };
        let outputs = match fields.value("output") {
            Some(yaml) if matches!(yaml.value, Value::Map(_)) => typed(yaml, "output", problems),
            Some(yaml) => text(yaml, "output", problems)
                .map(|data_type| ModelColumn { name: String::new(), data_type, location: yaml.at.clone() })
                .into_iter()
                .collect(),
            None => Vec::new(),
        };
        let classes = fields.texts("classes", problems).unwrap_or_default();
        if let Some(output) = fields.get("output").filter(|_| !classes.is_empty()) {
            let problem = Diagnostic::error(Code::INVALID_VALUE, "a model with `classes` answers their probabilities");
            problems.push(problem.at(output.key_at.clone()).hint("remove `output`, or `classes`"));
        }
        let workers = workers(fields, problems);
        Self { label: fields.text("label", problems), classes, inputs, columns, outputs, workers }
    }

    pub(super) fn of(self, place: ModelPlace, location: Location) -> ImportedModel {
        let Self { label, classes, inputs, columns, outputs, workers } = self;
        ImportedModel { place, label, inputs, columns, outputs, classes, workers, location }
    }
}

/// Reads a model whose scoring is a class.
pub(super) fn read_class(fields: &Fields<'_>, yaml: &Yaml, root: &Path, problems: &mut Problems) -> Option<ClassDraft> {
    let written = text(yaml, "class", problems)?;
    let parts = written.rsplit_once(':').map(|(path, object)| (path.trim(), object.trim()));
    let is_file = |path: &str| path.ends_with(".py") && (path.starts_with("lib/") || path.starts_with("models/"));
    let Some((path, object)) = parts.filter(|(path, object)| is_file(path) && is_identifier(object)) else {
        let message = format!("`{written}` names no class of a file in `lib/` or `models/`");
        problems.push(Diagnostic::error(Code::INVALID_VALUE, message).at(yaml.at.clone()).hint(CLASS));
        return None;
    };
    let rest = Said::read(fields, true, problems);
    if rest.columns.is_empty() {
        let problem = Diagnostic::error(Code::MISSING_KEY, "a class does not say which columns it reads");
        let at = fields.get("inputs").map_or_else(|| yaml.at.clone(), |entry| entry.key_at.clone());
        problems.push(problem.at(at).hint("name them with their types: `inputs: {amount: double, plan: varchar}`"));
        return None;
    }
    let batch_format = fields.value("batch_format").and_then(|yaml| word(yaml, "batch_format", &FORMATS, problems));
    Some(ClassDraft {
        path: path.to_owned(),
        object: object.to_owned(),
        location: yaml.at.clone(),
        batch_format: batch_format.unwrap_or(PythonBatchFormat::Pandas),
        artifacts: artifacts(fields, root, problems),
        rest,
    })
}

fn artifacts(fields: &Fields<'_>, root: &Path, problems: &mut Problems) -> IndexMap<String, ModelArtifact> {
    let mut found = IndexMap::new();
    let named = fields.value("artifacts").and_then(|yaml| entries(yaml, "`artifacts`", problems));
    for entry in named.into_iter().flatten() {
        if !is_identifier(&entry.key) {
            let message = format!("`{}` is not a name for an artifact", entry.key);
            let problem = Diagnostic::error(Code::INVALID_VALUE, message).at(entry.key_at.clone());
            problems.push(problem.hint("names consist of letters, digits and `_`, and do not start with a digit"));
            continue;
        }
        if let Some(path) = text(&entry.value, &entry.key, problems) {
            let artifact = ModelArtifact { path: resolve(root, &path), location: entry.value.at.clone() };
            found.insert(entry.key.clone(), artifact);
        }
    }
    found
}

/// Reads columns with their types: `{amount: double, plan: varchar}`.
fn typed(yaml: &Yaml, key: &str, problems: &mut Problems) -> Vec<ModelColumn> {
    let mut columns: Vec<ModelColumn> = Vec::new();
    for entry in entries(yaml, &format!("`{key}`"), problems).into_iter().flatten() {
        if let Some(data_type) = text(&entry.value, &entry.key, problems) {
            columns.push(ModelColumn { name: entry.key.clone(), data_type, location: entry.value.at.clone() });
        }
    }
    columns
}

fn workers(fields: &Fields<'_>, problems: &mut Problems) -> WorkerSettings {
    let mut settings = WorkerSettings::default();
    let mut read = |key: &str, what: &str, read: &mut dyn FnMut(&Yaml) -> bool| {
        if let Some(yaml) = fields.value(key)
            && !read(yaml)
        {
            problems.push(expected(what, &format!("`{key}`"), yaml));
        }
    };
    read("num_cpus", "a number above 0", &mut |yaml| {
        number(yaml).filter(|cpus| *cpus > 0.0).map(|cpus| settings.num_cpus = cpus).is_some()
    });
    read("num_gpus", "a number from 0", &mut |yaml| number(yaml).map(|gpus| settings.num_gpus = gpus).is_some());
    read("concurrency", "a number of workers such as `4`, or fewest and most such as `[1, 8]`", &mut |yaml| {
        settings.concurrency = range(yaml);
        settings.concurrency.is_some()
    });
    read("memory", "a size such as `2GiB`", &mut |yaml| {
        settings.memory = yaml.scalar().and_then(|scalar| bytes(&scalar.text));
        settings.memory.is_some()
    });
    read("timeout", "a time such as `30s`", &mut |yaml| {
        settings.timeout = time(yaml);
        settings.timeout.is_some()
    });
    read("start_timeout", "a time such as `5m`", &mut |yaml| {
        time(yaml).map(|limit| settings.start_timeout = limit).is_some()
    });
    // A forked process cannot use a GPU.
    settings.spawn = settings.num_gpus > 0.0;
    settings
}

fn number(yaml: &Yaml) -> Option<f64> {
    let scalar = yaml.scalar()?;
    scalar.as_float().or_else(|| scalar.as_int().map(|whole| whole as f64)).filter(|number| *number >= 0.0)
}

fn time(yaml: &Yaml) -> Option<Duration> {
    parse_duration(&yaml.scalar()?.text)
}

fn range(yaml: &Yaml) -> Option<(u32, u32)> {
    let count = |yaml: &Yaml| {
        let number = yaml.scalar()?.as_int()?;
        u32::try_from(number).ok().filter(|count| *count > 0)
    };
    match &yaml.value {
        Value::List(items) => match items.as_slice() {
            [fewest, most] => Some((count(fewest)?, count(most)?)).filter(|(fewest, most)| fewest <= most),
            _ => None,
        },
        _ => count(yaml).map(|workers| (workers, workers)),
    }
}
