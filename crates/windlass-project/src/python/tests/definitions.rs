//! What is read of a definition.

use expect_test::expect;

use super::{SCORE, described, text, with};
use crate::fixture::project;

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
