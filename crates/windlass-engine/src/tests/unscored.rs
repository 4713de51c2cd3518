//! Rows that a model cannot score: error rows of the table that is computed, NULL, or the end of its build.

use expect_test::{Expect, expect};

use super::support::{World, plain};
use crate::Error;

/// A model of XGBoost that knows the categories `a` and `bb` of `c`: 100, and more where `x` is high or `c` is not `a`.
const XGBOOST: &str = r#"-- files/model.json --
{"learner": {"attributes": {}, "feature_names": ["c", "x"],
    "gradient_booster": {"name": "gbtree", "model": {
        "cats": {"enc": [{"offsets": [0, 1, 3], "values": [97, 98, 98]}, {"offsets": [], "values": []}]},
        "tree_info": [0, 0], "trees": [
            {"left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0],
             "split_conditions": [0.0, 1.0, 2.0], "default_left": [1, 0, 0], "split_type": [1, 0, 0],
             "categories": [1], "categories_nodes": [0], "categories_segments": [0], "categories_sizes": [1],
             "tree_param": {"size_leaf_vector": "1"}},
            {"left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [1, 0, 0],
             "split_conditions": [0.1, 10.0, 20.0], "default_left": [0, 0, 0], "split_type": [0, 0, 0],
             "tree_param": {"size_leaf_vector": "1"}}]}},
    "learner_model_param": {"base_score": "[1E2]", "num_class": "0", "num_feature": "2", "num_target": "1"},
    "objective": {"name": "reg:squarederror"}}, "version": [3, 2, 0]}
"#;

/// Eight rows, of which 3 and 6 have a category that the model does not know.
const ROWS: &str = "-- seeds/rows.csv --
id,c,x,g
1,a,0,u
2,bb,1,u
3,q,0,u
4,,0,v
5,a,,v
6,zz,1,v
7,bb,0,w
8,a,1,w
-- models/about.yml --
models:
  price: {path: files/model.json, label: price}
";

fn world(transforms: &str) -> World {
    World::new(&format!("{ROWS}{XGBOOST}{transforms}"))
}

/// Builds a table `t` and compares what it and its error table hold.
async fn check(transform: &str, sql: &str, expected: Expect) {
    let mut world = world(&format!("-- transforms/t.sql --\n{{{{ config(max_errors=5) }}}}\n{transform}\n"));
    world.run().await.unwrap();
    let errors = "select error, model, row from t__errors order by error";
    expected.assert_eq(&format!("{}\n{}", world.sql(sql).await, world.sql(errors).await));
}

