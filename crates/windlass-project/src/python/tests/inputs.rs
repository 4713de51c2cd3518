//! Inputs, columns and references.

use expect_test::expect;

use super::check;

#[test]
fn inputs_and_columns() {
    let file = |arguments: &str| {
        format!(
            "-- transforms/x.py --\nfrom windlass import ref, source, transform\n@transform({arguments})\ndef score(batch): ...\n"
        )
    };
    check(
        &file("columns={'a': 'int'}"),
        expect![[r#"
            error[E0204]: `@transform` needs the argument `input`
              transforms/x.py:2:2
              | @transform(columns={'a': 'int'})
              |  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              hint: write `ref("a_node")` or `source("a_source", "a_table")`
              node: x
            broken: x
        "#]],
    );
    check(
        &file("ref('features')"),
        expect![[r#"
            error[E0204]: `@transform` needs the argument `columns`
              transforms/x.py:2:2
              | @transform(ref('features'))
              |  ^^^^^^^^^^^^^^^^^^^^^^^^^^
              hint: name each column of the result with its SQL type: `columns={"id": "bigint"}`
              node: x
            broken: x
        "#]],
    );
    check(
        &file("ref('features'), 5, columns={}"),
        expect![[r#"
            error[E0402]: an argument of `@transform` needs its name
              transforms/x.py:2:29
              | @transform(ref('features'), 5, columns={})
              |                             ^
              hint: only `input` may stand without a name
              node: x
            error[E0402]: `columns` is empty
              transforms/x.py:2:40
              | @transform(ref('features'), 5, columns={})
              |                                        ^^
              hint: name each column of the result with its SQL type: `columns={"id": "bigint"}`
              node: x
            broken: x
        "#]],
    );
    check(
        &file("input='features', columns=['a']"),
        expect![[r#"
            error[E0402]: expected a dict of types by column for `columns`, found a list
              transforms/x.py:2:38
              | @transform(input='features', columns=['a'])
              |                                      ^^^^^
              hint: name each column of the result with its SQL type: `columns={"id": "bigint"}`
              node: x
            error[E0402]: expected `ref(...)` or `source(...)` for `input`, found `"features"`
              transforms/x.py:2:18
              | @transform(input='features', columns=['a'])
              |                  ^^^^^^^^^^
              hint: write `ref("a_node")` or `source("a_source", "a_table")`
              node: x
            broken: x
        "#]],
    );
    check(
        &file("input=None, columns=None"),
        expect![[r#"
            error[E0402]: `columns` must not be `None`
              transforms/x.py:2:24
              | @transform(input=None, columns=None)
              |                        ^^^^^^^
              hint: name each column of the result with its SQL type: `columns={"id": "bigint"}`
              node: x
            error[E0402]: `input` must not be `None`
              transforms/x.py:2:12
              | @transform(input=None, columns=None)
              |            ^^^^^
              hint: write `ref("a_node")` or `source("a_source", "a_table")`
              node: x
            broken: x
        "#]],
    );
    check(
        &file("ref('features'), columns={'a': 'int', 'a': 'int', 1: 'int', 'b': int, 'c': 1, '': 'int'}"),
        expect![[r#"
            error[E0402]: no module-level constant `int`
              transforms/x.py:2:77
              | @transform(ref('features'), columns={'a': 'int', 'a': 'int', 1: 'int', 'b': int, 'c': 1, '': 'int'})
              |                                                                             ^^^
              hint: write the value itself, or a name that the file sets once, at module level, to a literal
              node: x
            broken: x
        "#]],
    );
    check(
        &file("ref('features'), columns={'a': 'int', 'a': 'int', 1: 'int', 'c': 1, '': 'int', 'd': ' '}"),
        expect![[r#"
            error[E0402]: `columns` names column `a` twice
              transforms/x.py:2:50
              | @transform(ref('features'), columns={'a': 'int', 'a': 'int', 1: 'int', 'c': 1, '': 'int', 'd': ' '})
              |                                                  ^^^ again here
              transforms/x.py:2:38
              | @transform(ref('features'), columns={'a': 'int', 'a': 'int', 1: 'int', 'c': 1, '': 'int', 'd': ' '})
              |                                      --- first here
              node: x
            error[E0402]: expected the name of a column for `columns`, found `1`
              transforms/x.py:2:62
              | @transform(ref('features'), columns={'a': 'int', 'a': 'int', 1: 'int', 'c': 1, '': 'int', 'd': ' '})
              |                                                              ^
              node: x
            error[E0402]: expected a SQL type for `columns`, found `1`
              transforms/x.py:2:77
              | @transform(ref('features'), columns={'a': 'int', 'a': 'int', 1: 'int', 'c': 1, '': 'int', 'd': ' '})
              |                                                                             ^
              hint: types are texts such as `"bigint"`, `"double"` or `"varchar"`
              node: x
            error[E0402]: expected the name of a column for `columns`, found `""`
              transforms/x.py:2:80
              | @transform(ref('features'), columns={'a': 'int', 'a': 'int', 1: 'int', 'c': 1, '': 'int', 'd': ' '})
              |                                                                                ^^
              node: x
            error[E0402]: expected a SQL type for `columns`, found `" "`
              transforms/x.py:2:96
              | @transform(ref('features'), columns={'a': 'int', 'a': 'int', 1: 'int', 'c': 1, '': 'int', 'd': ' '})
              |                                                                                                ^^^
              hint: types are texts such as `"bigint"`, `"double"` or `"varchar"`
              node: x
            broken: x
        "#]],
    );
    check(
        &file("inputs={}, mode='table', columns={'a': 'int'}"),
        expect![[r#"
            error[E0402]: expected at least one input for `inputs`, found a dict
              transforms/x.py:2:19
              | @transform(inputs={}, mode='table', columns={'a': 'int'})
              |                   ^^
              hint: write `ref("a_node")` or `source("a_source", "a_table")`
              node: x
            broken: x
        "#]],
    );
    check(
        &file("inputs=ref('features'), input=ref('features'), mode='table', columns={'a': 'int'}"),
        expect![[r#"
            error[E0402]: `input` and `inputs` are given
              transforms/x.py:2:12
              | @transform(inputs=ref('features'), input=ref('features'), mode='table', columns={'a': 'int'})
              |            ^^^^^^
              transforms/x.py:2:36
              | @transform(inputs=ref('features'), input=ref('features'), mode='table', columns={'a': 'int'})
              |                                    ----- also here
              hint: keep one of them
              node: x
            error[E0402]: expected a dict of `ref(...)` and `source(...)` by argument for `inputs`, found `ref(...)`
              transforms/x.py:2:19
              | @transform(inputs=ref('features'), input=ref('features'), mode='table', columns={'a': 'int'})
              |                   ^^^^^^^^^^^^^^^
              node: x
            broken: x
        "#]],
    );
    check(
        &file("inputs={'a b': ref('features'), 'c': 'features'}, mode='table', columns={'a': 'int'}"),
        expect![[r#"
            error[E0402]: expected the name of an argument for `inputs`, found `"a b"`
              transforms/x.py:2:20
              | @transform(inputs={'a b': ref('features'), 'c': 'features'}, mode='table', columns={'a': 'int'})
              |                    ^^^^^
              node: x
            error[E0402]: expected `ref(...)` or `source(...)` for `inputs`, found `"features"`
              transforms/x.py:2:49
              | @transform(inputs={'a b': ref('features'), 'c': 'features'}, mode='table', columns={'a': 'int'})
              |                                                 ^^^^^^^^^^
              hint: write `ref("a_node")` or `source("a_source", "a_table")`
              node: x
            broken: x
        "#]],
    );
}

#[test]
fn references_to_nothing() {
    let file = |name: &str, input: &str| {
        format!(
            "-- transforms/{name}.py --\nfrom windlass import ref, source, transform\n@transform({input}, columns={{'a': 'int'}})\ndef f(batch): ...\n"
        )
    };
    check(
        &[
            file("a", "ref('feature')"),
            file("b", "source('nyk', 'flights')"),
            file("c", "source('nyc', 'flihgts')"),
            file("d", "ref('weather')"),
            file("e", "ref('e')"),
            file("f", "ref('f__errors')"),
            file("g", "ref('features__errors')"),
            file("h", "ref('a__errors')"),
        ]
        .concat(),
        expect![[r#"
            error[E0302]: no node `feature`
              transforms/a.py:2:16
              | @transform(ref('feature'), columns={'a': 'int'})
              |                ^^^^^^^^^ did you mean `features`?
              hint: a node is named after its file in `transforms/` or `seeds/`
              node: a
            error[E0303]: no source `nyk`
              transforms/b.py:2:19
              | @transform(source('nyk', 'flights'), columns={'a': 'int'})
              |                   ^^^^^ did you mean `nyc`?
              hint: declare it in `sources.yml`; known sources: `nyc`
              node: b
            error[E0303]: source `nyc` has no table `flihgts`
              transforms/c.py:2:26
              | @transform(source('nyc', 'flihgts'), columns={'a': 'int'})
              |                          ^^^^^^^^^ did you mean `flights`?
              hint: declare the table in `sources.yml`
              node: c
            error[E0302]: no node `weather`
              transforms/d.py:2:16
              | @transform(ref('weather'), columns={'a': 'int'})
              |                ^^^^^^^^^
              hint: `weather` is a table of source `nyc`: write `source('nyc', 'weather')`
              node: d
            error[E0302]: `features` has no error table
              transforms/g.py:2:16
              | @transform(ref('features__errors'), columns={'a': 'int'})
              |                ^^^^^^^^^^^^^^^^^^
              hint: Python transforms of batches with `on_error="quarantine"` have one, and tables with a check of `on_fail: quarantine` or that score with a model
              node: g
            error[E0206]: `e` reads itself
              transforms/e.py:2:16
              | @transform(ref('e'), columns={'a': 'int'})
              |                ^^^
              node: e
            error[E0206]: `f` reads itself
              transforms/f.py:2:16
              | @transform(ref('f__errors'), columns={'a': 'int'})
              |                ^^^^^^^^^^^
              node: f
            broken: a, b, c, d, e, f, g
        "#]],
    );
    check(
        "-- transforms/x.sql --\nselect 1 from {{ ref('features__errors') }}, {{ ref('nothing__errors') }}\n",
        expect![[r#"
            error[E0302]: `features` has no error table
              transforms/x.sql:1:22
              | select 1 from {{ ref('features__errors') }}, {{ ref('nothing__errors') }}
              |                      ^^^^^^^^^^^^^^^^^^
              hint: Python transforms of batches with `on_error="quarantine"` have one, and tables with a check of `on_fail: quarantine` or that score with a model
              node: x
            error[E0302]: no node `nothing__errors`
              transforms/x.sql:1:53
              | select 1 from {{ ref('features__errors') }}, {{ ref('nothing__errors') }}
              |                                                     ^^^^^^^^^^^^^^^^^
              hint: a node is named after its file in `transforms/` or `seeds/`
              node: x
            broken: x
        "#]],
    );
}
