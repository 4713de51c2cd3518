//! Promotion of models: versions that promoted tables read become versions of the base, and the aliases that these tables
//! name point at them.
//!
//! Numbers of versions are those of each registry, so only what is named by an alias or as the newest can be promoted. The
//! version says what it was trained from in the words of the base, so the next run there finds nothing to train.
//!
//! Must stay true: a version is registered before any alias points at it, and both can be repeated.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use windlass_model::{
    AliasChange, Error as ModelError, Expected, Gating, InputVersion as TrainedOn, ModelFile, ModelVersion, NewVersion,
    VersionRef,
};
use windlass_project::{InputPart, Node, Project};

use super::promote::{Below, Obstacle, Promotable, PromoteRequest, Promoted};
use crate::build::Phase;
use crate::fingerprint::{fingerprint, read_through};
use crate::models::{TRAINED, definition_of, inputs_of, parts};
use crate::{Engine, Error};

/// The tag of a version that says which one of another environment it is.
const PROMOTED_TAG: &str = "windlass.promoted";

/// A version of an environment that the base is to have.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OwnVersion {
    /// The version, as the environment has it.
    record: ModelVersion,
    /// The alias that is to point at it; `None` where it is the newest for its readers.
    alias: Option<String>,
    /// Whether readers of the base get the same files by that alias.
    is_same: bool,
}

/// What a promotion does with a model.
#[derive(Debug, Clone, PartialEq)]
pub struct PromotableModel {
    versions: Vec<OwnVersion>,
}

impl PromotableModel {
    /// Returns the aliases that point at its versions afterwards.
    pub fn aliases(&self) -> Vec<String> {
        self.versions.iter().filter_map(|version| version.alias.clone()).collect()
    }

    /// Returns the records of its versions.
    pub(super) fn records(&self) -> impl Iterator<Item = &ModelVersion> {
        self.versions.iter().map(|version| &version.record)
    }
}

impl Engine {
    /// Returns how tables that the environment has of its own name models, by model.
    pub(super) async fn models_named(
        &self,
        project: &Project,
        nodes: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
        let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in nodes.iter().filter_map(|name| project.nodes.get(name)).filter(|node| node.is_published()) {
            let inputs = read_through(project, node).into_iter().flat_map(Node::inputs);
            let mut models = inputs.filter(|input| input.part == InputPart::Model).peekable();
            if models.peek().is_none() || self.open_own(&node.name).await?.is_none() {
                continue;
            }
            for input in models {
                named.entry(input.node.clone()).or_default().insert(input.reference.clone());
            }
        }
        Ok(named)
    }

    /// Returns the versions of a model that some references mean here and not in the base; `None` where there are none.
    pub(super) async fn promotable_model(
        &self,
        name: &str,
        references: &BTreeSet<String>,
    ) -> Result<Option<Promotable>, Error> {
        let mut versions = Vec::new();
        for reference in references {
            let failed = |source| Error::UseModel { model: reference.clone(), source };
            let alias = match parts(reference).map_err(failed)?.1 {
                VersionRef::Number(_) => continue,
                VersionRef::Latest => None,
                VersionRef::Alias(alias) => Some(alias),
            };
            let found = match self.found_model(reference).await {
                Err(Error::UseModel {
                    source: ModelError::UnknownModel { .. } | ModelError::UnknownVersion { .. },
                    ..
                }) => continue,
                found => found?,
            };
            if found.is_of_base() {
                continue;
            }
            let below = self.model_below(reference).await;
            let is_same = below.is_some_and(|below| below.is_same_content(&found.input_version()));
            versions.push(OwnVersion { record: found.record, alias, is_same });
        }
        let Some(newest) = versions.iter().map(|version| &version.record).max_by_key(|record| record.version) else {
            return Ok(None);
        };
        let below = match versions.iter().all(|version| version.is_same) {
            true => Below::Same,
            false => Below::Other,
        };
        let gate = versions.iter().filter(|version| !version.is_same).find_map(|version| version.record.missed_gate());
        let obstacle = gate.map(|gate| Obstacle {
            text: format!("a version missed a gate: {}", gate.describe()),
            may_be_ignored: false,
        });
        let (version, bytes) = (newest.version, newest.artifacts.iter().map(|file| file.bytes).sum());
        let (table, model) = (name.to_string(), Some(PromotableModel { versions }));
        Ok(Some(Promotable { table, version, rows: 0, bytes, below, obstacle, model }))
    }

    /// Registers versions of a model in the base and lets the aliases point at them. `None` when the progress forbids to
    /// publish.
    ///
    /// # Errors
    ///
    /// [`Error::UseModel`] where a registry cannot be read or written; what is registered by then stays.
    pub(super) async fn promote_model(
        &self,
        request: &PromoteRequest<'_>,
        model: &PromotableModel,
    ) -> Result<Option<Promoted>, Error> {
        let name = request.found.table.as_str();
        let failed = |source| Error::UseModel { model: name.to_string(), source };
        let Some((below, _)) = self.models_below() else {
            return Err(Error::NotPublished { table: name.to_string() });
        };
        let registry = self.models();
        let trained = registry.aliases(name).await.map_err(failed)?.get(TRAINED);
        request.progress.phase(Phase::Staged);
        if !request.progress.begin_commit() {
            return Ok(None);
        }
        let mut done = Promoted { version: 0, rows: 0, bytes: 0, files: 0 };
        for own in model.versions.iter().filter(|version| !version.is_same) {
            let new = self.version_below(&own.record).await?;
            done.files += new.files.len() as u64;
            done.bytes += new.files.iter().map(|file| file.bytes.len() as u64).sum::<u64>();
            let registered = below.register_again(new).await.map_err(failed)?;
            let version = registered.version().version;
            let is_trained = (trained == Some(own.record.version)).then(|| (TRAINED.to_string(), Gating::Ignored));
            for (alias, gating) in own.alias.iter().map(|alias| (alias.clone(), Gating::Held)).chain(is_trained) {
                let change = AliasChange {
                    alias,
                    version: Some(version),
                    expected: Expected::Anything,
                    gating,
                    at: moment(request.sequence),
                    by: format!("run {}", request.run_id),
                };
                below.set_alias(name, &change).await.map_err(failed)?;
            }
            done.version = done.version.max(version);
        }
        request.progress.phase(Phase::Committed);
        Ok(Some(done))
    }

    /// Returns a version as the base is to have it: with its files, and made from what the base has.
    async fn version_below(&self, record: &ModelVersion) -> Result<NewVersion, Error> {
        let failed = |source| Error::UseModel { model: record.model.clone(), source };
        let registry = self.models();
        let mut files = Vec::with_capacity(record.artifacts.len());
        for artifact in &record.artifacts {
            let bytes = registry.artifact(record, &artifact.path).await.map_err(failed)?;
            files.push(ModelFile { path: artifact.path.clone(), bytes });
        }
        let read = self.inputs_in_base(&inputs_of(record)).await?;
        let trained_on = |(table, version): (&String, &crate::fingerprint::InputVersion)| TrainedOn {
            table: table.clone(),
            version: version.identity.clone(),
        };
        let (env, mut new) = (self.env(), record.clone());
        if let Some(definition) = definition_of(record) {
            new.fingerprint = fingerprint(&definition, &read);
            new.inputs = read.iter().map(trained_on).collect();
        }
        new.tags.insert(PROMOTED_TAG.to_string(), format!("{env} version {}", record.version));
        Ok(NewVersion { record: new, files })
    }
}

fn moment(at_ms: i64) -> String {
    let moment: DateTime<Utc> = DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}
