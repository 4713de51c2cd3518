//! Models: trained by a run, listed and planned like tables, and what a missed gate does to those that read them.

use expect_test::expect;

use crate::support::Project;

/// Ten times the same ten points on a line, and a class that a number tells.
fn project() -> Project {
    let mut seed = "-- seeds/points.csv --\nid,x,y,is_high\n".to_string();
    for i in 0..100 {
        let x = i % 10;
        let y = 2 * x + 1;
        seed.push_str(&format!("{i},{x},{y},{}\n", x > 4));
    }
    Project::new(&format!(
        "{seed}
-- models/line.sql --
create model line options (model_type = 'linear_reg', input_label_cols = ['y']) as
select x, y from {{{{ ref('points') }}}}
-- models/high.sql --
create model high
options (model_type = 'logistic_reg', input_label_cols = ['is_high'], l2_reg = 1, gates = ['auc >= 0.9'])
as select x, is_high from {{{{ ref('points') }}}}
-- models/about.yml --
models:
  line: {{description: A straight line., tags: [ml]}}
-- transforms/scored.sql --
select id, round(predicted_y, 6) as predicted_y, round(high(x), 3) as p from ml.predict(model line, table {{{{ ref('points') }}}}) where id < 3
"
    ))
}

#[test]
fn a_run_trains_and_scores() {
    let project = project();
    project.windlass(["ls"]).check(expect![[r#"
        exit 0
        -- stdout
        points  seed
        high    model
        line    model  A straight line.
        scored  table
    "#]]);
    project.windlass(["plan"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          build  points   4 columns  not published yet
          build  high     2 columns  not trained yet
          build  line     2 columns  not trained yet
          build  scored   3 columns  not published yet

        4 to build, 0 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ points          100 rows  [SIZE]  version 0  [TIME]
          ✓ high            100 rows  [SIZE]  version 1  [TIME]
          ✓ line            100 rows  [SIZE]  version 1  [TIME]
          ✓ scored            3 rows  [SIZE]  version 0  [TIME]
        Published 4 of 4 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.windlass(["show", "scored"]).check(expect![[r#"
        exit 0
        -- stdout
        +----+-------------+-------+
        | id | predicted_y | p     |
        +----+-------------+-------+
        | 0  | 1.0         | 0.003 |
        | 1  | 3.0         | 0.012 |
        | 2  | 5.0         | 0.04  |
        +----+-------------+-------+
        -- stderr
        3 rows, version 0
    "#]]);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ points  unchanged  version 0
          ✓ high    unchanged  version 1
          ✓ line    unchanged  version 1
          ✓ scored  unchanged  version 0
        Nothing has changed, 4 tables of prod stay  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project
        .windlass(["show", "--sql", "select processed_input, round(weight, 6) as weight from ml.weights(model line)"])
        .check(expect![[r#"
            exit 0
            -- stdout
            +-----------------+--------+
            | processed_input | weight |
            +-----------------+--------+
            | x               | 2.0    |
            | __INTERCEPT__   | 1.0    |
            +-----------------+--------+
            -- stderr
            2 rows
        "#]]);
}

#[test]
fn a_missed_gate_fails_the_model_and_spares_its_readers_what_is_worse() {
    let project = project();
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    let model = "create model high\noptions (model_type = 'logistic_reg', input_label_cols = ['is_high'], l2_reg = 1, \
                 gates = ['accuracy > 1'])\nas select x, is_high from {{ ref('points') }}\n";
    project.write("models/high.sql", model);
    project.windlass(["run"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ points  unchanged  version 0
          ✗ high    failed  [TIME]
        error[E1004]: version 2 of model `high` is kept and not promoted: it missed accuracy > 1, found 1
          hint: readers keep the version before; train a better one, lower the gate, or promote it all the same
          - scored  skipped, it needs `high`
          ✓ line    unchanged  version 1
        windlass explain E1004
        Published 0 of 4 to prod, 2 unchanged, 1 failed, 1 skipped  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.windlass(["plan", "high"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          build  high   2 columns  version 2 missed a gate  last time 100 rows in [TIME]

        1 to build, [TIME] last time, 0 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    // It is not trained anew only to miss the gate again, and a reader may go on with the version before.
    project.write(
        "transforms/scored.sql",
        "{{ config(on_upstream_failure='use_last_good') }}\nselect id, round(high(x), 2) as p from {{ ref('points') }} where id < 3\n",
    );
    project.windlass(["run"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ points  unchanged  version 0
          ✗ high    failed  [TIME]
        error[E1004]: version 2 of model `high` is kept and not promoted: it missed accuracy > 1, found 1
          hint: readers keep the version before; train a better one, lower the gate, or promote it all the same
          ✓ line    unchanged  version 1
          ✓ scored            3 rows  [SIZE]  version 1  [TIME]
          ! scored  computed from the last good version of `high`
        windlass explain E1004
        Published 1 of 4 to prod, 2 unchanged, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}

#[test]
fn a_model_is_no_table() {
    let project = project();
    assert_eq!(project.windlass(["run", "-q", "line", "points"]).code, 0);
    project.windlass(["show", "line"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0110]: `line` is a model, not a table
          hint: score with it: select * from ml.predict(model line, table …)
        windlass explain E0110
    "#]]);
    project.windlass(["try", "line"]).check(expect![[r#"
        exit 2
        -- stderr
        error: `line` is a model and has no rows to try
          hint: train it: windlass run line
    "#]]);
}
