//! What Python transforms say, and what is wrong with them.

mod increments;

use std::fmt::Write;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use crate::fixture::{load, problems, project};
use crate::{InputPart, Node, NodeKind, Selection};

const BASE: &str = "\
-- windlass.yml --
name: flights
vars: {limit: 15, columns: [a, b], rate: 0.5}
transforms:
  +materialized: view
  +tags: [all]
  ml: {+tags: [ml], +owner: ml-team}
-- sources.yml --
sources:
  nyc: {path: 'data/{name}.parquet', tables: [flights, weather]}
-- transforms/ml/features.sql --
select 1 as flight_id
";

const SCORE: &str = r#"
-- transforms/ml/score.py --
"""Scores flights."""
from windlass import ref, transform, var

from models import Model

NEEDED = ["temp", "distance"]


@transform(
    input=ref("features"),
    columns={"flight_id": "bigint", "p_late": "double"},
    key=["flight_id"],
    input_columns=["flight_id", *NEEDED],
    requires={"not_null": NEEDED + ["hour"], "sql": "distance > 0"},
    batch_size=8192, batch_format="pandas", concurrency=(1, 8),
    num_cpus=0.5, num_gpus=0, memory="2GiB", timeout="30s", start_timeout=60,
    on_error="quarantine", max_error_rate="2%",
    fn_constructor_args=[var("limit"), {"a": (1, None)}], fn_kwargs={"b": -1.5},
    tags=["scoring"], retries=5, sort_by="flight_id desc",
)
class ScoreFlights:
    def __init__(self, limit, options):
        self.model = Model(limit)

    def __call__(self, batch):
        return self.model(batch)
-- lib/models.py --
class Model: ...
-- transforms/ml/late.sql --
select * from {{ ref('score') }} union all select 1 from {{ ref('score__errors') }}
-- transforms/models.yml --
transforms:
  score:
    description: Chance of a late arrival.
    columns: {p_late: {type: float64, description: From 0 to 1.}}
"#;

fn text(more: &str) -> String {
    format!("{BASE}{}", more.trim_start())
}

/// Returns a file with a transform of batches that has these arguments more.
fn with(arguments: &str) -> String {
    format!(
        "-- transforms/x.py --\nfrom windlass import ref, source, transform, var\n\
         @transform(input=ref(\"features\"), columns={{\"id\": \"bigint\", \"p\": \"double\"}},\n    {arguments})\n\
         def score(batch):\n    return batch\n"
    )
}

fn check(more: &str, expected: Expect) {
    expected.assert_eq(&problems(&text(more)));
}

fn check_argument(arguments: &str, expected: Expect) {
    check(&with(arguments), expected);
}

/// Returns what a Python file that has no problems makes of a node.
fn described(more: &str, name: &str) -> String {
    describe(&project(&text(more)).nodes[name])
}

fn describe(node: &Node) -> String {
    let python = node.python().expect("a Python node");
    let mut out = format!("{} at {}\n", node.kind_name(), node.location);
    let code = &python.code;
    let kind = if code.is_class { "class" } else { "function" };
    let _ = writeln!(out, "{kind} {} of {}, {:?}", code.object, code.path.display(), code.batch_format);
    for (index, input) in python.inputs.iter().enumerate() {
        let argument = python.arguments.get(index).map(|name| format!(" as {name}")).unwrap_or_default();
        let _ = writeln!(out, "reads {} ({:?}) at {}{argument}", input.reference, input.part, input.location);
    }
    let _ = writeln!(out, "{:?} {:?} {:?} rowwise {}", python.mode, python.rows, python.batch_size, python.rowwise);
    let _ = writeln!(out, "columns {:?} key {:?}", python.input_columns, python.key);
    for requirement in &python.requires {
        let _ = writeln!(out, "requires {:?} at {}", requirement.rule, requirement.location);
    }
    let _ = writeln!(out, "{:?} {:?}", python.on_error, node.config.error_limit);
    let _ = writeln!(out, "constructor {:?} {:?}", python.constructor_args, python.constructor_kwargs);
    let _ = writeln!(out, "call {:?} {:?}", python.fn_args, python.fn_kwargs);
    let _ = writeln!(out, "copies {} deterministic {:?}", python.copy_inputs, python.deterministic);
    let _ = writeln!(out, "{:?}", code.workers);
    let _ = writeln!(out, "{:?}", node.config);
    for column in &node.columns {
        let _ = writeln!(out, "column {} {:?} {:?}", column.name, column.data_type, column.description);
    }
    out
}

