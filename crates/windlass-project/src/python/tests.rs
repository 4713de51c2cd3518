//! What Python transforms say, and what is wrong with them.

mod arguments;
mod constants;
mod definitions;
mod files;
mod increments;
mod inputs;
mod nodes;

use std::fmt::Write;

use expect_test::Expect;

use crate::Node;
use crate::fixture::{problems, project};

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
