//! Models that were trained elsewhere: what they are becomes a version when it is new.

use std::collections::BTreeMap;

use object_store::ObjectStoreExt;
use windlass_error::{Classify, Code, Diagnostic};
use windlass_model::registry::hash;
use windlass_model::{ColumnType, Format, Label, ModelFile, ModelVersion, NewVersion, Scorer, Signature, Task};
use windlass_project::{ImportedModel, ModelColumn, ModelFormat, ModelPlace, Node};

use super::in_python::InPython;
use super::register::moment;
use super::{LABEL_PARAM, ModelShape};
use crate::build::{BuildRequest, Built, Phase};
use crate::reuse::{Decision, Reason, ReasonKind, Standing};
use crate::storage::Place;
use crate::{Engine, Error};

/// A model as it is elsewhere now.
pub(crate) struct ImportedFile {
    /// What it reads and answers.
    pub(crate) shape: ModelShape,
    pub(super) fingerprint: String,
    pub(super) found: Found,
}

/// Whether a model is known already.
pub(super) enum Found {
    /// It is not.
    New(Box<NewImport>),
    /// It is this version.
    Registered(Box<ModelVersion>),
}

/// A model that is to become a version.
pub(super) struct NewImport {
    /// Its files, the one that says what it is first.
    pub(super) files: Vec<ModelFile>,
    /// More of them, which are read when it becomes a version: their places in it, and where they stand.
    pub(super) waiting: Vec<(String, Place)>,
    /// What the first file is.
    pub(super) format: Format,
    pub(super) signature: Signature,
    pub(super) classes: Option<Vec<Label>>,
    /// Where it comes from, as parameters of the version.
    pub(super) params: BTreeMap<String, String>,
    /// How it is loaded, of a model that Python scores.
    pub(super) about: Option<InPython>,
}

impl Engine {
    /// Reads a model where it stands.
    ///
    /// # Errors
    ///
    /// Errors of storage, and a mistake at the path where the file is no such model or cannot be scored with.
    pub(crate) async fn read_import(&self, node: &Node, imported: &ImportedModel) -> Result<ImportedFile, Error> {
        let (path, format) = match &imported.place {
            ModelPlace::File { path, format } => (path, format_of(*format)),
            ModelPlace::Mlflow(model) => return self.read_mlflow(node, imported, model).await,
            ModelPlace::Class(class) => return self.read_class(node, imported, class).await,
        };
        let place = self.storage.open(path)?;
        let failed = |source| Error::List { location: path.clone(), source };
        let bytes = place.store.get(&place.path).await.map_err(failed)?.bytes().await.map_err(failed)?;
        self.prepare_scoring(format, &node.name).await?;
        let scorer = Scorer::load(format, &bytes).map_err(|error| mistake(node, imported, &error))?;
        let scorer = equipped(node, imported, scorer)?;
        let shape = shape_of(imported, &scorer);
        let fingerprint = hash(format!("{} {}", hash(&bytes), said(imported)).as_bytes());
        let files = vec![ModelFile { path: file_name(path).to_string(), bytes }];
        let params = BTreeMap::from([("path".to_string(), path.clone())]);
        let new = NewImport {
            files,
            waiting: Vec::new(),
            format,
            signature: scorer.signature().clone(),
            classes: scorer.classes().map(<[Label]>::to_vec),
            params,
            about: None,
        };
        Ok(ImportedFile { shape, fingerprint, found: Found::New(Box::new(new)) })
    }

    /// Registers a model as a version, where it is new. `None` when the progress forbids to.
    pub(crate) async fn import(
        &self,
        request: &BuildRequest<'_>,
        imported: &ImportedModel,
    ) -> Result<Option<Built>, Error> {
        let node = request.node;
        request.progress.phase(Phase::Staging);
        if let ModelPlace::Class(class) = &imported.place {
            // Its lock is part of the version, and there may be none yet.
            self.environment(request.project, node, &class.code.environment).await?;
        }
        let mut file = self.read_import(node, imported).await?;
        if let Found::New(new) = &mut file.found {
            self.complete(request, new).await?;
        }
        request.progress.phase(Phase::Staged);
        if !request.progress.begin_commit() {
            return Ok(None);
        }
        let version = match file.found {
            Found::Registered(version) => *version,
            Found::New(new) => {
                let NewImport { files, waiting: _, format, signature, classes, mut params, about: _ } = *new;
                params.extend(imported.label.clone().map(|label| (LABEL_PARAM.to_string(), label)));
                let record = ModelVersion {
                    model: node.name.clone(),
                    version: 0,
                    created: moment(request),
                    task: file.shape.task,
                    format,
                    artifacts: Vec::new(),
                    metrics: BTreeMap::new(),
                    params,
                    gates: Vec::new(),
                    fingerprint: file.fingerprint.clone(),
                    inputs: Vec::new(),
                    signature,
                    classes,
                    run_id: Some(request.run_id.to_string()),
                    tags: BTreeMap::new(),
                };
                let registered = self.models().register(NewVersion { record, files }).await;
                let registered = registered.map_err(|source| Error::UseModel { model: node.name.clone(), source })?;
                registered.version().clone()
            }
        };
        self.promote(request, &version).await?;
        request.progress.phase(Phase::Committed);
        Ok(Some(Built {
            version: version.version,
            rows: 0,
            bytes: version.artifacts.iter().map(|artifact| artifact.bytes).sum(),
            files: version.artifacts.len() as u64,
            fingerprint: file.fingerprint,
            failures: None,
            nulls: None,
            checks: Vec::new(),
        }))
    }

