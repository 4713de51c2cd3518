//! `on_fail: quarantine`: rows that break checks go to the error table, and the others are published.

use expect_test::expect;

use crate::support::{Project, pretty};

/// Of 400 orders two have no amount, one a negative one, and one of those no known status either.
const ORDERS: &str = "
-- transforms/orders.sql --
select value as id,
  case when value in (7, 8) then null when value = 9 then -1.5 else value * 0.5 end as amount,
  case when value in (8, 9) then 'lost' else 'placed' end as status
from generate_series(1, 400) t(value)
-- transforms/p.yml --
transforms:
  orders:
    checks: [{unique: [id]}, {row_count: 397}]
    columns:
      amount:
        checks:
          - not_null: {on_fail: quarantine}
          - range: {min: 0, on_fail: quarantine, sample_rows: 1}
      status: {checks: [{accepted_values: [placed], severity: warn}]}
";

#[test]
fn rows_that_break_a_check_go_to_the_error_table() {
    let project = Project::new(ORDERS);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ orders          397 rows  [SIZE]  version 0  [TIME]
          ! orders  0.75% of rows quarantined: not_null_amount 2 · range_amount 1   see: windlass errors orders
        orders 3 checks passed, 2 warned
          warn not_null_amount: 2 of 400 rows (0.50 %), quarantined, such as id=7 amount=null status=placed (transforms/p.yml:7:13)
          warn range_amount: 1 of 400 rows (0.25 %), quarantined, such as id=9 amount=-1.5 status=lost (transforms/p.yml:8:13)
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"{"n":397,"low":0.5}"#]]
        .assert_eq(&project.rows("select count(*) as n, min(amount) as low from orders"));
    expect![[r#"
        {"id":7,"row":{"id":7,"amount":null,"status":"placed"},"stage":"check","error":"breaks not_null_amount","checks":["not_null_amount"]}
        {"id":8,"row":{"id":8,"amount":null,"status":"lost"},"stage":"check","error":"breaks not_null_amount, accepted_values_status","checks":["not_null_amount","accepted_values_status"]}
        {"id":9,"row":{"id":9,"amount":-1.5,"status":"lost"},"stage":"check","error":"breaks range_amount, accepted_values_status","checks":["range_amount","accepted_values_status"]}"#]].assert_eq(&project.rows("select id, row, stage, error, checks from orders__errors order by id"));
    project.windlass(["errors"]).check(expect![[r#"
        exit 0
        -- stdout
        orders        3 error rows    0.75%  accepted_values_status
        -- stderr
        windlass errors NODE says more
    "#]]);
    project.windlass(["errors", "orders"]).check(expect![[r#"
        exit 0
        -- stdout
        orders  3 of 400 rows failed (0.75%), version 0

          2  check  accepted_values_status
                    such as id=8  {"id":8,"amount":null,"status":"lost"}
          2  check  not_null_amount
                    such as id=7  {"id":7,"amount":null,"status":"placed"}
          1  check  range_amount
                    such as id=9  {"id":9,"amount":-1.5,"status":"lost"}
        -- stderr

        run them again with the code as it is now: windlass errors orders --replay
    "#]]);
    project.windlass(["show", "orders__errors", "--schema"]).check(expect![[r#"
        exit 0
        -- stdout
        id              bigint
        row             struct<id bigint, amount double, status varchar>
        stage           varchar
        error_type      varchar
        error           varchar
        checks          array<varchar>
        traceback       varchar
        traceback_hash  varchar
        attempts        int
        batch_id        bigint
        worker          int
        run_id          varchar
        fingerprint     varchar
        at              timestamp with time zone
    "#]]);
    let run = project.json(["run", "--no-cache"]);
    let node = &run["nodes"][0];
    assert_eq!((&node["rows"], &node["error_rows"]), (&397.into(), &3.into()));
    expect![[r#"
        {
          "name": "range_amount",
          "kind": "range",
          "column": "amount",
          "severity": "error",
          "on_fail": "quarantine",
          "status": "warn",
          "blocks": false,
          "observed": 1.0,
          "bound": "quarantined",
          "failing": 1,
          "rows": 400,
          "reason": null,
          "detail": "1 of 400 rows (0.25 %)",
          "figures": {},
          "examples": [
            {
              "id": 9,
              "amount": -1.5,
              "status": "lost"
            }
          ],
          "stored_in": null,
          "place": {
            "file": "transforms/p.yml",
            "line": 8,
            "column": 13,
            "end_line": 8,
            "end_column": 18
          }
        }"#]]
    .assert_eq(&pretty(node["checks"][1].clone()));
    assert_eq!(project.windlass(["errors", "orders", "--export", "bad.csv"]).code, 0);
    let csv = std::fs::read_to_string(project.path("bad.csv")).unwrap();
    let lines: Vec<&str> = csv.lines().map(|line| line.split(",,").next().unwrap()).collect();
    expect![[r#"
        id,amount,status,stage,error_type,error,checks,traceback,traceback_hash,attempts,batch_id,worker,run_id,fingerprint,at
        7
        8
        9,-1.5,lost,check"#]].assert_eq(&lines.join("\n"));
}

#[test]
fn error_rows_of_checks_are_read_like_any_table() {
    let project = Project::new(ORDERS);
    project.write(
        "transforms/lost.sql",
        "select unnest(checks) as broken, count(*) as rows from {{ ref('orders__errors') }} group by 1\n",
    );
    assert_eq!(project.windlass(["run"]).code, 0);
    expect![[r#"
        {"broken":"accepted_values_status","rows":2}
        {"broken":"not_null_amount","rows":2}
        {"broken":"range_amount","rows":1}"#]]
    .assert_eq(&project.rows("select * from lost order by broken"));
    // Without a check that diverts rows there is no such table.
    project.write("transforms/p.yml", "transforms: {orders: {checks: [row_count: {min: 1}]}}\n");
    project.windlass(["plan"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0302]: `orders` has no error table
         --> transforms/lost.sql:1:63
          |
        1 | select unnest(checks) as broken, count(*) as rows from {{ ref('orders__errors') }} group by 1
          |                                                               ^^^^^^^^^^^^^^^^
          |
          = help: Python transforms of batches with `on_error="quarantine"` have one, and tables with a check of `on_fail: quarantine` or that score with a model
        windlass explain E0302
    "#]]);
}

#[test]
fn rows_that_broke_a_check_are_held_against_the_checks_as_they_are_now() {
    let project = Project::new(ORDERS);
    assert_eq!(project.windlass(["run"]).code, 0);
    let checks = std::fs::read_to_string(project.path("transforms/p.yml")).unwrap();
    project.write("transforms/p.yml", &checks.replace("min: 0", "min: -2"));
    project.windlass(["errors", "orders", "--replay"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ orders             1 row  merged  version 1  [TIME]
          ! orders  2 of 3 rows failed again: not_null_amount 2   see: windlass errors orders
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"{"n":398,"low":-1.5}"#]]
        .assert_eq(&project.rows("select count(*) as n, min(amount) as low from orders"));
    expect![[r#"
        {"id":7,"checks":["not_null_amount"]}
        {"id":8,"checks":["not_null_amount","accepted_values_status"]}"#]]
    .assert_eq(&project.rows("select id, checks from orders__errors order by id"));
    // A check that blocks judges what is added.
    project.write("transforms/p.yml", &checks.replace("on_fail: quarantine", "on_fail: error"));
    project.windlass(["errors", "orders", "--replay"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: `orders` has no error table
          hint: Python transforms of batches with `on_error="quarantine"` have one, and tables with a check of `on_fail: quarantine` or that score with a model
        windlass explain E0103
    "#]]);
}

#[test]
fn more_error_rows_than_the_budget_keep_the_table_from_being_published() {
    let project = Project::new(ORDERS);
    assert_eq!(project.windlass(["run"]).code, 0);
    let checks = std::fs::read_to_string(project.path("transforms/p.yml")).unwrap();
    let with = |settings: &str| checks.replace("  orders:\n", &format!("  orders:\n    {settings}\n"));
    project.write("transforms/p.yml", &with("max_error_rate: 0.5%"));
    project.windlass(["run", "--no-cache"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ orders  failed  [TIME]
        error[E0409]: table `orders` has too many error rows and was not published
          warn not_null_amount: 2 of 400 rows (0.50 %), quarantined, such as id=7 amount=null status=placed (transforms/p.yml:8:13)
          warn range_amount: 1 of 400 rows (0.25 %), quarantined, such as id=9 amount=-1.5 status=lost (transforms/p.yml:9:13)
          3 of 400 rows failed (0.75 %), more than the 0.5 % of `max_error_rate`
          hint: correct the input or the SQL, or raise `max_error_rate`; look at its rows: windlass show orders__errors@candidate
        windlass explain E0409
        orders 3 checks passed, 2 warned
          warn not_null_amount: 2 of 400 rows (0.50 %), quarantined, such as id=7 amount=null status=placed (transforms/p.yml:8:13)
          warn range_amount: 1 of 400 rows (0.25 %), quarantined, such as id=9 amount=-1.5 status=lost (transforms/p.yml:9:13)
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {
          "node": "orders",
          "sql": null,
          "columns": [
            {
              "name": "id",
              "type": "bigint"
            },
            {
              "name": "amount",
              "type": "double"
            },
            {
              "name": "status",
              "type": "varchar"
            }
          ],
          "rows": [],
          "row_count": 0,
          "table_version": 0,
          "table_env": "prod",
          "table_rows": 397
        }"#]]
    .assert_eq(&pretty(project.json(["show", "orders", "-n", "0"])));
    project.write("transforms/p.yml", &with("max_errors: 2"));
    assert_eq!(project.windlass(["run", "--no-cache"]).code, 1);
    project.write("transforms/p.yml", &with("max_errors: 3"));
    assert_eq!(project.windlass(["run", "--no-cache"]).code, 0);
    // A check has a budget of its own, too.
    project.write("transforms/p.yml", &checks.replace("not_null: {", "not_null: {max_rows: 1, "));
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ orders  unchanged  version 2
        orders 1 check passed
        Nothing has changed, 1 table of prod stays  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.write("transforms/p.yml", &checks.replace("not_null: {", "not_null: {max_rate: 1%, "));
    assert_eq!(project.windlass(["run"]).code, 0);
    project.write("transforms/p.yml", &with("max_errors: 3\n    max_error_rate: 0.5"));
    project.windlass(["plan"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0203]: `max_errors` and `max_error_rate` are two answers to one question
         --> transforms/p.yml:4:21
          |
        3 |     max_errors: 3
          |                 - also here
        4 |     max_error_rate: 0.5
          |                     ^^^
          |
          = help: keep one of them
        windlass explain E0203
    "#]]);
}

#[test]
fn seeds_and_partitioned_tables_lose_rows_too() {
    let project = Project::new(
        "
-- seeds/cities.csv --
name,country
Oslo,NO
Rome,IT
Atlantis,
-- seeds/p.yml --
seeds: {cities: {max_errors: 1, columns: {country: {checks: [not_null: {on_fail: quarantine}]}}}}
-- transforms/trips.sql --
{{ config(partition_by=['city'], sort_by=['day desc'], max_error_rate=0.5) }}
select case when value % 2 = 0 then 'Oslo' end as city, value as day from generate_series(1, 10) t(value)
-- transforms/p.yml --
transforms: {trips: {checks: [expression: {expression: day < 9, where: city is not null, on_fail: quarantine}]}}
",
    );
    assert_eq!(project.windlass(["run"]).code, 0);
    expect![[r#"
        {"name":"Oslo"}
        {"name":"Rome"}"#]]
    .assert_eq(&project.rows("select name from cities order by 1"));
    expect![[r#"{"row":{"name":"Atlantis","country":null},"checks":["not_null_country"]}"#]]
        .assert_eq(&project.rows("select row, checks from cities__errors"));
    expect![[r#"
        {"city":"Oslo","n":4,"last":8}
        {"city":null,"n":5,"last":9}"#]]
    .assert_eq(&project.rows("select city, count(*) as n, max(day) as last from trips group by 1 order by 1"));
    expect![[r#"{"row":{"city":"Oslo","day":10},"checks":["expression"]}"#]]
        .assert_eq(&project.rows("select row, checks from trips__errors"));
    project.windlass(["errors", "cities", "--replay"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ cities            0 rows  merged  version 1  [TIME]
          ! cities  1 of 1 row failed again: not_null_country 1   see: windlass errors cities
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}

#[test]
fn an_error_table_of_python_holds_both_kinds() {
    let project = Project::with_python(
        r#"
-- transforms/numbers.sql --
select value as id, case when value % 100 <> 7 then value * 0.5 end as x from generate_series(1, 1000) t(value)
-- transforms/score.py --
from windlass import ref, transform


@transform(
    input=ref("numbers"),
    columns={"key": "varchar", "id": "varchar", "y": "double"},
    key=["id"],
    requires={"not_null": ["x"]},
    max_errors=11,
)
def score(batch):
    return {"key": batch["id"].astype(str), "id": batch["id"].astype(str), "y": batch["x"] * 2}
-- transforms/p.yml --
transforms: {score: {columns: {y: {checks: [range: {max: 999, on_fail: quarantine}]}}}}
"#,
    );
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ numbers        1,000 rows  [SIZE]  version 0  [TIME]
          ✓ score            989 rows  [SIZE]  version 0  [TIME]
          ! score    1.10% of rows quarantined: `x` is null 10 · range_y 1   see: windlass errors score
        score 0 checks passed, 1 warned
          warn range_y: 1 of 990 rows (0.10 %), quarantined, such as key=1000 id=1000 y=1000.0 (transforms/p.yml:1:45)
        Published 2 of 2 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"id":907,"row":{"id":907,"x":null},"result":null,"stage":"requires","checks":null}
        {"id":1000,"row":null,"result":{"key":"1000","id":"1000","y":1000.0},"stage":"check","checks":["range_y"]}"#]]
    .assert_eq(&project.rows("select id, row, result, stage, checks from score__errors where id > 900 order by id"));
    project.windlass(["errors", "score"]).check(expect![[r#"
        exit 0
        -- stdout
        score  11 of 1,000 rows failed (1.10%), version 0

          10  requires  `x` is null
                        such as id=7  {"id":7,"x":null}
           1  check     range_y
                        such as id=1000  {"key":"1000","id":"1000","y":1000.0}
        -- stderr

        run them again with the code as it is now: windlass errors score --replay
    "#]]);
    let code = std::fs::read_to_string(project.path("transforms/score.py")).unwrap();
    // Together they are one too many.
    project.write("transforms/score.py", &code.replace("max_errors=11", "max_errors=10"));
    project.windlass(["run", "score", "--no-cache"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ score  failed  [TIME]
        error[E0409]: table `score` has too many error rows and was not published
          warn range_y: 1 of 990 rows (0.10 %), quarantined, such as key=1000 id=1000 y=1000.0 (transforms/p.yml:1:45)
          11 of 1000 rows failed (1.10 %), more than the 10 of `max_errors`
          hint: correct the input or the SQL, or raise `max_error_rate`; look at its rows: windlass show score__errors@candidate
        windlass explain E0409
        score 0 checks passed, 1 warned
          warn range_y: 1 of 990 rows (0.10 %), quarantined, such as key=1000 id=1000 y=1000.0 (transforms/p.yml:1:45)
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    // What broke a check does not go through Python again, the others do.
    project.write("transforms/score.py", &code.replace("    requires={\"not_null\": [\"x\"]},\n", ""));
    project.write(
        "transforms/p.yml",
        "transforms: {score: {columns: {y: {checks: [range: {max: 2000, on_fail: quarantine}]}}}}\n",
    );
    project.windlass(["errors", "score", "--replay"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ score             1 row  merged  version 1  [TIME]
          ! score  10 of 11 rows failed again: range_y 10   see: windlass errors score
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"{"n":990,"y":990,"high":1000.0}"#]]
        .assert_eq(&project.rows("select count(*) as n, count(y) as y, max(y) as high from score"));
}

#[test]
fn a_run_that_is_killed_while_it_looks_leaves_both_tables() {
    let project = Project::new(ORDERS);
    assert_eq!(project.windlass(["run"]).code, 0);
    let both = "select (select count(*) from orders) as rows, (select count(*) from orders__errors) as errors";
    let before = project.rows(both);
    let sql = std::fs::read_to_string(project.path("transforms/orders.sql")).unwrap();
    project.write("transforms/orders.sql", &sql.replace("value = 9", "value in (9, 10)"));
    let mut run = project.start(["run"], &[("WINDLASS_TEST_HOLD_AT", "staged:orders")]);
    run.wait_for("held at staged:orders");
    run.signal("KILL");
    run.wait();
    assert_eq!(project.rows(both), before);
}

#[test]
fn what_cannot_lose_rows_says_so() {
    let project = Project::new(
        "
-- sources.yml --
sources: {raw: {path: 'data/{name}.csv', tables: {orders: {columns: {id: {checks: [not_null: {on_fail: quarantine}]}}}}}}
-- data/orders.csv --
id
1
-- transforms/v.sql --
{{ config(materialized='view') }} select * from {{ source('raw', 'orders') }}
-- transforms/t.sql --
select * from {{ ref('v') }}
-- transforms/t2__errors.sql --
select 1 as id
-- transforms/t2.sql --
select 1 as id
-- transforms/p.yml --
transforms:
  v: {columns: {id: {checks: [not_null: {on_fail: quarantine}]}}}
  t:
    checks:
      - unique: id
        on_fail: quarantine
      - row_count: {min: 1, on_fail: quarantine}
  t2: {columns: {id: {checks: [not_null: {on_fail: quarantine}]}}}
-- checks/odd.sql --
{{ config(on='t', on_fail='quarantine') }} select * from {{ ref('t') }} where id = 3
",
    );
    project.windlass(["plan"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0205]: `t2__errors` is the error table of `t2`
         --> transforms/t2__errors.sql:1:1
          |
        1 | select 1 as id
          | ^
          |
         ::: transforms/p.yml:8:32
          |
        8 |   t2: {columns: {id: {checks: [not_null: {on_fail: quarantine}]}}}
          |                                -------- its rows that fail go there
          |
          = help: give this node another name

        error[E0603]: check `row_count` cannot quarantine rows: `row_count` does not say which rows are wrong
         --> transforms/p.yml:7:9
          |
        7 |       - row_count: {min: 1, on_fail: quarantine}
          |         ^^^^^^^^^
          |
          = help: use `on_fail: error` or `on_fail: warn`, or say in SQL which rows are wrong: `expression`

        error[E0603]: check `odd` cannot quarantine rows: `sql` does not say which rows are wrong
         --> checks/odd.sql:1:1
          |
        1 | {{ config(on='t', on_fail='quarantine') }} select * from {{ ref('t') }} where id = 3
          | ^
          |
          = help: use `on_fail: error` or `on_fail: warn`, or say in SQL which rows are wrong: `expression`

        error[E0603]: check `not_null_id` cannot quarantine rows: `v` is a view, which has no rows of its own
         --> transforms/p.yml:2:31
          |
        2 |   v: {columns: {id: {checks: [not_null: {on_fail: quarantine}]}}}
          |                               ^^^^^^^^
          |
          = help: put the check on the tables that read it, or make it one: `materialized: table`

        error[E0603]: check `not_null_id` cannot quarantine rows: `raw.orders` is a source, whose rows others wrote
         --> sources.yml:1:84
          |
        1 | sources: {raw: {path: 'data/{name}.csv', tables: {orders: {columns: {id: {checks: [not_null: {on_fail: quarantine}]}}}}}}
          |                                                                                    ^^^^^^^^
          |
          = help: put the check on the transform that reads it, or use `severity: warn`

        5 mistakes, nothing was done
        windlass explain E0205 E0603
    "#]]);
}

#[test]
fn more_checks_than_a_word_has_bits() {
    let columns: Vec<String> = (0..70).map(|at| format!("case when value <> {at} then 1 end as c{at}")).collect();
    let checks: Vec<String> =
        (0..70).map(|at| format!("c{at}: {{checks: [not_null: {{on_fail: quarantine}}]}}")).collect();
    let project = Project::new(&format!(
        "-- transforms/wide.sql --\n{{{{ config(max_error_rate=1) }}}}\nselect value as id, {} from generate_series(0, 99) t(value)\n\
         -- transforms/p.yml --\ntransforms: {{wide: {{columns: {{{}}}}}}}\n",
        columns.join(", "),
        checks.join(", ")
    ));
    assert_eq!(project.windlass(["run"]).code, 0);
    expect![[r#"{"n":30,"first":70}"#]].assert_eq(&project.rows("select count(*) as n, min(id) as first from wide"));
    expect![[r#"{"n":70,"kinds":70,"own":70}"#]].assert_eq(&project.rows(
        "select count(*) as n, count(distinct checks) as kinds, sum(case when checks[1] = 'not_null_c' || row['id'] then 1 end) as own from wide__errors",
    ));
}

#[test]
fn hopeless_work_ends_early() {
    let project = Project::new(
        "
-- transforms/long.sql --
{{ config(max_errors=100) }}
select value as id, case when value % 10 = 0 then 'odd' else 'fine' end as kind from generate_series(1, 3000000) t(value)
-- transforms/p.yml --
transforms: {long: {checks: [{unique: id}], columns: {kind: {checks: [accepted_values: [fine]]}, id: {checks: [not_null]}}}}
",
    );
    let answer = project.windlass(["run"]);
    answer.check(expect![[r#"
        exit 1
        -- stderr
          ✗ long  failed  [TIME]
        error[E0604]: table `long` breaks a check and was not published
          fail accepted_values_kind: 1,638 of 16,384 rows (10.00 %), error if <> 0, such as id=10 kind=odd (transforms/p.yml:1:71)
          stopped after 16,384 rows
          hint: look at its rows: windlass show long@candidate
        windlass explain E0604
        long 0 checks passed, 1 failed, 2 not looked at to the end
          skipped not_null_id: not looked at to the end, error if <> 0 (transforms/p.yml:1:112)
          skipped unique_id: not looked at to the end (transforms/p.yml:1:31)
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.write(
        "transforms/p.yml",
        "transforms: {long: {columns: {kind: {checks: [accepted_values: {values: [fine], on_fail: quarantine}]}}}}\n",
    );
    let answer = project.windlass(["run"]);
    answer.check(expect![[r#"
        exit 1
        -- stderr
          ✗ long  failed  [TIME]
        error[E0409]: table `long` has too many error rows and was not published
          warn accepted_values_kind: 1,638 of 16,384 rows (10.00 %), quarantined, such as id=10 kind=odd (transforms/p.yml:1:47)
          1638 of 16384 rows failed (10.00 %), more than the 100 of `max_errors`
          stopped after 16,384 rows
          hint: correct the input or the SQL, or raise `max_error_rate`; look at its rows: windlass show long__errors@candidate
        windlass explain E0409
        long 0 checks passed, 1 warned
          warn accepted_values_kind: 1,638 of 16,384 rows (10.00 %), quarantined, such as id=10 kind=odd (transforms/p.yml:1:47)
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}