#[tokio::test]
async fn rows_that_cannot_be_scored_go_to_the_error_table() {
    let mut world = world(
        "-- transforms/t.sql --\n{{ config(max_error_rate='50%') }}\n\
         select id, predicted_price from ml.predict(model price, table {{ ref('rows') }})\n\
         -- transforms/about.yml --\ntransforms:\n  t: {checks: [{unique: {columns: [id]}}]}\n\
         -- transforms/why.sql --\nselect error, count(*) as rows from {{ ref('t__errors') }} group by error\n",
    );
    let built = world.run().await.unwrap();
    let failures = built["t"].failures.clone().unwrap();
    assert_eq!((built["t"].rows, failures.rows, failures.of), (6, 2, 8));
    assert_eq!(failures.causes.len(), 2);
    expect![[r#"
        +----+-----------------+
        | id | predicted_price |
        +----+-----------------+
        | 1  | 111.0           |
        | 2  | 122.0           |
        | 4  | 111.0           |
        | 5  | 121.0           |
        | 7  | 112.0           |
        | 8  | 121.0           |
        +----+-----------------+"#]]
    .assert_eq(&world.sql("select * from t order by id").await);
    let errors = "select id, row, stage, error_type, error, model, model_version from t__errors order by id";
    expect![[r#"
        +----+------------------------+-------+------------+-------------------------------------------------------+-------+---------------+
        | id | row                    | stage | error_type | error                                                 | model | model_version |
        +----+------------------------+-------+------------+-------------------------------------------------------+-------+---------------+
        | 3  | {c: q, x: 0.0, id: 3}  | model | E1014      | input `c` is `q`, which the model was not trained on  | price | 1             |
        | 6  | {c: zz, x: 1.0, id: 6} | model | E1014      | input `c` is `zz`, which the model was not trained on | price | 1             |
        +----+------------------------+-------+------------+-------------------------------------------------------+-------+---------------+"#]].assert_eq(&world.sql(errors).await);
    expect![[r#"
        +-------------------------------------------------------+------+
        | error                                                 | rows |
        +-------------------------------------------------------+------+
        | input `c` is `q`, which the model was not trained on  | 1    |
        | input `c` is `zz`, which the model was not trained on | 1    |
        +-------------------------------------------------------+------+"#]]
    .assert_eq(&world.sql("select * from why order by error").await);
}

#[tokio::test]
async fn rows_leave_where_the_model_is_asked_whatever_follows() {
    // Groups and joins are made of the rows that are left.
    check(
        "select g, count(*) as n, avg(price(c, x)) as mean from {{ ref('rows') }} group by g",
        "select * from t order by g",
        expect![[r#"
            +---+---+-------+
            | g | n | mean  |
            +---+---+-------+
            | u | 2 | 116.5 |
            | v | 2 | 116.0 |
            | w | 2 | 116.5 |
            +---+---+-------+
            +-------------------------------------------------------+-------+-----------------+
            | error                                                 | model | row             |
            +-------------------------------------------------------+-------+-----------------+
            | input `c` is `q`, which the model was not trained on  | price | {c: q, x: 0.0}  |
            | input `c` is `zz`, which the model was not trained on | price | {c: zz, x: 1.0} |
            +-------------------------------------------------------+-------+-----------------+"#]],
    )
    .await;
    check(
        "select r.id, p.predicted_price from {{ ref('rows') }} r left join\n\
         (select id, predicted_price from ml.predict(model price, table {{ ref('rows') }}) limit 100) p on p.id = r.id\n\
         where r.id in (2, 3)",
        "select * from t order by id",
        expect![[r#"
            +----+-----------------+
            | id | predicted_price |
            +----+-----------------+
            | 2  | 122.0           |
            | 3  |                 |
            +----+-----------------+
            +-------------------------------------------------------+-------+-----------------+
            | error                                                 | model | row             |
            +-------------------------------------------------------+-------+-----------------+
            | input `c` is `q`, which the model was not trained on  | price | {c: q, x: 0.0}  |
            | input `c` is `zz`, which the model was not trained on | price | {c: zz, x: 1.0} |
            +-------------------------------------------------------+-------+-----------------+"#]],
    )
    .await;
    // What a WHERE leaves out is not scored, and equal calls are one.
    check(
        "select id, price(c, x) as p, price(c, x) + 1 as q from {{ ref('rows') }}\n\
         where id <> 6 and price(c, x) > 115 order by price(c, x) desc",
        "select * from t order by id",
        expect![[r#"
            +----+-------+-------+
            | id | p     | q     |
            +----+-------+-------+
            | 2  | 122.0 | 123.0 |
            | 5  | 121.0 | 122.0 |
            | 8  | 121.0 | 122.0 |
            +----+-------+-------+
            +------------------------------------------------------+-------+----------------+
            | error                                                | model | row            |
            +------------------------------------------------------+-------+----------------+
            | input `c` is `q`, which the model was not trained on | price | {c: q, x: 0.0} |
            +------------------------------------------------------+-------+----------------+"#]],
    )
    .await;
}

#[tokio::test]
async fn a_query_that_says_what_becomes_of_such_rows_keeps_them() {
    let sql = "select id, coalesce(price(c, x), -1) as p, case when c <> 'q' then price(c, x) end as q from {{ ref('rows') }}";
    check(
        sql,
        "select * from t where id in (2, 3, 6) order by id",
        expect![[r#"
        +----+-------+-------+
        | id | p     | q     |
        +----+-------+-------+
        | 2  | 122.0 | 122.0 |
        | 3  | -1.0  |       |
        | 6  | -1.0  |       |
        +----+-------+-------+
        ++
        ++"#]],
    )
    .await;
}

#[tokio::test]
async fn a_setting_keeps_such_rows_or_lets_them_fail_the_table() {
    let query = "select id, price(c, x) as p from {{ ref('rows') }}\n";
    let mut world = world(&format!("-- transforms/t.sql --\n{{{{ config(on_error='null') }}}}\n{query}"));
    let built = world.run().await.unwrap();
    assert!(built["t"].failures.is_none());
    assert_eq!(built["t"].rows, 8);
    assert!(world.sql("select count(*) as n from t where p is null").await.contains("| 2 |"));
    world.edit(&format!("-- transforms/t.sql --\n{{{{ config(on_error='fail') }}}}\n{query}"));
    let Err(Error::Compute { blame: Some(blame), .. }) = world.run().await else { panic!("it was built") };
    expect![[r#"
        error[E1014]: model `price` cannot score 2 rows of a batch of 8: input `c` is `q`, which the model was not trained on
          --> transforms/t.sql:2:12 `price`
          hint: correct the input, or say what becomes of such rows: `config(on_error='quarantine')` or `'null'`
    "#]].assert_eq(&plain(&[*blame]));
    // Two of eight are more than one in a hundred.
    world.edit(&format!("-- transforms/t.sql --\n{query}"));
    let Err(Error::Compute { blame: Some(blame), .. }) = world.run().await else { panic!("it was built") };
    expect![[r#"
        error[E0409]: rows of `t` cannot be scored: 2 of 8 rows failed (25.00 %), more than the 1 % of `max_error_rate`
          --> transforms/t.sql:1:12 `price`
          note: 1 × input `c` is `q`, which the model was not trained on
          note: 1 × input `c` is `zz`, which the model was not trained on
          hint: correct the input or leave such rows out, raise `max_error_rate`, or `on_error: null`
    "#]]
    .assert_eq(&plain(&[*blame]));
}

#[tokio::test]
async fn a_view_scores_for_the_tables_that_read_it() {
    let mut world = world(
        "-- transforms/v.sql --\n{{ config(materialized='view') }}\n\
         select g, max(price(c, x)) as p from {{ ref('rows') }} group by g\n\
         -- transforms/t.sql --\n{{ config(max_errors=2) }}\nselect * from {{ ref('v') }} where g <> 'w'\n\
         -- transforms/u.sql --\n{{ config(on_error='null') }}\nselect * from {{ ref('v') }}\n",
    );
    let built = world.run().await.unwrap();
    assert_eq!(built["t"].failures.as_ref().map(|failures| failures.rows), Some(2));
    assert!(built["u"].failures.is_none());
    expect![[r#"
        +---+-------+
        | g | p     |
        +---+-------+
        | u | 122.0 |
        | v | 121.0 |
        +---+-------+"#]]
    .assert_eq(&world.sql("select * from t order by g").await);
}

#[tokio::test]
async fn checks_divert_rows_of_the_result_beside_those_that_cannot_be_scored() {
    let mut world = world(
        "-- transforms/t.sql --\n{{ config(max_errors=5, sort_by=['id']) }}\nselect id, price(c, x) as p from {{ ref('rows') }}\n\
         -- transforms/about.yml --\ntransforms:\n  t:\n    columns:\n      - name: p\n        checks: [{range: {max: 120, on_fail: quarantine}}]\n",
    );
    let built = world.run().await.unwrap();
    assert_eq!(built["t"].failures.as_ref().map(|failures| (failures.rows, failures.of)), Some((5, 8)));
    let errors = "select stage, row, result, checks, model from t__errors order by stage, error, result['id']";
    expect![[r#"
        +-------+-----------------+-------------------+-----------+-------+
        | stage | row             | result            | checks    | model |
        +-------+-----------------+-------------------+-----------+-------+
        | check |                 | {id: 2, p: 122.0} | [range_p] |       |
        | check |                 | {id: 5, p: 121.0} | [range_p] |       |
        | check |                 | {id: 8, p: 121.0} | [range_p] |       |
        | model | {c: q, x: 0.0}  |                   |           | price |
        | model | {c: zz, x: 1.0} |                   |           | price |
        +-------+-----------------+-------------------+-----------+-------+"#]]
    .assert_eq(&world.sql(errors).await);
}

#[tokio::test]
async fn an_infinite_input_of_a_model_of_our_own_is_not_scored() {
    let mut seed = "-- seeds/points.csv --\nx,y\n".to_string();
    (0..40).for_each(|at| seed.push_str(&format!("{at},{}\n", 2 * at + at % 3)));
    let mut world = World::new(&format!(
        "{seed}-- models/line.sql --\ncreate model line options (model_type = 'linear_reg', input_label_cols = ['y'])\n\
         as select x, -x as z, y from {{{{ ref('points') }}}}\n-- transforms/t.sql --\n{{{{ config(max_errors=1) }}}}\n\
         select x, line(v, v) as y from (select x, case when x = 3 then cast('inf' as double) else x end as v\n\
         from {{{{ ref('points') }}}})\n",
    ));
    // `z` follows from `x` and has a weight of nothing; times infinity that is no number.
    let built = world.run().await.unwrap();
    assert_eq!((built["t"].rows, built["t"].failures.as_ref().map(|failures| failures.rows)), (39, Some(1)));
    expect![[r#"
        +-----------------------+------------------+-------+---------------+
        | error                 | row              | model | model_version |
        +-----------------------+------------------+-------+---------------+
        | the model answers NaN | {x: inf, z: inf} | line  | 1             |
        +-----------------------+------------------+-------+---------------+"#]]
    .assert_eq(&world.sql("select error, row, model, model_version from t__errors").await);
}
