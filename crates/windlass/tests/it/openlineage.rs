//! Events about a run, in a file and over HTTP: what they hold, and that no run waits for them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use expect_test::expect;
use serde_json::Value;

use crate::support::Project;

const SHOP: &str = "
-- targets.yml --
targets:
  local: {lake: ./lake, state: ./.windlass, threads: 1, memory: 512MiB, env: prod, openlineage: out/events.jsonl}
-- sources.yml --
sources:
  raw:
    tables:
      orders:
        path: data/orders*.csv
        columns: {id: {type: bigint, description: what is ordered, checks: [not_null]}}
-- data/orders.csv --
id,customer,amount
1,ada,10.5
2,grace,7
-- transforms/paid.sql --
{{ config(materialized='view') }}
select customer, amount * 1.2 as gross from {{ source('raw', 'orders') }} where amount > 0
-- transforms/spending.sql --
select customer, sum(gross) as spent from {{ ref('paid') }} group by customer
-- transforms/transforms.yml --
transforms:
  spending:
    columns: {customer: {checks: [not_null]}, spent: {checks: [{range: {max: 10}, severity: warn}]}}
";

/// Returns the events of a file, each held against the specification.
fn events(project: &Project, path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(project.path(path)).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    events.iter().for_each(assert_valid);
    events
}

/// Looks for everything that OpenLineage 2-0-2 requires of a run event and of the facets that we send.
fn assert_valid(event: &Value) {
    let text = |value: &Value, what: &str| {
        assert!(value.as_str().is_some_and(|text| !text.is_empty()), "{what} of {event:#}");
        value.as_str().unwrap().to_owned()
    };
    let kind = text(&event["eventType"], "eventType");
    assert!(["START", "COMPLETE", "FAIL", "ABORT"].contains(&kind.as_str()), "{kind}");
    let time = text(&event["eventTime"], "eventTime");
    assert!(time.len() == 24 && time.ends_with('Z') && &time[10..11] == "T", "{time}");
    let run_id = text(&event["run"]["runId"], "runId");
    assert_eq!(run_id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{run_id}");
    assert!(run_id.chars().all(|c| c.is_ascii_hexdigit() || c == '-'), "{run_id}");
    let producer = text(&event["producer"], "producer");
    assert!(producer.starts_with("urn:windlass:"), "{producer}");
    let schema = text(&event["schemaURL"], "schemaURL");
    assert_eq!(schema, "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent");
    text(&event["job"]["namespace"], "job.namespace");
    text(&event["job"]["name"], "job.name");
    let mut facets = vec![&event["run"]["facets"], &event["job"]["facets"]];
    for side in ["inputs", "outputs"] {
        for dataset in event[side].as_array().unwrap() {
            text(&dataset["namespace"], "namespace");
            text(&dataset["name"], "name");
            facets.extend([&dataset["facets"], &dataset["inputFacets"], &dataset["outputFacets"]]);
        }
    }
    for (name, facet) in facets.into_iter().filter_map(Value::as_object).flatten() {
        text(&facet["_producer"], name);
        assert!(text(&facet["_schemaURL"], name).starts_with("https://openlineage.io/spec/facets/"), "{name}");
        let required: &[&str] = match name.as_str() {
            "parent" => &["run", "job"],
            "processing_engine" => &["version"],
            "errorMessage" => &["message", "programmingLanguage"],
            "jobType" => &["processingType", "integration"],
            "sql" => &["query"],
            "sourceCode" => &["language", "sourceCode"],
            "schema" | "columnLineage" => &["fields"],
            "dataSource" => &["name", "uri"],
            "version" => &["datasetVersion"],
            "outputStatistics" => &["rowCount"],
            "dataQualityAssertions" => &["assertions"],
            other => panic!("what is `{other}`?"),
        };
        required.iter().for_each(|key| assert!(!facet[*key].is_null(), "{name} lacks {key}"));
    }
}

fn told(events: &[Value]) -> Vec<String> {
    let name = |event: &Value| event["job"]["name"].as_str().unwrap().to_owned();
    events.iter().map(|event| format!("{} {}", event["eventType"].as_str().unwrap(), name(event))).collect()
}

fn find<'a>(events: &'a [Value], kind: &str, job: &str) -> &'a Value {
    events.iter().find(|event| event["eventType"] == kind && event["job"]["name"] == job).unwrap()
}

