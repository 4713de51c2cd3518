//! Models that Python scores: what a version keeps of it beside its files, and what workers are told.
//!
//! The first file of such a version says what loads the others, with which packages, and what they hash to, so that its
//! own hash tells the version from all others. Code is part of the version: an older one is scored by its own.
//!
//! Must stay true: nothing of such a version is opened in this process; workers load it, from files that are what was
//! registered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use datafusion::arrow::datatypes::{DataType, Field};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use windlass_error::{Location, SourceFile};
use windlass_model::{ColumnType, Error as ModelError, ModelFile, ModelVersion, Registry};
use windlass_project::{
    Function, ImportedModel, ModelPlace, OnError, Project, PythonBatchFormat, PythonCode, PythonEnvironment,
    PythonOrigin, WorkerSettings,
};

use super::ModelShape;
use super::answers::FAILURE;
use crate::planner::calls::{AskedModel, PythonFunction, Resolved};
use crate::python::environment_request;
use crate::{Engine, Error};

/// The file that says how a version is loaded.
pub(super) const ABOUT: &str = "windlass.json";
/// The folder of a version that holds the code of the project.
const CODE: &str = "code";
/// The folder of a project whose modules are imported.
const LIB: &str = "lib";

/// What loads a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Loader {
    /// A class of the project.
    Class,
    /// Python itself.
    Pickle,
    /// `mlflow.sklearn`.
    Sklearn,
    /// `mlflow.pyfunc`.
    Pyfunc,
}

/// How a version is loaded, as its first file has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct InPython {
    pub(super) loader: Loader,
    /// The file that errors name: of the class, of the function that trained, or the reference at MLflow.
    pub(super) file: String,
    /// The class.
    #[serde(default)]
    pub(super) object: String,
    #[serde(default)]
    pub(super) batch_format: String,
    /// Files and folders within the version, by the names that the class knows them by.
    #[serde(default)]
    pub(super) artifacts: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) requires_python: Option<String>,
    #[serde(default)]
    pub(super) dependencies: Vec<String>,
    /// The folder of the project with a `pyproject.toml`, in place of these.
    #[serde(default)]
    pub(super) project: Option<PathBuf>,
    /// Files of the project that are part of the version, with what they hash to, comments and layout aside.
    #[serde(default)]
    pub(super) sources: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) vars: Map<String, Value>,
    /// What is read and answered, as it is declared.
    #[serde(default)]
    pub(super) columns: String,
    /// What the other files hash to.
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
    /// What its lock hashed to when it was registered.
    #[serde(default)]
    pub(super) lock: Option<String>,
}

impl InPython {
    /// Returns how a model is loaded of which nothing else is known yet.
    pub(super) fn new(loader: Loader) -> Self {
        Self {
            loader,
            file: String::new(),
            object: String::new(),
            batch_format: format_name(PythonBatchFormat::Pandas).to_string(),
            artifacts: BTreeMap::new(),
            requires_python: None,
            dependencies: Vec::new(),
            project: None,
            sources: BTreeMap::new(),
            vars: Map::new(),
            columns: String::new(),
            files: BTreeMap::new(),
            lock: None,
        }
    }

    /// Returns how code of the project is loaded.
    pub(super) fn of_code(loader: Loader, code: &PythonCode) -> Self {
        let file = code.sources.first().map(|(path, _)| path.clone()).unwrap_or_default();
        let PythonEnvironment { origin, requires_python, dependencies } = &code.environment;
        let project = match origin {
            PythonOrigin::Project { folder } => Some(folder.clone()),
            PythonOrigin::Defaults | PythonOrigin::Script | PythonOrigin::Requirements => None,
        };
        Self {
            file,
            object: code.object.clone(),
            batch_format: format_name(code.batch_format).to_string(),
            requires_python: requires_python.clone(),
            dependencies: dependencies.clone(),
            project,
            sources: code.sources.iter().map(|(path, hash)| (path.clone(), hash.clone())).collect(),
            vars: code.vars.clone(),
            ..Self::new(loader)
        }
    }

    /// Returns the packages that it needs.
    pub(super) fn environment(&self) -> PythonEnvironment {
        let origin = match &self.project {
            Some(folder) => PythonOrigin::Project { folder: folder.clone() },
            None => PythonOrigin::Requirements,
        };
        let (requires_python, dependencies) = (self.requires_python.clone(), self.dependencies.clone());
        PythonEnvironment { origin, requires_python, dependencies }
    }

