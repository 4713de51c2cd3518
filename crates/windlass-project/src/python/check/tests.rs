//! What `@check` says, and what is wrong with it.

use expect_test::{Expect, expect};

use crate::checks::CheckKind;
use crate::fixture::{problems, project};

const BASE: &str = "\
-- windlass.yml --
name: shop
vars: {limit: 15}
-- sources.yml --
sources:
  raw: {path: 'data/{name}.parquet', tables: [orders]}
-- transforms/orders.sql --
select 1 as id, 2.0 as amount
-- transforms/view.sql --
{{ config(materialized='view') }}
select 1 as id
-- lib/rules.py --
LIMIT = 3
";

/// Returns a file with one check that has these arguments.
fn with(arguments: &str) -> String {
    format!(
        "-- checks/x.py --\nfrom windlass import check, ref, source, var\n@check({arguments})\ndef good(batch):\n    return batch[\"amount\"] > 0\n"
    )
}

fn wrong(more: &str, expected: Expect) {
    expected.assert_eq(&problems(&format!("{BASE}{more}")));
}

fn described(more: &str, node: &str) -> String {
    let project = project(&format!("{BASE}{more}"));
    let mut text = String::new();
    for check in &project.nodes[node].checks {
        let CheckKind::Python(python) = &check.kind else { continue };
        let columns = python.columns.as_ref().map(|all| all.iter().map(|one| one.text.as_str()).collect::<Vec<_>>());
        let files: Vec<&String> = python.code.sources.keys().collect();
        text += &format!(
            "{} {} column={:?} {:?} {:?} error {} warn {} where={:?} limit={:?} shows={} stores={}\n",
            check.name,
            check.kind.name(),
            check.column,
            check.severity,
            check.on_fail,
            check.error_if,
            check.warn_if,
            check.filter.as_ref().map(|filter| &filter.text),
            check.limit,
            check.sample_rows,
            check.store_failures,
        );
        text += &format!(
            "  {} class={} {:?} {:?} {columns:?} args={:?} {:?} volatile={} files={files:?} at {}\n",
            python.code.object,
            python.code.is_class,
            python.code.batch_format,
            python.batch_size,
            python.constructor_args,
            python.fn_kwargs,
            python.is_volatile(),
            check.location,
        );
    }
    text
}

fn identity(more: &str) -> String {
    let project = project(&format!("{BASE}{more}"));
    project.nodes["orders"].checks[0].identity()
}

