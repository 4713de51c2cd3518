//! Python transforms that are computed bit by bit: what their settings say, and what is refused.

use expect_test::expect;

use super::{check, check_argument, project, text, with};

/// Returns what is incremental about a transform with these arguments, or nothing.
fn incremental(arguments: &str) -> String {
    let loaded = project(&text(&with(arguments)));
    format!("{:?}", loaded.nodes["x"].config.incremental)
}

const BY_DAY: &str = "materialized='incremental', strategy='by_interval', time_column='p', interval='day'";

#[test]
fn settings_of_the_decorator() {
    expect![[r#"Some(Incremental { strategy: ByInterval(ByInterval { time_column: "p", unit: Day, first: 15706, end: Some(15709), lookback: 2, batch_intervals: Some(1) }), later_by: None, on_definition_change: Forward })"#]]
        .assert_eq(&incremental(&format!(
            "{BY_DAY}, start='2013-01-01', end='2013-01-04', lookback=2, batch_intervals=1, on_definition_change='forward', key='id'"
        )));
    expect![[
        r#"Some(Incremental { strategy: Merge { key: ["id"] }, later_by: None, on_definition_change: Rebuild })"#
    ]]
    .assert_eq(&incremental("materialized='incremental', strategy='merge', key=['id']"));
    expect![[
        r#"Some(Incremental { strategy: Merge { key: ["id"] }, later_by: Some("at"), on_definition_change: Rebuild })"#
    ]]
    .assert_eq(&incremental("materialized='incremental', strategy='merge', key=['id'], time_column='at'"));
    expect![[r#"Some(Incremental { strategy: Append, later_by: Some("at"), on_definition_change: Rebuild })"#]]
        .assert_eq(&incremental("materialized='incremental', strategy='append', time_column='at', key='id'"));
    assert_eq!(incremental("materialized='table', key='id'"), "None");
    assert_eq!(incremental("start='spawn'"), "None");
}

/// Settings that stand beside the file or in a folder; `view` of a folder is about SQL.
#[test]
fn settings_of_other_places() {
    let beside = "-- transforms/p.yml --\ntransforms: {x: {strategy: by_interval, time_column: p, interval: month, start: '2013'}}\n";
    let text = format!("{}{beside}", with("materialized='incremental', start='spawn'"));
    let loaded = project(&super::text(&text));
    let config = &loaded.nodes["x"].config;
    assert_eq!(loaded.nodes["x"].by_interval().map(|by_interval| by_interval.unit.name()), Some("month"));
    assert_eq!(config.origins["materialized"], "transforms/x.py:3:18");
    assert_eq!(config.origins["time_column"], "transforms/p.yml:1:54");
}

#[test]
fn settings_that_do_not_fit() {
    check_argument(
        "materialized='view'",
        expect![[r#"
        error[E0203]: expected `table` or `incremental` for `materialized`, found `view`
          transforms/x.py:3:18
          |     materialized='view')
          |                  ^^^^^^
          hint: what Python computes is always published
          node: x
        broken: x
    "#]],
    );
    check_argument(
        BY_DAY,
        expect![[r#"
        error[E0204]: `strategy: by_interval` needs the key `start`
          transforms/x.py:3:42
          |     materialized='incremental', strategy='by_interval', time_column='p', interval='day')
          |                                          ^^^^^^^^^^^^^
          hint: say when the first interval starts, such as `start: 2013-01-01`
          node: x
        broken: x
    "#]],
    );
    check_argument(
        &format!("{BY_DAY}, start='May'"),
        expect![[r#"
        error[E0203]: expected a time of UTC such as `2013-01-01` or `2013-01-01 06:00` for `start`, found `May`
          transforms/x.py:3:96
          |     materialized='incremental', strategy='by_interval', time_column='p', interval='day', start='May')
          |                                                                                                ^^^^^
          node: x
        broken: x
    "#]],
    );
    check_argument(
        "materialized='incremental', strategy='merge'",
        expect![[r#"
        error[E0204]: `strategy: merge` needs the key `key`
          transforms/x.py:3:42
          |     materialized='incremental', strategy='merge')
          |                                          ^^^^^^^
          hint: name the columns that tell rows apart in the decorator, such as `key=["id"]`
          node: x
        broken: x
    "#]],
    );
    check_argument(
        "materialized='incremental', strategy='append'",
        expect![[r#"
        error[E0204]: `strategy: append` needs the key `time_column`
          transforms/x.py:3:42
          |     materialized='incremental', strategy='append')
          |                                          ^^^^^^^^
          hint: name the column of the input by which new rows are later than those that were read before
          node: x
        broken: x
    "#]],
    );
    check_argument(
        "strategy='append', time_column='at', lookback=1",
        expect![[r#"
        error[E0203]: `lookback` says nothing here: it belongs to `materialized: incremental`
          transforms/x.py:3:51
          |     strategy='append', time_column='at', lookback=1)
          |                                                   ^
          hint: remove it
          node: x
        error[E0203]: `strategy` says nothing here: it belongs to `materialized: incremental`
          transforms/x.py:3:14
          |     strategy='append', time_column='at', lookback=1)
          |              ^^^^^^^^
          hint: remove it
          node: x
        error[E0203]: `time_column` says nothing here: it belongs to `materialized: incremental`
          transforms/x.py:3:36
          |     strategy='append', time_column='at', lookback=1)
          |                                    ^^^^
          hint: remove it
          node: x
        broken: x
    "#]],
    );
    check_argument(
        &format!("{BY_DAY}, start='2013-01-01', on_error='null', key='id'"),
        expect![[r#"
        error[E0203]: rows that fail lose their `p`, which says to which interval they belong
          transforms/x.py:4:5
          | def score(batch):
          |     ^^^^^
          note: `materialized: incremental` is set at transforms/x.py:3:18
          hint: with `on_error="null"` rows keep their key: add `p` to `key`, or use `on_error="quarantine"`
          node: x
        broken: x
    "#]],
    );
    check(
        "-- transforms/x.py --\nfrom windlass import ref, transform\n@transform(input=ref('features'), columns={'id': \
         'bigint'}, mode='table', materialized='incremental', strategy='merge', key='id')\ndef f(batch): ...\n",
        expect![[r#"
            error[E0203]: `mode="table"` needs whole tables, and an incremental transform gets some rows
              transforms/x.py:3:5
              | def f(batch): ...
              |     ^
              note: `materialized: incremental` is set at transforms/x.py:2:88
              hint: take batches, or let it read an incremental table and be a `table` itself
              node: x
            broken: x
        "#]],
    );
    check(
        &format!("{}-- transforms/p.yml --\ntransforms: {{x: {{key: id}}}}\n", with("")),
        expect![[r#"
        error[E0202]: the `key` of a Python transform stands in its decorator
          transforms/p.yml:1:18
          | transforms: {x: {key: id}}
          |                  ^^^
          hint: write `@transform(..., key=["id"])`, and remove it here
          node: x
        broken: x
    "#]],
    );
}
