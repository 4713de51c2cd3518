//! A real MLflow server: what is logged, how its own client loads it, and what happens while it is away.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::memory::InMemory;
use serde_json::Value;
use windlass_model::mlflow::{
    Artifact, Client, Credentials, Dataset, Entry, Logged, Progress, Queue, Status, read_flavor,
};
use windlass_model::{
    Encoding, Estimator, Feature, Format, InputVersion, Label, ModelFile, ModelVersion, NativeModel, NewVersion,
    Registry, Scorer, Task, Verdict,
};

use crate::python;

/// A server that ends with the test.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(folder: &Path, port: u16) -> Self {
        let mut command = python::python();
        command.args(["-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1", "--port", &port.to_string()]);
        command.args(["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./artifacts"]);
        command.current_dir(folder).env("MLFLOW_DISABLE_TELEMETRY", "true");
        // The processes that it starts end with it only if they have a group of their own.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { process, port };
        let patience = Instant::now() + Duration::from_secs(120);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < patience, "MLflow does not start");
            std::thread::sleep(Duration::from_millis(200));
        }
        server
    }

    fn uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = format!("-{}", self.process.id());
        let _ = std::process::Command::new("kill").args(["-TERM", "--", &group]).status();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn record(model: &str, format: Format, scorer: &Scorer) -> ModelVersion {
    ModelVersion {
        model: model.to_owned(),
        version: 0,
        created: "2026-11-27T12:00:00.000Z".to_owned(),
        task: scorer.task(),
        format,
        artifacts: Vec::new(),
        metrics: BTreeMap::from([("roc_auc".to_owned(), 0.81)]),
        params: BTreeMap::from([("l2_reg".to_owned(), "1".to_owned())]),
        gates: vec![windlass_model::Gate {
            rule: "roc_auc >= 0.8".to_owned(),
            observed: Some(0.81),
            verdict: Verdict::Pass,
        }],
        fingerprint: format!("fingerprint of {model}"),
        inputs: vec![InputVersion { table: "flights".to_owned(), version: "3".to_owned() }],
        signature: scorer.signature().clone(),
        classes: None,
        run_id: Some("run-1".to_owned()),
        tags: BTreeMap::new(),
    }
}

async fn registered(registry: &Registry, model: &str, format: Format, file: &str, bytes: Vec<u8>) -> ModelVersion {
    let record = record(model, format, &Scorer::load(format, &bytes).unwrap());
    let files = vec![ModelFile { path: file.to_owned(), bytes: bytes.into() }];
    registry.register(NewVersion { record, files }).await.unwrap().version().clone()
}

fn entry(record: &ModelVersion, at: i64) -> Entry {
    Entry {
        id: format!("entry-{}", record.model),
        experiment: "flights".to_owned(),
        name: format!("train {}", record.model),
        started_ms: 1_764_000_000_000 + at,
        ended_ms: 1_764_000_005_000 + at,
        status: Status::Finished,
        // More than one call may carry.
        params: (0..250).map(|at| (format!("p{at}"), "x".repeat(at))).collect(),
        metrics: record.metrics.clone(),
        tags: BTreeMap::from([("windlass.run_id".to_owned(), "run-1".to_owned())]),
        datasets: vec![Dataset {
            name: "flights".to_owned(),
            digest: "3".to_owned(),
            source: "s3://lake/prod/flights".to_owned(),
            context: "training".to_owned(),
        }],
        artifacts: vec![Artifact { path: "notes/plan.txt".to_owned(), text: "how".to_owned() }],
        model: Some(Logged { record: record.clone(), aliases: vec!["champion".to_owned()] }),
        progress: Progress::default(),
    }
}

