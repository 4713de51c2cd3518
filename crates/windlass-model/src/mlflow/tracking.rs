//! Runs at an MLflow server: made once, filled in parts that it takes, and ended.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::client::Client;
use super::entry::{Dataset, Status};
use crate::Error;

/// What one call may carry.
const MOST_PARAMS: usize = 100;
const MOST_METRICS: usize = 1000;
/// The longest values, in characters.
const LONGEST_KEY: usize = 250;
const LONGEST_PARAM: usize = 6000;
const LONGEST_TAG: usize = 8000;
const LONGEST_DIGEST: usize = 36;

/// Where the files of a server that keeps them itself stand.
const PROXIED: &str = "mlflow-artifacts:";

/// A run at the server.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) id: String,
    /// Where its files stand.
    pub(super) artifact_uri: String,
}

impl Client {
    /// Returns the id of an experiment, which is made where there is none.
    pub(super) async fn experiment(&self, name: &str) -> Result<String, Error> {
        let query = [("experiment_name", name)];
        let find = || self.get("mlflow/experiments/get-by-name", &query);
        let found = match find().await {
            Err(error) if error.has_code("RESOURCE_DOES_NOT_EXIST") => {
                match self.post("mlflow/experiments/create", &json!({"name": name})).await {
                    // Somebody else was faster.
                    Err(error) if error.has_code("RESOURCE_ALREADY_EXISTS") => find().await?,
                    created => return self.text(created?, "/experiment_id"),
                }
            }
            found => found?,
        };
        self.text(found, "/experiment/experiment_id")
    }

    /// Returns the run with a tag.
    pub(super) async fn run_with_tag(&self, experiment: &str, tag: &str, value: &str) -> Result<Option<Run>, Error> {
        let filter = format!("tags.`{tag}` = '{value}'");
        let body = json!({"experiment_ids": [experiment], "filter": filter, "max_results": 1});
        let found = self.post("mlflow/runs/search", &body).await?;
        found["runs"].get(0).map(|run| self.as_run(&run["info"])).transpose()
    }

    /// Returns a run.
    pub(super) async fn run(&self, id: &str) -> Result<Run, Error> {
        let found = self.get("mlflow/runs/get", &[("run_id", id)]).await?;
        self.as_run(&found["run"]["info"])
    }

    /// Makes a run.
    pub(super) async fn create_run(
        &self,
        experiment: &str,
        name: &str,
        started_ms: i64,
        tags: &BTreeMap<String, String>,
    ) -> Result<Run, Error> {
        let tags: Vec<Value> = tags
            .iter()
            .map(|(key, value)| json!({"key": cut(key, LONGEST_KEY), "value": cut(value, LONGEST_TAG)}))
            .collect();
        let body = json!({"experiment_id": experiment, "run_name": name, "start_time": started_ms, "tags": tags});
        let made = self.post("mlflow/runs/create", &body).await?;
        self.as_run(&made["run"]["info"])
    }

    /// Logs parameters and metrics. Sent again they change nothing.
    pub(super) async fn log(
        &self,
        run: &str,
        params: &BTreeMap<String, String>,
        metrics: &BTreeMap<String, f64>,
        at_ms: i64,
    ) -> Result<(), Error> {
        let param = |(key, value): (&String, &String)| json!({"key": cut(key, LONGEST_KEY), "value": cut(value, LONGEST_PARAM)});
        let params: Vec<Value> = params.iter().map(param).collect();
        for params in params.chunks(MOST_PARAMS) {
            self.post("mlflow/runs/log-batch", &json!({"run_id": run, "params": params})).await?;
        }
        let metric = |(key, value): (&String, &f64)| json!({"key": metric_name(key), "value": value, "timestamp": at_ms, "step": 0});
        let metrics: Vec<Value> = metrics.iter().filter(|(_, value)| value.is_finite()).map(metric).collect();
        for metrics in metrics.chunks(MOST_METRICS) {
            self.post("mlflow/runs/log-batch", &json!({"run_id": run, "metrics": metrics})).await?;
        }
        Ok(())
    }

    /// Logs the tables that a run read.
    pub(super) async fn log_datasets(&self, run: &str, datasets: &[Dataset]) -> Result<(), Error> {
        if datasets.is_empty() {
            return Ok(());
        }
        let dataset = |dataset: &Dataset| {
            json!({
                "tags": [{"key": "mlflow.data.context", "value": dataset.context}],
                "dataset": {
                    "name": dataset.name,
                    "digest": cut(&dataset.digest, LONGEST_DIGEST),
                    "source_type": "delta_table",
                    "source": json!({"uri": dataset.source, "version": dataset.digest}).to_string(),
                },
            })
        };
        let datasets: Vec<Value> = datasets.iter().map(dataset).collect();
        self.post("mlflow/runs/log-inputs", &json!({"run_id": run, "datasets": datasets})).await.map(drop)
    }

    /// Ends a run.
    pub(super) async fn end_run(&self, run: &str, status: Status, ended_ms: i64) -> Result<(), Error> {
        let body = json!({"run_id": run, "status": status, "end_time": ended_ms});
        self.post("mlflow/runs/update", &body).await.map(drop)
    }

    /// Puts a file below a place that the server keeps itself.
    pub(super) async fn put_artifact(&self, place: &str, path: &str, bytes: Bytes) -> Result<(), Error> {
        self.put(&format!("mlflow-artifacts/artifacts/{}/{path}", self.proxied(place)?), bytes).await
    }

    /// Returns the path of a place below the server's own; fails where files stand elsewhere.
    pub(super) fn proxied<'p>(&self, place: &'p str) -> Result<&'p str, Error> {
        let path = place.strip_prefix(PROXIED).map(|path| path.trim_start_matches('/'));
        // `mlflow-artifacts://host/path` names the server too, which we know.
        let path = path.map(|path| match place.starts_with("mlflow-artifacts://") {
            true => path.split_once('/').map_or("", |(_, path)| path),
            false => path,
        });
        path.ok_or_else(|| {
            self.wrong("artifacts", format!("it keeps files at `{place}` and does not serve them itself"))
        })
    }

    pub(super) fn wrong(&self, call: &str, why: String) -> Error {
        Error::Mlflow { server: self.shown(), call: call.to_owned(), why, code: None, is_passing: false }
    }

    /// Returns a text of an answer.
    pub(super) fn text(&self, answer: Value, pointer: &str) -> Result<String, Error> {
        let text = answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| self.wrong(pointer, format!("its answer has no `{pointer}`")))
    }

    fn as_run(&self, info: &Value) -> Result<Run, Error> {
        let id = self.text(info.clone(), "/run_id")?;
        Ok(Run { id, artifact_uri: self.text(info.clone(), "/artifact_uri")? })
    }
}

/// Returns a metric's name with no letters but those that MLflow takes.
fn metric_name(name: &str) -> String {
    let fits = |letter: char| letter.is_alphanumeric() || "_-. /:".contains(letter);
    cut(&name.replace(|letter| !fits(letter), "_"), LONGEST_KEY)
}

pub(super) fn cut(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}
