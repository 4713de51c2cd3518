//! Arguments that are no literals, and names that are no constants.

use std::fmt::Write;

use expect_test::expect;

use super::{check, check_argument, text};
use crate::fixture::{problems, project};

#[test]
fn arguments_that_are_no_literals() {
    check_argument(
        "batch_size=compute(), tags=[t for t in x], timeout=f\"{1}s\"",
        expect![[r#"
            error[E0402]: an argument must be a literal, planning does not run Python
              transforms/x.py:3:16
              |     batch_size=compute(), tags=[t for t in x], timeout=f"{1}s")
              |                ^^^^^^^^^
              hint: write the value itself, a module-level constant, or `var("name")` for a value of `windlass.yml`
              node: x
            error[E0402]: an argument must be a literal, planning does not run Python
              transforms/x.py:3:32
              |     batch_size=compute(), tags=[t for t in x], timeout=f"{1}s")
              |                                ^^^^^^^^^^^^^^
              hint: write the value itself, a module-level constant, or `var("name")` for a value of `windlass.yml`
              node: x
            error[E0402]: an argument must be a literal, planning does not run Python
              transforms/x.py:3:56
              |     batch_size=compute(), tags=[t for t in x], timeout=f"{1}s")
              |                                                        ^^^^^^^
              hint: write the value itself, a module-level constant, or `var("name")` for a value of `windlass.yml`
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "max_errors=2 * 3, memory=b'2GiB', owner=lambda: 1, **more",
        expect![[r#"
            error[E0402]: an argument must be a literal, planning does not run Python
              transforms/x.py:3:16
              |     max_errors=2 * 3, memory=b'2GiB', owner=lambda: 1, **more)
              |                ^^^^^
              hint: write the value itself, a module-level constant, or `var("name")` for a value of `windlass.yml`
              node: x
            error[E0402]: an argument must be a literal, planning does not run Python
              transforms/x.py:3:30
              |     max_errors=2 * 3, memory=b'2GiB', owner=lambda: 1, **more)
              |                              ^^^^^^^
              hint: write the value itself, a module-level constant, or `var("name")` for a value of `windlass.yml`
              node: x
            error[E0402]: an argument must be a literal, planning does not run Python
              transforms/x.py:3:45
              |     max_errors=2 * 3, memory=b'2GiB', owner=lambda: 1, **more)
              |                                             ^^^^^^^^^
              hint: write the value itself, a module-level constant, or `var("name")` for a value of `windlass.yml`
              node: x
            error[E0402]: the arguments of `@transform` must be written out
              transforms/x.py:3:58
              |     max_errors=2 * 3, memory=b'2GiB', owner=lambda: 1, **more)
              |                                                          ^^^^
              hint: planning does not run Python: name each argument and write its value
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "batch_size=99999999999999999999, num_cpus=1j, fn_args=[{1: 2}], fn_kwargs={**x}",
        expect![[r#"
            error[E0402]: this number is too large
              transforms/x.py:3:16
              |     batch_size=99999999999999999999, num_cpus=1j, fn_args=[{1: 2}], fn_kwargs={**x})
              |                ^^^^^^^^^^^^^^^^^^^^
              hint: numbers have at most 64 bits
              node: x
            error[E0402]: an argument must be a literal, planning does not run Python
              transforms/x.py:3:47
              |     batch_size=99999999999999999999, num_cpus=1j, fn_args=[{1: 2}], fn_kwargs={**x})
              |                                               ^^
              hint: write the value itself, a module-level constant, or `var("name")` for a value of `windlass.yml`
              node: x
            error[E0402]: an argument must be a literal, planning does not run Python
              transforms/x.py:3:82
              |     batch_size=99999999999999999999, num_cpus=1j, fn_args=[{1: 2}], fn_kwargs={**x})
              |                                                                                  ^
              hint: write the value itself, a module-level constant, or `var("name")` for a value of `windlass.yml`
              node: x
            error[E0402]: expected texts as keys for `fn_args`, found `1`
              transforms/x.py:3:61
              |     batch_size=99999999999999999999, num_cpus=1j, fn_args=[{1: 2}], fn_kwargs={**x})
              |                                                             ^
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "fn_args=[ref('features')], num_cpus=not 1, retries=ref(1), tags=var('nope')",
        expect![[r#"
            error[E0402]: an argument must be a literal, planning does not run Python
              transforms/x.py:3:41
              |     fn_args=[ref('features')], num_cpus=not 1, retries=ref(1), tags=var('nope'))
              |                                         ^^^^^
              hint: write the value itself, a module-level constant, or `var("name")` for a value of `windlass.yml`
              node: x
            error[E0402]: expected a text for `ref`, found `1`
              transforms/x.py:3:60
              |     fn_args=[ref('features')], num_cpus=not 1, retries=ref(1), tags=var('nope'))
              |                                                            ^
              node: x
            error[E0402]: expected a value for `fn_args`, found `ref(...)`
              transforms/x.py:3:14
              |     fn_args=[ref('features')], num_cpus=not 1, retries=ref(1), tags=var('nope'))
              |              ^^^^^^^^^^^^^^^
              hint: tables are named by `input` and `inputs` alone
              node: x
            error[E0304]: no variable `nope`
              transforms/x.py:3:73
              |     fn_args=[ref('features')], num_cpus=not 1, retries=ref(1), tags=var('nope'))
              |                                                                         ^^^^^^
              hint: set it under `vars:` in `windlass.yml`, pass `--vars nope=...`, or give a default
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "tags=[var(name)], owner=var('limit', 1, 2), fn_args=[ref('a', 'b'), source('a')]",
        expect![[r#"
            error[E0402]: write `ref("node")`
              transforms/x.py:3:58
              |     tags=[var(name)], owner=var('limit', 1, 2), fn_args=[ref('a', 'b'), source('a')])
              |                                                          ^^^^^^^^^^^^^
              hint: names are texts, without keywords
              node: x
            error[E0402]: no module-level constant `name`
              transforms/x.py:3:15
              |     tags=[var(name)], owner=var('limit', 1, 2), fn_args=[ref('a', 'b'), source('a')])
              |               ^^^^
              hint: write the value itself, or a name that the file sets once, at module level, to a literal
              node: x
            error[E0402]: `var("name")` takes a name and a default
              transforms/x.py:3:29
              |     tags=[var(name)], owner=var('limit', 1, 2), fn_args=[ref('a', 'b'), source('a')])
              |                             ^^^^^^^^^^^^^^^^^^
              hint: write the name as text
              node: x
            broken: x
        "#]],
    );
}