fn logistic() -> Vec<u8> {
    let number = Encoding::Number { fill: Some(2.0), mean: 1.0, scale: 2.0 };
    let texts = Encoding::OneHot { categories: vec!["x".to_owned(), "y".to_owned()], has_null: true };
    let features =
        vec![Feature { column: "a".to_owned(), encoding: number }, Feature { column: "c".to_owned(), encoding: texts }];
    let classes = vec![Label::String("no".to_owned()), Label::String("yes".to_owned())];
    let weights = vec![vec![1.5, 0.5, -0.5, 0.25]];
    let estimator = Estimator::Logistic { classes, intercepts: vec![0.1], weights };
    NativeModel::try_new(features, estimator).unwrap().to_json().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_and_models_are_logged_and_loaded_by_mlflow() {
    let folder = tempfile::tempdir().unwrap();
    let trained: Value =
        serde_json::from_str(&python::script("boosters.py", &[folder.path().to_str().unwrap()])).unwrap();
    let registry = Registry::new(Arc::new(InMemory::new()), "prod/_windlass/models".into());
    let queue = Queue::new(folder.path().join("queue"));
    let port = free_port();
    let client = Client::new(&format!("http://127.0.0.1:{port}"), Credentials::None).unwrap();

    // The server is away: all of it waits.
    let file = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let mut records = vec![registered(&registry, "ours", Format::Windlass, "model.json", logistic()).await];
    records.push(registered(&registry, "light", Format::Lightgbm, "model.lgb", file("model.lgb")).await);
    records.push(registered(&registry, "extreme", Format::Xgboost, "model.ubj", file("model.ubj")).await);
    for (at, record) in records.iter().enumerate() {
        queue.put(&entry(record, at as i64)).unwrap();
    }
    let delivered = queue.deliver(&client, &registry).await.unwrap();
    assert_eq!((delivered.sent, delivered.waiting, delivered.refused.len()), (0, 3, 0));
    let failure = delivered.failure.unwrap().to_string();
    assert!(failure.contains("failed at MLflow, http://127.0.0.1:") && failure.contains("refused"), "{failure}");

    // It is there again: all of it is sent, and once.
    let server = Server::start(folder.path(), port);
    let delivered = queue.deliver(&client, &registry).await.unwrap();
    assert_eq!((delivered.sent, delivered.waiting), (3, 0), "{delivered:?}");
    queue.put(&entry(&records[0], 0)).unwrap();
    assert_eq!(queue.deliver(&client, &registry).await.unwrap().sent, 1);
    let seen: Value = serde_json::from_str(&python::script("mlflow_loads.py", &[&server.uri(), "flights"])).unwrap();
    assert_eq!(seen["runs"], serde_json::json!(["train extreme", "train light", "train ours"]));
    assert_eq!(seen["params"], 250);
    assert_eq!(seen["metric"], 0.81);
    assert_eq!(seen["datasets"], serde_json::json!(["flights@3 for training"]));
    assert_eq!(seen["artifact"], "how");
    let p = |x: f64| 1.0 / (1.0 + (-x).exp());
    let expected = [p(0.1 + 1.5 * -0.5 + 0.5), p(0.1 + 1.5 * 0.5 - 0.5), p(0.1 + 1.5 * 1.0 + 0.25)];
    let found: Vec<f64> = seen["ours"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?} {expected:?}");
    assert_eq!(seen["light"], trained["light"]);
    assert_eq!(seen["extreme"], trained["extreme"]);

    // What MLflow has can be fetched, and is what it was.
    let downloaded = client.download(&"light@champion".parse().unwrap()).await.unwrap();
    let read = |path: &str| downloaded.files.iter().find(|(name, _)| name == path).unwrap().1.clone();
    let flavor = read_flavor(std::str::from_utf8(&read("MLmodel")).unwrap()).unwrap();
    assert_eq!((flavor.format, flavor.main.as_deref()), (Format::Lightgbm, Some("model.lgb")));
    assert_eq!(flavor.signature.unwrap().inputs, records[1].signature.inputs);
    assert_eq!(read("model.lgb"), file("model.lgb"));
    assert_eq!(Scorer::load(flavor.format, &read("model.lgb")).unwrap().task(), Task::Classification);

    // What it refuses for good does not stand in the way.
    let mut refused = entry(&records[0], -1);
    refused.id = "refused".to_owned();
    refused.model = None;
    refused.experiment = "x".repeat(600);
    queue.put(&refused).unwrap();
    let mut fine = entry(&records[1], 10);
    fine.id = "fine".to_owned();
    fine.model = None;
    queue.put(&fine).unwrap();
    let delivered = queue.deliver(&client, &registry).await.unwrap();
    assert_eq!((delivered.sent, delivered.waiting, delivered.refused.len()), (1, 0, 1), "{delivered:?}");
}
