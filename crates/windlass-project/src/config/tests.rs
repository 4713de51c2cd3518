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
        error[E0203]: expected `view` or `table` for `materialized`, found `tabel`
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
        error[E0203]: `materialized: incremental` is not supported yet, use `view` or `table`
          transforms/p.yml:2:21
          |   a: {materialized: incremental}
          |                     ^^^^^^^^^^^
          hint: incremental transforms arrive in a later version of Windlass
          node: a
        broken: a
    "#]],
    );
    check(
        "materialized: [view]",
        expect![[r#"
        error[E0203]: expected `view` or `table` for `materialized`, found a list
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
fn values_that_fit() {
    check(
        "materialized: view, retries: 0, tags: 2013, owner: 7, sort_by: [a ASC, b desc], partition_by: a, description: ~",
        expect![[""]],
    );
}
