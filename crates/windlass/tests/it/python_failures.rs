//! Rows that fail in Python: where they go, and what stays published.

use expect_test::expect;

use crate::support::{Project, is_there};

/// Of every hundred rows five fail, each for a reason of its own.
const SIEVE: &str = r#"
-- transforms/numbers.sql --
select value as id, case when value % 100 <> 1 then value * 0.5 end as x, 'n' || value as name
from generate_series(1, 5000) t(value)
-- transforms/sieve.py --
from windlass import ref, reject, transform


@transform(
    input=ref("numbers"),
    columns={"id": "bigint", "y": "double"},
    key=["id"],
    requires={"not_null": ["x"], "sql": ["id % 100 <> 2"]},
    max_error_rate="5%",
    batch_size=700,
)
def sieve(batch):
    last = batch["id"] % 100
    reject(last == 3, "is a three")
    reject(last == 4, [f"{name} is a four" for name in batch["name"]])
    for name in batch["name"][last == 5]:
        raise LookupError(f"no {name}")
    return {"id": batch["id"], "y": batch["x"] * 2}
-- transforms/both.sql --
select id from {{ ref('sieve') }} union all select id from {{ ref('sieve__errors') }}
"#;

#[test]
fn every_row_is_in_exactly_one_of_result_and_error_table() {
    let project = Project::with_python(SIEVE);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ numbers        5,000 rows  [SIZE]  version 0  [TIME]
          ✓ sieve          4,750 rows  [SIZE]  version 0  [TIME]
          ! sieve    5.00% of rows quarantined: `x` is null 50 · not: id % 100 <> 2 50 · is a three 50 · 51 other causes   see: windlass errors sieve
          ✓ both           5,000 rows  [SIZE]  version 0  [TIME]
        Published 3 of 3 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"stage":"python","error_type":"LookupError","at_once":false,"n":50,"ids":122750,"least":"no n1005","errors":50,"stacks":1,"workers":1}
        {"stage":"requires","error_type":"","at_once":false,"n":100,"ids":245150,"least":"`x` is null","errors":2,"stacks":0,"workers":1}
        {"stage":"reject","error_type":"Rejected","at_once":true,"n":100,"ids":245350,"least":"is a three","errors":51,"stacks":0,"workers":1}"#]].assert_eq(&project.rows(
        "select stage, error_type, attempts = 1 as at_once, count(*) as n, sum(id) as ids, min(error) as least, \
         count(distinct error) as errors, count(distinct traceback_hash) as stacks, count(distinct worker) as workers \
         from sieve__errors group by 1, 2, 3 order by 5",
    ));
    // The result is exactly the other rows, each once.
    expect![[r#"{"n":4750,"ids":4750,"least":6,"off":0.0}"#]].assert_eq(&project.rows(
        "select count(*) as n, count(distinct id) as ids, min(id % 100) filter (where id % 100 > 0) as least, \
         sum(abs(y - id)) as off from sieve",
    ));
    expect![[r#"{"n":5000,"ids":5000,"a":1,"z":5000}"#]].assert_eq(
        &project.rows("select count(*) as n, count(distinct id) as ids, min(id) as a, max(id) as z from both"),
    );
    expect![[r#"
        {"id":201,"row":{"id":201,"x":null,"name":"n201"},"stage":"requires","error_type":"","error":"`x` is null","attempts":0,"worker":0}
        {"id":202,"row":{"id":202,"x":101.0,"name":"n202"},"stage":"requires","error_type":"","error":"not: id % 100 <> 2","attempts":0,"worker":0}
        {"id":203,"row":{"id":203,"x":101.5,"name":"n203"},"stage":"reject","error_type":"Rejected","error":"is a three","attempts":1,"worker":1}
        {"id":204,"row":{"id":204,"x":102.0,"name":"n204"},"stage":"reject","error_type":"Rejected","error":"n204 is a four","attempts":1,"worker":1}
        {"id":205,"row":{"id":205,"x":102.5,"name":"n205"},"stage":"python","error_type":"LookupError","error":"no n205","attempts":10,"worker":1}"#]].assert_eq(&project.rows("select * exclude (run_id, fingerprint, at, traceback, traceback_hash, batch_id) from sieve__errors where id between 201 and 205 order by id"));
    expect![[r#"{"traceback":"Traceback (most recent call last):\n  File \"[DIR]/transforms/sieve.py\", line 17, in sieve\n    raise LookupError(f\"no {name}\")\nLookupError: no n205\n"}"#]].assert_eq(
        &project
            .rows("select traceback from sieve__errors where id = 205")
            .replace(&project.path("").display().to_string(), "[DIR]/"),
    );
}

#[test]
fn survivors_of_reject_may_be_returned_alone() {
    let project = Project::with_python(SIEVE);
    project.write(
        "transforms/sieve.py",
        r#"from windlass import ref, reject, transform


@transform(input=ref("numbers"), columns={"id": "bigint", "y": "double"}, key=["id"], batch_format="pyarrow", max_error_rate=0.5)
def sieve(batch):
    bad = [row["x"] is None or row["id"] % 100 == 50 for row in batch.to_pylist()]
    reject(bad, "bad")
    batch = batch.filter([not is_bad for is_bad in bad])
    return {"id": batch["id"], "y": batch["x"]}
"#,
    );
    let answer = project.windlass(["run", "-q"]);
    assert_eq!(answer.code, 0, "{answer}");
    expect![[r#"{"n":4900,"ids":4900,"ys":4900}"#]]
        .assert_eq(&project.rows("select count(*) as n, count(distinct id) as ids, count(y) as ys from sieve"));
    expect![[r#"{"stage":"reject","error":"bad","n":100}"#]]
        .assert_eq(&project.rows("select stage, error, count(*) as n from sieve__errors group by 1, 2"));
    expect![[r#"{"n":5000,"ids":5000}"#]]
        .assert_eq(&project.rows("select count(*) as n, count(distinct id) as ids from both"));
}

/// Fails for the rows whose numbers the variable names.
const POLICIES: &str = r#"
-- windlass.yml --
name: test
version: 1
vars: {bad: []}
-- transforms/numbers.sql --
select value as id, value * 0.5 as x from generate_series(1, 2000) t(value)
-- transforms/strict.py --
from windlass import ref, transform, var


@transform(input=ref("numbers"), columns={"id": "bigint", "x": "double"}, key=["id"], on_error="fail", batch_size=500)
def strict(batch):
    for bad in var("bad"):
        if bad in batch["id"]:
            raise ValueError(f"{bad} is bad")
    return batch
-- transforms/padded.py --
from windlass import ref, reject, transform, var


@transform(
    input=ref("numbers"),
    columns={"x": "double", "id": "bigint", "name": "varchar"},
    key=["id"],
    requires={"sql": ["id <> 7"]},
    on_error="null",
    max_errors=4,
)
def padded(batch):
    reject(batch["id"] == 8, "eight")
    for bad in var("bad"):
        if bad in batch["id"]:
            raise ValueError(f"{bad} is bad")
    return {"id": batch["id"], "x": batch["x"], "name": [f"n{number}" for number in batch["id"]]}
-- transforms/counted.py --
from windlass import ref, transform, var


@transform(input=ref("numbers"), columns={"id": "bigint", "x": "double"}, key=["id"], max_errors=2)
def counted(batch):
    for bad in var("bad"):
        if bad in batch["id"]:
            raise ValueError(f"{bad} is bad")
    return batch
"#;

#[test]
fn one_bad_row_fails_a_node_that_says_so_and_the_old_version_stays() {
    let project = Project::with_python(POLICIES);
    assert_eq!(project.windlass(["run", "+strict", "-q"]).code, 0);
    project.windlass(["run", "strict", "--vars", "bad=[1700]"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ strict  failed  [TIME]
        error[E0404]: ValueError: 1700 is bad
         --> transforms/strict.py:8:13
          |
        8 |             raise ValueError(f"{bad} is bad")
          |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          |
          = note: Traceback (most recent call last):
                    File "[DIR]/transforms/strict.py", line 8, in strict
                      raise ValueError(f"{bad} is bad")
                  ValueError: 1700 is bad
        windlass explain E0404
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    assert_eq!(project.rows("select count(*) as n, sum(x) as x from strict"), r#"{"n":2000,"x":1000500.0}"#);
    assert_eq!(project.json(["show", "strict", "-n", "1"])["table_version"], 0);
    assert!(!is_there(&project.path("lake/prod/strict__errors")));
    assert_eq!(project.files("lake/prod/strict").len(), 2, "one file and its log: what was staged is gone");
}

#[test]
fn rows_that_fail_may_stay_with_nulls() {
    let project = Project::with_python(POLICIES);
    project.windlass(["run", "+padded", "--vars", "bad=[9, 1999]"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ numbers        2,000 rows  [SIZE]  version 0  [TIME]
          ✓ padded         2,000 rows  [SIZE]  version 0  [TIME]
          ! padded   4 rows have NULL because Python failed: ValueError: 9 is bad 2 · not: id <> 7 1 · eight 1
        Published 2 of 2 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"x":null,"id":7,"name":null}
        {"x":null,"id":8,"name":null}
        {"x":null,"id":9,"name":null}
        {"x":5.0,"id":10,"name":"n10"}
        {"x":null,"id":1999,"name":null}"#]]
    .assert_eq(&project.rows("select * from padded where name is null or x is null or id = 10 order by id"));
    expect![[r#"{"n":2000,"ids":2000,"xs":1996}"#]]
        .assert_eq(&project.rows("select count(*) as n, count(distinct id) as ids, count(x) as xs from padded"));
    assert!(!is_there(&project.path("lake/prod/padded__errors")));
    // One more than may fail.
    project.windlass(["run", "padded", "--vars", "bad=[9, 11, 1999]"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ padded  failed  [TIME]
        error[E0409]: `padded`: 5 of 2000 rows failed (0.25 %), more than the 4 of `max_errors`
          --> transforms/padded.py:16:13
           |
        16 |             raise ValueError(f"{bad} is bad")
           |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = note: 3 rows: ValueError: 9 is bad
           = note: 1 row: not: id <> 7
           = note: 1 row: eight
           = note: Traceback (most recent call last):
                     File "[DIR]/transforms/padded.py", line 16, in padded
                       raise ValueError(f"{bad} is bad")
                   ValueError: 9 is bad
           = help: correct the code or the input, add `requires`, or raise `max_errors`
        windlass explain E0409
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    assert_eq!(project.json(["show", "padded", "-n", "1"])["table_version"], 0);
}

#[test]
fn over_the_budget_nothing_is_published() {
    let project = Project::with_python(POLICIES);
    assert_eq!(project.windlass(["run", "+counted", "--vars", "bad=[5, 1005]", "-q"]).code, 0);
    let before = project.rows("select id, error from counted__errors order by id");
    expect![[r#"
        {"id":5,"error":"5 is bad"}
        {"id":1005,"error":"1005 is bad"}"#]]
    .assert_eq(&before);
    let files = (project.files("lake/prod/counted"), project.files("lake/prod/counted__errors"));
    project.windlass(["run", "counted", "--vars", "bad=[1, 2, 1003]"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ counted  failed  [TIME]
        error[E0409]: `counted`: 3 of 2000 rows failed (0.15 %), more than the 2 of `max_errors`
         --> transforms/counted.py:8:13
          |
        8 |             raise ValueError(f"{bad} is bad")
          |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          |
          = note: 3 rows: ValueError: 1 is bad
          = note: Traceback (most recent call last):
                    File "[DIR]/transforms/counted.py", line 8, in counted
                      raise ValueError(f"{bad} is bad")
                  ValueError: 1 is bad
          = help: correct the code or the input, add `requires`, or raise `max_errors`
        windlass explain E0409
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    assert_eq!((project.files("lake/prod/counted"), project.files("lake/prod/counted__errors")), files);
    assert_eq!(project.rows("select id, error from counted__errors order by id"), before);
    assert_eq!(project.rows("select count(*) as n from counted"), r#"{"n":1998}"#);
    // Once no row fails, the error table is empty.
    assert_eq!(project.windlass(["run", "counted", "-q"]).code, 0);
    assert_eq!(project.rows("select count(*) as n from counted__errors"), r#"{"n":0}"#);
    assert_eq!(project.rows("select count(*) as n from counted"), r#"{"n":2000}"#);
}

/// Broken for every row, in two ways.
const BROKEN: &str = r#"
-- transforms/numbers.sql --
select value as id, value * 0.5 as x from generate_series(1, 20000) t(value)
-- transforms/typo.py --
from windlass import ref, transform


@transform(input=ref("numbers"), columns={"id": "bigint", "y": "double"}, key=["id"])
class Typo:
    def __call__(self, batch):
        return {"id": batch["id"], "y": self.scale(batch["X"])}

    def scale(self, values):
        return values * 2
-- transforms/in_place.py --
from windlass import ref, transform


@transform(input=ref("numbers"), columns={"id": "bigint", "x": "double"}, key=["id"])
def in_place(batch):
    batch["x"] *= 2
    return batch
"#;

#[test]
fn code_that_fails_for_all_rows_is_told_at_its_line() {
    let project = Project::with_python(BROKEN);
    project.windlass(["run", "+typo"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ numbers       20,000 rows  [SIZE]  version 0  [TIME]
          ✗ typo     failed  [TIME]
        error[E0409]: `typo`: 8192 of 8192 rows failed (100.00 %), more than the 1 % of `max_error_rate`
         --> transforms/typo.py:7:9
          |
        7 |         return {"id": batch["id"], "y": self.scale(batch["X"])}
          |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          |
          = note: 8192 rows: KeyError: 'X'
          = note: Traceback (most recent call last):
                    File "[DIR]/transforms/typo.py", line 7, in __call__
                      return {"id": batch["id"], "y": self.scale(batch["X"])}
                  KeyError: 'X'
          = help: every row failed, so this is the code and not the data: windlass try
        windlass explain E0409
        Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    project.windlass(["run", "in_place"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ in_place  failed  [TIME]
        error[E0409]: `in_place`: 8192 of 8192 rows failed (100.00 %), more than the 1 % of `max_error_rate`
         --> transforms/in_place.py:6:5
          |
        6 |     batch["x"] *= 2
          |     ^^^^^^^^^^^^^^^
          |
          = note: 8192 rows: ValueError: output array is read-only (batches are views of memory that is not yours: `zero_copy_batch=False` gives copies)
          = note: Traceback (most recent call last):
                    File "[DIR]/transforms/in_place.py", line 6, in in_place
                      batch["x"] *= 2
                  ValueError: output array is read-only
          = help: every row failed, so this is the code and not the data: windlass try
        windlass explain E0409
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}

/// Code that looks across rows: no row of a batch can be blamed alone.
const ACROSS: &str = r#"
-- transforms/numbers.sql --
select value as id, value * 0.5 as x from generate_series(1, 4000) t(value)
-- transforms/centred.py --
from windlass import ref, transform


@transform(
    input=ref("numbers"),
    columns={"id": "bigint", "x": "double"},
    key=["id"],
    rowwise=False,
    batch_size=1000,
    max_error_rate="40%",
)
def centred(batch):
    if 1500 in batch["id"]:
        raise ArithmeticError("1500 is among them")
    return {"id": batch["id"], "x": batch["x"] - batch["x"].mean()}
"#;

#[test]
fn a_batch_that_must_not_be_taken_apart_fails_whole() {
    let project = Project::with_python(ACROSS);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ numbers        4,000 rows  [SIZE]  version 0  [TIME]
          ✓ centred        3,000 rows  [SIZE]  version 0  [TIME]
          ! centred  25.00% of rows quarantined: ArithmeticError: the batch of 1000 rows failed as a whole: 1… 1,000   see: windlass errors centred
        Published 2 of 2 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"{"n":1000,"least":1001,"most":2000,"errors":1,"stage":"python","error":"the batch of 1000 rows failed as a whole: 1500 is among them"}"#]].assert_eq(&project.rows(
        "select count(*) as n, min(id) as least, max(id) as most, count(distinct error) as errors, min(stage) as stage, \
         min(error) as error from centred__errors",
    ));
    expect![[r#"{"n":3000,"ids":6501500}"#]]
        .assert_eq(&project.rows("select count(*) as n, sum(id) as ids from centred"));
    let code = std::fs::read_to_string(project.path("transforms/centred.py")).unwrap();

    project.write("transforms/centred.py", &code.replace("max_error_rate=\"40%\"", "max_error_rate=\"20%\""));
    project.windlass(["run", "centred", "--no-cache"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ centred  failed  [TIME]
        error[E0409]: `centred`: 1000 of 2000 rows failed (50.00 %), more than the 20 % of `max_error_rate`
          --> transforms/centred.py:14:9
           |
        14 |         raise ArithmeticError("1500 is among them")
           |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = note: 1000 rows: ArithmeticError: the batch of 1000 rows failed as a whole: 1500 is among them
           = note: Traceback (most recent call last):
                     File "[DIR]/transforms/centred.py", line 14, in centred
                       raise ArithmeticError("1500 is among them")
                   ArithmeticError: 1500 is among them
           = help: correct the code or the input, add `requires`, or raise `max_error_rate`
        windlass explain E0409
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);

    project
        .write("transforms/centred.py", &code.replace("max_error_rate=\"40%\"", "on_error=\"null\", max_errors=1000"));
    let answer = project.windlass(["run", "centred"]);
    assert_eq!(answer.code, 0, "{answer}");
    expect![[r#"{"n":4000,"ids":8002000,"x":3000}"#]]
        .assert_eq(&project.rows("select count(*) as n, sum(id) as ids, count(x) as x from centred"));

    project.write("transforms/centred.py", &code.replace("max_error_rate=\"40%\"", "on_error=\"fail\""));
    project.windlass(["run", "centred"]).check(expect![[r#"
        exit 1
        -- stderr
          ✗ centred  failed  [TIME]
        error[E0404]: ArithmeticError: 1500 is among them
          --> transforms/centred.py:14:9
           |
        14 |         raise ArithmeticError("1500 is among them")
           |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
           |
           = note: Traceback (most recent call last):
                     File "[DIR]/transforms/centred.py", line 14, in centred
                       raise ArithmeticError("1500 is among them")
                   ArithmeticError: 1500 is among them
        windlass explain E0404
        Published 0 of 1 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}

/// What an exception can be.
const EXCEPTIONS: &str = r#"
-- transforms/numbers.sql --
select value as id from generate_series(1, 200) t(value)
-- transforms/rogue.py --
import sys

from windlass import ref, transform


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class Unpicklable(Exception):
    def __reduce__(self):
        raise RuntimeError("no pickle")


def deep(depth):
    return deep(depth + 1)


def rogue_row(number):
    match number:
        case 10:
            sys.exit(3)
        case 20:
            raise KeyboardInterrupt
        case 30:
            raise Mute
        case 40:
            raise Unpicklable("x" * 1_000_000)
        case 50:
            deep(0)
        case 60:
            raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])
        case 70:
            raise StopIteration
        case 80:
            raise GeneratorExit
        case 90:
            raise MemoryError
        case 100:
            try:
                1 / 0
            except ZeroDivisionError as err:
                raise ValueError("no share") from err


@transform(input=ref("numbers"), columns={"id": "bigint"}, key=["id"], max_error_rate=0.1)
def rogue(batch):
    for number in batch["id"]:
        rogue_row(int(number))
    return batch
-- transforms/verbose.py --
from windlass import ref, transform


@transform(input=ref("numbers"), columns={"id": "bigint"}, key=["id"], max_errors=200)
def verbose(batch):
    if 10 in batch["id"]:
        raise ValueError("x" * 100_000_000)
    return batch
"#;

#[test]
fn whatever_is_raised_is_an_error_row() {
    let project = Project::with_python(EXCEPTIONS);
    let answer = project.windlass(["run", "-q"]);
    assert_eq!(answer.code, 0, "{answer}");
    expect![[r#"
        {"id":10,"stage":"python","error_type":"SystemExit","error":"3","is_short":true}
        {"id":20,"stage":"python","error_type":"KeyboardInterrupt","error":"KeyboardInterrupt","is_short":true}
        {"id":30,"stage":"python","error_type":"Mute","error":"<the exception's text cannot be shown: its __str__ raises>","is_short":true}
        {"id":40,"stage":"python","error_type":"Unpicklable","error":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","is_short":true}
        {"id":50,"stage":"python","error_type":"RecursionError","error":"maximum recursion depth exceeded","is_short":true}
        {"id":60,"stage":"python","error_type":"ExceptionGroup","error":"several (2 sub-exceptions)","is_short":true}
        {"id":70,"stage":"python","error_type":"StopIteration","error":"StopIteration","is_short":true}
        {"id":80,"stage":"python","error_type":"GeneratorExit","error":"GeneratorExit","is_short":true}
        {"id":90,"stage":"memory","error_type":"MemoryError","error":"MemoryError","is_short":true}
        {"id":100,"stage":"python","error_type":"ValueError","error":"no share","is_short":true}"#]].assert_eq(&project.rows("select id, stage, error_type, substr(error, 1, 60) as error, length(error) < 5000 as is_short from rogue__errors order by id"));
    expect![[r#"{"n":190,"ids":190}"#]]
        .assert_eq(&project.rows("select count(*) as n, count(distinct id) as ids from rogue"));
    // Rows may stay together with the one that takes this long to fail, but none of them is lost.
    expect![[r#"{"n":200,"ids":200,"is_told":true,"is_short":true}"#]].assert_eq(&project.rows(
        "select count(*) as n, count(distinct id) as ids, bool_or(id = 10 and stage = 'python') as is_told, \
         max(length(error)) < 5000 as is_short \
         from (select id, stage, error from verbose__errors union all select id, null, null from verbose)",
    ));
    let stack = project.rows("select traceback from rogue__errors where id = 100");
    assert!(stack.contains("direct cause") && stack.contains("ZeroDivisionError: division by zero"), "{stack}");
}
