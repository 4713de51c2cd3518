//! `windlass models`: versions that were registered, and aliases that move between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use expect_test::expect;
use object_store::local::LocalFileSystem;
use windlass_model::{
    AliasChange, Column, ColumnType, Expected, Format, Gate, Gating, InputVersion, ModelFile, ModelVersion, NewVersion,
    Registry, Signature, Task, Verdict,
};

use crate::support::{Project, parsed, pretty};

const PROJECT: &str = "-- transforms/one.sql --\nselect 1 as id\n";

/// Registers versions of `late`: the first two met their gate, the third missed it. The first is the champion.
fn registered(project: &Project) {
    let store = LocalFileSystem::new_with_prefix(project.path("")).unwrap();
    let registry = Registry::new(Arc::new(store), "lake/prod/_windlass/models".into());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for (version, auc) in [(1_u32, 0.81), (2, 0.86), (3, 0.74)] {
            let file = ModelFile { path: "model.txt".to_owned(), bytes: format!("model {version}").into() };
            let new = NewVersion { record: record(version, auc), files: vec![file] };
            registry.register(new).await.unwrap();
        }
        let change = AliasChange {
            alias: "champion".to_owned(),
            version: Some(1),
            expected: Expected::Anything,
            gating: Gating::Held,
            at: "2026-11-27T12:00:05.000Z".to_owned(),
            by: "run 1".to_owned(),
        };
        registry.set_alias("late", &change).await.unwrap();
    });
}

fn record(version: u32, auc: f64) -> ModelVersion {
    let verdict = if auc >= 0.8 { Verdict::Pass } else { Verdict::Fail };
    ModelVersion {
        model: "late".to_owned(),
        version: 0,
        created: format!("2026-11-27T12:00:0{version}.000Z"),
        task: Task::Classification,
        format: Format::Lightgbm,
        artifacts: Vec::new(),
        metrics: BTreeMap::from([("auc".to_owned(), auc), ("log_loss".to_owned(), 0.5)]),
        params: BTreeMap::from([("num_leaves".to_owned(), (15 * version).to_string())]),
        gates: vec![Gate { rule: "auc >= 0.8".to_owned(), observed: Some(auc), verdict }],
        fingerprint: version.to_string(),
        inputs: vec![InputVersion { table: "flights".to_owned(), version: "version 7".to_owned() }],
        signature: Signature {
            inputs: vec![Column::new("distance", ColumnType::Double, true)],
            outputs: vec![Column::new("prediction", ColumnType::Long, true)],
        },
        classes: None,
        run_id: Some(format!("run-{version}")),
        tags: BTreeMap::new(),
    }
}

