//! Models that were trained elsewhere: their file becomes a version when it is new.

use std::collections::BTreeMap;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use windlass_error::{Classify, Code, Diagnostic};
use windlass_model::registry::hash;
use windlass_model::{Format, Label, ModelFile, ModelVersion, NewVersion, Scorer, Task};
use windlass_project::{ImportedModel, ModelFormat, Node};

use super::register::moment;
use super::{LABEL_PARAM, ModelShape};
use crate::build::{BuildRequest, Built, Phase};
use crate::reuse::{Decision, Reason, ReasonKind, Standing};
use crate::{Engine, Error};

/// The file of a model, read.
pub(crate) struct ImportedFile {
    bytes: Bytes,
    scorer: Scorer,
    /// What it reads and answers.
    pub(crate) shape: ModelShape,
    fingerprint: String,
}

impl Engine {
    /// Reads the file of a model.
    ///
    /// # Errors
    ///
    /// Errors of storage, and a mistake at the path where the file is no such model or cannot be scored with.
    pub(crate) async fn read_import(&self, node: &Node, imported: &ImportedModel) -> Result<ImportedFile, Error> {
        let place = self.storage.open(&imported.path)?;
        let failed = |source| Error::List { location: imported.path.clone(), source };
        let bytes = place.store.get(&place.path).await.map_err(failed)?.bytes().await.map_err(failed)?;
        let mistake = |error: windlass_model::Error| {
            let code = error.code().unwrap_or(Code::MODEL_FILE);
            let mistake = Diagnostic::error(code, error.to_string()).at(imported.location.clone()).node(&node.name);
            let mistake = match error.hint() {
                Some(hint) => mistake.hint(hint),
                None => mistake,
            };
            Error::Mistakes { diagnostics: vec![mistake] }
        };
        self.prepare_scoring(format(imported.format), &node.name).await?;
        let mut scorer = Scorer::load(format(imported.format), &bytes).map_err(mistake)?;
        if !imported.inputs.is_empty() {
            scorer = scorer.with_inputs(&imported.inputs).map_err(mistake)?;
        }
        if !imported.classes.is_empty() {
            let classes = imported.classes.iter().map(|class| label(class)).collect();
            scorer = scorer.with_classes(classes).map_err(mistake)?;
        }
        if scorer.task() == Task::Other {
            let message = format!("what `{}` answers is not known", node.name);
            let mistake = Diagnostic::error(Code::MODEL_FILE, message).at(imported.location.clone()).node(&node.name);
            let mistake =
                mistake.hint("an ONNX model is scored with as a classifier: list its `classes:`, in its order");
            return Err(Error::Mistakes { diagnostics: vec![mistake] });
        }
        let shape = ModelShape::new(scorer.task(), scorer.signature(), scorer.classes(), imported.label.as_deref());
        let said = format!("{:?} {:?} {:?} {:?}", imported.format, imported.label, imported.inputs, imported.classes);
        let fingerprint = hash(format!("{} {said}", hash(&bytes)).as_bytes());
        Ok(ImportedFile { bytes, scorer, shape, fingerprint })
    }

    /// Registers the file of a model as a version, where it is new. `None` when the progress forbids to.
    pub(crate) async fn import(
        &self,
        request: &BuildRequest<'_>,
        imported: &ImportedModel,
    ) -> Result<Option<Built>, Error> {
        let node = request.node;
        request.progress.phase(Phase::Staging);
        let file = self.read_import(node, imported).await?;
        request.progress.phase(Phase::Staged);
        if !request.progress.begin_commit() {
            return Ok(None);
        }
        let (name, files) = (imported.path.rsplit('/').next().unwrap_or("model"), file.bytes.clone());
        let mut params = BTreeMap::from([("path".to_string(), imported.path.clone())]);
        params.extend(imported.label.clone().map(|label| (LABEL_PARAM.to_string(), label)));
        let record = ModelVersion {
            model: node.name.clone(),
            version: 0,
            created: moment(request),
            task: file.shape.task,
            format: format(imported.format),
            artifacts: Vec::new(),
            metrics: BTreeMap::new(),
            params,
            gates: Vec::new(),
            fingerprint: file.fingerprint.clone(),
            inputs: Vec::new(),
            signature: file.scorer.signature().clone(),
            classes: file.scorer.classes().map(<[Label]>::to_vec),
            run_id: Some(request.run_id.to_string()),
            tags: BTreeMap::new(),
        };
        let files = vec![ModelFile { path: name.to_string(), bytes: files }];
        let registered = self.models().register(NewVersion { record, files }).await;
        let registered = registered.map_err(|source| Error::UseModel { model: node.name.clone(), source })?;
        let version = registered.version();
        self.promote(request, version).await?;
        request.progress.phase(Phase::Committed);
        Ok(Some(Built {
            version: version.version,
            rows: 0,
            bytes: file.bytes.len() as u64,
            files: 1,
            fingerprint: file.fingerprint,
            failures: None,
            nulls: None,
            checks: Vec::new(),
        }))
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
            let name = imported.path.rsplit('/').next().unwrap_or(&imported.path);
            Decision::Build(Reason::new(ReasonKind::Input, format!("{name} or what is said of it changed")))
        })
    }
}

fn format(format: ModelFormat) -> Format {
    match format {
        ModelFormat::Lightgbm => Format::Lightgbm,
        ModelFormat::Xgboost => Format::Xgboost,
        ModelFormat::Onnx => Format::Onnx,
    }
}

/// Returns the class that a text stands for.
fn label(text: &str) -> Label {
    match text {
        "true" | "false" => Label::Boolean(text == "true"),
        _ => text.parse().map_or_else(|_| Label::String(text.to_string()), Label::Long),
    }
}
