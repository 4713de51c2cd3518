//! A model as MLflow keeps it: `MLmodel`, what Python it needs, and its files.
//!
//! Written so that `mlflow.pyfunc.load_model` loads every format: those of libraries through their own
//! loaders, models of ours through a Python file that stands beside them. `MLmodel` is written as JSON
//! values in YAML, which every reader of YAML takes.

use bytes::Bytes;
use saphyr_parser::{Event, Parser};
use serde_json::{Value, json};

use crate::{Column, ColumnType, Error, Format, ModelVersion, Signature};

/// The version of MLflow whose folders these are.
const MLFLOW: &str = "3.17.2";
/// Computes models of ours, for those who load them from MLflow.
const PYFUNC: &str = include_str!("pyfunc.py");
/// The name of that file in the folder.
const PYFUNC_FILE: &str = "windlass_model.py";
/// The file of a model that was pickled.
pub const PICKLE: &str = "model.pkl";
/// The tag of a version that has the packages which score it, a line each.
pub const REQUIREMENTS: &str = "windlass.requirements";
/// Deeper files than this are no `MLmodel`.
const DEEPEST: usize = 16;

/// Returns the files of a model's folder. `files` are those of the version, the main one first.
pub(super) fn files(
    record: &ModelVersion,
    files: Vec<(String, Bytes)>,
    model_id: &str,
    run_id: &str,
    place: &str,
) -> Result<Vec<(String, Bytes)>, Error> {
    let main = files.first().map(|(path, _)| path.clone()).unwrap_or_default();
    // The folder was imported from MLflow and is handed back as it was.
    let Some((flavors, requirements)) = flavors(record.format, &main) else { return Ok(files) };
    let about = json!({
        "artifact_path": place,
        "flavors": flavors,
        "metadata": {"windlass_fingerprint": record.fingerprint, "windlass_version": record.version},
        "mlflow_version": MLFLOW,
        "model_id": model_id,
        "model_uuid": model_id,
        "run_id": run_id,
        "signature": signature(&record.signature),
        "utc_time_created": created(&record.created),
    });
    let mut folder = vec![("MLmodel".to_owned(), yaml(&about))];
    let own = record.tags.get(REQUIREMENTS).into_iter().flat_map(|said| said.lines());
    let requirements = requirements.iter().copied().chain(own).map(str::to_owned);
    let requirements: Vec<String> = [format!("mlflow=={MLFLOW}")].into_iter().chain(requirements).collect();
    folder.push(("requirements.txt".to_owned(), (requirements.join("\n") + "\n").into()));
    let environment = json!({
        "python": "3.11", "build_dependencies": ["pip", "setuptools", "wheel"], "dependencies": ["-r requirements.txt"],
    });
    folder.push(("python_env.yaml".to_owned(), yaml(&environment)));
    let conda = json!({
        "name": "mlflow-env", "channels": ["conda-forge"], "dependencies": ["python=3.11", "pip", {"pip": requirements}],
    });
    folder.push(("conda.yaml".to_owned(), yaml(&conda)));
    let is_ours = record.format == Format::Windlass;
    if is_ours {
        folder.push((PYFUNC_FILE.to_owned(), PYFUNC.into()));
    }
    folder.extend(
        files
            .into_iter()
            .map(|(path, bytes)| if is_ours { (format!("artifacts/{path}"), bytes) } else { (path, bytes) }),
    );
    Ok(folder)
}

/// Returns how a model with a main file is loaded, as Python and by its library, and the packages that takes; `None`
/// for one that brings its own folder.
fn flavors(format: Format, main: &str) -> Option<(serde_json::Map<String, Value>, &'static [&'static str])> {
    let mut loader = json!({
        "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
        "python_version": "3.11",
    });
    let (library, requirements): (Option<(&str, Value)>, &[&str]) = match format {
        Format::Windlass => {
            loader["loader_module"] = json!("mlflow.pyfunc.loaders.code_model");
            loader["model_code_path"] = json!(PYFUNC_FILE);
            loader["streamable"] = json!(false);
            loader["artifacts"] = json!({"model": {"path": format!("artifacts/{main}"), "uri": main}});
            (None, &["numpy", "pandas"])
        }
        Format::Lightgbm => {
            let flavor =
                json!({"data": main, "lgb_version": "4", "model_class": "lightgbm.basic.Booster", "code": null});
            (Some(("lightgbm", flavor)), &["lightgbm>=4"])
        }
        Format::Xgboost => {
            let kind = if main.ends_with(".ubj") { "ubj" } else { "json" };
            let flavor = json!({
                "data": main, "xgb_version": "3", "model_class": "xgboost.core.Booster", "model_format": kind, "code": null,
            });
            (Some(("xgboost", flavor)), &["xgboost>=3"])
        }
        Format::Onnx => {
            let flavor = json!({
                "data": main, "onnx_version": "1", "providers": ["CPUExecutionProvider"], "code": null,
            });
            (Some(("onnx", flavor)), &["onnx", "onnxruntime"])
        }
        Format::Pickle => {
            let flavor = json!({"pickled_model": PICKLE, "serialization_format": "pickle", "code": null});
            (Some(("sklearn", flavor)), &[])
        }
        Format::Sklearn | Format::Pyfunc | Format::Python => return None,
    };
    if let Some((name, _)) = &library {
        loader["loader_module"] = json!(format!("mlflow.{name}"));
        loader["data"] = json!(if format == Format::Pickle { PICKLE } else { main });
    }
    let mut flavors = serde_json::Map::from_iter([("python_function".to_owned(), loader)]);
    flavors.extend(library.map(|(name, flavor)| (name.to_owned(), flavor)));
    Some((flavors, requirements))
}

