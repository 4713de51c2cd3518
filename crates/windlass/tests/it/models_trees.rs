//! Boosted trees of `CREATE MODEL`: grown by a library in a worker, scored in the engine.

use expect_test::expect;

use crate::support::Project;

/// Rows with gaps, a text, and a class and a number that follow from both.
const ROWS: &str = r#"
-- transforms/points.sql --
select
  value as id,
  case when value % 11 = 0 then null else (value * 7919 % 1000) / 1000.0 end as x,
  case when value % 13 = 0 then null when value % 3 = 0 then 'a b' when value % 3 = 1 then '10' else 'ü' end as kind,
  (value * 7919 % 1000 > 500) <> (value % 3 = 0) as is_high,
  (value * 7919 % 1000) / 100.0 + value % 3 as amount
from generate_series(1, 3000)
"#;

const MODELS: &str = r#"
-- models/high.sql --
create model high
options (
  model_type = 'boosted_tree_classifier', input_label_cols = ['is_high'], max_iterations = 30, subsample = 0.8,
  early_stop = false, seed = 3, gates = ['auc >= 0.9']
)
as select x, kind, is_high from {{ ref('points') }}
-- models/amount.sql --
create model amount
options (model_type = 'boosted_tree_regressor', library = 'xgboost', input_label_cols = ['amount'], num_parallel_tree = 2)
as select x, kind, amount from {{ ref('points') }}
-- transforms/scored.sql --
select id, x, kind, predicted_is_high, high(x, kind) as p, amount(x, kind) as predicted_amount
from ml.predict(model high, table {{ ref('points') }})
"#;

/// What the libraries themselves answer, out of the files of the registry.
const THEIRS: &str = r#"
-- transforms/theirs_high.py --
# /// script
# dependencies = ["lightgbm==4.7.0"]
# ///
import pathlib

import lightgbm
import numpy
from windlass import ref, transform

CODES = {"10": 0.0, "a b": 1.0, "ü": 2.0}


@transform(
    input=ref("scored"), columns={"id": "bigint", "apart": "double"}, key=["id"], input_columns=["id", "x", "kind", "p"]
)
class Theirs:
    def __init__(self):
        folder = pathlib.Path(__file__).parents[1] / "lake/prod/_windlass/models/high/artifacts"
        (file,) = folder.iterdir()
        self.booster = lightgbm.Booster(model_str=file.read_text())
        # Numbers as they were trained on; nothing is to be looked up in the list of a frame.
        self.booster.pandas_categorical = None

    def __call__(self, batch):
        kind = numpy.array([CODES.get(kind, numpy.nan) for kind in batch["kind"]])
        theirs = self.booster.predict(numpy.column_stack([batch["x"].astype(float), kind]))
        return {"id": batch["id"], "apart": numpy.abs(theirs - batch["p"])}
-- transforms/theirs_amount.py --
# /// script
# dependencies = ["xgboost-cpu==3.2.0"]
# ///
import pathlib

import numpy
import pyarrow
import xgboost
from windlass import ref, transform


@transform(
    input=ref("scored"), columns={"id": "bigint", "apart": "double"}, key=["id"],
    input_columns=["id", "x", "kind", "predicted_amount"], batch_format="pyarrow",
)
class Theirs:
    def __init__(self):
        folder = pathlib.Path(__file__).parents[1] / "lake/prod/_windlass/models/amount/artifacts"
        (file,) = folder.iterdir()
        self.booster = xgboost.Booster(model_file=bytearray(file.read_bytes()))

    def __call__(self, batch):
        batch = batch.combine_chunks()
        table = pyarrow.table({"f0": batch["x"], "f1": batch["kind"].dictionary_encode()})
        theirs = self.booster.predict(xgboost.DMatrix(table, enable_categorical=True))
        return {"id": batch["id"].to_numpy(), "apart": numpy.abs(theirs - batch["predicted_amount"].to_numpy())}
"#;

