//! Where packages are named, and what is wrong there.

use expect_test::{Expect, expect};

use crate::fixture::{load, problems, project};
use crate::{PythonEnvironment, PythonOrigin};

const SCORE: &str = "\
from windlass import ref, transform
@transform(ref('a'), columns={'id': 'bigint'})
def f(batch): ...
";

fn text(block: &str, more: &str) -> String {
    format!("-- transforms/a.sql --\nselect 1\n-- transforms/ml/x.py --\n{block}{SCORE}{more}")
}

fn check(block: &str, more: &str, expected: Expect) {
    expected.assert_eq(&problems(&text(block, more)));
}

fn environment(block: &str, more: &str) -> PythonEnvironment {
    project(&text(block, more)).nodes["x"].python().unwrap().code.environment.clone()
}

const BLOCK: &str =
    "# /// script\n# requires-python = \"<3.14\"\n# dependencies = [\n#\n#   'a>=1', # why\n#   'b',\n# ]\n# ///\n";
const DEFAULTS: &str = "-- windlass.yml --\nname: p\npython: {requires-python: '>=3.11', dependencies: [b, c]}\n";

#[test]
fn packages_are_found() {
    let plain = environment("", "");
    assert_eq!((plain.origin, plain.requires_python, plain.dependencies), (PythonOrigin::Defaults, None, vec![]));
    let defaults = environment("", DEFAULTS);
    assert_eq!(defaults.requires_python.as_deref(), Some(">=3.11"));
    assert_eq!(defaults.dependencies, ["b", "c"]);
    let script = environment(BLOCK, DEFAULTS);
    assert_eq!(script.origin, PythonOrigin::Script);
    assert_eq!(script.requires_python.as_deref(), Some(">=3.11, <3.14"));
    assert_eq!(script.dependencies, ["b", "c", "a>=1"]);
    let windows = environment(&BLOCK.replace('\n', "\r\n"), "");
    assert_eq!(windows.dependencies, ["a>=1", "b"]);
}

#[test]
fn files_beside() {
    let requirements = "-- transforms/ml/requirements.txt --\n# all\na>=1  # why\n\nb[extra]; python_version < '3.13'\nc \\\n  >=2\nd @ https://x/y#z\n";
    let found = environment("", &format!("{requirements}{DEFAULTS}"));
    assert_eq!(found.origin, PythonOrigin::Requirements);
    assert_eq!(
        found.dependencies,
        ["b", "c", "a>=1", "b[extra]; python_version < '3.13'", "c>=2", "d @ https://x/y#z"]
    );
    let block = environment(BLOCK, requirements);
    assert_eq!(block.origin, PythonOrigin::Script);
    let pyproject = "-- transforms/ml/pyproject.toml --\n[project]\nname = 'x'\n-- transforms/ml/uv.lock --\n";
    let found = environment("", &format!("{pyproject}{DEFAULTS}"));
    assert_eq!(found.origin, PythonOrigin::Project { folder: "/p/transforms/ml".into() });
    assert!(found.dependencies.is_empty() && found.requires_python.is_none());
    let elsewhere = environment("", "-- transforms/requirements.txt --\n-r other.txt\n");
    assert_eq!(elsewhere.origin, PythonOrigin::Defaults);
}