/// Returns a signature as `MLmodel` has it: lists as text.
fn signature(signature: &Signature) -> Value {
    let column = |column: &Column| {
        let mut shown = json!({"name": column.name, "required": !column.nullable});
        match &column.data_type {
            ColumnType::Vector(_) => {
                shown["type"] = json!("array");
                shown["items"] = json!({"type": "double"});
            }
            data_type => shown["type"] = json!(data_type.to_string()),
        }
        shown
    };
    let list = |columns: &[Column]| match columns {
        [] => Value::Null,
        columns => json!(Value::from_iter(columns.iter().map(column)).to_string()),
    };
    json!({"inputs": list(&signature.inputs), "outputs": list(&signature.outputs), "params": null})
}

fn created(moment: &str) -> String {
    moment.trim_end_matches('Z').replace('T', " ")
}

fn yaml(value: &Value) -> Bytes {
    serde_json::to_vec_pretty(value).map(Bytes::from).unwrap_or_default()
}

/// What a model of MLflow is, and how it is read natively.
#[derive(Debug, Clone, PartialEq)]
pub struct Flavor {
    /// The format; [`Format::Pyfunc`] where it is scored in Python.
    pub format: Format,
    /// Its main file; the folder itself for [`Format::Pyfunc`].
    pub main: Option<String>,
    /// What its signature says; `None` where it has none or one of tensors.
    pub signature: Option<Signature>,
    /// The types of what it answers, where its signature says so; names are empty where it has none.
    pub answers: Vec<Column>,
}

/// Reads an `MLmodel` file.
///
/// # Errors
///
/// [`Error::Format`] where it is none.
pub fn read_flavor(text: &str) -> Result<Flavor, Error> {
    let about = parse(text).map_err(|message| Error::Format { format: "mlflow", message })?;
    let flavors = &about["flavors"];
    if !flavors.is_object() {
        return Err(Error::Format { format: "mlflow", message: "its `MLmodel` has no `flavors`".to_owned() });
    }
    let data = |name: &str| flavors[name]["data"].as_str().map(str::to_owned);
    let is_booster = |name: &str| flavors[name]["model_class"].as_str().is_none_or(|class| class.ends_with("Booster"));
    let native = [("onnx", Format::Onnx), ("lightgbm", Format::Lightgbm), ("xgboost", Format::Xgboost)];
    let native = native.into_iter().find_map(|(name, format)| {
        // The scikit-learn interface of these libraries is kept as a pickle or a skops file.
        let data =
            data(name).filter(|file| is_booster(name) && !file.ends_with(".skops") && !file.ends_with(".pkl"))?;
        Some((format, data))
    });
    let side = |key: &str| -> Option<Vec<Column>> {
        let list: Vec<Value> = serde_json::from_str(about["signature"][key].as_str()?).ok()?;
        list.iter().map(column).collect()
    };
    let signature = side("inputs").map(|inputs| Signature { inputs, outputs: side("outputs").unwrap_or_default() });
    let answers = about["signature"]["outputs"].as_str().and_then(|text| serde_json::from_str(text).ok());
    let answers: Option<Vec<Column>> = answers.and_then(|list: Vec<Value>| list.iter().map(answer).collect());
    let (format, main) = match native {
        Some((format, main)) => (format, Some(main)),
        None if flavors["sklearn"].is_object() => (Format::Sklearn, None),
        None => (Format::Pyfunc, None),
    };
    Ok(Flavor { format, main, signature, answers: answers.unwrap_or_default() })
}

/// Reads an answer of a signature: a column, with or without a name, or a tensor of one number a row.
fn answer(answer: &Value) -> Option<Column> {
    let name = answer["name"].as_str().unwrap_or_default();
    if answer["type"] != "tensor" {
        return Some(Column::new(name, serde_json::from_value(answer["type"].clone()).ok()?, true));
    }
    let shape: Vec<i64> = serde_json::from_value(answer["tensor-spec"]["shape"].clone()).ok()?;
    let data_type = match answer["tensor-spec"]["dtype"].as_str()? {
        "bool" => ColumnType::Boolean,
        "int8" | "int16" | "int32" | "uint8" | "uint16" => ColumnType::Integer,
        "int64" | "uint32" | "uint64" => ColumnType::Long,
        "float16" | "float32" => ColumnType::Float,
        "float64" => ColumnType::Double,
        "object" | "str" => ColumnType::String,
        _ => return None,
    };
    matches!(shape.as_slice(), [_] | [_, 1]).then(|| Column::new(name, data_type, true))
}

