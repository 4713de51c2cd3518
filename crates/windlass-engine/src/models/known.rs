//! A model as SQL uses it: its shape, and the version behind it where there is one.

use std::str::FromStr;
use std::sync::Arc;

use windlass_error::{Classify, Diagnostic};
use windlass_model::{Error as ModelError, Format, ModelVersion, NativeModel, Registry, Scorer, VersionRef, onnx};
use windlass_project::{Input, Project, SYSTEM_FOLDER};

use super::{CHAMPION, FOLDER, ModelShape, in_python};
use crate::fingerprint::{InputVersion, base_text, version_text};
use crate::operators::python::PythonError;
use crate::planner::calls::PythonFunction;
use crate::storage::Place;
use crate::tables::error_rows::ScoredBy;
use crate::{Engine, Error};

/// A model that a query may score with.
#[derive(Debug)]
pub(crate) struct KnownModel {
    /// How SQL names it: `delay` or `delay@3`.
    pub(crate) reference: String,
    /// What it reads and answers.
    pub(crate) shape: ModelShape,
    /// The version; `None` for a model that is still to be trained.
    pub(super) record: Option<ModelVersion>,
    /// What scores, where there is a version.
    pub(super) scorer: Option<Scorer>,
    /// The weights of a model of our own.
    pub(super) native: Option<NativeModel>,
    /// What asks workers, where Python scores it.
    pub(super) asked: Option<PythonFunction>,
}

/// A version of a model, and where it stands.
pub(crate) struct FoundModel {
    /// The version.
    pub(crate) record: ModelVersion,
    registry: Registry,
    /// The environment, where it is the base.
    base: Option<Arc<str>>,
}

impl KnownModel {
    /// Returns a model that is still to be trained.
    pub(crate) fn of_shape(reference: &str, shape: &ModelShape) -> Arc<Self> {
        let asked = in_python::planned(reference, shape);
        let (reference, shape) = (reference.to_string(), shape.clone());
        Arc::new(Self { reference, shape, record: None, scorer: None, native: None, asked })
    }

    /// Returns what error rows say of it.
    pub(super) fn scored_by(&self) -> ScoredBy {
        let model = self.reference.split('@').next().unwrap_or_default().to_string();
        ScoredBy { reference: self.reference.clone(), model, version: self.version() }
    }

    /// Returns the version's number.
    pub(super) fn version(&self) -> Option<u64> {
        self.record.as_ref().map(|record| record.version)
    }
}

/// Returns the model that a reference names, and which version: that of the champion where it names none.
pub(crate) fn parts(reference: &str) -> Result<(&str, VersionRef), ModelError> {
    match reference.split_once('@') {
        Some((model, version)) => Ok((model, VersionRef::from_str(version)?)),
        None => Ok((reference, VersionRef::Alias(CHAMPION.to_string()))),
    }
}

impl Engine {
    /// Returns the registry of models of this environment. Nothing is read or made.
    pub fn models(&self) -> Registry {
        registry_of(&self.lake)
    }

    /// Returns the registry of the base, and the base.
    pub(crate) fn models_below(&self) -> Option<(Registry, Arc<str>)> {
        self.base.as_ref().map(|base| (registry_of(&base.place), Arc::clone(&base.env)))
    }

    /// Returns the version that a reference means: in this environment, or in its base where there is none.
    pub(crate) async fn found_model(&self, reference: &str) -> Result<FoundModel, Error> {
        let failed = |source| Error::UseModel { model: reference.to_string(), source };
        let (model, version) = parts(reference).map_err(failed)?;
        let registry = self.models();
        match (registry.get(model, &version).await, self.models_below()) {
            (Err(ModelError::UnknownModel { .. } | ModelError::UnknownVersion { .. }), Some((registry, base))) => {
                let record = registry.get(model, &version).await.map_err(failed)?;
                Ok(FoundModel { record, registry, base: Some(base) })
            }
            (found, _) => Ok(FoundModel { record: found.map_err(failed)?, registry, base: None }),
        }
    }

    /// Returns what a reference means in the base, in its own words; `None` where it has no such version.
    pub(crate) async fn model_below(&self, reference: &str) -> Option<InputVersion> {
        let (registry, _) = self.models_below()?;
        let (model, version) = parts(reference).ok()?;
        registry.get(model, &version).await.ok().map(|record| input_version(&record))
    }

    /// Returns the record of the version that a reference means: that of the champion where it names none.
    ///
    /// # Errors
    ///
    /// [`Error::UseModel`] where there is none, and errors of storage.
    pub(crate) async fn model_record(&self, reference: &str) -> Result<ModelVersion, Error> {
        Ok(self.found_model(reference).await?.record)
    }

