//! How unit tests are read, and what is wrong with them.

use std::fmt::Write;
use std::path::Path;

use expect_test::{Expect, expect};
use windlass_error::SourceFile;

use super::*;
use crate::fixture::{options, render, split};
use crate::load::FileSet;

const PROJECT: &str = "
-- windlass.yml --
name: demo
vars: {limit: 3}
-- sources.yml --
sources: {shop: {path: 'data/{name}.csv', tables: [orders, customers]}}
-- seeds/days.csv --
-- transforms/stg_orders.sql --
{{ config(materialized='view') }} select * from {{ source('shop', 'orders') }} where n > {{ var('limit') }}
-- transforms/daily.sql --
select * from {{ ref('stg_orders') }}, {{ ref('days') }}
-- transforms/score.py --
from windlass import ref, transform
@transform(input=ref('daily'), columns={'id': 'bigint'})
def score(batch):
    return batch
";

fn suite(text: &str) -> TestSuite {
    let (mut files, mut tests) = (FileSet::default(), FileSet::default());
    let text = format!("{}{text}", PROJECT.trim_start());
    for (path, content) in split(&text) {
        let file = SourceFile::new(Path::new(&path), content);
        if path.starts_with("tests/") {
            tests.files.insert(path, file);
        } else if path.ends_with(".csv") {
            files.unread.push(path);
        } else {
            files.files.insert(path, file);
        }
    }
    let suite = read_suite(&files, &tests, &options());
    assert_eq!(render(&suite.projects[0].diagnostics), "");
    suite
}

fn check(text: &str, expected: Expect) {
    let suite = suite(text);
    let mut out = render(&suite.diagnostics);
    for test in &suite.tests {
        let _ = writeln!(out, "{} of {} at {}", test.name, test.node.text, test.location);
        for given in &test.given {
            let _ = writeln!(out, "  given {}: {}", given.table.text, rows(&given.rows));
        }
        let Expected { rows: wanted, errors, failure, tolerance, tolerances } = &test.expected;
        for (what, found) in [("rows", wanted), ("errors", errors)] {
            if let Some(found) = found {
                let _ = writeln!(out, "  expect {what}: {}", rows(found));
            }
        }
        if let Some(failure) = failure {
            let _ = writeln!(out, "  expect error: {}", failure.text);
        }
        if let Some(Tolerance { absolute, relative }) = tolerance {
            let _ = writeln!(out, "  tolerance {absolute} {relative}");
        }
        for (column, Tolerance { absolute, relative }) in tolerances {
            let _ = writeln!(out, "  tolerance of {} {absolute} {relative}", column.text);
        }
    }
    expected.assert_eq(&out);
}

fn rows(rows: &TestRows) -> String {
    let names: Vec<&str> = rows.columns.iter().map(|column| column.text.as_str()).collect();
    let cell = |cell: &Option<TestCell>| match cell.as_ref().map(|cell| &cell.value) {
        None => "-".to_owned(),
        Some(TestValue::Null) => "null".to_owned(),
        Some(TestValue::Text(text)) => text.clone(),
        Some(TestValue::Nested(json)) => json.to_string(),
    };
    let row = |row: &TestRow| {
        let cells: Vec<String> = row.cells.iter().map(cell).collect();
        format!("{}({})", row.location.position().0, cells.join(" "))
    };
    let all: Vec<String> = rows.rows.iter().map(row).collect();
    format!("[{}] {}", names.join(" "), all.join(" "))
}

