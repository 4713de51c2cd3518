//! Unit tests: what `windlass test` runs, what it says, and that it touches nothing.

use expect_test::expect;

use crate::support::{Project, is_there, pretty};

/// A view, a table and a seed over sources that have no files.
const SHOP: &str = "
-- windlass.yml --
name: test
version: 1
vars: {floor: 10}
-- sources.yml --
sources:
  raw:
    path: data/{name}.parquet
    tables:
      orders: {columns: {id: bigint, customer: varchar, amount: double, at: timestamp with time zone}}
-- seeds/names.csv --
customer,name
1,ada
2,grace
-- transforms/large.sql --
{{ config(materialized='view') }}
select id, customer, amount, at from {{ source('raw', 'orders') }} where amount >= {{ var('floor') }}
-- transforms/spending.sql --
select customer, count(*) as orders, sum(amount) as spent, max(at) as last_at, 100 / count(*) as share
from {{ ref('large') }} group by customer
-- transforms/named.sql --
select n.name, s.spent from {{ ref('spending') }} s join {{ ref('names') }} n on n.customer = cast(s.customer as bigint)
-- tests/spending.yml --
tests:
  - name: amounts_add_up
    transform: spending
    given:
      large:
        - {customer: ada, amount: 0.1, at: 2024-01-01T10:00:00Z}
        - {customer: ada, amount: 0.2, at: 2024-01-02}
        - {customer: ~, amount: ~}
    expect:
      - {customer: ~, orders: 1, spent: ~, last_at: ~}
      - {customer: ada, orders: 2, spent: 0.3, last_at: 2024-01-02T00:00:00Z}
  - name: views_are_looked_through
    transform: spending
    vars: {floor: 5}
    given: {raw.orders: [{customer: ada, amount: 7}, {customer: ada, amount: 4}]}
    expect: [{spent: 7}]
  - name: seeds_are_there
    transform: named
    given: {spending: [{customer: '2', spent: 3}]}
    expect: [{name: grace, spent: 3}]
-- transforms/t.yml --
unit_tests:
  - name: nothing_comes_of_nothing
    model: spending
    given: [{input: ref('large'), rows: []}]
    expect: {rows: []}
";