    /// Returns it as the first file of its version.
    pub(super) fn to_file(&self) -> ModelFile {
        let bytes = Bytes::from(json!(self).to_string());
        ModelFile { path: ABOUT.to_string(), bytes }
    }

    /// Reads the first file of a version.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        serde_json::from_slice(bytes)
            .map_err(|error| ModelError::Format { format: "python", message: error.to_string() })
    }
}

/// Returns the files of the project that are part of a version, under the places that they have in it.
pub(super) fn code_files(code: &PythonCode, model: &str) -> Result<Vec<ModelFile>, Error> {
    let root = root_of(code);
    let file = |path: &String| {
        let at = root.join(path);
        let bytes = std::fs::read(&at).map_err(|source| {
            let model = model.to_string();
            Error::ModelFiles { operation: "read", model, path: at, source }
        })?;
        Ok(ModelFile { path: format!("{CODE}/{path}"), bytes: Bytes::from(bytes) })
    };
    code.sources.keys().map(file).collect()
}

/// Returns the project's folder.
fn root_of(code: &PythonCode) -> PathBuf {
    let own = code.sources.first().map_or(0, |(path, _)| Path::new(path).components().count());
    code.path.ancestors().nth(own).unwrap_or(&code.path).to_path_buf()
}

impl Engine {
    /// Returns what the lock of packages hashes to; `None` where there is none yet.
    pub(super) async fn lock_of(&self, node: &str, environment: &PythonEnvironment) -> Option<String> {
        let locked = self.workers.locked(&environment_request(node, environment)).await;
        locked.ok().flatten().map(|locked| locked.digest)
    }

    /// Returns what asks workers for a version. Its files come to where they can load them.
    pub(super) async fn asked_model(
        &self,
        project: &Project,
        reference: &str,
        (record, registry, shape): (&ModelVersion, &Registry, &ModelShape),
        about: &[u8],
    ) -> Result<PythonFunction, Error> {
        let failed = |source| Error::UseModel { model: reference.to_string(), source };
        let about = InPython::from_bytes(about).map_err(failed)?;
        let folder = self.local_files(record, registry).await?;
        let known = Known::of(project, &record.model);
        let is_current = known.sources.is_some_and(|sources| {
            let same = |(path, hash): (&String, &String)| sources.get(path) == Some(hash);
            sources.len() == about.sources.len() && about.sources.iter().all(same)
        });
        // Errors name the user's own lines as long as they are those of the version.
        let root = if is_current { project.root.clone() } else { folder.join(CODE) };
        let path = match about.loader {
            Loader::Class | Loader::Pickle => root.join(&about.file),
            Loader::Sklearn | Loader::Pyfunc => folder.join(ABOUT),
        };
        let settings = settings((reference, record), (&about, &folder), shape);
        let lib = (!is_current && !about.sources.is_empty()).then(|| vec![folder.join(CODE).join(LIB)]);
        let mut sources: IndexMap<String, String> = about.sources.clone().into_iter().collect();
        sources.insert(ABOUT.to_string(), record.main_artifact().map(|file| file.sha256.clone()).unwrap_or_default());
        let code = PythonCode {
            path,
            object: about.object.clone(),
            is_class: true,
            batch_format: format_of(&about.batch_format),
            sources,
            volatile: None,
            vars: about.vars.clone(),
            environment: about.environment(),
            workers: known.workers,
        };
        Ok(function(reference, code, known.location, (shape, AskedModel { settings, lib })))
    }
}

/// Returns what stands for a model while a project is planned, whose version is not known yet.
pub(super) fn planned(reference: &str, shape: &ModelShape) -> Option<PythonFunction> {
    shape.python()?;
    let code = PythonCode {
        path: PathBuf::new(),
        object: String::new(),
        is_class: true,
        batch_format: PythonBatchFormat::Pandas,
        sources: IndexMap::new(),
        volatile: None,
        vars: Map::new(),
        environment: PythonEnvironment {
            origin: PythonOrigin::Requirements,
            requires_python: None,
            dependencies: Vec::new(),
        },
        workers: WorkerSettings::default(),
    };
    let asked = AskedModel { settings: Map::new(), lib: None };
    Some(function(reference, code, nowhere(), (shape, asked)))
}

