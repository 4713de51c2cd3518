//! Models whose scoring is a class of the project: its files and code are a version, and workers score with it in SQL.

use expect_test::expect;

use crate::support::Project;

const MODEL: &str = r#"
-- files/weight.txt --
2.5
-- lib/helper.py --
SHIFT = 0.0
-- lib/scorer.py --
import helper


class Scorer:
    def __init__(self, artifacts):
        with open(artifacts["weight"]) as file:
            self.weight = float(file.read())

    def predict(self, rows):
        if (rows["amount"] > 90).any():
            raise ValueError("an amount beyond 90")
        return rows["amount"] * self.weight + rows["age"] + helper.SHIFT
-- models/about.yml --
models:
  cost:
    class: lib/scorer.py:Scorer
    artifacts: {weight: files/weight.txt}
    inputs: {amount: double, age: bigint}
    label: price
    batch_format: numpy
    description: what an order costs
-- seeds/orders.csv --
id,amount,age,price
1,1,2,4.5
2,2,3,9
3,100,1,1
4,4,4,14
"#;

const SCORED: &str = r#"
-- transforms/scored.sql --
{{ config(max_error_rate='50%') }}
select id, predicted_price, cost(amount, age) as p, case when id < 3 then cost(amount, age) end as guarded
from ml.predict(model cost, table {{ ref('orders') }})
-- transforms/about.yml --
transforms:
  scored: {checks: [{unique: {columns: [id]}}]}
"#;

fn project(text: &str) -> Project {
    Project::with_python(&format!("{MODEL}{text}"))
}

