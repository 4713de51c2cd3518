//! Samples of Parquet files, whose types, layouts and partitions differ.

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, StringArray, StringViewArray};
use arrow::datatypes::Int8Type;
use expect_test::expect;

use super::reading::parquet;
use super::support::World;

const SOURCES: &str = "
-- sources.yml --
sources:
  s:
    path: data/{name}.parquet
    sample_key: id
    tables:
      narrow: {}
      wide: {}
      texts: {sample_key: name}
      views: {sample_key: name}
      parts: {path: data/parts, format: parquet, sample_key: city, columns: {city: varchar}}
";

fn world() -> World {
    let world = World::new(SOURCES);
    let data = world.root().join("data");
    let numbers = || 0..2_000;
    let narrow: ArrayRef = Arc::new(Int32Array::from_iter_values(numbers()));
    let wide: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers().map(i64::from)));
    let more: ArrayRef = Arc::new(Int32Array::from_iter_values(numbers().map(|n| n * 2)));
    parquet(&data.join("narrow.parquet"), vec![("id", Arc::clone(&narrow)), ("more", more)]);
    parquet(&data.join("wide.parquet"), vec![("id", wide)]);
    let name = |n: i32| format!("name {}", n % 100);
    let texts: DictionaryArray<Int8Type> =
        numbers().map(|n| Some(name(n))).collect::<Vec<_>>().iter().map(|n| n.as_deref()).collect();
    let views: ArrayRef = Arc::new(StringViewArray::from_iter_values(numbers().map(name)));
    parquet(&data.join("texts.parquet"), vec![("name", Arc::new(texts)), ("id", Arc::clone(&narrow))]);
    parquet(&data.join("views.parquet"), vec![("id", narrow), ("name", views)]);
    for city in 0..40 {
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values([format!("{city}")]));
        parquet(&data.join(format!("parts/city=c{city}/a.parquet")), vec![("id", ids)]);
    }
    world
}

async fn asked(world: &World, sql: &str) -> String {
    let shown = world.engine_on_sample("10%").show_sql(&world.project, sql, 1000).await.unwrap();
    datafusion::arrow::util::pretty::pretty_format_batches(&shown.batches).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_keys_are_read_together_whatever_their_type() {
    let world = world();
    let found = asked(
        &world,
        "select count(*) as n, count(w.id) as w, (select count(*) from s.wide) as of from s.narrow n left join s.wide w on w.id = n.id",
    )
    .await;
    expect![[r#"
        +-----+-----+-----+
        | n   | w   | of  |
        +-----+-----+-----+
        | 190 | 190 | 190 |
        +-----+-----+-----+"#]]
    .assert_eq(&found);
    let found = asked(
        &world,
        "select count(*) as n, count(distinct t.name) as names, count(v.id) as v from s.texts t \
         left join s.views v on v.id = t.id and v.name = t.name",
    )
    .await;
    expect![[r#"
        +-----+-------+-----+
        | n   | names | v   |
        +-----+-------+-----+
        | 160 | 8     | 160 |
        +-----+-------+-----+"#]]
    .assert_eq(&found);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_and_filters_come_on_top() {
    let world = world();
    let all = asked(&world, "select count(*) as n, min(more) as least, max(id) as most from s.narrow").await;
    expect![[r#"
        +-----+-------+------+
        | n   | least | most |
        +-----+-------+------+
        | 190 | 14    | 1990 |
        +-----+-------+------+"#]]
    .assert_eq(&all);
    // No column of the key is asked for.
    let some = asked(&world, "select more from s.narrow where more < 100 order by more").await;
    expect![[r#"
        +------+
        | more |
        +------+
        | 14   |
        | 28   |
        | 56   |
        | 76   |
        | 78   |
        | 80   |
        | 84   |
        +------+"#]]
    .assert_eq(&some);
    // A folder is the key.
    let parts = asked(&world, "select city, id from s.parts order by city").await;
    expect![[r#"
        +------+----+
        | city | id |
        +------+----+
        | c10  | 10 |
        | c12  | 12 |
        | c25  | 25 |
        | c28  | 28 |
        | c3   | 3  |
        | c31  | 31 |
        +------+----+"#]]
    .assert_eq(&parts);
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_reads_what_is_chosen() {
    let world = world();
    let engine = world.engine_on_sample("10%");
    let explained = engine.explain(&world.project, "select more from s.narrow").await.unwrap();
    let scan = explained.1.lines().find(|line| line.contains("DataSourceExec")).unwrap();
    assert!(scan.contains("predicate=windlass_sample(id"), "{}", explained.1);
    assert!(!explained.1.contains("FilterExec"), "{}", explained.1);
}