fn function(
    reference: &str,
    code: PythonCode,
    location: Location,
    (shape, asked): (&ModelShape, AskedModel),
) -> PythonFunction {
    let answers = shape.python().map(|python| python.answers.iter().map(|field| field.as_ref().clone()).collect());
    let mut fields: Vec<Field> = answers.unwrap_or_default();
    fields.push(Field::new(FAILURE, DataType::Utf8, true));
    let function = Function {
        name: reference.to_string(),
        code,
        parameters: Vec::new(),
        returns: String::new(),
        deterministic: Some(true),
        sees_nulls: true,
        on_error: OnError::Null,
        location,
    };
    let returns = DataType::Struct(fields.into());
    PythonFunction::new(Resolved { function, returns, parameters: Vec::new(), model: Some(asked) })
}

/// Returns what workers are told; see `_models.py`.
fn settings(
    (reference, record): (&str, &ModelVersion),
    (about, folder): (&InPython, &Path),
    shape: &ModelShape,
) -> Map<String, Value> {
    let inputs = &record.signature.inputs;
    let named: Vec<(&str, String)> =
        inputs.iter().map(|input| (input.name.as_str(), input.data_type.to_string())).collect();
    let is_of_mlflow = matches!(about.loader, Loader::Sklearn | Loader::Pyfunc);
    // Pandas has no NULL for these, and MLflow takes no doubles in their place.
    let has_no_null =
        |data_type: &ColumnType| matches!(data_type, ColumnType::Boolean | ColumnType::Integer | ColumnType::Long);
    let required: Vec<&str> = inputs
        .iter()
        .filter(|input| is_of_mlflow && has_no_null(&input.data_type))
        .map(|input| input.name.as_str())
        .collect();
    let artifacts: BTreeMap<&String, PathBuf> =
        about.artifacts.iter().map(|(name, path)| (name, folder.join(path))).collect();
    let classes = record.classes.as_ref().map(Vec::len).filter(|_| shape.task == windlass_model::Task::Classification);
    let told = json!({
        "name": reference,
        "file": about.file,
        "loader": about.loader,
        "folder": folder,
        "main": windlass_model::mlflow::PICKLE,
        "artifacts": artifacts,
        "inputs": named,
        "required": required,
        "classes": classes,
    });
    match told {
        Value::Object(told) => told,
        _ => Map::new(),
    }
}

/// What the project says of a model now.
struct Known<'a> {
    sources: Option<&'a IndexMap<String, String>>,
    workers: WorkerSettings,
    location: Location,
}

impl<'a> Known<'a> {
    fn of(project: &'a Project, model: &str) -> Self {
        let node = project.nodes.get(model);
        let class = node.and_then(|node| node.imported()).and_then(class_of);
        let trained = node.and_then(|node| node.model()).and_then(|model| model.algorithm.python());
        let code = class.or_else(|| trained.map(|python| &python.code));
        let workers = code.map(|code| &code.workers);
        let workers = workers.or_else(|| node?.imported().map(|imported| &imported.workers));
        Self {
            sources: code.map(|code| &code.sources),
            workers: workers.cloned().unwrap_or_default(),
            location: node.map_or_else(nowhere, |node| node.location.clone()),
        }
    }
}

/// Returns the class that scores an imported model.
fn class_of(imported: &ImportedModel) -> Option<&PythonCode> {
    match &imported.place {
        ModelPlace::Class(class) => Some(&class.code),
        ModelPlace::File { .. } | ModelPlace::Mlflow(_) => None,
    }
}

fn nowhere() -> Location {
    Location::new(&SourceFile::new(Path::new("models"), String::new()), 0..0)
}

fn format_name(format: PythonBatchFormat) -> &'static str {
    match format {
        PythonBatchFormat::Numpy => "numpy",
        PythonBatchFormat::Pandas => "pandas",
        PythonBatchFormat::Polars => "polars",
        PythonBatchFormat::Pyarrow => "pyarrow",
    }
}

fn format_of(name: &str) -> PythonBatchFormat {
    let all = [PythonBatchFormat::Numpy, PythonBatchFormat::Polars, PythonBatchFormat::Pyarrow];
    all.into_iter().find(|format| format_name(*format) == name).unwrap_or(PythonBatchFormat::Pandas)
}
