//! How checks are read, and what is said about mistakes.

use expect_test::{Expect, expect};

use super::{CheckDefinition, CheckKind, CheckSeverity};
use crate::fixture::{problems, project};

fn describe(check: &CheckDefinition) -> String {
    let mut text = format!("{} {:?}", check.name, check.kind);
    // Places are in the way here; one test looks at them.
    while let Some(at) = text.find(", location: Location {") {
        let end = text[at..].find("span: ").and_then(|from| text[at + from..].find('}').map(|to| at + from + to + 1));
        text.replace_range(at..end.unwrap_or(text.len()), "");
    }
    let text = text.replace("Written { text: ", "").replace("\" }", "\"");
    let mut settings = Vec::new();
    settings.extend(check.column.as_ref().map(|column| format!("column {column}")));
    settings.extend((check.severity == CheckSeverity::Warn).then(|| "warns".to_string()));
    settings.push(format!("error {}, warn {}", check.error_if, check.warn_if));
    settings.extend(check.filter.as_ref().map(|filter| format!("where {}", filter.text)));
    settings.extend(check.limit.map(|limit| format!("limit {limit}")));
    format!("{text} [{}]", settings.join(", "))
}

fn check(columns_and_checks: &str, expected: Expect) {
    let text = format!(
        "-- seeds/other.csv --\n-- transforms/a.sql --\nselect 1 as x\n-- transforms/p.yml --\ntransforms:\n  a:\n{columns_and_checks}\n"
    );
    let project = project(&text);
    let found: Vec<String> = project.nodes["a"].checks.iter().map(describe).collect();
    expected.assert_eq(&(found.join("\n") + "\n"));
}

fn wrong(columns_and_checks: &str, expected: Expect) {
    let text = format!(
        "-- seeds/other.csv --\n-- transforms/a.sql --\nselect 1 as x\n-- transforms/p.yml --\ntransforms:\n  a:\n{columns_and_checks}\n"
    );
    expected.assert_eq(&problems(&text));
}

