//! Models of an MLflow server in SQL: a real server, versions that others log there, and what happens while it is away.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use expect_test::expect;
use serde_json::Value;

use crate::models_elsewhere::{trained, training};
use crate::support::{Answer, Project};

/// A server that ends with the test.
pub(crate) struct Server {
    process: Child,
    pub(crate) uri: String,
}

impl Server {
    /// Starts a server that keeps what it gets in a folder.
    pub(crate) fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = training();
        command.args(["-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1", "--port", &port.to_string()]);
        command.args(["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./artifacts"]);
        command.current_dir(folder).env("MLFLOW_DISABLE_TELEMETRY", "true");
        // The processes that it starts end with it only if they have a group of their own.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { process, uri: format!("http://127.0.0.1:{port}") };
        let patience = Instant::now() + Duration::from_secs(180);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < patience, "MLflow does not start");
            std::thread::sleep(Duration::from_millis(200));
        }
        server
    }

    /// Logs a version of a model that becomes the champion; returns what it answers.
    fn log(&self, name: &str, kind: &str, rounds: u32) -> Value {
        trained("mlflow_log.py", &[&self.uri, name, kind, &rounds.to_string()])["answers"].take()
    }

    /// Calls the server's REST interface.
    fn post(&self, path: &str, body: &Value) {
        let code = "import sys, urllib.request as r; r.urlopen(r.Request(sys.argv[1], sys.argv[2].encode(), \
                    {'Content-Type': 'application/json'}))";
        let url = format!("{}/api/2.0/mlflow/{path}", self.uri);
        let output = training().args(["-c", code, &url, &body.to_string()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = format!("-{}", self.process.id());
        let _ = std::process::Command::new("kill").args(["-TERM", "--", &group]).status();
        let _ = self.process.wait();
    }
}

/// The rows that `mlflow_log.py` answers for.
const ROWS: &str = "-- seeds/orders.csv --\nid,amount,age\n0,0,0\n1,0.5,1\n2,1,2\n3,1.5,3\n4,2,4\n";

fn run(project: &Project, uri: &str, args: &[&str]) -> Answer {
    let mut command = project.command(args);
    project.answer(command.env("MLFLOW_TRACKING_URI", uri))
}

/// Compares the column `p` of a table with what a library answers.
#[track_caller]
fn same(project: &Project, table: &str, expected: &Value) {
    let rows = project.json(["show", "--sql", &format!("select p from {table} order by id")])["rows"].take();
    let (rows, expected) = (rows.as_array().unwrap(), expected.as_array().unwrap());
    assert_eq!(rows.len(), expected.len());
    for (found, expected) in rows.iter().zip(expected) {
        let (found, expected) = (found["p"].as_f64().unwrap(), expected.as_f64().unwrap());
        assert!((found - expected).abs() < 1e-6, "{table}: {found} is not {expected}");
    }
}

#[test]
fn a_model_of_the_server_scores_and_follows_its_alias() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let first = server.log("fraud", "lightgbm", 5);
    let project = Project::unlocked(&format!(
        "{ROWS}-- models/about.yml --\nmodels:\n  fraud: {{mlflow: 'models:/fraud@champion', label: is_fraud}}\n\
         -- transforms/scored.sql --\nselect id, fraud(amount, age) as p from {{{{ ref('orders') }}}}\n"
    ));
    run(&project, &server.uri, &["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ fraud             0 rows  [SIZE]  version 1  [TIME]
          ✓ orders            5 rows  [SIZE]  version 0  [TIME]
          ✓ scored            5 rows  [SIZE]  version 0  [TIME]
        Published 3 of 3 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    same(&project, "scored", &first);
    let shown = project.json(["models", "show", "fraud@champion"]);
    assert_eq!(shown["version"]["params"]["mlflow"], "models:/fraud@champion", "{shown}");
    assert_eq!(shown["version"]["params"]["mlflow_version"], "1", "{shown}");

    // That it scored is logged, and the model is not registered there once more.
    let known = trained("mlflow_runs.py", &[&server.uri, "test", "fraud"]);
    expect![[r#"
        {
          "runs": [
            {
              "name": "score scored",
              "params": {
                "model.fraud": "version 1",
                "table": "scored"
              },
              "metrics": {
                "rows_failed": 0.0,
                "rows_scored": 5.0
              },
              "inputs": [
                "orders for scoring"
              ]
            }
          ],
          "versions": 1,
          "champion": 1
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&known).unwrap());

    // Another version behind the alias is another model.
    let second = server.log("fraud", "lightgbm", 9);
    run(&project, &server.uri, &["plan"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          build  fraud    0 columns  models:/fraud@champion is another version, or what is said of it changed  last time 0 rows in [TIME]
          reuse  orders   3 columns  unchanged, version 0
          build  scored   2 columns  reads `fraud`, which is built  last time 5 rows in [TIME]

        2 to build, [TIME] last time, 1 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    assert_eq!(run(&project, &server.uri, &["run", "-q"]).code, 0);
    same(&project, "scored", &second);
    // The way back needs no files, which are here already.
    let back = serde_json::json!({"name": "fraud", "alias": "champion", "version": "1"});
    server.post("registered-models/alias", &back);
    std::fs::rename(folder.path().join("artifacts"), folder.path().join("gone")).unwrap();
    assert_eq!(run(&project, &server.uri, &["run", "-q"]).code, 0);
    same(&project, "scored", &first);

    // While the server is away, the version is used that the alias pointed at.
    let uri = server.uri.clone();
    drop(server);
    project.write("transforms/scored.sql", "select id, fraud(amount, age) as p, 1 as one from {{ ref('orders') }}\n");
    let answer = run(&project, &uri, &["run"]);
    assert_eq!(answer.code, 0, "{answer}");
    let warned = "models:/fraud@champion: http://127.0.0.1:";
    assert!(
        answer.stderr.contains(warned) && answer.stderr.contains("; version 1 is used, which it meant before"),
        "{answer}"
    );
    same(&project, "scored", &first);
    // One that was never there is a mistake where it is named.
    std::fs::remove_dir_all(project.path("lake")).unwrap();
    let answer = run(&project, "", &["plan"]);
    answer.check(expect![[r#"
        exit 2
        -- stderr
        error[E1010]: `models:/fraud@champion` cannot be fetched, and was never before: no server is named
         --> models/about.yml:2:19
          |
        2 |   fraud: {mlflow: 'models:/fraud@champion', label: is_fraud}
          |                   ^^^^^^^^^^^^^^^^^^^^^^^^
          |
          = help: name the server, and see that it runs: MLFLOW_TRACKING_URI, or `tracking:` of the target
        windlass explain E1010
    "#]]);
}

#[test]
fn models_of_the_server_are_read_as_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (extreme, graph) = (server.log("team.extreme", "xgboost", 6), server.log("graph", "onnx", 2));
    let project = Project::unlocked(&format!(
        "{ROWS}-- targets.yml --\ntargets:\n  local: {{lake: ./lake, state: ./.windlass, threads: 1, env: prod, tracking: '{}'}}\n\
         -- models/about.yml --\nmodels:\n  \
           extreme: {{mlflow: 'models:/team.extreme/1'}}\n  \
           graph: {{mlflow: 'models:/graph/latest', classes: ['no', 'yes']}}\n\
         -- transforms/one.sql --\nselect id, extreme(amount, age) as p from {{{{ ref('orders') }}}}\n\
         -- transforms/two.sql --\nselect id, graph(amount, age) as p from {{{{ ref('orders') }}}}\n",
        server.uri
    ));
    let answer = project.windlass(["run", "-q"]);
    assert_eq!(answer.code, 0, "{answer}");
    same(&project, "one", &extreme);
    same(&project, "two", &graph);
    project.write(
        "models/about.yml",
        "models:\n  extreme: {mlflow: 'models:/team.extreme/1', output: double}\n  graph: {mlflow: 'models:/nobody@champion'}\n",
    );
    let mut answer = project.windlass(["plan"]);
    answer.stderr = answer.stderr.replace(&server.uri, "[SERVER]");
    answer.check(expect![[r#"
        exit 2
        -- stderr
        error[E1002]: types are for models that Python scores, and this one is scored without
         --> models/about.yml:2:55
          |
        2 |   extreme: {mlflow: 'models:/team.extreme/1', output: double}
          |                                                       ^^^^^^
          |
          = help: name the inputs alone, as a list: `inputs: [amount, plan]`; leave `output` out

        error[E1010]: `mlflow/registered-models/alias` failed at MLflow, [SERVER]: Registered Model with name=nobody not found
         --> models/about.yml:3:19
          |
        3 |   graph: {mlflow: 'models:/nobody@champion'}
          |                   ^^^^^^^^^^^^^^^^^^^^^^^^^

        2 mistakes, nothing was done
        windlass explain E1002 E1010
    "#]]);
}

#[test]
fn models_that_mlflow_pickles_are_scored_by_workers() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let linear = server.log("linear", "sklearn", 1);
    let careful = server.log("careful", "pyfunc", 3);
    let project = Project::with_python(&format!(
        "{ROWS}-- targets.yml --\ntargets:\n  local: {{lake: ./lake, state: ./.windlass, threads: 2, env: prod, tracking: '{}'}}\n\
         -- models/about.yml --\nmodels:\n  \
           linear: {{mlflow: 'models:/linear@champion', classes: ['no', 'yes'], label: is_fraud}}\n  \
           careful: {{mlflow: 'models:/careful@champion'}}\n\
         -- transforms/one.sql --\nselect id, predicted_is_fraud, linear(amount, age) as p from ml.predict(model linear, table {{{{ ref('orders') }}}})\n\
         -- transforms/two.sql --\n{{{{ config(max_error_rate='50%') }}}}\nselect id, careful(amount, age) as p from {{{{ ref('orders') }}}}\n",
        server.uri
    ));
    let answer = project.windlass(["run"]);
    assert_eq!(answer.code, 0, "{answer}");
    same(&project, "one", &linear);
    let expected: Vec<Value> =
        careful.as_array().unwrap().iter().enumerate().filter(|(row, _)| *row != 3).map(|(_, p)| p.clone()).collect();
    same(&project, "two", &Value::from(expected));
    expect![[
        r#"{"error":"ValueError: nobody is 3","model":"careful","model_version":1,"row":{"amount":1.5,"age":3}}"#
    ]]
    .assert_eq(&project.rows("select error, model, model_version, row from two__errors"));
    let shown = project.json(["models", "show", "linear"]);
    assert_eq!(shown["version"]["format"], "sklearn", "{shown}");
    assert_eq!(project.json(["models", "show", "careful"])["version"]["format"], "pyfunc");

    // Nothing has changed; another version behind the alias is another model.
    let answer = project.windlass(["run"]);
    assert!(answer.stderr.contains("Nothing has changed, 5 tables of prod stay"), "{answer}");
    let second = server.log("linear", "sklearn", 50);
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    same(&project, "one", &second);

    // A package that its `requirements.txt` does not name is told with the way out.
    server.log("lacking", "lacking", 1);
    project.write("models/about.yml", "models:\n  linear: {mlflow: 'models:/lacking@champion', classes: ['no', 'yes'], label: is_fraud}\n  careful: {mlflow: 'models:/careful@champion'}\n");
    let answer = project.windlass(["run"]);
    assert!(answer.stderr.contains("error[E1012]"), "{answer}");
    assert!(
        answer.stderr.contains("model `linear` cannot be loaded from models:/lacking@champion: ModuleNotFoundError"),
        "{answer}"
    );
    assert!(answer.stderr.contains("lacks the package of"), "{answer}");
}

#[test]
fn aliases_that_people_move_here_move_at_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let model = |l2: u32| {
        format!(
            "-- models/line.sql --\ncreate model line options (model_type = 'linear_reg', input_label_cols = ['age'], l2_reg = {l2})\n\
             as select amount, age from {{{{ ref('orders') }}}}\n"
        )
    };
    let project = Project::unlocked(&format!("{ROWS}{}", model(0)));
    assert_eq!(run(&project, &server.uri, &["run", "-q"]).code, 0);
    project.add(&model(3));
    assert_eq!(run(&project, &server.uri, &["run", "-q"]).code, 0);
    let champion = || trained("mlflow_runs.py", &[&server.uri, "test", "line"])["champion"].as_u64();
    assert_eq!(champion(), Some(2));
    let answer = run(&project, &server.uri, &["models", "rollback", "line"]);
    assert!(
        answer.code == 0 && answer.stderr.contains("`line@champion` is version 1 at http://127.0.0.1:"),
        "{answer}"
    );
    assert_eq!(champion(), Some(1));
    let answer = run(&project, "http://127.0.0.1:9", &["models", "promote", "line@2"]);
    assert!(answer.code == 0 && answer.stderr.contains("MLflow does not know of it: "), "{answer}");
    assert_eq!(champion(), Some(1));
}
