//! `store_failures`: offending rows in a table of their own.

use expect_test::expect;

use crate::support::{Project, pretty};

const ORDERS: &str = "
-- seeds/customers.csv --
id
1
2
-- transforms/orders.sql --
select value as id, value % 4 as customer, case when value > 97 then -1.0 else value * 0.5 end as amount
from generate_series(1, 100) t(value)
-- checks/odd.sql --
{{ config(on='orders', severity='warn', store_failures=true) }}
select customer, count(*) as orders from {{ ref('orders') }} where customer = 3 group by customer
-- transforms/p.yml --
transforms:
  orders:
    checks:
      - unique: [customer]
        severity: warn
        store_failures: true
      - relationships: {columns: customer, to: customers, field: id, severity: warn, store_failures: true, limit: 4}
      - row_count: {min: 1, store_failures: true}
    columns:
      id: {checks: [not_null]}
      amount:
        data_tests:
          - dbt_utils.accepted_range: {min_value: 0, config: {store_failures: true, severity: warn}}
          - range: {max: 40, severity: warn}
";

#[test]
fn offending_rows_are_kept_in_a_table() {
    let project = Project::new(ORDERS);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ customers            2 rows  [SIZE]  version 0  [TIME]
          ✓ orders             100 rows  [SIZE]  version 0  [TIME]
        orders 2 checks passed, 5 warned
          warn range_amount: 3 of 100 rows (3.00 %), warn if <> 0, such as id=98 customer=2 amount=-1.0, more in orders__failures (transforms/p.yml:13:13)
          warn range_amount_2: 17 of 100 rows (17.0 %), warn if <> 0, such as id=81 customer=1 amount=40.5 (transforms/p.yml:14:13)
          warn unique_customer: 100 of 100 rows (100.0 %), warn if <> 0, such as customer=0 rows=25, more in orders__failures (transforms/p.yml:4:9)
          warn relationships_customer_customers: 50 of 100 rows (50.0 %), warn if <> 0, such as id=3 customer=3 amount=1.5, more in orders__failures (transforms/p.yml:7:9)
          warn odd: 1 of 100 rows (1.00 %), warn if <> 0, such as customer=3 orders=25, more in orders__failures (checks/odd.sql:1:1)
        Published 2 of 2 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"check_name":"odd","status":"warn","row":null,"found":"{\"customer\":3,\"orders\":25}"}
        {"check_name":"range_amount","status":"warn","row":{"id":98,"customer":2,"amount":-1.0},"found":null}
        {"check_name":"range_amount","status":"warn","row":{"id":99,"customer":3,"amount":-1.0},"found":null}
        {"check_name":"range_amount","status":"warn","row":{"id":100,"customer":0,"amount":-1.0},"found":null}
        {"check_name":"relationships_customer_customers","status":"warn","row":{"id":3,"customer":3,"amount":1.5},"found":null}
        {"check_name":"relationships_customer_customers","status":"warn","row":{"id":4,"customer":0,"amount":2.0},"found":null}
        {"check_name":"relationships_customer_customers","status":"warn","row":{"id":7,"customer":3,"amount":3.5},"found":null}
        {"check_name":"relationships_customer_customers","status":"warn","row":{"id":8,"customer":0,"amount":4.0},"found":null}
        {"check_name":"unique_customer","status":"warn","row":null,"found":"{\"customer\":0,\"rows\":25}"}
        {"check_name":"unique_customer","status":"warn","row":null,"found":"{\"customer\":1,\"rows\":25}"}
        {"check_name":"unique_customer","status":"warn","row":null,"found":"{\"customer\":2,\"rows\":25}"}
        {"check_name":"unique_customer","status":"warn","row":null,"found":"{\"customer\":3,\"rows\":25}"}"#]].assert_eq(
        &project.rows("select check_name, status, row, found from orders__failures order by 1, row['id'], found"),
    );
    project.windlass(["show", "orders__failures", "-n", "1", "--schema"]).check(expect![[r#"
        exit 0
        -- stdout
        check_name  varchar
        kind        varchar
        status      varchar
        row         struct<id bigint, customer bigint, amount double>
        found       varchar
        run_id      varchar
        at          timestamp with time zone
    "#]]);
    let check = project.json(["run", "--no-cache"])["nodes"][1]["checks"][1].clone();
    assert_eq!((&check["name"], &check["stored_in"]), (&"range_amount".into(), &"orders__failures".into()));
    expect![[r#"
        [
          {
            "id": 98,
            "customer": 2,
            "amount": -1.0
          },
          {
            "id": 99,
            "customer": 3,
            "amount": -1.0
          },
          {
            "id": 100,
            "customer": 0,
            "amount": -1.0
          }
        ]"#]]
    .assert_eq(&pretty(check["examples"].clone()));
    // Also of a table that is not published, and gone once nothing offends.
    let checks = std::fs::read_to_string(project.path("transforms/p.yml")).unwrap();
    project.write(
        "transforms/p.yml",
        &checks.replace("config: {store_failures: true, severity: warn}", "store_failures: true"),
    );
    project.windlass(["run", "orders"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ orders  failed  [TIME]
        error[E0604]: table `orders` breaks a check
          fail range_amount: 3 of 100 rows (3.00 %), error if <> 0, such as id=98 customer=2 amount=-1.0, more in orders__failures (transforms/p.yml:13:13)
        windlass explain E0604
        orders 0 checks passed, 1 failed
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"check_name":"odd","n":1,"status":"warn"}
        {"check_name":"range_amount","n":3,"status":"fail"}
        {"check_name":"relationships_customer_customers","n":4,"status":"warn"}
        {"check_name":"unique_customer","n":4,"status":"warn"}"#]]
    .assert_eq(
        &project.rows(
            "select check_name, count(*) as n, min(status) as status from orders__failures group by 1 order by 1",
        ),
    );
    project
        .write("transforms/p.yml", "transforms: {orders: {checks: [{row_count: {min: 1, store_failures: true}}]}}\n");
    std::fs::remove_file(project.path("checks/odd.sql")).unwrap();
    assert_eq!(project.windlass(["run", "orders", "--no-cache"]).code, 0);
    assert_eq!(project.rows("select * from orders__failures"), "");
}

#[test]
fn checks_that_are_made_again_replace_their_rows() {
    let project = Project::new(
        "
-- transforms/orders.sql --
select value as id, value * 10 as amount from generate_series(1, 5) t(value)
-- transforms/p.yml --
transforms: {orders: {checks: [{expression: id < 5, name: few, severity: warn, store_failures: true}, {range: {max: 30}, column: amount, \
         severity: warn, store_failures: true}]}}
",
    );
    assert_eq!(project.windlass(["run"]).code, 0);
    let kept = || project.rows("select check_name, row['id'] as id from orders__failures order by 1, 2");
    expect![[r#"
        {"check_name":"few","id":5}
        {"check_name":"range_amount","id":4}
        {"check_name":"range_amount","id":5}"#]]
    .assert_eq(&kept());
    let checks = std::fs::read_to_string(project.path("transforms/p.yml")).unwrap();
    project.write("transforms/p.yml", &checks.replace("max: 30", "max: 40"));
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ orders  unchanged  version 1
        orders 0 checks passed, 1 warned
          warn range_amount: 1 of 5 rows (20.0 %), warn if <> 0, such as id=5 amount=50, more in orders__failures (transforms/p.yml:1:104)
        Nothing has changed, 1 table of prod stays  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"check_name":"few","id":5}
        {"check_name":"range_amount","id":5}"#]]
    .assert_eq(&kept());
    project.write("transforms/p.yml", &checks.replace("max: 30", "max: 50"));
    assert_eq!(project.windlass(["run"]).code, 0);
    expect![[r#"{"check_name":"few","id":5}"#]].assert_eq(&kept());
}

#[test]
fn what_keeps_no_offending_rows_says_so() {
    let project = Project::new(ORDERS);
    project.windlass(["show", "orders__failures"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: no run has left `orders__failures`
          hint: each run of the table writes it, and `store_failures` of its checks says so
        windlass explain E0103
    "#]]);
    project.add(
        "-- transforms/seen.sql --\n{{ config(materialized='view') }} select 1 as id\n-- transforms/orders__failures.sql --\nselect 1 as id\n\
         -- transforms/q.yml --\ntransforms: {seen: {columns: {id: {checks: [{not_null: {store_failures: true}}]}}}}\n",
    );
    project.windlass(["plan", "seen"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          view   seen    1 column

        0 to build, 0 unchanged, 1 view. Names and types fit; not checked: values, divisions by zero, casts of text.
        -- stderr
        warning[E0603]: failing rows of check `not_null_id` are not stored: `seen` is no table
         --> transforms/q.yml:1:46
          |
        1 | transforms: {seen: {columns: {id: {checks: [{not_null: {store_failures: true}}]}}}}
          |                                              ^^^^^^^^
          |
          = help: put the check on a table that reads it, or remove `store_failures`
    "#]]);
    project.windlass(["plan", "orders"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0205]: `orders__failures` is a node, and the table of failing rows of `orders`
          --> transforms/p.yml:13:13
           |
        13 |           - dbt_utils.accepted_range: {min_value: 0, config: {store_failures: true, severity: warn}}
           |             ^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = help: give that node another name, or remove `store_failures`
        windlass explain E0205
    "#]]);
}

#[test]
fn rows_of_checks_that_keep_none_any_more_go() {
    let project = Project::new(
        "
-- transforms/orders.sql --
select value as id from generate_series(1, 5) t(value)
-- transforms/p.yml --
transforms: {orders: {checks: [{expression: id < 5, name: few, severity: warn, store_failures: true}, {row_count: 5}]}}
",
    );
    let kept = || project.rows("select check_name, row['id'] as id from orders__failures");
    let checks = std::fs::read_to_string(project.path("transforms/p.yml")).unwrap();
    for without in [checks.replace(", store_failures: true", ""), "transforms: {orders: {}}\n".to_string()] {
        project.write("transforms/p.yml", &checks);
        assert_eq!(project.windlass(["run", "--no-cache"]).code, 0);
        assert_eq!(kept(), r#"{"check_name":"few","id":5}"#);
        project.write("transforms/p.yml", &without);
        assert_eq!(project.windlass(["run", "--no-cache"]).code, 0);
        // Only a project with a check that keeps rows can name them.
        project.write("transforms/p.yml", &checks);
        assert_eq!(kept(), "", "{without}");
    }
    project.write("transforms/p.yml", "transforms: {orders: {}}\n");
    let versions = || std::fs::read_dir(project.path("lake/prod/orders__failures/_delta_log")).unwrap().count();
    let before = versions();
    assert_eq!(project.windlass(["run", "--no-cache"]).code, 0);
    assert_eq!(versions(), before, "nothing is written once they are gone");
}
