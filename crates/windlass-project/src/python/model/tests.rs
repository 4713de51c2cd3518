//! What `@model` says, and what is wrong with it.

use expect_test::{Expect, expect};

use crate::fixture::{problems, project};

const BASE: &str = "\
-- windlass.yml --
name: shop
vars: {since: 2013}
-- transforms/trips.sql --
select 1 as id, 2.0 as x, true as is_late
-- lib/shared.py --
LIMIT = 3
";

/// Returns a file with one model that has these arguments.
fn with(arguments: &str) -> String {
    format!(
        "{BASE}-- models/late.py --\nimport nowhere\nfrom shared import LIMIT\nfrom windlass import model, ref, var\n\
         FEATURES = [\"x\"]\n@model({arguments})\ndef train(data, run):\n    raise SystemExit(var(\"since\"))\n"
    )
}

fn wrong(text: &str, expected: Expect) {
    expected.assert_eq(&problems(text));
}

#[test]
fn what_it_reads_is_a_query() {
    let text = with(
        "ref(\"trips\"), label=\"is_late\", features=FEATURES, where=\"x > {{ var('since') }}\", order_by=[\"id desc\", \"x\"], \
         seed=7, gates={\"auc\": \">= 0.85\"}, max_bytes=\"2GiB\", num_cpus=2, tags=[\"ml\"], retries=1",
    );
    let project = project(&text);
    let node = &project.nodes["late"];
    let model = node.model().unwrap();
    let python = node.python_model().unwrap();
    let inputs: Vec<String> =
        model.query.inputs.iter().map(|input| format!("{} {:?}", input.table(), input.part)).collect();
    let gates: Vec<&str> = model.gates.iter().map(|gate| gate.rule.as_str()).collect();
    let files: Vec<&String> = python.code.sources.keys().collect();
    let told = [
        format!("{} of {} at {}", node.kind_name(), python.code.object, node.location),
        model.query.sql.clone(),
        format!("reads {inputs:?} {:?} {:?}", model.query.vars, python.code.vars),
        python.identity(),
        format!("gates {gates:?} files {files:?} {} CPUs {} bytes", python.code.workers.num_cpus, python.max_bytes),
        format!("tags {:?} retries {}", node.config.tags, node.config.retries),
    ];
    expect![[r#"
        model of train at models/late.py:6:5
        select * from trips where (x > 2013)
        reads ["trips Result"] {"since": "2013"} {"since": Number(2013)}
        python train "is_late" Some(["x"]) None None ["id true", "x false"] Some(7)
        gates ["auc >= 0.85"] files ["models/late.py", "lib/shared.py"] 2 CPUs 2147483648 bytes
        tags ["ml"] retries 1"#]]
    .assert_eq(&told.join("\n"));
    // Places in the condition are those of the text in the file.
    let at = model.query.sql.find("x >").unwrap();
    let place = model.query.map.locate(at..at + 1).unwrap();
    assert_eq!(&place.file.text[place.span.clone()], "x");
    assert_eq!(place.file.path.to_str(), Some("models/late.py"));
}

#[test]
fn arguments_that_cannot_be_used_are_told() {
    wrong(
        &with("ref(\"trips\"), seed=7, order=[\"id\"], gates=[\"auc\"]"),
        expect![[r#"
        error[E0402]: unknown argument `order` of `@model`
          models/late.py:5:30
          | @model(ref("trips"), seed=7, order=["id"], gates=["auc"])
          |                              ^^^^^ did you mean `order_by`?
          node: late
        error[E0204]: `@model` needs the argument `label`
          models/late.py:5:2
          | @model(ref("trips"), seed=7, order=["id"], gates=["auc"])
          |  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
          hint: name the column to predict: `label="is_late"`
          node: late
        error[E0402]: `seed` needs `order_by`
          models/late.py:5:22
          | @model(ref("trips"), seed=7, order=["id"], gates=["auc"])
          |                      ^^^^
          hint: rows come in any order otherwise, and what is drawn falls on others: `order_by=["id"]`
          node: late
        error[E0402]: expected a dict of bounds by metric for `gates`, found a list
          models/late.py:5:50
          | @model(ref("trips"), seed=7, order=["id"], gates=["auc"])
          |                                                  ^^^^^^^
          hint: write `gates={"auc": ">= 0.85"}`, with the names that `run.log_metric` gives
          node: late
        broken: late
    "#]],
    );
    wrong(
        &with("ref(\"tripz\"), label=\"is_late\""),
        expect![[r#"
        error[E0302]: no node `tripz`
          models/late.py:5:12
          | @model(ref("tripz"), label="is_late")
          |            ^^^^^^^ did you mean `trips`?
          hint: a node is named after its file in `transforms/` or `seeds/`
          node: late
        broken: late
    "#]],
    );
    wrong(
        &with("ref(\"trips\"), label=\"a\" + \"b\", task=\"clustering\", gates={\"auc\": \"high\"}"),
        expect![[r#"
            error[E0402]: expected a bound such as `">= 0.85"` for `gates`, found `"high"`
              models/late.py:5:72
              | @model(ref("trips"), label="a" + "b", task="clustering", gates={"auc": "high"})
              |                                                                        ^^^^^^
              hint: write `gates={"auc": ">= 0.85"}`, with the names that `run.log_metric` gives
              node: late
            error[E0402]: expected `"classification"` or `"regression"` for `task`, found `"clustering"`
              models/late.py:5:44
              | @model(ref("trips"), label="a" + "b", task="clustering", gates={"auc": "high"})
              |                                            ^^^^^^^^^^^^
              node: late
            broken: late
        "#]],
    );
    let two = format!(
        "{}@model(ref(\"trips\"), label=\"x\")\ndef other(data, run):\n    pass\n",
        with("ref(\"trips\"), label=\"x\"")
    );
    wrong(
        &two,
        expect![[r#"
        error[E0403]: `models/late.py` defines 2 models
          models/late.py:9:5
          | def other(data, run):
          |     ^^^^^
          hint: a model is named after its file: give each a file of its own
          node: late
        broken: late
    "#]],
    );
    let none = format!("{BASE}-- models/late.py --\ndef train(data, run):\n    pass\n");
    wrong(
        &none,
        expect![[r#"
        error[E0403]: `models/late.py` defines no model
          models/late.py:1:1
          | def train(data, run):
          | ^
          hint: decorate one function at module level with `@model(...)`; shared code belongs into `lib/`
          node: late
        broken: late
    "#]],
    );
    let one = format!(
        "{BASE}-- models/late.py --\nfrom windlass import model, ref\n@model(ref(\"trips\"), label=\"x\")\ndef train(data):\n    pass\n"
    );
    wrong(
        &one,
        expect![[r#"
        error[E0402]: `train` takes 1 argument, and training hands over two
          models/late.py:3:5
          | def train(data):
          |     ^^^^^
          hint: write `def train(data, run):`, the rows and what is noted
          node: late
        broken: late
    "#]],
    );
}
