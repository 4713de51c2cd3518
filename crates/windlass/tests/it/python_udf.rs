//! Functions of Python in SQL.

use expect_test::expect;

use crate::support::Project;

/// Functions of many kinds over a table with NULLs, and one node for each place where they stand.
const FUNCTIONS: &str = r#"
-- functions/numbers.py --
import itertools

import numpy as np
from windlass import udf

calls = itertools.count()


@udf(returns="double", args={"value": "double"})
def half(value):
    return value / 2


@udf(returns="bigint")
def plus(left, right):
    return left + right


@udf(returns="varchar", batch_format="pyarrow")
def kind(name):
    assert name.null_count == 0
    return [text.as_py()[:1] for text in name]


@udf(returns="varchar", nulls="pass")
def or_none(name):
    return ["none" if text is None else text for text in name]


@udf(returns="boolean", args={"value": "bigint"})
def is_even(value):
    return value % 2 == 0


@udf(returns="bigint", deterministic=False)
def call_number(value):
    number = next(calls)
    return np.full(len(value), number)


@udf(returns="double", args={"value": "bigint"}, on_error="null")
def inverse(value):
    if (value == 3).any():
        raise ZeroDivisionError("three is zero here")
    return 1 / value


@udf(returns="double")
def fixed(value):
    return 3.14
-- transforms/numbers.sql --
select * from (values (1, 'ada', 10), (2, 'bob', 20), (3, null, 30), (4, 'ada', null), (5, 'eve', 50)) t(id, name, x)
-- transforms/selected.sql --
select id, half(id) as half, half(half(id)) as quarter, plus(id, x) as total, plus(id, 100) as more, kind(name) as kind,
  or_none(name) as word, inverse(id) as inverse, fixed(id) as fixed, half(7) as constant, upper(or_none(lower(name))) as upper
from {{ ref('numbers') }}
-- transforms/filtered.sql --
select id from {{ ref('numbers') }} where is_even(id) or half(x) > 20
-- transforms/grouped.sql --
select kind(name) as kind, count(*) as n, sum(half(x)) as x, max(plus(id, 1)) as most, count(*) filter (where is_even(id)) as evens
from {{ ref('numbers') }} group by kind(name) having max(plus(id, 1)) < 6
-- transforms/joined.sql --
select a.id, b.id as other from {{ ref('numbers') }} a join {{ ref('numbers') }} b
  on plus(a.id, 1) = b.id and half(a.x) < 12 and plus(a.id, b.id) > 2
-- transforms/left_joined.sql --
select a.id, b.id as other from {{ ref('numbers') }} a left join {{ ref('numbers') }} b
  on kind(a.name) = kind(b.name) and a.id < b.id
-- transforms/ordered.sql --
select id, row_number() over (order by plus(id, 0) desc) as place, lag(half(id)) over (order by id) as before
from {{ ref('numbers') }} order by half(id) desc limit 3
-- transforms/cases.sql --
select id, case when is_even(id) then half(id) when name is null then -1 else plus(id, 1000) end as chosen,
  coalesce(kind(name), '?') as kind, half(id) between 1 and 2 as is_between, id in (plus(1, 1), 3) as is_in
from {{ ref('numbers') }}
-- transforms/nested.sql --
with evens as (select * from {{ ref('numbers') }} where is_even(id))
select id, (select max(half(x)) from {{ ref('numbers') }}) as most from evens
where exists (select 1 from {{ ref('numbers') }} n where plus(n.id, 1) = evens.id)
union all
select plus(id, 100), half(x) from evens
-- transforms/numbered.sql --
select count(distinct call_number(id)) as same, call_number(id) = call_number(id) as is_same from {{ ref('numbers') }} group by 2
-- transforms/viewed.sql --
{{ config(materialized='view') }}
select id, half(id) as half from {{ ref('numbers') }}
-- transforms/of_view.sql --
select id, half(half) as quarter from {{ ref('viewed') }} where half > 1
-- transforms/inputs.py --
from windlass import ref, transform


@transform(input=ref("viewed"), columns={"id": "bigint", "half": "double"}, key=["id"], requires={"sql": ["half < 2"]}, max_errors=5)
def inputs(batch):
    return batch
