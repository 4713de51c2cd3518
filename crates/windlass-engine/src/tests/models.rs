//! Models: trained from SQL, scored in SQL, trained again when what they are made from has changed.

use std::collections::BTreeSet;

use expect_test::{Expect, expect};

use super::support::{World, plain};
use crate::{Ask, Decision, Error};

/// Rows of a seed: two numbers, a text, a number to predict and a class that follows it.
fn data(rows: usize) -> String {
    let mut text = "-- seeds/trips.csv --\nid,x,y,c,price,late\n".to_string();
    for i in 0..rows {
        let x = (i * 37 % 101) as f64 / 10.0;
        let y = ((i * 53 % 89) as f64 - 44.0) / 7.0;
        let offset = [1.0, 0.0, 5.0][i % 3];
        let price = 2.0 * x - 3.0 * y + offset + ((i * 29 % 17) as f64 - 8.0) / 4.0;
        let late = (price > 10.0) ^ i.is_multiple_of(11);
        let shown = if i.is_multiple_of(50) { String::new() } else { y.to_string() };
        text.push_str(&format!("{i},{x},{shown},{},{price},{late}\n", ["a", "b", "c"][i % 3]));
    }
    text
}

const MODELS: &str = "
-- models/price.sql --
create model price
options (model_type = 'linear_reg', input_label_cols = ['price'], data_split_method = 'no_split')
as select x, y, c, price from {{ ref('trips') }}
-- models/late.sql --
create model late
options (model_type = 'logistic_reg', input_label_cols = ['late'], l2_reg = 2, data_split_method = 'no_split', gates = ['roc_auc > 0.8'])
as select x, y, c, late from {{ ref('trips') }}
-- models/groups.sql --
create model groups options (model_type = 'kmeans', num_clusters = 3) as select x, y from {{ ref('trips') }}
-- models/axes.sql --
create model axes options (model_type = 'pca', num_principal_components = 2) as select x, y from {{ ref('trips') }}
-- transforms/scored.sql --
select id, price, round(predicted_price, 6) as predicted_price
from ml.predict(model price, table {{ ref('trips') }})
where id < 3
-- transforms/called.sql --
select id, round(price(x, y, c), 6) as price, round(late(x, y, c), 6) as risk, groups(x, y) between 1 and 3 as is_grouped
from {{ ref('trips') }}
where id < 3
";

async fn trained() -> World {
    let mut world = World::new(&format!("{}{MODELS}", data(600)));
    world.run().await.unwrap();
    world
}

