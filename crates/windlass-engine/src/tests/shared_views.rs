//! Views that several nodes of a run read.

use windlass_project::MemoryLimit;

use super::support::World;

/// A view of totals, a view through which one node reads it, and three readers.
const TOTALS: &str = "
-- transforms/rows.sql --
select value as id, value % 7 as k, value * 1e0 as x from generate_series(1, 60000) t(value)
-- sources.yml --
sources:
  raw:
    path: raw/{name}.csv
    tables: {kinds: {columns: [{name: k, type: bigint}, {name: kind, type: varchar}]}}
-- raw/kinds.csv --
k,kind
0,zero
1,one
2,two
-- transforms/totals.sql --
{{ config(materialized='view') }}
select r.k, t.kind, count(*) as n, sum(r.x) as x
from {{ ref('rows') }} r left join {{ source('raw', 'kinds') }} t on t.k = r.k group by r.k, t.kind
-- transforms/named.sql --
{{ config(materialized='view') }}
select k, kind, n from {{ ref('totals') }} where kind is not null
-- transforms/a.sql --
select k, n from {{ ref('totals') }} where k > 1
-- transforms/b.sql --
select sum(n) as n, sum(x) as x, count(kind) as kinds from {{ ref('totals') }}
-- transforms/c.sql --
select * from {{ ref('named') }}
";

const EXPECTED: &str = "
+-------+--------------+-------+
| n     | x            | kinds |
+-------+--------------+-------+
| 60000 | 1800030000.0 | 3     |
+-------+--------------+-------+";

#[tokio::test]
async fn the_first_reader_computes_a_view_for_all() {
    let mut world = World::new(TOTALS);
    world.run().await.unwrap();
    let plan = world.plan().await;
    let first = world.build("a", &plan).await.unwrap().unwrap();
    // What it is made from may go: it is not read again.
    std::fs::remove_file(world.root().join("raw/kinds.csv")).unwrap();
    let second = world.build("b", &plan).await.unwrap().unwrap();
    let third = world.build("c", &plan).await.unwrap().unwrap();
    assert_eq!((first.rows, second.rows, third.rows), (5, 1, 3));
    assert_eq!(world.sql("select * from b").await, EXPECTED.trim());
    assert_eq!(
        world.sql("select n from c where kind = 'two'").await,
        "+------+\n| n    |\n+------+\n| 8572 |\n+------+"
    );
}

#[tokio::test]
async fn readers_have_read_what_the_view_has() {
    let mut world = World::new(TOTALS);
    let shared = world.run().await.unwrap();
    // One reader alone reads through the view.
    let plan = world.engine.plan(&world.project, &["b".to_string()].into()).await;
    let alone = world.build("b", &plan).await.unwrap().unwrap();
    assert_eq!(shared["b"].fingerprint, alone.fingerprint);
    assert_eq!(world.sql("select * from b").await, EXPECTED.trim());
}

#[tokio::test]
async fn a_view_that_is_not_small_stays_a_part_of_its_readers() {
    // A 32nd of the limit is less than the 60,000 rows of three columns.
    let text = TOTALS.replace("r.k, t.kind, count(*) as n", "r.id % 30000 as k, t.kind, count(*) as n");
    let text = text.replace("group by r.k, t.kind", "group by r.id % 30000, t.kind");
    let mut world = World::with_memory(&text, MemoryLimit::Bytes(32 << 20));
    world.run().await.unwrap();
    let plan = world.plan().await;
    world.build("a", &plan).await.unwrap().unwrap();
    std::fs::remove_file(world.root().join("raw/kinds.csv")).unwrap();
    assert!(world.build("b", &plan).await.is_err(), "it reads the file itself");
}