#[test]
fn a_class_is_read() {
    expect![[r#"
        python at transforms/ml/score.py:21:7
        class ScoreFlights of /p/transforms/ml/score.py, Pandas
        reads features (Result) at transforms/ml/score.py:10:15
        Batch OneToOne Rows(8192) rowwise true
        columns Some(["flight_id", "temp", "distance"]) key ["flight_id"]
        requires NotNull("temp") at transforms/ml/score.py:6:11
        requires NotNull("distance") at transforms/ml/score.py:6:19
        requires NotNull("hour") at transforms/ml/score.py:14:37
        requires Sql("distance > 0") at transforms/ml/score.py:14:53
        Quarantine Rate(0.02)
        constructor [Number(15), Object {"a": Array [Number(1), Null]}] {}
        call [] {"b": Number(-1.5)}
        copies false deterministic None
        WorkerSettings { concurrency: Some((1, 8)), num_cpus: 0.5, num_gpus: 0.0, memory: Some(2147483648), timeout: Some(30s), start_timeout: 60s, spawn: false }
        NodeConfig { materialized: Table, partition_by: [], sort_by: [SortKey { column: "flight_id", descending: true }], tags: ["all", "ml", "scoring"], owner: Some("ml-team"), description: Some("Chance of a late arrival."), retries: 5, error_limit: Rate(0.02), on_upstream_failure: Skip, on_volatile: Rebuild, incremental: None, origins: {"tags": "transforms/ml/score.py:19:10", "owner": "windlass.yml:6:29", "description": "transforms/models.yml:3:18", "sort_by": "transforms/ml/score.py:19:42", "retries": "transforms/ml/score.py:19:31", "max_error_rate": "transforms/ml/score.py:17:43"} }
        column flight_id Some("bigint") None
        column p_late Some("double") Some("From 0 to 1.")
    "#]].assert_eq(&described(SCORE, "score"));
}

#[test]
fn defaults_and_the_other_values() {
    expect![[r#"
        python at transforms/x.py:4:5
        function score of /p/transforms/x.py, Numpy
        reads features (Result) at transforms/x.py:2:22
        Batch OneToOne Auto rowwise true
        columns None key []
        Quarantine Rate(0.01)
        constructor [] {}
        call [] {}
        copies false deterministic None
        WorkerSettings { concurrency: None, num_cpus: 1.0, num_gpus: 0.0, memory: None, timeout: None, start_timeout: 300s, spawn: false }
        NodeConfig { materialized: Table, partition_by: [], sort_by: [], tags: ["all"], owner: None, description: None, retries: 2, error_limit: Rate(0.01), on_upstream_failure: Skip, on_volatile: Rebuild, incremental: None, origins: {"tags": "windlass.yml:5:10"} }
        column id Some("bigint") None
        column p Some("double") None
    "#]].assert_eq(&described(&with(""), "x"));
    let more = "mode=None, batch_size=\"auto\", batch_format=\"pyarrow\", rows=\"many\", rowwise=False, concurrency=[2, 2],\n\
                num_gpus=0.5, memory=1024, timeout=1.5, start=\"fork\", on_error=\"fail\", max_errors=3, key=\"id\",\n\
                zero_copy_batch=False, deterministic=False, fn_args=(1, {2}, var(\"nope\", default=\"x\")),\n\
                partition_by=var(\"columns\"), owner=\"me\" \"too\", description='a' + 'b'";
    expect![[r#"
        python at transforms/x.py:7:5
        function score of /p/transforms/x.py, Pyarrow
        reads features (Result) at transforms/x.py:2:22
        Batch Many Auto rowwise false
        columns None key ["id"]
        Fail Rows(3)
        constructor [] {}
        call [Number(1), Array [Number(2)], String("x")] {}
        copies true deterministic Some(false)
        WorkerSettings { concurrency: Some((2, 2)), num_cpus: 1.0, num_gpus: 0.5, memory: Some(1024), timeout: Some(1.5s), start_timeout: 300s, spawn: true }
        NodeConfig { materialized: Table, partition_by: ["a", "b"], sort_by: [], tags: ["all"], owner: Some("metoo"), description: Some("ab"), retries: 2, error_limit: Rows(3), on_upstream_failure: Skip, on_volatile: Rebuild, incremental: None, origins: {"tags": "windlass.yml:5:10", "partition_by": "transforms/x.py:6:14", "owner": "transforms/x.py:6:36", "description": "transforms/x.py:6:60", "max_errors": "transforms/x.py:4:83"} }
        column id Some("bigint") None
        column p Some("double") None
    "#]].assert_eq(&described(&with(more), "x"));
}

#[test]
fn tables_are_read() {
    let text = r#"
-- transforms/whole.py --
import windlass as w
@w.transform(inputs={"f": w.ref("features"), "e": w.ref("x__errors"), "w": w.source("nyc", "weather")},
             columns={"n": "bigint"}, mode="table", max_bytes="2GiB")
def whole(f, e, w): ...
-- transforms/one.py --
from windlass import *
@transform(source("nyc", "flights"), mode="table", columns={"n": "bigint"})
def one(flights): ...
"#;
    let text = format!("{}{}", text.trim_start(), with(""));
    expect![[r#"
        python at transforms/whole.py:4:5
        function whole of /p/transforms/whole.py, Numpy
        reads features (Result) at transforms/whole.py:2:33 as f
        reads x__errors (Errors) at transforms/whole.py:2:57 as e
        reads nyc.weather (Result) at transforms/whole.py:2:92 as w
        Table { max_bytes: 2147483648 } Many Auto rowwise false
        columns None key []
        Fail Rate(0.01)
        constructor [] {}
        call [] {}
        copies false deterministic None
        WorkerSettings { concurrency: None, num_cpus: 1.0, num_gpus: 0.0, memory: None, timeout: None, start_timeout: 300s, spawn: false }
        NodeConfig { materialized: Table, partition_by: [], sort_by: [], tags: ["all"], owner: None, description: None, retries: 2, error_limit: Rate(0.01), on_upstream_failure: Skip, on_volatile: Rebuild, incremental: None, origins: {"tags": "windlass.yml:5:10"} }
        column n Some("bigint") None
    "#]].assert_eq(&described(&text, "whole"));
    expect![[r#"
        python at transforms/one.py:3:5
        function one of /p/transforms/one.py, Numpy
        reads nyc.flights (Result) at transforms/one.py:2:26 as input
        Table { max_bytes: 1073741824 } Many Auto rowwise false
        columns None key []
        Fail Rate(0.01)
        constructor [] {}
        call [] {}
        copies false deterministic None
        WorkerSettings { concurrency: None, num_cpus: 1.0, num_gpus: 0.0, memory: None, timeout: None, start_timeout: 300s, spawn: false }
        NodeConfig { materialized: Table, partition_by: [], sort_by: [], tags: ["all"], owner: None, description: None, retries: 2, error_limit: Rate(0.01), on_upstream_failure: Skip, on_volatile: Rebuild, incremental: None, origins: {"tags": "windlass.yml:5:10"} }
        column n Some("bigint") None
    "#]].assert_eq(&described(&text, "one"));
}

#[test]
fn forms_of_definition() {
    let head = "from windlass import ref, transform as t\nARGS = {\"id\": \"bigint\"}\n";
    let lib = "-- lib/scoring.py --\nclass Scorer: ...\ndef lower(batch): ...\nfrom deep import Other as other\n-- lib/deep.py --\nclass Other: ...\n";
    for (body, object, is_class) in [
        ("@t(ref('features'), columns=ARGS)\ndef f(batch): ...", "f", false),
        ("@t(ref('features'), columns=ARGS)\nclass F(Base): ...", "F", true),
        ("from scoring import Scorer\nscore = t(ref('features'), columns=ARGS)(Scorer)", "Scorer", true),
        ("from scoring import lower as Upper\nt(ref('features'), columns=ARGS)(Upper)", "Upper", false),
        ("from scoring import other\nt(ref('features'), columns=ARGS)(other)", "other", true),
        ("from package import Scorer\nx: object = t(ref('features'), columns=ARGS)(Scorer)", "Scorer", true),
        ("from package import scorer\nt(ref('features'), columns=ARGS)(scorer)", "scorer", false),
        ("import package\nscore = t(ref('features'), columns=ARGS)(package.Scorer)", "score", false),
        ("class F:\n    def __call__(self, b): ...\nt(ref('features'), columns=ARGS)(F)", "F", true),
    ] {
        let project = project(&text(&format!("-- transforms/x.py --\n{head}{body}\n{lib}")));
        let code = &project.nodes["x"].python().unwrap().code;
        assert_eq!((code.object.as_str(), code.is_class), (object, is_class), "{body}");
    }
}

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

#[test]
fn arguments_that_do_not_fit() {
    check_argument(
        "batch_sise=1, compute=2, zzz=3, tags=['a'], tags=['b']",
        expect![[r#"
            error[E0402]: unknown argument `batch_sise` of `@transform`
              transforms/x.py:3:5
              |     batch_sise=1, compute=2, zzz=3, tags=['a'], tags=['b'])
              |     ^^^^^^^^^^ did you mean `batch_size`?
              node: x
            error[E0402]: unknown argument `compute` of `@transform`
              transforms/x.py:3:19
              |     batch_sise=1, compute=2, zzz=3, tags=['a'], tags=['b'])
              |                   ^^^^^^^
              hint: write `concurrency=(1, 8)`
              node: x
            error[E0402]: unknown argument `zzz` of `@transform`
              transforms/x.py:3:30
              |     batch_sise=1, compute=2, zzz=3, tags=['a'], tags=['b'])
              |                              ^^^
              hint: known arguments: `batch_format`, `batch_intervals`, `batch_size`, `columns`, `concurrency`, `description`, `deterministic`, `end`, `fn_args`, `fn_constructor_args`, `fn_constructor_kwargs`, `fn_kwargs`, `input`, `input_columns`, `inputs`, `interval`, `key`, `lookback`, `materialized`, `max_bytes`, `max_error_rate`, `max_errors`, `memory`, `mode`, `num_cpus`, `num_gpus`, `on_definition_change`, `on_error`, `on_upstream_failure`, `owner`, `partition_by`, `requires`, `retries`, `rows`, `rowwise`, `sort_by`, `start`, `start_timeout`, `strategy`, `tags`, `time_column`, `timeout`, `zero_copy_batch`
              node: x
            error[E0402]: the argument `tags` is given twice
              transforms/x.py:3:49
              |     batch_sise=1, compute=2, zzz=3, tags=['a'], tags=['b'])
              |                                                 ^^^^ again here
              transforms/x.py:3:37
              |     batch_sise=1, compute=2, zzz=3, tags=['a'], tags=['b'])
              |                                     ---- first here
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "mode='tabel', rows='all', batch_format='arrow', start=1, on_error='skip', rowwise=1",
        expect![[r#"
            error[E0402]: expected `"fork"` or `"spawn"` for `start`, found `1`
              transforms/x.py:3:59
              |     mode='tabel', rows='all', batch_format='arrow', start=1, on_error='skip', rowwise=1)
              |                                                           ^
              node: x
            error[E0402]: expected `"numpy"`, `"pandas"`, `"polars"` or `"pyarrow"` for `batch_format`, found `"arrow"`
              transforms/x.py:3:44
              |     mode='tabel', rows='all', batch_format='arrow', start=1, on_error='skip', rowwise=1)
              |                                            ^^^^^^^
              node: x
            error[E0402]: expected `"batch"` or `"table"` for `mode`, found `"tabel"`
              transforms/x.py:3:10
              |     mode='tabel', rows='all', batch_format='arrow', start=1, on_error='skip', rowwise=1)
              |          ^^^^^^^ did you mean `"table"`?
              node: x
            error[E0402]: expected `"one_to_one"` or `"many"` for `rows`, found `"all"`
              transforms/x.py:3:24
              |     mode='tabel', rows='all', batch_format='arrow', start=1, on_error='skip', rowwise=1)
              |                        ^^^^^
              node: x
            error[E0402]: expected `True` or `False` for `rowwise`, found `1`
              transforms/x.py:3:87
              |     mode='tabel', rows='all', batch_format='arrow', start=1, on_error='skip', rowwise=1)
              |                                                                                       ^
              node: x
            error[E0402]: expected `"quarantine"`, `"fail"` or `"null"` for `on_error`, found `"skip"`
              transforms/x.py:3:71
              |     mode='tabel', rows='all', batch_format='arrow', start=1, on_error='skip', rowwise=1)
              |                                                                       ^^^^^^
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "batch_size=0, concurrency=(8, 1), num_cpus=0, num_gpus=-1, memory='2 Gib!', timeout='30x'",
        expect![[r#"
            error[E0402]: expected a number above 0 for `num_cpus`, found `0`
              transforms/x.py:3:48
              |     batch_size=0, concurrency=(8, 1), num_cpus=0, num_gpus=-1, memory='2 Gib!', timeout='30x')
              |                                                ^
              node: x
            error[E0402]: expected a number from 0 for `num_gpus`, found `-1`
              transforms/x.py:3:60
              |     batch_size=0, concurrency=(8, 1), num_cpus=0, num_gpus=-1, memory='2 Gib!', timeout='30x')
              |                                                            ^^
              node: x
            error[E0402]: expected a number of workers such as `4`, or fewest and most such as `(1, 8)` for `concurrency`, found a tuple
              transforms/x.py:3:31
              |     batch_size=0, concurrency=(8, 1), num_cpus=0, num_gpus=-1, memory='2 Gib!', timeout='30x')
              |                               ^^^^^^
              node: x
            error[E0402]: expected a size such as `"2GiB"` for `memory`, found `"2 Gib!"`
              transforms/x.py:3:71
              |     batch_size=0, concurrency=(8, 1), num_cpus=0, num_gpus=-1, memory='2 Gib!', timeout='30x')
              |                                                                       ^^^^^^^^
              node: x
            error[E0402]: expected a time such as `"30s"`, or seconds for `timeout`, found `"30x"`
              transforms/x.py:3:89
              |     batch_size=0, concurrency=(8, 1), num_cpus=0, num_gpus=-1, memory='2 Gib!', timeout='30x')
              |                                                                                         ^^^^^
              node: x
            error[E0402]: expected a number of rows from 1, or `"auto"` for `batch_size`, found `0`
              transforms/x.py:3:16
              |     batch_size=0, concurrency=(8, 1), num_cpus=0, num_gpus=-1, memory='2 Gib!', timeout='30x')
              |                ^
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a']",
        expect![[r#"
            error[E0402]: expected a time such as `"30s"`, or seconds for `start_timeout`, found `0`
              transforms/x.py:3:19
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                   ^
              node: x
            error[E0402]: expected a text for `owner`, found a list
              transforms/x.py:3:89
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                                                                                         ^^^^^
              node: x
            error[E0402]: expected a whole number from 0 for `retries`, found `"2"`
              transforms/x.py:3:68
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                                                                    ^^^
              node: x
            error[E0402]: expected a text for `tags`, found `1`
              transforms/x.py:3:79
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                                                                               ^
              node: x
            error[E0402]: expected a whole number from 0 for `max_errors`, found `-1`
              transforms/x.py:3:56
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                                                        ^^
              node: x
            error[E0402]: expected a share from `"0%"` to `"100%"` for `max_error_rate`, found `"200%"`
              transforms/x.py:3:37
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                                     ^^^^^^
              node: x
            error[E0402]: `max_errors` and `max_error_rate` are two answers to one question
              transforms/x.py:3:56
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                                                        ^^
              transforms/x.py:3:37
              |     start_timeout=0, max_error_rate='200%', max_errors=-1, retries='2', tags=[1], owner=['a'])
              |                                     ------ also here
              hint: keep one of them
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "sort_by='a sideways', partition_by=['a', 'a'], description=1, input_columns={'a'}",
        expect![[r#"
            error[E0402]: expected a text for `description`, found `1`
              transforms/x.py:3:64
              |     sort_by='a sideways', partition_by=['a', 'a'], description=1, input_columns={'a'})
              |                                                                ^
              node: x
            error[E0203]: `partition_by` names column `a` twice
              transforms/x.py:3:40
              |     sort_by='a sideways', partition_by=['a', 'a'], description=1, input_columns={'a'})
              |                                        ^^^^^^^^^^
              node: x
            error[E0203]: expected `column`, `column asc` or `column desc` for `sort_by`, found `a sideways`
              transforms/x.py:3:13
              |     sort_by='a sideways', partition_by=['a', 'a'], description=1, input_columns={'a'})
              |             ^^^^^^^^^^^^
              node: x
            error[E0402]: expected a text or a list of texts for `input_columns`, found a set
              transforms/x.py:3:81
              |     sort_by='a sideways', partition_by=['a', 'a'], description=1, input_columns={'a'})
              |                                                                                 ^^^^^
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "fn_args=1, fn_kwargs=[1], max_error_rate='many', zero_copy_batch='no', deterministic=0",
        expect![[r#"
            error[E0402]: expected a share such as `"2%"` or `0.02` for `max_error_rate`, found `"many"`
              transforms/x.py:3:46
              |     fn_args=1, fn_kwargs=[1], max_error_rate='many', zero_copy_batch='no', deterministic=0)
              |                                              ^^^^^^
              node: x
            error[E0402]: expected a list for `fn_args`, found `1`
              transforms/x.py:3:13
              |     fn_args=1, fn_kwargs=[1], max_error_rate='many', zero_copy_batch='no', deterministic=0)
              |             ^
              node: x
            error[E0402]: expected a dict for `fn_kwargs`, found a list
              transforms/x.py:3:26
              |     fn_args=1, fn_kwargs=[1], max_error_rate='many', zero_copy_batch='no', deterministic=0)
              |                          ^^^
              node: x
            error[E0402]: expected `True` or `False` for `zero_copy_batch`, found `"no"`
              transforms/x.py:3:70
              |     fn_args=1, fn_kwargs=[1], max_error_rate='many', zero_copy_batch='no', deterministic=0)
              |                                                                      ^^^^
              node: x
            error[E0402]: expected `True` or `False` for `deterministic`, found `0`
              transforms/x.py:3:90
              |     fn_args=1, fn_kwargs=[1], max_error_rate='many', zero_copy_batch='no', deterministic=0)
              |                                                                                          ^
              node: x
            broken: x
        "#]],
    );
}