#[tokio::test]
async fn models_score_in_sql() {
    let world = trained().await;
    let check = async |sql: &str, expected: Expect| expected.assert_eq(&world.sql(sql).await);
    check(
        "select * from scored order by id",
        expect![[r#"
        +----+--------------------+-----------------+
        | id | price              | predicted_price |
        +----+--------------------+-----------------+
        | 0  | 17.857142857142858 | 1.087405        |
        | 1  | 4.542857142857143  | 3.539232        |
        | 2  | 31.121428571428574 | 31.333584       |
        +----+--------------------+-----------------+"#]],
    )
    .await;
    check(
        "select * from called order by id",
        expect![[r#"
        +----+-----------+----------+------------+
        | id | price     | risk     | is_grouped |
        +----+-----------+----------+------------+
        | 0  | 1.087405  | 0.19173  | true       |
        | 1  | 3.539232  | 0.260038 | true       |
        | 2  | 31.333584 | 0.976569 | true       |
        +----+-----------+----------+------------+"#]],
    )
    .await;
    check(
        "select predicted_late, late, count(*) as n from ml.predict(model late, (select x, y, c, late from trips)) \
         group by 1, 2 order by 1, 2",
        expect![[r#"
            +----------------+-------+-----+
            | predicted_late | late  | n   |
            +----------------+-------+-----+
            | false          | false | 231 |
            | false          | true  | 34  |
            | true           | false | 38  |
            | true           | true  | 297 |
            +----------------+-------+-----+"#]],
    )
    .await;
    check(
        "select p.predicted_late_probs[2]['label'] as label, round(p.predicted_late_probs[2]['prob'], 6) as prob \
         from ml.predict(model late@1, table trips) p where p.id = 1",
        expect![[r#"
            +-------+----------+
            | label | prob     |
            +-------+----------+
            | true  | 0.260038 |
            +-------+----------+"#]],
    )
    .await;
    check(
        "select centroid_id = nearest_centroids_distance[1]['centroid_id'] as is_nearest, count(*) as n \
         from ml.predict(model groups, table trips) group by 1",
        expect![[r#"
            +------------+-----+
            | is_nearest | n   |
            +------------+-----+
            | true       | 600 |
            +------------+-----+"#]],
    )
    .await;
    check(
        "select id, round(principal_component_1, 4) as a, round(principal_component_2, 4) as b \
         from ml.predict(model axes, table trips) where id < 3 order by id",
        expect![[r#"
            +----+---------+---------+
            | id | a       | b       |
            +----+---------+---------+
            | 0  | -1.6302 | -0.5227 |
            | 1  | -0.5285 | 0.1953  |
            | 2  | 1.107   | -0.7516 |
            +----+---------+---------+"#]],
    )
    .await;
}

#[tokio::test]
async fn models_are_measured_and_taken_apart() {
    let world = trained().await;
    let check = async |sql: &str, expected: Expect| expected.assert_eq(&world.sql(sql).await);
    let rounded = "round(precision, 6) as p, round(accuracy, 6) as a, round(log_loss, 6) as l, round(roc_auc, 3) as r";
    check(
        &format!("select {rounded} from ml.evaluate(model late)"),
        expect![[r#"
        +----------+------+----------+-------+
        | p        | a    | l        | r     |
        +----------+------+----------+-------+
        | 0.886567 | 0.88 | 0.400036 | 0.906 |
        +----------+------+----------+-------+"#]],
    )
    .await;
    check(
        &format!("select {rounded} from ml.evaluate(model late, table trips)"),
        expect![[r#"
        +----------+------+----------+-------+
        | p        | a    | l        | r     |
        +----------+------+----------+-------+
        | 0.886567 | 0.88 | 0.400036 | 0.906 |
        +----------+------+----------+-------+"#]],
    )
    .await;
    check(
        "select recall from ml.evaluate(model late, table trips, struct(0 as threshold)) \
         union all select recall from ml.evaluate(model late, table trips, struct(1.0 as threshold)) order by recall desc",
        expect![[r#"
            +--------+
            | recall |
            +--------+
            | 1.0    |
            | 0.0    |
            +--------+"#]],
    )
    .await;
    check(
        "select round(r2_score, 9) as r2, round(mean_absolute_error, 9) as mae from ml.evaluate(model price, table trips)",
        expect![[r#"
            +-------------+------------+
            | r2          | mae        |
            +-------------+------------+
            | 0.976482061 | 1.22464573 |
            +-------------+------------+"#]],
    )
    .await;
    check(
        "select processed_input, category, round(weight, 6) as weight from ml.weights(model price)",
        expect![[r#"
        +-----------------+----------+-----------+
        | processed_input | category | weight    |
        +-----------------+----------+-----------+
        | x               |          | 1.972859  |
        | y               |          | -3.008463 |
        | c               | a        | -4.01079  |
        | c               | b        | -5.022678 |
        | c               | c        | 0.0       |
        | __INTERCEPT__   |          | 5.130355  |
        +-----------------+----------+-----------+"#]],
    )
    .await;
    check(
        "select mean_squared_distance > 0 as is_measured from ml.evaluate(model groups)",
        expect![[r#"
        +-------------+
        | is_measured |
        +-------------+
        | true        |
        +-------------+"#]],
    )
    .await;
}

#[tokio::test]
async fn a_filter_goes_below_the_model_and_columns_that_nobody_wants_are_not_scored() {
    let world = trained().await;
    let plan = async |sql: &str| world.engine.explain(&world.project, sql).await.unwrap().0;
    let scored = plan("select predicted_price from ml.predict(model price, table trips) where id = 7").await;
    assert!(scored.contains("ml.predict[price]"), "{scored}");
    let (above, below) = scored.split_at(scored.rfind("ml.predict[price]").unwrap());
    assert!(below.contains("trips.id = Int64(7)") && !above.contains("trips.id = Int64(7)"), "{scored}");
    let unscored = plan("select id from ml.predict(model price, table trips)").await;
    assert!(!unscored.contains("ml.predict"), "{unscored}");
}

async fn decision(world: &World, name: &str) -> String {
    let plan = world.plan().await;
    assert!(plan.diagnostics.is_empty(), "{}", plain(&plan.diagnostics));
    let node = &world.project.nodes[name];
    match world.engine.decide(&world.project, &plan, node, (&BTreeSet::new(), &Ask::default())).await.unwrap() {
        Decision::Build(reason) => format!("build: {}", reason.text),
        Decision::Check(..) => "check".to_string(),
        Decision::Fail(reason) => format!("fail: {}", reason.text),
        Decision::Reuse(standing) => format!("version {}", standing.version),
    }
}

#[tokio::test]
async fn a_model_is_trained_again_when_what_it_is_made_from_has_changed() {
    let mut world = trained().await;
    assert_eq!(decision(&world, "price").await, "version 1");
    assert_eq!(decision(&world, "scored").await, "version 0");
    world.edit(
        "-- models/price.sql --\n-- another comment\ncreate or replace model price\n\
         options (model_type = 'linear_reg', input_label_cols = ['price'], data_split_method = 'no_split')\n\
         as select x, y, c,\n  price from {{ ref('trips') }}",
    );
    assert_eq!(decision(&world, "price").await, "version 1");
    world.edit(
        "-- models/price.sql --\ncreate model price\n\
         options (model_type = 'linear_reg', input_label_cols = ['price'], data_split_method = 'no_split', l2_reg = 1)\n\
         as select x, y, c, price from {{ ref('trips') }}",
    );
    assert_eq!(decision(&world, "price").await, "build: options changed");
    let plan = world.plan().await;
    assert_eq!(world.build("price", &plan).await.unwrap().unwrap().version, 2);
    assert_eq!(decision(&world, "price").await, "version 2");
    assert_eq!(decision(&world, "scored").await, "build: price: version 1 → 2");
    assert_eq!(decision(&world, "late").await, "version 1");
    // The old definition leads to the version that is there already.
    world.edit(MODELS);
    assert_eq!(decision(&world, "price").await, "build: options changed");
    let plan = world.plan().await;
    assert_eq!(world.build("price", &plan).await.unwrap().unwrap().version, 1);
    assert_eq!(decision(&world, "scored").await, "version 0");
    world.edit(&data(601));
    assert_eq!(world.run().await.unwrap()["price"].version, 3);
    assert_eq!(decision(&world, "price").await, "version 3");
}

#[tokio::test]
async fn a_version_that_misses_a_gate_is_kept_and_readers_keep_the_one_before() {
    let mut world = trained().await;
    let before = world.sql("select * from called order by id").await;
    let gated = |gate: &str| {
        format!(
            "-- models/late.sql --\ncreate model late\noptions (model_type = 'logistic_reg', input_label_cols = ['late'],\n\
             data_split_method = 'no_split', l2_reg = 50, gates = ['{gate}'])\nas select x, y, c, late from {{{{ ref('trips') }}}}\n"
        )
    };
    world.edit(&gated("accuracy > 0.99"));
    for _ in 0..2 {
        let plan = world.plan().await;
        let error = world.build("late", &plan).await.unwrap_err();
        let Error::Gates { version: 2, missed, .. } = &error else { panic!("{error}") };
        assert!(missed[0].starts_with("accuracy > 0.99, found 0."), "{missed:?}");
        assert_eq!(decision(&world, "late").await, "build: version 2 missed a gate");
    }
    assert_eq!(world.engine.champion("late").await.unwrap(), Some(1));
    assert_eq!(world.sql("select * from called order by id").await, before);
    let risk = |reference: &str| format!("select round({reference}(x, y, c), 3) as risk from trips where id = 1");
    assert_ne!(world.sql(&risk("late")).await, world.sql(&risk("\"late@2\"")).await);
    assert_eq!(world.sql(&risk("late")).await, world.sql(&risk("late@1")).await);
    world.edit(&gated("accuracy > 0.5"));
    let plan = world.plan().await;
    assert_eq!(world.build("late", &plan).await.unwrap().unwrap().version, 3);
    assert_eq!(world.engine.champion("late").await.unwrap(), Some(3));
}

/// Plans a project whose transform `t` and model `m` are these, and compares every mistake.
async fn check_mistakes(model: &str, transform: &str, expected: Expect) {
    let world = World::new(&format!(
        "{}-- models/m.sql --\n{model}\n-- transforms/t.sql --\n{transform}\n\
         -- transforms/dated.sql --\nselect id, x, cast('2024-01-01' as date) as day, late from {{{{ ref('trips') }}}}\n",
        data(20)
    ));
    let plan = world.plan().await;
    expected.assert_eq(&plain(&plan.diagnostics));
}

const GOOD: &str = "create model m options (model_type = 'linear_reg', input_label_cols = ['price'])\n\
                    as select x, c, price from {{ ref('trips') }}";
const SCORED: &str = "select * from ml.predict(model m, table {{ ref('trips') }})";

#[tokio::test]
async fn a_model_that_cannot_be_trained_is_told_before_the_run() {
    let linear = |query: &str| {
        format!("create model m options (model_type = 'linear_reg', input_label_cols = ['price'])\nas {query}")
    };
    check_mistakes(
        &linear("select x, cost from {{ ref('trips') }}"),
        SCORED,
        expect![[r#"
        error[E0102]: no column `cost`
          --> models/m.sql:2:14 `cost`
          note: columns: `id`, `x`, `y`, `c`, `price`, `late`
    "#]],
    )
    .await;
    check_mistakes(
        &linear("select x, price as prize from {{ ref('trips') }}"),
        SCORED,
        expect![[r#"
        error[E0102]: the query of `m` has no column `price` to predict
          --> models/m.sql:1:71 `['price']`
          note: columns: `x`, `prize`
          hint: did you mean `prize`?
    "#]],
    )
    .await;
    check_mistakes(
        &linear("select x, c as price from {{ ref('trips') }}"),
        SCORED,
        expect![[r#"
        error[E0105]: `m` cannot predict `price`, which has type varchar
          --> models/m.sql:2:14 `c as price`
          hint: a linear regression predicts a number
    "#]],
    )
    .await;
    check_mistakes(
        &linear("select id as price, day from {{ ref('dated') }}"),
        SCORED,
        expect![[r#"
        error[E0105]: feature `day` of `m` has type date
          --> models/m.sql:2:24 `day`
          hint: a feature is a number, a boolean or a text: cast it, or compute from it what matters
    "#]],
    )
    .await;
    check_mistakes(
        &linear("select price from {{ ref('trips') }}"),
        SCORED,
        expect![[r#"
        error[E0110]: `m` has no feature: its query answers nothing beside the label
          --> models/m.sql:1:1 `create`
    "#]],
    )
    .await;
}

#[tokio::test]
async fn rows_that_do_not_fit_a_model_are_told_before_the_run() {
    check_mistakes(
        GOOD,
        "select * from ml.predict(model m, (select x, c as cc from {{ ref('trips') }}))",
        expect![[r#"
            error[E1003]: model `m` has an input `c`, the rows do not
              --> transforms/t.sql:1:32 `m`
              hint: it reads (x number, c text)
        "#]],
    )
    .await;
    check_mistakes(
        GOOD,
        "select * from ml.predict(model m, (select c as x, c from {{ ref('trips') }}))",
        expect![[r#"
            error[E1003]: model `m` expects a number in `x`, the rows have varchar
              --> transforms/t.sql:1:32 `m`
              hint: cast it as it was in training
        "#]],
    )
    .await;
    check_mistakes(
        GOOD,
        "select m(x) as p from {{ ref('trips') }}",
        expect![[r#"
        error[E1003]: `m` takes (x number, c text), not (double)
          --> transforms/t.sql:1:8 `m`
          hint: arguments stand in the order of the features; `ml.predict` finds them by name
    "#]],
    )
    .await;
    check_mistakes(
        GOOD,
        "select *\nfrom ml.predict(model m)",
        expect![[r#"
        error[E1003]: `ml.predict` needs rows to score
          --> transforms/t.sql:2:23 `m`
          hint: write `ml.predict(model m, table t)`
    "#]],
    )
    .await;
    check_mistakes(GOOD, "select * from ml.explain(model m, table {{ ref('trips') }})", expect![[r#"
        error[E1003]: no function `ml.explain` of this form
          --> transforms/t.sql:1:32 `m`
          hint: there are `ml.predict(model m, table t)`, `ml.evaluate(model m)`, `ml.evaluate(model m, table t)` and `ml.weights(model m)`
    "#]]).await;
    check_mistakes(
        GOOD,
        "select * from ml.evaluate(model m, (select x, c from {{ ref('trips') }}))",
        expect![[r#"
        error[E1003]: the rows have no column `price`, which `m` predicts
          --> transforms/t.sql:1:33 `m`
          hint: select it beside the features
    "#]],
    )
    .await;
    check_mistakes(
        GOOD,
        "select * from ml.predict(model m@7, table {{ ref('trips') }})",
        expect![[r#"
        error[E1001]: there is no model `m`
          --> transforms/t.sql:1:32 `m@7`
          hint: no model is registered in this environment: train one with `windlass run`
    "#]],
    )
    .await;
}

#[tokio::test]
async fn rows_that_nothing_can_be_learned_from_fail_the_model() {
    let mut world = World::new(&format!(
        "{}-- models/m.sql --\ncreate model m\noptions (model_type = 'logistic_reg', input_label_cols = ['c'])\n\
         as select x, c from {{{{ ref('trips') }}}}\n",
        data(20)
    ));
    let Err(Error::Compute { blame: Some(blame), .. }) = world.run().await else { panic!("three classes") };
    expect![[r#"
        error[E1008]: `m` cannot be trained: the label has 3 values, a, b, c; logistic regression tells two apart
          --> models/m.sql:2:23 `'logistic_reg'`
    "#]]
    .assert_eq(&plain(&[*blame]));
}

#[tokio::test]
async fn a_model_is_the_same_to_the_bit_in_another_lake() {
    let files = async || {
        let world = trained().await;
        let hashes: Vec<String> =
            world.files("_windlass/models").into_iter().filter(|file| file.contains("/artifacts/")).collect();
        assert_eq!(hashes.len(), 4);
        hashes
    };
    assert_eq!(files().await, files().await);
}

/// Returns a model of LightGBM with one tree: `low` up to a half, `high` above it.
fn tree(name: &str, objective: &str, low: f64, high: f64) -> String {
    format!(
        "-- files/{name}.txt --\ntree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nfeature_names=a\nfeature_infos=[0:1]\n\
         objective={objective}\n\nTree=0\nsplit_feature=0\nthreshold=0.5\ndecision_type=2\nleft_child=-1\nright_child=-2\n\
         leaf_value={low} {high}\n\n\nend of trees\n\npandas_categorical:null\n"
    )
}

#[tokio::test]
async fn models_that_were_trained_elsewhere_score_as_well() {
    let mut world = World::new(&format!(
        "-- seeds/points.csv --\nid,x\n1,0.25\n2,0.75\n-- models/about.yml --\nmodels:\n  \
         step: {{path: files/step.txt, label: y, inputs: [x]}}\n  \
         risk: {{path: files/risk.txt, inputs: [x], classes: ['no', 'yes']}}\n\
         -- transforms/scored.sql --\nselect id, predicted_y, prediction, round(risk(x), 3) as p\n\
         from ml.predict(model step, (select id, x, prediction from ml.predict(model risk, table {{{{ ref('points') }}}})))\n{}{}",
        tree("step", "regression", 1.0, 2.0),
        tree("risk", "binary sigmoid:1", -1.0, 1.0),
    ));
    world.run().await.unwrap();
    expect![[r#"
        +----+-------------+------------+-------+
        | id | predicted_y | prediction | p     |
        +----+-------------+------------+-------+
        | 1  | 1.0         | no         | 0.269 |
        | 2  | 2.0         | yes        | 0.731 |
        +----+-------------+------------+-------+"#]]
    .assert_eq(&world.sql("select * from scored order by id").await);
    assert_eq!(decision(&world, "step").await, "version 1");
    world.edit(&tree("step", "regression", 3.0, 4.0));
    assert_eq!(decision(&world, "step").await, "build: step.txt or what is said of it changed");
    world.run().await.unwrap();
    assert_eq!(
        world
            .sql("select step@1(x) as a, step(x) as b from points where id = 1")
            .await
            .matches("| 1.0 | 3.0 |")
            .count(),
        1
    );
    world.edit("-- files/risk.txt --\nno model\n");
    let plan = world.plan().await;
    expect![[r#"
        error[E1002]: cannot read the lightgbm model: it has no `end of trees`
          --> models/about.yml:3:16 `files/risk.txt`
    "#]]
    .assert_eq(&plain(&plan.diagnostics));
}