"#;

#[test]
fn functions_stand_in_any_expression() {
    let project = Project::with_python(FUNCTIONS);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ numbers                5 rows  [SIZE]  version 0  [TIME]
          ✓ cases                  5 rows  [SIZE]  version 0  [TIME]
          ✓ filtered               3 rows  [SIZE]  version 0  [TIME]
          ✓ grouped                3 rows  [SIZE]  version 0  [TIME]
          ✓ joined                 2 rows  [SIZE]  version 0  [TIME]
          ✓ left_joined            5 rows  [SIZE]  version 0  [TIME]
          ✓ nested                 4 rows  [SIZE]  version 0  [TIME]
          ✓ numbered                1 row  [SIZE]  version 0  [TIME]
          ✓ ordered                3 rows  [SIZE]  version 0  [TIME]
          ✓ selected               5 rows  [SIZE]  version 0  [TIME]
          ! selected     1 row has NULL because Python failed: ZeroDivisionError: `inverse`: three is zero here 1
          ✓ viewed       view
          ✓ inputs                 3 rows  [SIZE]  version 0  [TIME]
          ! inputs       40.00% of rows quarantined: not: half < 2 2   see: windlass errors inputs
          ✓ of_view                3 rows  [SIZE]  version 0  [TIME]
        Published 12 of 12 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    let read = |table: &str, order: &str| project.rows(&format!("select * from {table} order by {order}"));
    expect![[r#"
        {"id":1,"half":0.5,"quarter":0.25,"total":11,"more":101,"kind":"a","word":"ada","inverse":1.0,"fixed":3.14,"constant":3.5,"upper":"ADA"}
        {"id":2,"half":1.0,"quarter":0.5,"total":22,"more":102,"kind":"b","word":"bob","inverse":0.5,"fixed":3.14,"constant":3.5,"upper":"BOB"}
        {"id":3,"half":1.5,"quarter":0.75,"total":33,"more":103,"kind":null,"word":"none","inverse":null,"fixed":3.14,"constant":3.5,"upper":"NONE"}
        {"id":4,"half":2.0,"quarter":1.0,"total":null,"more":104,"kind":"a","word":"ada","inverse":0.25,"fixed":3.14,"constant":3.5,"upper":"ADA"}
        {"id":5,"half":2.5,"quarter":1.25,"total":55,"more":105,"kind":"e","word":"eve","inverse":0.2,"fixed":3.14,"constant":3.5,"upper":"EVE"}"#]].assert_eq(&read("selected", "id"));
    expect![[r#"
        {"id":2}
        {"id":4}
        {"id":5}"#]]
    .assert_eq(&read("filtered", "id"));
    expect![[r#"
        {"kind":"a","n":2,"x":5.0,"most":5,"evens":1}
        {"kind":"b","n":1,"x":10.0,"most":3,"evens":1}
        {"kind":null,"n":1,"x":15.0,"most":4,"evens":0}"#]]
    .assert_eq(&read("grouped", "kind"));
    expect![[r#"
        {"id":1,"other":2}
        {"id":2,"other":3}"#]]
    .assert_eq(&read("joined", "id"));
    expect![[r#"
        {"id":1,"other":4}
        {"id":2,"other":null}
        {"id":3,"other":null}
        {"id":4,"other":null}
        {"id":5,"other":null}"#]]
    .assert_eq(&read("left_joined", "id, other"));
    expect![[r#"
        {"id":3,"place":3,"before":1.0}
        {"id":4,"place":2,"before":1.5}
        {"id":5,"place":1,"before":2.0}"#]]
    .assert_eq(&read("ordered", "id"));
    expect![[r#"
        {"id":1,"chosen":1001.0,"kind":"a","is_between":false,"is_in":false}
        {"id":2,"chosen":1.0,"kind":"b","is_between":true,"is_in":true}
        {"id":3,"chosen":-1.0,"kind":"?","is_between":true,"is_in":true}
        {"id":4,"chosen":2.0,"kind":"a","is_between":true,"is_in":false}
        {"id":5,"chosen":1005.0,"kind":"e","is_between":false,"is_in":false}"#]]
    .assert_eq(&read("cases", "id"));
    expect![[r#"
        {"id":2,"most":25.0}
        {"id":4,"most":25.0}
        {"id":102,"most":10.0}
        {"id":104,"most":null}"#]]
    .assert_eq(&read("nested", "id"));
    expect![[r#"{"same":1,"is_same":false}"#]].assert_eq(&read("numbered", "is_same"));
    expect![[r#"
        {"id":3,"quarter":0.75}
        {"id":4,"quarter":1.0}
        {"id":5,"quarter":1.25}"#]]
    .assert_eq(&read("of_view", "id"));
    expect![[r#"
        {"id":1,"half":0.5}
        {"id":2,"half":1.0}
        {"id":3,"half":1.5}"#]]
    .assert_eq(&read("inputs", "id"));
    expect![[r#"
        {"id":4,"error":"not: half < 2"}
        {"id":5,"error":"not: half < 2"}"#]]
    .assert_eq(&project.rows("select id, error from inputs__errors order by id"));
    // `show` runs them as well.
    expect![[r#"
        {"half":1.0}
        {"half":2.0}"#]]
    .assert_eq(&project.rows("select half(id) as half from numbers where is_even(id) order by half(id)"));
}

/// A function and a query of it.
fn one(function: &str, sql: &str) -> Project {
    let project = Project::with_python(
        "-- transforms/numbers.sql --\nselect value as id, 'n' || value as name from generate_series(1, 100) t(value)\n",
    );
    project.write("functions/own.py", &format!("from windlass import udf\n\n\n{function}\n"));
    project.write("transforms/node.sql", &format!("{sql}\n"));
    project
}

#[test]
fn an_error_names_the_line_of_python_and_of_sql() {
    let project = one(
        "@udf(returns=\"double\")\ndef risky(value):\n    if 40 in value:\n        raise ValueError(\"forty\")\n    return value",
        "select id,\n  risky(id) as x\nfrom {{ ref('numbers') }}",
    );
    project.windlass(["run"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ numbers          100 rows  [SIZE]  version 0  [TIME]
          ✗ node     failed  [TIME]
        error[E0404]: ValueError: forty
         --> functions/own.py:7:9
          |
        7 |         raise ValueError("forty")
          |         ^^^^^^^^^^^^^^^^^^^^^^^^^
          |
         ::: transforms/node.sql:2:3
          |
        2 |   risky(id) as x
          |   ----- `risky` is called here
          |
          = note: Traceback (most recent call last):
                    File "[DIR]/functions/own.py", line 7, in risky
                      raise ValueError("forty")
                  ValueError: forty
        windlass explain E0404
        Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    assert_eq!(project.files("lake/prod/node"), Vec::<String>::new());
}

#[test]
fn results_are_checked() {
    let of_text = "@udf(returns=\"double\")\ndef own(value):\n    return [str(x) for x in value]";
    one(of_text, "select own(id) as x from {{ ref('numbers') }}").windlass(["run", "-q"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ node     failed  [TIME]
        error[E0405]: the result of function `own` is declared as `double` and came back as `string`: convert it before you return it, or declare `string`
         --> functions/own.py:5:5
          |
        5 | def own(value):
          |     ^^^
          |
         ::: transforms/node.sql:1:8
          |
        1 | select own(id) as x from {{ ref('numbers') }}
          |        --- `own` is called here
        windlass explain E0405
    "#]]);
    let of_some = "@udf(returns=\"bigint\")\ndef own(value):\n    return value[:3]";
    one(of_some, "select own(id) as x from {{ ref('numbers') }}").windlass(["run", "-q"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ node     failed  [TIME]
        error[E0405]: function `own` returned 3 values for 100 rows: return one value per row, or a single value for all
         --> functions/own.py:5:5
          |
        5 | def own(value):
          |     ^^^
          |
         ::: transforms/node.sql:1:8
          |
        1 | select own(id) as x from {{ ref('numbers') }}
          |        --- `own` is called here
        windlass explain E0405
    "#]]);
}

#[test]
fn arguments_are_checked_while_planning() {
    let function = "@udf(returns=\"double\", args={\"value\": \"double\"})\ndef own(value):\n    return value";
    one(function, "select own(id, 1) as x from {{ ref('numbers') }}").windlass(["run"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0412]: `own` takes (value double), not (bigint, bigint)
         --> transforms/node.sql:1:8
          |
        1 | select own(id, 1) as x from {{ ref('numbers') }}
          |        ^^^
          |
         ::: functions/own.py:5:5
          |
        5 | def own(value):
          |     --- the function
          |
          = help: cast the argument, for example `cast(x as double)`, or change the function
        windlass explain E0412
    "#]]);
    one(function, "select own(name) as x from {{ ref('numbers') }}").windlass(["run"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0412]: `own` takes (value double), not (varchar)
         --> transforms/node.sql:1:8
          |
        1 | select own(name) as x from {{ ref('numbers') }}
          |        ^^^
          |
         ::: functions/own.py:5:5
          |
        5 | def own(value):
          |     --- the function
          |
          = help: cast the argument, for example `cast(x as double)`, or change the function
        windlass explain E0412
    "#]]);
    one(function, "select own(nme) as x from {{ ref('numbers') }}").windlass(["run"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0102]: no column `nme`
         --> transforms/node.sql:1:12
          |
        1 | select own(nme) as x from {{ ref('numbers') }}
          |            ^^^ did you mean `name`?
          |
          = note: columns: `id`, `name`
        windlass explain E0102
    "#]]);
    one(function, "select owm(id) as x from {{ ref('numbers') }}").windlass(["run"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0104]: no function `owm`
         --> transforms/node.sql:1:8
          |
        1 | select owm(id) as x from {{ ref('numbers') }}
          |        ^^^ did you mean `own`?
        windlass explain E0104
    "#]]);
}

#[test]
fn names_of_sql_are_taken() {
    let function = "@udf(returns=\"double\")\ndef sqrt(value):\n    return value";
    one(function, "select sqrt(id) as x from {{ ref('numbers') }}").windlass(["run"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0412]: `sqrt` is a function of SQL already
         --> functions/own.py:5:5
          |
        5 | def sqrt(value):
          |     ^^^^
          |
          = help: give it another name; SQL functions are those of Apache DataFusion 55
        windlass explain E0412
    "#]]);
    let function = "@udf(returns=\"double\")\ndef sum(value):\n    return value";
    one(function, "select id from {{ ref('numbers') }}").windlass(["run"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0412]: `sum` is a function of SQL already
         --> functions/own.py:5:5
          |
        5 | def sum(value):
          |     ^^^
          |
          = help: give it another name; SQL functions are those of Apache DataFusion 55
        windlass explain E0412
    "#]]);
    let project = one(
        "@udf(returns=\"double\")\ndef own(value):\n    return value",
        "select own(id) as x from {{ ref('numbers') }}",
    );
    project.write(
        "functions/other.py",
        "from windlass import udf\n\n\n@udf(returns=\"bigint\")\ndef own(value):\n    return value\n",
    );
    project.windlass(["run"]).check(expect![[r#"
        exit 2
        -- stderr
        error[E0205]: duplicate function `own`
         --> functions/own.py:5:5
          |
        5 | def own(value):
          |     ^^^ again here
          |
         ::: functions/other.py:5:5
          |
        5 | def own(value):
          |     --- first here
        windlass explain E0205
    "#]]);
}

#[test]
fn aggregates_over_many_rows_see_each_row_once() {
    let project = Project::with_python(
        r#"
-- functions/own.py --
from windlass import udf


@udf(returns="double", args={"value": "double"})
def square(value):
    return value * value


@udf(returns="bigint")
def bucket(value):
    return value % 7
-- transforms/numbers.sql --
select value as id, case when value % 3 > 0 then value * 1.0 end as x from generate_series(1, 100000) t(value)
-- transforms/by_python.sql --
select bucket(id) as bucket, count(*) as n, sum(square(x)) as x, sum(id) filter (where bucket(id) > 2) as ids
from {{ ref('numbers') }} group by bucket(id)
-- transforms/by_sql.sql --
select id % 7 as bucket, count(*) as n, sum(x * x) as x, sum(id) filter (where id % 7 > 2) as ids
from {{ ref('numbers') }} group by id % 7
"#,
    );
    let targets = "targets:\n  local: {lake: ./lake, state: ./.windlass, threads: 3, memory: 512MiB, env: prod}\n";
    project.write("targets.yml", targets);
    let answer = project.windlass(["run", "-q"]);
    assert_eq!(answer.code, 0, "{answer}");
    let by_python = project.rows("select * from by_python order by bucket");
    assert_eq!(by_python.lines().count(), 7);
    assert_eq!(by_python, project.rows("select * from by_sql order by bucket"));
}

/// Functions whose rows fail and are NULL: of one set of packages, so that they share a trip.
const FAILING: &str = r#"
-- functions/parse.py --
import numpy as np
from windlass import reject, udf


@udf(returns="bigint", args={"text": "varchar"}, on_error="null")
def number(text):
    return [int(value) for value in text]


@udf(returns="double", args={"value": "bigint"}, on_error="null")
def root(value):
    reject(value < 0, "no root of less than nothing")
    return np.sqrt(np.maximum(value, 0))
-- transforms/texts.sql --
select * from (values (1, '4'), (2, 'four'), (3, null), (4, '-9'), (5, 'five')) t(id, text)
-- transforms/parsed.sql --
select id, number(text) as value, root(number(text)) as root, root(id) as good from {{ ref('texts') }}
-- transforms/clean.sql --
select root(id) as root from {{ ref('texts') }}
"#;

#[test]
fn rows_that_are_null_because_a_function_failed_are_counted() {
    let project = Project::with_python(FAILING);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ texts             5 rows  [SIZE]  version 0  [TIME]
          ✓ clean             5 rows  [SIZE]  version 0  [TIME]
          ✓ parsed            5 rows  [SIZE]  version 0  [TIME]
          ! parsed  3 rows have NULL because Python failed: ValueError: `number`: invalid literal for int() with base 10… 2 · `root`: no root of less than nothing 1
        Published 3 of 3 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"id":1,"value":4,"root":2.0,"good":1.0}
        {"id":2,"value":null,"root":null,"good":1.4142135623730951}
        {"id":3,"value":null,"root":null,"good":1.7320508075688772}
        {"id":4,"value":-9,"root":null,"good":2.0}
        {"id":5,"value":null,"root":null,"good":2.23606797749979}"#]]
    .assert_eq(&project.rows("select * from parsed order by id"));
    let report = project.json(["run", "--no-cache"]);
    let rows: Vec<(&str, &serde_json::Value)> = report["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["name"].as_str().unwrap(), &node["null_rows"]))
        .collect();
    expect![[r#"3 [("texts", Null), ("clean", Number(0)), ("parsed", Number(3))]"#]]
        .assert_eq(&format!("{} {rows:?}", report["null_rows"]));
}

/// A function that takes its worker along, or never ends, for one value each.
const KILLING: &str = r#"
-- functions/parse.py --
import os
import time

from windlass import udf


@udf(returns="bigint", args={"value": "bigint"}, on_error="null", timeout="1s")
def careful(value):
    if 3 in value:
        os.abort()
    if 5 in value:
        time.sleep(60)
    return value * 10
-- transforms/parsed.sql --
select id, careful(id) as value from (values (1), (2), (3), (4), (5), (6)) t(id)
"#;

#[test]
fn rows_for_which_a_function_kills_its_worker_are_null() {
    let project = Project::with_python(KILLING);
    let report = project.json(["run"]);
    assert_eq!(report["null_rows"], 2, "{report}");
    expect![[r#"
        {"id":1,"value":10}
        {"id":2,"value":20}
        {"id":3,"value":null}
        {"id":4,"value":40}
        {"id":5,"value":null}
        {"id":6,"value":60}"#]]
    .assert_eq(&project.rows("select * from parsed order by id"));
    let told = project.json(["runs", "show", "latest"]);
    assert_eq!(told["nodes"][0]["null_rows"], 2, "{told}");
}
