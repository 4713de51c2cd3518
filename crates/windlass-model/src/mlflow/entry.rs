//! What is to be logged about one run, and how far that has come.
//!
//! An entry is a file of the [`super::Queue`]. Each step that the server must not see twice is noted in it
//! before the next one begins, so that an entry that is sent again goes on where it stopped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::client::Client;
use crate::{Error, ModelVersion, Registry};

/// A tag that tells an entry's run from others.
const ENTRY_TAG: &str = "windlass.entry";

/// A run to log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What tells it from all others.
    pub id: String,
    /// The experiment; it is made where there is none.
    pub experiment: String,
    /// The run's name.
    pub name: String,
    /// When it began, in milliseconds since 1970.
    pub started_ms: i64,
    /// When it ended.
    pub ended_ms: i64,
    /// How it ended.
    pub status: Status,
    /// What it was told, by name.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// What it measured; numbers that are none are left out.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// Facts about it.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Tables that it read.
    #[serde(default)]
    pub datasets: Vec<Dataset>,
    /// Small files of text.
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
    /// The version of a model that came of it.
    #[serde(default)]
    pub model: Option<Logged>,
    /// How far it has come.
    #[serde(default)]
    pub progress: Progress,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Well.
    Finished,
    /// With a failure.
    Failed,
    /// It was stopped.
    Killed,
}

/// A table that a run read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// Its name.
    pub name: String,
    /// Its version; more than 36 characters are cut off.
    pub digest: String,
    /// Where it stands.
    pub source: String,
    /// What it was for, such as `training`.
    pub context: String,
}

/// A small file of text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its path within the run.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// A version of a model to log, whose files the registry has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// The version.
    pub record: ModelVersion,
    /// Aliases to point at it.
    pub aliases: Vec<String>,
}

/// How far an entry has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The run at the server.
    pub run_id: Option<String>,
    /// The model at the server.
    pub model_id: Option<String>,
    /// Its version in the server's registry.
    pub version: Option<String>,
}

/// What entries are sent with.
pub(super) struct Sender<'a> {
    pub(super) client: &'a Client,
    /// Has the files of models.
    pub(super) registry: &'a Registry,
    /// Called with every step that must not be made again.
    pub(super) noted: &'a (dyn Fn(&Entry) -> Result<(), Error> + Sync),
}

impl Entry {
    /// Sends what is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Mlflow`], and those of the registry for the files of a model.
    pub(super) async fn send(&mut self, sender: &Sender<'_>) -> Result<(), Error> {
        let Sender { client, noted, .. } = sender;
        let experiment = client.experiment(&self.experiment).await?;
        let run = match &self.progress.run_id {
            Some(run) => client.run(run).await?,
            None => match client.run_with_tag(&experiment, ENTRY_TAG, &self.id).await? {
                Some(run) => run,
                None => {
                    let mut tags = self.tags.clone();
                    tags.insert(ENTRY_TAG.to_owned(), self.id.clone());
                    client.create_run(&experiment, &self.name, self.started_ms, &tags).await?
                }
            },
        };
        self.progress.run_id = Some(run.id.clone());
        noted(self)?;
        client.log(&run.id, &self.params, &self.metrics, self.ended_ms).await?;
        client.log_datasets(&run.id, &self.datasets).await?;
        for artifact in &self.artifacts {
            client.put_artifact(&run.artifact_uri, &artifact.path, artifact.text.clone().into()).await?;
        }
        if let Some(logged) = self.model.clone() {
            self.send_model(sender, &experiment, &logged).await?;
        }
        client.end_run(&run.id, self.status, self.ended_ms).await
    }

    async fn send_model(&mut self, sender: &Sender<'_>, experiment: &str, logged: &Logged) -> Result<(), Error> {
        let Sender { client, registry, noted } = sender;
        let record = &logged.record;
        let run_id = self.progress.run_id.clone().unwrap_or_default();
        let model = match &self.progress.model_id {
            Some(id) => client.logged_model(id).await?,
            None => client.create_logged_model(experiment, &run_id, record).await?,
        };
        self.progress.model_id = Some(model.id.clone());
        noted(self)?;
        if self.progress.version.is_none() {
            let mut files = Vec::with_capacity(record.artifacts.len());
            for artifact in &record.artifacts {
                files.push((artifact.path.clone(), registry.artifact(record, &artifact.path).await?));
            }
            for (path, bytes) in super::folder::files(record, files, &model.id, &run_id, &model.artifact_uri)? {
                client.put_artifact(&model.artifact_uri, &path, bytes).await?;
            }
            client.finish_logged_model(&model.id, &run_id).await?;
            let version = client.register(record, &model.id, &run_id).await?;
            self.progress.version = Some(version);
            noted(self)?;
        }
        let version = self.progress.version.clone().unwrap_or_default();
        for alias in &logged.aliases {
            client.set_alias(&record.model, alias, &version).await?;
        }
        Ok(())
    }
}
