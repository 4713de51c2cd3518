//! `windlass lineage`, on projects of which nothing is published.

use expect_test::expect;

use crate::support::{Project, is_there, parsed, pretty};

const SHOP: &str = "
-- sources.yml --
sources:
  raw:
    tables:
      orders: {path: data/orders.csv}
-- data/orders.csv --
id,customer,amount
1,ada,10.5
-- seeds/people.csv --
customer,country
ada,UK
-- transforms/paid.sql --
{{ config(materialized='view') }}
select customer, amount * 1.2 as gross from {{ source('raw', 'orders') }} where amount > 0
-- transforms/spending.sql --
select customer, sum(gross) as spent from {{ ref('paid') }} group by customer
-- transforms/profile.sql --
select s.customer, p.country, s.spent, rank() over (order by s.spent desc) as place
from {{ ref('spending') }} s left join {{ ref('people') }} p on p.customer = s.customer
";

#[test]
fn a_node_with_its_columns() {
    let project = Project::new(SHOP);
    project.windlass(["lineage", "spending"]).check(expect![[r#"
        exit 0
        -- stdout
        spending  table  transforms/spending.sql:1

        upstream
        └── paid  view
            └── raw.orders  source

        downstream
        └── profile  table

        columns
          customer  paid.customer
          spent     paid.gross (aggregation)

        rows
          paid.customer (group_by)
    "#]]);
    project.windlass(["lineage", "profile", "--upstream", "--depth", "1"]).check(expect![[r#"
        exit 0
        -- stdout
        profile  table  transforms/profile.sql:1

        upstream
        ├── spending  table
        └── people  seed

        columns
          customer  spending.customer
          country   people.country
          spent     spending.spent
          place     spending.spent (window)

        rows
          people.customer (join), spending.customer (join)
    "#]]);
    project.windlass(["lineage", "raw.orders", "--downstream"]).check(expect![[r#"
        exit 0
        -- stdout
        raw.orders  source  sources.yml:4

        downstream
        └── paid  view
            └── spending  table
                └── profile  table
    "#]]);
    let both = project.windlass(["lineage", "spending", "--upstream", "--downstream"]).stdout;
    assert_eq!(both, project.windlass(["lineage", "spending"]).stdout);
    assert!(!is_there(&project.path("lake")) && !is_there(&project.path(".windlass")), "looking leaves nothing behind");
}

#[test]
fn a_column_from_the_source_to_its_readers() {
    let project = Project::new(SHOP);
    project.windlass(["lineage", "spending.spent"]).check(expect![[r#"
        exit 0
        -- stdout
        spending.spent  table  transforms/spending.sql:1

        upstream
        ├── paid.gross  aggregation
        │   ├── raw.orders.amount  transformation
        │   └── rows of paid
        │       └── raw.orders.amount  filter
        └── rows of spending
            └── paid.customer  group_by

        downstream
        ├── profile.spent  identity
        └── profile.place  window
    "#]]);
    project.windlass(["lineage", "raw.orders.customer", "--downstream"]).check(expect![[r#"
        exit 0
        -- stdout
        raw.orders.customer  source  sources.yml:4

        downstream
        └── paid.customer  identity
            ├── spending.customer  identity
            │   ├── profile.customer  identity
            │   └── rows of profile  join
            └── rows of spending  group_by
    "#]]);
    project.windlass(["lineage", "profile.place", "--upstream", "--depth", "1"]).check(expect![[r#"
        exit 0
        -- stdout
        profile.place  table  transforms/profile.sql:1

        upstream
        ├── spending.spent  window
        └── rows of profile
            ├── people.customer  join
            └── spending.customer  join
    "#]]);
}

#[test]
fn as_a_flowchart() {
    let project = Project::new(SHOP);
    project.windlass(["lineage", "spending", "--format", "mermaid"]).check(expect![[r#"
        exit 0
        -- stdout
        flowchart LR
          n0["spending<br/>table"]:::start
          n1["paid<br/>view"]
          n2["raw.orders<br/>source"]
          n3["profile<br/>table"]
          n1 --> n0
          n2 --> n1
          n0 --> n3
          classDef start stroke-width:3px
    "#]]);
    project.windlass(["lineage", "spending.spent", "--format", "mermaid"]).check(expect![[r#"
        exit 0
        -- stdout
        flowchart LR
          subgraph t0["spending (table)"]
            c0["spent"]:::start
            c3(["rows"])
          end
          subgraph t1["paid (view)"]
            c1["gross"]
            c2["customer"]
            c5(["rows"])
          end
          subgraph t2["raw.orders (source)"]
            c4["amount"]
          end
          subgraph t3["profile (table)"]
            c6["spent"]
            c7["place"]
          end
          c1 -->|aggregation| c0
          c2 -.->|group_by| c3
          c4 -->|transformation| c1
          c4 -.->|filter| c5
          c0 --> c6
          c0 -.->|window| c7
          classDef start stroke-width:3px
    "#]]);
}

#[test]
fn as_json() {
    let project = Project::new(SHOP);
    expect![[r#"
        {
          "node": "spending",
          "column": "spent",
          "directions": [
            "upstream",
            "downstream"
          ],
          "depth": 1,
          "nodes": [
            {
              "name": "spending",
              "kind": "table",
              "direction": "start",
              "distance": 0,
              "file": "transforms/spending.sql",
              "line": 1,
              "inputs": [
                "paid"
              ],
              "columns": [
                {
                  "name": "customer",
                  "type": "varchar"
                },
                {
                  "name": "spent",
                  "type": "double"
                }
              ]
            },
            {
              "name": "paid",
              "kind": "view",
              "direction": "upstream",
              "distance": 1,
              "file": "transforms/paid.sql",
              "line": 1,
              "inputs": [
                "raw.orders"
              ],
              "columns": [
                {
                  "name": "customer",
                  "type": "varchar"
                },
                {
                  "name": "gross",
                  "type": "double"
                }
              ]
            },
            {
              "name": "profile",
              "kind": "table",
              "direction": "downstream",
              "distance": 1,
              "file": "transforms/profile.sql",
              "line": 1,
              "inputs": [
                "spending",
                "people"
              ],
              "columns": [
                {
                  "name": "customer",
                  "type": "varchar"
                },
                {
                  "name": "country",
                  "type": "varchar"
                },
                {
                  "name": "spent",
                  "type": "double"
                },
                {
                  "name": "place",
                  "type": "bigint"
                }
              ]
            }
          ],
          "edges": [
            {
              "from": {
                "node": "paid",
                "column": "gross"
              },
              "to": {
                "node": "spending",
                "column": "spent"
              },
              "direct": true,
              "uses": [
                "aggregation"
              ]
            },
            {
              "from": {
                "node": "paid",
                "column": "customer"
              },
              "to": {
                "node": "spending",
                "column": null
              },
              "direct": false,
              "uses": [
                "group_by"
              ]
            },
            {
              "from": {
                "node": "spending",
                "column": "spent"
              },
              "to": {
                "node": "profile",
                "column": "spent"
              },
              "direct": true,
              "uses": [
                "identity"
              ]
            },
            {
              "from": {
                "node": "spending",
                "column": "spent"
              },
              "to": {
                "node": "profile",
                "column": "place"
              },
              "direct": false,
              "uses": [
                "window"
              ]
            }
          ]
        }"#]]
    .assert_eq(&pretty(project.json(["lineage", "spending.spent", "--depth", "1"])));
    let all = project.json(["lineage", "profile"]);
    let names: Vec<&str> = all["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["profile", "spending", "people", "paid", "raw.orders"]);
    assert_eq!((all["nodes"][4]["file"].as_str(), all["nodes"][4]["line"].as_u64()), (Some("sources.yml"), Some(4)));
}

#[test]
fn unknown_names_are_told_what_they_resemble() {
    let project = Project::new(SHOP);
    project.windlass(["lineage", "spendin"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no node `spendin`
          hint: did you mean `spending`?
    "#]]);
    project.windlass(["lineage", "spendin.spent"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no node `spendin`
          hint: did you mean `spending`?
    "#]]);
    project.windlass(["lineage", "spending.spend"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0102]: no column `spend` in `spending`
          hint: did you mean `spent`?
        windlass explain E0102
    "#]]);
    project.windlass(["lineage", "raw.order.id"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no node `raw.order.id`
          hint: did you mean `raw.orders`?
    "#]]);
    project.windlass(["lineage", "zzz.qqq"]).check(expect![[r#"
        exit 2
        -- stderr
        error: no node `zzz.qqq`
          hint: `windlass ls` lists the nodes; a query goes behind `windlass show --sql`
    "#]]);
    project.windlass(["lineage", "people.zzz"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0102]: no column `zzz` in `people`
          hint: columns: customer, country
        windlass explain E0102
    "#]]);
    project.windlass(["lineage", "people", "--depth", "0"]).check(expect![[r#"
        exit 2
        -- stderr
        error: invalid value '0' for '--depth <N>': 0 is not in 1..=4294967295

        For more information, try '--help'.
    "#]]);
}

#[test]
fn mistakes_elsewhere_leave_out_what_they_concern() {
    let project = Project::new(SHOP);
    project.add("-- transforms/profile.sql --\nselect nobody from {{ ref('spending') }}\n");
    project.windlass(["lineage", "spending.customer", "--downstream"]).check(expect![[r#"
        exit 0
        -- stdout
        spending.customer  table  transforms/spending.sql:1

        downstream
        └── nothing
        -- stderr
        1 node left out because of mistakes: profile; see windlass plan
    "#]]);
    project.windlass(["lineage", "profile"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0102]: no column `nobody`
         --> transforms/profile.sql:1:8
          |
        1 | select nobody from {{ ref('spending') }}
          |        ^^^^^^
          |
          = note: columns: `customer`, `spent`
        windlass explain E0102
    "#]]);
}

#[test]
fn python_and_error_tables() {
    let project = Project::new(
        "
-- transforms/rows.sql --
select 1 as id, 2.0 as x, 3 as unused
-- transforms/score.py --
from windlass import ref, transform

@transform(input=ref('rows'), input_columns=['id', 'x'], columns={'id': 'bigint', 'y': 'double'}, key=['id'],
           on_error='quarantine', max_error_rate='1%')
def score(batch):
    return batch
-- transforms/failed.sql --
select id from {{ ref('score__errors') }}
",
    );
    project.windlass(["lineage", "score"]).check(expect![[r#"
        exit 0
        -- stdout
        score  python  transforms/score.py:5

        upstream
        └── rows  table

        downstream
        └── nothing

        columns
          id  rows.id
          y   rows.id (transformation), rows.x (transformation)

        rows
          rows.id (filter), rows.x (filter)
    "#]]);
    project.windlass(["lineage", "failed.id", "--upstream"]).check(expect![[r#"
        exit 0
        -- stdout
        failed.id  table  transforms/failed.sql:1

        upstream
        └── score__errors.id  identity
            ├── rows.id  identity
            └── rows of score__errors
                ├── rows.id  filter
                └── rows.x  filter
    "#]]);
    let json = parsed(&project.windlass(["lineage", "score__errors", "--upstream", "--format", "json"]).stdout);
    assert_eq!(
        (&json["data"]["nodes"][0]["kind"], &json["data"]["nodes"][0]["file"]),
        (&"errors".into(), &"transforms/score.py".into())
    );
}
