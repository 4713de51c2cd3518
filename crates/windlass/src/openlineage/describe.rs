//! What each node of a run reads and writes.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value, json};
use windlass_engine::Lineage;
use windlass_project::{InputPart, ModelPlace, Node, NodeKind, Project, error_table};
use windlass_runner::{NodeOutcome, OutcomeKind};

use super::Dataset;
use super::datasets::{Datasets, is_dataset, place};
use super::events::{Job, facet, job_type};
use crate::wire::WireCheck;

/// A node, as all its events tell of it.
pub(super) struct Described {
    pub(super) job: Job,
    /// The job that looks at the table with its checks; `None` where that is all there is to do.
    pub(super) checks_job: Option<Job>,
    pub(super) inputs: Vec<Dataset>,
    /// Its table, then its error table if it has one; or the model.
    pub(super) outputs: Vec<Dataset>,
    /// Whether it writes rows.
    pub(super) has_rows: bool,
    /// What its checks look at.
    checked: Dataset,
    pub(super) language: &'static str,
}

/// Returns the nodes of which something is told. Views are part of those that read them.
pub(super) fn nodes(project: &Project, lineage: &Lineage, run: &Job) -> HashMap<String, Described> {
    let datasets = Datasets { project, lineage };
    let nodes = project.nodes.values().filter(|node| node.is_model() || lineage.tables.contains_key(&node.name));
    let nodes = nodes.filter(|node| node.is_model() || is_dataset(project, &node.name));
    nodes.map(|node| (node.name.clone(), describe(node, &datasets, run))).collect()
}

fn describe(node: &Node, datasets: &Datasets<'_>, run: &Job) -> Described {
    let Datasets { project, lineage } = *datasets;
    let checks_name = format!("{}.checks", node.name);
    let checks_job = run.part(&checks_name, job_type("TEST"));
    let checked = datasets.table(&node.name, None);
    if let NodeKind::Source(_) = node.kind {
        let (inputs, outputs) = (vec![checked.clone()], Vec::new());
        let (job, checks_job, has_rows) = (checks_job, None, true);
        return Described { job, checks_job, inputs, outputs, has_rows, checked, language: "SQL" };
    }
    let read = read(project, node);
    let models = read.models.iter().map(|model| datasets.model(model));
    if node.is_model() {
        let inputs = match node.imported().map(|imported| &imported.place) {
            Some(ModelPlace::File { path, .. }) => vec![place(path)],
            Some(ModelPlace::Class(class)) => class.artifacts.values().map(|artifact| place(&artifact.path)).collect(),
            Some(ModelPlace::Mlflow(model)) => vec![json!({"namespace": "mlflow", "name": model.reference})],
            None => read.tables.iter().map(|table| datasets.table(table, None)).chain(models).collect(),
        };
        let (job, outputs) = (run.part(&node.name, code(node)), vec![datasets.model(&node.name)]);
        let (checks_job, has_rows) = (Some(checks_job), false);
        let language = if is_python(node) { "PYTHON" } else { "SQL" };
        return Described { job, checks_job, inputs, outputs, has_rows, checked, language };
    }
    let kept = |table: &str| is_dataset(project, table);
    let result = lineage.through(&node.name, &kept);
    let mut outputs = vec![datasets.table(&node.name, Some(&result))];
    let errors = error_table(&node.name);
    if node.has_error_table() && lineage.tables.contains_key(&errors) {
        outputs.push(datasets.table(&errors, Some(&lineage.through(&errors, &kept))));
    }
    let inputs = match &node.kind {
        NodeKind::Seed(seed) => vec![place(&seed.path.to_string_lossy())],
        _ => result.reads.iter().map(|read| datasets.table(read, None)).chain(models).collect(),
    };
    Described {
        job: run.part(&node.name, code(node)),
        checks_job: Some(checks_job),
        inputs,
        outputs,
        has_rows: true,
        checked,
        language: if is_python(node) { "PYTHON" } else { "SQL" },
    }
}

/// Returns whether it is Python that computes or trains a node.
fn is_python(node: &Node) -> bool {
    node.python().is_some() || node.python_model().is_some()
}

/// What a node reads, looking through views.
#[derive(Default)]
struct Read {
    tables: BTreeSet<String>,
    /// References to models.
    models: BTreeSet<String>,
}

fn read(project: &Project, node: &Node) -> Read {
    let (mut read, mut seen, mut waiting) = (Read::default(), BTreeSet::new(), vec![node]);
    while let Some(next) = waiting.pop() {
        for input in next.inputs() {
            let view = project.nodes.get(&input.node).filter(|node| node.kind_name() == "view");
            match (input.part, view) {
                (InputPart::Model, _) => {
                    read.models.insert(input.reference.clone());
                }
                (_, Some(view)) => waiting.extend(seen.insert(&view.name).then_some(view)),
                (_, None) => {
                    read.tables.insert(input.table());
                }
            }
        }
    }
    read
}

fn code(node: &Node) -> Map<String, Value> {
    let query = node.transform().filter(|_| !is_python(node));
    let mut facets = job_type(if query.is_some() { "QUERY" } else { "TASK" });
    if let Some(transform) = query {
        let body = json!({"query": transform.sql.trim(), "dialect": "datafusion"});
        facets.insert("sql".to_owned(), facet("1-1-0/SQLJobFacet", body));
    } else if is_python(node) {
        let body = json!({"language": "python", "sourceCode": node.file.text});
        facets.insert("sourceCode".to_owned(), facet("1-0-1/SourceCodeJobFacet", body));
    }
    facets
}

/// Adds what was written to the outputs of a node.
pub(super) fn with_outcome(outputs: &mut [Dataset], has_rows: bool, outcome: &NodeOutcome) {
    if !matches!(outcome.kind, OutcomeKind::Published | OutcomeKind::Replayed) {
        return;
    }
    let statistics = |body: Value| json!({"outputStatistics": facet("1-0-2/OutputStatisticsOutputDatasetFacet", body)});
    let [result, errors @ ..] = outputs else { return };
    if has_rows {
        result["outputFacets"] =
            statistics(json!({"rowCount": outcome.rows, "size": outcome.bytes, "fileCount": outcome.files}));
    }
    if let Some(version) = outcome.version {
        let body = json!({"datasetVersion": version.to_string()});
        result["facets"]["version"] = facet("1-0-1/DatasetVersionDatasetFacet", body);
    }
    if let (Some(errors), Some(failed)) = (errors.first_mut(), &outcome.errors) {
        errors["outputFacets"] = statistics(json!({"rowCount": failed.rows}));
    }
}

/// Returns the table with what its checks have found. A check that has no answer, or was not looked at to
/// the end, is no assertion.
pub(super) fn checked(described: &Described, checks: &[WireCheck]) -> Dataset {
    let answered = checks.iter().filter(|check| ["pass", "warn", "fail", "error"].contains(&check.status));
    let assertions = answered.map(|check| {
        let mut assertion = json!({
            "assertion": check.kind,
            "success": check.status == "pass",
            "severity": check.severity,
        });
        if let Some(column) = &check.column {
            assertion["column"] = column.as_str().into();
        }
        assertion
    });
    let body = json!({"assertions": assertions.collect::<Vec<_>>()});
    let mut dataset = described.checked.clone();
    dataset["inputFacets"] = json!({"dataQualityAssertions": facet("1-0-2/DataQualityAssertionsDatasetFacet", body)});
    dataset
}