#[test]
fn names_that_are_no_constants() {
    let file = |body: &str, argument: &str| {
        format!(
            "-- transforms/x.py --\nfrom windlass import ref, transform\n{body}\n\
             @transform(ref('features'), columns={{'id': 'bigint'}}, {argument})\ndef score(batch): ...\nLATE = 1\n"
        )
    };
    check(
        &file("from lib import TAGS\ndef f(): ...", "tags=TAGS, owner=f, retries=LATE"),
        expect![[r#"
            error[E0402]: `TAGS` is imported, and planning does not run Python
              transforms/x.py:4:60
              | @transform(ref('features'), columns={'id': 'bigint'}, tags=TAGS, owner=f, retries=LATE)
              |                                                            ^^^^
              hint: write the value itself, or a name that the file sets once, at module level, to a literal
              node: x
            error[E0402]: `f` is a function, planning does not run Python
              transforms/x.py:4:72
              | @transform(ref('features'), columns={'id': 'bigint'}, tags=TAGS, owner=f, retries=LATE)
              |                                                                        ^
              hint: write the value itself, or a name that the file sets once, at module level, to a literal
              node: x
            error[E0402]: `LATE` is set further down only
              transforms/x.py:4:83
              | @transform(ref('features'), columns={'id': 'bigint'}, tags=TAGS, owner=f, retries=LATE)
              |                                                                                   ^^^^
              hint: write the value itself, or a name that the file sets once, at module level, to a literal
              node: x
            broken: x
        "#]],
    );
    check(
        &file("TAGS = []\nTAGS.append('x')\nN = 1\nN += 1\nfor M in []: pass", "tags=TAGS, retries=N, batch_size=M"),
        expect![[r#"
            error[E0402]: `TAGS` is not a constant: the file sets it more than once
              transforms/x.py:7:60
              | @transform(ref('features'), columns={'id': 'bigint'}, tags=TAGS, retries=N, batch_size=M)
              |                                                            ^^^^
              transforms/x.py:3:1
              | TAGS.append('x')
              | ----------- set or changed here
              hint: write the value itself, or a name that the file sets once, at module level, to a literal
              node: x
            error[E0402]: `N` is not a constant: the file sets it more than once
              transforms/x.py:7:74
              | @transform(ref('features'), columns={'id': 'bigint'}, tags=TAGS, retries=N, batch_size=M)
              |                                                                          ^
              transforms/x.py:5:1
              | N += 1
              | - set or changed here
              hint: write the value itself, or a name that the file sets once, at module level, to a literal
              node: x
            error[E0402]: `M` is set in a loop, a branch or by unpacking, planning does not run Python
              transforms/x.py:7:88
              | @transform(ref('features'), columns={'id': 'bigint'}, tags=TAGS, retries=N, batch_size=M)
              |                                                                                        ^
              hint: write the value itself, or a name that the file sets once, at module level, to a literal
              node: x
            broken: x
        "#]],
    );
    check(
        &file("TAGS = ['a']\nSIZE = 1\ndef f():\n    global SIZE\n    SIZE = 2", "tags=TAG, batch_size=SIZE"),
        expect![[r#"
            error[E0402]: no module-level constant `TAG`
              transforms/x.py:7:60
              | @transform(ref('features'), columns={'id': 'bigint'}, tags=TAG, batch_size=SIZE)
              |                                                            ^^^ did you mean `TAGS`?
              node: x
            error[E0402]: `SIZE` is not a constant: the file sets it more than once
              transforms/x.py:7:76
              | @transform(ref('features'), columns={'id': 'bigint'}, tags=TAG, batch_size=SIZE)
              |                                                                            ^^^^
              transforms/x.py:5:12
              |     global SIZE
              |            ---- set or changed here
              hint: write the value itself, or a name that the file sets once, at module level, to a literal
              node: x
            broken: x
        "#]],
    );
    let more = "A = ['a']\nB = C = A + ['b']\nD: list = [*C, 'c']";
    assert_eq!(project(&text(&file(more, "tags=D"))).nodes["x"].config.tags, ["all", "a", "b", "c"]);
    let mut doubling = String::from("A0 = [1, 2]\n");
    for at in 0..40 {
        let _ = writeln!(doubling, "A{} = [A{at}, A{at}]", at + 1);
    }
    let found = problems(&text(&file(&doubling, "fn_args=A40")));
    assert!(found.contains("the values of this decorator are too many"), "{found}");
}
