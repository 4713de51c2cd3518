//! Logs what a run trained to MLflow, where `MLFLOW_TRACKING_URI` or `tracking:` of the target names a server.
//!
//! Each model that a run trained is an entry of the queue below the state folder; all that waits there is
//! sent when the run is over. So a server that is away costs a moment and nothing else.
//!
//! Must stay true: no run fails because of MLflow, and neither password nor token is ever printed.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use windlass_engine::Scored;
use windlass_model::mlflow::{Artifact, Client, Dataset, Entry, Logged, Progress, Queue, REFERENCE, Status};
use windlass_model::{ModelVersion, Registry, VersionRef};
use windlass_project::{Project, Target};

use crate::open::VERSION;
use crate::{human, report};

/// The folder of the queue, below the state folder.
const FOLDER: &str = "tracking";

/// A server, and the experiment that runs belong to.
pub(crate) struct Tracking {
    client: Client,
    experiment: Option<String>,
}

/// A table that was scored with models.
pub(crate) struct ScoredTable {
    /// Its name.
    pub(crate) table: String,
    /// Rows that were scored.
    pub(crate) rows: u64,
    /// Rows that failed, where it has an error table.
    pub(crate) failed: Option<u64>,
    /// What it was computed from.
    pub(crate) used: Scored,
}

/// What is logged about a run.
pub(crate) struct Tracked<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// Has the versions that were trained.
    pub(crate) registry: Registry,
    /// Tables that were scored.
    pub(crate) scored: Vec<ScoredTable>,
    /// The run.
    pub(crate) run_id: &'a str,
    /// When it began.
    pub(crate) started_at: DateTime<Utc>,
    /// When it ended.
    pub(crate) ended_at: DateTime<Utc>,
    /// Who started it, where that is known.
    pub(crate) user: Option<String>,
}

/// Returns the server that is to know: that of the environment, or of the target; `None` where nobody wants it.
///
/// # Errors
///
/// A text for people about a variable that cannot be used. It shows no secret.
pub(crate) fn tracking(environment: &BTreeMap<String, String>, target: &Target) -> Result<Option<Tracking>, String> {
    let client = client(environment, target).map_err(|error| error.to_string())?;
    let experiment = environment.get("MLFLOW_EXPERIMENT_NAME").map(|name| name.trim().to_owned());
    let experiment = experiment.filter(|name| !name.is_empty());
    Ok(client.map(|client| Tracking { client, experiment }))
}

/// Returns the MLflow server of a target; a variable of the environment wins over what the target says.
pub(crate) fn client(
    environment: &BTreeMap<String, String>,
    target: &Target,
) -> Result<Option<Client>, windlass_model::Error> {
    Client::of_environment(environment, target.tracking.as_deref())
}

impl Tracking {
    /// Logs what the run trained and whatever waits from earlier ones, for at most so long. Returns what to tell.
    pub(crate) async fn log(&self, tracked: &Tracked<'_>, patience: Duration) -> Vec<String> {
        let mut notes = Vec::new();
        let queue = Queue::new(tracked.project.target.state.join(FOLDER));
        match self.entries(tracked).await {
            Ok(entries) => {
                let scored = tracked.scored.iter().map(|table| self.scoring(tracked, table));
                for entry in entries.into_iter().chain(scored) {
                    if let Err(error) = queue.put(&entry) {
                        notes.push(format!("not logged to MLflow: {}", report::in_a_line(&error)));
                    }
                }
            }
            Err(error) => notes.push(format!("not logged to MLflow: {}", report::in_a_line(&error))),
        }
        let delivery = queue.deliver(&self.client, &tracked.registry);
        let failure = match tokio::time::timeout(patience, delivery).await {
            Ok(Ok(delivered)) => {
                for (file, error) in &delivered.refused {
                    tracing::warn!(%error, "refused by mlflow");
                    notes.push(format!("MLflow refuses a run, kept as {file}: {}", report::in_a_line(error)));
                }
                delivered.failure.map(|error| report::in_a_line(&error))
            }
            Ok(Err(error)) => Some(report::in_a_line(&error)),
            Err(_) => Some(format!("{} takes too long", self.client.shown())),
        };
        if let Some(why) = failure {
            tracing::warn!(error = why, "mlflow not reached");
            let waiting = queue.waiting().unwrap_or_default() as u64;
            let them = if waiting == 1 { "it" } else { "them" };
            notes.push(format!("{} for MLflow, the next run sends {them}: {why}", waits(waiting)));
        }
        notes
    }

