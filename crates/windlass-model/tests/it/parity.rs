//! Native scores against those of the library that trained the model, on 20,000 rows.
//!
//! `tests/models/train.py` trains and answers, in an environment that is made on first use. Bounds: 1e-6 on
//! probabilities, 1e-4 relative on regressions.

use std::fs::File;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use arrow::ipc::reader::FileReader;
use serde_json::Value;
use windlass_model::{Format, Scorer, Task, onnx};

use crate::python;

/// Largest difference of probabilities.
const PROBABILITY: f64 = 1e-6;
/// Largest difference of regressions, as a share of the answer or of 1.
const REGRESSION: f64 = 1e-4;

#[test]
fn scores_are_those_of_the_library() {
    check("train.py", 20);
}

/// Models as code in Python returns them, made into files by the package of the workers.
#[test]
fn what_code_returns_is_scored_as_its_library_does() {
    check("exported.py", 17);
}

fn check(script: &str, count: usize) {
    let folder = tempfile::tempdir().unwrap();
    python::script(script, &[folder.path().to_str().unwrap()]);
    let cases: Value = serde_json::from_slice(&std::fs::read(folder.path().join("cases.json")).unwrap()).unwrap();
    let cases = cases.as_array().unwrap();
    onnx::use_library(&python::onnx_library()).unwrap();
    assert_eq!(cases.len(), count, "a case was forgotten: {cases:?}");
    let mut bad = Vec::new();
    for case in cases {
        let (worst, bound) = worst(folder.path(), case);
        if worst.is_nan() || worst > bound {
            bad.push(format!("{}: {worst:e}", case["name"]));
        }
    }
    assert!(bad.is_empty(), "too far from the library: {bad:?}");
}

/// Returns the largest difference of a case, and its bound.
fn worst(folder: &Path, case: &Value) -> (f64, f64) {
    let name = case["name"].as_str().unwrap();
    let format: Format = serde_json::from_value(case["format"].clone()).unwrap();
    let model = std::fs::read(folder.join(format!("{name}.model"))).unwrap();
    let mut scorer = Scorer::load(format, &model).unwrap();
    if let Some(classes) = case["classes"].as_array() {
        let classes = classes.iter().map(|class| serde_json::from_value(class.clone()).unwrap()).collect();
        scorer = scorer.with_classes(classes).unwrap();
    }
    if let Some(names) = case["inputs"].as_array() {
        let names: Vec<String> = names.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
        scorer = scorer.with_inputs(&names).unwrap();
    }
    // Another thread's model answers the same.
    let mut scorer = scorer.fork().unwrap();
    let file = File::open(folder.join(format!("{name}.arrow"))).unwrap();
    let answers = case["answers"].as_u64().unwrap() as usize;
    let (mut worst, mut rows) = (0_f64, 0);
    for batch in FileReader::try_new(file, None).unwrap() {
        let batch = batch.unwrap();
        let scores = scorer.score(&batch).unwrap();
        assert_eq!(scores.failures, [], "{name}");
        let found: &[f64] = match scorer.task() {
            Task::Classification => {
                scores.columns[1].as_fixed_size_list().values().as_primitive::<Float64Type>().values()
            }
            _ => scores.columns[0].as_primitive::<Float64Type>().values(),
        };
        assert_eq!(found.len(), batch.num_rows() * answers, "{name}");
        for at in 0..answers {
            let found = found.iter().skip(at).step_by(answers);
            for (found, expected) in found.zip(expected(&batch, at)) {
                let scale = if scorer.task() == Task::Classification { 1.0 } else { expected.abs().max(1.0) };
                // Not `max`, which would take NaN for the smaller one.
                let difference = (found - expected).abs() / scale;
                worst = if difference <= worst { worst } else { difference };
            }
        }
        rows += batch.num_rows();
    }
    assert_eq!(rows, 20_000, "{name}");
    (worst, if scorer.task() == Task::Classification { PROBABILITY } else { REGRESSION })
}

fn expected(batch: &RecordBatch, at: usize) -> &[f64] {
    batch.column_by_name(&format!("expected_{at}")).unwrap().as_primitive::<Float64Type>().values()
}
