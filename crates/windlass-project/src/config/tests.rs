//! Values of settings.

use expect_test::{Expect, expect};

use crate::fixture::problems;

fn check(settings: &str, expected: Expect) {
    let text = format!("-- transforms/a.sql --\nselect 1\n-- transforms/p.yml --\ntransforms:\n  a: {{{settings}}}\n");
    expected.assert_eq(&problems(&text));
}

#[test]
fn values_that_do_not_fit() {
    check(
        "materialized: tabel",
        expect![[r#"
            error[E0203]: expected `view`, `table` or `incremental` for `materialized`, found `tabel`
              transforms/p.yml:2:21
              |   a: {materialized: tabel}
              |                     ^^^^^ did you mean `table`?
              node: a
            broken: a
        "#]],
    );
    check(
        "materialized: incremental",
        expect![[r#"
            error[E0204]: `materialized: incremental` needs the key `strategy`
              transforms/p.yml:2:21
              |   a: {materialized: incremental}
              |                     ^^^^^^^^^^^
              hint: say what new rows replace: `by_interval`, `merge` or `append`
              node: a
            broken: a
        "#]],
    );
    check(
        "materialized: [view]",
        expect![[r#"
            error[E0203]: expected `view`, `table` or `incremental` for `materialized`, found a list
              transforms/p.yml:2:21
              |   a: {materialized: [view]}
              |                     ^^^^^^
              node: a
            broken: a
        "#]],
    );
    check(
        "retries: 1.5",
        expect![[r#"
        error[E0203]: expected a whole number from 0 for `retries`, found `1.5`
          transforms/p.yml:2:16
          |   a: {retries: 1.5}
          |                ^^^
          node: a
        broken: a
    "#]],
    );
    check(
        "tags: {a: b}",
        expect![[r#"
        error[E0203]: expected a text or a list of texts for `tags`, found a map
          transforms/p.yml:2:13
          |   a: {tags: {a: b}}
          |             ^^^^^^
          node: a
        broken: a
    "#]],
    );
    check(
        "owner: [a]",
        expect![[r#"
        error[E0203]: expected a text for `owner`, found a list
          transforms/p.yml:2:14
          |   a: {owner: [a]}
          |              ^^^
          node: a
        broken: a
    "#]],
    );
    check(
        "sort_by: [a, a desc]",
        expect![[r#"
        error[E0203]: `sort_by` names column `a` twice
          transforms/p.yml:2:16
          |   a: {sort_by: [a, a desc]}
          |                ^^^^^^^^^^^
          node: a
        broken: a
    "#]],
    );
    check(
        "sort_by: 'a, b'",
        expect![[r#"
        error[E0203]: expected `column`, `column asc` or `column desc` for `sort_by`, found `a, b`
          transforms/p.yml:2:16
          |   a: {sort_by: 'a, b'}
          |                ^^^^^^
          node: a
        broken: a
    "#]],
    );
    check(
        "partition_by: [a, [b]]",
        expect![[r#"
        error[E0203]: expected a text for `partition_by`, found a list
          transforms/p.yml:2:25
          |   a: {partition_by: [a, [b]]}
          |                         ^^^
          node: a
        broken: a
    "#]],
    );
}

#[test]
fn settings_of_incremental_transforms() {
    let by_interval = "materialized: incremental, strategy: by_interval";
    check(
        "materialized: incremental",
        expect![[r#"
        error[E0204]: `materialized: incremental` needs the key `strategy`
          transforms/p.yml:2:21
          |   a: {materialized: incremental}
          |                     ^^^^^^^^^^^
          hint: say what new rows replace: `by_interval`, `merge` or `append`
          node: a
        broken: a
    "#]],
    );
    check(
        by_interval,
        expect![[r#"
        error[E0204]: `strategy: by_interval` needs the key `time_column`
          transforms/p.yml:2:44
          |   a: {materialized: incremental, strategy: by_interval}
          |                                            ^^^^^^^^^^^
          hint: name the column of the result that says to which interval a row belongs
          node: a
        error[E0204]: `strategy: by_interval` needs the key `interval`
          transforms/p.yml:2:44
          |   a: {materialized: incremental, strategy: by_interval}
          |                                            ^^^^^^^^^^^
          hint: say how long an interval is: `hour`, `day`, `month` or `year`
          node: a
        error[E0204]: `strategy: by_interval` needs the key `start`
          transforms/p.yml:2:44
          |   a: {materialized: incremental, strategy: by_interval}
          |                                            ^^^^^^^^^^^
          hint: say when the first interval starts, such as `start: 2013-01-01`
          node: a
        broken: a
    "#]],
    );
    check(
        &format!("{by_interval}, time_column: t, interval: week, start: May"),
        expect![[r#"
            error[E0203]: expected one of `hour`, `day`, `month`, `year` for `interval`, found `week`
              transforms/p.yml:2:83
              |   a: {materialized: incremental, strategy: by_interval, time_column: t, interval: week, start: May}
              |                                                                                   ^^^^
              node: a
            error[E0203]: expected a time of UTC such as `2013-01-01` or `2013-01-01 06:00` for `start`, found `May`
              transforms/p.yml:2:96
              |   a: {materialized: incremental, strategy: by_interval, time_column: t, interval: week, start: May}
              |                                                                                                ^^^
              node: a
            broken: a
        "#]],
    );
    check(
        &format!("{by_interval}, time_column: t, interval: month, start: 2013-05-03, end: 2013-05-20, key: a"),
        expect![[r#"
            error[E0203]: `key` says nothing here: it belongs to another strategy
              transforms/p.yml:2:131
              |   a: {materialized: incremental, strategy: by_interval, time_column: t, interval: month, start: 2013-05-03, end: 2013-05-20, key: a}
              |                                                                                                                                   ^
              hint: remove it
              node: a
            error[E0203]: `end` leaves no month after `start`
              transforms/p.yml:2:114
              |   a: {materialized: incremental, strategy: by_interval, time_column: t, interval: month, start: 2013-05-03, end: 2013-05-20, key: a}
              |                                                                                                                  ^^^^^^^^^^
              hint: the interval that `end` names is the first that is not computed
              node: a
            broken: a
        "#]],
    );
    check(
        "materialized: incremental, strategy: merge, lookback: 1",
        expect![[r#"
        error[E0204]: `strategy: merge` needs the key `key`
          transforms/p.yml:2:44
          |   a: {materialized: incremental, strategy: merge, lookback: 1}
          |                                            ^^^^^
          hint: name the columns that tell rows apart, such as `key: [id]`
          node: a
        error[E0203]: `lookback` says nothing here: it belongs to another strategy
          transforms/p.yml:2:61
          |   a: {materialized: incremental, strategy: merge, lookback: 1}
          |                                                             ^
          hint: remove it
          node: a
        broken: a
    "#]],
    );
    check(
        "materialized: incremental, strategy: apend",
        expect![[r#"
            error[E0203]: expected one of `by_interval`, `merge`, `append` for `strategy`, found `apend`
              transforms/p.yml:2:44
              |   a: {materialized: incremental, strategy: apend}
              |                                            ^^^^^ did you mean `append`?
              node: a
            broken: a
        "#]],
    );
    check(
        "key: a",
        expect![[r#"
        error[E0203]: `key` says nothing here: it belongs to `materialized: incremental`
          transforms/p.yml:2:12
          |   a: {key: a}
          |            ^
          hint: remove it
          node: a
        broken: a
    "#]],
    );
    check(
        "unique_key: a",
        expect![[r#"
            error[E0202]: unknown key `unique_key` in the properties of `a`
              transforms/p.yml:2:7
              |   a: {unique_key: a}
              |       ^^^^^^^^^^ did you mean `key`?
              node: a
            broken: a
        "#]],
    );
    check(
        "materialized: incremental, incremental_strategy: append, event_time: day, forward_only: true",
        expect![[r#"
            error[E0202]: unknown key `incremental_strategy` in the properties of `a`
              transforms/p.yml:2:34
              |   a: {materialized: incremental, incremental_strategy: append, event_time: day, forward_only: true}
              |                                  ^^^^^^^^^^^^^^^^^^^^ did you mean `strategy`?
              node: a
            error[E0202]: unknown key `event_time` in the properties of `a`
              transforms/p.yml:2:64
              |   a: {materialized: incremental, incremental_strategy: append, event_time: day, forward_only: true}
              |                                                                ^^^^^^^^^^ did you mean `time_column`?
              node: a
            error[E0202]: unknown key `forward_only` in the properties of `a`
              transforms/p.yml:2:81
              |   a: {materialized: incremental, incremental_strategy: append, event_time: day, forward_only: true}
              |                                                                                 ^^^^^^^^^^^^ did you mean `on_definition_change: forward`?
              node: a
            error[E0204]: `materialized: incremental` needs the key `strategy`
              transforms/p.yml:2:21
              |   a: {materialized: incremental, incremental_strategy: append, event_time: day, forward_only: true}
              |                     ^^^^^^^^^^^
              hint: say what new rows replace: `by_interval`, `merge` or `append`
              node: a
            broken: a
        "#]],
    );
    check(
        "materialized: incremental, strategy: append, on_definition_change: keep, batch_intervals: 0",
        expect![[r#"
            error[E0203]: expected one of `rebuild`, `forward` for `on_definition_change`, found `keep`
              transforms/p.yml:2:74
              |   a: {materialized: incremental, strategy: append, on_definition_change: keep, batch_intervals: 0}
              |                                                                          ^^^^
              node: a
            error[E0203]: expected a whole number from 1 for `batch_intervals`, found `0`
              transforms/p.yml:2:97
              |   a: {materialized: incremental, strategy: append, on_definition_change: keep, batch_intervals: 0}
              |                                                                                                 ^
              node: a
            broken: a
        "#]],
    );
    check(
        "materialized: incremental, strategy: append, checks: [not_null: {column: a, on_fail: quarantine}, \
         unique: {columns: a, store_failures: true}]",
        expect![[r#"
            error[E0603]: check `not_null_a` cannot quarantine rows: `a` is incremental
              transforms/p.yml:2:61
              |   a: {materialized: incremental, strategy: append, checks: [not_null: {column: a, on_fail: quarantine}, unique: {columns: a, store_failures: true}]}
              |                                                             ^^^^^^^^
              hint: leave such rows out in SQL, or put the check on a table that reads it
              node: a
            error[E0603]: failing rows of check `unique_a` cannot be stored: `a` is incremental
              transforms/p.yml:2:105
              |   a: {materialized: incremental, strategy: append, checks: [not_null: {column: a, on_fail: quarantine}, unique: {columns: a, store_failures: true}]}
              |                                                                                                         ^^^^^^
              hint: remove `store_failures`: `windlass show` finds such rows in the table's candidate
              node: a
            broken: a
        "#]],
    );
}

#[test]
fn values_that_fit() {
    check(
        "materialized: view, retries: 0, tags: 2013, owner: 7, sort_by: [a ASC, b desc], partition_by: a, description: ~",
        expect![[""]],
    );
    check(
        "materialized: incremental, strategy: by_interval, time_column: t, interval: day, start: 2013-05-01 06:00, \
         end: 2014, lookback: 2, batch_intervals: 30, on_definition_change: forward",
        expect![[""]],
    );
    check("materialized: incremental, strategy: merge, key: [a, b]", expect![[""]]);
}
