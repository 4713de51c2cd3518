//! Python transforms that do what they should: their shapes, formats, inputs and settings.

use expect_test::expect;

use crate::support::Project;

/// A class as it is written for `ray.data.map_batches`: it knows nothing of Windlass and writes into its
/// batch.
const RAY: &str = r#"
-- windlass.yml --
name: test
version: 1
vars: {threshold: 3}
-- transforms/numbers.sql --
select value as id, cast(value as double) / 2 as x, 'n' || value as name from generate_series(1, 5) t(value)
-- lib/predictor.py --
from typing import Dict

import numpy as np


class Predictor:
    def __init__(self, weight: float, bias: float = 0.0):
        self.model = lambda data: data * weight + bias

    def __call__(self, batch: Dict[str, np.ndarray], scale: float = 1.0) -> Dict[str, np.ndarray]:
        batch["output"] = self.model(batch["x"]) * scale
        return batch
-- transforms/predictions.py --
from predictor import Predictor
from windlass import ref, transform

predictions = transform(
    input=ref("numbers"),
    columns={"id": "bigint", "x": "double", "name": "varchar", "output": "double"},
    key=["id"],
    fn_constructor_args=[2.0],
    fn_constructor_kwargs={"bias": 1.0},
    fn_kwargs={"scale": 10},
)(Predictor)
"#;

#[test]
fn a_class_written_for_ray_data_runs_unchanged() {
    let project = Project::with_python(RAY);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ numbers                5 rows  [SIZE]  version 0  [TIME]
          ✓ predictions            5 rows  [SIZE]  version 0  [TIME]
        Published 2 of 2 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"id":1,"x":0.5,"name":"n1","output":20.0}
        {"id":2,"x":1.0,"name":"n2","output":30.0}
        {"id":3,"x":1.5,"name":"n3","output":40.0}
        {"id":4,"x":2.0,"name":"n4","output":50.0}
        {"id":5,"x":2.5,"name":"n5","output":60.0}"#]]
    .assert_eq(&project.rows("select * from predictions order by id"));
}

/// The same answer in every format; `mixed` gets one and returns others.
const FORMATS: &str = r#"
-- transforms/events.sql --
select * from (values
  (1, 'ada', 1.5, true, timestamp '2024-01-31 23:59:59.123456', [1, 2]),
  (2, null, null, null, null, null),
  (3, 'ünal', 'nan'::double, false, timestamp '1969-07-20 20:17:40', [])
) t(id, name, x, flag, at, counts)
-- transforms/by_numpy.py --
import numpy as np
from windlass import ref, transform

COLUMNS = {"id": "bigint", "upper": "varchar", "y": "double", "flag": "boolean", "at": "timestamp", "counts": "bigint[]"}


@transform(input=ref("events"), columns=COLUMNS, key=["id"], batch_format="numpy")
def by_numpy(batch):
    assert isinstance(batch, dict) and all(isinstance(column, np.ndarray) for column in batch.values())
    upper = [None if name is None else name.upper() for name in batch["name"]]
    return {**{name: batch[name] for name in ("id", "flag", "at", "counts")}, "upper": upper, "y": batch["x"] * 2}
-- transforms/by_pandas.py --
# /// script
# dependencies = ["pandas==3.1.1", "polars==2.1.0"]
# ///
import pandas as pd
from windlass import ref, transform

COLUMNS = {"id": "bigint", "upper": "varchar", "y": "double", "flag": "boolean", "at": "timestamp", "counts": "bigint[]"}


@transform(input=ref("events"), columns=COLUMNS, key=["id"], batch_format="pandas")
def by_pandas(batch):
    assert isinstance(batch, pd.DataFrame)
    batch = batch.assign(upper=batch["name"].str.upper(), y=batch["x"] * 2)
    return batch[list(COLUMNS)]
-- transforms/by_polars.py --
# /// script
# dependencies = ["pandas==3.1.1", "polars==2.1.0"]
# ///
import polars as pl
from windlass import ref, transform

COLUMNS = {"id": "bigint", "upper": "varchar", "y": "double", "flag": "boolean", "at": "timestamp", "counts": "bigint[]"}


@transform(input=ref("events"), columns=COLUMNS, key=["id"], batch_format="polars")
def by_polars(batch):
    assert isinstance(batch, pl.DataFrame)
    return batch.select(
        "id", "flag", "at", "counts", upper=pl.col("name").str.to_uppercase(), y=pl.col("x") * 2
    )
-- transforms/by_pyarrow.py --
import pyarrow as pa
import pyarrow.compute as pc
from windlass import ref, transform

COLUMNS = {"id": "bigint", "upper": "varchar", "y": "double", "flag": "boolean", "at": "timestamp", "counts": "bigint[]"}


