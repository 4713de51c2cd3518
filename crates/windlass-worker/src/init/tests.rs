//! Tests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::Int64Array;
use arrow::datatypes::{DataType, Field};
use expect_test::expect;

use super::*;
use crate::Environment;
use crate::program::{BatchFormat, CallArgument, CallErrors, Nulls, PoolSettings, StartMode};

fn program(role: Role) -> Program {
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
    Program {
        node: "n".to_owned(),
        environment: Environment { python: PathBuf::from("python"), key: String::new(), packages: BTreeMap::new() },
        role,
        input: Arc::clone(&schema),
        output: schema,
        root: PathBuf::from("/project"),
        lib: vec![PathBuf::from("/project/lib")],
        code_hash: String::new(),
        vars: serde_json::Map::new(),
        isolate: true,
        settings: PoolSettings {
            concurrency: (1, 1),
            num_cpus: 2.5,
            num_gpus: 0.0,
            timeout: None,
            start_timeout: Duration::from_secs(1),
            memory: None,
            start: StartMode::Fork,
        },
    }
}

#[test]
fn training_is_told_as_python_reads_it() {
    let settings = serde_json::Map::from_iter([("seed".to_owned(), json!(7))]);
    for (function, expected) in [
        (Some((PathBuf::from("/project/models/m.py"), "train".to_owned())), json!("/project/models/m.py")),
        (None, Value::Null),
    ] {
        let code = crate::program::TrainingCode { function, settings: settings.clone() };
        let init = Init::new(&program(Role::Training(Box::new(code))), 1).unwrap();
        let json: Value = serde_json::from_slice(&init.json).unwrap();
        assert_eq!((&json["role"], &json["rows"], &json["file"]), (&json!("training"), &json!("many"), &expected));
        assert_eq!(json["training"], json!({ "seed": 7 }));
    }
}

#[test]
fn functions_are_told_as_python_reads_them() {
    let call = Call {
        file: PathBuf::from("/project/functions/f.py"),
        object: "f".to_owned(),
        arguments: vec![CallArgument::Column(0), CallArgument::Constant(0)],
        batch_format: BatchFormat::Numpy,
        nulls: Nulls::Skip,
        on_error: CallErrors::Null,
        model: None,
    };
    let constants = RecordBatch::try_from_iter([("c", Arc::new(Int64Array::from(vec![7])) as _)]).unwrap();
    let program = program(Role::Functions { calls: vec![call], constants: Some(constants) });
    let init = Init::new(&program, 3).unwrap();
    assert!(!init.input.is_empty() && !init.constants.is_empty());
    let json: Value = serde_json::from_slice(&init.json).unwrap();
    assert_eq!(json["output_schema_bytes"], init.output.len());
    assert_eq!(json["constants_bytes"], init.constants.len());
    let mut json = json;
    json.as_object_mut().unwrap().retain(|name, _| !name.ends_with("_bytes"));
    expect![[r#"{"node":"n","worker":3,"root":"/project","lib":["/project/lib"],"isolate":true,"columns":["a"],"vars":{},"memory_limit":null,"threads":2,"budget":{"calls":64,"row_factor":4,"time_factor":20},"role":"udf","rows":"every_row","mode":"batch","rowwise":true,"key":[],"copy_inputs":false,"calls":[{"file":"/project/functions/f.py","object":"f","args":[{"column":0},{"constant":0}],"nulls":"skip","batch_format":"numpy","on_error":"null"}]}"#]]
    .assert_eq(&json.to_string());
}
