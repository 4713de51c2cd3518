//! What a file reaches: modules of `lib/` and variables.

use expect_test::expect;

use crate::fixture::{load, problems, project, render};
use crate::{LoadOptions, PythonCode, fixture};

fn text(imports: &str, more: &str) -> String {
    format!(
        "-- windlass.yml --\nname: p\nvars: {{limit: 15, names: [a, {{b: 1}}], none: ~}}\n-- transforms/a.sql --\nselect 1\n\
         -- transforms/ml/x.py --\nfrom windlass import ref, transform, var\n{imports}\n\
         @transform(ref('a'), columns={{'id': 'bigint'}})\ndef f(batch): ...\n{more}"
    )
}

const LIB: &str = "\
-- lib/one.py --
from windlass import var
def f(): return var('limit')
-- lib/two.py --
import one
-- lib/pack/__init__.py --
-- lib/pack/a.py --
from . import b
from .deep import *
-- lib/pack/b.py --
from ..one import f
-- lib/pack/deep/__init__.py --
from ..c import x
-- lib/pack/c.py --
import two
-- lib/space/m.py --
-- transforms/ml/beside.py --
from windlass import ref, transform
transform(ref('a'), columns={'id': 'bigint'})(F)
";

fn code(imports: &str) -> PythonCode {
    project(&text(imports, LIB)).nodes["x"].python().unwrap().code.clone()
}

#[test]
fn imports_are_followed() {
    for (imports, expected) in [
        ("", ""),
        ("import numpy, one", "lib/one.py"),
        ("import two as other", "lib/one.py lib/two.py"),
        ("from one import f", "lib/one.py"),
        ("from pack import *", "lib/pack/__init__.py"),
        ("import pack.b", "lib/one.py lib/pack/__init__.py lib/pack/b.py"),
        ("from pack import b", "lib/one.py lib/pack/__init__.py lib/pack/b.py"),
        (
            "from pack.a import x",
            "lib/one.py lib/pack/__init__.py lib/pack/a.py lib/pack/b.py lib/pack/c.py lib/pack/deep/__init__.py lib/two.py",
        ),
        ("from space import m", "lib/space/m.py"),
        ("import space.m, pack.nothing", "lib/pack/__init__.py lib/space/m.py"),
        ("def g():\n    if x:\n        import one", "lib/one.py"),
        ("import importlib\nimportlib.import_module('one')", "lib/one.py"),
        ("import beside", "transforms/ml/beside.py"),
        ("from . import beside", "transforms/ml/beside.py"),
        ("from .... import beside", ""),
    ] {
        let code = code(imports);
        let mut sources = code.sources.keys();
        assert_eq!(sources.next().unwrap(), "transforms/ml/x.py");
        assert_eq!(sources.cloned().collect::<Vec<_>>().join(" "), expected, "{imports}");
        let reads_limit = expected.contains("one.py");
        assert_eq!(code.vars.contains_key("limit"), reads_limit, "{imports}");
    }
    let all = code("from importlib import import_module as load, import_module\nimport_module(name)");
    assert_eq!(all.sources.keys().filter(|path| path.starts_with("lib/")).count(), 8);
}

#[test]
fn modules_change_the_hash() {
    let before = code("import two");
    let changed = project(&text("import two", &LIB.replace("var('limit')", "var('limit') + 1")));
    let after = changed.nodes["x"].python().unwrap().code.clone();
    assert_ne!(before.sources["lib/one.py"], after.sources["lib/one.py"]);
    assert_eq!(before.sources["lib/two.py"], after.sources["lib/two.py"]);
    assert_eq!(before.sources["transforms/ml/x.py"], after.sources["transforms/ml/x.py"]);
}

#[test]
fn variables_are_found() {
    let body = "KEY = 'none'\ndef g():\n    import windlass as w\n    return [w.var('limit'), var('names'), var(KEY), var('rate', 0.5), other.var('x'), var('more', default=[1])]";
    let vars = code(body).vars;
    expect![[r#"{"limit":15,"names":["a",{"b":1}],"none":null,"rate":0.5,"more":[1]}"#]]
        .assert_eq(&serde_json::to_string(&vars).unwrap());
    let options =
        LoadOptions { vars: [("limit".to_owned(), "[x, 1.5]".to_owned())].into_iter().collect(), ..fixture::options() };
    let loaded = fixture::load_with(&text("var('limit')", ""), &options);
    let vars = loaded.project.unwrap().nodes["x"].python().unwrap().code.vars.clone();
    assert_eq!(serde_json::to_string(&vars).unwrap(), r#"{"limit":["x",1.5]}"#);
}

#[test]
fn variables_that_do_not_exist() {
    expect![[r#"
        error[E0304]: no variable `limt`
          transforms/ml/x.py:2:5
          | var('limt')
          |     ^^^^^^ did you mean `limit`?
          hint: set it under `vars:` in `windlass.yml`, pass `--vars limt=...`, or give a default
          node: x
        error[E0402]: no module-level constant `name`
          transforms/ml/x.py:3:5
          | var(name)
          |     ^^^^
          hint: write the value itself, or a name that the file sets once, at module level, to a literal
          node: x
        error[E0402]: `var("name")` takes a name and a default
          transforms/ml/x.py:4:1
          | var()
          | ^^^^^
          hint: write the name as text
          node: x
        error[E0402]: an argument must be a literal, planning does not run Python
          transforms/ml/x.py:5:20
          | var('zzz', default=f())
          |                    ^^^
          hint: write the value itself, a module-level constant, or `var("name")` for a value of `windlass.yml`
          node: x
        broken: x
    "#]]
    .assert_eq(&problems(&text("var('limt')\nvar(name)\nvar()\nvar('zzz', default=f())", "")));
}

#[test]
fn broken_modules_are_said_once() {
    let users = "-- transforms/y.py --\nfrom windlass import ref, transform\nimport bad\n@transform(ref('x'), columns={'id': 'bigint'})\ndef f(batch): ...\n";
    let lib = "-- lib/bad.py --\nfrom windlass import var\nx = var('nope')\n-- lib/worse.py --\ndef (\n-- lib/unused.py --\n(\n";
    let text = text("import bad, worse", &format!("{users}{lib}"));
    expect![[r#"
        error[E0304]: no variable `nope`
          lib/bad.py:2:9
          | x = var('nope')
          |         ^^^^^^ did you mean `none`?
          hint: set it under `vars:` in `windlass.yml`, pass `--vars nope=...`, or give a default
          node: lib/bad.py
        error[E0401]: the Python file cannot be parsed: expected an identifier
          lib/worse.py:1:5
          | def (
          |     ^
          node: lib/worse.py
        broken: x, y
    "#]]
    .assert_eq(&problems(&text));
    let loaded = load(&text);
    expect![[r#"
        error[E0304]: no variable `nope`
          lib/bad.py:2:9
          | x = var('nope')
          |         ^^^^^^ did you mean `none`?
          hint: set it under `vars:` in `windlass.yml`, pass `--vars nope=...`, or give a default
          node: lib/bad.py
    "#]]
    .assert_eq(&render(&loaded.problems_for(["y"]).into_iter().cloned().collect::<Vec<_>>()));
    let function = "-- functions/f.py --\nfrom windlass import udf\nimport bad\n@udf(returns='int')\ndef f(a): ...\n";
    expect![[r#"
        error[E0401]: the Python file cannot be parsed: expected an identifier
          lib/bad.py:1:5
          | def (
          |     ^
    "#]]
    .assert_eq(&problems(&format!("{function}-- lib/bad.py --\ndef (\n")));
}
