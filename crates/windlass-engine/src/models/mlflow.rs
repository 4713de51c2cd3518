//! Models at an MLflow server: which version a reference means now, and what its files are.
//!
//! The server is asked once in a process, so that what is planned is what is imported. A version that the registry of the
//! lake has already is not fetched again. A server that is away is told of once, and the version that the reference meant
//! before is used.
//!
//! What MLflow keeps as a booster or a graph is scored here; all else, such as models of scikit-learn and Python functions, in workers.
//!
//! Must stay true: neither password nor token is told; files come into the lake with their hashes, and no pickle is opened.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use windlass_error::{Code, Diagnostic};
use windlass_model::mlflow::{
    Client, Downloaded, Flavor, REFERENCE, ServerVersion, python_version, read_flavor, requirements,
};
use windlass_model::registry::hash;
use windlass_model::{Error as ModelError, Format, Label, ModelFile, ModelRef, ModelVersion, Scorer, VersionRef};
use windlass_project::{ImportedModel, MlflowModel, Node};

use super::ModelShape;
use super::class::Declared;
use super::import::{Found, ImportedFile, NewImport, equipped, mistake, said, shape_of};
use super::in_python::{ABOUT as ABOUT_PYTHON, InPython, Loader};
use crate::{Engine, Error};

/// The file that says what a model of MLflow is.
const ABOUT: &str = "MLmodel";
/// The parameter that says which version of the server it is.
const SERVER_VERSION: &str = "mlflow_version";

/// What has been asked of the server.
#[derive(Default)]
pub(crate) struct MlflowModels {
    client: Option<Client>,
    asked: Mutex<BTreeMap<String, Answer>>,
}

/// What the server has answered for a reference.
#[derive(Clone)]
enum Answer {
    Version(Arc<ServerVersion>),
    /// With its files.
    Fetched(Arc<Downloaded>),
    /// It is away, for this reason.
    Away(String),
}

impl MlflowModels {
    /// Returns what asks a server; none where there is none.
    pub(crate) fn new(client: Option<Client>) -> Self {
        Self { client, asked: Mutex::default() }
    }

    fn known(&self, reference: &str) -> Option<Answer> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(reference).cloned()
    }

    fn note(&self, reference: &str, answer: Answer) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(reference.to_string(), answer);
    }
}

impl Engine {
    /// Returns the model that a reference means at the server now.
    ///
    /// # Errors
    ///
    /// A mistake at the reference where the server has no such version, does not keep it in a form that can be scored, or is
    /// away and no version was imported before.
    pub(super) async fn read_mlflow(
        &self,
        node: &Node,
        imported: &ImportedModel,
        model: &MlflowModel,
    ) -> Result<ImportedFile, Error> {
        let version = match self.server_version(model).await {
            Ok(Answer::Version(version)) => version,
            Ok(Answer::Fetched(fetched)) => Arc::new(fetched.version.clone()),
            Ok(Answer::Away(why)) => return self.last_known(node, imported, model, &why).await,
            Err(error) => return Err(mistake(node, imported, &error)),
        };
        let text = format!("mlflow {} {} {} {}", version.model, version.version, version.artifact_uri, said(imported));
        let (fingerprint, known) = self.imported_before(node, hash(text.as_bytes())).await?;
        if let Some(known) = known {
            let shape = ModelShape::of_version(&known);
            return Ok(ImportedFile { shape, fingerprint, found: Found::Registered(Box::new(known)) });
        }
        let fetched = self.fetched(model, &version).await.map_err(|error| mistake(node, imported, &error))?;
        self.as_imported(node, imported, (model, &fetched), fingerprint).await
    }

    /// Returns the version that the same model has led to before, and the fingerprint of what it leads to now: one that
    /// Python scores is another where its packages are locked anew.
    async fn imported_before(&self, node: &Node, fingerprint: String) -> Result<(String, Option<ModelVersion>), Error> {
        let known = self.version_of_training(node, &fingerprint).await?;
        let Some(version) = known.as_ref().filter(|version| !version.format.is_native()) else {
            return Ok((fingerprint, known));
        };
        let failed = |source| Error::UseModel { model: node.name.clone(), source };
        let about = self.models().artifact(version, ABOUT_PYTHON).await.map_err(failed)?;
        let about = InPython::from_bytes(&about).map_err(failed)?;
        match self.lock_of(&node.name, &about.environment()).await {
            Some(lock) if about.lock.as_ref() != Some(&lock) => {
                let fingerprint = hash(format!("{fingerprint} {lock}").as_bytes());
                let known = self.version_of_training(node, &fingerprint).await?;
                Ok((fingerprint, known))
            }
            _ => Ok((fingerprint, known)),
        }
    }

