//! `windlass diff`: versions, environments and tables held against each other.

use expect_test::expect;

use crate::support::{Project, parsed, pretty};

/// A table with a key and one without, over a source that tests rewrite.
const SHOP: &str = "
-- sources.yml --
sources: {raw: {path: 'data/{name}.csv', tables: {orders: {columns: {id: bigint, customer: varchar, amount: double}}}}}
-- data/orders.csv --
id,customer,amount
1,ada,10
2,grace,7
3,,0.25
4,joan,
-- transforms/orders.sql --
select id, customer, amount from {{ source('raw', 'orders') }}
-- transforms/names.sql --
select customer as name from {{ source('raw', 'orders') }}
-- transforms/looked_at.sql --
{{ config(materialized='view') }} select * from {{ ref('orders') }}
-- transforms/t.yml --
transforms: {orders: {checks: [{unique: id}]}}
";

const CHANGED: &str = "id,customer,amount\n1,ada,10\n2,hopper,7.5\n3,,0.25\n5,joan,\n";

#[test]
fn a_version_is_held_against_the_one_before() {
    let project = Project::new(SHOP);
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    project.windlass(["diff", "orders"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: table `orders` has one version only
         |
         = help: name what to compare it with: another environment or table
        windlass explain E0103
    "#]]);
    assert_eq!(project.windlass(["run", "-q", "--no-cache"]).code, 0);
    project.windlass(["diff", "orders", "--exit-code"]).check(expect![[r#"
        exit 0
        -- stdout
        orders version 1 against version 0
          equal, 4 rows
    "#]]);
    project.write("data/orders.csv", CHANGED);
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    project.windlass(["diff", "orders"]).check(expect![[r#"
        exit 0
        -- stdout
        orders version 2 against version 1
          4 rows, 4 there
          1 row missing, 1 row extra, 1 row changed, by id
          customer differs in 1 row
          amount differs in 1 row
        +---------+----+----------------+-----------+
        |         | id | customer       | amount    |
        +---------+----+----------------+-----------+
        | changed | 2  | grace → hopper | 7.0 → 7.5 |
        | extra   | 5  | joan           | NULL      |
        | missing | 4  | joan           | NULL      |
        +---------+----+----------------+-----------+
    "#]]);
    project.windlass(["diff", "orders", "--exit-code", "-n", "1"]).check(expect![[r#"
        exit 1
        -- stdout
        orders version 2 against version 1
          4 rows, 4 there
          1 row missing, 1 row extra, 1 row changed, by id
          customer differs in 1 row
          amount differs in 1 row
        +---------+----+----------------+-----------+
        |         | id | customer       | amount    |
        +---------+----+----------------+-----------+
        | changed | 2  | grace → hopper | 7.0 → 7.5 |
        +---------+----+----------------+-----------+
        and 2 more
    "#]]);
    project.windlass(["diff", "names"]).check(expect![[r#"
        exit 0
        -- stdout
        names version 2 against version 1
          4 rows, 4 there
          1 row missing, 1 row extra, whole rows compared: no key is known, --key names one
          name differs
        +---------+--------+
        |         | name   |
        +---------+--------+
        | missing | grace  |
        | extra   | hopper |
        +---------+--------+
    "#]]);
    project.windlass(["diff", "orders", "--to", "2"]).check(expect![[r#"
        exit 0
        -- stdout
        orders version 2 against version 2
          equal, 4 rows
    "#]]);
    let report = parsed(&project.windlass(["diff", "orders", "--format", "json", "-n", "1"]).stdout);
    expect![[r#"
        {
          "table": {
            "name": "orders",
            "env": "prod",
            "version": 2,
            "rows": 4
          },
          "other": {
            "name": "orders",
            "env": "prod",
            "version": 1,
            "rows": 4
          },
          "equal": false,
          "column_changes": [],
          "key": [
            "id"
          ],
          "is_key_unique": true,
          "missing_rows": 1,
          "extra_rows": 1,
          "changed_rows": 1,
          "columns": [
            {
              "name": "customer",
              "rows": 1
            },
            {
              "name": "amount",
              "rows": 1
            }
          ],
          "examples": [
            {
              "kind": "changed",
              "times": 1,
              "columns": [
                "customer",
                "amount"
              ],
              "row": {
                "id": 2,
                "customer": "hopper",
                "amount": 7.5
              },
              "other_row": {
                "id": 2,
                "customer": "grace",
                "amount": 7.0
              }
            }
          ]
        }"#]]
    .assert_eq(&pretty(report["data"].clone()));
}

#[test]
fn columns_may_come_go_and_change_their_type() {
    let project = Project::new(SHOP);
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    let sql = "select id, cast(amount as decimal(10, 2)) as amount, 1 as one from {{ source('raw', 'orders') }}";
    project.write("transforms/orders.sql", sql);
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    project.windlass(["diff", "orders"]).check(expect![[r#"
        exit 0
        -- stdout
        orders version 1 against version 0
          4 rows, 4 there
          column amount was double, is decimal(10, 2)
          column one bigint is new
          column customer varchar is gone
          the columns that both have are equal
    "#]]);
}

#[test]
fn tables_and_environments_are_held_against_each_other() {
    let project = Project::new(SHOP);
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    project.write("data/orders.csv", CHANGED);
    assert_eq!(project.windlass(["run", "-q", "-e", "dev"]).code, 0);
    project.windlass(["diff", "orders", "--to", "env:dev", "--key", "id,customer"]).check(expect![[r#"
        exit 0
        -- stdout
        orders version 0 against version 0 in dev
          4 rows, 4 there
          2 rows missing, 2 rows extra, by id, customer
        +---------+----+----------+--------+
        |         | id | customer | amount |
        +---------+----+----------+--------+
        | extra   | 2  | grace    | 7.0    |
        | extra   | 4  | joan     | NULL   |
        | missing | 2  | hopper   | 7.5    |
        | missing | 5  | joan     | NULL   |
        +---------+----+----------+--------+
    "#]]);
    project.windlass(["diff", "orders", "--to", "env:nowhere"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: table `orders` has not been published in environment `nowhere`
         |
         = help: publish it there: windlass run -e nowhere +orders
        windlass explain E0103
    "#]]);
    let copy = "select id, customer, amount + 0.0 as amount from {{ ref('orders') }} order by id desc";
    project.write("transforms/copy.sql", copy);
    assert_eq!(project.windlass(["run", "-q", "copy"]).code, 0);
    project.windlass(["diff", "copy", "--with", "orders", "--exit-code"]).check(expect![[r#"
        exit 0
        -- stdout
        copy version 0 against orders version 0
          equal, 4 rows
    "#]]);
}

#[test]
fn values_are_held_against_each_other_by_value() {
    let project = Project::new(
        "
-- transforms/t.sql --
select * from (values
  (1, cast('NaN' as double), -0.0, cast('2024-01-01T01:00:00+01:00' as timestamp with time zone), [1, 2]),
  (cast(null as bigint), cast(null as double), 1.0, null, null)) as v(id, x, y, at, list)
",
    );
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    let sql = "select * from (values
  (cast(null as bigint), cast(null as double), 1.0, null, null),
  (1, 0.0 / cast(0 as double), 0.0, cast('2024-01-01T00:00:00Z' as timestamp with time zone), [1, 2])) as v(id, x, y, at, list)";
    project.write("transforms/t.sql", sql);
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    project.windlass(["diff", "t", "--exit-code"]).check(expect![[r#"
        exit 0
        -- stdout
        t version 1 against version 0
          equal, 2 rows
    "#]]);
    project.write("transforms/t.sql", &sql.replace("[1, 2]", "[1, 3]").replace("1.0, null", "1.5, null"));
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    project.windlass(["diff", "t", "--key", "id"]).check(expect![[r#"
        exit 0
        -- stdout
        t version 2 against version 1
          2 rows, 2 there
          2 rows changed, by id
          y differs in 1 row
          list differs in 1 row
        +---------+------+------+-----------+----------------------+-----------------+
        |         | id   | x    | y         | at                   | list            |
        +---------+------+------+-----------+----------------------+-----------------+
        | changed | 1    | NaN  | 0.0       | 2024-01-01T00:00:00Z | [1, 2] → [1, 3] |
        | changed | NULL | NULL | 1.0 → 1.5 | NULL                 | NULL            |
        +---------+------+------+-----------+----------------------+-----------------+
    "#]]);
    project.windlass(["diff", "t"]).check(expect![[r#"
        exit 0
        -- stdout
        t version 2 against version 1
          2 rows, 2 there
          2 rows missing, 2 rows extra, whole rows compared: no key is known, --key names one
          y differs
          list differs
        +---------+------+------+-----+----------------------+--------+
        |         | id   | x    | y   | at                   | list   |
        +---------+------+------+-----+----------------------+--------+
        | missing | NULL | NULL | 1.0 | NULL                 | NULL   |
        | extra   | NULL | NULL | 1.5 | NULL                 | NULL   |
        | missing | 1    | NaN  | 0.0 | 2024-01-01T00:00:00Z | [1, 2] |
        | extra   | 1    | NaN  | 0.0 | 2024-01-01T00:00:00Z | [1, 3] |
        +---------+------+------+-----+----------------------+--------+
    "#]]);
}

#[test]
fn what_cannot_be_compared_is_told() {
    let project = Project::new(SHOP);
    project.windlass(["diff", "orders"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: table `orders` has not been published yet
          hint: publish it first: windlass run orders
        windlass explain E0103
    "#]]);
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    assert_eq!(project.windlass(["run", "-q", "--no-cache"]).code, 0);
    let args = ["looked_at", "order", "raw.orders"];
    let others = ["--to=7", "--to=dev", "--key=idd", "--with=looked_at"];
    let answers = args.into_iter().map(|table| project.windlass(["diff", table]));
    let answers = answers.chain(others.into_iter().map(|flag| project.windlass(["diff", "orders", flag])));
    let told: Vec<String> = answers.map(|answer| answer.to_string()).collect();
    expect![[r#"
        exit 2
        -- stderr
        error: `looked_at` is a view and has no versions
          hint: only published tables can be compared

        exit 2
        -- stderr
        error: no node `order`
          hint: did you mean `orders`?

        exit 2
        -- stderr
        error: `raw.orders` is a source and has no versions
          hint: only published tables can be compared

        exit 2
        -- stderr
        error[E0103]: table `orders` has no version 7
          hint: the newest is version 1
        windlass explain E0103

        exit 2
        -- stderr
        error: `dev` is neither a version nor an environment
          hint: write --to 3 or --to env:dev; another table goes behind --with

        exit 2
        -- stderr
        error[E0102]: the key names column `idd`, which `orders` does not have
         |
         = note: columns: `id`, `customer`, `amount`
         = help: did you mean `id`?
        windlass explain E0102

        exit 2
        -- stderr
        error: `looked_at` is a view and has no versions
          hint: only published tables can be compared
    "#]]
    .assert_eq(&told.join("\n"));
    // Two rows of one customer: the key tells nothing.
    project.write("data/orders.csv", "id,customer,amount\n1,ada,1\n2,ada,2\n");
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    project.write("data/orders.csv", "id,customer,amount\n1,ada,1\n2,ada,3\n");
    assert_eq!(project.windlass(["run", "-q"]).code, 0);
    project.windlass(["diff", "orders", "--key", "customer"]).check(expect![[r#"
        exit 0
        -- stdout
        orders version 3 against version 2
          2 rows, 2 there
          1 row missing, 1 row extra, whole rows compared: several have the same customer
          amount differs
        +---------+----+----------+--------+
        |         | id | customer | amount |
        +---------+----+----------+--------+
        | missing | 2  | ada      | 2.0    |
        | extra   | 2  | ada      | 3.0    |
        +---------+----+----------+--------+
    "#]]);
}