    /// Reads what a version lacks yet: files that wait, and the lock of its packages.
    async fn complete(&self, request: &BuildRequest<'_>, new: &mut NewImport) -> Result<(), Error> {
        if let Some(about) = new.about.as_mut().filter(|about| about.lock.is_none()) {
            let environment = about.environment();
            self.environment(request.project, request.node, &environment).await?;
            about.lock = self.lock_of(&request.node.name, &environment).await;
            if let Some(first) = new.files.first_mut() {
                *first = about.to_file();
            }
        }
        for (path, place) in std::mem::take(&mut new.waiting) {
            let failed = |source| Error::List { location: place.display(), source };
            let bytes = place.store.get(&place.path).await.map_err(failed)?.bytes().await.map_err(failed)?;
            new.files.push(ModelFile { path, bytes });
        }
        Ok(())
    }

    /// Decides whether the file of a model is a new version.
    pub(crate) async fn decide_import(&self, node: &Node, imported: &ImportedModel) -> Result<Decision, Error> {
        let Some(version) = self.trained_version(node).await? else {
            return Ok(Decision::Build(Reason::new(ReasonKind::Missing, "not imported yet")));
        };
        let file = self.read_import(node, imported).await?;
        Ok(if version.fingerprint == file.fingerprint {
            Decision::Reuse(Standing {
                version: version.version,
                rows: 0,
                fingerprint: version.fingerprint,
                base: None,
            })
        } else {
            let what = match &imported.place {
                ModelPlace::File { path, .. } => format!("{} or what is said of it changed", file_name(path)),
                ModelPlace::Mlflow(model) => {
                    format!("{} is another version, or what is said of it changed", model.reference)
                }
                ModelPlace::Class(class) => {
                    format!("{}, its files or packages, or what is said of it changed", class.code.object)
                }
            };
            Decision::Build(Reason::new(ReasonKind::Input, what))
        })
    }
}

/// Returns a model with what is said of it.
///
/// # Errors
///
/// A mistake where it does not fit, or where it is not known what the model answers.
pub(super) fn equipped(node: &Node, imported: &ImportedModel, mut scorer: Scorer) -> Result<Scorer, Error> {
    if !imported.inputs.is_empty() {
        scorer = scorer.with_inputs(&imported.inputs).map_err(|error| mistake(node, imported, &error))?;
    }
    if !imported.classes.is_empty() {
        let classes = imported.classes.iter().map(|class| label(class)).collect();
        scorer = scorer.with_classes(classes).map_err(|error| mistake(node, imported, &error))?;
    }
    // A graph that answers one number is a regression; of any other nobody knows what it answers.
    let is_number = matches!(scorer.signature().outputs.as_slice(), [one] if one.data_type == ColumnType::Double);
    if scorer.task() == Task::Other && !is_number {
        let message = format!("what `{}` answers is not known", node.name);
        let mistake = Diagnostic::error(Code::MODEL_FILE, message).at(imported.location.clone()).node(&node.name);
        let mistake = mistake.hint(
            "an ONNX model answers one number, or is a classifier: list its `classes:`, in the order that it has them",
        );
        return Err(Error::Mistakes { diagnostics: vec![mistake] });
    }
    Ok(scorer)
}

/// Returns what a model reads and answers.
pub(super) fn shape_of(imported: &ImportedModel, scorer: &Scorer) -> ModelShape {
    let task = if scorer.task() == Task::Other { Task::Regression } else { scorer.task() };
    ModelShape::new(task, scorer.signature(), scorer.classes(), imported.label.as_deref())
}

/// Returns what is said of a model beside where it stands.
pub(super) fn said(imported: &ImportedModel) -> String {
    let format = match imported.place {
        ModelPlace::File { format, .. } => format!("{format:?}"),
        ModelPlace::Mlflow(_) | ModelPlace::Class(_) => String::new(),
    };
    let plain = format!("{format} {:?} {:?} {:?}", imported.label, imported.inputs, imported.classes);
    let typed = |column: &ModelColumn| format!(" {} {}", column.name, column.data_type);
    let columns = imported.columns.iter().chain(&imported.outputs);
    columns.fold(plain, |said, column| said + &typed(column))
}

/// Returns the mistake of naming a model that cannot be used.
pub(super) fn mistake(node: &Node, imported: &ImportedModel, error: &windlass_model::Error) -> Error {
    let code = error.code().unwrap_or(Code::MODEL_FILE);
    let mistake = Diagnostic::error(code, error.to_string()).at(imported.location.clone()).node(&node.name);
    let mistake = match error.hint() {
        Some(hint) => mistake.hint(hint),
        None => mistake,
    };
    Error::Mistakes { diagnostics: vec![mistake] }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn format_of(format: ModelFormat) -> Format {
    match format {
        ModelFormat::Lightgbm => Format::Lightgbm,
        ModelFormat::Xgboost => Format::Xgboost,
        ModelFormat::Onnx => Format::Onnx,
    }
}

/// Returns the class that a text stands for.
pub(super) fn label(text: &str) -> Label {
    match text {
        "true" | "false" => Label::Boolean(text == "true"),
        _ => text.parse().map_or_else(|_| Label::String(text.to_string()), Label::Long),
    }
}