    /// Returns what the server says of a reference; it is asked once.
    async fn server_version(&self, model: &MlflowModel) -> Result<Answer, ModelError> {
        if let Some(known) = self.mlflow.known(&model.reference) {
            return Ok(known);
        }
        let answer = match &self.mlflow.client {
            None => Answer::Away("no server is named".to_string()),
            Some(client) => match client.version(&reference(model)?).await {
                Ok(version) => Answer::Version(Arc::new(version)),
                Err(ModelError::Mlflow { is_passing: true, why, .. }) => {
                    Answer::Away(format!("{} cannot be reached: {why}", client.shown()))
                }
                Err(error) => return Err(error),
            },
        };
        self.mlflow.note(&model.reference, answer.clone());
        Ok(answer)
    }

    /// Returns the files of a version.
    async fn fetched(&self, model: &MlflowModel, version: &ServerVersion) -> Result<Arc<Downloaded>, ModelError> {
        if let Some(Answer::Fetched(fetched)) = self.mlflow.known(&model.reference) {
            return Ok(fetched);
        }
        let Some(client) = &self.mlflow.client else {
            return Err(ModelError::TrackingUri { why: "no server is named" });
        };
        let fetched = Arc::new(client.files_of(version.clone()).await?);
        self.mlflow.note(&model.reference, Answer::Fetched(Arc::clone(&fetched)));
        Ok(fetched)
    }

    /// Returns the version that a reference meant when the server was last asked.
    async fn last_known(
        &self,
        node: &Node,
        imported: &ImportedModel,
        model: &MlflowModel,
        why: &str,
    ) -> Result<ImportedFile, Error> {
        let known = self.trained_version(node).await?;
        let Some(known) = known.filter(|known| known.params.get(REFERENCE) == Some(&model.reference)) else {
            let message = format!("`{}` cannot be fetched, and was never before: {why}", model.reference);
            let mistake = Diagnostic::error(Code::TRACKING, message).at(imported.location.clone()).node(&node.name);
            let hint = "name the server, and see that it runs: MLFLOW_TRACKING_URI, or `tracking:` of the target";
            return Err(Error::Mistakes { diagnostics: vec![mistake.hint(hint)] });
        };
        let number = known.params.get(SERVER_VERSION).map(String::as_str).unwrap_or_default();
        let text = format!("{}: {why}; version {number} is used, which it meant before", model.reference);
        self.notice_once(&text);
        let (shape, fingerprint) = (ModelShape::of_version(&known), known.fingerprint.clone());
        Ok(ImportedFile { shape, fingerprint, found: Found::Registered(Box::new(known)) })
    }

    /// Reads the files of a model.
    async fn as_imported(
        &self,
        node: &Node,
        imported: &ImportedModel,
        (model, fetched): (&MlflowModel, &Downloaded),
        fingerprint: String,
    ) -> Result<ImportedFile, Error> {
        let wrong = |error: &ModelError| mistake(node, imported, error);
        let (flavor, files) = main_first(fetched).map_err(|error| wrong(&error))?;
        let params = origin(model, fetched);
        let Some(main) = files.first().filter(|_| flavor.main.is_some()) else {
            let (shape, new) = self.in_python(node, (imported, model), (flavor, files), params).await?;
            return Ok(ImportedFile { shape, fingerprint, found: Found::New(Box::new(new)) });
        };
        refuse_python(node, imported)?;
        self.prepare_scoring(flavor.format, &node.name).await?;
        let mut scorer = Scorer::load(flavor.format, &main.bytes).map_err(|error| wrong(&error))?;
        if let Some(names) = names_of(&flavor, &scorer).filter(|_| imported.inputs.is_empty()) {
            scorer = scorer.with_inputs(&names).map_err(|error| wrong(&error))?;
        }
        let scorer = equipped(node, imported, scorer)?;
        let shape = shape_of(imported, &scorer);
        let (signature, classes) = (scorer.signature().clone(), scorer.classes().map(<[Label]>::to_vec));
        let (waiting, format) = (Vec::new(), flavor.format);
        let new = NewImport { files, waiting, format, signature, classes, params, about: None };
        Ok(ImportedFile { shape, fingerprint, found: Found::New(Box::new(new)) })
    }

