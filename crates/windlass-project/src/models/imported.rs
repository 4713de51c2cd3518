//! Models that were trained elsewhere: entries of `models/*.yml` with a `path`, with the name that an MLflow server has
//! for one, or with the `class` that scores.

use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use windlass_error::{Code, Diagnostic, Location, SourceFile};

use super::class::{ClassDraft, ModelClass, ModelColumn, Said, read_class};
use crate::checks::word;
use crate::decode::{Fields, named};
use crate::location::resolve;
use crate::manifest::parse_file;
use crate::problems::Problems;
use crate::python::WorkerSettings;
use crate::yaml::Yaml;

/// The keys of an import, beside the settings that every model may have.
pub(crate) const IMPORT_KEYS: [&str; 16] = [
    "path",
    "mlflow",
    "class",
    "format",
    "label",
    "inputs",
    "classes",
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

/// The keys that say where a model stands.
const PLACES: [&str; 3] = ["path", "mlflow", "class"];

/// How a model of MLflow is named.
const REFERENCE_HINT: &str =
    "name a version or an alias: `models:/fraud@champion`, `models:/fraud/3`, `models:/fraud/latest`";

/// A model that was trained elsewhere.
#[derive(Debug, Clone)]
pub struct ImportedModel {
    /// Where it stands.
    pub place: ModelPlace,
    /// The column that it predicts; its answers are called `predicted_<label>`.
    pub label: Option<String>,
    /// The columns that it reads, in its own order, where its file does not name them as tables do.
    pub inputs: Vec<String>,
    /// The same with their types, of a model that Python scores.
    pub columns: Vec<ModelColumn>,
    /// What a model answers that Python scores, where it has no classes.
    pub outputs: Vec<ModelColumn>,
    /// The classes of a classifier, where its file has numbers for them.
    pub classes: Vec<String>,
    /// The workers that score, of a model that Python scores.
    pub workers: WorkerSettings,
    /// Where the path, or the name at the server, is written.
    pub location: Location,
}

/// Where an imported model stands.
#[derive(Debug, Clone)]
pub enum ModelPlace {
    /// A file.
    File {
        /// An absolute path, or a URL.
        path: String,
        /// What it is.
        format: ModelFormat,
    },
    /// A version in the registry of an MLflow server.
    Mlflow(MlflowModel),
    /// A class in Python.
    Class(Box<ModelClass>),
}

/// A version in the registry of an MLflow server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MlflowModel {
    /// As written: `models:/fraud@champion`.
    pub reference: String,
    /// The name there.
    pub name: String,
    /// A number, an alias, or `latest`.
    pub version: String,
}

/// What the file of an imported model is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelFormat {
    /// Text of LightGBM.
    Lightgbm,
    /// JSON or UBJSON of XGBoost.
    Xgboost,
    /// ONNX.
    Onnx,
}

const FORMATS: [(&str, ModelFormat); 3] =
    [("lightgbm", ModelFormat::Lightgbm), ("xgboost", ModelFormat::Xgboost), ("onnx", ModelFormat::Onnx)];

/// An import with the file that names it.
pub(crate) struct Import {
    pub(crate) file: Arc<SourceFile>,
    pub(crate) at: Location,
    /// `None` where it cannot be used; its name is known all the same.
    pub(crate) model: Option<ImportedModel>,
    /// The class that scores, until its file is read.
    pub(crate) class: Option<ClassDraft>,
    /// The file that a class is said to stand in, whether or not it can be used.
    pub(crate) class_file: Option<String>,
}

/// What can be said of an import before Python is read.
enum Read {
    Model(ImportedModel),
    Class(ClassDraft),
}

/// Returns the imports among properties files of models. What else these files say is read elsewhere, and so is
/// what is wrong with them as YAML.
pub(crate) fn read_imports(
    files: &[Arc<SourceFile>],
    root: &Path,
    problems: &mut Problems,
) -> IndexMap<String, Import> {
    let mut found = IndexMap::new();
    for file in files {
        let mut said = Problems::default();
        let Some(Some(yaml)) = parse_file(file, &mut said) else { continue };
        let Some(fields) = Fields::open(&yaml, "", &["models", "version"], &mut said) else { continue };
        let Some(entry) = fields.get("models") else { continue };
        let items = named(&entry.value, "`models`", &mut said);
        for item in items.iter().filter(|item| PLACES.iter().any(|key| item.has(key))) {
            let mut own = Problems::of_node(&item.name);
            let read = item.body().and_then(|body| read_import(body, root, &mut own));
            let read = read.filter(|_| !own.has_errors());
            problems.absorb(own);
            let (model, class) = match read {
                Some(Read::Model(model)) => (Some(model), None),
                Some(Read::Class(class)) => (None, Some(class)),
                None => (None, None),
            };
            let class_file = item.body().and_then(class_file);
            let import = Import { file: Arc::clone(file), at: item.at.clone(), model, class, class_file };
            found.entry(item.name.clone()).or_insert(import);
        }
    }
    found
}

