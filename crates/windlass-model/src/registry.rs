//! The registry that needs no server: versions and aliases as files below a prefix of a store.
//!
//! ```text
//! <prefix>/<model>/artifacts/<sha256>             files of versions, by their content
//! <prefix>/<model>/versions/00000000000000000003.json
//! <prefix>/<model>/aliases/00000000000000000007.json
//! ```
//!
//! A version is there once its record is, and the record is written last, with put-if-absent: of two
//! writers of one number the second takes the next. The same holds for changes of aliases. So nothing
//! is ever overwritten, and a killed process leaves at most files that no record names.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::name::{check_alias, check_model};
use crate::{
    AliasChange, AliasEntry, Aliases, Artifact, Error, Expected, Gating, ModelFile, ModelVersion, NewVersion,
    VersionRef,
};

/// Reads and writes the models of one environment.
#[derive(Debug, Clone)]
pub struct Registry {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

/// What came of registering a version.
#[derive(Debug, Clone, PartialEq)]
pub enum Registered {
    /// It is new.
    New(ModelVersion),
    /// The same training had been registered.
    Existing(ModelVersion),
}

/// What makes a version one that is registered already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Same {
    /// It has the same fingerprint.
    Training,
    /// It has the same files as well.
    Files,
}

impl Registered {
    /// Returns the version, new or not.
    pub fn version(&self) -> &ModelVersion {
        match self {
            Self::New(version) | Self::Existing(version) => version,
        }
    }
}

