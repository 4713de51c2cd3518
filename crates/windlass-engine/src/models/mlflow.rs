//! Models at an MLflow server: which version a reference means now, and what its files are.
//!
//! The server is asked once in a process, so that what is planned is what is imported. A version that the registry of the
//! lake has already is not fetched again. A server that is away is told of once, and the version that the reference meant
//! before is used.
//!
//! Must stay true: neither password nor token is told; files come into the lake with their hashes, and no pickle is opened.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use windlass_error::{Code, Diagnostic};
use windlass_model::mlflow::{Client, Downloaded, Flavor, REFERENCE, ServerVersion, read_flavor};
use windlass_model::registry::hash;
use windlass_model::{Error as ModelError, Format, ModelFile, ModelRef, Scorer, VersionRef};
use windlass_project::{ImportedModel, MlflowModel, Node};

use super::ModelShape;
use super::import::{Found, ImportedFile, equipped, mistake, said, shape_of};
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
        let fingerprint = hash(text.as_bytes());
        if let Some(known) = self.version_of_training(node, &fingerprint).await? {
            let shape = ModelShape::of_version(&known);
            return Ok(ImportedFile { shape, fingerprint, found: Found::Registered(Box::new(known)) });
        }
        let fetched = self.fetched(model, &version).await.map_err(|error| mistake(node, imported, &error))?;
        self.as_imported(node, imported, (model, &fetched), fingerprint).await
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
        let Some(main) = files.first().filter(|_| flavor.main.is_some()) else {
            return Err(Error::Mistakes { diagnostics: vec![kept_as_pickle(node, imported, model, flavor.format)] });
        };
        self.prepare_scoring(flavor.format, &node.name).await?;
        let mut scorer = Scorer::load(flavor.format, &main.bytes).map_err(|error| wrong(&error))?;
        if let Some(names) = names_of(&flavor, &scorer).filter(|_| imported.inputs.is_empty()) {
            scorer = scorer.with_inputs(&names).map_err(|error| wrong(&error))?;
        }
        let scorer = equipped(node, imported, scorer)?;
        let params = BTreeMap::from([
            (REFERENCE.to_string(), model.reference.clone()),
            (SERVER_VERSION.to_string(), fetched.version.version.clone()),
            ("mlflow_digest".to_string(), fetched.digest()),
        ]);
        let run = fetched.version.run_id.clone().map(|run| ("mlflow_run_id".to_string(), run));
        let params = params.into_iter().chain(run).collect();
        let shape = shape_of(imported, &scorer);
        let found = Found::New { files, format: flavor.format, scorer: Box::new(scorer), params };
        Ok(ImportedFile { shape, fingerprint, found })
    }
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

/// Returns the mistake of a model that MLflow keeps as a pickle.
fn kept_as_pickle(node: &Node, imported: &ImportedModel, model: &MlflowModel, format: Format) -> Diagnostic {
    let what = match format {
        Format::Sklearn => "as scikit-learn keeps it",
        _ => "as a Python function",
    };
    let message = format!("MLflow has `{}` {what}, which is not scored without Python", model.reference);
    let mistake = Diagnostic::error(Code::MODEL_FILE, message).at(imported.location.clone()).node(&node.name);
    mistake.hint("log it as ONNX (`mlflow.onnx.log_model`), or as a booster of LightGBM or XGBoost")
}