/// Returns the packages of a `requirements.txt` of a model: what MLflow itself writes there, without options.
pub fn requirements(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty() && !line.starts_with(['#', '-'])).map(str::to_owned).collect()
}

/// Returns the version of Python that a model was logged with, such as `3.12`, out of its `python_env.yaml`.
pub fn python_version(text: &str) -> Option<String> {
    let about = parse(text).ok()?;
    let mut parts = about["python"].as_str()?.split('.');
    let (major, minor) = (parts.next()?, parts.next()?);
    let is_number = |part: &str| !part.is_empty() && part.chars().all(|digit| digit.is_ascii_digit());
    (is_number(major) && is_number(minor)).then(|| format!("{major}.{minor}"))
}

fn column(column: &Value) -> Option<Column> {
    let data_type = serde_json::from_value(column["type"].clone()).ok()?;
    Some(Column::new(column["name"].as_str()?, data_type, column["required"].as_bool() == Some(false)))
}

/// Reads YAML without tags and aliases, all values as text.
fn parse(text: &str) -> Result<Value, String> {
    /// A list or map that is being read, and the key that waits for its value.
    enum Open {
        List(Vec<Value>),
        Map(serde_json::Map<String, Value>, Option<String>),
    }
    let mut open: Vec<Open> = Vec::new();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, _) = event.map_err(|error| error.to_string())?;
        let value = match event {
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                None
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(serde_json::Map::new(), None));
                None
            }
            Event::Scalar(text, style, ..) => {
                let is_plain = style == saphyr_parser::ScalarStyle::Plain;
                let is_null = is_plain && ["null", "~", ""].contains(&text.as_ref());
                Some(if is_null { Value::Null } else { Value::from(text.into_owned()) })
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(list)) => Some(Value::Array(list)),
                Some(Open::Map(map, _)) => Some(Value::Object(map)),
                None => None,
            },
            Event::Alias(_) => return Err("it has an alias".to_owned()),
            _ => None,
        };
        if open.len() > DEEPEST {
            return Err("it is too deep".to_owned());
        }
        let Some(value) = value else { continue };
        match open.last_mut() {
            None => return Ok(value),
            Some(Open::List(list)) => list.push(value),
            Some(Open::Map(map, key)) => match key.take() {
                None => *key = Some(value.as_str().unwrap_or_default().to_owned()),
                Some(name) => drop(map.insert(name, value)),
            },
        }
    }
    Err("it is empty".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flavors_are_told_apart() {
        let file = |flavors: &str| {
            format!(
                "artifact_path: x\nflavors:\n{flavors}signature:\n  inputs: '[{{\"type\": \"double\", \"name\":\n    \"a\", \"required\": false}}]'\n  outputs: null\n  params: null\n"
            )
        };
        for (flavors, format, main) in [
            ("  onnx:\n    code: null\n    data: model.onnx\n", Format::Onnx, Some("model.onnx")),
            (
                "  lightgbm:\n    data: model.lgb\n    model_class: lightgbm.basic.Booster\n  python_function: {}\n",
                Format::Lightgbm,
                Some("model.lgb"),
            ),
            (
                "  lightgbm:\n    data: model.skops\n    model_class: lightgbm.sklearn.LGBMClassifier\n",
                Format::Pyfunc,
                None,
            ),
            ("  sklearn:\n    pickled_model: model.skops\n", Format::Sklearn, None),
            ("  python_function:\n    loader_module: x\n", Format::Pyfunc, None),
        ] {
            let flavor = read_flavor(&file(flavors)).unwrap();
            assert_eq!((flavor.format, flavor.main.as_deref()), (format, main), "{flavors}");
            assert_eq!(flavor.signature.unwrap().inputs, [Column::new("a", ColumnType::Double, true)]);
        }
        let outputs = |text: &str| {
            let about = format!("flavors:\n  python_function: {{}}\nsignature:\n  inputs: null\n  outputs: '{text}'\n");
            read_flavor(&about).unwrap().answers
        };
        assert_eq!(outputs(r#"[{"type": "long", "required": true}]"#), [Column::new("", ColumnType::Long, true)]);
        let tensor = r#"[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]"#;
        assert_eq!(outputs(tensor), [Column::new("", ColumnType::Double, true)]);
        let pairs = r#"[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]"#;
        assert_eq!(outputs(pairs), []);
        assert_eq!(requirements("mlflow==3.17.2\n# c\n-e .\nnumpy>=2 # why\n\n"), ["mlflow==3.17.2", "numpy>=2"]);
        assert_eq!(python_version("python: 3.11.9\ndependencies:\n- -r requirements.txt\n").unwrap(), "3.11");
        assert!(read_flavor("[1]").is_err());
        assert!(read_flavor("a: *b").is_err());
    }
}
