//! What `windlass.yml` refuses, and which default wins.

use expect_test::{Expect, expect};

use crate::Materialized;
use crate::fixture::{load_with, options, problems, project, render};

fn check(manifest: &str, expected: Expect) {
    let rest = "-- transforms/staging/raw/a.sql --\nselect 1\n-- transforms/b.sql --\nselect 2\n-- seeds/s.csv --\n";
    expected.assert_eq(&problems(&format!("-- windlass.yml --\n{manifest}\n{rest}")));
}

#[test]
fn keys_are_known() {
    check(
        "nam: x\nchecks: {}\nmodels: {}\nname: demo",
        expect![[r#"
            error[E0202]: unknown key `nam` in `windlass.yml`
              windlass.yml:1:1
              | nam: x
              | ^^^ did you mean `name`?
            error[E0202]: unknown key `checks` in `windlass.yml`
              windlass.yml:2:1
              | checks: {}
              | ^^^^^^
              hint: known keys: `name`, `version`, `requires`, `vars`, `reuse`, `transforms`, `seeds`, `models`, `python`
        "#]],
    );
    check(
        "name: demo\nreuse: rows",
        expect![[r#"
            error[E0203]: expected `tables` or `columns` for `reuse`, found `rows`
              windlass.yml:2:8
              | reuse: rows
              |        ^^^^
        "#]],
    );
    check(
        "vars: {}",
        expect![[r#"
        error[E0204]: `windlass.yml` needs the key `name`
          windlass.yml:1:1
          | vars: {}
          | ^
    "#]],
    );
    check(
        "",
        expect![[r#"
        error[E0204]: `windlass.yml` needs the key `name`
          windlass.yml:1:1
          | 
          | ^
        no project
    "#]],
    );
    check(
        "name: [a]\nvars: 3",
        expect![[r#"
        error[E0203]: expected a text for `name`, found a list
          windlass.yml:1:7
          | name: [a]
          |       ^^^
        error[E0203]: expected a map for `vars`, found `3`
          windlass.yml:2:7
          | vars: 3
          |       ^
    "#]],
    );
    check(
        "name: my project",
        expect![[r#"
        error[E0203]: expected letters, digits, `_` and `-` for `name`, found `my project`
          windlass.yml:1:7
          | name: my project
          |       ^^^^^^^^^^
    "#]],
    );
    check(
        "- a",
        expect![[r#"
        error[E0203]: expected a map for `windlass.yml`, found a list
          windlass.yml:1:1
          | - a
          | ^^^
        no project
    "#]],
    );
}

#[test]
fn folder_defaults_name_folders_and_settings() {
    check(
        "name: demo\ntransforms:\n  stagin: {+tags: a}\n  staging: {raw: {b: {+tags: a}}}\n  +materialised: view\n  materialized: view\n  demo: {+tags: x}\n  nowhere: {+tags: x}",
        expect![[r#"
            error[E0202]: unknown key `materialised` in the settings of transforms
              windlass.yml:5:3
              |   +materialised: view
              |   ^^^^^^^^^^^^^ did you mean `materialized`?
            error[E0202]: the setting `materialized` in `transforms` of `windlass.yml` needs a `+`
              windlass.yml:6:3
              |   materialized: view
              |   ^^^^^^^^^^^^ did you mean `+materialized`?
            error[E0202]: no folder or node `transforms/stagin`
              windlass.yml:3:3
              |   stagin: {+tags: a}
              |   ^^^^^^ did you mean `staging`?
            error[E0202]: no folder or node `transforms/staging/raw/b`
              windlass.yml:4:19
              |   staging: {raw: {b: {+tags: a}}}
              |                   ^
              hint: settings start with `+`, such as `+materialized: view`
            error[E0202]: no folder or node `transforms/demo`
              windlass.yml:7:3
              |   demo: {+tags: x}
              |   ^^^^
              hint: folders stand directly below `transforms:`, without the project's name
            error[E0202]: no folder or node `transforms/nowhere`
              windlass.yml:8:3
              |   nowhere: {+tags: x}
              |   ^^^^^^^
              hint: settings start with `+`, such as `+materialized: view`
        "#]],
    );
    check(
        "name: demo\ntransforms:\n  +materialized: incremental\n  +retries: -1\n  staging:\n    +checks: [x]\n  +partition_by: {a: b}\nseeds:\n  +materialized: view\n  +delimiter: ab\n  s: {+delimiter: tab}",
        expect![[r#"
            error[E0203]: expected a whole number from 0 for `retries`, found `-1`
              windlass.yml:4:13
              |   +retries: -1
              |             ^^
            error[E0202]: unknown key `checks` in the settings of transforms
              windlass.yml:6:5
              |     +checks: [x]
              |     ^^^^^^^
              hint: known keys: `batch_intervals`, `description`, `end`, `interval`, `key`, `lookback`, `materialized`, `max_error_rate`, `max_errors`, `on_definition_change`, `on_error`, `on_upstream_failure`, `on_volatile`, `owner`, `partition_by`, `retries`, `sort_by`, `start`, `strategy`, `tags`, `time_column`
            error[E0203]: expected a text or a list of texts for `partition_by`, found a map
              windlass.yml:7:18
              |   +partition_by: {a: b}
              |                  ^^^^^^
            error[E0202]: `materialized` does not apply to seeds
              windlass.yml:9:3
              |   +materialized: view
              |   ^^^^^^^^^^^^^
              hint: a seed is always a table; remove the key
            error[E0203]: expected one ASCII character or `tab` for `delimiter`, found `ab`
              windlass.yml:10:15
              |   +delimiter: ab
              |               ^^
            error[E0204]: `materialized: incremental` needs the key `strategy`
              windlass.yml:3:18
              |   +materialized: incremental
              |                  ^^^^^^^^^^^
              hint: say what new rows replace: `by_interval`, `merge` or `append`
              node: a
            error[E0204]: `materialized: incremental` needs the key `strategy`
              windlass.yml:3:18
              |   +materialized: incremental
              |                  ^^^^^^^^^^^
              hint: say what new rows replace: `by_interval`, `merge` or `append`
              node: b
            broken: a, b
        "#]],
    );
}

#[test]
fn versions() {
    for (requires, expected) in [
        (">=0.1", ""),
        (">=0.1, <0.2", ""),
        ("=0.1.0", ""),
        ("!=0.1", "no"),
        (">=0.2", "no"),
        ("<0.1", "no"),
        (">0.0.9,<=0.1.0", ""),
    ] {
        let found = problems(&format!("-- windlass.yml --\nname: demo\nrequires: \"{requires}\"\nfuture_key: 1\n"));
        assert_eq!(found.contains("E0210"), expected == "no", "{requires}: {found}");
    }
    check(
        "name: demo\nfuture: 1\nrequires: \">=2\"",
        expect![[r#"
        error[E0210]: the project requires Windlass >=2, this is 0.1.0
          windlass.yml:3:11
          | requires: ">=2"
          |           ^^^^^
          hint: install a version that fits, or change `requires` in `windlass.yml`
        no project
    "#]],
    );
    check(
        "name: demo\nrequires: latest",
        expect![[r#"
        error[E0203]: expected version bounds such as `>=0.1, <0.3` for `requires`, found `latest`
          windlass.yml:2:11
          | requires: latest
          |           ^^^^^^
        no project
    "#]],
    );
}

#[test]
fn the_nearest_setting_wins_and_tags_add_up() {
    let project = project(
        "\
-- windlass.yml --
name: demo
transforms:
  +materialized: view
  +owner: far
  +tags: [all]
  staging:
    +owner: near
    +tags: [staging]
    a: {+retries: 5}
seeds: {+delimiter: ';', s: {+tags: codes}}
-- transforms/staging/raw/x.sql --
select 1
-- transforms/staging/a.sql --
{{ config(materialized='table', tags='own') }} select 1
-- transforms/p.yml --
transforms:
  - name: a
    config: {owner: props}
    tags: [all, props]
    materialized: view
-- seeds/s.csv --
",
    );
    let a = &project.nodes["a"].config;
    assert_eq!(a.materialized, Materialized::Table);
    assert_eq!(a.tags, ["all", "staging", "props", "own"]);
    let origins: Vec<String> = a.origins.iter().map(|(key, at)| format!("{key} {at}")).collect();
    expect![[r#"
        materialized transforms/staging/a.sql:1:24
        owner transforms/p.yml:3:21
        tags transforms/staging/a.sql:1:38
        retries windlass.yml:9:19"#]]
    .assert_eq(&origins.join("\n"));
    let x = &project.nodes["x"].config;
    assert_eq!((x.materialized, x.owner.as_deref(), x.retries), (Materialized::View, Some("near"), 2));
    assert_eq!(a.retries, 5);
    let crate::NodeKind::Seed(seed) = &project.nodes["s"].kind else { panic!("`s` is a seed") };
    assert_eq!((seed.delimiter, &project.nodes["s"].config.tags[0]), (b';', &"codes".to_owned()));
}

#[test]
fn variables_of_the_command_line_win() {
    let text = "-- windlass.yml --\nname: demo\nvars: {a: 1, b: 2}\n-- transforms/x.sql --\nselect {{ var('a') }}, {{ var('b') + 1 }}, {{ var('new') }}";
    let vars = [("b", "41"), ("new", "'7'")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let loaded = load_with(text, &crate::LoadOptions { vars: vars.into(), ..options() });
    let project = loaded.project.expect("it loads");
    assert_eq!(project.nodes["x"].transform().expect("a transform").sql, "select 1, 42, 7");
    let vars = [("a".to_owned(), "[1".to_owned())];
    let loaded = load_with(text, &crate::LoadOptions { vars: vars.into(), ..options() });
    expect![[r#"
        error[E0203]: the value of `--vars a=...` cannot be parsed
          hint: it is read as YAML: put a text with special characters in quotes
    "#]]
    .assert_eq(&render(&loaded.diagnostics[..1]));
}
