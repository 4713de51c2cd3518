//! Models that other libraries have trained: their files in SQL, and rows that they cannot score.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use expect_test::expect;
use serde_json::Value;

use crate::python;
use crate::support::{Project, parsed};

/// The interpreter with the libraries that train; its environment is made on first use, which takes minutes.
static TRAINING: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = python::root();
    let requirements = root.join("tests/models/requirements.txt");
    let output = Command::new("python3").arg(root.join("tests/python-env")).arg(requirements).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
});

/// Returns the interpreter with the libraries that train, as a command.
pub(crate) fn training() -> Command {
    Command::new(TRAINING.as_path())
}

/// Runs a script of `tests/models` and returns the last line that it prints.
pub(crate) fn trained(script: &str, args: &[&str]) -> Value {
    let output = training().arg(python::root().join("tests/models").join(script)).args(args).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    // MLflow says where to look before that.
    let printed = String::from_utf8(output.stdout).unwrap();
    parsed(printed.lines().last().unwrap_or_default())
}

/// Returns a project with a model of each format, and what their libraries answer.
fn project(text: &str) -> (Project, Value) {
    let project = Project::unlocked(&format!(
        "-- models/about.yml --\nmodels:\n  \
           light: {{path: files/light.txt, label: is_fraud, classes: ['false', 'true']}}\n  \
           extreme: {{path: files/extreme.json, label: price}}\n  \
           classifier: {{path: files/classifier.onnx, label: is_fraud, classes: ['no', 'yes']}}\n  \
           line: {{path: files/line.onnx, inputs: [amount, age]}}\n\
         -- sources.yml --\nsources:\n  - name: shop\n    tables: [{{name: orders, path: files/rows.csv}}]\n{text}"
    ));
    let answers = trained("outside.py", &[project.path("files").to_str().unwrap()]);
    (project, answers)
}

#[track_caller]
fn close(found: &Value, expected: &Value, what: &str) {
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{what}: {found} is not {expected}");
}