#[test]
fn tests_pass_without_any_table_and_leave_nothing_behind() {
    let project = Project::new(SHOP);
    project.windlass(["test"]).check(expect![[r#"
        exit 0
        -- stdout
        ✓ spending  amounts_add_up  [TIME]
        ✓ spending  views_are_looked_through  [TIME]
        ✓ named     seeds_are_there  [TIME]
        ✓ spending  nothing_comes_of_nothing  [TIME]
        -- stderr
        4 tests passed
    "#]]);
    project.windlass(["test", "named"]).check(expect![[r#"
        exit 0
        -- stdout
        ✓ named  seeds_are_there  [TIME]
        -- stderr
        1 test passed
    "#]]);
    assert!(!is_there(&project.path("lake")) && !is_there(&project.path(".windlass")));
    project.windlass(["test", "large"]).check(expect![[r#"
        exit 0
        -- stderr
        no selected transform has unit tests
    "#]]);
}

#[test]
fn differences_are_a_table() {
    let project = Project::new(SHOP);
    project.write(
        "tests/spending.yml",
        "tests:
  - name: wrong
    transform: spending
    given:
      large: [{customer: ada, amount: 1}, {customer: bob, amount: 2}, {customer: cid, amount: 3}]
    expect:
      - {customer: cid, orders: 1, spent: 3}
      - {customer: bob, orders: 2, spent: 2}
      - {customer: dan, orders: 7, spent: 7}
      - {customer: ada, orders: 1, spent: 1.001}
  - name: near_enough
    transform: spending
    given: {large: [{customer: ada, amount: 1}]}
    expect: [{spent: 1.001}]
    tolerance: {spent: 0.01}
  - name: forgotten
    transform: spending
    given: {}
    expect: [{spent: 1}]
",
    );
    project.windlass(["test"]).check(expect![[r#"
        exit 1
        -- stdout
        ✗ spending  wrong  [TIME]
            tests/spending.yml:2:11: expected 4 rows, found 3: 3 differ
            +---------+----------+--------+-------------+
            |         | customer | orders | spent       |
            +---------+----------+--------+-------------+
            | changed | bob      | 2 → 1  | 2.0         |
            | missing | dan      | 7      | 7.0         |
            | changed | ada      | 1      | 1.001 → 1.0 |
            +---------+----------+--------+-------------+
        ✓ spending  near_enough  [TIME]
        ✗ spending  forgotten  [TIME]
            tests/spending.yml:16:11: expected 1 row, found 0: 1 differs
            +---------+-------+
            |         | spent |
            +---------+-------+
            | missing | 1.0   |
            +---------+-------+
            not given, so without rows: `raw.orders`
        ✓ spending  nothing_comes_of_nothing  [TIME]
        -- stderr
        2 tests passed, 2 failed
    "#]]);
    let report = project.windlass(["test", "--format", "json"]);
    assert_eq!(report.code, 1);
    let report = crate::support::parsed(&report.stdout);
    assert_eq!((&report["schema"], &report["data"]["failed"]), (&"windlass.test/1".into(), &2.into()));
    expect![[r#"
        {
          "name": "wrong",
          "node": "spending",
          "status": "fail",
          "place": {
            "file": "tests/spending.yml",
            "line": 2,
            "column": 11,
            "end_line": 2,
            "end_column": 16
          },
          "elapsed_ms": "[ELAPSED_MS]",
          "reason": "rows_differ",
          "rows": {
            "expected": 4,
            "found": 3,
            "differences": [
              {
                "kind": "changed",
                "columns": [
                  "orders"
                ],
                "expected": {
                  "customer": "bob",
                  "orders": 2,
                  "spent": 2.0
                },
                "found": {
                  "customer": "bob",
                  "orders": 1,
                  "spent": 2.0
                }
              },
              {
                "kind": "missing",
                "columns": [],
                "expected": {
                  "customer": "dan",
                  "orders": 7,
                  "spent": 7.0
                },
                "found": null
              },
              {
                "kind": "changed",
                "columns": [
                  "spent"
                ],
                "expected": {
                  "customer": "ada",
                  "orders": 1,
                  "spent": 1.001
                },
                "found": {
                  "customer": "ada",
                  "orders": 1,
                  "spent": 1.0
                }
              }
            ]
          },
          "error_rows": null,
          "causes": [],
          "error": null,
          "diagnostic": null,
          "empty_inputs": []
        }"#]]
    .assert_eq(&pretty(report["data"]["tests"][0].clone()));
}

#[test]
fn a_failure_can_be_expected() {
    let project = Project::new(SHOP);
    project.write("transforms/spending.sql", "select 100 / amount as share from {{ ref('large') }}\n");
    project.write(
        "sources/raw.yml",
        "sources: {raw: {path: x.parquet, tables: {orders: {columns: {id: bigint, customer: varchar, amount: bigint, at: timestamp}}}}}\n",
    );
    std::fs::remove_file(project.path("sources.yml")).unwrap();
    std::fs::remove_file(project.path("transforms/named.sql")).unwrap();
    let given = "transform: spending, given: {large: [{amount: 0}]}";
    project.write(
        "tests/spending.yml",
        &format!(
            "tests:
  expected: {{{given}, expect: {{error: divi}}}}
  other_text: {{{given}, expect: {{error: overflow}}}}
  unexpected: {{{given}, expect: [{{share: 1}}]}}
  never: {{transform: spending, expect: {{error: divi}}}}
"
        ),
    );
    project.windlass(["test"]).check(expect![[r#"
        exit 1
        -- stdout
        ✓ spending  expected  [TIME]
        ✗ spending  other_text  [TIME]
            tests/spending.yml:3:3: failed, but not with `overflow`
            error[E0801]: division by zero in `100 / amount` of `spending`
             --> transforms/spending.sql:1:8
              |
            1 | select 100 / amount as share from {{ ref('large') }}
              |        ^^^^^^^^^^^^
              |
              = help: divide by `nullif(x, 0)` to get NULL for such rows
        ✗ spending  unexpected  [TIME]
            tests/spending.yml:4:3: failed
            error[E0801]: division by zero in `100 / amount` of `spending`
             --> transforms/spending.sql:1:8
              |
            1 | select 100 / amount as share from {{ ref('large') }}
              |        ^^^^^^^^^^^^
              |
              = help: divide by `nullif(x, 0)` to get NULL for such rows
        ✗ spending  never  [TIME]
            tests/spending.yml:5:3: should have failed with `divi`, and did not
        ✓ spending  nothing_comes_of_nothing  [TIME]
        -- stderr
        2 tests passed, 3 failed
    "#]]);
}

#[test]
fn mistakes_are_told_before_anything_runs() {
    let project = Project::new(SHOP);
    project.write(
        "tests/spending.yml",
        "tests:
  - name: wrong
    transform: spending
    given:
      large: [{customr: ada, amount: many, at: yesterday}]
    expect: [{spend: 1, orders: 1.5}]
    tolerance: {spendt: 1}
  - {name: nobody, transform: spendings, expect: []}
",
    );
    project.windlass(["test"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0209]: no transform `spendings`
         --> tests/spending.yml:8:31
          |
        8 |   - {name: nobody, transform: spendings, expect: []}
          |                               ^^^^^^^^^ did you mean `spending`?

        error[E0102]: no column `customr` in `large`
         --> tests/spending.yml:5:16
          |
        5 |       large: [{customr: ada, amount: many, at: yesterday}]
          |                ^^^^^^^ did you mean `customer`?
          |
          = note: columns: `id`, `customer`, `amount`, `at`

        error[E0203]: expected double for column `amount`, found `many`
         --> tests/spending.yml:5:38
          |
        5 |       large: [{customr: ada, amount: many, at: yesterday}]
          |                                      ^^^^

        error[E0203]: expected timestamp with time zone for column `at`, found `yesterday`
         --> tests/spending.yml:5:48
          |
        5 |       large: [{customr: ada, amount: many, at: yesterday}]
          |                                                ^^^^^^^^^

        error[E0102]: `tolerance` names column `spendt`, which `spending` does not have
         --> tests/spending.yml:7:17
          |
        7 |     tolerance: {spendt: 1}
          |                 ^^^^^^ did you mean `spent`?

        error[E0102]: no column `spend` in `spending`
         --> tests/spending.yml:6:15
          |
        6 |     expect: [{spend: 1, orders: 1.5}]
          |               ^^^^^ did you mean `spent`?
          |
          = note: columns: `customer`, `orders`, `spent`, `last_at`, `share`

        error[E0203]: expected bigint for column `orders`, found `1.5`
         --> tests/spending.yml:6:33
          |
        6 |     expect: [{spend: 1, orders: 1.5}]
          |                                 ^^^

        7 mistakes, nothing was done
        windlass explain E0102 E0203 E0209
    "#]]);
    project.windlass(["test", "named"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0209]: no transform `spendings`
         --> tests/spending.yml:8:31
          |
        8 |   - {name: nobody, transform: spendings, expect: []}
          |                               ^^^^^^^^^ did you mean `spending`?
        windlass explain E0209
    "#]]);
    assert_eq!(project.windlass(["plan", "-q", "named"]).stderr.matches("tests/").count(), 0);
    project.add("-- tests/spending.yml --\ntests:\n  - {name: a, transform: broken, expect: []}\n");
    project.add("-- transforms/broken.sql --\nselect spennt from {{ ref('spending') }}\n");
    project.windlass(["test"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0102]: no column `spennt`
         --> transforms/broken.sql:1:8
          |
        1 | select spennt from {{ ref('spending') }}
          |        ^^^^^^ did you mean `spent`?
          |
          = note: columns: `customer`, `orders`, `spent`, `last_at`, `share`
        windlass explain E0102
    "#]]);
}

/// A Python transform that loses rows in each of its ways, and a function of SQL.
const PYTHON: &str = "
-- sources.yml --
sources: {raw: {path: x.parquet, tables: {numbers: {columns: {id: bigint, x: double}}}}}
-- functions/f.py --
from windlass import udf

@udf(returns='double', args={'x': 'double'})
def twice(x):
    return x * 2
-- transforms/doubled.sql --
select id, twice(x) as x from {{ source('raw', 'numbers') }}
-- transforms/score.py --
from windlass import ref, transform, var

@transform(input=ref('doubled'), columns={'id': 'bigint', 'y': 'double'}, key=['id'], requires={'not_null': ['x']},
           batch_format='pandas')
def score(batch):
    if (batch['x'] < 0).any():
        raise ValueError('negative')
    return batch[['id']].assign(y=batch['x'] + var('bias'))
-- windlass.yml --
name: test
version: 1
vars: {bias: 1}
python: {dependencies: ['pandas==3.1.1', 'polars==2.1.0']}
-- tests/score.yml --
tests:
  - name: functions
    transform: doubled
    given: {raw.numbers: [{id: 1, x: 1.5}, {id: 2}]}
    expect: [{id: 1, x: 3}, {id: 2, x: ~}]
  - name: rows_that_fail
    transform: score
    vars: {bias: 10}
    given: {doubled: [{id: 1, x: 1}, {id: 2, x: ~}, {id: 3, x: -1}]}
    expect:
      rows: [{id: 1, y: 11}]
      errors:
        - {id: 2, stage: requires, error: '`x` is null'}
        - {id: 3, stage: python, error_type: ValueError}
  - name: wrong
    transform: score
    given: {doubled: [{id: 1, x: 1}, {id: 3, x: -1}]}
    expect: [{id: 1, y: 2}, {id: 3, y: 0}]
";

#[test]
fn python_is_tested_in_its_workers() {
    let project = Project::with_python(PYTHON);
    project.windlass(["test"]).check(expect![[r#"
        exit 1
        -- stdout
        ✓ doubled  functions  [TIME]
        ✓ score    rows_that_fail  [TIME]
        ✗ score    wrong  [TIME]
            tests/score.yml:15:11: expected 2 rows, found 1: 1 differs
            +---------+----+-----+
            |         | id | y   |
            +---------+----+-----+
            | missing | 3  | 0.0 |
            +---------+----+-----+
            rows that failed:
              1  python  ValueError: negative
                         such as id=3  {"id":3,"x":-1.0}
                         Traceback (most recent call last):
                           File "[DIR]/transforms/score.py", line 7, in score
                             raise ValueError('negative')
                         ValueError: negative
        -- stderr
        2 tests passed, 1 failed
    "#]]);
    assert!(!is_there(&project.path("lake")));
}