fn read_import(body: &Yaml, root: &Path, problems: &mut Problems) -> Option<Read> {
    // Other keys are settings, which are read with the properties.
    let fields = Fields::open(body, "", &[], &mut Problems::default())?;
    let places: Vec<(&str, &Yaml)> = PLACES.iter().filter_map(|key| Some((*key, fields.value(key)?))).collect();
    if let [(first, path), (second, name), ..] = places.as_slice() {
        let message = format!("`{first}` and `{second}` are two answers to one question");
        let problem = Diagnostic::error(Code::INVALID_VALUE, message);
        problems.push(problem.at(name.at.clone()).related(path.at.clone(), "also here").hint("keep one of them"));
        return None;
    }
    if let Some(value) = fields.value("class") {
        return read_class(&fields, value, root, problems).map(Read::Class);
    }
    let (place, location) = match fields.value("mlflow") {
        Some(value) => (ModelPlace::Mlflow(mlflow_model(&fields, value, problems)?), value.at.clone()),
        None => file(&fields, root, problems)?,
    };
    let in_python = matches!(place, ModelPlace::Mlflow(_));
    Some(Read::Model(Said::read(&fields, in_python, problems).of(place, location)))
}

fn class_file(body: &Yaml) -> Option<String> {
    let fields = Fields::open(body, "", &[], &mut Problems::default())?;
    let (path, _) = fields.value("class")?.scalar()?.text.rsplit_once(':')?;
    Some(path.trim().to_owned())
}

/// Reads which file is meant.
fn file(fields: &Fields<'_>, root: &Path, problems: &mut Problems) -> Option<(ModelPlace, Location)> {
    let path = fields.text("path", problems)?;
    let location = fields.value("path").map(|value| value.at.clone())?;
    let format = match fields.value("format") {
        Some(value) => word(value, "format", &FORMATS, problems)?,
        None => match path.rsplit_once('.').map(|(_, ending)| ending) {
            Some("txt") => ModelFormat::Lightgbm,
            Some("json" | "ubj") => ModelFormat::Xgboost,
            Some("onnx") => ModelFormat::Onnx,
            _ => {
                let problem =
                    Diagnostic::error(Code::INVALID_VALUE, format!("what `{path}` is does not show in its name"));
                problems.push(problem.at(location).hint("say it: `format: lightgbm`, `xgboost` or `onnx`"));
                return None;
            }
        },
    };
    Some((ModelPlace::File { path: resolve(root, &path), format }, location))
}

/// Reads which version at the server is meant.
fn mlflow_model(fields: &Fields<'_>, value: &Yaml, problems: &mut Problems) -> Option<MlflowModel> {
    let reference = fields.text("mlflow", problems)?;
    if let Some(format) = fields.value("format") {
        let problem = Diagnostic::error(Code::INVALID_VALUE, "`format` is for files: MLflow says what its models are");
        problems.push(problem.at(format.at.clone()).hint("remove it"));
        return None;
    }
    let rest = reference.strip_prefix("models:/").map(|rest| rest.trim_start_matches('/'));
    let parts = rest.and_then(|rest| rest.rsplit_once(['@', '/']));
    let is_name = |name: &str| !name.is_empty() && !name.contains(['/', '\'', '"', '@']);
    let Some((name, version)) = parts.filter(|(name, version)| is_name(name) && is_name(version)) else {
        let problem = Diagnostic::error(Code::INVALID_VALUE, format!("`{reference}` names no model of MLflow"));
        problems.push(problem.at(value.at.clone()).hint(REFERENCE_HINT));
        return None;
    };
    let is_number = version.chars().all(|letter| letter.is_ascii_digit());
    if reference.contains('/') && !reference.contains('@') && !is_number && version != "latest" {
        let problem = Diagnostic::error(Code::INVALID_VALUE, format!("`{version}` is no version of a model"));
        let hint = format!("stages are no more: give the version an alias, and write `models:/{name}@{version}`");
        problems.push(problem.at(value.at.clone()).hint(hint));
        return None;
    }
    Some(MlflowModel { name: name.to_owned(), version: version.to_owned(), reference })
}