#[test]
fn tests_are_read_in_our_form_and_in_dbts() {
    check(
        "
-- tests/daily.yml --
tests:
  - name: short
    transform: daily
    given:
      stg_orders:
        - {id: 1, at: 2013-01-01T10:00:00Z, note: ~}
        - {id: 2, tags: [a, b], note: '~'}
    expect:
      - {id: 1}
    tolerance: 0.5
  - name: fails
    transform: score
    given: {daily: []}
    expect: {error: must not be empty}
  - name: loses_rows
    transform: score
    expect: {rows: [], errors: [{stage: requires}]}
    tolerance: {id: {rel: 1e-3}, y: 2}
  - {name: never, transform: daily, expect: [], config: {enabled: false}}
-- tests/fixtures/orders.csv --
id,note
7,
-- transforms/t.yml --
unit_tests:
  - name: dbts
    model: daily
    description: As dbt writes it.
    config: {tags: [x]}
    overrides: {vars: {limit: 1}}
    given:
      - input: source('shop', 'orders')
        format: csv
        rows: |
          id,note
          5,five

          6,
      - input: ref('days')
        format: csv
        fixture: orders
    expect:
      format: dict
      rows: [{id: 5}]
",
        expect![[r#"
            short of daily at tests/daily.yml:2:11
              given stg_orders: [id at note tags] 6(1 2013-01-01T10:00:00Z null -) 7(2 - ~ ["a","b"])
              expect rows: [id] 9(1)
              tolerance 0.5 0
            fails of score at tests/daily.yml:11:11
              given daily: [] 
              expect error: must not be empty
            loses_rows of score at tests/daily.yml:15:11
              expect rows: [] 
              expect errors: [stage] 17(requires)
              tolerance of id 0 0.001
              tolerance of y 2 0
            dbts of daily at transforms/t.yml:2:11
              given shop.orders: [id note] 12(5 five) 14(6 null)
              given days: [id note] 2(7 null)
              expect rows: [id] 20(5)
        "#]],
    );
}

#[test]
fn tests_with_the_same_variables_share_a_project() {
    let suite = suite(
        "
-- tests/a.yml --
tests:
  a: {transform: stg_orders, expect: [], vars: {limit: 5}}
  b: {transform: stg_orders, expect: []}
  c: {transform: stg_orders, expect: [], vars: {limit: 5}}
  d: {transform: stg_orders, expect: [], vars: {limit: '5'}}
",
    );
    let project: Vec<usize> = suite.tests.iter().map(|test| test.project).collect();
    assert_eq!(project, [1, 0, 1, 2]);
    let sql = |at: usize| {
        let project = suite.projects[at].project.as_ref().unwrap();
        project.nodes["stg_orders"].transform().unwrap().sql.rsplit(' ').next().unwrap().trim().to_owned()
    };
    assert_eq!([sql(0), sql(1)], ["3", "5"]);
}

#[test]
fn mistakes_are_told_at_their_line() {
    check(
        "
-- tests/a.yml --
tests:
  - {name: a, transform: dialy, expect: []}
  - {name: b, transform: days, expect: []}
  - {name: c, transform: daily, given: {stg_order: []}, expect: []}
  - {name: d, transform: daily, given: {score: []}, expect: []}
  - {name: e, transform: daily, given: {stg_orders: [], shop.orders: []}, expect: []}
  - {name: f, transform: daily, given: {days: 3}, expect: []}
  - {name: g, transform: daily}
  - {name: g, expect: []}
  - {name: h, transform: daily, expect: {rows: [], error: x}}
  - {name: i, transform: daily, expect: {format: sql, rows: x}}
  - {name: j, transform: daily, given: [{input: days, fixture: dayz}], expect: []}
  - {name: k, transform: daily, given: [{input: days, format: csv, rows: \"a,b\\n1\"}], expect: []}
  - {name: l, transform: daily, given: [{input: days, rows: []}, {input: ref('days'), rows: []}], expect: []}
  - {name: m, transform: daily, expct: []}
  - {name: n, transform: daily, expect: {}}
-- tests/b.yml --
tests: {b: {transform: daily, expect: []}}
-- tests/c.yml --
checks: []
-- tests/days.csv --
",
        expect![[r#"
            error[E0205]: duplicate name `g`
              tests/a.yml:9:12
              |   - {name: g, expect: []}
              |            ^ again here
              tests/a.yml:8:12
              |   - {name: g, transform: daily}
              |            - first here
            error[E0203]: expected a list of rows for `rows`, found `3`
              tests/a.yml:7:47
              |   - {name: f, transform: daily, given: {days: 3}, expect: []}
              |                                               ^
              hint: no rows at all are written `rows: []`; CSV needs `format: csv`
              node: daily
            error[E0204]: test `g` needs the key `expect`
              tests/a.yml:8:12
              |   - {name: g, transform: daily}
              |            ^
              node: daily
            error[E0203]: a transform that fails has no rows: `error` stands alone
              tests/a.yml:10:59
              |   - {name: h, transform: daily, expect: {rows: [], error: x}}
              |                                                           ^
              node: daily
            error[E0203]: expected one of `dict`, `csv` for `format`, found `sql`
              tests/a.yml:11:50
              |   - {name: i, transform: daily, expect: {format: sql, rows: x}}
              |                                                  ^^^
              node: daily
            error[E0207]: no file `dayz.csv` below `tests/`
              tests/a.yml:12:64
              |   - {name: j, transform: daily, given: [{input: days, fixture: dayz}], expect: []}
              |                                                                ^^^^ did you mean `days`?
              node: daily
            error[E0203]: a line of the CSV cannot be read
              tests/a.yml:13:74
              |   - {name: k, transform: daily, given: [{input: days, format: csv, rows: "a,b\n1"}], expect: []}
              |                                                                          ^^^^^^^^
              note: CSV error: record 1 (line: 2, byte: 4): found record with 1 fields, but the previous record has 2 fields
              node: daily
            error[E0205]: duplicate input `days`
              tests/a.yml:14:74
              |   - {name: l, transform: daily, given: [{input: days, rows: []}, {input: ref('days'), rows: []}], expect: []}
              |                                                                          ^^^^^^^^^^^ again here
              tests/a.yml:14:49
              |   - {name: l, transform: daily, given: [{input: days, rows: []}, {input: ref('days'), rows: []}], expect: []}
              |                                                 ---- first here
              node: daily
            error[E0202]: unknown key `expct` in test `m`
              tests/a.yml:15:33
              |   - {name: m, transform: daily, expct: []}
              |                                 ^^^^^ did you mean `expect`?
            error[E0204]: test `m` needs the key `expect`
              tests/a.yml:15:12
              |   - {name: m, transform: daily, expct: []}
              |            ^
              node: daily
            error[E0204]: `expect` needs the key `rows`
              tests/a.yml:16:41
              |   - {name: n, transform: daily, expect: {}}
              |                                         ^^
              hint: no rows at all are written `rows: []`
              node: daily
            error[E0202]: unknown key `checks` in `tests/c.yml`
              tests/c.yml:1:1
              | checks: []
              | ^^^^^^
              hint: known keys: `tests`, `unit_tests`, `version`
            error[E0204]: `tests/c.yml` needs the key `tests`
              tests/c.yml:1:1
              | checks: []
              | ^^^^^^^^^^
            error[E0205]: duplicate test `b`
              tests/b.yml:1:9
              | tests: {b: {transform: daily, expect: []}}
              |         ^ again here
              tests/a.yml:3:12
              |   - {name: b, transform: days, expect: []}
              |            - first here
              node: daily
            error[E0209]: no transform `dialy`
              tests/a.yml:2:26
              |   - {name: a, transform: dialy, expect: []}
              |                          ^^^^^ did you mean `daily`?
              node: dialy
            error[E0203]: `days` is a seed and computes nothing
              tests/a.yml:3:26
              |   - {name: b, transform: days, expect: []}
              |                          ^^^^
              node: days
            error[E0302]: test `c` names table `stg_order`, which does not exist
              tests/a.yml:4:41
              |   - {name: c, transform: daily, given: {stg_order: []}, expect: []}
              |                                         ^^^^^^^^^ did you mean `stg_orders`?
              node: daily
            error[E0203]: `score` is not read by `daily`
              tests/a.yml:5:41
              |   - {name: d, transform: daily, given: {score: []}, expect: []}
              |                                         ^^^^^
              hint: `daily` reads `stg_orders`, `days`, `shop.orders`
              node: daily
            error[E0203]: `shop.orders` is read through a view that is given itself
              tests/a.yml:6:57
              |   - {name: e, transform: daily, given: {stg_orders: [], shop.orders: []}, expect: []}
              |                                                         ^^^^^^^^^^^
              hint: give one of the two
              node: daily
        "#]],
    );
}