#[test]
fn broken_blocks() {
    check(
        "# /// script\n# dependencies = [\n#   'é', 'a'b,\n# ]\n# ///\n",
        "",
        expect![[r#"
        error[E0502]: the `script` block is not TOML: missing comma between array elements, expected `,`
          transforms/ml/x.py:3:13
          | #   'é', 'a'b,
          |             ^
          node: x
        broken: x
    "#]],
    );
    check(
        "# /// script\n# dependencies = 'a'\n# requires-python = 3.11\n# dependancies = []\n# [tool.uv]\n# x = 1\n# ///\n",
        "",
        expect![[r#"
            error[E0202]: unknown key `dependancies` in the `script` block
              transforms/ml/x.py:4:3
              | # dependancies = []
              |   ^^^^^^^^^^^^ did you mean `dependencies`?
              node: x
            error[E0502]: `tool.uv` of a `script` block is not supported
              transforms/ml/x.py:5:9
              | # [tool.uv]
              |         ^^
              hint: move it to a `pyproject.toml` beside the file, with its `uv.lock`
              node: x
            error[E0502]: expected a text such as `">=3.11"` for `requires-python` of the `script` block
              transforms/ml/x.py:3:21
              | # requires-python = 3.11
              |                     ^^^^
              node: x
            error[E0502]: expected a list of texts such as `["numpy>=2"]` for `dependencies` of the `script` block
              transforms/ml/x.py:2:18
              | # dependencies = 'a'
              |                  ^^^
              node: x
            broken: x
        "#]],
    );
    check(
        "# /// script\n# dependencies = ['a', 1]\n# [tool.other]\n# x = 1\n# ///\n",
        "",
        expect![[r#"
        error[E0502]: expected a list of texts such as `["numpy>=2"]` for `dependencies` of the `script` block
          transforms/ml/x.py:2:24
          | # dependencies = ['a', 1]
          |                        ^
          node: x
        broken: x
    "#]],
    );
    check(
        "# /// script\n# dependencies = []\n\n",
        "",
        expect![[r#"
        error[E0502]: this block is never closed
          transforms/ml/x.py:1:1
          | # /// script
          | ^^^^^^^^^^^^
          hint: end it with a line `# ///`
          node: x
        broken: x
    "#]],
    );
    check(
        &format!("{BLOCK}\n{BLOCK}"),
        "",
        expect![[r#"
        error[E0502]: a file has one `script` block
          transforms/ml/x.py:10:1
          | # /// script
          | ^^^^^^^^^^^^ again here
          transforms/ml/x.py:1:1
          | # /// script
          | ------------ first here
          node: x
        broken: x
    "#]],
    );
    // Another type of block, and one that is no line of its own.
    check("# /// other\n# x = [\n# ///\nx = 1 # /// script\n", "", expect![""]);
}

#[test]
fn broken_files_beside() {
    let other =
        format!("-- transforms/ml/y.py --\n{SCORE}-- transforms/reader.sql --\nselect * from {{{{ ref('y') }}}}\n");
    let requirements = "-- transforms/ml/requirements.txt --\na\n-r other.txt\n  --index-url x\nb --hash=sha256:1\n";
    check(
        "",
        &format!("{requirements}{other}"),
        expect![[r#"
        error[E0502]: `requirements.txt` holds names of packages alone, no options
          transforms/ml/requirements.txt:2:1
          | -r other.txt
          | ^^^^^^^^^^^^
          hint: name the packages here, or use `pyproject.toml` with `uv.lock`
          node: transforms/ml/requirements.txt
        error[E0502]: `requirements.txt` holds names of packages alone, no options
          transforms/ml/requirements.txt:3:3
          |   --index-url x
          |   ^^^^^^^^^^^^^
          hint: name the packages here, or use `pyproject.toml` with `uv.lock`
          node: transforms/ml/requirements.txt
        error[E0502]: `requirements.txt` holds names of packages alone, no options
          transforms/ml/requirements.txt:4:1
          | b --hash=sha256:1
          | ^^^^^^^^^^^^^^^^^
          hint: name the packages here, or use `pyproject.toml` with `uv.lock`
          node: transforms/ml/requirements.txt
        broken: x, y
    "#]],
    );
    let loaded = load(&text("", &format!("{requirements}{other}")));
    assert_eq!(loaded.blockers("reader"), ["y"]);
    assert_eq!(loaded.problems_for(["reader"]).len(), 3);
    assert!(loaded.problems_for(["a"]).is_empty());
    check(
        "",
        "-- transforms/ml/pyproject.toml --\n[project]\n",
        expect![[r#"
        error[E0501]: `transforms/ml/pyproject.toml` has no `uv.lock` beside it
          transforms/ml/pyproject.toml:1:1
          | [project]
          | ^
          hint: run `uv lock` in `transforms/ml` and keep the file
          node: transforms/ml/pyproject.toml
        broken: x
    "#]],
    );
    check(
        "",
        "-- transforms/ml/pyproject.toml --\n[project\n-- transforms/ml/uv.lock --\n",
        expect![[r#"
        error[E0502]: `transforms/ml/pyproject.toml` is not TOML: unclosed table, expected `]`
          transforms/ml/pyproject.toml:1:9
          | [project
          |         ^
          node: transforms/ml/pyproject.toml
        broken: x
    "#]],
    );
    check(
        "",
        "-- transforms/ml/requirements.txt --\n-- transforms/ml/pyproject.toml --\n",
        expect![[r#"
        error[E0502]: two files name the packages of one folder
          transforms/ml/requirements.txt:1:1
          | 
          | ^
          transforms/ml/pyproject.toml:1:1
          | 
          | - the other one
          note: `transforms/ml/requirements.txt` and `transforms/ml/pyproject.toml`
          hint: keep one of them
          node: transforms/ml/requirements.txt
        broken: x
    "#]],
    );
    check(
        "",
        "-- functions/f.py --\nfrom windlass import udf\n@udf(returns='int')\ndef f(a): ...\n-- functions/pyproject.toml --\n",
        expect![[r#"
            error[E0501]: `functions/pyproject.toml` has no `uv.lock` beside it
              functions/pyproject.toml:1:1
              | 
              | ^
              hint: run `uv lock` in `functions` and keep the file
        "#]],
    );
}

#[test]
fn the_section_of_the_project() {
    check(
        "",
        "-- windlass.yml --\nname: p\npython: {dependencies: {a: b}, requires_python: '3'}\n",
        expect![[r#"
        error[E0202]: unknown key `requires_python` in `python`
          windlass.yml:2:32
          | python: {dependencies: {a: b}, requires_python: '3'}
          |                                ^^^^^^^^^^^^^^^ did you mean `requires-python`?
        error[E0203]: expected a text or a list of texts for `dependencies`, found a map
          windlass.yml:2:24
          | python: {dependencies: {a: b}, requires_python: '3'}
          |                        ^^^^^^
    "#]],
    );
}
