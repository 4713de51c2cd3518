//! Keeps what was trained as a version of its model, and makes it the one that readers get.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use windlass_error::Classify;
use windlass_model::train::{InputKind, Layout, Trained};
use windlass_model::{
    AliasChange, Column, ColumnType, Error as ModelError, Expected, Format, Gate, Gating, InputVersion, Label,
    ModelFile, ModelVersion, NewVersion, Scorer, Signature, Task, Verdict, VersionRef,
};
use windlass_project::{Model, Node};

use super::train::params;
use super::{CHAMPION, CONTENTS_TAG, DEFINITION_TAG, LABEL_PARAM, ModelShape, TRAINED};
use crate::build::BuildRequest;
use crate::fingerprint::{Definition, Inputs};
use crate::{Engine, Error};

/// The file of a model of our own.
const FILE: &str = "model.json";

/// A model that was trained, with what it was made from.
pub(super) struct Made<'a> {
    pub(super) learned: Learned,
    pub(super) shape: &'a ModelShape,
    pub(super) definition: &'a Definition,
    pub(super) read: &'a Inputs,
    pub(super) fingerprint: &'a str,
    /// Whether it was trained although that had been done before.
    pub(super) anew: bool,
}

/// What training has led to: files, and what is known of them.
pub(super) struct Learned {
    pub(super) format: Format,
    pub(super) files: Vec<ModelFile>,
    pub(super) task: Task,
    /// What its file answers.
    pub(super) outputs: Vec<Column>,
    pub(super) classes: Option<Vec<Label>>,
    pub(super) metrics: BTreeMap<String, f64>,
    /// What it was trained with beside what its definition says.
    pub(super) params: BTreeMap<String, String>,
    /// Facts for those who load it elsewhere.
    pub(super) tags: BTreeMap<String, String>,
}

impl Learned {
    /// Returns what passes of ours have led to.
    pub(super) fn of_ours(trained: Trained, layout: &Layout) -> Result<Self, ModelError> {
        let bytes = trained.model.to_json()?;
        let scorer = Scorer::load(Format::Windlass, &bytes)?;
        let mut params = trained.facts;
        params.insert("evaluation_share".to_string(), layout.evaluation.to_string());
        Ok(Self {
            format: Format::Windlass,
            files: vec![ModelFile { path: FILE.to_string(), bytes: Bytes::from(bytes) }],
            task: scorer.task(),
            outputs: scorer.signature().outputs.clone(),
            classes: trained.classes,
            metrics: trained.metrics,
            params,
            tags: BTreeMap::new(),
        })
    }
}

