//! Checks in Python: `checks/*.py`.

use expect_test::expect;
use serde_json::Value;

use crate::support::Project;

const ORDERS: &str = r#"
-- sources.yml --
sources:
  raw: {path: 'data/{name}.csv', tables: {prices: {columns: {id: bigint, price: double}}}}
-- data/prices.csv --
id,price
1,2.5
2,-1
-- transforms/orders.sql --
select value as id, value * 2 as doubled, case when value = 97 then null else value * 0.5 end as amount
from generate_series(1, 100) t(value)
-- transforms/customers.sql --
{{ config(materialized='view') }}
select 1 as id, 'ada' as name
-- lib/limits.py --
MOST = 49
-- checks/money.py --
from windlass import check, ref, reject, source

import limits


@check(input=ref("orders"), columns=["amount"], severity="warn", store_failures=True, batch_format="pyarrow")
def not_too_large(batch):
    import pyarrow.compute as pc

    return pc.less_equal(batch["amount"], limits.MOST)


@check(ref("orders"), max_rate="60%", where="id > 10")
class Even:
    def __init__(self):
        self.divisor = 2

    def __call__(self, batch):
        reject(batch["id"] == 100, "one hundred is too many")
        return batch["id"] % self.divisor == 0


@check(ref("customers"), name="names_are_short")
def short(batch):
    return [len(name) < 5 for name in batch["name"]]


@check(source("raw", "prices"), severity="warn")
def positive(batch):
    return batch["price"] > 0
"#;