#[test]
fn checks_are_read_without_running_them() {
    let more = r#"
-- checks/money.py --
# /// script
# dependencies = ["numpy"]
# ///
from datetime import datetime

import windlass
from windlass import ref, source, var
from rules import LIMIT


@windlass.check(ref("orders"), columns="amount", severity="warn", max_rate="0.1%", where="id > 0", limit=7,
                sample_rows=3, store_failures=True, batch_format="pyarrow", batch_size=100)
def positive(batch):
    return batch["amount"] > LIMIT


@windlass.check(input=ref("orders"), name="known", columns=["id", "amount"], error_if="> 10", fn_constructor_args=[var("limit")],
                fn_kwargs={"strict": True}, on_fail="error")
class Known:
    def __init__(self, limit): ...
    def __call__(self, batch, strict): return batch["id"] > datetime.now().year


@windlass.check(input=source("raw", "orders"), deterministic=False)
def anything(batch):
    return batch["id"] > 0
"#;
    expect![[r#"
        positive python column=Some("amount") Warn Warn error > 0.1 % warn > 0.1 % where=Some("id > 0") limit=Some(7) shows=3 stores=true
          positive class=false Pyarrow Rows(100) Some(["amount"]) args=[] {} volatile=true files=["checks/money.py", "lib/rules.py"] at checks/money.py:13:5
        known python column=None Error Error error > 10 warn <> 0 where=None limit=None shows=5 stores=false
          Known class=true Numpy Auto Some(["id", "amount"]) args=[Number(15)] {"strict": Bool(true)} volatile=true files=["checks/money.py", "lib/rules.py"] at checks/money.py:19:7
    "#]].assert_eq(&described(more, "orders"));
    expect![[r#"
        anything python column=None Error Error error <> 0 warn <> 0 where=None limit=None shows=5 stores=false
          anything class=false Numpy Auto None args=[] {} volatile=true files=["checks/money.py", "lib/rules.py"] at checks/money.py:25:5
    "#]].assert_eq(&described(more, "raw.orders"));
}

#[test]
fn mistakes_stand_at_their_lines() {
    wrong(
        &with("input=ref(\"order\")"),
        expect![[r#"
        error[E0302]: no node `order`
          checks/x.py:2:18
          | @check(input=ref("order"))
          |                  ^^^^^^^ did you mean `orders`?
          hint: a node is named after its file in `transforms/` or `seeds/`
    "#]],
    );
    wrong(
        &with("input=source(\"raw\", \"order\")"),
        expect![[r#"
        error[E0303]: source `raw` has no table `order`
          checks/x.py:2:28
          | @check(input=source("raw", "order"))
          |                            ^^^^^^^ did you mean `orders`?
          hint: declare the table in `sources.yml`
    "#]],
    );
    wrong(
        &with("input=\"orders\""),
        expect![[r#"
        error[E0402]: expected `ref(...)` or `source(...)` for `input`, found `"orders"`
          checks/x.py:2:14
          | @check(input="orders")
          |              ^^^^^^^^
          hint: write `ref("a_table")` or `source("a_source", "a_table")`
    "#]],
    );
    wrong(
        &with("columns=[\"amount\"]"),
        expect![[r#"
        error[E0204]: `@check` needs the argument `input`
          checks/x.py:2:2
          | @check(columns=["amount"])
          |  ^^^^^^^^^^^^^^^^^^^^^^^^^
          hint: write `@check(input=ref("a_table"))` above a function or class
    "#]],
    );
    wrong(
        &with("input=ref(\"orders\"), severity=\"warning\", max_rate=\"5\", max_rows=3, store_failures=\"maybe\""),
        expect![[r#"
            error[E0203]: expected a share such as `3%` or `0.03` for `max_rate`, found `5`
              checks/x.py:2:58
              | @check(input=ref("orders"), severity="warning", max_rate="5", max_rows=3, store_failures="maybe")
              |                                                          ^^^
            error[E0203]: expected one of `error`, `warn` for `severity`, found `warning`
              checks/x.py:2:38
              | @check(input=ref("orders"), severity="warning", max_rate="5", max_rows=3, store_failures="maybe")
              |                                      ^^^^^^^^^ did you mean `warn`?
            error[E0203]: expected `true` or `false` for `store_failures`, found `maybe`
              checks/x.py:2:90
              | @check(input=ref("orders"), severity="warning", max_rate="5", max_rows=3, store_failures="maybe")
              |                                                                                          ^^^^^^^
        "#]],
    );
    wrong(
        &with("input=ref(\"orders\"), columns=[], colums=[\"a\"], limit=[1]"),
        expect![[r#"
        error[E0402]: unknown argument `colums` of `@check`
          checks/x.py:2:41
          | @check(input=ref("orders"), columns=[], colums=["a"], limit=[1])
          |                                         ^^^^^^ did you mean `columns`?
        error[E0402]: expected a text, a number, `True` or `False` for `limit`, found a list
          checks/x.py:2:61
          | @check(input=ref("orders"), columns=[], colums=["a"], limit=[1])
          |                                                             ^^^
        error[E0402]: `columns` is empty
          checks/x.py:2:37
          | @check(input=ref("orders"), columns=[], colums=["a"], limit=[1])
          |                                     ^^
          hint: name the columns that the code reads, or leave it out to get all
    "#]],
    );
    wrong(
        &with("input=ref(\"orders\"), deterministic=False, on_fail=\"quarantine\""),
        expect![[r#"
            error[E0603]: check `good` cannot quarantine rows: good is declared `deterministic=False`, so other rows would leave every time
              checks/x.py:3:5
              | def good(batch):
              |     ^^^^
              hint: add `deterministic=True` where equal rows get equal answers, or use `on_fail="warn"`
              node: orders
            broken: orders
        "#]],
    );
    wrong(
        &with("input=ref(\"orders__errors\")"),
        expect![[r#"
        error[E0302]: `orders` has no error table
          checks/x.py:2:18
          | @check(input=ref("orders__errors"))
          |                  ^^^^^^^^^^^^^^^^
          hint: Python transforms of batches with `on_error="quarantine"` have one, and tables with a check of `on_fail: quarantine` or that score with a model
    "#]],
    );
    wrong(
        "-- checks/x.py --\nfrom windlass import check, ref\n@check\ndef good(batch): ...\n",
        expect![[r#"
        error[E0204]: `@check` needs the argument `input`
          checks/x.py:2:2
          | @check
          |  ^^^^^
          hint: write `@check(input=ref("a_table"))` above a function or class
    "#]],
    );
    wrong(
        "-- checks/x.py --\nfrom windlass import ref\n@check(input=ref('orders'))\ndef good(batch): ...\n",
        expect![[r#"
            warning[E0603]: `checks/x.py` defines no check
              checks/x.py:1:1
              | from windlass import ref
              | ^
              hint: import the decorator: `from windlass import check`
        "#]],
    );
    wrong(
        "-- checks/x.py --\nfrom windlass import check, ref\n@check(input=ref('orders'))\ndef good(): ...\n",
        expect![[r#"
            error[E0402]: `good` takes no argument
              checks/x.py:3:5
              | def good(): ...
              |     ^^^^
              hint: it gets its input as the first one: `def good(batch):`
        "#]],
    );
    wrong(
        "-- checks/x.py --\nfrom windlass import check, ref\ndef good(:\n",
        expect![[r#"
        error[E0401]: the Python file cannot be parsed: expected a parameter or the end of the parameter list
          checks/x.py:2:10
          | def good(:
          |          ^
    "#]],
    );
    let twice = "-- checks/x.py --\nfrom windlass import check, ref\n@check(input=ref('orders'))\ndef good(batch): ...\n\
                 -- checks/y.py --\nfrom windlass import check, ref\n@check(ref('orders'))\ndef good(batch): ...\n";
    wrong(
        twice,
        expect![[r#"
        error[E0205]: duplicate check `good`
          checks/y.py:3:5
          | def good(batch): ...
          |     ^^^^ again here
          checks/x.py:3:5
          | def good(batch): ...
          |     ---- first here
          node: orders
        broken: orders
    "#]],
    );
}

#[test]
fn a_check_is_what_its_code_says() {
    let before = identity(&with("input=ref(\"orders\")"));
    for same in
        ["input=ref(\"orders\"), sample_rows=3, concurrency=2, batch_size=10", "input=ref(\"orders\"), memory=\"1GiB\""]
    {
        assert_eq!(identity(&with(same)), before, "{same}");
    }
    let with_lib = with("input=ref(\"orders\")").replace("from windlass", "import rules\nfrom windlass");
    for other in [
        with("input=ref(\"orders\"), max_rows=3"),
        with("input=ref(\"orders\"), columns=[\"amount\"]"),
        with("input=ref(\"orders\"), fn_kwargs={\"a\": 1}"),
        with("input=ref(\"orders\")").replace("> 0", "> 1"),
        with_lib.clone(),
    ] {
        assert_ne!(identity(&other), before, "{other}");
    }
    let changed = identity(&format!("{with_lib}-- lib/rules.py --\nLIMIT = 4\n"));
    assert_ne!(changed, identity(&with_lib));
}
