//! Failures that only show while a query runs, and the memory limit.

use expect_test::{Expect, expect};
use windlass_error::{Classify, Code, Fault};
use windlass_project::MemoryLimit;

use super::support::{World, plain};
use crate::Error;

const NUMBERS: &str = "
-- seeds/numbers.csv --
a,b,t
1,2,10
4,0,x
-- transforms/calm.sql --
{{ config(materialized='view') }}
select a, b, t from {{ ref('numbers') }}
";

async fn check(sql: &str, expected: Expect) {
    let mut world = World::new(&format!("{NUMBERS}-- transforms/t.sql --\n{sql}\n"));
    match world.run().await {
        Err(Error::Compute { node, blame: Some(blame), .. }) => {
            assert_eq!(node, "t");
            expected.assert_eq(&plain(&[*blame]));
        }
        other => panic!("expected a blamed failure, got {other:?}"),
    }
    assert!(world.engine.published("t").await.unwrap().is_none(), "nothing may be published");
}

#[tokio::test]
async fn division_by_zero_names_the_expression() {
    check(
        "select a + 1 as c,\n  a / b as d\nfrom {{ ref('calm') }}",
        expect![[r#"
        error[E0801]: division by zero in `a / b` of `t`
          --> transforms/t.sql:2:3 `a / b`
          hint: divide by `nullif(x, 0)` to get NULL for such rows
    "#]],
    )
    .await;
    check(
        "select a % 7 as safe, 10 / (b * 1) as d from {{ ref('numbers') }}",
        expect![[r#"
        error[E0801]: division by zero in `10 / (b * 1)` of `t`
          --> transforms/t.sql:1:23 `10 / (b * 1`
          hint: divide by `nullif(x, 0)` to get NULL for such rows
    "#]],
    )
    .await;
    check(
        "select b, max(a / b) as d from {{ ref('calm') }} group by b",
        expect![[r#"
        error[E0801]: division by zero in `a / b` of `t`
          --> transforms/t.sql:1:15 `a / b`
          hint: divide by `nullif(x, 0)` to get NULL for such rows
    "#]],
    )
    .await;
    check(
        "select a from {{ ref('calm') }} where 1 / b > 0 order by a",
        expect![[r#"
        error[E0801]: division by zero in `1 / b` of `t`
          --> transforms/t.sql:1:39 `1 / b`
          hint: divide by `nullif(x, 0)` to get NULL for such rows
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_view_is_blamed_in_its_own_file() {
    let mut world = World::new(&format!(
        "{NUMBERS}-- transforms/bad.sql --\n{{{{ config(materialized='view') }}}}\nselect a / b as d from {{{{ ref('numbers') }}}}\n\
         -- transforms/t.sql --\nselect d + 1 as e from {{{{ ref('bad') }}}}\n"
    ));
    let Err(Error::Compute { blame: Some(blame), .. }) = world.run().await else { panic!("no blame") };
    expect![[r#"
        error[E0801]: division by zero in `a / b` of `t`
          --> transforms/bad.sql:2:8 `a / b`
          hint: divide by `nullif(x, 0)` to get NULL for such rows
    "#]]
    .assert_eq(&plain(&[*blame]));
}

#[tokio::test]
async fn casts_name_the_expression() {
    check(
        "select cast(t as bigint) as n from {{ ref('calm') }}",
        expect![[r#"
        error[E0802]: cannot cast string 'x' to value of bigint type in `CAST(t AS BIGINT)` of `t`
          --> transforms/t.sql:1:13 `t`
          hint: use `try_cast(...)` to get NULL for such rows
    "#]],
    )
    .await;
    check(
        "select cast(a * 1000 as tinyint) as n from {{ ref('calm') }}",
        expect![[r#"
        error[E0802]: can't cast value 1000 to type tinyint in `CAST((a * 1000) AS TINYINT)` of `t`
          --> transforms/t.sql:1:13 `a * 1000`
          hint: use `try_cast(...)` to get NULL for such rows
    "#]],
    )
    .await;
    check(
        "select a, cast('soon' as date) as n from {{ ref('calm') }}",
        expect![[r#"
        error[E0802]: cannot cast string 'soon' to value of date type in `CAST('soon' AS DATE)` of `t`
          --> transforms/t.sql:1:16 `'soon'`
          hint: use `try_cast(...)` to get NULL for such rows
    "#]],
    )
    .await;
    check(
        "select cast(a * 1000 as decimal(4, 1)) as n from {{ ref('calm') }}",
        expect![[r#"
        error[E0802]: 1000.0 does not fit a decimal of 4 digits in `CAST((a * 1000) AS DECIMAL(4,1))` of `t`
          --> transforms/t.sql:1:13 `a * 1000`
          hint: use `try_cast(...)` to get NULL for such rows
    "#]],
    )
    .await;
}

const SERIES: &str = "
-- transforms/big.sql --
select value as id, value % 1000 as k, concat('name-', cast(value % 5000 as varchar), '-', cast(value as varchar)) as name
from generate_series(1, 1500000)
";

#[tokio::test]
async fn sorting_more_than_the_limit_spills() {
    let mut world = World::with_memory(
        &format!(
            "{SERIES}-- transforms/sorted.sql --\nselect *, row_number() over (order by name) as n from {{{{ ref('big') }}}}\n"
        ),
        MemoryLimit::Bytes(64 << 20),
    );
    world.run().await.unwrap();
    let answer = world.sql("select count(*) as rows, max(n) as top, count(distinct n) as distinct_n from sorted").await;
    expect![[r#"
        +---------+---------+------------+
        | rows    | top     | distinct_n |
        +---------+---------+------------+
        | 1500000 | 1500000 | 1500000    |
        +---------+---------+------------+"#]]
    .assert_eq(&answer);
}

#[tokio::test]
async fn a_join_that_does_not_fit_is_sorted_and_merged() {
    let mut world = World::with_memory(
        &format!(
            "{SERIES}-- transforms/joined.sql --\nselect a.id, a.name, b.name as other from {{{{ ref('big') }}}} a join {{{{ ref('big') }}}} b on a.name = b.name\n"
        ),
        MemoryLimit::Bytes(96 << 20),
    );
    world.run().await.unwrap();
    let answer = world.sql("select count(*) as rows, sum(id) as ids from joined").await;
    expect![[r#"
        +---------+---------------+
        | rows    | ids           |
        +---------+---------------+
        | 1500000 | 1125000750000 |
        +---------+---------------+"#]]
    .assert_eq(&answer);
}

#[tokio::test]
async fn what_cannot_spill_says_so() {
    let mut world = World::with_memory(
        &format!(
            "{SERIES}-- transforms/agg.sql --\nselect k, array_agg(name order by id) as names from {{{{ ref('big') }}}} group by k\n"
        ),
        MemoryLimit::Bytes(4 << 20),
    );
    let error = world.run().await.unwrap_err();
    assert_eq!((error.code(), error.fault()), (Some(Code::MEMORY), Fault::User), "{error:?}");
    expect!["raise `memory:` of the target, lower `threads:`, or split the query"].assert_eq(&error.hint().unwrap());
}