#[test]
fn a_class_scores_in_sql_and_rows_that_it_raises_for_are_error_rows() {
    let project = project(SCORED);
    project.windlass(["plan"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          build  cost     0 columns  not imported yet
          build  orders   4 columns  not published yet
          build  scored   4 columns  not published yet

        3 to build, 0 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ cost              0 rows  [SIZE]  version 1  [TIME]
          ✓ orders            4 rows  [SIZE]  version 0  [TIME]
          ✓ scored            3 rows  [SIZE]  version 0  [TIME]
          ! scored  14.29% of rows quarantined: ValueError: an amount beyond 90 1   see: windlass errors scored
        scored 1 check passed
        Published 3 of 3 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"id":1,"predicted_price":4.5,"p":4.5,"guarded":4.5}
        {"id":2,"predicted_price":8.0,"p":8.0,"guarded":8.0}
        {"id":4,"predicted_price":14.0,"p":14.0,"guarded":null}"#]]
    .assert_eq(&project.rows("select * from scored order by id"));
    project.windlass(["errors", "scored"]).check(expect![[r#"
        exit 0
        -- stdout
        scored  1 of 4 rows failed (25.00%), version 0

          1  model  ValueError: an amount beyond 90
                    such as id=3  {"amount":100.0,"age":1,"id":3}
        -- stderr

        compute it with the model and the input as they are now: windlass run scored
    "#]]);
    // A table of its own: metrics over all rows that it scores, and a query that asks beside a guard.
    let evaluated = "select round(mean_absolute_error, 6) as mae from ml.evaluate(model cost, table orders)";
    expect![[r#"{"mae":0.333333}"#]].assert_eq(&project.rows(evaluated));
    let guarded = "select id, coalesce(cost(amount, age), -1) as p from orders where age > 1 order by id";
    expect![[r#"
        {"id":1,"p":4.5}
        {"id":2,"p":8.0}
        {"id":4,"p":14.0}"#]]
    .assert_eq(&project.rows(guarded));
    let shown = project.json(["models", "show", "cost"]);
    let artifacts = shown["version"]["artifacts"].as_array().unwrap();
    let paths: Vec<&str> = artifacts.iter().map(|artifact| artifact["path"].as_str().unwrap()).collect();
    let expected = ["windlass.json", "code/lib/scorer.py", "code/lib/helper.py", "artifacts/weight/weight.txt"];
    assert_eq!((paths.as_slice(), &shown["version"]["format"]), (&expected[..], &"python".into()), "{shown}");
}

#[test]
fn a_changed_file_or_module_is_a_new_version_and_old_ones_keep_theirs() {
    let project = project(
        "-- transforms/scored.sql --\nselect id, cost(amount, age) as p from {{ ref('orders') }} where id <> 3\n\
         -- transforms/first.sql --\nselect id, cost@1(amount, age) as p from {{ ref('orders') }} where id <> 3\n",
    );
    // No other test has this version, whose files in the cache are changed below.
    project.write("files/weight.txt", "3.5");
    assert_eq!(project.windlass(["run", "-q", "+scored"]).code, 0);
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ cost    unchanged  version 1
          ✓ orders  unchanged  version 0
          ✓ first   unchanged  version 0
          ✓ scored  unchanged  version 0
        Nothing has changed, 4 tables of prod stay  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.write("files/weight.txt", "10");
    project.windlass(["plan"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          build  cost     0 columns  Scorer, its files or packages, or what is said of it changed  last time 0 rows in [TIME]
          reuse  orders   4 columns  unchanged, version 0
          build  first    2 columns  reads `cost`, which is built  last time 3 rows in [TIME]
          build  scored   2 columns  reads `cost`, which is built  last time 3 rows in [TIME]

        3 to build, [TIME] last time, 1 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    let total = |table: &str| project.rows(&format!("select sum(p) as total from {table}"));
    expect![[r#"{"total":79.0}"#]].assert_eq(&total("scored"));
    project.write("lib/helper.py", "SHIFT = 1000.0\n");
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    expect![[r#"{"total":3079.0}"#]].assert_eq(&total("scored"));
    // Version 1 has the weight and the module that it was registered with.
    project.write(
        "transforms/first.sql",
        "select id, cost@1(amount, age) + 0 as p from {{ ref('orders') }} where id <> 3\n",
    );
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    expect![[r#"{"total":33.5}"#]].assert_eq(&total("first"));
    project.windlass(["models", "ls"]).check(expect![[r#"
        exit 0
        -- stdout
        cost    3 versions  python regression         champion 3, trained 3  [DATE] [CLOCK]
    "#]]);
    // A file of the cache that is not what was registered is not loaded.
    let cached = std::fs::read_dir(cache().join("models")).unwrap();
    let weights = cached.map(|folder| folder.unwrap().path().join("artifacts/weight/weight.txt"));
    let is_own = |weight: &std::path::PathBuf| std::fs::read_to_string(weight).is_ok_and(|text| text == "3.5");
    let own: Vec<_> = weights.filter(is_own).collect();
    assert!(!own.is_empty());
    own.iter().for_each(|weight| std::fs::write(weight, "-1").unwrap());
    assert_eq!(project.windlass(["run", "-q", "--no-cache"]).code, 0);
    expect![[r#"{"total":33.5}"#]].assert_eq(&total("first"));
}

#[expect(clippy::disallowed_methods, reason = "the cache stands where the binary looks for it")]
fn cache() -> std::path::PathBuf {
    let home = std::env::var_os("HOME").unwrap();
    let cache = std::env::var_os("XDG_CACHE_HOME").map(std::path::PathBuf::from);
    cache.unwrap_or_else(|| std::path::Path::new(&home).join(".cache")).join("windlass")
}

#[test]
fn a_classifier_answers_probabilities_and_others_what_they_declare() {
    let project = Project::with_python(
        r#"
-- models/risk.py --
import numpy as np


class Risk:
    def predict(self, rows):
        late = np.clip(rows["amount"] / 10.0, 0, 1)
        return np.column_stack([1 - late, late])


class Words:
    def predict(self, rows):
        return {"word": [f"{plan}!" for plan in rows["plan"]], "length": [len(plan) for plan in rows["plan"]]}
-- models/about.yml --
models:
  risk: {class: "models/risk.py:Risk", inputs: {amount: double}, classes: [fine, late], label: state, batch_format: numpy}
  words:
    class: models/risk.py:Words
    inputs: {plan: varchar}
    output: {word: varchar, length: int}
    batch_format: numpy
-- seeds/orders.csv --
id,amount,plan,state
1,1,gold,fine
2,7,,late
3,4,tin,late
-- transforms/scored.sql --
select id, predicted_state, predicted_state_probs[2]['prob'] as p, risk(amount) as same, word, length
from ml.predict(model risk, (select * from ml.predict(model words, table {{ ref('orders') }})), struct(0.3 as threshold))
"#,
    );
    let answer = project.windlass(["run", "-q"]);
    assert_eq!(answer.code, 1, "{answer}");
    project.write("transforms/about.yml", "transforms:\n  scored: {max_error_rate: 40%}\n");
    let answer = project.windlass(["run", "-q"]);
    assert_eq!(answer.code, 0, "{answer}");
    expect![[r#"
        {"id":1,"predicted_state":"fine","p":0.1,"same":0.1,"word":"gold!","length":4}
        {"id":3,"predicted_state":"late","p":0.4,"same":0.4,"word":"tin!","length":3}"#]]
    .assert_eq(&project.rows("select * from scored order by id"));
    expect![[r#"{"error":"TypeError: object of type 'NoneType' has no len()","model":"words","row":{"amount":null,"plan":null}}"#]].assert_eq(&project.rows("select error, model, row from scored__errors"));
    let evaluated = "select accuracy, recall from ml.evaluate(model risk, table orders)";
    expect![[r#"{"accuracy":0.6666666666666666,"recall":0.5}"#]].assert_eq(&project.rows(evaluated));
}

#[test]
fn a_class_that_cannot_be_loaded_names_its_file_and_what_to_do() {
    let project = project("-- transforms/scored.sql --\nselect id, cost(amount, age) as p from {{ ref('orders') }}\n");
    project.write(
        "lib/scorer.py",
        "class Scorer:\n    def __init__(self, artifacts):\n        self.weight = open('weight.txt')\n\n    \
         def predict(self, rows):\n        return rows['amount']\n",
    );
    project.windlass(["run"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ cost              0 rows  [SIZE]  version 1  [TIME]
          ✓ orders            4 rows  [SIZE]  version 0  [TIME]
          ✗ scored  failed  [TIME]
        error[E1012]: a worker of `scored` could not start: model `cost` cannot be loaded from lib/scorer.py: FileNotFoundError: [Errno 2] No such file or directory: 'weight.txt'
         --> lib/scorer.py:3:9
          |
        3 |         self.weight = open('weight.txt')
          |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          |
          = note: Traceback (most recent call last):
                    File "[DIR]/lib/scorer.py", line 3, in __init__
                      self.weight = open('weight.txt')
                  FileNotFoundError: [Errno 2] No such file or directory: 'weight.txt'
          = help: name the file among the model's `artifacts`, and open `artifacts[name]`
        windlass explain E1012
        Published 2 of 3 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project
        .write("lib/scorer.py", "import nowhere\n\n\nclass Scorer:\n    def predict(self, rows):\n        return 1\n");
    project.windlass(["run"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ cost              0 rows  [SIZE]  version 2  [TIME]
          ✓ orders  unchanged  version 0
          ✗ scored  failed  [TIME]
        error[E1012]: a worker of `scored` could not start: model `cost` cannot be loaded from lib/scorer.py: ModuleNotFoundError: No module named 'nowhere'
         --> lib/scorer.py:1:1
          |
        1 | import nowhere
          | ^^^^^^^^^^^^^^
          |
          = note: Traceback (most recent call last):
                    File "[DIR]/lib/scorer.py", line 1, in <module>
                      import nowhere
                  ModuleNotFoundError: No module named 'nowhere'
          = help: name the package of `nowhere` in the `# /// script` block of lib/scorer.py
        windlass explain E1012
        Published 1 of 3 to prod, 1 unchanged, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    // What it answers is checked, whatever the rows.
    project.write("lib/scorer.py", "class Scorer:\n    def __init__(self, artifacts):\n        pass\n\n    def predict(self, rows):\n        return [1.0]\n");
    project.windlass(["run"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ cost              0 rows  [SIZE]  version 3  [TIME]
          ✓ orders  unchanged  version 0
          ✗ scored  failed  [TIME]
        error[E0405]: `predict` of model `cost` answered 1 values for 4 rows: answer one per row
         --> transforms/scored.sql:1:12
          |
        1 | select id, cost(amount, age) as p from {{ ref('orders') }}
          |            ^^^^
        windlass explain E0405
        Published 1 of 3 to prod, 1 unchanged, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}

#[test]
fn what_does_not_fit_is_told_before_the_run() {
    let project = project(
        "-- transforms/typed.sql --\nselect * from ml.predict(model cost, (select amount, 1.5 as age from {{ ref('orders') }}))\n\
         -- transforms/missing.sql --\nselect * from ml.predict(model cost, (select amount from {{ ref('orders') }}))\n",
    );
    project.windlass(["plan"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E1003]: model `cost` has an input `age`, the rows do not
         --> transforms/missing.sql:1:32
          |
        1 | select * from ml.predict(model cost, (select amount from {{ ref('orders') }}))
          |                                ^^^^
          |
          = help: it reads (amount double, age bigint)

        error[E1003]: model `cost` expects a bigint in `age`, the rows have double
         --> transforms/typed.sql:1:32
          |
        1 | select * from ml.predict(model cost, (select amount, 1.5 as age from {{ ref('orders') }}))
          |                                ^^^^
          |
          = help: cast it as it was in training

        2 mistakes, nothing was done
        windlass explain E1003
    "#]]);
    for (said, expected) in [
        (
            "artifacts: {weight: files/none.txt}",
            expect![[r#"
            exit 2
            -- stderr
            error[E0207]: artifact `weight` of `cost` is not there
             --> models/about.yml:5:25
              |
            5 |     artifacts: {weight: files/none.txt}
              |                         ^^^^^^^^^^^^^^
              |
              = note: looked for: [DIR]/files/none.txt
              = help: name a file, a folder with files, or a URL
            windlass explain E0207
        "#]],
        ),
        (
            "inputs: {amount: number}",
            expect![[r#"
            exit 2
            -- stderr
            error[E0203]: `number` is no type of a column that a model reads or answers
             --> models/about.yml:4:22
              |
            4 |     inputs: {amount: number}
              |                      ^^^^^^
              |
              = help: there are boolean, int, bigint, float, double, varchar and timestamp
            windlass explain E0203
        "#]],
        ),
    ] {
        let about = "models:\n  cost:\n    class: lib/scorer.py:Scorer\n    inputs: {amount: double}\n";
        let about = match said.starts_with("inputs") {
            true => about.replace("inputs: {amount: double}", said),
            false => format!("{about}    {said}\n"),
        };
        project.write("models/about.yml", &about);
        project.windlass(["plan", "cost"]).check(expected);
    }
}