    /// Puts together a model that Python scores: what it reads and answers, and with which packages. Nothing of it is
    /// opened but the texts that MLflow writes beside it.
    async fn in_python(
        &self,
        node: &Node,
        (imported, model): (&ImportedModel, &MlflowModel),
        (flavor, mut files): (Flavor, Vec<ModelFile>),
        params: BTreeMap<String, String>,
    ) -> Result<(ModelShape, NewImport), Error> {
        let wrong = |what: String, hint: &str| {
            let mistake = Diagnostic::error(Code::MODEL_FILE, what).at(imported.location.clone()).node(&node.name);
            Error::Mistakes { diagnostics: vec![mistake.hint(hint)] }
        };
        if imported.columns.is_empty() && !imported.inputs.is_empty() {
            let what = format!("`{}` is scored in Python, which needs the types of its inputs", model.reference);
            return Err(wrong(what, "write `inputs: {amount: double, plan: varchar}`, or leave it to the signature"));
        }
        let mut inputs = self.columns_said(node, &imported.columns).await?;
        if inputs.is_empty() {
            inputs = flavor.signature.map(|signature| signature.inputs).unwrap_or_default();
        }
        if inputs.is_empty() {
            let what = format!("`{}` does not say which columns it reads", model.reference);
            let hint = "log it with `signature=infer_signature(X, y)` of a frame, or say `inputs: {amount: double}`";
            return Err(wrong(what, hint));
        }
        let mut outputs = self.columns_said(node, &imported.outputs).await?;
        if outputs.is_empty() {
            outputs = flavor.answers;
        }
        if outputs.is_empty() && imported.classes.is_empty() {
            let what = format!("`{}` does not say what it answers for a row", model.reference);
            let hint = "say it: `output: double`, or `classes: [...]` in the order of its probabilities";
            return Err(wrong(what, hint));
        }
        let declared = Declared::new(inputs, outputs, &imported.classes);
        let text = |name: &str| {
            let file = files.iter().find(|file| file.path == name)?;
            Some(String::from_utf8_lossy(&file.bytes).into_owned())
        };
        let loader = if flavor.format == Format::Sklearn { Loader::Sklearn } else { Loader::Pyfunc };
        let about = InPython {
            files: files.iter().map(|file| (file.path.clone(), hash(&file.bytes))).collect(),
            file: model.reference.clone(),
            requires_python: text("python_env.yaml")
                .and_then(|text| python_version(&text))
                .map(|version| format!("=={version}.*")),
            dependencies: requirements(&text("requirements.txt").unwrap_or_default()),
            columns: format!("{:?}", declared.signature),
            ..InPython::new(loader)
        };
        files.insert(0, about.to_file());
        let shape = declared.shape(imported.label.as_deref());
        let Declared { signature, classes, .. } = declared;
        let (waiting, format, about) = (Vec::new(), flavor.format, Some(about));
        Ok((shape, NewImport { files, waiting, format, signature, classes, params, about }))
    }
}

/// Returns where a model comes from, as parameters of its version.
fn origin(model: &MlflowModel, fetched: &Downloaded) -> BTreeMap<String, String> {
    let params = BTreeMap::from([
        (REFERENCE.to_string(), model.reference.clone()),
        (SERVER_VERSION.to_string(), fetched.version.version.clone()),
        ("mlflow_digest".to_string(), fetched.digest()),
    ]);
    let run = fetched.version.run_id.clone().map(|run| ("mlflow_run_id".to_string(), run));
    params.into_iter().chain(run).collect()
}

/// Refuses what is said for Python alone of a model that is scored without.
fn refuse_python(node: &Node, imported: &ImportedModel) -> Result<(), Error> {
    let Some(said) = imported.columns.first().or_else(|| imported.outputs.first()) else { return Ok(()) };
    let what = "types are for models that Python scores, and this one is scored without";
    let mistake = Diagnostic::error(Code::MODEL_FILE, what).at(said.location.clone()).node(&node.name);
    let mistake = mistake.hint("name the inputs alone, as a list: `inputs: [amount, plan]`; leave `output` out");
    Err(Error::Mistakes { diagnostics: vec![mistake] })
}

/// Returns a reference in the words of the registry.
fn reference(model: &MlflowModel) -> Result<ModelRef, ModelError> {
    // Names at a server are freer than ours.
    Ok(ModelRef { model: model.name.clone(), version: VersionRef::from_str(&model.version)? })
}

/// Returns what a model is, and its files, the one that is scored first.
fn main_first(fetched: &Downloaded) -> Result<(Flavor, Vec<ModelFile>), ModelError> {
    let format = "mlflow";
    let missing = |what: &str| ModelError::Format { format, message: format!("it has no file `{what}`") };
    let find = |name: &str| fetched.files.iter().position(|(path, _)| path == name);
    let about = find(ABOUT).ok_or_else(|| missing(ABOUT))?;
    let text = std::str::from_utf8(&fetched.files[about].1);
    let text = text.map_err(|error| ModelError::Format { format, message: error.to_string() })?;
    let flavor = read_flavor(text)?;
    let main = match &flavor.main {
        Some(main) => find(main).ok_or_else(|| missing(main))?,
        None => about,
    };
    let mut files: Vec<ModelFile> =
        fetched.files.iter().map(|(path, bytes)| ModelFile { path: path.clone(), bytes: bytes.clone() }).collect();
    files[..=main].rotate_right(1);
    Ok((flavor, files))
}

/// Returns the names of its inputs that a model's signature has, where its own file has others: a matrix has no names.
fn names_of(flavor: &Flavor, scorer: &Scorer) -> Option<Vec<String>> {
    let said: Vec<String> = flavor.signature.as_ref()?.inputs.iter().map(|input| input.name.clone()).collect();
    let own = &scorer.signature().inputs;
    let is_known = own.iter().all(|input| said.contains(&input.name));
    (said.len() == own.len() && !is_known).then_some(said)
}
