//! What a run leaves in the lake.

use expect_test::expect;

use super::support::World;

const ORDERS: &str = "
-- data/orders.csv --
id,city,amount,day
1,Oslo,10.5,2024-01-01
2,Rome,20.0,2024-01-02
3,Oslo,,2024-01-02
-- sources.yml --
sources:
  shop:
    path: data/{name}.csv
    tables:
      orders:
        columns:
          id: {type: bigint}
          city: {type: varchar}
          amount: {type: double}
          day: {type: date}
-- transforms/stg_orders.sql --
{{ config(materialized='view') }}
select id, city, amount, day from {{ source('shop', 'orders') }} where id > 0
-- transforms/cities.sql --
select city, count(*) as orders, sum(amount) as amount from {{ ref('stg_orders') }} group by city
-- transforms/top.sql --
select city from {{ ref('cities') }} where orders > 1
";

#[tokio::test]
async fn a_small_project_is_published() {
    let mut world = World::new(ORDERS);
    let built = world.run().await.unwrap();
    assert_eq!(built.keys().collect::<Vec<_>>(), ["cities", "top"]);
    assert_eq!(built["cities"].rows, 2);
    assert_eq!(built["cities"].version, 0);
    let answer = world
        .sql("select c.*, t.city is not null as top from cities c left join top t on t.city = c.city order by 1")
        .await;
    expect![[r#"
        +------+--------+--------+-------+
        | city | orders | amount | top   |
        +------+--------+--------+-------+
        | Oslo | 2      | 10.5   | true  |
        | Rome | 1      | 20.0   | false |
        +------+--------+--------+-------+"#]]
    .assert_eq(&answer);
    let again = world.run().await.unwrap();
    assert_eq!(again["cities"].version, 1);
}

#[tokio::test]
async fn a_repeated_attempt_changes_nothing() {
    let mut world = World::new(ORDERS);
    let first = world.run().await.unwrap();
    let plan = world.plan().await;
    // The same run id and sequence again, as after an answer that was lost on the way.
    let second = world.build("cities", &plan).await.unwrap().unwrap();
    assert_eq!(first["cities"].version, second.version);
}

#[tokio::test]
async fn partitions_are_folders_and_come_back() {
    let mut world = World::new(
        "
-- transforms/t.sql --
{{ config(partition_by=['city', 'day'], sort_by=['id desc']) }}
select * from (values
  (1, 'São Paulo', date '2024-01-01'), (2, 'a/b=c', date '2024-01-02'), (3, null, date '2024-01-02'), (4, 'a/b=c', null)
) as v(id, city, day)
",
    );
    let built = world.run().await.unwrap();
    assert_eq!((built["t"].rows, built["t"].files), (4, 4));
    let folders: Vec<String> = world
        .files("t")
        .iter()
        .filter(|path| !path.contains("_delta_log"))
        .map(|path| path.rsplit_once('/').unwrap().0.to_string())
        .collect();
    expect![[r#"
        t/city=S%C3%A3o%20Paulo/day=2024-01-01
        t/city=__HIVE_DEFAULT_PARTITION__/day=2024-01-02
        t/city=a%2Fb%3Dc/day=2024-01-02
        t/city=a%2Fb%3Dc/day=__HIVE_DEFAULT_PARTITION__"#]]
    .assert_eq(&folders.join("\n"));
    expect![[r#"
        +----+-----------+------------+
        | id | city      | day        |
        +----+-----------+------------+
        | 1  | São Paulo | 2024-01-01 |
        | 2  | a/b=c     | 2024-01-02 |
        | 3  |           | 2024-01-02 |
        | 4  | a/b=c     |            |
        +----+-----------+------------+"#]]
    .assert_eq(&world.sql("select * from t order by id").await);
    expect![[r#"
        +----+
        | id |
        +----+
        | 3  |
        | 4  |
        +----+"#]]
    .assert_eq(&world.sql("select id from t where city is null or day is null order by id").await);
}

#[tokio::test]
async fn columns_keep_their_order() {
    let mut world = World::new(
        "
-- transforms/t.sql --
{{ config(partition_by=['day', 'city']) }}
select 'Rome' as city, 1 as id, date '2024-01-01' as day, 2.5 as amount
-- transforms/below.sql --
select * from {{ ref('t') }} where day > date '2023-01-01' union all select 'Oslo', 2, date '2024-01-02', 3.5
",
    );
    world.run().await.unwrap();
    expect![[r#"
        +------+----+------------+--------+
        | city | id | day        | amount |
        +------+----+------------+--------+
        | Oslo | 2  | 2024-01-02 | 3.5    |
        | Rome | 1  | 2024-01-01 | 2.5    |
        +------+----+------------+--------+"#]]
    .assert_eq(&world.sql("select * from below order by id desc").await);
    expect![[r#"
        +------------+--------+------+
        | day        | amount | city |
        +------------+--------+------+
        | 2024-01-01 | 2.5    | Rome |
        +------------+--------+------+"#]]
    .assert_eq(&world.sql("select day, amount, city from t where city = 'Rome'").await);
    expect![[r#"
        +----------+-----------+------+
        | count(*) | min(t.id) | days |
        +----------+-----------+------+
        | 1        | 1         | 1    |
        +----------+-----------+------+"#]]
    .assert_eq(&world.sql("select count(*), min(id), count(day) as days from t").await);
}

/// Delta does not tell an empty partition value from NULL, so ours are written as NULL, for all readers.
#[tokio::test]
async fn an_empty_partition_value_is_null() {
    let mut world = World::new(
        "
-- transforms/t.sql --
{{ config(partition_by=['city']) }}
select * from (values (1, ''), (2, null), (3, ' ')) as v(id, city)
",
    );
    world.run().await.unwrap();
    expect![[r#"
        +----+------+---------+
        | id | city | is_null |
        +----+------+---------+
        | 1  |      | true    |
        | 2  |      | true    |
        | 3  |      | false   |
        +----+------+---------+"#]]
    .assert_eq(&world.sql("select id, city, city is null as is_null from t order by id").await);
    assert!(world.files("t").iter().all(|path| !path.contains("city=/")));
}

/// Parquet's bounds do not count NaN, which is larger than any number: files with it would be skipped.
#[tokio::test]
async fn nan_is_never_skipped() {
    let mut world = World::new(
        "
-- transforms/t.sql --
{{ config(sort_by=['x']) }}
select value as id, case when value = 10 then double 'NaN' else 1.0 end as x, cast(1 as float) as y
from generate_series(1, 20) t(value)
",
    );
    world.run().await.unwrap();
    for (condition, rows) in [("x > 5", 1), ("x <> 1", 1), ("isnan(x)", 1), ("x > 0", 20), ("y <> 1", 0)] {
        let found = world.sql(&format!("select count(*) as n from t where {condition}")).await;
        assert_eq!(found.lines().nth(3).map(|line| line.trim_matches(['|', ' '])), Some(&*rows.to_string()), "{found}");
    }
}

#[tokio::test]
async fn sorted_files_are_sorted() {
    let mut world = World::new(
        "
-- transforms/t.sql --
{{ config(sort_by=['k', 'id desc']) }}
select value % 3 as k, value as id from generate_series(1, 1000)
",
    );
    world.run().await.unwrap();
    let out_of_order = world.engine.show(&world.project, "t", 1000).await.unwrap();
    let mut last = (i64::MIN, i64::MAX);
    let batch = &out_of_order.batches[0];
    let column = |index: usize| {
        datafusion::arrow::array::AsArray::as_primitive::<datafusion::arrow::datatypes::Int64Type>(batch.column(index))
    };
    for row in 0..batch.num_rows() {
        let now = (column(0).value(row), column(1).value(row));
        assert!(last.0 < now.0 || (last.0 == now.0 && last.1 > now.1), "{last:?} before {now:?}");
        last = now;
    }
}

#[tokio::test]
async fn a_new_definition_replaces_columns_and_rows() {
    let mut world = World::new("-- transforms/t.sql --\nselect 1 as a, 'x' as b\n");
    world.run().await.unwrap();
    world.edit("-- transforms/t.sql --\n{{ config(partition_by=['b']) }}\nselect 2.5 as a, timestamp '2024-01-01 00:00:00' as c, 'y' as b where false\n");
    let built = world.run().await.unwrap();
    assert_eq!((built["t"].version, built["t"].rows, built["t"].files), (1, 0, 0));
    expect![[r#"
        ++
        ++"#]]
    .assert_eq(&world.sql("select * from t").await);
    let shown = world.engine.show(&world.project, "t", 1).await.unwrap();
    let columns: Vec<String> = crate::columns(&shown.schema)
        .into_iter()
        .map(|column| format!("{} {}", column.name, column.data_type))
        .collect();
    expect!["a double, c timestamp, b varchar"].assert_eq(&columns.join(", "));
}

#[tokio::test]
async fn every_type_comes_back() {
    let mut world = World::new(
        "
-- transforms/t.sql --
select cast(1 as tinyint) as i8, cast(2 as smallint unsigned) as u16, cast(3 as bigint unsigned) as u64,
  cast(1.5 as float) as f32, double '2.5' as f64, cast('12.30' as decimal(9, 2)) as d, true as b, 'text' as s,
  date '2024-02-29' as day, timestamp '2024-02-29 12:00:00.123456' as ts,
  to_timestamp('2024-02-29T12:00:00Z') at time zone 'UTC' as tz,
  arrow_cast('dictionary', 'Dictionary(Int32, Utf8)') as dict, [1, 2, null] as list,
  named_struct('x', 1, 'y', 'z') as st, x'00ff' as bin, row_number() over () as n
union all
select null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, 9
",
    );
    world.run().await.unwrap();
    expect![[r#"
        +----+-----+-----+-----+-----+-------+------+------+------------+----------------------------+----------------------+------------+----------+--------------+------+---+
        | i8 | u16 | u64 | f32 | f64 | d     | b    | s    | day        | ts                         | tz                   | dict       | list     | st           | bin  | n |
        +----+-----+-----+-----+-----+-------+------+------+------------+----------------------------+----------------------+------------+----------+--------------+------+---+
        | 1  | 2   | 3   | 1.5 | 2.5 | 12.30 | true | text | 2024-02-29 | 2024-02-29T12:00:00.123456 | 2024-02-29T12:00:00Z | dictionary | [1, 2, ] | {x: 1, y: z} | 00ff | 1 |
        |    |     |     |     |     |       |      |      |            |                            |                      |            |          |              |      | 9 |
        +----+-----+-----+-----+-----+-------+------+------+------------+----------------------------+----------------------+------------+----------+--------------+------+---+"#]].assert_eq(&world.sql("select * from t order by n").await);
}
