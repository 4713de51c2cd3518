//! Models in Python: trained in a worker with packages of their own, scored in the engine.

use expect_test::expect;

use crate::support::Project;

const ROWS: &str = r#"
-- transforms/points.sql --
select
  value as id,
  case when value % 11 = 0 then null else (value * 7919 % 1000) / 1000.0 end as x,
  case when value % 3 = 0 then 'a' when value % 3 = 1 then 'b' else 'c' end as kind,
  (value * 7919 % 1000 > 500) <> (value % 3 = 0) as is_high
from generate_series(1, 2000)
"#;

const MODEL: &str = r#"
-- models/high.py --
# /// script
# dependencies = ["scikit-learn==1.9.1", "pandas==3.1.1", "skl2onnx==1.20.0"]
# ///
from windlass import model, ref, var

FEATURES = ["x", "kind"]


@model(
    input=ref("points"),
    where="id <= {{ var('until') }}",
    label="is_high",
    features=FEATURES,
    order_by="id",
    seed=7,
    gates={"auc": ">= 0.6"},
    tags=["ml"],
)
def train(data, run):
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rows = data.pandas()
    assert list(rows["id"]) == sorted(rows["id"]), "rows come in the order that is asked for"
    held = rows.sample(frac=0.2, random_state=run.seed).index
    fit, rest = rows.drop(held), rows.loc[held]
    model = make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(), StandardScaler()), ["x"]),
            (OneHotEncoder(handle_unknown="ignore"), ["kind"]),
        ),
        LogisticRegression(C=1.0),
    ).fit(fit[FEATURES], fit["is_high"])
    run.log_metric("auc", roc_auc_score(rest["is_high"], model.predict_proba(rest[FEATURES])[:, 1]))
    run.log_params({"C": 1.0, "rows_fitted": len(fit)})
    return model
-- transforms/scored.sql --
select id, predicted_is_high, round(high(x, kind), 6) as p from ml.predict(model high, table {{ ref('points') }})
"#;

fn project(text: &str) -> Project {
    let project = Project::with_python(text);
    project.write("windlass.yml", "name: test\nversion: 1\nvars: {until: 1500}\n");
    project
}