#[test]
fn rows_that_break_them_are_told_and_kept() {
    let project = Project::with_python(ORDERS);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ customers   view
          ✓ orders              100 rows  [SIZE]  version 0  [TIME]
          ✓ raw.prices  view
        customers 1 check passed
        orders 1 check passed, 1 warned
          warn not_too_large: 2 of 100 rows (2.00 %), warn if <> 0, such as id=99 doubled=198 amount=49.5, more in orders__failures (checks/money.py:7:5)
        raw.prices 0 checks passed, 1 warned
          warn positive: 1 of 2 rows (50.0 %), warn if <> 0, such as id=2 price=-1.0 (checks/money.py:29:5)
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"check_name":"not_too_large","row":{"id":99,"doubled":198,"amount":49.5},"found":null}
        {"check_name":"not_too_large","row":{"id":100,"doubled":200,"amount":50.0},"found":null}"#]]
    .assert_eq(&project.rows("select check_name, row, found from orders__failures order by row['id']"));
    expect![[r#"
        {"node":"customers","check_name":"names_are_short","kind":"python","column_name":null,"status":"pass","failing":0,"rows":1,"detail":"0 of 1 rows (0.0 %)"}
        {"node":"orders","check_name":"Even","kind":"python","column_name":null,"status":"pass","failing":46,"rows":90,"detail":"46 of 90 rows (51.1 %): 1 one hundred is too many"}
        {"node":"orders","check_name":"not_too_large","kind":"python","column_name":"amount","status":"warn","failing":2,"rows":100,"detail":"2 of 100 rows (2.00 %)"}
        {"node":"raw.prices","check_name":"positive","kind":"python","column_name":null,"status":"warn","failing":1,"rows":2,"detail":"1 of 2 rows (50.0 %)"}"#]].assert_eq(&project.rows(
        "select node, check_name, kind, column_name, status, failing, rows, detail from system.checks order by 1, 2",
    ));
    project.windlass(["check"]).check(expect![[r#"
        exit 0
        -- stdout
        customers 1 check passed
        orders 1 check passed, 1 warned
          warn not_too_large: 2 of 100 rows (2.00 %), warn if <> 0, such as id=99 doubled=198 amount=49.5 (checks/money.py:7:5)
        raw.prices 0 checks passed, 1 warned
          warn positive: 1 of 2 rows (50.0 %), warn if <> 0, such as id=2 price=-1.0 (checks/money.py:29:5)
        -- stderr
        Looked at 3 nodes
    "#]]);
    let checks = project.json(["check", "orders"])["nodes"][0]["checks"].clone();
    let first = checks.as_array().unwrap().iter().find(|check| check["name"] == "not_too_large").unwrap().clone();
    assert_eq!((&first["kind"], &first["failing"]), (&Value::from("python"), &Value::from(2)));
    assert_eq!(first["examples"][0]["id"], 99, "{first}");
}

#[test]
fn a_broken_table_is_not_published() {
    let project = Project::with_python(ORDERS);
    project.add("-- lib/limits.py --\nMOST = 60\n");
    assert_eq!(project.json(["run"])["outcome"], "success");
    let text = std::fs::read_to_string(project.path("checks/money.py")).unwrap();
    project.write("checks/money.py", &text.replace("60%", "1%"));
    project.windlass(["run", "--no-cache", "orders"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ orders  failed  [TIME]
        error[E0604]: table `orders` breaks a check and was not published
          fail Even: 46 of 90 rows (51.1 %): 1 one hundred is too many, error if > 1 %, such as id=11 doubled=22 amount=5.5 (checks/money.py:14:7)
          hint: look at its rows: windlass show orders@candidate
        windlass explain E0604
        orders 1 check passed, 1 failed
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"{"n":100}"#]].assert_eq(&project.rows("select count(*) as n from orders"));
    project.windlass(["check", "--candidate", "orders"]).check(expect![[r#"
        exit 1
        -- stdout
        orders 1 check passed, 1 failed
          fail Even: 46 of 90 rows (51.1 %): 1 one hundred is too many, error if > 1 %, such as id=11 doubled=22 amount=5.5 (checks/money.py:14:7)
        -- stderr
        Looked at 1 node
    "#]]);
}

#[test]
fn a_changed_check_is_made_on_the_rows_that_are_there() {
    let project = Project::with_python(ORDERS);
    let small = "@check(ref('orders'), columns='id')\ndef small(batch):\n    return batch['id'] <= limits.MOST\n";
    project.write("checks/money.py", &format!("from windlass import check, ref\nimport limits\n\n\n{small}"));
    project.write("lib/limits.py", "MOST = 100\n");
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ customers  view
          ✓ orders             100 rows  [SIZE]  version 0  [TIME]
        orders 1 check passed
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ customers  view
          ✓ orders     unchanged  version 0
        Nothing has changed, 1 table of prod stays  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.write("lib/limits.py", "MOST = 99  # less\n");
    project.windlass(["plan", "orders"]).check(expect![[r#"
        exit 0
        -- stdout
        target local, env prod, planned in [TIME]

          check  orders   3 columns  unchanged, version 0; check small is to be made

        0 to build, 1 unchanged, 0 views. Names and types fit; not checked: values, divisions by zero, casts of text.
    "#]]);
    project.windlass(["run"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ customers  view
          ✗ orders     failed  [TIME]
        error[E0604]: table `orders` breaks a check
          fail small: 1 of 100 rows (1.00 %), error if <> 0, such as id=100 doubled=200 amount=50.0 (checks/money.py:6:5)
        windlass explain E0604
        orders 0 checks passed, 1 failed
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.write("lib/limits.py", "MOST = 101\n");
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ customers  view
          ✓ orders     unchanged  version 1
        orders 1 check passed
        Nothing has changed, 1 table of prod stays  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}

/// Returns what a run of a project with one check says whose body this is.
fn told(arguments: &str, body: &str) -> String {
    let project = Project::with_python(
        "-- transforms/t.sql --\nselect value as id, [value] as list from generate_series(1, 3) t(value)\n",
    );
    let code =
        format!("from windlass import check, ref\n\n\n@check(ref(\"t\"){arguments})\ndef good(batch):\n    {body}\n");
    project.write("checks/t.py", &code);
    project.windlass(["run"]).to_string()
}

#[test]
fn mistakes_stand_at_the_users_line() {
    expect![[r#"
        exit 1
        -- stderr
          ✗ t  failed  [TIME]
        error[E0604]: table `t` breaks a check and was not published
          error good: cannot be looked at: KeyError: 'price' (checks/t.py:6:5)
          hint: look at its rows: windlass show t@candidate
        windlass explain E0604
        t 0 checks passed, 1 could not be looked at
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]
    .assert_eq(&told("", "return batch[\"price\"] > 0"));
    expect![[r#"
        exit 0
        -- stderr
          ✓ t            3 rows  [SIZE]  version 0  [TIME]
        t 0 checks passed, 1 could not be looked at
          error good: cannot be looked at: check `good` returned values of `int64`: return one True or False per row, such as `batch["amount"] > 0` (checks/t.py:5:5)
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]].assert_eq(&told(", severity=\"warn\"", "return batch[\"id\"]"));
    expect![[r#"
        exit 1
        -- stderr
          ✗ t  failed  [TIME]
        error[E0604]: table `t` breaks a check and was not published
          error good: cannot be looked at: check `good` returned the single value True for a whole batch, and batches are cut anyhow: return one True or False per row, such as `batch["amount"] > 0` (checks/t.py:5:5)
          hint: look at its rows: windlass show t@candidate
        windlass explain E0604
        t 0 checks passed, 1 could not be looked at
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]].assert_eq(&told("", "return True"));
    expect![[r#"
        exit 1
        -- stderr
          ✗ t  failed  [TIME]
        error[E0604]: table `t` breaks a check and was not published
          error good: cannot be looked at: check `good` returned 1 values for 3 rows: return one True or False per row, such as `batch["amount"] > 0` (checks/t.py:5:5)
          hint: look at its rows: windlass show t@candidate
        windlass explain E0604
        t 0 checks passed, 1 could not be looked at
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]].assert_eq(&told("", "return [True]"));
    expect![[r#"
        exit 2
        -- stderr
        error[E0102]: check `good` names column `ids`, which `t` does not have
         --> checks/t.py:4:27
          |
        4 | @check(ref("t"), columns=["ids"])
          |                           ^^^^^ did you mean `id`?
        windlass explain E0102
    "#]]
    .assert_eq(&told(", columns=[\"ids\"]", "return batch[\"id\"] > 0"));
    expect![[r#"
        exit 2
        -- stderr
        error[E0102]: no column `ids`
         --> checks/t.py:4:24
          |
        4 | @check(ref("t"), where="ids > 2")
          |                        ^^^^^^^^^ did you mean `id`?
        windlass explain E0102
    "#]]
    .assert_eq(&told(", where=\"ids > 2\"", "return batch[\"id\"] > 0"));
    expect![[r#"
        exit 2
        -- stderr
        error[E0603]: `python` needs values that can be compared to quarantine rows, and column `list` is array<bigint>
         --> checks/t.py:5:5
          |
        5 | def good(batch):
          |     ^^^^
          |
          = help: name the columns that the check reads, without this one: `columns=[...]`
        windlass explain E0603
    "#]]
    .assert_eq(&told(", on_fail=\"quarantine\"", "return batch[\"id\"] > 0"));
    let late = told(", timeout=\"0.5s\"", "import time; time.sleep(60)");
    let line = late.lines().find(|line| line.contains("error good")).unwrap_or(&late);
    expect![
        "  error good: cannot be looked at: a call of `t` took longer than its timeout of [TIME] (checks/t.py:6:5)"
    ]
    .assert_eq(line);
    expect![[r#"
        exit 1
        -- stderr
          ✗ t  failed  [TIME]
        error[E0604]: table `t` breaks a check and was not published
          error good: cannot be looked at: a worker of `t` died: exited with code 3 (checks/t.py:5:5)
          hint: look at its rows: windlass show t@candidate
        windlass explain E0604
        t 0 checks passed, 1 could not be looked at
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]
    .assert_eq(&told("", "import os; os._exit(3)"));
}

#[test]
fn a_check_has_workers_beside_those_of_its_transform() {
    let project = Project::with_python(
        r#"
-- transforms/base.sql --
select value as id from generate_series(1, 20000) t(value)
-- transforms/scored.py --
from windlass import ref, transform

@transform(input=ref("base"), columns={"id": "bigint", "score": "double"}, key=["id"], batch_size=1000)
def scored(batch):
    return {"id": batch["id"], "score": batch["id"] / 20000}
-- checks/scores.py --
# /// script
# dependencies = []
# ///
from windlass import check, ref

@check(ref("scored"), batch_size=1000, columns="score")
def is_a_share(batch):
    return (batch["score"] > 0) & (batch["score"] <= 1)
"#,
    );
    let run = project.json(["run"]);
    let check = &run["nodes"][1]["checks"][0];
    assert_eq!((&check["status"], &check["rows"]), (&Value::from("pass"), &Value::from(20_000)), "{run}");
}
