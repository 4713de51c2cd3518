//! `on_fail: quarantine` of checks that judge rows by their key: `unique` and `relationships`.

use expect_test::expect;

use crate::support::Project;

/// Two rows of customer 1, three of customer 2, two of which came on the same day, and rows without a customer.
const ORDERS: &str = "
-- seeds/customers.csv --
id
1
2
3
-- transforms/orders.sql --
{{ config(max_error_rate=0.9, partition_by=['kind'], sort_by=['day']) }}
select * from (values
  (1, 1, date '2024-01-02', 'a'), (2, 1, date '2024-01-01', 'b'),
  (3, 2, date '2024-01-05', 'a'), (4, 2, date '2024-01-05', 'b'), (5, 2, date '2024-01-03', 'a'),
  (6, 3, date '2024-01-01', null), (7, null, date '2024-01-01', 'a'), (8, null, date '2024-01-01', 'a'), (9, 9, null, 'b')
) as v(id, customer, day, kind)
-- transforms/p.yml --
transforms: {orders: {checks: [CHECKS]}}
";

fn project(checks: &str) -> Project {
    Project::new(&ORDERS.replace("CHECKS", checks))
}

const LEFT: &str = "select row['id'] as id, checks from orders__errors order by 1";

#[test]
fn rows_that_share_their_key_leave() {
    let project = project("{unique: customer, on_fail: quarantine}, {row_count: 4}, {unique: id}");
    project.windlass(["run", "orders"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ orders            4 rows  [SIZE]  version 0  [TIME]
          ! orders  55.56% of rows quarantined: unique_customer 5   see: windlass errors orders
        orders 2 checks passed, 1 warned
          warn unique_customer: 5 of 9 rows (55.6 %), quarantined, such as id=1 customer=1 day=2024-01-02 kind=a (transforms/p.yml:1:33)
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"id":6}
        {"id":7}
        {"id":8}
        {"id":9}"#]]
    .assert_eq(&project.rows("select id from orders order by id"));
    expect![[r#"
        {"id":1,"checks":["unique_customer"]}
        {"id":2,"checks":["unique_customer"]}
        {"id":3,"checks":["unique_customer"]}
        {"id":4,"checks":["unique_customer"]}
        {"id":5,"checks":["unique_customer"]}"#]]
    .assert_eq(&project.rows(LEFT));
    project.windlass(["errors", "orders"]).check(expect![[r#"
        exit 0
        -- stdout
        orders  5 of 9 rows failed (55.56%), version 0

          5  check  unique_customer
                    such as customer=1  {"id":1,"customer":1,"day":"2024-01-02","kind":"a"}
        -- stderr

        run them again with the code as it is now: windlass errors orders --replay
    "#]]);
    // No file is left behind by the second look.
    assert_eq!(project.json(["gc", "--dry-run"])["files"], serde_json::json!([]));
    // Whose key is in the table or comes again stays where it is; the others come back.
    project.windlass(["errors", "orders", "--replay"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ orders            0 rows  merged  version 1  [TIME]
          ! orders  5 of 5 rows failed again: unique_customer 5   see: windlass errors orders
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}

#[test]
fn the_first_row_of_a_key_stays() {
    let first = project("{unique: {columns: customer, keep: first, order_by: day}, on_fail: quarantine}");
    assert_eq!(first.windlass(["run", "orders"]).code, 0);
    expect![[r#"
        {"id":1,"checks":["unique_customer"]}
        {"id":3,"checks":["unique_customer"]}
        {"id":4,"checks":["unique_customer"]}"#]]
    .assert_eq(&first.rows(LEFT));
    // Where two are the first, none is.
    let last = project("{unique: {columns: customer, keep: first, order_by: day desc}, on_fail: quarantine}");
    assert_eq!(last.windlass(["run", "orders"]).code, 0);
    expect![[r#"
        {"id":2,"checks":["unique_customer"]}
        {"id":3,"checks":["unique_customer"]}
        {"id":4,"checks":["unique_customer"]}
        {"id":5,"checks":["unique_customer"]}"#]]
    .assert_eq(&last.rows(LEFT));
    expect![[r#"
        {"id":1}
        {"id":6}
        {"id":7}
        {"id":8}
        {"id":9}"#]]
    .assert_eq(&last.rows("select id from orders order by id"));
    // Rows of several columns share NULL as well.
    let both = project("{unique: [customer, kind], on_fail: quarantine, where: id > 3}");
    assert_eq!(both.windlass(["run", "orders"]).code, 0);
    expect![[r#"
        {"id":7,"checks":["unique_customer_kind"]}
        {"id":8,"checks":["unique_customer_kind"]}"#]]
    .assert_eq(&both.rows(LEFT));
}

#[test]
fn rows_that_refer_to_nothing_leave() {
    let project = project(
        "{relationships: {columns: customer, to: customers, field: id}, on_fail: quarantine}, {expression: id <> 5, on_fail: quarantine}",
    );
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ customers            3 rows  [SIZE]  version 0  [TIME]
          ✓ orders               7 rows  [SIZE]  version 0  [TIME]
          ! orders     22.22% of rows quarantined: relationships_customer_customers 1 · expression 1   see: windlass errors orders
        orders 0 checks passed, 2 warned
          warn relationships_customer_customers: 1 of 8 rows (12.5 %), quarantined, such as id=9 customer=9 day=null kind=b (transforms/p.yml:1:33)
          warn expression: 1 of 9 rows (11.1 %), quarantined, such as id=5 customer=2 day=2024-01-03 kind=a (transforms/p.yml:1:118)
        Published 2 of 2 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"id":5,"checks":["expression"]}
        {"id":9,"checks":["relationships_customer_customers"]}"#]]
    .assert_eq(&project.rows(LEFT));
    // A customer that comes later brings its rows back.
    project.write("seeds/customers.csv", "id\n1\n2\n3\n9\n");
    project.windlass(["run", "customers"]);
    project.windlass(["errors", "orders", "--replay"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ orders             1 row  merged  version 1  [TIME]
          ! orders  1 of 2 rows failed again: expression 1   see: windlass errors orders
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"{"n":8,"ids":8}"#]]
        .assert_eq(&project.rows("select count(*) as n, count(distinct id) as ids from orders"));
}

#[test]
fn a_replay_adds_no_key_that_is_there() {
    let project = project("{unique: {columns: customer, keep: first, order_by: day}, on_fail: quarantine}");
    assert_eq!(project.windlass(["run", "orders"]).code, 0);
    project.windlass(["errors", "orders", "--replay"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ orders            0 rows  merged  version 1  [TIME]
          ! orders  3 of 3 rows failed again: unique_customer 3   see: windlass errors orders
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"customer":1,"n":1}
        {"customer":2,"n":1}
        {"customer":3,"n":1}
        {"customer":9,"n":1}
        {"customer":null,"n":2}"#]]
    .assert_eq(&project.rows("select customer, count(*) as n from orders group by 1 order by 1"));
}

#[test]
fn more_duplicates_than_the_budget_keep_the_table_back() {
    let project = project("{unique: customer, on_fail: quarantine, max_rows: 3}");
    project.windlass(["run", "orders"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ orders  failed  [TIME]
        error[E0604]: table `orders` breaks a check and was not published
          fail unique_customer: 5 of 9 rows (55.6 %), quarantined, error if > 3, such as id=1 customer=1 day=2024-01-02 kind=a (transforms/p.yml:1:33)
          hint: look at its rows: windlass show orders@candidate
        windlass explain E0604
        orders 0 checks passed, 1 failed
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.write("transforms/p.yml", "transforms: {orders: {checks: [{unique: customer, on_fail: quarantine}]}}\n");
    let sql = std::fs::read_to_string(project.path("transforms/orders.sql")).unwrap();
    project.write("transforms/orders.sql", &sql.replace("max_error_rate=0.9", "max_errors=4"));
    project.windlass(["run", "orders"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ orders  failed  [TIME]
        error[E0409]: table `orders` has too many error rows and was not published
          warn unique_customer: 5 of 9 rows (55.6 %), quarantined, such as id=1 customer=1 day=2024-01-02 kind=a (transforms/p.yml:1:33)
          5 of 9 rows failed (55.56 %), more than the 4 of `max_errors`
          hint: correct the input or the SQL, or raise `max_error_rate`; look at its rows: windlass show orders__errors@candidate
        windlass explain E0409
        orders 0 checks passed, 1 warned
          warn unique_customer: 5 of 9 rows (55.6 %), quarantined, such as id=1 customer=1 day=2024-01-02 kind=a (transforms/p.yml:1:33)
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"id":1}
        {"id":2}
        {"id":3}
        {"id":4}
        {"id":5}"#]]
    .assert_eq(&project.rows("select row['id'] as id from \"orders__errors@candidate\" order by 1"));
}

#[test]
fn equal_values_are_equal_keys() {
    let project = Project::new(
        "
-- transforms/t.sql --
{{ config(max_error_rate=1) }}
select * from (values (1, -0.0, 'x'), (2, 0.0, 'y'), (3, 'nan'::double, 'x'), (4, 'nan'::double, 'z'),
  (5, 'inf'::double, 'ä'), (6, null, null), (7, null, null), (8, 9007199254740993.0, 'ä')) as v(id, x, word)
-- transforms/p.yml --
transforms: {t: {columns: {x: {checks: [unique: {on_fail: quarantine}]}}}}
",
    );
    assert_eq!(project.windlass(["run"]).code, 0);
    expect![[r#"
        {"id":1}
        {"id":2}
        {"id":3}
        {"id":4}"#]]
    .assert_eq(&project.rows("select row['id'] as id from t__errors order by 1"));
    project
        .write("transforms/p.yml", "transforms: {t: {columns: {word: {checks: [unique: {on_fail: quarantine}]}}}}\n");
    assert_eq!(project.windlass(["run"]).code, 0);
    expect![[r#"
        {"id":1}
        {"id":3}
        {"id":5}
        {"id":8}"#]]
    .assert_eq(&project.rows("select row['id'] as id from t__errors order by 1"));
}

#[test]
fn what_is_first_must_be_said() {
    for checks in [
        "{unique: {columns: customer, order_by: day}, on_fail: quarantine}",
        "{unique: {columns: customer, keep: first, order_by: customer}, on_fail: quarantine}",
        "{unique: {columns: customer, keep: last, order_by: day}, on_fail: quarantine}",
    ] {
        assert_eq!(project(checks).windlass(["plan"]).code, 2, "{checks}");
    }
    project("{unique: {columns: customer, keep: first, order_by: dy}, on_fail: quarantine}")
        .windlass(["plan"])
        .check(expect![[r#"
            exit 2
            -- stderr
            error[E0102]: check `unique_customer` names column `dy`, which `orders` does not have
             --> transforms/p.yml:1:84
              |
            1 | transforms: {orders: {checks: [{unique: {columns: customer, keep: first, order_by: dy}, on_fail: quarantine}]}}
              |                                                                                    ^^ did you mean `day`?
            windlass explain E0102
        "#]]);
    project("{unique: {columns: customer, keep: first, order_by: day}}").windlass(["plan"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0603]: `keep: first` of check `unique_customer` keeps nothing: its rows stay where they are
         --> transforms/p.yml:1:84
          |
        1 | transforms: {orders: {checks: [{unique: {columns: customer, keep: first, order_by: day}}]}}
          |                                                                                    ^^^
          |
          = help: add `on_fail: quarantine`, or remove `keep` and `order_by`
        windlass explain E0603
    "#]]);
    project("{unique: {columns: customer, keep: first}, on_fail: quarantine}").windlass(["plan"]).check(expect![[r#"
            exit 2
            -- stderr
            error[E0204]: check `unique` needs the key `order_by`, which says what row is the first
             --> transforms/p.yml:1:33
              |
            1 | transforms: {orders: {checks: [{unique: {columns: customer, keep: first}, on_fail: quarantine}]}}
              |                                 ^^^^^^
            windlass explain E0204
        "#]]);
}