#[test]
fn files_of_other_libraries_score_in_sql_as_these_do() {
    let (project, answers) = project(
        "-- transforms/scored.sql --\n\
         select id, light(amount, age) as light, predicted_price as extreme, classifier(amount, age, plan) as classifier,\n  \
           line(amount, age) as line\n\
         from ml.predict(model extreme, table {{ source('shop', 'orders') }})\n\
         -- transforms/classes.sql --\n\
         select id, predicted_is_fraud from ml.predict(model classifier, table {{ source('shop', 'orders') }})\n",
    );
    let answer = project.windlass(["run", "-q"]);
    assert_eq!(answer.code, 0, "{answer}");
    let shown = project.json(["show", "--sql", "select * from scored order by id", "-n", "100"]);
    let rows = shown["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 20);
    for (at, row) in rows.iter().enumerate() {
        for model in ["light", "extreme", "classifier", "line"] {
            close(&row[model], &answers[model][at], &format!("row {at} of {model}"));
        }
    }
    let classes = project.rows("select count(distinct predicted_is_fraud) as n from classes");
    assert_eq!(classes, r#"{"n":2}"#);
}

#[test]
fn rows_that_a_graph_of_onnx_cannot_score_go_to_the_error_table() {
    let (project, _) = project(
        "-- seeds/orders.csv --\nid,amount,age,plan\n1,2.5,3,gold\n2,,3,gold\n3,2.5,,gold\n4,2.5,3,\n5,2.5,3,silver\n\
         -- transforms/scored.sql --\n{{ config(max_error_rate='60%') }}\n\
         select id, round(classifier(amount, age, plan), 3) is not null as is_scored, predicted_is_fraud\n\
         from ml.predict(model classifier, table {{ ref('orders') }})\n\
         -- transforms/about.yml --\ntransforms:\n  scored: {checks: [{unique: {columns: [id]}}]}\n",
    );
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ classifier            0 rows  [SIZE]  version 1  [TIME]
          ✓ extreme               0 rows  [SIZE]  version 1  [TIME]
          ✓ light                 0 rows  [SIZE]  version 1  [TIME]
          ✓ line                  0 rows  [SIZE]  version 1  [TIME]
          ✓ orders                5 rows  [SIZE]  version 0  [TIME]
          ✓ scored                2 rows  [SIZE]  version 0  [TIME]
          ! scored      60.00% of rows quarantined: input `age` is NULL 1 · input `plan` is NULL 1 · the model answers NaN 1   see: windlass errors scored
        scored 1 check passed
        Published 6 of 6 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.windlass(["errors", "scored"]).check(expect![[r#"
        exit 0
        -- stdout
        scored  3 of 5 rows failed (60.00%), version 0

          1  model  input `age` is NULL
                    such as id=3  {"amount":2.5,"age":null,"plan":"gold","id":3}
          1  model  input `plan` is NULL
                    such as id=4  {"amount":2.5,"age":3.0,"plan":null,"id":4}
          1  model  the model answers NaN
                    such as id=2  {"amount":null,"age":3.0,"plan":"gold","id":2}
        -- stderr

        compute it with the model and the input as they are now: windlass run scored
    "#]]);
    let errors =
        project.rows("select id, stage, error_type, error, model, model_version, row from scored__errors order by id");
    expect![[r#"
        {"id":2,"stage":"model","error_type":"E1014","error":"the model answers NaN","model":"classifier","model_version":1,"row":{"amount":null,"age":3.0,"plan":"gold","id":2}}
        {"id":3,"stage":"model","error_type":"E1014","error":"input `age` is NULL","model":"classifier","model_version":1,"row":{"amount":2.5,"age":null,"plan":"gold","id":3}}
        {"id":4,"stage":"model","error_type":"E1014","error":"input `plan` is NULL","model":"classifier","model_version":1,"row":{"amount":2.5,"age":3.0,"plan":null,"id":4}}"#]].assert_eq(&errors);
    project.windlass(["errors", "scored", "--replay"]).check(expect![[r#"
        exit 2
        -- stderr
        error: error rows of `scored` cannot be run again: a model could not score them
          hint: compute it with the model and the input as they are now: windlass run scored
    "#]]);
}

#[test]
fn a_table_that_does_not_fit_a_model_is_told_before_the_run() {
    let (project, _) = project(
        "-- transforms/renamed.sql --\n\
         select * from ml.predict(model classifier, (select amount, age, plan as tariff from {{ source('shop', 'orders') }}))\n\
         -- transforms/typed.sql --\nselect light(plan, age) as p from {{ source('shop', 'orders') }}\n\
         -- transforms/text.sql --\n\
         select * from ml.predict(model line, (select plan as amount, age from {{ source('shop', 'orders') }}))\n",
    );
    project.windlass(["plan"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E1003]: model `classifier` has an input `plan`, the rows do not
         --> transforms/renamed.sql:1:32
          |
        1 | select * from ml.predict(model classifier, (select amount, age, plan as tariff from {{ source('shop', 'orders') }}))
          |                                ^^^^^^^^^^
          |
          = help: it reads (amount number, age number, plan text)

        error[E1003]: model `line` expects a number in `amount`, the rows have varchar
         --> transforms/text.sql:1:32
          |
        1 | select * from ml.predict(model line, (select plan as amount, age from {{ source('shop', 'orders') }}))
          |                                ^^^^
          |
          = help: cast it as it was in training

        error[E0105]: execution error: Function 'light' user-defined coercion failed with: Error during planning: takes (amount number, age number), not (varchar, bigint). No function matches the given name and argument types 'light(Utf8, Int64)'. You might need to add explicit type casts
         --> transforms/typed.sql:1:1
          |
        1 | select light(plan, age) as p from {{ source('shop', 'orders') }}
          | ^

        3 mistakes, nothing was done
        windlass explain E0105 E1003
    "#]]);
}
