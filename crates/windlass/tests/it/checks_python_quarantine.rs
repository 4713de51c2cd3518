//! Checks in Python that say which rows are bad: their rows leave the table, and are judged again by a replay.

use expect_test::expect;

use crate::support::Project;

/// Amounts of 0, none and 7 are in it; whoever is asked says so.
const ORDERS: &str = r#"
-- transforms/orders.sql --
{{ config(max_error_rate=0.9) }}
select value as id, case when value % 4 = 0 then null when value = 10 then 0 else value end as amount, [value] as parts
from generate_series(1, 10) t(value)
-- checks/money.py --
from windlass import check, ref


@check(input=ref("orders"), columns=["amount"], ARGUMENTS, batch_format="pyarrow")
def usual(batch):
    print(f"asked about {batch.num_rows} rows of {', '.join(batch.schema.names)}")
    return [amount is not None and amount not in (7, 9) for amount in batch["amount"].to_pylist()]
"#;

fn project(arguments: &str) -> Project {
    Project::with_python(&ORDERS.replace("ARGUMENTS", arguments))
}

#[test]
fn rows_that_it_calls_bad_leave() {
    let project = project("on_fail=\"quarantine\"");
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
        orders[w1] asked about 10 rows of amount
          ✓ orders            6 rows  [SIZE]  version 0  [TIME]
          ! orders  40.00% of rows quarantined: usual 4   see: windlass errors orders
        orders 0 checks passed, 1 warned
          warn usual: 4 of 10 rows (40.0 %), quarantined, such as id=4 amount=null parts=[4] (checks/money.py:5:5)
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"id":1,"amount":1}
        {"id":2,"amount":2}
        {"id":3,"amount":3}
        {"id":5,"amount":5}
        {"id":6,"amount":6}
        {"id":10,"amount":0}"#]]
    .assert_eq(&project.rows("select id, amount from orders order by id"));
    expect![[r#"
        {"id":4,"amount":null,"checks":["usual"]}
        {"id":7,"amount":7,"checks":["usual"]}
        {"id":8,"amount":null,"checks":["usual"]}
        {"id":9,"amount":9,"checks":["usual"]}"#]]
    .assert_eq(&project.rows("select row['id'] as id, row['amount'] as amount, checks from orders__errors order by 1"));
    // Where nothing is bad it is asked once as well.
    let code = std::fs::read_to_string(project.path("checks/money.py")).unwrap();
    project.write("checks/money.py", &code.replace("is not None and amount not in (7, 9)", "!= 11"));
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
        orders[w1] asked about 10 rows of amount
          ✓ orders           10 rows  [SIZE]  version 1  [TIME]
        orders 1 check passed
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}

#[test]
fn a_replay_asks_it_again() {
    let project = project("on_fail=\"quarantine\"");
    assert_eq!(project.windlass(["run"]).code, 0);
    let code = std::fs::read_to_string(project.path("checks/money.py")).unwrap();
    project.write("checks/money.py", &code.replace("(7, 9)", "(9,)"));
    project.windlass(["errors", "orders", "--replay"]).check(expect![[r#"
        exit 0
        -- stderr
        orders[w1] asked about 4 rows of amount
          ✓ orders             1 row  merged  version 1  [TIME]
          ! orders  3 of 4 rows failed again: usual 3   see: windlass errors orders
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"id":4,"checks":["usual"]}
        {"id":8,"checks":["usual"]}
        {"id":9,"checks":["usual"]}"#]]
    .assert_eq(&project.rows("select row['id'] as id, checks from orders__errors order by 1"));
}

#[test]
fn a_replay_is_held_against_checks_in_python_and_sql() {
    let project = Project::with_python(
        r#"
-- transforms/orders.sql --
select value as id, value * 10 as amount from generate_series(1, 9) t(value)
-- transforms/p.yml --
transforms:
  orders:
    config: {max_error_rate: 0.9}
    checks: [{expression: 'amount < 50', on_fail: quarantine, name: small}]
-- checks/total.sql --
{{ config(on='orders') }}
select sum(amount) as total from {{ ref('orders') }} having sum(amount) > 180
-- checks/odd.py --
from windlass import check, ref


@check(input=ref("orders"))
def not_seventy(batch):
    return batch["amount"] != 70
"#,
    );
    assert_eq!(project.windlass(["run"]).code, 0);
    let small = |most: u32| {
        let text = format!(
            "transforms: {{orders: {{config: {{max_error_rate: 0.9}}, checks: [{{expression: 'amount < {most}', on_fail: quarantine, \
             name: small}}]}}}}\n"
        );
        project.write("transforms/p.yml", &text);
    };
    // 50 and 60 are well each by themselves; with those that are there the total is too large.
    small(70);
    project.windlass(["errors", "orders", "--replay"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ orders  failed  [TIME]
        error[E0604]: table `orders` breaks a check and was not published
          fail total: 1 of 6 rows (16.7 %), error if <> 0, such as total=210 (checks/total.sql:1:1)
        windlass explain E0604
        orders 1 check passed, 1 warned, 1 failed
          warn small: 3 of 5 rows (60.0 %), quarantined, such as id=7 amount=70 (transforms/p.yml:1:64)
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    small(80);
    project.windlass(["errors", "orders", "--replay"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ orders  failed  [TIME]
        error[E0604]: table `orders` breaks checks and was not published
          fail total: 1 of 7 rows (14.3 %), error if <> 0, such as total=280 (checks/total.sql:1:1)
          fail not_seventy: 1 of 3 rows (33.3 %), error if <> 0, such as id=7 amount=70 (checks/odd.py:5:5)
        windlass explain E0604
        orders 0 checks passed, 1 warned, 2 failed
          warn small: 2 of 5 rows (40.0 %), quarantined, such as id=8 amount=80 (transforms/p.yml:1:64)
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    small(60);
    project.windlass(["errors", "orders", "--replay"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ orders             1 row  merged  version 1  [TIME]
          ! orders  4 of 5 rows failed again: small 4   see: windlass errors orders
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"{"n":5,"total":150}"#]]
        .assert_eq(&project.rows("select count(*) as n, sum(amount) as total from orders"));
}

#[test]
fn whole_rows_are_shown_without_asking_twice() {
    let project = project("severity=\"warn\"");
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
        orders[w1] asked about 10 rows of amount
          ✓ orders           10 rows  [SIZE]  version 0  [TIME]
        orders 0 checks passed, 1 warned
          warn usual: 4 of 10 rows (40.0 %), warn if <> 0, such as id=4 amount=null parts=[4] (checks/money.py:5:5)
        Published 1 of 1 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}

#[test]
fn what_cannot_leave_is_refused() {
    let volatile = project("on_fail=\"quarantine\", deterministic=False");
    volatile.windlass(["run"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0603]: check `usual` cannot quarantine rows: usual is declared `deterministic=False`, so other rows would leave every time
         --> checks/money.py:5:5
          |
        5 | def usual(batch):
          |     ^^^^^
          |
          = help: add `deterministic=True` where equal rows get equal answers, or use `on_fail="warn"`
        windlass explain E0603
    "#]]);
    let nested = project("on_fail=\"quarantine\"");
    let code = std::fs::read_to_string(nested.path("checks/money.py")).unwrap();
    nested.write("checks/money.py", &code.replace("[\"amount\"], on", "[\"parts\"], on"));
    nested.windlass(["run"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0603]: `python` needs values that can be compared to quarantine rows, and column `parts` is array<bigint>
         --> checks/money.py:5:5
          |
        5 | def usual(batch):
          |     ^^^^^
          |
          = help: name the columns that the check reads, without this one: `columns=[...]`
        windlass explain E0603
    "#]]);
}