#[test]
fn arguments_that_depend_on_each_other() {
    check_argument(
        "on_error='null'",
        expect![[r#"
            error[E0402]: `on_error="null"` needs `key`
              transforms/x.py:3:14
              |     on_error='null')
              |              ^^^^^^
              hint: rows that fail keep their key columns, so that they can be told apart
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "on_error='null', key=['id'], rows='many'",
        expect![[r#"
            error[E0402]: `on_error="null"` does not go with `rows="many"`
              transforms/x.py:3:14
              |     on_error='null', key=['id'], rows='many')
              |              ^^^^^^
              transforms/x.py:3:39
              |     on_error='null', key=['id'], rows='many')
              |                                       ------ any number of rows
              hint: a row that fails has no row of its own in the result: use `on_error="quarantine"`
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "max_errors=1, max_error_rate=0.5, max_bytes='1GiB'",
        expect![[r#"
            error[E0402]: `max_bytes` applies to `mode="table"` alone
              transforms/x.py:3:39
              |     max_errors=1, max_error_rate=0.5, max_bytes='1GiB')
              |                                       ^^^^^^^^^
              hint: remove the argument
              node: x
            error[E0402]: `max_errors` and `max_error_rate` are two answers to one question
              transforms/x.py:3:16
              |     max_errors=1, max_error_rate=0.5, max_bytes='1GiB')
              |                ^
              transforms/x.py:3:34
              |     max_errors=1, max_error_rate=0.5, max_bytes='1GiB')
              |                                  --- also here
              hint: keep one of them
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "inputs={'f': ref('features')}",
        expect![[r#"
            error[E0402]: `input` and `inputs` are given
              transforms/x.py:3:5
              |     inputs={'f': ref('features')})
              |     ^^^^^^
              transforms/x.py:2:12
              | @transform(input=ref("features"), columns={"id": "bigint", "p": "double"},
              |            ----- also here
              hint: keep one of them
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "mode='table', rows='many', batch_size=5, on_error='quarantine', requires={}",
        expect![[r#"
            error[E0402]: `mode="table"` has no rows that could fail one by one
              transforms/x.py:3:55
              |     mode='table', rows='many', batch_size=5, on_error='quarantine', requires={})
              |                                                       ^^^^^^^^^^^^
              hint: an exception fails the node: write `on_error="fail"`, or leave it out
              node: x
            error[E0402]: `batch_size` does not apply to `mode="table"`
              transforms/x.py:3:32
              |     mode='table', rows='many', batch_size=5, on_error='quarantine', requires={})
              |                                ^^^^^^^^^^
              hint: remove the argument
              node: x
            error[E0402]: `requires` does not apply to `mode="table"`
              transforms/x.py:3:69
              |     mode='table', rows='many', batch_size=5, on_error='quarantine', requires={})
              |                                                                     ^^^^^^^^
              hint: remove the argument
              node: x
            error[E0402]: `rows` does not apply to `mode="table"`
              transforms/x.py:3:19
              |     mode='table', rows='many', batch_size=5, on_error='quarantine', requires={})
              |                   ^^^^
              hint: remove the argument
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "key=['ip', 'zzz', 'zzz']",
        expect![[r#"
            error[E0402]: `key` names column `zzz` twice
              transforms/x.py:3:23
              |     key=['ip', 'zzz', 'zzz'])
              |                       ^^^^^
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "key=['ip', 'zzz']",
        expect![[r#"
            error[E0402]: `key` names `ip`, which `columns` does not have
              transforms/x.py:3:10
              |     key=['ip', 'zzz'])
              |          ^^^^ did you mean `p`?
              node: x
            error[E0402]: `key` names `zzz`, which `columns` does not have
              transforms/x.py:3:16
              |     key=['ip', 'zzz'])
              |                ^^^^^
              hint: the result keeps its key; its columns are `id`, `p`
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "requires={'not_nul': ['a'], 'sql': [1], 1: 2}",
        expect![[r#"
            error[E0402]: expected `"not_null"` or `"sql"` for `requires`, found `"not_nul"`
              transforms/x.py:3:15
              |     requires={'not_nul': ['a'], 'sql': [1], 1: 2})
              |               ^^^^^^^^^ did you mean `"not_null"`?
              node: x
            error[E0402]: expected a text for `requires`, found `1`
              transforms/x.py:3:41
              |     requires={'not_nul': ['a'], 'sql': [1], 1: 2})
              |                                         ^
              node: x
            error[E0402]: expected `"not_null"` or `"sql"` for `requires`, found `1`
              transforms/x.py:3:45
              |     requires={'not_nul': ['a'], 'sql': [1], 1: 2})
              |                                             ^
              hint: write `requires={"not_null": ["a"], "sql": ["b > 0"]}`
              node: x
            broken: x
        "#]],
    );
    check_argument(
        "requires=['a'], key=1",
        expect![[r#"
            error[E0402]: expected a text or a list of texts for `key`, found `1`
              transforms/x.py:3:25
              |     requires=['a'], key=1)
              |                         ^
              node: x
            error[E0402]: expected a dict for `requires`, found a list
              transforms/x.py:3:14
              |     requires=['a'], key=1)
              |              ^^^^^
              hint: write `requires={"not_null": ["a"], "sql": ["b > 0"]}`
              node: x
            broken: x
        "#]],
    );
}

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