#[test]
fn the_form_of_dbt() {
    check(
        "    columns:
      - name: x
        data_tests:
          - not_null
          - unique:
              config: {severity: warn, where: \"x > 0\", limit: 100}
          - accepted_values:
              arguments: {values: [placed, 2]}
              config: {error_if: '> 0.1%', warn_if: '>10', store_failures: true}
          - relationships:
              to: ref('other')
              field: id
          - name: in_range
            test_name: dbt_utils.accepted_range
            arguments: {min_value: 0, inclusive: false}
    tests:
      - dbt_utils.unique_combination_of_columns:
          combination_of_columns: [x, y]
      - dbt_expectations.expect_table_row_count_to_be_between: {min_value: 1}",
        expect![[r#"
            not_null_x NotNull [column x, error <> 0, warn <> 0]
            unique_x Unique { columns: ["x"], keep: None } [column x, warns, error <> 0, warn <> 0, where x > 0, limit 100]
            accepted_values_x Values { values: ["placed", "2"], are_accepted: true } [column x, error > 0.1 %, warn > 10]
            relationships_x_other Relationships { columns: ["x"], to: "other", fields: ["id"] } [column x, error <> 0, warn <> 0]
            in_range Range { min: Some(Bound { value: "0", is_inclusive: false }), max: None } [column x, error <> 0, warn <> 0]
            unique_x_y Unique { columns: ["x", "y"], keep: None } [error <> 0, warn <> 0]
            row_count RowCount(Interval { min: Some(1.0), max: None }) [error <> 0, warn <> 0]
        "#]],
    );
}

#[test]
fn our_form() {
    check(
        "    checks:
      row_count: {min: 10, max: 1_000}
      unique: [x, y]
      coverage: {of: other, min: 98%}
      same_row_count: other
      expression: x > 0
      pair: {left: x, operator: <=, right: y}
      row_count_change: 20%
      anomaly: row_count
      schema: {columns: {x: bigint}, others: allow}
      rows_per_key: {key: x, max_over_mean: 10}
      reconcile: {to: other, key: x, tolerance: {y: 0.5, z: {rel: 1.0e-9}}}
    columns:
      x:
        checks: [not_null, {null_rate: 2%}, {regex: '^a'}, {freshness: 26h}, {length: 3}]
      y:
        type: double
        checks:
          - mean: {min: 1, vs_previous: {max_change: 10%}}
            severity: warn
          - quantile: {p: 0.99, max: 500}
          - range: {min: 0, max: 10}
            max_rate: 1%
          - range: {min: 0}
            on_fail: warn
            max_rows: 3
          - drift: {method: psi, warn: 0.1, error: 0.25, baseline: version 3}
          - median: {equals: 3}
          - monotonic: {direction: decreasing, strict: true}",
        expect![[r#"
            not_null_x NotNull [column x, error <> 0, warn <> 0]
            null_rate_x NullRate(Interval { min: None, max: Some(0.02) }) [column x, error <> 0, warn <> 0]
            regex_x Regex { pattern: "^a", must_match: true } [column x, error <> 0, warn <> 0]
            freshness_x Freshness { column: "x", max_age: Some(93600s), warn_after: None } [column x, error <> 0, warn <> 0]
            length_x Length { min: Some(3), max: Some(3) } [column x, error <> 0, warn <> 0]
            mean_y Statistic { statistic: Mean, bounds: Interval { min: Some(1.0), max: None }, written: [Some("1"), None], change: Some(Change { max_drop: Some(0.1), max_rise: Some(0.1) }) } [column y, warns, error <> 0, warn <> 0]
            quantile_y Statistic { statistic: Quantile(0.99), bounds: Interval { min: None, max: Some(500.0) }, written: [None, Some("500")], change: None } [column y, error <> 0, warn <> 0]
            range_y Range { min: Some(Bound { value: "0", is_inclusive: true }), max: Some(Bound { value: "10", is_inclusive: true }) } [column y, error > 1 %, warn > 1 %]
            range_y_2 Range { min: Some(Bound { value: "0", is_inclusive: true }), max: None } [column y, warns, error > 3, warn > 3]
            drift_y Drift(DriftRule { method: Psi, baseline: Version(3), warn: Some(0.1), error: Some(0.25), bins: 10, p_value: None, forbids_new: false, forbids_missing: false }) [column y, error <> 0, warn <> 0]
            quantile_y_2 Statistic { statistic: Quantile(0.5), bounds: Interval { min: Some(3.0), max: Some(3.0) }, written: [Some("3"), Some("3")], change: None } [column y, error <> 0, warn <> 0]
            monotonic_y Monotonic { descending: true, strict: true, order_by: None } [column y, error <> 0, warn <> 0]
            row_count RowCount(Interval { min: Some(10.0), max: Some(1000.0) }) [error <> 0, warn <> 0]
            unique_x_y Unique { columns: ["x", "y"], keep: None } [error <> 0, warn <> 0]
            coverage_other Coverage { of: "other", min: 0.98 } [error <> 0, warn <> 0]
            same_row_count_other SameRowCount { to: "other", tolerance: 0.0 } [error <> 0, warn <> 0]
            expression Expression { sql: "x > 0" } [error <> 0, warn <> 0]
            pair_x_y Pair { left: "x", comparison: LessOrEqual, right: "y" } [error <> 0, warn <> 0]
            row_count_change RowCountChange(Change { max_drop: Some(0.2), max_rise: Some(0.2) }) [error <> 0, warn <> 0]
            anomaly Anomaly(AnomalyRule { statistic: None, method: Mad, sensitivity: 3.0, min_runs: 7, window: 30 }) [error <> 0, warn <> 0]
            schema Schema(SchemaRule { columns: [("x", Some("bigint"))], allows_others: true, is_ordered: false }) [error <> 0, warn <> 0]
            rows_per_key_x RowsPerKey { columns: ["x"], max_over_mean: Some(10.0), mean: Interval { min: None, max: None }, max_rows: None } [error <> 0, warn <> 0]
            reconcile_other Reconcile(ReconcileRule { to: "other", key: ["x"], exclude: [], tolerance: [("y", Tolerance { absolute: 0.5, relative: 0.0 }), ("z", Tolerance { absolute: 0.0, relative: 1e-9 })] }) [error <> 0, warn <> 0]
        "#]],
    );
}

#[test]
fn mistakes_are_at_their_line() {
    wrong(
        "    checks:
      - not_nul
      - row_count: {mn: 3}
      - row_count
      - row_count: {min: 5, max: 3}
      - not_null
      - range: {min: 0}
        unique: x
      - severity: warn
      - 3
    columns:
      x:
        checks:
          - not_null: {severity: fatal}
          - accepted_values
          - range: {max: [1]}
          - null_rate: 200%
          - freshness: 26 moons
          - not_null: {error_if: more, max_rate: 1%, max_rows: 1}
          - relationships: {to: others, field: id}
          - drift: {method: psy}
          - not_null: [a]",
        expect![[r#"
            error[E0203]: expected one of `error`, `warn` for `severity`, found `fatal`
              transforms/p.yml:16:34
              |           - not_null: {severity: fatal}
              |                                  ^^^^^
              node: a
            error[E0204]: check `accepted_values` needs the key `values`
              transforms/p.yml:17:13
              |           - accepted_values
              |             ^^^^^^^^^^^^^^^
              node: a
            error[E0203]: expected a text for `max`, found a list
              transforms/p.yml:18:26
              |           - range: {max: [1]}
              |                          ^^^
              node: a
            error[E0203]: expected a share such as `3%` or `0.03` for `max`, found `200%`
              transforms/p.yml:19:24
              |           - null_rate: 200%
              |                        ^^^^
              node: a
            error[E0203]: expected a time span such as `26h` or `2 days` for `max_age`, found `26 moons`
              transforms/p.yml:20:24
              |           - freshness: 26 moons
              |                        ^^^^^^^^
              node: a
            error[E0203]: `max_rate` and `max_rows` exclude each other
              transforms/p.yml:21:54
              |           - not_null: {error_if: more, max_rate: 1%, max_rows: 1}
              |                                                      ^^^^^^^^
              node: a
            error[E0203]: expected a bound such as `> 10` or `> 0.1%` for `error_if`, found `more`
              transforms/p.yml:21:34
              |           - not_null: {error_if: more, max_rate: 1%, max_rows: 1}
              |                                  ^^^^
              node: a
            error[E0203]: expected one of `auto`, `psi`, `ks`, `chi_square`, `jensen_shannon`, `js`, `wasserstein` for `method`, found `psy`
              transforms/p.yml:23:29
              |           - drift: {method: psy}
              |                             ^^^ did you mean `psi`?
              node: a
            error[E0203]: expected a map of keys for check `not_null`, found a list
              transforms/p.yml:24:23
              |           - not_null: [a]
              |                       ^^^
              node: a
            error[E0203]: one check has two kinds, `range` and `unique`
              transforms/p.yml:10:9
              |         unique: x
              |         ^^^^^^
              hint: write `- not_null`, or `- range: {min: 0}` with its keys below
              node: a
            error[E0203]: a check without a kind
              transforms/p.yml:11:9
              |       - severity: warn
              |         ^^^^^^^^^^^^^^
              hint: write `- not_null`, or `- range: {min: 0}` with its keys below
              node: a
            error[E0202]: unknown check `not_nul`
              transforms/p.yml:4:9
              |       - not_nul
              |         ^^^^^^^ did you mean `not_null`?
              node: a
            error[E0202]: unknown key `mn` in check `row_count`
              transforms/p.yml:5:21
              |       - row_count: {mn: 3}
              |                     ^^ did you mean `min`?
              node: a
            error[E0204]: check `row_count` needs `min`, `max` or `equals`
              transforms/p.yml:5:9
              |       - row_count: {mn: 3}
              |         ^^^^^^^^^
              node: a
            error[E0204]: check `row_count` needs `min`, `max` or `equals`
              transforms/p.yml:6:9
              |       - row_count
              |         ^^^^^^^^^
              node: a
            error[E0203]: `min` of `row_count` is larger than `max`
              transforms/p.yml:7:9
              |       - row_count: {min: 5, max: 3}
              |         ^^^^^^^^^
              node: a
            error[E0204]: check `not_null` needs a column
              transforms/p.yml:8:9
              |       - not_null
              |         ^^^^^^^^
              hint: move it below a column, or name one with `column:`
              node: a
            error[E0202]: unknown check `3`
              transforms/p.yml:12:9
              |       - 3
              |         ^
              hint: checks: `not_null`, `null_rate`, `unique`, `accepted_values`, `rejected_values`, `range`, `length`, `regex`, `not_regex`, `monotonic`, `pair`, `expression`, `relationships`, `row_count`, `row_count_change`, `same_row_count`, `freshness`, `mean`, `stddev`, `sum`, `min`, `max`, `median`, `quantile`, `distinct_count`, `drift`, `anomaly`, `reconcile`, `coverage`, `rows_per_key`, `sql`, `schema`
              node: a
            broken: a
        "#]],
    );
}

/// What no table can break, or none can keep, is a slip of the pen.
#[test]
fn bounds_that_say_nothing_are_refused() {
    wrong(
        "    checks:
      - row_count: 0.5
      - row_count: {min: -1}
      - row_count: {max: 1e6}
      - rows_per_key: {key: x, max_over_mean: 0.9}
      - rows_per_key: {key: x, max_rows: 2.5}
      - anomaly: {window: 5}
      - reconcile: {to: other, tolerance: {x: -0.1, y: {rel: -1}}}
    columns:
      x:
        checks:
          - distinct_count: -3
          - drift: {error: -0.2}
          - anomaly: {metric: mean, sensitivity: -3}
          - not_null: {limit: 0}
          - not_null: {error_if: '> 3', max_rate: 1%}
          - not_null: {warn_if: '> 150%'}
          - not_null: {error_if: 'between 10 and 5'}
          - null_rate: {max: 0.7%}
          - not_null_proportion: {at_least: 0.9}",
        expect![[r#"
            error[E0203]: expected a whole number from 0 for `equals`, found `-3`
              transforms/p.yml:14:29
              |           - distinct_count: -3
              |                             ^^
              node: a
            error[E0203]: expected a number from 0 for `error`, found `-0.2`
              transforms/p.yml:15:28
              |           - drift: {error: -0.2}
              |                            ^^^^
              node: a
            error[E0203]: expected a number from 0 for `sensitivity`, found `-3`
              transforms/p.yml:16:50
              |           - anomaly: {metric: mean, sensitivity: -3}
              |                                                  ^^
              node: a
            error[E0203]: expected a whole number from 1 for `limit`, found `0`
              transforms/p.yml:17:31
              |           - not_null: {limit: 0}
              |                               ^
              node: a
            error[E0203]: `error_if` and `max_rate` exclude each other
              transforms/p.yml:18:41
              |           - not_null: {error_if: '> 3', max_rate: 1%}
              |                                         ^^^^^^^^
              node: a
            error[E0203]: expected a bound such as `> 10` or `> 0.1%` for `warn_if`, found `> 150%`
              transforms/p.yml:19:33
              |           - not_null: {warn_if: '> 150%'}
              |                                 ^^^^^^^^
              node: a
            error[E0203]: expected a bound such as `> 10` or `> 0.1%` for `error_if`, found `between 10 and 5`
              transforms/p.yml:20:34
              |           - not_null: {error_if: 'between 10 and 5'}
              |                                  ^^^^^^^^^^^^^^^^^^
              node: a
            error[E0203]: expected a whole number from 0 for `equals`, found `0.5`
              transforms/p.yml:4:20
              |       - row_count: 0.5
              |                    ^^^
              node: a
            error[E0203]: expected a whole number from 0 for `min`, found `-1`
              transforms/p.yml:5:26
              |       - row_count: {min: -1}
              |                          ^^
              node: a
            error[E0203]: expected a number from 1 for `max_over_mean`, found `0.9`
              transforms/p.yml:7:47
              |       - rows_per_key: {key: x, max_over_mean: 0.9}
              |                                               ^^^
              node: a
            error[E0203]: expected a whole number from 0 for `max_rows`, found `2.5`
              transforms/p.yml:8:42
              |       - rows_per_key: {key: x, max_rows: 2.5}
              |                                          ^^^
              node: a
            error[E0203]: `window` of `anomaly` has room for 5 runs, and with fewer than 7 nothing is said
              transforms/p.yml:9:9
              |       - anomaly: {window: 5}
              |         ^^^^^^^
              node: a
            error[E0203]: expected a number from 0 for `tolerance`, found `-0.1`
              transforms/p.yml:10:47
              |       - reconcile: {to: other, tolerance: {x: -0.1, y: {rel: -1}}}
              |                                               ^^^^
              node: a
            broken: a
        "#]],
    );
}

#[test]
fn names_are_unique() {
    wrong(
        "    checks: [{row_count: {min: 1, name: few}}, {row_count: {max: 9, name: few}}]",
        expect![[r#"
        error[E0205]: duplicate check `few`
          transforms/p.yml:3:49
          |     checks: [{row_count: {min: 1, name: few}}, {row_count: {max: 9, name: few}}]
          |                                                 ^^^^^^^^^ again here
          transforms/p.yml:3:15
          |     checks: [{row_count: {min: 1, name: few}}, {row_count: {max: 9, name: few}}]
          |               --------- first here
          node: a
        broken: a
    "#]],
    );
}

#[test]
fn sources_and_seeds_have_checks() {
    let project = project(
        "-- seeds/codes.csv --
-- seeds/s.yml --
seeds: {codes: {columns: {id: {checks: [unique]}}}}
-- sources.yml --
sources:
  shop:
    path: data/{name}.csv
    checks: [{row_count: {min: 1}}]
    tables:
      orders:
        columns: [{name: id, tests: [unique]}]
        checks: [{unique: [id, day]}]
      users:
",
    );
    let names = |node: &str| project.nodes[node].checks.iter().map(|check| check.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names("shop.orders"), ["unique_id", "unique_id_day", "row_count"]);
    assert_eq!(names("shop.users"), ["row_count"]);
    assert_eq!(names("codes"), ["unique_id"]);
}

#[test]
fn files_are_checks() {
    let text = "-- transforms/a.sql --
select 1 as x
-- transforms/b.sql --
select 2 as x
-- checks/a_is_small.sql --
{{ config(severity='warn', warn_if='> 3') }}
select * from {{ ref('a') }} where x > 10
-- checks/deep/both.sql --
{{ config(on='b') }}
select * from {{ ref('a') }} join {{ ref('b') }} using (x)
";
    let project = project(text);
    let found = &project.nodes["a"].checks[0];
    assert_eq!(
        (found.name.as_str(), found.severity, found.warn_if.to_string().as_str()),
        ("a_is_small", CheckSeverity::Warn, "> 3")
    );
    assert_eq!(project.nodes["b"].checks[0].name, "both");
    assert_eq!(project.graph.parents("b"), ["a"]);
    assert_eq!(project.graph.parents("a"), [""; 0]);
}

#[test]
fn mistakes_in_files() {
    expect![[r#"
        error[E0202]: unknown key `severty` in the settings of `checks/key.sql`
          checks/key.sql:1:11
          | {{ config(severty='warn') }} select * from {{ ref('a') }}
          |           ^^^^^^^ did you mean `severity`?
        error[E0204]: the check `checks/none.sql` reads no table
          checks/none.sql:1:1
          | select 1
          | ^
          hint: read the table with {{ ref('...') }}
        error[E0302]: no node `aa`
          checks/syntax.sql:1:22
          | select * from {{ ref('aa') }}
          |                      ^^^^ did you mean `a`?
          hint: a node is named after its file in `transforms/` or `seeds/`
        error[E0204]: the check `checks/two.sql` reads 2 tables, and does not say which one it is for
          checks/two.sql:1:1
          | select * from {{ ref('a') }}, {{ ref('b') }}
          | ^
          hint: name it: {{ config(on='a') }}
        error[E0302]: the check names table `c`, which does not exist
          checks/unknown.sql:1:14
          | {{ config(on='c') }} select * from {{ ref('a') }}
          |              ^^^
          hint: name a transform, a seed, or a source's table such as `shop.orders`
    "#]]
    .assert_eq(&problems(
        "-- transforms/a.sql --
select 1 as x
-- transforms/b.sql --
select 2 as x
-- checks/none.sql --
select 1
-- checks/two.sql --
select * from {{ ref('a') }}, {{ ref('b') }}
-- checks/unknown.sql --
{{ config(on='c') }} select * from {{ ref('a') }}
-- checks/key.sql --
{{ config(severty='warn') }} select * from {{ ref('a') }}
-- checks/syntax.sql --
select * from {{ ref('aa') }}
",
    ));
}

#[test]
fn checks_order_nodes_and_may_not_go_in_circles() {
    let text = "-- transforms/a.sql --
select 1 as x
-- transforms/z.sql --
select 1 as x
-- transforms/p.yml --
transforms: {a: {checks: [{same_row_count: z}]}}
";
    assert_eq!(project(text).graph.order(), ["z", "a"]);
    expect![[r#"
        error[E0206]: transforms need each other in a circle: a -> z -> a
          transforms/p.yml:1:44
          | transforms: {a: {checks: [{same_row_count: z}]}}
          |                                            ^ `a` reads `z` here
          transforms/z.sql:1:22
          | select * from {{ ref('a') }}
          |                      --- `z` reads `a` here
          node: a
        broken: a, z
    "#]]
    .assert_eq(&problems(
        &text.replace("-- transforms/z.sql --\nselect 1 as x", "-- transforms/z.sql --\nselect * from {{ ref('a') }}"),
    ));
}

#[test]
fn queries_stand_in_yaml_too() {
    let project = project(
        "-- seeds/other.csv --
-- transforms/a.sql --
select 1 as x
-- sources.yml --
sources: {s: {path: 'data/{name}.csv', tables: {t: {checks: [{sql: \"select * from {{ this }} where x > {{ var('n') }}\"}]}}}}
-- windlass.yml --
name: test
vars: {n: 3}
-- transforms/p.yml --
transforms:
  a:
    checks:
      - sql:
          name: pairs
          severity: warn
          failing_rows: |
            select * from {{ this }} a
            join {{ ref('other') }} b using (x)
",
    );
    let query = |node: &str| match &project.nodes[node].checks[0].kind {
        CheckKind::Sql { query } => (query.sql.clone(), query.inputs.iter().map(|input| input.node.clone()).collect()),
        other => panic!("{other:?}"),
    };
    let inputs = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect::<Vec<_>>();
    assert_eq!(query("a"), ("select * from a a\njoin other b using (x)".to_string(), inputs(&["other", "a"])));
    assert_eq!(query("s.t"), ("select * from s.t where x > 3".to_string(), inputs(&["s.t"])));
    let check = &project.nodes["a"].checks[0];
    assert_eq!(
        (check.name.as_str(), check.severity, project.nodes["s.t"].checks[0].name.as_str()),
        ("pairs", CheckSeverity::Warn, "sql")
    );
}

#[test]
fn mistakes_in_queries_are_at_their_line() {
    wrong(
        "    checks:
      - sql: |
          select * from {{ this }}
          join {{ ref('othr') }} using (x)
      - sql: select * from {{ thiss }}",
        expect![[r#"
            error[E0302]: no node `othr`
              transforms/p.yml:6:23
              |           join {{ ref('othr') }} using (x)
              |                       ^^^^^^ did you mean `other`?
              hint: a node is named after its file in `transforms/` or `seeds/`
              node: a
            error[E0305]: no variable `thiss`
              transforms/p.yml:7:31
              |       - sql: select * from {{ thiss }}
              |                               ^^^^^
              hint: project variables are read with `var('name')`, text stands in quotes
              node: a
            broken: a
        "#]],
    );
}
