//! Models at an MLflow server: logged, registered, pointed at, and fetched.

use std::collections::BTreeMap;

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::tracking::cut;
use crate::registry::hash;
use crate::{Error, ModelRef, ModelVersion, VersionRef};

/// More files than this are no model.
const MOST_FILES: usize = 10_000;

/// A model at the server that is not registered yet.
#[derive(Debug, Clone)]
pub(super) struct LoggedModel {
    pub(super) id: String,
    pub(super) artifact_uri: String,
}

/// A version in the server's registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerVersion {
    /// The model.
    pub model: String,
    /// The version.
    pub version: String,
    /// The run that it came of.
    pub run_id: Option<String>,
    /// Where its files stand.
    pub artifact_uri: String,
}

/// The files of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// The version that the reference meant.
    pub version: ServerVersion,
    /// Files by path, in order.
    pub files: Vec<(String, Bytes)>,
}

impl Downloaded {
    /// Returns what tells these files from others, hashed.
    pub fn digest(&self) -> String {
        let hashes: BTreeMap<&str, String> =
            self.files.iter().map(|(path, bytes)| (path.as_str(), hash(bytes))).collect();
        hash(json!(hashes).to_string().as_bytes())
    }
}

impl Client {
    /// Makes a model that is linked to a run.
    pub(super) async fn create_logged_model(
        &self,
        experiment: &str,
        run: &str,
        record: &ModelVersion,
    ) -> Result<LoggedModel, Error> {
        let param = |(key, value): (&String, &String)| json!({"key": cut(key, 250), "value": cut(value, 6000)});
        let params: Vec<Value> = record.params.iter().take(100).map(param).collect();
        let tags =
            [("windlass.fingerprint", record.fingerprint.clone()), ("windlass.version", record.version.to_string())];
        let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        let body = json!({
            "experiment_id": experiment, "name": record.model, "source_run_id": run, "params": params, "tags": tags,
        });
        let made = self.post("mlflow/logged-models", &body).await?;
        self.as_logged(&made)
    }

    /// Returns a model.
    pub(super) async fn logged_model(&self, id: &str) -> Result<LoggedModel, Error> {
        self.as_logged(&self.get(&format!("mlflow/logged-models/{id}"), &[]).await?)
    }

    /// Says that a model's files are there.
    pub(super) async fn finish_logged_model(&self, id: &str, run: &str) -> Result<(), Error> {
        self.post("mlflow/runs/outputs", &json!({"run_id": run, "models": [{"model_id": id, "step": 0}]})).await?;
        let body = json!({"model_id": id, "status": "LOGGED_MODEL_READY"});
        self.send_json(Method::PATCH, &format!("mlflow/logged-models/{id}"), &body).await.map(drop)
    }

    /// Registers a model as the next version of its name; returns the number.
    pub(super) async fn register(&self, record: &ModelVersion, id: &str, run: &str) -> Result<String, Error> {
        match self.post("mlflow/registered-models/create", &json!({"name": record.model})).await {
            Err(error) if !error.has_code("RESOURCE_ALREADY_EXISTS") => return Err(error),
            _ => {}
        }
        let tags = json!([
            {"key": "windlass.version", "value": record.version.to_string()},
            {"key": "windlass.fingerprint", "value": record.fingerprint},
            {"key": "windlass.gates", "value": if record.missed_gate().is_some() { "missed" } else { "met" }},
        ]);
        let body = json!({
            "name": record.model, "source": format!("models:/{id}"), "model_id": id, "run_id": run, "tags": tags,
        });
        let made = self.post("mlflow/model-versions/create", &body).await?;
        self.text(made, "/model_version/version")
    }

    /// Points an alias at a version of the server's registry.
    ///
    /// # Errors
    ///
    /// [`Error::Mlflow`].
    pub async fn set_alias(&self, model: &str, alias: &str, version: &str) -> Result<(), Error> {
        let body = json!({"name": model, "alias": alias, "version": version});
        self.post("mlflow/registered-models/alias", &body).await.map(drop)
    }