#[test]
fn error_tables() {
    let text =
        format!("{}-- transforms/r.sql --\nselect 1 from {{{{ ref('x') }}}}, {{{{ ref('x__errors') }}}}\n", with(""));
    let loaded = project(&super::tests::text(&text));
    let inputs = loaded.nodes["r"].inputs();
    let read: Vec<_> = inputs.iter().map(|input| (input.node.as_str(), input.part, input.table())).collect();
    assert_eq!(read, [("x", InputPart::Result, "x".to_owned()), ("x", InputPart::Errors, "x__errors".to_owned())]);
    assert_eq!(inputs[1].reference, "x__errors");
    assert_eq!(loaded.graph.parents("r"), ["x"]);
    let taken = format!("{}-- transforms/x__errors.sql --\nselect 1\n", with(""));
    check(
        &taken,
        expect![[r#"
        error[E0205]: `x__errors` is the error table of `x`
          transforms/x__errors.sql:1:1
          | select 1
          | ^
          transforms/x.py:4:5
          | def score(batch):
          |     ----- its rows that fail go there
          hint: give this node another name
          node: x__errors
        broken: x__errors
    "#]],
    );
    let free = format!("{}-- transforms/x__errors.sql --\nselect 1\n", with("on_error='fail'"));
    check(&free, expect![[r#""#]]);
    check(
        &format!("{}-- transforms/r.sql --\nselect 1 from {{{{ ref('x__errors') }}}}\n", with("on_error='fail'")),
        expect![[r#"
            error[E0302]: `x` has no error table
              transforms/r.sql:1:22
              | select 1 from {{ ref('x__errors') }}
              |                      ^^^^^^^^^^^
              hint: Python transforms of batches with `on_error="quarantine"` have one, and tables with a check of `on_fail: quarantine` or that score with a model
              node: r
            broken: r
        "#]],
    );
}

#[test]
fn properties_beside() {
    let beside = |yaml: &str| format!("{}-- transforms/p.yml --\ntransforms: {{x: {yaml}}}\n", with(""));
    check(&beside("{columns: {id: BIGINT, p: {description: b}}, tags: [a], retries: 1}"), expect![""]);
    check(
        &beside("{columns: {id: varchar, q: {}, zzz: int}}"),
        expect![[r#"
            error[E0203]: column `id` is declared as `bigint` and as `varchar`
              transforms/p.yml:1:28
              | transforms: {x: {columns: {id: varchar, q: {}, zzz: int}}}
              |                            ^^
              transforms/x.py:2:44
              | @transform(input=ref("features"), columns={"id": "bigint", "p": "double"},
              |                                            ---- declared here
              hint: the type in the Python file decides: remove the one beside it
              node: x
            error[E0203]: the Python file declares no column `q`
              transforms/p.yml:1:41
              | transforms: {x: {columns: {id: varchar, q: {}, zzz: int}}}
              |                                         ^
              hint: its `columns` are `id`, `p`
              node: x
            error[E0203]: the Python file declares no column `zzz`
              transforms/p.yml:1:48
              | transforms: {x: {columns: {id: varchar, q: {}, zzz: int}}}
              |                                                ^^^
              hint: its `columns` are `id`, `p`
              node: x
            broken: x
        "#]],
    );
    check(&beside("{materialized: table}"), expect![""]);
    check(
        &beside("{config: {materialized: view}, delimiter: x}"),
        expect![[r#"
            error[E0202]: unknown key `delimiter` in the properties of `x`
              transforms/p.yml:1:48
              | transforms: {x: {config: {materialized: view}, delimiter: x}}
              |                                                ^^^^^^^^^
              hint: known keys: `batch_intervals`, `description`, `end`, `interval`, `lookback`, `materialized`, `max_error_rate`, `max_errors`, `on_definition_change`, `on_upstream_failure`, `on_volatile`, `owner`, `partition_by`, `retries`, `sort_by`, `start`, `strategy`, `tags`, `time_column`, `columns`, `config`, `checks`, `tests`, `data_tests`
              node: x
            error[E0203]: expected `table` or `incremental` for `materialized`, found `view`
              transforms/p.yml:1:41
              | transforms: {x: {config: {materialized: view}, delimiter: x}}
              |                                         ^^^^
              hint: what Python computes is always published
              node: x
            broken: x
        "#]],
    );
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
    let both = format!("{}-- transforms/x.sql --\nselect 1\n-- transforms/y.py --\nx = (\n", with(""));
    check(
        &both,
        expect![[r#"
            error[E0205]: duplicate node `x`
              transforms/x.sql:1:1
              | select 1
              | ^ again here
              transforms/x.py:1:1
              | from windlass import ref, source, transform, var
              | - first here
              note: `transforms/x.py` and `transforms/x.sql`
              hint: a node is named after its file, whatever its folder; rename one
              node: x
            error[E0401]: the Python file cannot be parsed: unexpected EOF while parsing
              transforms/y.py:2:1
              | 
              | ^
              node: y
            broken: x, y
        "#]],
    );
}

#[test]
fn selections_and_the_graph_know_python() {
    let project = project(&text(SCORE));
    for (selection, expected) in [
        ("kind:python", "score"),
        ("kind:transform", "features, score, late"),
        ("kind:table", "score"),
        ("config.materialized:table", "score"),
        ("tag:scoring+", "score, late"),
        ("path:transforms/ml/score.py", "score"),
        ("owner:ml-team", "features, score, late"),
        ("+late", "features, score, late"),
    ] {
        let names = Selection::parse(selection).unwrap().apply(&project).unwrap();
        assert_eq!(names.into_iter().collect::<Vec<_>>().join(", "), expected, "{selection}");
    }
    assert!(project.functions.is_empty());
    assert_eq!(project.lib, [std::path::PathBuf::from("/p/lib")]);
    assert!(matches!(project.nodes["score"].kind, NodeKind::Python(_)));
}

#[test]
fn a_broken_python_file_leaves_the_others() {
    let loaded = load(&text(&format!("{}-- transforms/bad.py --\nx = (\n", with(""))));
    assert_eq!(loaded.broken, ["bad"]);
    assert!(loaded.blockers("x").is_empty());
    assert!(loaded.project.expect("it loads").nodes.contains_key("x"));
}

#[test]
fn deep_files_do_not_overflow() {
    let chain = |terms: usize| format!("x = {}", vec!["1"; terms].join(" + "));
    for (line, is_too_deep) in [
        (chain(20_000), true),
        (chain(4_900), false),
        (format!("x = {}1{}", "(".repeat(5_000), ")".repeat(5_000)), false),
        (format!("x = {}1", "-".repeat(20_000)), true),
        (format!("x = {}1", "-".repeat(4_900)), false),
        (format!("x = a{}", ".b(1)".repeat(10_000)), true),
        (format!("x = a{}", ".b(1)".repeat(2_000)), false),
        (format!("x = {}1{}", "[".repeat(4_900), "]".repeat(4_900)), false),
    ] {
        let loaded = load(&text(&with("fn_args=x").replace("@transform", &format!("{line}\n@transform"))));
        let found = loaded.diagnostics.iter().any(|problem| problem.message == "the Python file is nested too deep");
        assert_eq!(found, is_too_deep, "{}", &line[..40]);
    }
}

proptest! {
    #[test]
    fn broken_files_never_panic(
        cut in any::<prop::sample::Index>(),
        length in 0..12_usize,
        put in "[-a-z0-9_()\\[\\]{}:,.=+*@#'\"\\\\ \\n\u{e9}]{0,6}",
        is_block in any::<bool>(),
    ) {
        let block = "# /// script\n# dependencies = ['a>=1', 'b']\n# requires-python = '>=3.11'\n# ///\n";
        let block = if is_block { block } else { "" };
        let file = SCORE.trim_start().replace("\"\"\"Scores", &format!("{block}\"\"\"Scores"));
        let (head, body) = file.split_once('\n').unwrap();
        let (body, rest) = body.split_once("-- lib").unwrap();
        let start = cut.index(body.len());
        let end = (start + length).min(body.len());
        let text = text(&format!("{head}\n{}{put}{}\n-- lib{rest}", &body[..start], &body[end..]));
        // Rendering slices every place out of its file.
        problems(&text);
    }
}