#[test]
fn a_run_is_told_to_a_file() {
    let project = Project::new(SHOP);
    assert_eq!(project.windlass(["run"]).code, 0);
    let events = events(&project, "out/events.jsonl");
    expect![[r#"
        START test.prod
        START test.prod.raw.orders.checks
        COMPLETE test.prod.raw.orders.checks
        START test.prod.spending
        COMPLETE test.prod.spending
        START test.prod.spending.checks
        COMPLETE test.prod.spending.checks
        COMPLETE test.prod"#]]
    .assert_eq(&told(&events).join("\n"));
    let complete = find(&events, "COMPLETE", "test.prod.spending");
    let start = find(&events, "START", "test.prod.spending");
    assert_eq!(start["run"]["runId"], complete["run"]["runId"]);
    let run = find(&events, "START", "test.prod");
    let parent = &complete["run"]["facets"]["parent"];
    assert_eq!((&parent["run"]["runId"], &parent["job"]["name"]), (&run["run"]["runId"], &"test.prod".into()));
    let shown = project.json(["runs", "show"]);
    assert_eq!(run["run"]["runId"], shown["run"]["run_id"], "the run has the id that Windlass knows it by");
    let folder = project.path("").canonicalize().unwrap();
    let plain = |value: &Value| serde_json::to_string_pretty(value).unwrap().replace(folder.to_str().unwrap(), "[DIR]");
    expect![[r#"
        [
          {
            "namespace": "file",
            "name": "[DIR]/data/orders*.csv",
            "facets": {
              "dataSource": {
                "_producer": "urn:windlass:0.1.0",
                "_schemaURL": "https://openlineage.io/spec/facets/1-0-1/DatasourceDatasetFacet.json#/$defs/DatasourceDatasetFacet",
                "name": "file",
                "uri": "[DIR]/data/orders*.csv"
              },
              "schema": {
                "_producer": "urn:windlass:0.1.0",
                "_schemaURL": "https://openlineage.io/spec/facets/1-2-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet",
                "fields": [
                  {
                    "name": "id",
                    "type": "bigint",
                    "description": "what is ordered"
                  },
                  {
                    "name": "customer",
                    "type": "varchar"
                  },
                  {
                    "name": "amount",
                    "type": "double"
                  }
                ]
              }
            }
          }
        ]"#]].assert_eq(&plain(&complete["inputs"]));
    let outputs = plain(&complete["outputs"]);
    let outputs: String =
        outputs.lines().filter(|line| !line.contains("\"size\"")).map(|line| format!("{line}\n")).collect();
    expect![[r#"
        [
          {
            "namespace": "file",
            "name": "[DIR]/lake/prod/spending",
            "facets": {
              "dataSource": {
                "_producer": "urn:windlass:0.1.0",
                "_schemaURL": "https://openlineage.io/spec/facets/1-0-1/DatasourceDatasetFacet.json#/$defs/DatasourceDatasetFacet",
                "name": "file",
                "uri": "[DIR]/lake/prod/spending"
              },
              "schema": {
                "_producer": "urn:windlass:0.1.0",
                "_schemaURL": "https://openlineage.io/spec/facets/1-2-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet",
                "fields": [
                  {
                    "name": "customer",
                    "type": "varchar"
                  },
                  {
                    "name": "spent",
                    "type": "double"
                  }
                ]
              },
              "columnLineage": {
                "_producer": "urn:windlass:0.1.0",
                "_schemaURL": "https://openlineage.io/spec/facets/1-2-0/ColumnLineageDatasetFacet.json#/$defs/ColumnLineageDatasetFacet",
                "fields": {
                  "customer": {
                    "inputFields": [
                      {
                        "namespace": "file",
                        "name": "[DIR]/data/orders*.csv",
                        "field": "customer",
                        "transformations": [
                          {
                            "type": "DIRECT",
                            "subtype": "IDENTITY",
                            "description": "",
                            "masking": false
                          }
                        ]
                      }
                    ]
                  },
                  "spent": {
                    "inputFields": [
                      {
                        "namespace": "file",
                        "name": "[DIR]/data/orders*.csv",
                        "field": "amount",
                        "transformations": [
                          {
                            "type": "DIRECT",
                            "subtype": "AGGREGATION",
                            "description": "",
                            "masking": false
                          }
                        ]
                      }
                    ]
                  }
                },
                "dataset": [
                  {
                    "namespace": "file",
                    "name": "[DIR]/data/orders*.csv",
                    "field": "amount",
                    "transformations": [
                      {
                        "type": "INDIRECT",
                        "subtype": "FILTER",
                        "description": "",
                        "masking": false
                      }
                    ]
                  },
                  {
                    "namespace": "file",
                    "name": "[DIR]/data/orders*.csv",
                    "field": "customer",
                    "transformations": [
                      {
                        "type": "INDIRECT",
                        "subtype": "GROUP_BY",
                        "description": "",
                        "masking": false
                      }
                    ]
                  }
                ]
              },
              "version": {
                "_producer": "urn:windlass:0.1.0",
                "_schemaURL": "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
                "datasetVersion": "0"
              }
            },
            "outputFacets": {
              "outputStatistics": {
                "_producer": "urn:windlass:0.1.0",
                "_schemaURL": "https://openlineage.io/spec/facets/1-0-2/OutputStatisticsOutputDatasetFacet.json#/$defs/OutputStatisticsOutputDatasetFacet",
                "rowCount": 2,
                "fileCount": 1
              }
            }
          }
        ]
    "#]].assert_eq(&outputs);
    assert!(complete["job"]["facets"]["sql"]["query"].as_str().unwrap().starts_with("select customer, sum(gross)"));
    let checks = &find(&events, "COMPLETE", "test.prod.spending.checks")["inputs"][0];
    expect![[r#"
        [
          {
            "assertion": "not_null",
            "success": true,
            "severity": "error",
            "column": "customer"
          },
          {
            "assertion": "range",
            "success": false,
            "severity": "warn",
            "column": "spent"
          }
        ]"#]]
    .assert_eq(&plain(&checks["inputFacets"]["dataQualityAssertions"]["assertions"]));
}

#[test]
fn failures_are_told_with_their_message() {
    let project = Project::new(SHOP);
    project.add(
        "-- transforms/broken.sql --\nselect 1 / cast(spent - spent as bigint) as x from {{ ref('spending') }}\n\
         -- transforms/below.sql --\nselect x from {{ ref('broken') }}\n\
         -- transforms/strict.sql --\nselect spent from {{ ref('spending') }}\n\
         -- transforms/more.yml --\ntransforms:\n  strict: {columns: {spent: {checks: [{range: {max: 1}}]}}}\n",
    );
    assert_eq!(project.windlass_with(["run"], &[("OPENLINEAGE_NAMESPACE", "night")]).code, 1);
    let events = events(&project, "out/events.jsonl");
    assert!(events.iter().all(|event| event["job"]["namespace"] == "night"));
    let error = &find(&events, "FAIL", "test.prod.broken")["run"]["facets"]["errorMessage"];
    assert!(error["message"].as_str().unwrap().contains("division by zero"), "{error}");
    let assertion =
        &find(&events, "FAIL", "test.prod.strict.checks")["inputs"][0]["inputFacets"]["dataQualityAssertions"];
    assert_eq!(
        (&assertion["assertions"][0]["assertion"], &assertion["assertions"][0]["success"]),
        (&"range".into(), &false.into())
    );
    find(&events, "FAIL", "test.prod.strict");
    find(&events, "FAIL", "test.prod");
    assert!(!told(&events).iter().any(|line| line.contains("below")), "what was skipped never ran");
}

#[test]
fn what_was_stopped_is_told() {
    let project = Project::new(ONE);
    project.write("targets.yml", "targets: {local: {lake: ./lake, threads: 2, openlineage: e.jsonl}}\n");
    let mut run = project.start(["run"], &[("WINDLASS_TEST_HOLD_AT", "staging:one")]);
    run.wait_for("held at staging:one");
    run.signal("INT");
    run.wait_for("Stopping");
    run.signal("INT");
    let answer = run.wait();
    assert_eq!(answer.code, 1, "{answer}");
    let events = events(&project, "e.jsonl");
    let expected = ["START test.prod", "START test.prod.one", "ABORT test.prod.one", "ABORT test.prod"];
    assert_eq!(told(&events), expected, "{answer}");
}

#[test]
fn error_tables_of_python_are_outputs() {
    let project = Project::with_python(crate::python_errors::SCORE);
    let answer = project.windlass(["run", "--quiet"]);
    assert_eq!(answer.code, 0, "{answer}");
    project.write("targets.yml", "targets: {local: {lake: ./lake, openlineage: {file: e.jsonl, namespace: ml}}}\n");
    assert_eq!(project.windlass(["run", "--quiet", "--no-cache"]).code, 0);
    let events = events(&project, "e.jsonl");
    let complete = find(&events, "COMPLETE", "test.prod.score");
    assert_eq!(complete["job"]["facets"]["sourceCode"]["language"], "python");
    let names: Vec<&str> =
        complete["outputs"].as_array().unwrap().iter().map(|output| output["name"].as_str().unwrap()).collect();
    assert!(names[0].ends_with("/prod/score") && names[1].ends_with("/prod/score__errors"), "{names:?}");
    assert!(complete["outputs"][1]["outputFacets"]["outputStatistics"]["rowCount"].as_u64().unwrap() > 0);
}

/// A server that treats each request as it is told to.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Returns a server; `answer` gets the number of the request, from 0, and answers a status, or nothing
    /// at all for as long as the test runs.
    fn start(answer: impl Fn(usize) -> Option<&'static str> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let text = read_request(&mut stream);
                let number = seen.lock().unwrap().len();
                seen.lock().unwrap().push(text);
                match answer(number) {
                    Some(status) => {
                        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                        stream.write_all(answer.as_bytes()).unwrap();
                    }
                    None => kept.push(stream),
                }
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut buffer = [0; 65536];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        read.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) || count == 0 {
            return text;
        }
    }
}

const ONE: &str = "-- transforms/one.sql --\nselect 1 as id\n";

#[test]
fn a_server_gets_every_event_in_order() {
    // The second request fails for a moment, which is tried again.
    let server = Server::start(|number| Some(if number == 1 { "503 Busy" } else { "201 Created" }));
    let project = Project::new(ONE);
    let answer = project.windlass_with(["run"], &[("OPENLINEAGE_URL", &server.url), ("OPENLINEAGE_API_KEY", "s3cr3t")]);
    assert_eq!(answer.code, 0, "{answer}");
    assert!(!answer.stderr.contains("OpenLineage"), "{answer}");
    let requests = server.requests();
    let events: Vec<Value> = requests
        .iter()
        .map(|request| serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap())
        .collect();
    events.iter().for_each(assert_valid);
    let expected = [
        "START test.prod",
        "START test.prod.one",
        "START test.prod.one",
        "COMPLETE test.prod.one",
        "COMPLETE test.prod",
    ];
    assert_eq!(told(&events), expected);
    for request in &requests {
        let head = request.split_once("\r\n\r\n").unwrap().0.to_lowercase();
        assert!(head.starts_with("post /api/v1/lineage http/1.1"), "{head}");
        assert!(
            head.contains("authorization: bearer s3cr3t") && head.contains("content-type: application/json"),
            "{head}"
        );
    }
}

#[test]
fn a_key_is_never_shown() {
    let server = Server::start(|_| Some("401 Unauthorized"));
    let project = Project::new(ONE);
    project.write(
        "targets.yml",
        &format!(
            "targets:\n  local:\n    lake: ./lake\n    openlineage: {{url: '{}', api_key: \"{{{{ env_var('KEY') }}}}\"}}\n",
            server.url.replace("http://", "http://user:passw0rd@")
        ),
    );
    let variables = [("KEY", "s3cr3t"), ("WINDLASS_LOG", "trace")];
    let answer = project.windlass_with(["run"], &variables);
    assert_eq!(answer.code, 0, "{answer}");
    assert!(answer.stderr.contains("4 of 4 OpenLineage events not delivered to http://127.0.0.1:"), "{answer}");
    assert!(answer.stderr.contains("the server answers 401 Unauthorized"), "{answer}");
    assert!(!answer.stderr.contains("s3cr3t") && !answer.stderr.contains("passw0rd"), "{answer}");
    assert_eq!(server.requests().len(), 1, "a server that refuses is not asked again");
}

#[test]
fn a_run_does_not_wait_for_a_server_that_hangs() {
    let server = Server::start(|_| None);
    let project = Project::new(ONE);
    let begun = Instant::now();
    let answer = project.windlass_with(["run"], &[("OPENLINEAGE_URL", &server.url)]);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(answer.code, 0, "{answer}");
    assert!(answer.stderr.contains("4 of 4 OpenLineage events not delivered"), "{answer}");
    assert_eq!(project.rows("select id from one"), "{\"id\":1}");
}

#[test]
fn a_server_that_is_not_there_is_a_note() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = Project::new(ONE);
    let url = format!("http://127.0.0.1:{port}");
    let answer = project.windlass_with(["run"], &[("OPENLINEAGE_URL", &url)]);
    assert_eq!(answer.code, 0, "{answer}");
    assert!(answer.stderr.contains("4 of 4 OpenLineage events not delivered"), "{answer}");
    assert!(answer.stderr.contains("Connection refused"), "{answer}");
    let wrong = project.windlass_with(["run"], &[("OPENLINEAGE_URL", "marquez")]);
    assert_eq!(wrong.code, 0, "{wrong}");
    let note = "no OpenLineage events: the URL for OpenLineage events is not one of http or https";
    assert!(wrong.stderr.contains(note), "{wrong}");
    let off = project.windlass_with(["run"], &[("OPENLINEAGE_URL", &url), ("OPENLINEAGE_DISABLED", "true")]);
    assert!(off.code == 0 && !off.stderr.contains("OpenLineage"), "{off}");
}

#[test]
fn a_file_that_cannot_be_written_is_a_note() {
    let project = Project::new(ONE);
    project.write("targets.yml", "targets: {local: {lake: ./lake, openlineage: data}}\n");
    std::fs::create_dir(project.path("data")).unwrap();
    let answer = project.windlass(["run"]);
    assert_eq!(answer.code, 0, "{answer}");
    assert!(answer.stderr.contains("4 of 4 OpenLineage events not delivered to [DIR]/data"), "{answer}");
}

#[test]
fn models_are_datasets_that_training_writes_and_scoring_reads() {
    let mut files = SHOP.to_owned();
    files.push_str("-- seeds/points.csv --\nid,x,y\n");
    (0..60).for_each(|id| files.push_str(&format!("{id},{},{}\n", id % 10, 2 * (id % 10) + 1)));
    files.push_str(
        "-- transforms/known.sql --
{{ config(materialized='view') }}
select x, y from {{ ref('points') }}
-- models/line.sql --
create model line options (model_type = 'linear_reg', input_label_cols = ['y']) as select x, y from {{ ref('known') }}
-- transforms/scored.sql --
select id, predicted_y from ml.predict(model line, table {{ ref('points') }})
",
    );
    let project = Project::new(&files);
    let answer = project.windlass(["run", "+scored"]);
    assert_eq!(answer.code, 0, "{answer}");
    let events = events(&project, "out/events.jsonl");
    assert_eq!(told(&events).iter().filter(|event| event.ends_with("prod.line")).count(), 2, "{:?}", told(&events));
    let names = |event: &Value, side: &str| -> Vec<String> {
        let datasets = event[side].as_array().unwrap().iter();
        let name = |dataset: &Value| dataset["name"].as_str().unwrap().split_once("/lake/prod").unwrap().1.to_owned();
        datasets.map(name).collect()
    };
    let trained = find(&events, "COMPLETE", "test.prod.line");
    assert_eq!(names(trained, "inputs"), ["/points"]);
    assert_eq!(names(trained, "outputs"), ["/_windlass/models/line"]);
    assert_eq!(trained["outputs"][0]["facets"]["version"]["datasetVersion"], "1");
    assert!(trained["outputs"][0]["outputFacets"].is_null(), "a model has no rows");
    assert!(trained["job"]["facets"]["sql"]["query"].as_str().unwrap().starts_with("select x, y"));
    let scored = find(&events, "COMPLETE", "test.prod.scored");
    assert_eq!(names(scored, "inputs"), ["/points", "/_windlass/models/line"]);
}
