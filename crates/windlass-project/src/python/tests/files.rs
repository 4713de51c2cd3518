//! Files without one transform, callables that cannot be called, and Python that cannot be parsed.

use expect_test::expect;

use super::{check, check_argument};

#[test]
fn files_without_one_transform() {
    check(
        "-- transforms/a.py --\nimport numpy\ndef f(): ...\n-- transforms/b.py --\n@transform(input=1)\ndef f(b): ...\n\
         -- transforms/c.py --\nfrom windlass import udf\n@udf(returns='double')\ndef f(b): ...\n\
         -- transforms/d.py --\n-- transforms/ml/__init__.py --\n\n-- transforms/reader.sql --\nselect * from {{ ref('a') }} join {{ ref('a__errors') }}\n",
        expect![[r#"
            error[E0403]: `transforms/a.py` defines no transform
              transforms/a.py:1:1
              | import numpy
              | ^
              hint: decorate one function or class at module level with `@transform(...)`; shared code belongs into `lib/`
              node: a
            error[E0403]: `transforms/b.py` defines no transform
              transforms/b.py:1:1
              | @transform(input=1)
              | ^
              hint: import the decorator: `from windlass import transform`
              node: b
            error[E0403]: `transforms/c.py` defines no transform
              transforms/c.py:1:1
              | from windlass import udf
              | ^
              hint: functions for SQL belong into a file of `functions/`
              node: c
            error[E0403]: `transforms/d.py` defines no transform
              transforms/d.py:1:1
              | 
              | ^
              hint: decorate one function or class at module level with `@transform(...)`; shared code belongs into `lib/`
              node: d
            broken: a, b, c, d
        "#]],
    );
    check(
        "-- transforms/a.py --\nimport windlass\n@windlass.transform(windlass.ref('features'), columns={'a': 'int'})\ndef f(b): ...\n\
         x = windlass.transform()(f)\n",
        expect![[r#"
            error[E0403]: `transforms/a.py` defines 2 transforms
              transforms/a.py:3:5
              | def f(b): ...
              |     ^ the first
              transforms/a.py:4:26
              | x = windlass.transform()(f)
              |                          - another
              hint: a node is named after its file: give each transform a file of its own
              node: a
            broken: a
        "#]],
    );
    check(
        "-- transforms/a.py --\nfrom windlass import transform\n@transform\ndef f(b): ...\n-- transforms/b.py --\nfrom windlass import transform\n@transform()\ndef f(b): ...\n",
        expect![[r#"
            error[E0402]: `@transform` needs arguments
              transforms/a.py:2:2
              | @transform
              |  ^^^^^^^^^
              hint: write `@transform(input=ref("a_node"), columns={"id": "bigint"})` above a function or class
              node: a
            error[E0204]: `@transform` needs the argument `columns`
              transforms/b.py:2:2
              | @transform()
              |  ^^^^^^^^^^^
              hint: name each column of the result with its SQL type: `columns={"id": "bigint"}`
              node: b
            error[E0204]: `@transform` needs the argument `input`
              transforms/b.py:2:2
              | @transform()
              |  ^^^^^^^^^^^
              hint: write `ref("a_node")` or `source("a_source", "a_table")`
              node: b
            broken: a, b
        "#]],
    );
}

#[test]
fn callables_that_cannot_be_called() {
    let head = "from windlass import ref, transform\n@transform(ref('features'), columns={'a': 'int'})\n";
    let file = |name: &str, body: &str| format!("-- transforms/{name}.py --\n{head}{body}\n");
    check(
        &[
            file("a", "async def f(batch): ..."),
            file("b", "def f(): ..."),
            file("c", "class F:\n    \"Doc.\""),
            file("d", "class F:\n    __call__ = other"),
            "-- transforms/e.py --\nfrom windlass import ref, transform\ntransform(ref('features'), columns={'a': 'int'})(make())\n"
                .to_owned(),
            "-- transforms/f.py --\nfrom windlass import ref, transform\nx = transform(ref('features'), columns={'a': 'int'})(F, G)\n"
                .to_owned(),
        ]
        .concat(),
        expect![[r#"
            error[E0402]: `f` is an async function
              transforms/a.py:3:11
              | async def f(batch): ...
              |           ^
              hint: write `def`: workers call it and wait
              node: a
            error[E0402]: `f` takes no argument
              transforms/b.py:3:5
              | def f(): ...
              |     ^
              hint: it gets its input as the first one: `def f(batch):`
              node: b
            error[E0402]: class `F` cannot be called
              transforms/c.py:3:7
              | class F:
              |       ^
              hint: give it a method `def __call__(self, batch):`, called for each batch
              node: c
            error[E0402]: `transform(...)` is called on something that has no name
              transforms/e.py:2:50
              | transform(ref('features'), columns={'a': 'int'})(make())
              |                                                  ^^^^^^
              hint: write `name = transform(...)(Name)` with the name of a class
              node: e
            error[E0402]: `transform(...)` takes one function or class
              transforms/f.py:2:5
              | x = transform(ref('features'), columns={'a': 'int'})(F, G)
              |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
              hint: write `transform(...)(Name)`
              node: f
            broken: a, b, c, e, f
        "#]],
    );
    check_argument(
        "fn_constructor_args=[1], fn_constructor_kwargs=None",
        expect![[r#"
            error[E0402]: `fn_constructor_args` is for classes, and this is a function
              transforms/x.py:3:5
              |     fn_constructor_args=[1], fn_constructor_kwargs=None)
              |     ^^^^^^^^^^^^^^^^^^^
              hint: remove the argument
              node: x
            broken: x
        "#]],
    );
}

#[test]
fn python_that_cannot_be_parsed() {
    check(
        "-- transforms/a.py --\nfrom windlass import transform\ndef f(:\n    pass\n-- transforms/b.py --\nx = 'open\n-- transforms/c.py --\nif x:\nprint(1)\n\
         -- transforms/reader.sql --\nselect * from {{ ref('a__errors') }}\n",
        expect![[r#"
            error[E0401]: the Python file cannot be parsed: expected a parameter or the end of the parameter list
              transforms/a.py:2:7
              | def f(:
              |       ^
              node: a
            error[E0401]: the Python file cannot be parsed: missing closing quote in string literal
              transforms/b.py:1:5
              | x = 'open
              |     ^^^^^
              node: b
            error[E0401]: the Python file cannot be parsed: expected an indented block after `if` statement
              transforms/c.py:2:1
              | print(1)
              | ^^^^^
              node: c
            broken: a, b, c
        "#]],
    );
}