#[test]
fn trees_are_grown_in_a_worker_and_scored_as_their_library_does() {
    let project = Project::with_python(&format!("{ROWS}{MODELS}"));
    let answer = project.windlass(["run", "-q"]);
    assert_eq!(answer.code, 0, "{answer}");
    let shown = project.json(["models", "show", "high"]);
    assert_eq!(shown["version"]["format"], "lightgbm", "{shown}");
    let metrics = &shown["version"]["metrics"];
    assert!(metrics["roc_auc"].as_f64().unwrap() > 0.95, "{metrics}");
    project.windlass(["show", "--sql", "select round(r2_score, 2) as r2 from ml.evaluate(model amount)"]).check(
        expect![[r#"
            exit 0
            -- stdout
            +------+
            | r2   |
            +------+
            | 0.89 |
            +------+
            -- stderr
            1 row
        "#]],
    );
    project.add(THEIRS);
    let answer = project.windlass(["run", "-q"]);
    assert_eq!(answer.code, 0, "{answer}");
    let apart = "select count(*) as rows, max(h.apart) < 1e-6 as high, max(a.apart) < 1e-4 as amount \
                 from theirs_high h join theirs_amount a on h.id = a.id";
    project.windlass(["show", "--sql", apart]).check(expect![[r#"
        exit 0
        -- stdout
        +------+------+--------+
        | rows | high | amount |
        +------+------+--------+
        | 3000 | true | true   |
        +------+------+--------+
        -- stderr
        1 row
    "#]]);
}

/// Trained anew, the files are the same to the bit: no version is registered beside the first.
#[test]
fn the_same_rows_grow_the_same_trees() {
    let project = Project::with_python(&format!("{ROWS}{MODELS}"));
    project.write(
        "targets.yml",
        "targets:\n  local: {lake: ./lake, state: ./.windlass, threads: 2, memory: 512MiB, env: prod}\n",
    );
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    let answer = project.windlass(["run", "-q", "--no-cache", "high", "amount"]);
    assert_eq!(answer.code, 0, "{answer}");
    for model in ["high", "amount"] {
        assert_eq!(project.json(["models", "show", model])["versions"].as_array().unwrap().len(), 1);
    }
    // The same rows in another order are other training, and lead to the same file.
    let (_, query) = ROWS.trim_start().split_once("--\n").unwrap();
    project.write("transforms/points.sql", &format!("{query}order by id desc\n"));
    let answer = project.windlass(["run", "-q", "--no-cache", "points", "high", "amount"]);
    assert_eq!(answer.code, 0, "{answer}");
    for model in ["high", "amount"] {
        let shown = project.json(["models", "show", model]);
        let versions = shown["versions"].as_array().unwrap();
        let files: Vec<&str> =
            versions.iter().map(|version| version["artifacts"][0]["sha256"].as_str().unwrap()).collect();
        assert!(files.len() == 2 && files[0] == files[1], "{model}: {files:?}");
    }
}

#[test]
fn options_that_trees_do_not_have_are_refused() {
    let project = Project::new(ROWS);
    project.write(
        "models/high.sql",
        "create model high options (model_type = 'boosted_tree_regressor', library = 'lightgbm', num_parallel_tree = 4,\n  \
         subsample = 2, max_tree_depht = 3, auto_class_weights = true)\nas select x, amount as label from {{ ref('points') }}\n",
    );
    project.windlass(["plan"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0110]: `boosted_tree_regressor` has no option `max_tree_depht`
         --> models/high.sql:2:18
          |
        2 |   subsample = 2, max_tree_depht = 3, auto_class_weights = true)
          |                  ^^^^^^^^^^^^^^ did you mean `max_tree_depth`?

        error[E0110]: `boosted_tree_regressor` has no option `auto_class_weights`
         --> models/high.sql:2:38
          |
        2 |   subsample = 2, max_tree_depht = 3, auto_class_weights = true)
          |                                      ^^^^^^^^^^^^^^^^^^
          |
          = help: it has `model_type`, `data_split_method`, `data_split_eval_fraction`, `gates`, `seed`, `booster_type`, `colsample_bylevel`, `colsample_bynode`, `colsample_bytree`, `early_stop`, `input_label_cols`, `l1_reg`, `l2_reg`, `learn_rate`, `library`, `max_bytes`, `max_iterations`, `max_tree_depth`, `min_rel_progress`, `min_split_loss`, `min_tree_child_weight`, `num_parallel_tree`, `subsample`

        error[E0203]: expected a number above 0 and up to 1 for `subsample`, found `2`
         --> models/high.sql:2:15
          |
        2 |   subsample = 2, max_tree_depht = 3, auto_class_weights = true)
          |               ^

        error[E0203]: expected 1 for `num_parallel_tree` of LightGBM, found `4`
         --> models/high.sql:1:109
          |
        1 | create model high options (model_type = 'boosted_tree_regressor', library = 'lightgbm', num_parallel_tree = 4,
          |                                                                                                             ^
          |
          = help: XGBoost has it: `library = 'xgboost'`

        4 mistakes, nothing was done
        windlass explain E0110 E0203
    "#]]);
    project.write(
        "models/high.sql",
        "create model high options (model_type = 'boosted_tree_classifier')\nas select x, amount as label from {{ ref('points') }}\n",
    );
    project.windlass(["plan"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0105]: `high` cannot predict `label`, which has type double
         --> models/high.sql:2:14
          |
        2 | as select x, amount as label from {{ ref('points') }}
          |              ^^^^^^^^^^^^^^^
          |
          = help: a classifier predicts a boolean, a whole number or a text of two values
        windlass explain E0105
    "#]]);
}

#[test]
fn rows_beyond_the_limit_are_not_handed_over() {
    let project = Project::with_python(ROWS);
    project.write(
        "models/high.sql",
        "create model high options (model_type = 'boosted_tree_classifier', input_label_cols = ['is_high'], max_bytes = '1KiB')\n\
         as select x, is_high from {{ ref('points') }}\n",
    );
    project.windlass(["run"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ points        3,000 rows  [SIZE]  version 0  [TIME]
          ✗ high    failed  [TIME]
        error[E0410]: the training rows of `high` take more than [SIZE]
         --> models/high.sql:1:1
          |
        1 | create model high options (model_type = 'boosted_tree_classifier', input_label_cols = ['is_high'], max_bytes = '1KiB')
          | ^
          |
          = help: train on fewer rows or columns, or raise `max_bytes` if the memory is there
        windlass explain E0410
        Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}