@transform(input=ref("events"), columns=COLUMNS, key=["id"], batch_format="pyarrow")
def by_pyarrow(batch):
    assert isinstance(batch, pa.Table)
    batch = batch.append_column("upper", pc.utf8_upper(batch["name"]))
    batch = batch.append_column("y", pc.multiply(batch["x"], 2.0))
    return batch.select(list(COLUMNS))
-- transforms/mixed.py --
# /// script
# dependencies = ["pandas==3.1.1", "polars==2.1.0"]
# ///
import pandas as pd
import polars as pl
import pyarrow as pa
from windlass import ref, transform


@transform(input=ref("events"), columns={"id": "integer", "kind": "varchar"}, batch_format="pyarrow", rows="many")
def mixed(batch):
    yield batch.select(["id"]).append_column("kind", pa.array(["pyarrow"] * batch.num_rows))
    yield pd.DataFrame({"id": batch["id"].to_pylist(), "kind": "pandas"})
    yield pl.DataFrame({"id": batch["id"].to_pylist()}).with_columns(kind=pl.lit("polars"))
    yield {"id": batch["id"].to_numpy(), "kind": ["dict"] * batch.num_rows}
"#;

#[test]
fn batches_are_arrays_frames_or_tables() {
    let project = Project::with_python(FORMATS);
    let answer = project.windlass(["run", "-q"]);
    answer.check(expect![[r#"
        exit 0
    "#]]);
    let read = |columns: &str, table: &str| project.rows(&format!("select {columns} from {table} order by id"));
    let columns = "id, upper, flag, at, counts";
    let by_numpy = read(columns, "by_numpy");
    expect![[r#"
        {"id":1,"upper":"ADA","flag":true,"at":"2024-01-31T23:59:59.123456","counts":[1,2]}
        {"id":2,"upper":null,"flag":null,"at":null,"counts":null}
        {"id":3,"upper":"ÜNAL","flag":false,"at":"1969-07-20T20:17:40","counts":[]}"#]]
    .assert_eq(&by_numpy);
    for table in ["by_pandas", "by_polars", "by_pyarrow"] {
        assert_eq!(read(columns, table), by_numpy, "{table}");
    }
    // NumPy has no other word for a missing double than NaN, and pandas none for NaN than missing.
    let of_doubles = |table: &str| read("y, y is null as is_null, isnan(y) as is_nan", table);
    expect![[r#"
        {"y":3.0,"is_null":false,"is_nan":false}
        {"y":null,"is_null":false,"is_nan":true}
        {"y":null,"is_null":false,"is_nan":true}"#]]
    .assert_eq(&of_doubles("by_numpy"));
    expect![[r#"
        {"y":3.0,"is_null":false,"is_nan":false}
        {"y":null,"is_null":true,"is_nan":null}
        {"y":null,"is_null":true,"is_nan":null}"#]]
    .assert_eq(&of_doubles("by_pandas"));
    expect![[r#"
        {"y":3.0,"is_null":false,"is_nan":false}
        {"y":null,"is_null":true,"is_nan":null}
        {"y":null,"is_null":false,"is_nan":true}"#]]
    .assert_eq(&of_doubles("by_polars"));
    expect![[r#"
        {"y":3.0,"is_null":false,"is_nan":false}
        {"y":null,"is_null":true,"is_nan":null}
        {"y":null,"is_null":false,"is_nan":true}"#]]
    .assert_eq(&of_doubles("by_pyarrow"));
    expect![[r#"
        {"kind":"dict","n":3,"ids":6}
        {"kind":"pandas","n":3,"ids":6}
        {"kind":"polars","n":3,"ids":6}
        {"kind":"pyarrow","n":3,"ids":6}"#]]
    .assert_eq(&project.rows("select kind, count(*) as n, sum(id) as ids from mixed group by kind order by kind"));
}

/// Rows of a batch, what is handed over, and how many rows come back.
const SHAPES: &str = r#"
-- transforms/numbers.sql --
select value as id, value * 10 as x, 'unread' as y from generate_series(1, 10) t(value)
-- transforms/batches.py --
import numpy as np
from windlass import ref, transform


@transform(
    input=ref("numbers"),
    input_columns=["id"],
    columns={"first": "bigint", "rows": "bigint", "names": "varchar"},
    rows="many",
    batch_size=4,
)
def batches(batch):
    return {"first": batch["id"][:1], "rows": [len(batch["id"])], "names": [",".join(batch)]}
-- transforms/exploded.py --
import numpy as np
from windlass import ref, transform


@transform(input=ref("numbers"), columns={"id": "bigint", "copy": "int"}, rows="many")
class Exploded:
    def __call__(self, batch):
        for copy in range(int(batch["id"].max())):
            kept = batch["id"][batch["id"] > copy]
            yield {"id": kept, "copy": np.full(len(kept), copy)}
-- transforms/in_parts.py --
from windlass import ref, transform


@transform(input=ref("numbers"), columns={"id": "bigint", "x": "bigint"}, key=["id"])
def in_parts(batch):
    yield {"id": batch["id"][:3], "x": batch["x"][:3] + 1}
    yield {"id": batch["id"][3:], "x": batch["x"][3:] + 1}
-- transforms/none_of_them.py --
from windlass import ref, transform


@transform(input=ref("numbers"), columns={"id": "bigint"}, rows="many")
def none_of_them(batch):
    return
    yield
-- transforms/in_place.py --
from windlass import ref, transform


@transform(input=ref("numbers"), columns={"id": "bigint", "x": "bigint"}, input_columns=["id", "x"], key=["id"], zero_copy_batch=False)
def in_place(batch):
    batch["x"] += 1
    return batch
-- transforms/totals.py --
from windlass import ref, transform


@transform(
    inputs={"numbers": ref("numbers"), "more": ref("exploded")},
    columns={"numbers": "bigint", "more": "bigint", "scale": "double"},
    mode="table",
    fn_kwargs={"scale": 0.5},
)
def totals(numbers, more, scale):
    return {"numbers": [len(numbers["id"])], "more": [more["copy"].sum()], "scale": [scale]}
"#;

#[test]
fn rows_may_be_many_and_tables_whole() {
    let project = Project::with_python(SHAPES);
    project.windlass(["run"]).check(expect![[r#"
        exit 0
        -- stderr
          ✓ numbers                10 rows  [SIZE]  version 0  [TIME]
          ✓ batches                 3 rows  [SIZE]  version 0  [TIME]
          ✓ exploded               55 rows  [SIZE]  version 0  [TIME]
          ✓ in_parts               10 rows  [SIZE]  version 0  [TIME]
          ✓ in_place               10 rows  [SIZE]  version 0  [TIME]
          ✓ none_of_them            0 rows  [SIZE]  version 0  [TIME]
          ✓ totals                   1 row  [SIZE]  version 0  [TIME]
        Published 7 of 7 to prod  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    expect![[r#"
        {"first":1,"rows":4,"names":"id"}
        {"first":5,"rows":4,"names":"id"}
        {"first":9,"rows":2,"names":"id"}"#]]
    .assert_eq(&project.rows("select * from batches order by first"));
    expect![[r#"
        {"copy":0,"n":10,"ids":55}
        {"copy":1,"n":9,"ids":54}
        {"copy":2,"n":8,"ids":52}
        {"copy":3,"n":7,"ids":49}
        {"copy":4,"n":6,"ids":45}
        {"copy":5,"n":5,"ids":40}
        {"copy":6,"n":4,"ids":34}
        {"copy":7,"n":3,"ids":27}
        {"copy":8,"n":2,"ids":19}
        {"copy":9,"n":1,"ids":10}"#]]
    .assert_eq(&project.rows("select copy, count(*) as n, sum(id) as ids from exploded group by copy order by copy"));
    expect![[r#"{"n":10,"x":560,"least":1}"#]]
        .assert_eq(&project.rows("select count(*) as n, sum(x) as x, min(x - id * 10) as least from in_parts"));
    expect![[r#"{"n":10,"x":560}"#]].assert_eq(&project.rows("select count(*) as n, sum(x) as x from in_place"));
    expect![[r#"{"numbers":10,"more":165,"scale":0.5}"#]].assert_eq(&project.rows("select * from totals"));
    expect![[r#"{"n":0}"#]].assert_eq(&project.rows("select count(*) as n from none_of_them"));
}

#[test]
fn views_of_shared_memory_cannot_be_written() {
    let project = Project::with_python(SHAPES);
    project.write(
        "transforms/in_place.py",
        "from windlass import ref, transform\n\n\n@transform(input=ref(\"numbers\"), columns={\"id\": \"bigint\", \"x\": \"bigint\"}, \
         input_columns=[\"id\", \"x\"], key=[\"id\"], on_error=\"fail\")\ndef in_place(batch):\n    batch[\"x\"] += 1\n    return batch\n",
    );
    project.windlass(["run", "+in_place"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ numbers            10 rows  [SIZE]  version 0  [TIME]
          ✗ in_place  failed  [TIME]
        error[E0404]: ValueError: output array is read-only (batches are views of memory that is not yours: `zero_copy_batch=False` gives copies)
         --> transforms/in_place.py:6:5
          |
        6 |     batch["x"] += 1
          |     ^^^^^^^^^^^^^^^
          |
          = note: Traceback (most recent call last):
                    File "[DIR]/transforms/in_place.py", line 6, in in_place
                      batch["x"] += 1
                  ValueError: output array is read-only
        windlass explain E0404
        Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
}

#[test]
fn whole_tables_have_a_limit() {
    let project = Project::with_python(
        r#"
-- transforms/numbers.sql --
select value as id from generate_series(1, 100000) t(value)
-- transforms/whole.py --
from windlass import ref, transform


@transform(input=ref("numbers"), columns={"n": "bigint"}, mode="table", max_bytes="100KiB")
def whole(table):
    return {"n": [len(table["id"])]}
"#,
    );
    project.windlass(["run"]).check(expect![[r#"
        exit 1
        -- stderr
          ✓ numbers      100,000 rows  [SIZE]  version 0  [TIME]
          ✗ whole    failed  [TIME]
        error[E0410]: the tables of `whole` take more than [SIZE], at `input`
         --> transforms/whole.py:5:5
          |
        5 | def whole(table):
          |     ^^^^^
          |
          = help: use mode="batch", which streams, or raise `max_bytes` if the memory is there
        windlass explain E0410
        Published 1 of 2 to prod, 1 failed  [TIME]  CPU [TIME]  peak [SIZE]  run [RUN]
    "#]]);
    let enough = std::fs::read_to_string(project.path("transforms/whole.py")).unwrap().replace("100KiB", "10MiB");
    project.write("transforms/whole.py", &enough);
    assert_eq!(project.windlass(["run", "whole"]).code, 0);
    assert_eq!(project.rows("select * from whole"), r#"{"n":100000}"#);
}

/// A source, a view and Python nodes as inputs; SQL below Python; variables, own modules, prints.
const CHAIN: &str = r#"
-- windlass.yml --
name: test
version: 1
vars: {scale: 2, labels: [low, high]}
-- sources.yml --
sources:
  raw:
    path: data/{name}
    tables:
      orders: {path: data/orders.csv}
-- data/orders.csv --
id,amount
1,10.5
2,7
3,0.25
-- lib/words.py --
from windlass import var


def label(amount):
    low, high = var("labels")
    return high if amount > 5 else low
-- transforms/of_source.py --
import logging
import sys

from windlass import source, transform, var
from words import label


@transform(input=source("raw", "orders"), columns={"id": "bigint", "amount": "double", "label": "varchar"}, key=["id"])
def of_source(batch):
    print("rows:", len(batch["id"]))
    print("on stderr", file=sys.stderr)
    logging.warning("of logging")
    return {"id": batch["id"], "amount": batch["amount"] * var("scale"), "label": [label(x) for x in batch["amount"]]}
-- transforms/large.sql --
{{ config(materialized='view') }}
select * from {{ ref('of_source') }} where label = 'high'
-- transforms/of_view.py --
from windlass import ref, transform


@transform(input=ref("large"), columns={"id": "bigint", "amount": "double"}, key=["id"], requires={"sql": ["amount < 20"]}, max_errors=1)
def of_view(batch):
    return {"id": batch["id"], "amount": batch["amount"] + 1}
-- transforms/of_python.py --
from windlass import ref, transform


@transform(input=ref("of_view"), columns={"id": "bigint", "amount": "double"}, key=["id"])
def of_python(batch):
    return {"id": batch["id"], "amount": batch["amount"] + 1}
-- transforms/summary.sql --
select count(*) as n, sum(amount) as amount from {{ ref('of_python') }}
-- transforms/lost.sql --
select id, error, row.amount as amount from {{ ref('of_view__errors') }}
"#;

#[test]
fn python_reads_and_is_read() {
    let project = Project::with_python(CHAIN);
    let answer = project.windlass(["run"]);
    assert_eq!(answer.code, 0, "{answer}");
    for line in ["of_source[w1] rows: 3\n", "of_source[w1] on stderr\n", "of_source[w1] WARNING root: of logging\n"] {
        assert_eq!(answer.stderr.matches(line).count(), 1, "{line}: {answer}");
    }
    expect![[r#"
        {"id":1,"amount":21.0,"label":"high"}
        {"id":2,"amount":14.0,"label":"high"}
        {"id":3,"amount":0.5,"label":"low"}"#]]
    .assert_eq(&project.rows("select * from of_source order by id"));
    expect![[r#"{"id":2,"amount":16.0}"#]].assert_eq(&project.rows("select * from of_python order by id"));
    expect![[r#"{"n":1,"amount":16.0}"#]].assert_eq(&project.rows("select * from summary"));
    expect![[r#"{"id":1,"error":"not: amount < 20","amount":21.0}"#]].assert_eq(&project.rows("select * from lost"));
    // A variable of the command line reaches Python, in its own code and in that of `lib/`.
    let answer = project.windlass(["run", "of_source", "--vars", "scale=10"]);
    assert_eq!(answer.code, 0, "{answer}");
    expect![[r#"{"amount":177.5}"#]].assert_eq(&project.rows("select sum(amount) as amount from of_source"));
}
