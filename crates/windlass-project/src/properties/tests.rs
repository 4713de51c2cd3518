//! What properties files may say, and about whom.

use expect_test::{Expect, expect};

use crate::fixture::problems;

fn check(properties: &str, expected: Expect) {
    let text = format!(
        "-- transforms/a.sql --\nselect 1\n-- transforms/b.sql --\nselect * from {{{{ ref('a') }}}}\n-- seeds/codes.csv --\n-- transforms/p.yml --\n{properties}\n"
    );
    expected.assert_eq(&problems(&text));
}

#[test]
fn both_forms_are_read() {
    check("version: 2\ntransforms:\n  - name: a\n    columns: [{name: x, type: int}]\n", expect![""]);
    check("transforms:\n  a: {columns: {x: int}, description: text, sort_by: x desc, retries: 0}\n", expect![""]);
}

#[test]
fn unknown_nodes_and_keys() {
    check(
        "transforms: {aa: {}, codes: {}, zzz: {}}",
        expect![[r#"
        error[E0209]: no transform `aa`
          transforms/p.yml:1:14
          | transforms: {aa: {}, codes: {}, zzz: {}}
          |              ^^ did you mean `a`?
        error[E0209]: no transform `codes`
          transforms/p.yml:1:22
          | transforms: {aa: {}, codes: {}, zzz: {}}
          |                      ^^^^^
          hint: it is a seed: its properties stand in a file below `seeds/`
        error[E0209]: no transform `zzz`
          transforms/p.yml:1:33
          | transforms: {aa: {}, codes: {}, zzz: {}}
          |                                 ^^^
          hint: a transform is named after its file below `transforms/`
    "#]],
    );
    check(
        "transforms: {a: {tag: x, desc: y, config: {materialised: view}}}",
        expect![[r#"
        error[E0202]: unknown key `tag` in the properties of `a`
          transforms/p.yml:1:18
          | transforms: {a: {tag: x, desc: y, config: {materialised: view}}}
          |                  ^^^ did you mean `tags`?
          node: a
        error[E0202]: unknown key `desc` in the properties of `a`
          transforms/p.yml:1:26
          | transforms: {a: {tag: x, desc: y, config: {materialised: view}}}
          |                          ^^^^ did you mean `description`?
          node: a
        error[E0202]: unknown key `materialised` in the settings of transforms
          transforms/p.yml:1:44
          | transforms: {a: {tag: x, desc: y, config: {materialised: view}}}
          |                                            ^^^^^^^^^^^^ did you mean `materialized`?
          node: a
        broken: a
    "#]],
    );
    check(
        "models: {a: {}}",
        expect![[r#"
        error[E0202]: unknown key `models` in `transforms/p.yml`
          transforms/p.yml:1:1
          | models: {a: {}}
          | ^^^^^^
          hint: known keys: `transforms`, `version`, `unit_tests`
        error[E0204]: `transforms/p.yml` needs the key `transforms`
          transforms/p.yml:1:1
          | models: {a: {}}
          | ^^^^^^^^^^^^^^^
    "#]],
    );
    check(
        "transforms:\n  - description: x\n  - 3\n  - [x]\n",
        expect![[r#"
            error[E0204]: an item of `transforms` needs the key `name`
              transforms/p.yml:2:5
              |   - description: x
              |     ^^^^^^^^^^^^^^
            error[E0203]: expected a map for an item of `transforms`, found a list
              transforms/p.yml:4:5
              |   - [x]
              |     ^^^
            error[E0209]: no transform `3`
              transforms/p.yml:3:5
              |   - 3
              |     ^
              hint: a transform is named after its file below `transforms/`
        "#]],
    );
    check(
        "transforms: 3",
        expect![[r#"
        error[E0203]: expected a map by name or a list of `- name:` for `transforms`, found `3`
          transforms/p.yml:1:13
          | transforms: 3
          |             ^
    "#]],
    );
}

#[test]
fn checks_arrive_later() {
    check(
        "transforms:\n  a:\n    checks: [unique]\n    columns:\n      x: {tests: [not_null]}\n  b: {data_tests: []}",
        expect![[r#"
            error[E0204]: check `unique` needs a column
              transforms/p.yml:3:14
              |     checks: [unique]
              |              ^^^^^^
              hint: move it below a column, or name one with `column:`
              node: a
            broken: a
        "#]],
    );
}

#[test]
fn settings_stand_once() {
    check(
        "transforms:\n  a: {tags: [x], config: {tags: [y]}}\n  b: {}\n  a: {}",
        expect![[r#"
        error[E0205]: duplicate key `a`
          transforms/p.yml:4:3
          |   a: {}
          |   ^ again here
          transforms/p.yml:2:3
          |   a: {tags: [x], config: {tags: [y]}}
          |   - first here
        error[E0205]: duplicate setting `tags`
          transforms/p.yml:2:7
          |   a: {tags: [x], config: {tags: [y]}}
          |       ^^^^ again here
          transforms/p.yml:2:27
          |   a: {tags: [x], config: {tags: [y]}}
          |                           ---- first here
          node: a
        broken: a
    "#]],
    );
    let text = "-- transforms/a.sql --\nselect 1\n-- transforms/p.yml --\ntransforms: {a: {tags: x}}\n-- transforms/q.yml --\ntransforms: [a]\n-- transforms/codes.csv --\n-- seeds/codes.csv --\n-- seeds/p.yml --\nseeds: {codes: {materialized: view, delimiter: ';'}, a: {}}\n";
    expect![[r#"
        error[E0202]: unknown key `materialized` in the properties of `codes`
          seeds/p.yml:1:17
          | seeds: {codes: {materialized: view, delimiter: ';'}, a: {}}
          |                 ^^^^^^^^^^^^
          hint: known keys: `delimiter`, `description`, `max_error_rate`, `max_errors`, `owner`, `partition_by`, `retries`, `sort_by`, `tags`, `columns`, `config`, `checks`, `tests`, `data_tests`
          node: codes
        error[E0209]: no seed `a`
          seeds/p.yml:1:54
          | seeds: {codes: {materialized: view, delimiter: ';'}, a: {}}
          |                                                      ^
          hint: it is a transform: its properties stand in a file below `transforms/`
        error[E0205]: duplicate properties of `a`
          transforms/q.yml:1:14
          | transforms: [a]
          |              ^ again here
          transforms/p.yml:1:14
          | transforms: {a: {tags: x}}
          |              - first here
        broken: codes
    "#]].assert_eq(&problems(text));
}