    /// Returns the version at the server that was logged from one of ours; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Mlflow`].
    pub async fn version_of(&self, record: &ModelVersion) -> Result<Option<String>, Error> {
        let filter = format!("name='{}'", record.model);
        let found = self.get("mlflow/model-versions/search", &[("filter", &filter), ("max_results", "1000")]).await?;
        let ours = |version: &&Value| {
            let tags = version["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
            tags.iter().any(|tag| tag["key"] == "windlass.fingerprint" && tag["value"] == record.fingerprint.as_str())
        };
        let versions = found["model_versions"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(versions.iter().find(ours).and_then(|version| version["version"].as_str().map(str::to_owned)))
    }

    /// Returns the version that a reference means in the server's registry.
    ///
    /// # Errors
    ///
    /// [`Error::Mlflow`], also where there is none.
    pub async fn version(&self, reference: &ModelRef) -> Result<ServerVersion, Error> {
        let name = reference.model.as_str();
        let found = match &reference.version {
            VersionRef::Alias(alias) => {
                self.get("mlflow/registered-models/alias", &[("name", name), ("alias", alias)]).await?
            }
            VersionRef::Number(version) => {
                let version = version.to_string();
                self.get("mlflow/model-versions/get", &[("name", name), ("version", &version)]).await?
            }
            VersionRef::Latest => {
                let filter = format!("name='{name}'");
                let query = [("filter", filter.as_str()), ("max_results", "1"), ("order_by", "version_number DESC")];
                let found = self.get("mlflow/model-versions/search", &query).await?;
                json!({"model_version": found["model_versions"][0]})
            }
        };
        let version = self.text(found.clone(), "/model_version/version")?;
        let place = [("name", name), ("version", version.as_str())];
        let place = self.get("mlflow/model-versions/get-download-uri", &place).await?;
        let mut artifact_uri = self.text(place, "/artifact_uri")?;
        if let Some(id) = artifact_uri.strip_prefix("models:/").filter(|id| id.starts_with("m-")) {
            artifact_uri = self.logged_model(id).await?.artifact_uri;
        }
        let run_id = found["model_version"]["run_id"].as_str().filter(|run| !run.is_empty()).map(str::to_owned);
        Ok(ServerVersion { model: name.to_owned(), version, run_id, artifact_uri })
    }

    /// Fetches the files of a model.
    ///
    /// # Errors
    ///
    /// [`Error::Mlflow`], also where the server keeps files elsewhere and does not serve them.
    pub async fn download(&self, reference: &ModelRef) -> Result<Downloaded, Error> {
        let version = self.version(reference).await?;
        self.files_of(version).await
    }

    /// Fetches the files of a version.
    ///
    /// # Errors
    ///
    /// As [`Client::download`].
    pub async fn files_of(&self, version: ServerVersion) -> Result<Downloaded, Error> {
        let root = self.proxied(&version.artifact_uri)?.trim_end_matches('/').to_owned();
        let (mut files, mut open) = (Vec::new(), vec![String::new()]);
        while let Some(folder) = open.pop() {
            let path = if folder.is_empty() { root.clone() } else { format!("{root}/{folder}") };
            let listed = self.get("mlflow-artifacts/artifacts", &[("path", &path)]).await?;
            for file in listed["files"].as_array().map(Vec::as_slice).unwrap_or_default() {
                let name = file["path"].as_str().unwrap_or_default();
                let name = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
                if name.is_empty() || name.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
                    return Err(self.wrong("artifacts", format!("it lists a file `{name}`")));
                }
                match file["is_dir"].as_bool() {
                    Some(true) => open.push(name),
                    _ => files.push(name),
                }
            }
            if files.len() + open.len() > MOST_FILES {
                return Err(self.wrong("artifacts", format!("the model has more than {MOST_FILES} files")));
            }
        }
        files.sort();
        let mut fetched = Vec::with_capacity(files.len());
        for name in files {
            let bytes = self.bytes(&format!("mlflow-artifacts/artifacts/{root}/{name}")).await?;
            fetched.push((name, bytes));
        }
        Ok(Downloaded { version, files: fetched })
    }

    fn as_logged(&self, answer: &Value) -> Result<LoggedModel, Error> {
        let id = self.text(answer.clone(), "/model/info/model_id")?;
        Ok(LoggedModel { id, artifact_uri: self.text(answer.clone(), "/model/info/artifact_uri")? })
    }
}