impl Registry {
    /// Returns the registry below a prefix, such as `prod/_windlass/models`. Nothing is read or made.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self { store, prefix }
    }

    /// Returns the names of all models, in order.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] where the store cannot be listed.
    pub async fn models(&self) -> Result<Vec<String>, Error> {
        let listed = self.store.list_with_delimiter(Some(&self.prefix)).await;
        let listed = listed.map_err(|source| failed("list", &self.prefix, source))?;
        let mut models = Vec::new();
        for folder in listed.common_prefixes {
            let name = folder.filename().unwrap_or_default().to_owned();
            // A folder without a record is what a killed process left.
            if !self.numbers(&name, "versions").await?.is_empty() {
                models.push(name);
            }
        }
        models.sort();
        Ok(models)
    }

    /// Registers a version under the next free number.
    ///
    /// A version of the same fingerprint is the same training, such as that of an earlier attempt: then
    /// nothing is registered and that one is returned.
    ///
    /// # Errors
    ///
    /// [`Error::Name`], [`Error::Store`]; nothing is registered then.
    pub async fn register(&self, new: NewVersion) -> Result<Registered, Error> {
        check_model(&new.record.model)?;
        if let Some(known) = self.trained_as(&new.record, Same::Training, 0).await? {
            return Ok(Registered::Existing(known));
        }
        self.put_version(new, Same::Training).await
    }

    /// Registers what training has led to that was done anew on purpose. Only a version of the same fingerprint
    /// whose files are the same stands for it.
    ///
    /// # Errors
    ///
    /// As [`Self::register`].
    pub async fn register_again(&self, new: NewVersion) -> Result<Registered, Error> {
        check_model(&new.record.model)?;
        self.put_version(new, Same::Files).await
    }

    async fn put_version(&self, new: NewVersion, same: Same) -> Result<Registered, Error> {
        let NewVersion { mut record, files } = new;
        record.artifacts = self.put_files(&record.model, &files).await?;
        if same == Same::Files
            && let Some(known) = self.trained_as(&record, same, 0).await?
        {
            return Ok(Registered::Existing(known));
        }
        loop {
            let last = self.numbers(&record.model, "versions").await?.last().copied().unwrap_or(0);
            record.version = last + 1;
            if self.put_new(&self.path(&record.model, "versions", record.version), &record).await? {
                tracing::info!(model = record.model, version = record.version, "model version registered");
                return Ok(Registered::New(record));
            }
            if let Some(known) = self.trained_as(&record, same, last).await? {
                return Ok(Registered::Existing(known));
            }
        }
    }

    /// Returns all versions of a model, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`] where there is none, [`Error::Store`], [`Error::Record`].
    pub async fn versions(&self, model: &str) -> Result<Vec<ModelVersion>, Error> {
        let numbers = self.known_numbers(model).await?;
        let mut versions = Vec::with_capacity(numbers.len());
        for number in numbers {
            versions.push(self.read(&self.path(model, "versions", number)).await?);
        }
        Ok(versions)
    }

    /// Returns a version.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownModel`], [`Error::UnknownVersion`], [`Error::Store`], [`Error::Record`].
    pub async fn get(&self, model: &str, version: &VersionRef) -> Result<ModelVersion, Error> {
        let numbers = self.known_numbers(model).await?;
        let number = match version {
            VersionRef::Latest => numbers.last().copied(),
            VersionRef::Number(number) => numbers.contains(number).then_some(*number),
            VersionRef::Alias(alias) => self.aliases(model).await?.get(alias),
        };
        match number {
            Some(number) => self.read(&self.path(model, "versions", number)).await,
            None => Err(self.unknown_version(model, &version.to_string(), &numbers).await?),
        }
    }

    /// Returns a file of a version, held against its hash.
    ///
    /// # Errors
    ///
    /// [`Error::NoArtifact`], [`Error::Store`], and [`Error::Artifact`] where it is not what was registered.
    pub async fn artifact(&self, version: &ModelVersion, path: &str) -> Result<Bytes, Error> {
        let (model, number) = (version.model.clone(), version.version);
        let Some(artifact) = version.artifacts.iter().find(|artifact| artifact.path == path) else {
            return Err(Error::NoArtifact { model, version: number, file: path.to_owned() });
        };
        let at = self.folder(&version.model, "artifacts").join(artifact.sha256.as_str());
        let read = async { self.store.get(&at).await?.bytes().await };
        let bytes = read.await.map_err(|source| failed("read", &at, source))?;
        if hash(&bytes) != artifact.sha256 {
            return Err(Error::Artifact { model, version: number, file: path.to_owned() });
        }
        Ok(bytes)
    }

    /// Returns what the aliases of a model point at, with their history.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], [`Error::Record`].
    pub async fn aliases(&self, model: &str) -> Result<Aliases, Error> {
        check_model(model)?;
        let mut history: Vec<AliasEntry> = Vec::new();
        for number in self.numbers(model, "aliases").await? {
            history.push(self.read(&self.path(model, "aliases", number)).await?);
        }
        let targets = history.last().map(|entry| entry.targets.clone()).unwrap_or_default();
        Ok(Aliases { targets, history })
    }

    /// Makes a change to an alias and returns what came of it; `None` where all was as wanted.
    ///
    /// # Errors
    ///
    /// [`Error::GateMissed`] where the version missed a gate and `gating` holds it, [`Error::AliasConflict`]
    /// where the alias is not where the change expects it, [`Error::UnknownVersion`], [`Error::Name`],
    /// [`Error::Store`]. Nothing is changed then.
    pub async fn set_alias(&self, model: &str, change: &AliasChange) -> Result<Option<AliasEntry>, Error> {
        check_alias(&change.alias)?;
        let mut is_forced = false;
        if let Some(number) = change.version {
            let version = self.get(model, &VersionRef::Number(number)).await?;
            if let Some(gate) = version.missed_gate() {
                is_forced = true;
                if change.gating == Gating::Held {
                    return Err(Error::GateMissed { model: model.to_owned(), version: number, gate: gate.describe() });
                }
            }
        }
        loop {
            let aliases = self.aliases(model).await?;
            let Some(entry) = aliases.entry(model, change, false, is_forced)? else { return Ok(None) };
            if self.put_new(&self.path(model, "aliases", entry.sequence), &entry).await? {
                return Ok(Some(entry));
            }
        }
    }

    /// Takes an alias back to the version before the one that it points at.
    ///
    /// Gates are not looked at: that version had the alias before.
    ///
    /// # Errors
    ///
    /// [`Error::NoEarlierVersion`], [`Error::UnknownVersion`] where there is no such alias, [`Error::Store`].
    pub async fn roll_back(&self, model: &str, alias: &str, at: &str, by: &str) -> Result<AliasEntry, Error> {
        check_alias(alias)?;
        let numbers = self.known_numbers(model).await?;
        loop {
            let aliases = self.aliases(model).await?;
            let Some(current) = aliases.get(alias) else {
                return Err(self.unknown_version(model, alias, &numbers).await?);
            };
            let Some(earlier) = aliases.earlier(alias) else {
                return Err(Error::NoEarlierVersion { model: model.to_owned(), alias: alias.to_owned() });
            };
            let change = AliasChange {
                alias: alias.to_owned(),
                version: Some(earlier),
                expected: Expected::Exactly(Some(current)),
                gating: Gating::Ignored,
                at: at.to_owned(),
                by: by.to_owned(),
            };
            // Equal neighbours are never written, so there is something to change.
            let Some(entry) = aliases.entry(model, &change, true, false)? else {
                return Err(Error::NoEarlierVersion { model: model.to_owned(), alias: alias.to_owned() });
            };
            if self.put_new(&self.path(model, "aliases", entry.sequence), &entry).await? {
                return Ok(entry);
            }
        }
    }

    /// Returns the version that stands for another among those after `after`.
    async fn trained_as(&self, new: &ModelVersion, same: Same, after: u64) -> Result<Option<ModelVersion>, Error> {
        let model = &new.model;
        for number in self.numbers(model, "versions").await?.into_iter().rev().filter(|number| *number > after) {
            let version: ModelVersion = self.read(&self.path(model, "versions", number)).await?;
            let has_files = same == Same::Training || version.artifacts == new.artifacts;
            if version.fingerprint == new.fingerprint && has_files {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// Writes files under the hashes of their contents; one that is there is written again, as it may be damaged.
    async fn put_files(&self, model: &str, files: &[ModelFile]) -> Result<Vec<Artifact>, Error> {
        let mut artifacts = Vec::with_capacity(files.len());
        for file in files {
            let sha256 = hash(&file.bytes);
            let at = self.folder(model, "artifacts").join(sha256.as_str());
            self.store.put(&at, file.bytes.clone().into()).await.map_err(|source| failed("write", &at, source))?;
            artifacts.push(Artifact { path: file.path.clone(), sha256, bytes: file.bytes.len() as u64 });
        }
        Ok(artifacts)
    }

    /// Writes a file where none is. Returns whether it is ours that is there now.
    async fn put_new<T: Serialize + Sync>(&self, at: &Path, content: &T) -> Result<bool, Error> {
        let bytes = serde_json::to_vec_pretty(content)
            .map_err(|source| Error::Record { path: at.to_string(), source })
            .map(Bytes::from)?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(at, bytes.clone().into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                // A request whose answer was lost is sent again and then finds its own file.
                let read = async { self.store.get(at).await?.bytes().await };
                Ok(read.await.map_err(|source| failed("read", at, source))? == bytes)
            }
            Err(source) => Err(failed("write", at, source)),
        }
    }

    async fn read<T: DeserializeOwned>(&self, at: &Path) -> Result<T, Error> {
        let read = async { self.store.get(at).await?.bytes().await };
        let bytes = read.await.map_err(|source| failed("read", at, source))?;
        serde_json::from_slice(&bytes).map_err(|source| Error::Record { path: at.to_string(), source })
    }

    /// Returns the numbers of files in a folder of a model, in order.
    async fn numbers(&self, model: &str, folder: &str) -> Result<BTreeSet<u64>, Error> {
        let folder = self.folder(model, folder);
        let listed: Result<Vec<_>, _> = self.store.list(Some(&folder)).try_collect().await;
        let listed = listed.map_err(|source| failed("list", &folder, source))?;
        let number = |at: &Path| at.filename()?.strip_suffix(".json")?.parse().ok();
        Ok(listed.iter().filter_map(|file| number(&file.location)).collect())
    }

    /// Returns the versions of a model that must be there.
    async fn known_numbers(&self, model: &str) -> Result<BTreeSet<u64>, Error> {
        check_model(model)?;
        let numbers = self.numbers(model, "versions").await?;
        if numbers.is_empty() {
            return Err(Error::UnknownModel { model: model.to_owned(), known: self.models().await? });
        }
        Ok(numbers)
    }

    async fn unknown_version(&self, model: &str, wanted: &str, numbers: &BTreeSet<u64>) -> Result<Error, Error> {
        let aliases = self.aliases(model).await?.targets.into_keys();
        let known = aliases.chain(numbers.iter().rev().map(u64::to_string)).collect();
        Ok(Error::UnknownVersion { model: model.to_owned(), wanted: wanted.to_owned(), known })
    }

    fn folder(&self, model: &str, folder: &str) -> Path {
        self.prefix.clone().join(model).join(folder)
    }

    fn path(&self, model: &str, folder: &str, number: u64) -> Path {
        self.folder(model, folder).join(format!("{number:020}.json"))
    }
}

/// Returns the hash of bytes, in hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn failed(operation: &'static str, at: &Path, source: object_store::Error) -> Error {
    Error::Store { operation, path: at.to_string(), source }
}

#[cfg(test)]
mod tests;
