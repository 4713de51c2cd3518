//! What functions for SQL say, and what is wrong with them.

use std::fmt::Write;

use expect_test::{Expect, expect};

use crate::fixture::{problems, project};

const HEAD: &str = "-- transforms/x.sql --\nselect 1\n-- functions/f.py --\nfrom windlass import udf, var\n";

fn check(body: &str, expected: Expect) {
    expected.assert_eq(&problems(&format!("{HEAD}{body}\n")));
}

#[test]
fn functions_are_read() {
    let text = "\
@udf(returns=\"double\")
def miles(km):
    return km / 1.609

@udf(returns=\"varchar\", args={\"a\": \"bigint\"}, nulls=\"pass\", on_error=\"null\", deterministic=False,
     batch_format=\"pyarrow\", concurrency=2, num_gpus=1, timeout=\"1m\")
def label(a, b, /): ...
def helper(): ...
-- functions/deep/g.py --
import windlass
@windlass.udf(returns=\"boolean\")
@other
def is_late(minutes: float) -> bool: ...
-- functions/__init__.py --
";
    let project = project(&format!("{HEAD}{text}"));
    let mut out = String::new();
    for (name, function) in &project.functions {
        let code = &function.code;
        let _ = writeln!(out, "{name} at {}: {} in {}", function.location, code.object, code.path.display());
        let _ = writeln!(out, "  {:?} -> {}", function.parameters, function.returns);
        let _ = write!(out, "  deterministic {:?} sees nulls {}", function.deterministic, function.sees_nulls);
        let _ = writeln!(out, " {:?} {:?}", function.on_error, code.batch_format);
        let _ = writeln!(out, "  {:?}", code.workers);
    }
    expect![[r#"
        is_late at functions/deep/g.py:4:5: is_late in /p/functions/deep/g.py
          [Parameter { name: "minutes", data_type: None }] -> boolean
          deterministic None sees nulls false Fail Numpy
          WorkerSettings { concurrency: None, num_cpus: 1.0, num_gpus: 0.0, memory: None, timeout: None, start_timeout: 300s, spawn: false }
        miles at functions/f.py:3:5: miles in /p/functions/f.py
          [Parameter { name: "km", data_type: None }] -> double
          deterministic None sees nulls false Fail Numpy
          WorkerSettings { concurrency: None, num_cpus: 1.0, num_gpus: 0.0, memory: None, timeout: None, start_timeout: 300s, spawn: false }
        label at functions/f.py:8:5: label in /p/functions/f.py
          [Parameter { name: "a", data_type: Some("bigint") }, Parameter { name: "b", data_type: None }] -> varchar
          deterministic Some(false) sees nulls true Null Pyarrow
          WorkerSettings { concurrency: Some((2, 2)), num_cpus: 1.0, num_gpus: 1.0, memory: None, timeout: Some(60s), start_timeout: 300s, spawn: true }
    "#]].assert_eq(&out);
}

#[test]
fn files_without_functions() {
    check(
        "def f(x): ...",
        expect![[r#"
        warning[E0412]: `functions/f.py` defines no function for SQL
          functions/f.py:1:1
          | from windlass import udf, var
          | ^
          hint: decorate a function at module level with `@udf(returns="double")`; shared code belongs into `lib/`
    "#]],
    );
    check(
        "-- functions/g.py --\n@udf(returns='int')\ndef f(x): ...",
        expect![[r#"
        warning[E0412]: `functions/f.py` defines no function for SQL
          functions/f.py:1:1
          | from windlass import udf, var
          | ^
          hint: decorate a function at module level with `@udf(returns="double")`; shared code belongs into `lib/`
        warning[E0412]: `functions/g.py` defines no function for SQL
          functions/g.py:1:1
          | @udf(returns='int')
          | ^
          hint: import the decorator: `from windlass import udf`
    "#]],
    );
    check(
        "from windlass import transform\n@transform(columns={})\ndef f(x): ...",
        expect![[r#"
        warning[E0412]: `functions/f.py` defines no function for SQL
          functions/f.py:1:1
          | from windlass import udf, var
          | ^
          hint: transforms belong into a file of `transforms/`
    "#]],
    );
    check(
        "def f(:",
        expect![[r#"
        error[E0401]: the Python file cannot be parsed: expected a parameter or the end of the parameter list
          functions/f.py:2:7
          | def f(:
          |       ^
    "#]],
    );
}

#[test]
fn signatures_that_sql_cannot_call() {
    check(
        "@udf(returns='int')\ndef f(a, b=1, *c, d, e=2, **g): ...",
        expect![[r#"
        error[E0412]: `f` has a parameter with a default, which SQL cannot give
          functions/f.py:3:10
          | def f(a, b=1, *c, d, e=2, **g): ...
          |          ^^^
          hint: SQL gives every argument by place: name each one, without defaults
        error[E0412]: `f` has a parameter for any number of arguments, which SQL cannot give
          functions/f.py:3:15
          | def f(a, b=1, *c, d, e=2, **g): ...
          |               ^^
          hint: SQL gives every argument by place: name each one, without defaults
        error[E0412]: `f` has a parameter that needs its name, which SQL cannot give
          functions/f.py:3:19
          | def f(a, b=1, *c, d, e=2, **g): ...
          |                   ^
          hint: SQL gives every argument by place: name each one, without defaults
        error[E0412]: `f` has a parameter that needs its name, which SQL cannot give
          functions/f.py:3:22
          | def f(a, b=1, *c, d, e=2, **g): ...
          |                      ^^^
          hint: SQL gives every argument by place: name each one, without defaults
        error[E0412]: `f` has a parameter for named arguments, which SQL cannot give
          functions/f.py:3:27
          | def f(a, b=1, *c, d, e=2, **g): ...
          |                           ^^^
          hint: SQL gives every argument by place: name each one, without defaults
    "#]],
    );
    check(
        "@udf(returns='int')\ndef f(): ...",
        expect![[r#"
        error[E0412]: `f` takes no argument
          functions/f.py:3:5
          | def f(): ...
          |     ^
          hint: the rows of its arguments say how many results there are
    "#]],
    );
    check(
        "@udf(returns='int')\ndef isLate(a): ...",
        expect![[r#"
        error[E0412]: `isLate` is not a name that SQL can call
          functions/f.py:3:5
          | def isLate(a): ...
          |     ^^^^^^
          hint: SQL writes names in lower case: rename it to `islate`
    "#]],
    );
    check(
        "@udf(returns='int')\nasync def f(a): ...",
        expect![[r#"
        error[E0412]: `f` is an async function
          functions/f.py:3:11
          | async def f(a): ...
          |           ^
          hint: write `def`: workers call it and wait
    "#]],
    );
    check(
        "@udf(returns='int')\nclass F:\n    def __call__(self, a): ...",
        expect![[r#"
        error[E0412]: `F` is not a function of this file
          functions/f.py:3:7
          | class F:
          |       ^
          hint: write a function of arrays; a class that is loaded once belongs into a `@transform`
    "#]],
    );
    check(
        "@udf\ndef f(a): ...",
        expect![[r#"
        error[E0204]: `@udf` needs the argument `returns`
          functions/f.py:2:2
          | @udf
          |  ^^^
          hint: write `@udf(returns="double")` above the function
    "#]],
    );
}

#[test]
fn names_that_are_used_twice() {
    check(
        "@udf(returns='int')\ndef f(a): ...\n-- functions/g.py --\nfrom windlass import udf\n@udf(returns='int')\ndef f(a): ...",
        expect![[r#"
            error[E0205]: duplicate function `f`
              functions/g.py:3:5
              | def f(a): ...
              |     ^ again here
              functions/f.py:3:5
              | def f(a): ...
              |     - first here
        "#]],
    );
}

#[test]
fn arguments_that_do_not_fit() {
    check(
        "@udf()\ndef f(a): ...",
        expect![[r#"
        error[E0204]: `@udf` needs the argument `returns`
          functions/f.py:2:2
          | @udf()
          |  ^^^^^
          hint: write `@udf(returns="double")` above the function
    "#]],
    );
    check(
        "@udf('int', returns=int, args=['a'], nulls='keep', key=['a'])\ndef f(a): ...",
        expect![[r#"
        error[E0402]: an argument of `@udf` needs its name
          functions/f.py:2:6
          | @udf('int', returns=int, args=['a'], nulls='keep', key=['a'])
          |      ^^^^^
          hint: write `name=value`
        error[E0402]: no module-level constant `int`
          functions/f.py:2:21
          | @udf('int', returns=int, args=['a'], nulls='keep', key=['a'])
          |                     ^^^
          hint: write the value itself, or a name that the file sets once, at module level, to a literal
        error[E0402]: unknown argument `key` of `@udf`
          functions/f.py:2:52
          | @udf('int', returns=int, args=['a'], nulls='keep', key=['a'])
          |                                                    ^^^
          hint: known arguments: `args`, `batch_format`, `concurrency`, `deterministic`, `memory`, `nulls`, `num_cpus`, `num_gpus`, `on_error`, `returns`, `start`, `start_timeout`, `timeout`
        error[E0402]: expected a dict of types by parameter for `args`, found a list
          functions/f.py:2:31
          | @udf('int', returns=int, args=['a'], nulls='keep', key=['a'])
          |                               ^^^^^
        error[E0402]: expected `"skip"` or `"pass"` for `nulls`, found `"keep"`
          functions/f.py:2:44
          | @udf('int', returns=int, args=['a'], nulls='keep', key=['a'])
          |                                            ^^^^^^
    "#]],
    );
    check(
        "@udf(returns=' ', args={'b': 'int', 'aa': 'int', 'a': 1})\ndef f(a): ...",
        expect![[r#"
        error[E0402]: expected the name of a parameter for `args`, found `"b"`
          functions/f.py:2:25
          | @udf(returns=' ', args={'b': 'int', 'aa': 'int', 'a': 1})
          |                         ^^^
          hint: parameters are `a`
        error[E0402]: expected the name of a parameter for `args`, found `"aa"`
          functions/f.py:2:37
          | @udf(returns=' ', args={'b': 'int', 'aa': 'int', 'a': 1})
          |                                     ^^^^ did you mean `a`?
        error[E0402]: expected a SQL type for `args`, found `1`
          functions/f.py:2:55
          | @udf(returns=' ', args={'b': 'int', 'aa': 'int', 'a': 1})
          |                                                       ^
        error[E0402]: `returns` is empty
          functions/f.py:2:14
          | @udf(returns=' ', args={'b': 'int', 'aa': 'int', 'a': 1})
          |              ^^^
          hint: write `@udf(returns="double")` above the function
    "#]],
    );
    check(
        "@udf(returns='int', on_error='quarantine')\ndef f(a): ...",
        expect![[r#"
        error[E0402]: `on_error="quarantine"` is for transforms: rows of a SELECT have no error table
          functions/f.py:2:30
          | @udf(returns='int', on_error='quarantine')
          |                              ^^^^^^^^^^^^
          hint: use `"fail"` or `"null"`, or call the code in a Python transform
    "#]],
    );
    check(
        "@udf(returns='int', on_error='skip')\ndef f(a):\n    return var('nope')",
        expect![[r#"
        error[E0402]: expected `"fail"` or `"null"` for `on_error`, found `"skip"`
          functions/f.py:2:30
          | @udf(returns='int', on_error='skip')
          |                              ^^^^^^
        error[E0304]: no variable `nope`
          functions/f.py:4:16
          |     return var('nope')
          |                ^^^^^^
          hint: set it under `vars:` in `windlass.yml`, pass `--vars nope=...`, or give a default
    "#]],
    );
}