impl Engine {
    /// Returns the version that the same training has led to before.
    pub(super) async fn version_of_training(
        &self,
        node: &Node,
        fingerprint: &str,
    ) -> Result<Option<ModelVersion>, Error> {
        let failed = |source| Error::UseModel { model: node.name.clone(), source };
        match self.models().versions(&node.name).await {
            Ok(versions) => Ok(versions.into_iter().rev().find(|version| version.fingerprint == fingerprint)),
            Err(ModelError::UnknownModel { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Registers a version.
    pub(super) async fn register_version(
        &self,
        request: &BuildRequest<'_>,
        model: &Model,
        made: Made<'_>,
    ) -> Result<ModelVersion, Error> {
        let name = &request.node.name;
        let failed = |source| Error::UseModel { model: name.clone(), source };
        let Learned { format, files, task, outputs, classes, metrics, params: facts, tags: told } = made.learned;
        let mut params = params(model);
        params.extend(facts);
        if let Some((label, _)) = &made.shape.label {
            params.insert(LABEL_PARAM.to_string(), label.clone());
        }
        let contents: BTreeMap<&String, &String> =
            made.read.iter().filter_map(|(table, version)| Some((table, version.content.as_ref()?))).collect();
        let json = |value: &serde_json::Value| value.to_string();
        let mut tags = BTreeMap::from([
            (DEFINITION_TAG.to_string(), json(&serde_json::json!(made.definition))),
            (CONTENTS_TAG.to_string(), json(&serde_json::json!(contents))),
        ]);
        tags.extend(told);
        let input = |(table, version): (&String, &crate::fingerprint::InputVersion)| InputVersion {
            table: table.clone(),
            version: version.identity.clone(),
        };
        let record = ModelVersion {
            model: name.clone(),
            version: 0,
            created: moment(request),
            task,
            format,
            artifacts: Vec::new(),
            gates: gates(model, &metrics),
            metrics,
            params,
            fingerprint: made.fingerprint.to_string(),
            inputs: made.read.iter().map(input).collect(),
            signature: Signature { inputs: inputs(made.shape), outputs },
            classes,
            run_id: Some(request.run_id.to_string()),
            tags,
        };
        let (registry, new) = (self.models(), NewVersion { record, files });
        let registered = if made.anew { registry.register_again(new).await } else { registry.register(new).await };
        let registered = registered.map_err(failed)?;
        Ok(registered.version().clone())
    }

    /// Notes that the definition has led to a version, and makes it the one that readers get, where it missed no
    /// gate. One that it had led to before stays wherever people have put the alias since.
    pub(super) async fn promote(&self, request: &BuildRequest<'_>, version: &ModelVersion) -> Result<(), Error> {
        let name = &request.node.name;
        let failed = |source| Error::UseModel { model: name.clone(), source };
        let registry = self.models();
        let aliases = registry.aliases(name).await.map_err(failed)?;
        let is_known = aliases.get(TRAINED) == Some(version.version);
        let change = |alias: &str, gating| AliasChange {
            alias: alias.to_string(),
            version: Some(version.version),
            expected: Expected::Anything,
            gating,
            at: moment(request),
            by: format!("run {}", request.run_id),
        };
        if version.missed_gate().is_none() && !(is_known && aliases.get(CHAMPION).is_some()) {
            registry.set_alias(name, &change(CHAMPION, Gating::Held)).await.map_err(failed)?;
        }
        registry.set_alias(name, &change(TRAINED, Gating::Ignored)).await.map_err(failed)?;
        Ok(())
    }

    /// Returns the version that the definition of a model has led to in the base, and the base.
    pub(super) async fn trained_below(&self, node: &Node) -> Result<Option<(ModelVersion, Arc<str>)>, Error> {
        let Some((registry, base)) = self.models_below() else { return Ok(None) };
        match registry.get(&node.name, &VersionRef::Alias(TRAINED.to_string())).await {
            Ok(version) => Ok(Some((version, base))),
            Err(ModelError::UnknownModel { .. } | ModelError::UnknownVersion { .. }) => Ok(None),
            Err(source) => Err(Error::UseModel { model: node.name.clone(), source }),
        }
    }

    /// Returns the version that a model's definition has led to; `None` where it was never trained.
    pub(super) async fn trained_version(&self, node: &Node) -> Result<Option<ModelVersion>, Error> {
        match self.models().get(&node.name, &VersionRef::Alias(TRAINED.to_string())).await {
            Ok(version) => Ok(Some(version)),
            Err(ModelError::UnknownModel { .. } | ModelError::UnknownVersion { .. }) => Ok(None),
            Err(source) => {
                tracing::debug!(model = %node.name, retry = ?source.retry(), "cannot read the version that was trained");
                Err(Error::UseModel { model: node.name.clone(), source })
            }
        }
    }

    /// Returns the version of a model that readers get; `None` where none was promoted.
    ///
    /// # Errors
    ///
    /// [`Error::UseModel`] where the registry cannot be read.
    pub async fn champion(&self, model: &str) -> Result<Option<u64>, Error> {
        let aliases = self.models().aliases(model).await;
        let aliases = aliases.map_err(|source| Error::UseModel { model: model.to_string(), source })?;
        Ok(aliases.get(CHAMPION))
    }
}

/// Holds metrics against the bounds of a model.
fn gates(model: &Model, metrics: &BTreeMap<String, f64>) -> Vec<Gate> {
    let judge = |gate: &windlass_project::Gate| {
        let observed = metrics.get(&gate.metric).copied();
        let verdict = match observed {
            Some(found) if gate.bound.holds(found) => Verdict::Pass,
            Some(_) => Verdict::Fail,
            None => Verdict::Error,
        };
        Gate { rule: gate.rule.clone(), observed, verdict }
    };
    model.gates.iter().map(judge).collect()
}

fn inputs(shape: &ModelShape) -> Vec<Column> {
    let data_type = |kind| match kind {
        InputKind::Number => ColumnType::Double,
        InputKind::Text => ColumnType::String,
    };
    shape.inputs.iter().map(|input| Column::new(&input.name, data_type(input.kind), true)).collect()
}

/// Returns when the run began, in UTC.
pub(super) fn moment(request: &BuildRequest<'_>) -> String {
    let moment = chrono::DateTime::from_timestamp_micros(request.started_us).unwrap_or_default();
    moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