    /// Has the library at hand that scores models of a format: that of ONNX Runtime is fetched the first time.
    ///
    /// # Errors
    ///
    /// [`Error::Compute`] where it cannot be fetched, [`Error::UseModel`] where it cannot be loaded.
    pub(super) async fn prepare_scoring(&self, format: Format, model: &str) -> Result<(), Error> {
        if format != Format::Onnx {
            return Ok(());
        }
        let folder = self.workers.wheel("onnxruntime", onnx::VERSION).await.map_err(|error| Error::Compute {
            node: model.to_string(),
            blame: None,
            source: PythonError::from(error).into(),
        })?;
        let failed = |source| Error::UseModel { model: model.to_string(), source };
        onnx::use_library(&onnx::library_of_wheel(&folder)).map_err(failed)
    }

    /// Returns the model that a reference means, ready to score, and which version that is among inputs.
    ///
    /// # Errors
    ///
    /// As [`Self::model_record`], and where its file cannot be read.
    pub(crate) async fn known_model(
        &self,
        project: &Project,
        reference: &str,
    ) -> Result<(Arc<KnownModel>, InputVersion), Error> {
        let failed = |source| Error::UseModel { model: reference.to_string(), source };
        let found = self.found_model(reference).await?;
        let version = found.input_version();
        let FoundModel { record, registry, .. } = found;
        let shape = ModelShape::of_version(&record);
        let main = record.main_artifact().map(|artifact| artifact.path.clone()).unwrap_or_default();
        let bytes = registry.artifact(&record, &main).await.map_err(failed)?;
        if !record.format.is_native() {
            let asked = Some(self.asked_model(project, reference, (&record, &registry, &shape), &bytes).await?);
            let reference = reference.to_string();
            let known = KnownModel { reference, shape, record: Some(record), scorer: None, native: None, asked };
            return Ok((Arc::new(known), version));
        }
        self.prepare_scoring(record.format, reference).await?;
        let mut scorer = Scorer::load(record.format, &bytes).map_err(failed)?;
        let names: Vec<String> = record.signature.inputs.iter().map(|input| input.name.clone()).collect();
        if !scorer.signature().inputs.iter().map(|input| &input.name).eq(&names) {
            scorer = scorer.with_inputs(&names).map_err(failed)?;
        }
        if let Some(classes) = record.classes.as_deref().filter(|classes| scorer.classes() != Some(classes)) {
            scorer = scorer.with_classes(classes.to_vec()).map_err(failed)?;
        }
        let native = match record.format {
            windlass_model::Format::Windlass => Some(NativeModel::from_json(&bytes).map_err(failed)?),
            _ => None,
        };
        let reference = reference.to_string();
        let known = KnownModel { reference, shape, record: Some(record), scorer: Some(scorer), native, asked: None };
        Ok((Arc::new(known), version))
    }

    /// Returns the model of an input, ready to score, and notes which version that is. One that does not exist
    /// is a mistake where the input stands.
    pub(crate) async fn model_input(
        &self,
        project: &Project,
        input: &Input,
    ) -> Result<(Arc<KnownModel>, InputVersion), Error> {
        self.known_model(project, &input.reference).await.map_err(|error| not_there(input, error))
    }
}

impl FoundModel {
    /// Returns whether the base has it.
    pub(crate) fn is_of_base(&self) -> bool {
        self.base.is_some()
    }

    /// Returns the word for the version among inputs.
    pub(crate) fn input_version(&self) -> InputVersion {
        let version = input_version(&self.record);
        match &self.base {
            Some(base) => InputVersion { identity: base_text(base, &version.identity), ..version },
            None => version,
        }
    }
}

/// Returns the registry of an environment.
fn registry_of(env: &Place) -> Registry {
    let place = env.join(SYSTEM_FOLDER).join(FOLDER);
    Registry::new(Arc::clone(&place.store), place.path)
}

/// Returns what tells a version's answers from those of others.
fn input_version(record: &ModelVersion) -> InputVersion {
    let content = record.main_artifact().map(|artifact| artifact.sha256.clone());
    InputVersion { identity: version_text(record.version), content, columns: None }
}

/// Returns the mistake of naming a version that does not exist; other errors stay as they are.
fn not_there(input: &Input, error: Error) -> Error {
    let Error::UseModel {
        source: source @ (ModelError::UnknownModel { .. } | ModelError::UnknownVersion { .. }), ..
    } = error
    else {
        return error;
    };
    let names_version = input.reference.contains('@');
    let message = match names_version {
        true => source.to_string(),
        false => format!("model `{}` has no version that was promoted", input.node),
    };
    let code = source.code().unwrap_or(windlass_error::Code::UNKNOWN_MODEL);
    let mistake = Diagnostic::error(code, message).at(input.location.clone());
    let mistake = match source.hint().filter(|_| names_version) {
        Some(hint) => mistake.hint(hint),
        None => mistake.hint(format!("train it first: windlass run {}", input.node)),
    };
    Error::Mistakes { diagnostics: vec![mistake] }
}