    /// Returns an entry for each model that the run trained.
    async fn entries(&self, tracked: &Tracked<'_>) -> Result<Vec<Entry>, windlass_model::Error> {
        let mut entries = Vec::new();
        for model in tracked.registry.models().await? {
            let record = tracked.registry.get(&model, &VersionRef::Latest).await?;
            // What comes from a server is there already.
            let is_theirs = record.params.contains_key(REFERENCE);
            if record.run_id.as_deref() == Some(tracked.run_id) && !is_theirs {
                let aliases = tracked.registry.aliases(&model).await?;
                let aliases = aliases.of(record.version).into_iter().map(str::to_owned).collect();
                entries.push(self.entry(tracked, record, aliases));
            }
        }
        Ok(entries)
    }

    /// Returns the entry of a table that was scored.
    fn scoring(&self, tracked: &Tracked<'_>, scored: &ScoredTable) -> Entry {
        let project = tracked.project;
        let mut params = BTreeMap::from([("table".to_owned(), scored.table.clone())]);
        params.extend(scored.used.models.iter().map(|model| (format!("model.{}", model.name), model.version.clone())));
        // Counts of rows stay far below 2^52.
        let failed = scored.failed.map(|failed| ("rows_failed".to_owned(), failed as f64));
        let metrics = failed.into_iter().chain([("rows_scored".to_owned(), scored.rows as f64)]).collect();
        let models: Vec<&str> = scored.used.models.iter().map(|model| model.name.as_str()).collect();
        let mut tags = tags(tracked);
        tags.insert("windlass.scores".to_owned(), models.join(", "));
        let tables = scored.used.tables.iter();
        Entry {
            id: format!("{}-score-{}", tracked.run_id, scored.table),
            experiment: self.experiment.clone().unwrap_or_else(|| project.name.clone()),
            name: format!("score {}", scored.table),
            started_ms: tracked.started_at.timestamp_millis(),
            ended_ms: tracked.ended_at.timestamp_millis(),
            status: Status::Finished,
            params,
            metrics,
            tags,
            datasets: tables.map(|table| dataset(project, &table.name, &table.version, "scoring")).collect(),
            artifacts: Vec::new(),
            model: None,
            progress: Progress::default(),
        }
    }

    fn entry(&self, tracked: &Tracked<'_>, record: ModelVersion, aliases: Vec<String>) -> Entry {
        let project = tracked.project;
        let mut tags = tags(tracked);
        tags.extend([
            ("windlass.model".to_owned(), record.model.clone()),
            ("windlass.version".to_owned(), record.version.to_string()),
            ("windlass.fingerprint".to_owned(), record.fingerprint.clone()),
            ("windlass.gates".to_owned(), if record.missed_gate().is_some() { "missed" } else { "met" }.to_owned()),
        ]);
        let dataset = |input: &windlass_model::InputVersion| dataset(project, &input.table, &input.version, "training");
        let mut params = record.params.clone();
        params.insert("model_format".to_owned(), record.format.name().to_owned());
        Entry {
            id: format!("{}-{}", tracked.run_id, record.model),
            experiment: self.experiment.clone().unwrap_or_else(|| project.name.clone()),
            name: format!("{} {}", record.model, record.version),
            started_ms: tracked.started_at.timestamp_millis(),
            ended_ms: tracked.ended_at.timestamp_millis(),
            status: Status::Finished,
            params,
            metrics: record.metrics.clone(),
            tags,
            datasets: record.inputs.iter().map(dataset).collect(),
            artifacts: vec![Artifact {
                path: "windlass/version.json".to_owned(),
                text: serde_json::to_string_pretty(&record).unwrap_or_default(),
            }],
            model: Some(Logged { record, aliases }),
            progress: Progress::default(),
        }
    }
}

/// Returns what is said of every run that is logged.
fn tags(tracked: &Tracked<'_>) -> BTreeMap<String, String> {
    let (project, target) = (tracked.project, &tracked.project.target);
    let mut tags = BTreeMap::from([
        ("mlflow.source.name".to_owned(), project.name.clone()),
        ("mlflow.source.type".to_owned(), "PROJECT".to_owned()),
        ("windlass.run_id".to_owned(), tracked.run_id.to_owned()),
        ("windlass.project".to_owned(), project.name.clone()),
        ("windlass.target".to_owned(), target.name.clone()),
        ("windlass.env".to_owned(), target.env.clone()),
        ("windlass.release".to_owned(), VERSION.to_owned()),
    ]);
    tags.extend(tracked.user.clone().map(|user| ("mlflow.user".to_owned(), user)));
    tags
}

/// Returns a table of the lake that was read.
fn dataset(project: &Project, table: &str, version: &str, context: &str) -> Dataset {
    let target = &project.target;
    Dataset {
        name: table.to_owned(),
        digest: version.to_owned(),
        source: format!("{}/{}/{table}", target.lake.trim_end_matches('/'), target.env),
        context: context.to_owned(),
    }
}

/// Returns how many entries wait, in words.
fn waits(count: u64) -> String {
    let verb = if count == 1 { "waits" } else { "wait" };
    format!("{} {verb}", human::counted(count, "run"))
}
