//! `CREATE MODEL` as nodes.

use expect_test::{Expect, expect};

use super::*;
use crate::NodeKind;
use crate::fixture::{problems, project};

const TABLE: &str = "-- transforms/feat.sql --\nselect 1 as x, 'a' as c, true as y\n";

fn check_model(sql: &str, expected: Expect) {
    let project = project(&format!("{TABLE}-- models/late.sql --\n{sql}"));
    let NodeKind::Model(model) = &project.nodes["late"].kind else { panic!("`late` is a model") };
    let Model { query, algorithm, split, gates, seed, places: _ } = model.as_ref();
    let gates: Vec<String> = gates.iter().map(|gate| format!("{} {}", gate.metric, gate.bound)).collect();
    let inputs: Vec<String> = query.inputs.iter().map(|input| format!("{} {:?}", input.table(), input.part)).collect();
    expected.assert_eq(&format!(
        "{algorithm:?}\n{split:?} gates {gates:?} seed {seed}\nreads {inputs:?}\n{}",
        query.sql.trim_start()
    ));
}

fn check_problems(sql: &str, expected: Expect) {
    expected.assert_eq(&problems(&format!("{TABLE}-- models/late.sql --\n{sql}")));
}

#[test]
fn options_have_the_names_of_bigquery() {
    check_model(
        "{{ config(tags=['ml']) }}\n\
         CREATE OR REPLACE MODEL late\n\
         OPTIONS (MODEL_TYPE='LOGISTIC_REG', input_label_cols=['y'], l2_reg=0.5, max_iterations = 30,\n  \
           auto_class_weights = true, data_split_method = \"random\", data_split_eval_fraction = 0.3,\n  \
           gates = ['auc >= 0.65', 'log_loss < 0.7'], seed = 7)\n\
         AS\nselect x, c, y from {{ ref('feat') }}\n",
        expect![[r#"
            LogisticReg(Regression { label: "y", l2_reg: 0.5, fit_intercept: true, max_iterations: 30, min_rel_progress: 1e-6, auto_class_weights: true })
            Random(0.3) gates ["roc_auc >= 0.65", "log_loss < 0.7"] seed 7
            reads ["feat Result"]
            select x, c, y from feat"#]],
    );
    check_model(
        "create model if not exists late options (model_type = 'kmeans', num_clusters = 4) as select x from {{ ref('feat') }}",
        expect![[r#"
            KMeans(KMeans { clusters: 4, max_iterations: 20, min_rel_progress: 0.0001, standardize: true })
            None gates [] seed 0
            reads ["feat Result"]
            select x from feat"#]],
    );
}

#[test]
fn places_of_the_query_are_those_of_the_file() {
    let sql =
        "create model late -- é\noptions (model_type = 'linear_reg')\nas select x as label from {{ ref('feat') }}\n";
    let project = project(&format!("{TABLE}-- models/late.sql --\n{sql}"));
    let model = project.nodes["late"].model().expect("it is a model");
    let at = model.query.sql.find("label").expect("it is selected");
    assert_eq!(model.query.sql.len(), sql.trim_end().len() - "{{ ref('feat') }}".len() + "feat".len());
    let place = model.query.map.locate(at..at + 5).expect("it has a place");
    assert_eq!((place.to_string(), &place.file.text[place.span.clone()]), ("models/late.sql:3:16".into(), "label"));
    assert_eq!(model.places["model_type"].to_string(), "models/late.sql:2:23");
}

#[test]
fn mistakes_in_the_statement_have_their_place() {
    check_problems(
        "select 1",
        expect![[r#"
        error[E0110]: a file in `models/` holds one `CREATE MODEL` statement
          models/late.sql:1:1
          | select 1
          | ^^^^^^
          hint: a query that publishes a table belongs into `transforms/`
          node: late
        broken: late
    "#]],
    );
    check_problems(
        "create model later options (model_type = 'pca') as select 1",
        expect![[r#"
        error[E0110]: the file is `late`, the statement creates `later`
          models/late.sql:1:14
          | create model later options (model_type = 'pca') as select 1
          |              ^^^^^
          hint: a model is named after its file; rename one of them
          node: late
        broken: late
    "#]],
    );
    check_problems(
        "create model late options (model_type = 'linear_reg' l2_reg = 1) as select 1",
        expect![[r#"
        error[E0110]: expected `,` or `)` after an option
          models/late.sql:1:54
          | create model late options (model_type = 'linear_reg' l2_reg = 1) as select 1
          |                                                      ^^^^^^
          node: late
        broken: late
    "#]],
    );
    check_problems(
        "create model late transform(x) options () as select 1",
        expect![[r#"
        error[E0110]: `TRANSFORM` is not understood
          models/late.sql:1:19
          | create model late transform(x) options () as select 1
          |                   ^^^^^^^^^
          hint: compute features in the SELECT, or in a view that training and scoring both read
          node: late
        broken: late
    "#]],
    );
    check_problems(
        "create model late options (model_type = 'linear_reg')",
        expect![[r#"
        error[E0110]: expected `AS`
          models/late.sql:1:53
          | create model late options (model_type = 'linear_reg')
          |                                                     ^
          hint: write `CREATE MODEL name OPTIONS(model_type = '…') AS SELECT …`
          node: late
        broken: late
    "#]],
    );
    check_problems(
        "create model late as select 1",
        expect![[r#"
            error[E0110]: the model has no `model_type`
              models/late.sql:1:1
              | create model late as select 1
              | ^^^^^^^^^^^^
              hint: name one among its options: `boosted_tree_classifier`, `boosted_tree_regressor`, `linear_reg`, `logistic_reg`, `kmeans`, `pca`
              node: late
            broken: late
        "#]],
    );
}

#[test]
fn mistakes_in_options_have_their_place() {
    check_problems(
        "create model late options (model_type = 'linear') as select 1",
        expect![[r#"
            error[E0203]: expected one of `boosted_tree_classifier`, `boosted_tree_regressor`, `linear_reg`, `logistic_reg`, `kmeans`, `pca` for `model_type`, found `linear`
              models/late.sql:1:41
              | create model late options (model_type = 'linear') as select 1
              |                                         ^^^^^^^^ did you mean `linear_reg`?
              node: late
            broken: late
        "#]],
    );
    check_problems(
        "create model late options (\n  model_type = 'linear_reg',\n  num_clusters = 3,\n  l2_reg = -1,\n  input_label_cols = ['a', 'b'],\n  gates = ['auc > 0.5', 'r2']\n)\nas select 1",
        expect![[r#"
            error[E0110]: `linear_reg` has no option `num_clusters`
              models/late.sql:3:3
              |   num_clusters = 3,
              |   ^^^^^^^^^^^^
              hint: it has `model_type`, `data_split_method`, `data_split_eval_fraction`, `gates`, `seed`, `fit_intercept`, `input_label_cols`, `l2_reg`
              node: late
            error[E0110]: `input_label_cols` names 2 columns, a model predicts one
              models/late.sql:5:22
              |   input_label_cols = ['a', 'b'],
              |                      ^^^^^^^^^^
              node: late
            error[E0203]: expected a number from 0 for `l2_reg`, found `-1`
              models/late.sql:4:12
              |   l2_reg = -1,
              |            ^^
              node: late
            broken: late
        "#]],
    );
    check_problems(
        "create model late options (model_type = 'pca', seed = 1, seed = 2) as select 1",
        expect![[r#"
        error[E0205]: duplicate option `seed`
          models/late.sql:1:58
          | create model late options (model_type = 'pca', seed = 1, seed = 2) as select 1
          |                                                          ^^^^ again here
          models/late.sql:1:48
          | create model late options (model_type = 'pca', seed = 1, seed = 2) as select 1
          |                                                ---- first here
          node: late
        broken: late
    "#]],
    );
}

#[test]
fn a_model_takes_part_in_the_graph() {
    let project = project(&format!(
        "{TABLE}-- models/late.sql --\ncreate model late options (model_type = 'linear_reg') as select x, c as label from {{{{ ref('feat') }}}}\n\
         -- transforms/scored.sql --\nselect * from ml.predict(model late@3, table {{{{ ref('feat') }}}})\n\
         -- transforms/called.sql --\nselect late(x) as p from {{{{ ref('feat') }}}}\n\
         -- models/models.yml --\nmodels:\n  late: {{description: Delays., tags: [ml]}}\n"
    ));
    assert_eq!(project.graph.order(), ["feat", "late", "called", "scored"]);
    assert_eq!(project.nodes["scored"].inputs()[1].table(), "late@3");
    assert_eq!(project.nodes["late"].kind_name(), "model");
    assert_eq!(project.nodes["late"].config.tags, ["ml"]);
    assert!(project.nodes["late"].is_kept() && !project.nodes["late"].is_published());
}

#[test]
fn a_model_that_was_trained_elsewhere_is_a_node() {
    let project = project(&format!(
        "{TABLE}-- models/about.yml --\nmodels:\n  churn: {{path: files/churn.txt, label: gone, classes: ['no', 'yes'], tags: [ml]}}\n\
         -- transforms/scored.sql --\nselect churn(x) as p from {{{{ ref('feat') }}}}\n"
    ));
    let churn = &project.nodes["churn"];
    let model = churn.imported().expect("it is imported");
    let place = ModelPlace::File { path: "/p/files/churn.txt".to_owned(), format: ModelFormat::Lightgbm };
    assert_eq!((format!("{:?}", model.place), churn.config.tags.len()), (format!("{place:?}"), 1));
    assert_eq!((churn.location.to_string().as_str(), churn.kind_name()), ("models/about.yml:2:3", "model"));
    assert_eq!(project.nodes["scored"].inputs()[1].table(), "churn");
    expect![[r#"
        error[E0203]: what `files/churn.bin` is does not show in its name
          models/about.yml:2:17
          |   churn: {path: files/churn.bin}
          |                 ^^^^^^^^^^^^^^^
          hint: say it: `format: lightgbm`, `xgboost` or `onnx`
          node: churn
        error[E0203]: expected one of `lightgbm`, `xgboost`, `onnx` for `format`, found `pickle`
          models/about.yml:3:32
          |   late: {path: a.onnx, format: pickle}
          |                                ^^^^^^
          node: late
        broken: churn, late
    "#]]
    .assert_eq(&problems(
        "-- models/about.yml --\nmodels:\n  churn: {path: files/churn.bin}\n  late: {path: a.onnx, format: pickle}\n",
    ));
}

#[test]
fn a_model_is_no_table() {
    check_problems(
        "create model late options (model_type = 'pca', num_principal_components = 1) as select x from {{ ref('feat') }}\n\
         -- transforms/wrong.sql --\nselect * from {{ ref('late') }}\n\
         -- transforms/unknown.sql --\nselect * from ml.predict(model lte, table {{ ref('feat') }})\n\
         -- models/models.yml --\nmodels:\n  late: {columns: {a: int}}\n  feat: {}\n",
        expect![[r#"
            error[E0202]: unknown key `columns` in the properties of `late`
              models/models.yml:2:10
              |   late: {columns: {a: int}}
              |          ^^^^^^^
              hint: known keys: `description`, `on_upstream_failure`, `owner`, `retries`, `tags`, `config`, `path`, `mlflow`, `class`, `format`, `label`, `inputs`, `classes`, `artifacts`, `output`, `batch_format`, `concurrency`, `num_cpus`, `num_gpus`, `memory`, `timeout`, `start_timeout`
              node: late
            error[E0209]: no model `feat`
              models/models.yml:3:3
              |   feat: {}
              |   ^^^^
              hint: it is a transform: its properties stand in a file below `transforms/`
            error[E1001]: no model `lte`
              transforms/unknown.sql:1:32
              | select * from ml.predict(model lte, table {{ ref('feat') }})
              |                                ^^^ did you mean `late`?
              hint: a model is named after its file in `models/`
              node: unknown
            error[E0110]: `late` is a model, not a table
              transforms/wrong.sql:1:22
              | select * from {{ ref('late') }}
              |                      ^^^^^^
              hint: score with it: `select * from ml.predict(model late, table …)`, or `late(…)`
              node: wrong
            broken: late, unknown, wrong
        "#]],
    );
}

#[test]
fn tables_that_score_have_an_error_table_unless_they_say_otherwise() {
    let model = "-- models/late.sql --\ncreate model late options (model_type = 'linear_reg', input_label_cols = ['x']) as\n\
                 select * from {{ ref('feat') }}\n";
    let score = "select late(x) as p from {{ ref('feat') }}";
    let project = project(&format!(
        "{TABLE}{model}\
         -- transforms/plain.sql --\n{score}\n\
         -- transforms/kept.sql --\n{{{{ config(on_error='null') }}}}\n{score}\n\
         -- transforms/strict.sql --\n{{{{ config(on_error='fail') }}}}\n{score}\n\
         -- transforms/about.sql --\nselect * from ml.weights(model late)\n\
         -- transforms/v.sql --\n{{{{ config(materialized='view') }}}}\nselect * from ml.predict(model late, table {{{{ ref('feat') }}}})\n\
         -- transforms/of_view.sql --\nselect * from {{{{ ref('v') }}}}\n\
         -- transforms/why.sql --\nselect * from {{{{ ref('plain__errors') }}}}\n\
         -- transforms/p.yml --\ntransforms:\n  of_kept: {{on_error: null}}\n\
         -- transforms/of_kept.sql --\nselect * from {{{{ ref('v') }}}}\n"
    ));
    let found: Vec<String> = project
        .nodes
        .values()
        .filter_map(|node| match &node.kind {
            NodeKind::Transform(transform) => Some(format!("{} {:?}", node.name, transform.on_error)),
            _ => None,
        })
        .collect();
    let mut found = found;
    found.sort();
    expect![[r#"
        about Null
        feat Null
        kept Null
        of_kept Null
        of_view Quarantine
        plain Quarantine
        strict Fail
        v Null
        why Null"#]]
    .assert_eq(&found.join("\n"));
    expect![[r#"
        error[E0205]: `plain__errors` is the error table of `plain`
          transforms/plain__errors.sql:1:1
          | select 1 as x
          | ^
          transforms/plain.sql:1:1
          | select late(x) as p from {{ ref('feat') }}
          | - its rows that a model cannot score go there
          hint: give this node another name
          node: plain__errors
        error[E0302]: `kept` has no error table
          transforms/why.sql:1:22
          | select * from {{ ref('kept__errors') }}
          |                      ^^^^^^^^^^^^^^
          hint: Python transforms of batches with `on_error="quarantine"` have one, and tables with a check of `on_fail: quarantine` or that score with a model
          node: why
        broken: plain__errors, why
    "#]]
    .assert_eq(&problems(&format!(
        "{TABLE}{model}-- transforms/kept.sql --\n{{{{ config(on_error='null') }}}}\n{score}\n\
         -- transforms/plain.sql --\n{score}\n-- transforms/plain__errors.sql --\nselect 1 as x\n\
         -- transforms/why.sql --\nselect * from {{{{ ref('kept__errors') }}}}\n"
    )));
}

#[test]
fn boosted_trees_have_the_options_of_bigquery() {
    check_model(
        "create model late options (model_type = 'boosted_tree_classifier', input_label_cols = ['y'], library = 'XGBoost', \
         num_parallel_tree = 3, learn_rate = 0.1, subsample = 0.5, booster_type = 'DART', max_bytes = '2GiB', gates = ['auc > 0.5'])\n\
         as select x, c, y from {{ ref('feat') }}",
        expect![[r#"
            Trees(BoostedTrees { label: "y", is_classifier: true, library: XgBoost, booster: Dart, max_iterations: 20, num_parallel_tree: 3, max_tree_depth: 6, learn_rate: 0.1, min_tree_child_weight: 1.0, min_split_loss: 0.0, subsample: 0.5, colsample_bytree: 1.0, colsample_bylevel: 1.0, colsample_bynode: 1.0, l1_reg: 0.0, l2_reg: 1.0, early_stop: true, min_rel_progress: 0.01, auto_class_weights: false, max_bytes: 2147483648 })
            Auto gates ["roc_auc > 0.5"] seed 0
            reads ["feat Result"]
            select x, c, y from feat"#]],
    );
    check_problems(
        "create model late options (model_type = 'boosted_tree_regressor', num_parallel_tree = 3, learn_rate = 0, \
         auto_class_weights = true, max_tree_depth = 99, library = 'catboost') as select 1 as label",
        expect![[r#"
            error[E0110]: `boosted_tree_regressor` has no option `auto_class_weights`
              models/late.sql:1:106
              | create model late options (model_type = 'boosted_tree_regressor', num_parallel_tree = 3, learn_rate = 0, auto_class_weights = true, max_tree_depth = 99, library = 'catboost') as select 1 as label
              |                                                                                                          ^^^^^^^^^^^^^^^^^^
              hint: it has `model_type`, `data_split_method`, `data_split_eval_fraction`, `gates`, `seed`, `booster_type`, `colsample_bylevel`, `colsample_bynode`, `colsample_bytree`, `early_stop`, `input_label_cols`, `l1_reg`, `l2_reg`, `learn_rate`, `library`, `max_bytes`, `max_iterations`, `max_tree_depth`, `min_rel_progress`, `min_split_loss`, `min_tree_child_weight`, `num_parallel_tree`, `subsample`
              node: late
            error[E0203]: expected one of `lightgbm`, `xgboost` for `library`, found `catboost`
              models/late.sql:1:164
              | create model late options (model_type = 'boosted_tree_regressor', num_parallel_tree = 3, learn_rate = 0, auto_class_weights = true, max_tree_depth = 99, library = 'catboost') as select 1 as label
              |                                                                                                                                                                    ^^^^^^^^^^
              node: late
            error[E0203]: expected a number from 1 to 30 for `max_tree_depth`, found `99`
              models/late.sql:1:150
              | create model late options (model_type = 'boosted_tree_regressor', num_parallel_tree = 3, learn_rate = 0, auto_class_weights = true, max_tree_depth = 99, library = 'catboost') as select 1 as label
              |                                                                                                                                                      ^^
              node: late
            error[E0203]: expected a number above 0 and up to 1 for `learn_rate`, found `0`
              models/late.sql:1:103
              | create model late options (model_type = 'boosted_tree_regressor', num_parallel_tree = 3, learn_rate = 0, auto_class_weights = true, max_tree_depth = 99, library = 'catboost') as select 1 as label
              |                                                                                                       ^
              node: late
            broken: late
        "#]],
    );
    check_problems(
        "create model late options (model_type = 'boosted_tree_regressor', num_parallel_tree = 3) as select 1 as label",
        expect![[r#"
            error[E0203]: expected 1 for `num_parallel_tree` of LightGBM, found `3`
              models/late.sql:1:87
              | create model late options (model_type = 'boosted_tree_regressor', num_parallel_tree = 3) as select 1 as label
              |                                                                                       ^
              hint: XGBoost has it: `library = 'xgboost'`
              node: late
            broken: late
        "#]],
    );
}

#[test]
fn a_model_of_a_server_is_a_node() {
    let model = |said: &str| format!("{TABLE}-- models/about.yml --\nmodels:\n  fraud: {{{said}}}\n");
    let project = project(&model("mlflow: 'models:/team.fraud@champion', label: y"));
    let NodeKind::Imported(fraud) = &project.nodes["fraud"].kind else { panic!("`fraud` is imported") };
    expect![[
        r#"Mlflow(MlflowModel { reference: "models:/team.fraud@champion", name: "team.fraud", version: "champion" })"#
    ]]
    .assert_eq(&format!("{:?}", fraud.place));
    for (said, expected) in [
        (
            "mlflow: 'fraud@champion'",
            expect![[r#"
            error[E0203]: `fraud@champion` names no model of MLflow
              models/about.yml:2:19
              |   fraud: {mlflow: 'fraud@champion'}
              |                   ^^^^^^^^^^^^^^^^
              hint: name a version or an alias: `models:/fraud@champion`, `models:/fraud/3`, `models:/fraud/latest`
              node: fraud
            broken: fraud
        "#]],
        ),
        (
            "mlflow: 'models:/fraud/Production'",
            expect![[r#"
            error[E0203]: `Production` is no version of a model
              models/about.yml:2:19
              |   fraud: {mlflow: 'models:/fraud/Production'}
              |                   ^^^^^^^^^^^^^^^^^^^^^^^^^^
              hint: stages are no more: give the version an alias, and write `models:/fraud@Production`
              node: fraud
            broken: fraud
        "#]],
        ),
        (
            "mlflow: 'models:/fraud/3', path: x.onnx",
            expect![[r#"
            error[E0203]: `path` and `mlflow` are two answers to one question
              models/about.yml:2:19
              |   fraud: {mlflow: 'models:/fraud/3', path: x.onnx}
              |                   ^^^^^^^^^^^^^^^^^
              models/about.yml:2:44
              |   fraud: {mlflow: 'models:/fraud/3', path: x.onnx}
              |                                            ------ also here
              hint: keep one of them
              node: fraud
            broken: fraud
        "#]],
        ),
        (
            "mlflow: 'models:/fraud/latest', format: onnx",
            expect![[r#"
            error[E0203]: `format` is for files: MLflow says what its models are
              models/about.yml:2:51
              |   fraud: {mlflow: 'models:/fraud/latest', format: onnx}
              |                                                   ^^^^
              hint: remove it
              node: fraud
            broken: fraud
        "#]],
        ),
    ] {
        expected.assert_eq(&problems(&model(said)));
    }
}

#[test]
fn a_class_that_scores_is_a_node_with_its_code_and_packages() {
    let class = |said: &str| {
        format!(
            "{TABLE}-- lib/helper.py --\nSHIFT = 1\n-- models/scorer.py --\n# /// script\n# dependencies = [\"numpy\"]\n# ///\n\
             import helper\n\n\nclass Scorer:\n    pass\n\n\ndef score():\n    pass\n\
             -- models/about.yml --\nmodels:\n  fraud: {{{said}}}\n"
        )
    };
    let project = project(&class(
        "class: 'models/scorer.py:Scorer', artifacts: {weights: files/w.npy}, inputs: {amount: double, plan: varchar}, \
         output: {score: double, why: varchar}, num_cpus: 2, concurrency: [1, 4], timeout: 30s",
    ));
    let NodeKind::Imported(fraud) = &project.nodes["fraud"].kind else { panic!("`fraud` is imported") };
    let ModelPlace::Class(scorer) = &fraud.place else { panic!("`fraud` is a class") };
    assert_eq!(scorer.code.object, "Scorer");
    assert_eq!(scorer.code.sources.keys().collect::<Vec<_>>(), ["models/scorer.py", "lib/helper.py"]);
    assert_eq!(scorer.code.environment.dependencies, ["numpy"]);
    assert!(scorer.artifacts["weights"].path.ends_with("/files/w.npy"));
    assert_eq!(fraud.inputs, ["amount", "plan"]);
    assert_eq!(fraud.outputs.iter().map(|output| output.name.as_str()).collect::<Vec<_>>(), ["score", "why"]);
    assert_eq!((scorer.code.workers.num_cpus, scorer.code.workers.concurrency), (2.0, Some((1, 4))));
    assert!(!project.nodes.contains_key("scorer"), "a file that a class stands in trains no model");
    for (said, expected) in [
        (
            "class: 'scorer.py:Scorer', inputs: {a: double}",
            expect![[r#"
            error[E0203]: `scorer.py:Scorer` names no class of a file in `lib/` or `models/`
              models/about.yml:2:18
              |   fraud: {class: 'scorer.py:Scorer', inputs: {a: double}}
              |                  ^^^^^^^^^^^^^^^^^^
              hint: name its file and the class: `class: lib/scorer.py:Scorer`
              node: fraud
            error[E0403]: `models/scorer.py` defines no model
              models/scorer.py:1:1
              | # /// script
              | ^
              hint: decorate one function at module level with `@model(...)`; shared code belongs into `lib/`
              node: scorer
            broken: fraud, scorer
        "#]],
        ),
        (
            "class: 'models/scorer.py:Scorr', inputs: {a: double}",
            expect![[r#"
            error[E0203]: `models/scorer.py` defines no class `Scorr`
              models/about.yml:2:18
              |   fraud: {class: 'models/scorer.py:Scorr', inputs: {a: double}}
              |                  ^^^^^^^^^^^^^^^^^^^^^^^^ did you mean `Scorer`?
              node: fraud
            broken: fraud
        "#]],
        ),
        (
            "class: 'lib/nothing.py:Scorer', inputs: {a: double}",
            expect![[r#"
            error[E0207]: there is no file `lib/nothing.py`
              models/about.yml:2:18
              |   fraud: {class: 'lib/nothing.py:Scorer', inputs: {a: double}}
              |                  ^^^^^^^^^^^^^^^^^^^^^^^
              hint: a path is one below the project's folder: `class: lib/scorer.py:Scorer`
              node: fraud
            error[E0403]: `models/scorer.py` defines no model
              models/scorer.py:1:1
              | # /// script
              | ^
              hint: decorate one function at module level with `@model(...)`; shared code belongs into `lib/`
              node: scorer
            broken: fraud, scorer
        "#]],
        ),
        (
            "class: 'models/scorer.py:Scorer', inputs: [a]",
            expect![[r#"
                error[E0204]: a class does not say which columns it reads
                  models/about.yml:2:45
                  |   fraud: {class: 'models/scorer.py:Scorer', inputs: [a]}
                  |                                             ^^^^^^
                  hint: name them with their types: `inputs: {amount: double, plan: varchar}`
                  node: fraud
                broken: fraud
            "#]],
        ),
        (
            "class: 'models/scorer.py:Scorer', inputs: {a: double}, output: double, classes: [a, b]",
            expect![[r#"
                error[E0203]: a model with `classes` answers their probabilities
                  models/about.yml:2:66
                  |   fraud: {class: 'models/scorer.py:Scorer', inputs: {a: double}, output: double, classes: [a, b]}
                  |                                                                  ^^^^^^
                  hint: remove `output`, or `classes`
                  node: fraud
                broken: fraud
            "#]],
        ),
        (
            "class: 'models/scorer.py:Scorer', inputs: {a: double}, timeout: soon, concurrency: [4, 1]",
            expect![[r#"
                error[E0203]: expected a number of workers such as `4`, or fewest and most such as `[1, 8]` for `concurrency`, found a list
                  models/about.yml:2:94
                  |   fraud: {class: 'models/scorer.py:Scorer', inputs: {a: double}, timeout: soon, concurrency: [4, 1]}
                  |                                                                                              ^^^^^^
                  node: fraud
                error[E0203]: expected a time such as `30s` for `timeout`, found `soon`
                  models/about.yml:2:75
                  |   fraud: {class: 'models/scorer.py:Scorer', inputs: {a: double}, timeout: soon, concurrency: [4, 1]}
                  |                                                                           ^^^^
                  node: fraud
                broken: fraud
            "#]],
        ),
        (
            "path: x.onnx, output: double",
            expect![[r#"
            error[E0203]: `output` is for models that Python scores
              models/about.yml:2:25
              |   fraud: {path: x.onnx, output: double}
              |                         ^^^^^^
              hint: remove it: this file is scored without Python
              node: fraud
            error[E0403]: `models/scorer.py` defines no model
              models/scorer.py:1:1
              | # /// script
              | ^
              hint: decorate one function at module level with `@model(...)`; shared code belongs into `lib/`
              node: scorer
            broken: fraud, scorer
        "#]],
        ),
        (
            "path: x.onnx, class: 'models/scorer.py:Scorer'",
            expect![[r#"
                error[E0203]: `path` and `class` are two answers to one question
                  models/about.yml:2:32
                  |   fraud: {path: x.onnx, class: 'models/scorer.py:Scorer'}
                  |                                ^^^^^^^^^^^^^^^^^^^^^^^^^
                  models/about.yml:2:17
                  |   fraud: {path: x.onnx, class: 'models/scorer.py:Scorer'}
                  |                 ------ also here
                  hint: keep one of them
                  node: fraud
                broken: fraud
            "#]],
        ),
    ] {
        expected.assert_eq(&problems(&class(said)));
    }
}
