//! `table@candidate`: rows that a run kept back, to be looked at.

use expect_test::expect;

use crate::support::{Project, is_there, pretty};

const SHOP: &str = "
-- seeds/amounts.csv --
id,amount
1,10
2,20
3,30
-- transforms/orders.sql --
{{ config(partition_by=['kind']) }}
select id, amount * {{ var('factor', 1) }} as amount, case when id < 3 then 'small' end as kind from {{ ref('amounts') }}
-- transforms/reader.sql --
select sum(amount) as total from {{ ref('orders') }}
-- transforms/p.yml --
transforms: {orders: {columns: {amount: {checks: [range: {max: 30}]}}}}
";

const LIST: &str = "lake/prod/orders/_candidate/candidate.json";

fn data_files(project: &Project) -> usize {
    project.files("lake/prod/orders").iter().filter(|file| file.ends_with(".parquet")).count()
}

#[test]
fn rows_that_were_kept_back_can_be_looked_at() {
    let project = Project::new(SHOP);
    assert_eq!(project.windlass(["run"]).code, 0);
    assert!(!is_there(&project.path(LIST)));
    project.windlass(["show", "orders@candidate"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: no run has left `orders@candidate`
          hint: a table has a candidate after a run that broke its checks, until it is published
        windlass explain E0103
    "#]]);
    project.windlass(["run", "--vars", "factor=2"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ amounts  unchanged  version 0
          ✗ orders   failed  [TIME]
        error[E0604]: table `orders` breaks a check and was not published
          fail range_amount: 2 of 3 rows (66.7 %), error if <> 0, such as id=2 amount=40 kind=small (transforms/p.yml:1:51)
          hint: look at its rows: windlass show orders@candidate
          - reader   skipped, it needs `orders`
        windlass explain E0604
        orders 0 checks passed, 1 failed
        Published 0 of 3 to prod, 1 unchanged, 1 failed, 1 skipped  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.windlass(["show", "orders@candidate"]).check(expect![[r#"
        exit 0
        -- stdout
        +----+--------+-------+
        | id | amount | kind  |
        +----+--------+-------+
        | 3  | 60     |       |
        | 1  | 20     | small |
        | 2  | 40     | small |
        +----+--------+-------+
        -- stderr
        3 rows, kept back by run [RUN]
    "#]]);
    expect![[r#"
        {
          "node": "orders@candidate",
          "sql": null,
          "columns": [
            {
              "name": "id",
              "type": "bigint"
            },
            {
              "name": "amount",
              "type": "bigint"
            },
            {
              "name": "kind",
              "type": "varchar"
            }
          ],
          "rows": [
            {
              "id": 3,
              "amount": 60,
              "kind": null
            }
          ],
          "row_count": 1,
          "table_version": null,
          "table_env": null,
          "table_rows": null
        }"#]]
    .assert_eq(&pretty(project.json(["show", "orders@candidate", "-n", "1"])));
    expect![[r#"
        {"id":1,"before":10,"after":20}
        {"id":2,"before":20,"after":40}
        {"id":3,"before":30,"after":60}"#]].assert_eq(&project.rows(
        "select id, o.amount as before, c.amount as after from orders o join \"orders@candidate\" c using (id) order by id",
    ));
    project.windlass(["check", "--candidate", "orders"]).check(expect![[r#"
        exit 1
        -- stdout
        orders 0 checks passed, 1 failed
          fail range_amount: 2 of 3 rows (66.7 %), error if <> 0, such as id=3 amount=60 kind=null (transforms/p.yml:1:51)
        -- stderr
        Looked at 1 node
    "#]]);
    project.windlass(["show", "orders@candidate", "--schema"]).check(expect![[r#"
        exit 0
        -- stdout
        id      bigint
        amount  bigint
        kind    varchar
    "#]]);
    // No reader of the table sees it.
    expect![[r#"{"n":3,"high":30}"#]].assert_eq(&project.rows("select count(*) as n, max(amount) as high from orders"));
    // The next one takes its place, and a table that is published has none.
    let files = data_files(&project);
    assert_eq!(project.windlass(["run", "--vars", "factor=3"]).code, 1);
    assert_eq!(data_files(&project), files, "files of the one before are gone");
    expect![[r#"{"high":90}"#]].assert_eq(&project.rows("select max(amount) as high from \"orders@candidate\""));
    assert_eq!(project.windlass(["run"]).code, 0);
    assert!(!is_there(&project.path(LIST)));
    project.windlass(["check", "--candidate", "orders"]).check(expect![[r#"
        exit 1
        -- stderr
        error[E0103]: no run has left `orders@candidate`
          hint: a table has a candidate after a run that broke its checks, until it is published
        Looked at 1 node, 1 could not be read
    "#]]);
}

#[test]
fn a_run_that_is_killed_leaves_the_table_and_the_candidate_of_the_run_before() {
    let project = Project::new(SHOP);
    assert_eq!(project.windlass(["run"]).code, 0);
    assert_eq!(project.windlass(["run", "--vars", "factor=2"]).code, 1);
    let hold = [("WINDLASS_TEST_HOLD_AT", "staged:orders")];
    let mut run = project.start(["run", "--vars", "factor=3"], &hold);
    run.wait_for("held at staged:orders");
    run.signal("KILL");
    run.wait();
    expect![[r#"{"before":30,"after":60}"#]].assert_eq(&project.rows(
        "select max(o.amount) as before, max(c.amount) as after from orders o join \"orders@candidate\" c using (id)",
    ));
}

#[test]
fn gc_removes_candidates() {
    let project = Project::new(SHOP);
    assert_eq!(project.windlass(["run", "--vars", "factor=2"]).code, 1);
    // Also of a table that was never published.
    expect![[r#"{"n":3}"#]].assert_eq(&project.rows("select count(*) as n from \"orders@candidate\""));
    project.windlass(["gc", "--dry-run"]).check(expect![[r#"
        exit 0
        -- stdout
        orders       3 files  [SIZE]  candidate
        -- stderr
        Would remove 3 files, [SIZE]
    "#]]);
    assert!(is_there(&project.path(LIST)));
    assert_eq!(project.windlass(["gc"]).code, 0);
    assert!(!is_there(&project.path(LIST)));
    assert_eq!(data_files(&project), 0);
    project.windlass(["show", "orders@candidate"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: no run has left `orders@candidate`
          hint: a table has a candidate after a run that broke its checks, until it is published
        windlass explain E0103
    "#]]);
}

#[test]
fn rows_of_a_quarantine_that_is_too_full_are_kept_as_well() {
    let project = Project::new(SHOP);
    project.write(
        "transforms/p.yml",
        "transforms: {orders: {columns: {amount: {checks: [range: {max: 15, on_fail: quarantine}]}}}}\n",
    );
    project.windlass(["run", "+orders"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ amounts            3 rows  [SIZE]  version 0  [TIME]
          ✗ orders   failed  [TIME]
        error[E0409]: table `orders` has too many error rows and was not published
          warn range_amount: 2 of 3 rows (66.7 %), quarantined, such as id=2 amount=20 kind=small (transforms/p.yml:1:51)
          2 of 3 rows failed (66.67 %), more than the 1 % of `max_error_rate`
          hint: correct the input or the SQL, or raise `max_error_rate`; look at its rows: windlass show orders__errors@candidate
        windlass explain E0409
        orders 0 checks passed, 1 warned
          warn range_amount: 2 of 3 rows (66.7 %), quarantined, such as id=2 amount=20 kind=small (transforms/p.yml:1:51)
        Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"row":{"id":2,"amount":20,"kind":"small"},"checks":["range_amount"]}
        {"row":{"id":3,"amount":30,"kind":null},"checks":["range_amount"]}"#]]
    .assert_eq(&project.rows("select row, checks from \"orders__errors@candidate\" order by row['id']"));
    expect![[r#"{"id":1}"#]].assert_eq(&project.rows("select id from \"orders@candidate\""));
    project.windlass(["show", "orders__errors@candidate", "-n", "0"]).check(expect![[r#"
        exit 0
        -- stdout
        +-----+-------+------------+-------+--------+-----------+----------------+----------+----------+--------+--------+-------------+----+
        | row | stage | error_type | error | checks | traceback | traceback_hash | attempts | batch_id | worker | run_id | fingerprint | at |
        +-----+-------+------------+-------+--------+-----------+----------------+----------+----------+--------+--------+-------------+----+
        +-----+-------+------------+-------+--------+-----------+----------------+----------+----------+--------+--------+-------------+----+
        -- stderr
        first 0 rows, kept back by run [RUN]
    "#]]);
}

#[test]
fn what_was_never_kept_back_says_so() {
    let project = Project::new(SHOP);
    project.add("-- transforms/seen.sql --\n{{ config(materialized='view') }} select 1 as id\n");
    project.windlass(["show", "seen@candidate"]).check(expect![[r#"
        exit 2
        -- stderr
        error: `seen` is a view and has no candidate
          hint: only tables are kept back
    "#]]);
    project.windlass(["show", "order@candidate"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no node `order`
          hint: did you mean `orders`?
    "#]]);
    project.windlass(["show", "--sql", "select * from \"orders@candidate\""]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: no run has left `orders@candidate`
          hint: a table has a candidate after a run that broke its checks, until it is published
        windlass explain E0103
    "#]]);
    project.windlass(["show", "orders@candidate", "--compiled"]).check(expect![[r#"
        exit 2
        -- stderr
        error: `orders@candidate` holds rows that a run has kept, and has no SQL
    "#]]);
    // Nor is it a table for transforms.
    project.add("-- transforms/odd.sql --\nselect * from {{ ref('orders@candidate') }}\n");
    project.windlass(["plan", "odd"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0302]: no node `orders@candidate`
         --> transforms/odd.sql:1:22
          |
        1 | select * from {{ ref('orders@candidate') }}
          |                      ^^^^^^^^^^^^^^^^^^ did you mean `orders`?
          |
          = help: a node is named after its file in `transforms/` or `seeds/`
        windlass explain E0302
    "#]]);
}

#[test]
fn a_list_that_cannot_be_read_is_no_candidate() {
    let project = Project::new(SHOP);
    assert_eq!(project.windlass(["run", "--vars", "factor=2"]).code, 1);
    project.write(LIST, "{");
    assert_eq!(project.windlass(["show", "orders@candidate"]).code, 2);
    assert_eq!(project.windlass(["run"]).code, 0);
    assert_eq!(project.windlass(["gc"]).code, 0);
    expect![[r#"{"n":3}"#]].assert_eq(&project.rows("select count(*) as n from orders"));
}