#[test]
fn models_are_listed_and_shown() {
    let project = Project::new(PROJECT);
    project.windlass(["models", "ls"]).check(expect![[r#"
        exit 0
        -- stderr
        no model in `prod`: a run that trains one registers it
    "#]]);
    registered(&project);
    project.windlass(["models", "ls"]).check(expect![[r#"
        exit 0
        -- stdout
        late    3 versions  lightgbm classification   champion 1  [DATE] [CLOCK]
    "#]]);
    project.windlass(["models", "show", "late@champion"]).check(expect![[r#"
        exit 0
        -- stdout
        model        late
        version      1 (champion)
        created      [DATE] [CLOCK]
        kind         classification, lightgbm
        run          run-1
        file         model.txt, [SIZE], sha256 cd36b49d7b2a8b5e4e13663cb54c5e1338c17b7d3af1c506fb3842bd08291822
        trained on   flights at version 7
        reads        distance double
        answers      prediction long
        metric       auc 0.81
        metric       log_loss 0.5
        gate         met  auc >= 0.8, found 0.81
        parameter    num_leaves 15

           3  [DATE] [CLOCK]  auc 0.74, log_loss 0.5  missed a gate
           2  [DATE] [CLOCK]  auc 0.86, log_loss 0.5
           1  [DATE] [CLOCK]  auc 0.81, log_loss 0.5  champion

        [DATE] [CLOCK]  champion from nothing to 1  by run 1
    "#]]);
    let listed = parsed(&project.windlass(["models", "ls", "--format", "json"]).stdout);
    assert_eq!(listed["schema"], "windlass.models.ls/1");
    let model = &listed["data"]["models"][0];
    assert_eq!(
        (&model["name"], &model["versions"], &model["aliases"]["champion"]),
        (&"late".into(), &3.into(), &1.into())
    );
    let shown = parsed(&project.windlass(["models", "show", "late", "--format", "json"]).stdout);
    assert_eq!(shown["data"]["version"]["version"], 3);
    assert_eq!(shown["data"]["versions"].as_array().unwrap().len(), 3);
    assert_eq!(shown["data"]["history"][0]["by"], "run 1");
}

#[test]
fn a_version_is_promoted_and_taken_back() {
    let project = Project::new(PROJECT);
    registered(&project);
    let promote = || project.windlass_with(["models", "promote", "late@2"], &[("USER", "ana")]);
    promote().check(expect![[r#"
        exit 0
        -- stderr
        `champion` of `late` in `prod`: from version 1 to version 2
    "#]]);
    promote().check(expect![[r#"
        exit 0
        -- stderr
        `champion` of `late` is at version 2 already
    "#]]);
    project.windlass(["models", "promote", "late@1", "--expect", "3"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E1005]: alias `champion` of model `late` is at version 2, not at version 3
          hint: somebody else changed it: look again, then repeat the change if it is still right
        windlass explain E1005
    "#]]);
    project.windlass(["models", "promote", "late"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E1004]: version 3 of model `late` missed a gate: auc >= 0.8, found 0.74
          hint: the version is kept; train a better one, or promote it with `--force`
        windlass explain E1004
    "#]]);
    project.windlass(["models", "promote", "late", "--alias", "challenger", "--force"]).check(expect![[r#"
        exit 0
        -- stderr
        `challenger` of `late` in `prod`: from nothing to version 3, though it missed a gate
    "#]]);
    project.windlass(["models", "promote", "late@2", "--alias", "v3"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E1006]: `v3` cannot be the name of an alias: it means a version
        windlass explain E1006
    "#]]);
    let shown = parsed(&project.windlass(["models", "show", "late", "--format", "json"]).stdout);
    assert_eq!(shown["data"]["history"][1]["by"], "ana");
    let back = parsed(&project.windlass(["models", "rollback", "late", "--format", "json"]).stdout);
    let expected = expect![[r#"
        {
          "env": "prod",
          "model": "late",
          "alias": "champion",
          "version": 1,
          "previous": 2,
          "changed": true,
          "forced": false
        }"#]];
    expected.assert_eq(&pretty(back["data"].clone()));
    project.windlass(["models", "rollback", "late"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E1001]: alias `champion` of model `late` has no earlier version to go back to
        windlass explain E1001
    "#]]);
    project.windlass(["models", "show", "lat"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E1001]: there is no model `lat`
          hint: did you mean `late`?
        windlass explain E1001
    "#]]);
    project.windlass(["models", "show", "late@champoin"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E1001]: model `late` has no version or alias `champoin`
          hint: did you mean `champion`?
        windlass explain E1001
    "#]]);
}

#[test]
fn versions_are_compared() {
    let project = Project::new(PROJECT);
    registered(&project);
    project.windlass(["models", "compare", "late"]).check(expect![[r#"
        exit 0
        -- stdout
                              late version 1 (champion)       late version 3
        created                     [DATE] [CLOCK]  [DATE] [CLOCK]
        gates                                       met               missed
        auc                                        0.81                 0.74  -0.07
        log_loss                                    0.5                  0.5  0
        parameter num_leaves                         15                   45
    "#]]);
    let compared = parsed(&project.windlass(["models", "compare", "late@1", "late@2", "--format", "json"]).stdout);
    let metric = &compared["data"]["metrics"][0];
    assert_eq!(metric["name"], "auc");
    assert!((metric["difference"].as_f64().unwrap() - 0.05).abs() < 1e-12);
    assert_eq!(compared["data"]["params"][0]["second"], "30");
}

/// A run that waits for MLflow, as an earlier one has left it.
const WAITING: &str = r#"{"id": "run-0-late", "experiment": "shop", "name": "late 1", "started_ms": 1764000000000,
    "ended_ms": 1764000001000, "status": "FINISHED"}"#;

#[test]
fn mlflow_that_is_away_fails_no_run() {
    let project = Project::new(PROJECT);
    project.write(".windlass/tracking/00000001764000000000-run-0-late.json", WAITING);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let run = |uri: &str| project.windlass_with(["run", "--no-cache"], &[("MLFLOW_TRACKING_URI", uri)]);
    let away = run(&format!("http://user:hidden@127.0.0.1:{port}"));
    assert_eq!(away.code, 0, "{away}");
    let waits = "1 run waits for MLflow, the next run sends it: `mlflow/experiments/get-by-name` failed at MLflow, \
                 http://127.0.0.1:";
    assert!(away.stderr.contains(waits) && away.stderr.contains("refused"), "{away}");
    assert!(!away.to_string().contains("hidden"), "{away}");
    assert_eq!(project.files(".windlass/tracking").len(), 1);
    let unusable = "not logged to MLflow: the tracking URI of MLflow cannot be used: it is not one of http or https";
    let other = run("databricks");
    assert!(other.code == 0 && other.stderr.contains(unusable), "{other}");
    // Nobody who does not ask for it hears of it.
    assert!(!project.windlass(["run", "--no-cache"]).stderr.contains("MLflow"));
}