#[test]
fn a_function_trains_and_sql_scores() {
    let project = project(&format!("{ROWS}{MODEL}"));
    project.windlass(["plan"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          build  points   4 columns  not published yet
          build  high     4 columns  not trained yet  python train in models/high.py
          build  scored   3 columns  not published yet

        3 to build, 0 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text, what Python answers.
    "#]]);
    let answer = project.windlass(["run", "-q"]);
    assert_eq!(answer.code, 0, "{answer}");
    let shown = project.json(["models", "show", "high"]);
    let version = &shown["version"];
    assert_eq!(version["format"], "windlass", "{shown}");
    assert_eq!(version["params"]["estimator"], "LogisticRegression", "{shown}");
    assert_eq!(version["params"]["rows"], "1500", "{shown}");
    assert_eq!(version["params"]["rows_fitted"], "1200", "{shown}");
    assert_eq!(version["gates"][0]["rule"], "auc >= 0.6", "{shown}");
    assert!(version["metrics"]["auc"].as_f64().unwrap() > 0.6, "{shown}");
    project
        .windlass([
            "show",
            "--sql",
            "select count(*) as n, count(p) as scored, min(p) > 0 as low, max(p) < 1 as high from scored",
        ])
        .check(expect![[r#"
            exit 0
            -- stdout
            +------+--------+------+------+
            | n    | scored | low  | high |
            +------+--------+------+------+
            | 2000 | 2000   | true | true |
            +------+--------+------+------+
            -- stderr
            1 row
        "#]]);
    // Nothing has changed; trained anew all the same, it is the same to the bit and so the same version.
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ points  unchanged  version 0
          ✓ high    unchanged  version 1
          ✓ scored  unchanged  version 0
        Nothing has changed, 3 tables of prod stay  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    assert_eq!(project.windlass(["run", "-q", "--no-cache", "high"]).code, 0);
    assert_eq!(project.json(["models", "show", "high"])["version"]["version"], 1);
    // Another variable is another training, and so is other code.
    project.write("windlass.yml", "name: test\nversion: 1\nvars: {until: 1800}\n");
    project.windlass(["plan", "high"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          build  high   4 columns  var until: 1500 → 1800  last time 1,500 rows in [TIME]  python train in models/high.py

        1 to build, [TIME] last time, 0 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text, what Python answers.
    "#]]);
}

/// Trees of scikit-learn go through ONNX, and back to the same file.
#[test]
fn forests_are_scored_as_onnx() {
    let forest = r#"
-- models/high.py --
# /// script
# dependencies = ["scikit-learn==1.9.1", "pandas==3.1.1", "skl2onnx==1.20.0"]
# ///
from sklearn.ensemble import RandomForestClassifier
from windlass import model, ref


@model(input=ref("points"), label="is_high", features=["x", "id"], order_by=["id"], seed=1)
def train(data, run):
    rows = data.pandas(["x", "id", "is_high"])
    forest = RandomForestClassifier(20, random_state=run.seed)
    return forest.fit(rows[["x", "id"]], rows["is_high"])
-- transforms/scored.sql --
select id, high(x, id) as p, x is null as had_gap from {{ ref('points') }}
"#;
    let project = project(&format!("{ROWS}{forest}"));
    let answer = project.windlass(["run", "-q"]);
    assert_eq!(answer.code, 0, "{answer}");
    let shown = project.json(["models", "show", "high"]);
    assert_eq!(shown["version"]["format"], "onnx", "{shown}");
    assert!(shown["version"]["params"]["largest_difference"].is_string(), "{shown}");
    let answer = project.windlass(["run", "-q", "--no-cache", "high"]);
    assert_eq!(answer.code, 0, "{answer}");
    assert_eq!(project.json(["models", "show", "high"])["version"]["version"], 1);
    let sql = "select count(p) as scored, count(*) filter (where had_gap) as gaps from scored";
    project.windlass(["show", "--sql", sql]).check(expect![[r#"
        exit 0
        -- stdout
        +--------+------+
        | scored | gaps |
        +--------+------+
        | 2000   | 181  |
        +--------+------+
        -- stderr
        1 row
    "#]]);
}

#[test]
fn a_gate_that_is_missed_keeps_the_version_aside() {
    let project = project(&format!("{ROWS}{}", MODEL.replace(">= 0.6", ">= 1.5")));
    let answer = project.windlass(["run", "points", "high"]);
    assert_eq!(answer.code, 1, "{answer}");
    assert!(answer.stderr.contains("missed auc >= 1.5, found 0."), "{answer}");
    // A metric that nobody logs cannot hold.
    project.add(&MODEL.replace("\"auc\": \">= 0.6\"", "\"f2\": \"> 0\""));
    let answer = project.windlass(["run", "high"]);
    assert!(answer.stderr.contains("missed f2 > 0, and there is no such metric"), "{answer}");
}

#[test]
fn planning_reads_the_decorator_and_runs_nothing() {
    let project = Project::new(ROWS);
    let code = |arguments: &str, def: &str| {
        format!(
            "from windlass import model, ref\nimport nowhere\n\n\n@model({arguments})\n{def}\n    raise SystemExit\n"
        )
    };
    let mut told = String::new();
    for (arguments, def) in [
        (
            "input=ref(\"points\"), label=\"is_hihg\", features=[\"x\", \"kidn\"], order_by=\"nothing\"",
            "def train(data, run):",
        ),
        (
            "input=ref(\"points\"), label=\"is_high\", seed=1, gates={\"auc\": \"good\"}, label_col=\"x\"",
            "def train(data):",
        ),
        ("ref(\"points\"), label=str(1)", "def train(data, run):"),
        ("ref(\"points\"), label=\"x\", where=\"yy > 1\"", "def train(data, run):"),
    ] {
        project.write("models/high.py", &code(arguments, def));
        let answer = project.windlass(["plan"]);
        told.push_str(&answer.to_string());
    }
    expect![[r#"
        exit 2
        -- stderr
        error[E0102]: the query of `high` has no column `is_hihg` to predict
         --> models/high.py:5:35
          |
        5 | @model(input=ref("points"), label="is_hihg", features=["x", "kidn"], order_by="nothing")
          |                                   ^^^^^^^^^
          |
          = note: columns: `id`, `x`, `kind`, `is_high`
          = help: did you mean `is_high`?

        error[E0102]: `features` of `high` names column `kidn`, which its rows do not have
         --> models/high.py:5:55
          |
        5 | @model(input=ref("points"), label="is_hihg", features=["x", "kidn"], order_by="nothing")
          |                                                       ^^^^^^^^^^^^^ did you mean `kind`?

        error[E0102]: `order_by` of `high` names column `nothing`, which its rows do not have
         --> models/high.py:5:79
          |
        5 | @model(input=ref("points"), label="is_hihg", features=["x", "kidn"], order_by="nothing")
          |                                                                               ^^^^^^^^^
          |
          = note: columns: `id`, `x`, `kind`, `is_high`

        3 mistakes, nothing was done
        windlass explain E0102
        exit 2
        -- stderr
        error[E0402]: unknown argument `label_col` of `@model`
         --> models/high.py:5:77
          |
        5 | @model(input=ref("points"), label="is_high", seed=1, gates={"auc": "good"}, label_col="x")
          |                                                                             ^^^^^^^^^ did you mean `label`?

        error[E0402]: `train` takes 1 argument, and training hands over two
         --> models/high.py:6:5
          |
        6 | def train(data):
          |     ^^^^^
          |
          = help: write `def train(data, run):`, the rows and what is noted

        error[E0402]: `seed` needs `order_by`
         --> models/high.py:5:46
          |
        5 | @model(input=ref("points"), label="is_high", seed=1, gates={"auc": "good"}, label_col="x")
          |                                              ^^^^
          |
          = help: rows come in any order otherwise, and what is drawn falls on others: `order_by=["id"]`

        error[E0402]: expected a bound such as `">= 0.85"` for `gates`, found `"good"`
         --> models/high.py:5:68
          |
        5 | @model(input=ref("points"), label="is_high", seed=1, gates={"auc": "good"}, label_col="x")
          |                                                                    ^^^^^^
          |
          = help: write `gates={"auc": ">= 0.85"}`, with the names that `run.log_metric` gives

        4 mistakes, nothing was done
        windlass explain E0402
        exit 2
        -- stderr
        error[E0402]: an argument must be a literal, planning does not run Python
         --> models/high.py:5:29
          |
        5 | @model(ref("points"), label=str(1))
          |                             ^^^^^^
          |
          = help: write the value itself, a module-level constant, or `var("name")` for a value of `windlass.yml`
        windlass explain E0402
        exit 2
        -- stderr
        error[E0102]: no column `yy`
         --> models/high.py:5:41
          |
        5 | @model(ref("points"), label="x", where="yy > 1")
          |                                         ^^
          |
          = note: columns: `id`, `x`, `kind`, `is_high`
        windlass explain E0102
    "#]]
    .assert_eq(&told);
    project.write(
        "models/high.py",
        &code("ref(\"points\"), label=\"is_high\", features=[\"x\"]", "def train(data, run):"),
    );
    assert_eq!(project.windlass(["plan"]).code, 0);
}

/// An estimator that nothing else can keep, of a class that stands beside the function.
#[test]
fn a_pickle_is_scored_by_workers_where_it_is_asked_for() {
    let pickled = r#"
-- models/high.py --
# /// script
# dependencies = ["scikit-learn==1.9.1", "pandas==3.1.1"]
# ///
from windlass import model, ref


class Nearest:
    def fit(self, rows, labels):
        from sklearn.neighbors import KNeighborsClassifier

        self.inner = KNeighborsClassifier(5).fit(rows[["x"]].fillna(0.5), labels)
        self.classes_ = self.inner.classes_
        self.feature_names_in_ = ["x", "kind"]
        return self

    def predict(self, rows):
        return self.inner.predict(rows[["x"]].fillna(0.5))

    def predict_proba(self, rows):
        if (rows["x"] > 0.995).any():
            raise ValueError("beyond what was seen")
        return self.inner.predict_proba(rows[["x"]].fillna(0.5))


@model(input=ref("points"), label="is_high", features=["x", "kind"], order_by="id", seed=1, keep="pickle")
def train(data, run):
    rows = data.pandas()
    run.log_metric("rows", len(rows))
    return Nearest().fit(rows[["x", "kind"]], rows["is_high"])
-- transforms/scored.sql --
select id, predicted_is_high, high(x, kind) as p from ml.predict(model high, table {{ ref('points') }})
"#;
    let project = project(&format!("{ROWS}{pickled}"));
    let answer = project.windlass(["run", "-q"]);
    assert_eq!(answer.code, 0, "{answer}");
    let shown = project.json(["models", "show", "high"]);
    assert_eq!(shown["version"]["format"], "pickle", "{shown}");
    assert_eq!(shown["version"]["params"]["estimator"], "Nearest", "{shown}");
    let sql = "select count(*) as n, count(p) as scored, min(p) >= 0 as low, max(p) <= 1 as high, \
               count(*) filter (where predicted_is_high = (p >= 0.5)) as agree from scored";
    expect![[r#"{"n":1992,"scored":1992,"low":true,"high":true,"agree":1992}"#]].assert_eq(&project.rows(sql));
    expect![[r#"{"error":"ValueError: beyond what was seen","n":8}"#]]
        .assert_eq(&project.rows("select error, count(*) as n from scored__errors group by error"));
    // What was opened before is what is trained again.
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ points  unchanged  version 0
          ✓ high    unchanged  version 1
          ✓ scored  unchanged  version 0
        Nothing has changed, 3 tables of prod stay  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    assert_eq!(project.windlass(["run", "-q", "--no-cache", "high"]).code, 0);
    assert_eq!(project.json(["models", "show", "high"])["version"]["version"], 1);
    // Another function is another version, though the class beside it is the same.
    project.add(&pickled.replace("len(rows))", "len(rows) + 1)"));
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    assert_eq!(project.json(["models", "show", "high"])["version"]["version"], 2);
}

#[test]
fn what_cannot_be_scored_is_not_kept() {
    let head = "# /// script\n# dependencies = [\"scikit-learn==1.9.1\", \"pandas==3.1.1\"]\n# ///\nfrom windlass import model, ref\n\n\n\
                @model(ref(\"points\"), label=\"is_high\", features=[\"x\"], columns=[\"id\"])\ndef train(data, run):\n    rows = data.pandas().dropna()\n";
    let project = project(ROWS);
    for (body, told) in [
        ("    return None\n", "`train` returned None: return the model that it has fitted"),
        ("    return 1\n", "training returned a builtins.int"),
        (
            "    from sklearn.ensemble import RandomForestClassifier\n    return RandomForestClassifier(2).fit(rows[[\"x\"]], rows[\"is_high\"])\n",
            "RandomForestClassifier is scored as ONNX, and its environment has no skl2onnx: add \"skl2onnx==1.20.0\"",
        ),
        (
            "    from sklearn.linear_model import LogisticRegression\n    return LogisticRegression().fit(rows[[\"x\", \"id\"]], rows[\"is_high\"])\n",
            "the model was fitted on `x`, `id`, and its features are `x`",
        ),
        (
            "    from sklearn.linear_model import LinearRegression\n    return LinearRegression().fit(rows[[\"x\"]], rows[\"is_high\"])\n",
            "LinearRegression predicts a number, and `is_high` a class",
        ),
        ("    rows[\"y\"]\n", "KeyError: 'y'"),
    ] {
        project.write("models/high.py", &format!("{head}{body}"));
        let answer = project.windlass(["run"]);
        assert_eq!(answer.code, 1, "{body}: {answer}");
        assert!(answer.stderr.contains(told), "{body}: {answer}");
        assert!(answer.stderr.contains("models/high.py:"), "{body}: {answer}");
    }
    assert_eq!(project.windlass(["models", "ls", "-q"]).code, 0);
}
