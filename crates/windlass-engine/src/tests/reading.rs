//! Sources in every format, and the contract of their columns.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use expect_test::{Expect, expect};
use parquet::arrow::ArrowWriter;

use super::support::{World, plain};
use crate::Error;

pub(super) fn parquet(path: &std::path::Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn ids(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// A world whose `sources.yml` declares table `s.t` with these lines.
fn world(table: &str) -> World {
    let lines: String = table.lines().map(|line| format!("        {line}\n")).collect();
    World::new(&format!(
        "-- sources.yml --\nsources:\n  s:\n    path: data/{{name}}.parquet\n    tables:\n      t:\n{lines}"
    ))
}

async fn mistakes(world: &World, expected: Expect) {
    expected.assert_eq(&plain(&world.plan().await.diagnostics));
}

#[tokio::test]
async fn a_folder_of_parquet_files_with_hive_partitions() {
    let world = world("path: data/t\nformat: parquet\ncolumns:\n  id: {type: bigint}\n  year: {type: int}");
    let root = world.root().join("data/t");
    parquet(&root.join("year=2023/city=S%C3%A3o%20Paulo/a.parquet"), vec![("id", ids(&[1, 2]))]);
    parquet(&root.join("year=2024/city=__HIVE_DEFAULT_PARTITION__/b.parquet"), vec![("id", ids(&[3]))]);
    parquet(&root.join("year=2024/_temporary/c.parquet"), vec![("id", ids(&[4]))]);
    expect![[r#"
        +----+------+-----------+
        | id | year | city      |
        +----+------+-----------+
        | 1  | 2023 | São Paulo |
        | 2  | 2023 | São Paulo |
        | 3  | 2024 |           |
        +----+------+-----------+"#]]
    .assert_eq(&world.sql("select id, year, city from s.t order by id").await);
    expect![[r#"
        +---+
        | n |
        +---+
        | 1 |
        +---+"#]]
    .assert_eq(&world.sql("select count(*) as n from s.t where year = 2024").await);
    let (_, physical) = world.engine.explain(&world.project, "select id from s.t where year = 2024").await.unwrap();
    assert!(physical.contains("year=2024") && !physical.contains("year=2023"), "{physical}");
}

#[tokio::test]
async fn a_glob_takes_what_it_matches() {
    let world = world("path: data/t/part-*.parquet");
    for (name, id) in [("part-1", 1), ("part-2", 2), ("other", 3)] {
        parquet(&world.root().join(format!("data/t/{name}.parquet")), vec![("id", ids(&[id]))]);
    }
    expect![[r#"
        +----+
        | id |
        +----+
        | 1  |
        | 2  |
        +----+"#]]
    .assert_eq(&world.sql("select * from s.t order by id").await);
}

#[tokio::test]
async fn csv_and_json_take_declared_types() {
    let world = World::new(
        r#"
-- sources.yml --
sources:
  s:
    tables:
      c: {path: data/c.tsv, columns: {zip: {type: varchar}, n: {type: 'decimal(9, 2)'}}}
      j: {path: data/j.jsonl, columns: {id: {type: bigint}, late: {type: double}}}
-- data/c.tsv --
zip	n	extra
00123	1.50	x
	2	"two
lines"
-- data/j.jsonl --
{"id": 1, "tags": ["a", "b"]}
{"id": 9007199254740993, "late": 1.5}
"#,
    );
    expect![[r#"
        +-------+------+-------+
        | zip   | n    | extra |
        +-------+------+-------+
        | 00123 | 1.50 | x     |
        |       | 2.00 | two   |
        |       |      | lines |
        +-------+------+-------+"#]]
    .assert_eq(&world.sql("select * from s.c").await);
    expect![[r#"
        +------------------+--------+------+
        | id               | tags   | late |
        +------------------+--------+------+
        | 1                | [a, b] |      |
        | 9007199254740993 |        | 1.5  |
        +------------------+--------+------+"#]]
    .assert_eq(&world.sql("select * from s.j").await);
}

#[tokio::test]
async fn a_missing_or_changed_column_names_the_file() {
    let world = world("path: data/t/*.parquet\ncolumns:\n  id: {type: bigint}\n  origin: {type: varchar}");
    let root = world.root().join("data/t");
    parquet(&root.join("a.parquet"), vec![("id", ids(&[1])), ("origin", texts(&["JFK"]))]);
    parquet(&root.join("b.parquet"), vec![("id", ids(&[1])), ("orign", texts(&["JFK"]))]);
    parquet(
        &root.join("c.parquet"),
        vec![("id", Arc::new(Int32Array::from(vec![1])) as ArrayRef), ("origin", texts(&["JFK"]))],
    );
    mistakes(
        &world,
        expect![[r#"
        error[E0601]: column `origin` is missing in `data/t/b.parquet`
          --> sources.yml:9:11 `origin` the file has `orign`
          note: expected: `origin` varchar
          note: found: `id`, `orign`
          hint: correct the file, or the declaration if the column is gone for good
        error[E0602]: column `id` of `data/t/c.parquet` has type int, not bigint
          --> sources.yml:8:11 `id`
          note: expected: bigint
          note: found: int
          hint: correct the file, or declare the new type if the change is wanted
    "#]],
    )
    .await;
}

#[tokio::test]
async fn inputs_that_cannot_be_read() {
    mistakes(
        &world("path: data/nowhere.parquet"),
        expect![[r#"
        error[E0207]: source `s.t` has no file at `data/nowhere.parquet`
          --> sources.yml:5:7 `t`
          hint: correct `path:`, or put the file there
    "#]],
    )
    .await;
    mistakes(
        &world("path: data/empty/*.parquet"),
        expect![[r#"
        error[E0207]: source `s.t` has no file at `data/empty/*.parquet`
          --> sources.yml:5:7 `t`
          hint: correct `path:`, or put the file there
    "#]],
    )
    .await;
    let broken = world("path: data/broken.parquet");
    std::fs::create_dir_all(broken.root().join("data")).unwrap();
    std::fs::write(broken.root().join("data/broken.parquet"), "not parquet at all").unwrap();
    mistakes(
        &broken,
        expect![[r#"
        error[E0704]: cannot read `data/broken.parquet`
          --> sources.yml:5:7 `t`
          note: cause: Parquet error: Parquet error: Invalid Parquet file. Corrupt footer
    "#]],
    )
    .await;
    mistakes(
        &world("path: data/t\nformat: delta"),
        expect![[r#"
        error[E0207]: source `s.t` has no Delta table at `data/t`
          --> sources.yml:5:7 `t`
          hint: correct `path:`, or put the file there
    "#]],
    )
    .await;
    mistakes(
        &world("columns:\n  id: {type: bigit}"),
        expect![[r#"
        error[E0203]: `bigit` is not a SQL type
          --> sources.yml:7:11 `id` did you mean `bigint`?
          hint: use a SQL type such as bigint, double, decimal(18, 2), varchar, date or timestamp
    "#]],
    )
    .await;
}

#[tokio::test]
async fn declared_types_settle_what_text_files_seem_to_hold() {
    let world = World::new(
        r#"
-- sources.yml --
sources:
  s:
    tables:
      c: {path: data/*.csv, columns: {amount: {type: 'decimal(9, 2)'}}}
      j: {path: data/*.jsonl, columns: {amount: {type: double}}}
-- data/a.csv --
id,amount
1,1.50
-- data/b.csv --
id,amount
2,7
-- data/a.jsonl --
{"id": 1, "amount": 2}
-- data/b.jsonl --
{"id": 2, "amount": "3.5"}
"#,
    );
    let both = "select 'c' as kind, id, cast(amount as varchar) as amount from s.c \
                union all select 'j', id, cast(amount as varchar) from s.j order by 1, 2";
    expect![[r#"
        +------+----+--------+
        | kind | id | amount |
        +------+----+--------+
        | c    | 1  | 1.50   |
        | c    | 2  | 7.00   |
        | j    | 1  | 2.0    |
        | j    | 2  | 3.5    |
        +------+----+--------+"#]]
    .assert_eq(&world.sql(both).await);
}

#[tokio::test]
async fn csv_files_must_agree_on_their_header() {
    let world = World::new(
        "
-- sources.yml --
sources:
  s: {tables: {t: {path: data/*.csv}}}
-- data/a.csv --
id,name
1,x
-- data/b.csv --
name,id
y,2
",
    );
    mistakes(
        &world,
        expect![[r#"
        error[E0601]: the columns of `data/b.csv` are not those of `data/a.csv`
          --> sources.yml:2:16 `t`
          hint: CSV files of one table must have the same columns in the same order
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_bad_value_in_a_csv_file_is_named() {
    let mut world = World::new(
        "
-- sources.yml --
sources:
  s: {tables: {t: {path: data/a.csv, columns: {id: {type: bigint}}}}}
-- data/a.csv --
id
1
two
-- transforms/t.sql --
select id from {{ source('s', 't') }}
",
    );
    let Err(Error::Compute { blame: Some(blame), .. }) = world.run().await else { panic!("no blame") };
    expect![[r#"
        error[E0704]: `two` is not a bigint: column `id`, row 2 of `data/a.csv`
          --> sources.yml:2:48 `id`
          hint: correct the file, or declare the column as varchar and use `try_cast(...)`
    "#]]
    .assert_eq(&plain(&[*blame]));
}

#[tokio::test]
async fn published_tables_are_delta_sources() {
    let mut world = World::new("-- transforms/t.sql --\nselect 1 as id, 'a' as name\n");
    world.run().await.unwrap();
    world.edit("-- sources.yml --\nsources:\n  lake: {tables: {t: {path: lake/prod/t, format: delta, columns: {id: {type: bigint}}}}}\n");
    expect![[r#"
        +----+------+
        | id | name |
        +----+------+
        | 1  | a    |
        +----+------+"#]]
    .assert_eq(&world.sql("select * from lake.t").await);
}
