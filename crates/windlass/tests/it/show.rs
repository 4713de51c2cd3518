//! `windlass show`.

use expect_test::expect;

use crate::run::SHOP;
use crate::support::{Project, pretty};

#[test]
fn rows_of_tables_sources_and_queries() {
    let project = Project::new(SHOP);
    assert_eq!(project.windlass(["run", "spending"]).code, 0);
    project.windlass(["show", "spending", "-n", "2", "--sql", "select 1"]).check(expect![[r#"
        exit 2
        -- stderr
        error: the argument '[NODE]' cannot be used with '--sql <QUERY>'

        Usage: windlass show --limit <ROWS> <NODE|--sql <QUERY>>

        For more information, try '--help'.
    "#]]);
    project.windlass(["show", "raw.orders", "-n", "2"]).check(expect![[r#"
        exit 0
        -- stdout
        +----+----------+--------+
        | id | customer | amount |
        +----+----------+--------+
        | 1  | ada      | 10.5   |
        | 2  | grace    | 7.0    |
        +----+----------+--------+
        -- stderr
        first 2 rows
    "#]]);
    let sql = "select customer, spent from spending order by spent desc";
    project.windlass(["show", "--sql", sql, "-n", "1"]).check(expect![[r#"
        exit 0
        -- stdout
        +----------+-------+
        | customer | spent |
        +----------+-------+
        | ada      | 10.75 |
        +----------+-------+
        -- stderr
        first 1 row
    "#]]);
    project.windlass(["show", "--sql", sql, "--format", "csv"]).check(expect![[r#"
        exit 0
        -- stdout
        customer,spent
        ada,10.75
        grace,7.0
        linus,3.0
    "#]]);
    project.windlass(["show", "--sql", "select 1 as x where false"]).check(expect![[r#"
        exit 0
        -- stdout
        +---+
        | x |
        +---+
        +---+
        -- stderr
        0 rows
    "#]]);
    expect![[r#"
        {
          "node": "raw.orders",
          "sql": null,
          "columns": [
            {
              "name": "id",
              "type": "bigint"
            },
            {
              "name": "customer",
              "type": "varchar"
            },
            {
              "name": "amount",
              "type": "double"
            }
          ],
          "rows": [
            {
              "id": 1,
              "customer": "ada",
              "amount": 10.5
            }
          ],
          "row_count": 1,
          "table_version": null,
          "table_env": null,
          "table_rows": null
        }"#]]
    .assert_eq(&pretty(project.json(["show", "raw.orders", "-n", "1"])));
    expect![[r#"
        {
          "node": "spending",
          "sql": null,
          "columns": [
            {
              "name": "customer",
              "type": "varchar"
            },
            {
              "name": "spent",
              "type": "double"
            }
          ],
          "rows": [],
          "row_count": 0,
          "table_version": 0,
          "table_env": "prod",
          "table_rows": 3
        }"#]]
    .assert_eq(&pretty(project.json(["show", "spending", "-n", "0"])));
}

#[test]
fn how_a_node_is_computed() {
    let project = Project::new(SHOP);
    project.windlass(["show", "profile", "--compiled"]).check(expect![[r#"
        exit 0
        -- stdout
        select s.customer, p.country, s.spent, c.clicks
        from spending s
        left join people p on p.customer = s.customer
        left join raw.clicks c on c.customer = s.customer
    "#]]);
    project.windlass(["show", "profile", "--schema"]).check(expect![[r#"
        exit 0
        -- stdout
        customer  varchar
        country   varchar
        spent     double
        clicks    bigint
    "#]]);
    project.windlass(["show", "raw.orders", "--compiled"]).check(expect![[r#"
        exit 2
        -- stderr
        error: `raw.orders` is a source and has no SQL
          hint: only transforms have SQL; --schema prints the columns
    "#]]);
    project.windlass(["show", "spending", "--explain"]).check(expect![[r#"
        exit 0
        -- stdout
        logical plan

        Projection: raw.orders.customer, sum(raw.orders.amount) AS spent
          Aggregate: groupBy=[[raw.orders.customer]], aggr=[[sum(raw.orders.amount)]]
            TableScan: raw.orders projection=[customer, amount]

        physical plan

        ProjectionExec: expr=[customer@0 as customer, sum(raw.orders.amount)@1 as spent]
          AggregateExec: mode=Single, gby=[customer@0 as customer], aggr=[sum(raw.orders.amount)]
            DataSourceExec: file_groups={1 group: [[[DIR]/data/orders.csv]]}, projection=[customer, amount], file_type=csv, has_header=true
    "#]]);
    expect![[r#"
        {
          "node": "people",
          "sql": null,
          "columns": [
            {
              "name": "customer",
              "type": "varchar"
            },
            {
              "name": "country",
              "type": "varchar"
            }
          ]
        }"#]]
    .assert_eq(&pretty(project.json(["show", "people", "--schema"])));
    project.windlass(["show", "people", "--schema", "--format", "csv"]).check(expect![[r#"
        exit 2
        -- stderr
        error: only rows can be printed as CSV
          hint: use --format json
    "#]]);
}

#[test]
fn names_that_do_not_exist_have_neighbours() {
    let project = Project::new(SHOP);
    project.windlass(["show", "spendin"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no node `spendin`
          hint: did you mean `spending`?
    "#]]);
    project.windlass(["show", "nothing_like_it"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no node `nothing_like_it`
          hint: `windlass ls` lists the nodes; a query goes behind `windlass show --sql`
    "#]]);
    project.windlass(["show", "spending"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0103]: table `spending` has not been published yet
          hint: publish it and what it needs: windlass run +spending
        windlass explain E0103
    "#]]);
    project.windlass(["show", "--sql", "select customr from raw.orders"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0102]: no column `customr`
         --> query:1:8
          |
        1 | select customr from raw.orders
          |        ^^^^^^^ did you mean `customer`?
          |
          = note: columns: `id`, `customer`, `amount`
        windlass explain E0102
    "#]]);
    project.windlass(["show", "--sql", "selec 1"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0101]: expected an SQL statement, found `selec`
         --> query:1:1
          |
        1 | selec 1
          | ^^^^^
        windlass explain E0101
    "#]]);
    project.windlass(["show"]).check(expect![[r#"
        exit 2
        -- stderr
        error: the following required arguments were not provided:
          <NODE|--sql <QUERY>>

        Usage: windlass show <NODE|--sql <QUERY>>

        For more information, try '--help'.
    "#]]);
}

#[test]
fn a_broken_node_says_what_is_wrong_with_it() {
    let project = Project::new(SHOP);
    project.add("-- transforms/spending.sql --\nselect {{ nothing }} from x\n");
    project.windlass(["show", "spending"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0305]: no variable `nothing`
         --> transforms/spending.sql:1:11
          |
        1 | select {{ nothing }} from x
          |           ^^^^^^^
          |
          = help: project variables are read with `var('name')`, text stands in quotes
        windlass explain E0305
    "#]]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    use std::process::Stdio;
    let project = Project::new(SHOP);
    let mut child =
        project.command(&["show", "raw.orders"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
