//! Events and facets as OpenLineage writes them.

use serde_json::{Map, Value, json};
use windlass_project::Project;
use windlass_runner::RunId;

use super::Dataset;
use crate::open::VERSION;

const EVENT_SCHEMA: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// What happens to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transition {
    Start,
    Complete,
    Fail,
    Abort,
}

/// Something that runs again and again.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) facets: Map<String, Value>,
}

/// Something that happened to a run of a job.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) transition: Transition,
    pub(super) time: String,
    pub(super) run_id: RunId,
    /// The run and job that it is part of.
    pub(super) parent: Option<(RunId, Job)>,
    pub(super) job: Job,
    /// Why it failed, and in which language.
    pub(super) error: Option<(String, &'static str)>,
    pub(super) inputs: Vec<Dataset>,
    pub(super) outputs: Vec<Dataset>,
}

impl Job {
    /// Returns the job of whole runs. One project in two environments writes two sets of tables, which
    /// makes it two jobs.
    pub(super) fn of_run(namespace: String, project: &Project) -> Self {
        let name = format!("{}.{}", project.name, project.target.env);
        Self { namespace, name, facets: job_type("DAG") }
    }

    /// Returns a job that is part of this one.
    pub(super) fn part(&self, name: &str, facets: Map<String, Value>) -> Self {
        Self { namespace: self.namespace.clone(), name: format!("{}.{name}", self.name), facets }
    }
}

impl Event {
    /// Returns the event as text.
    pub(super) fn to_json(&self) -> String {
        let mut run = Map::new();
        if let Some((run_id, job)) = &self.parent {
            let parent = json!({
                "run": {"runId": run_id.as_str()},
                "job": {"namespace": job.namespace, "name": job.name},
            });
            run.insert("parent".to_owned(), facet("1-1-0/ParentRunFacet", parent));
        }
        let engine = json!({"name": "Windlass", "version": VERSION, "openlineageAdapterVersion": VERSION});
        run.insert("processing_engine".to_owned(), facet("1-1-1/ProcessingEngineRunFacet", engine));
        if let Some((message, language)) = &self.error {
            let error = json!({"message": message, "programmingLanguage": language});
            run.insert("errorMessage".to_owned(), facet("1-0-1/ErrorMessageRunFacet", error));
        }
        json!({
            "eventType": self.transition.as_str(),
            "eventTime": self.time,
            "run": {"runId": self.run_id.as_str(), "facets": run},
            "job": {"namespace": self.job.namespace, "name": self.job.name, "facets": self.job.facets},
            "inputs": self.inputs,
            "outputs": self.outputs,
            "producer": producer(),
            "schemaURL": EVENT_SCHEMA,
        })
        .to_string()
    }
}

impl Transition {
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "START",
            Self::Complete => "COMPLETE",
            Self::Fail => "FAIL",
            Self::Abort => "ABORT",
        }
    }
}

/// Returns a facet; `schema` is its version and name, such as `1-1-0/ParentRunFacet`.
pub(super) fn facet(schema: &str, body: Value) -> Value {
    let (_, name) = schema.split_once('/').unwrap_or(("", schema));
    let mut facet = Map::new();
    facet.insert("_producer".to_owned(), producer().into());
    let url = format!("https://openlineage.io/spec/facets/{schema}.json#/$defs/{name}");
    facet.insert("_schemaURL".to_owned(), url.into());
    if let Value::Object(body) = body {
        facet.extend(body);
    }
    Value::Object(facet)
}

/// Returns the facets of a job of this type.
pub(super) fn job_type(job_type: &str) -> Map<String, Value> {
    let body = json!({"processingType": "BATCH", "integration": "WINDLASS", "jobType": job_type});
    Map::from_iter([("jobType".to_owned(), facet("2-0-3/JobTypeJobFacet", body))])
}

fn producer() -> String {
    format!("urn:windlass:{VERSION}")
}
