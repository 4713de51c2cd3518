//! Hands training rows to a worker and reads what comes back: the model's file, and what is known of it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef};
use serde_json::{Map, Value};
use windlass_model::{Format, ModelFile};
use windlass_project::{Node, Project, PythonEnvironment};
use windlass_worker::{PoolSettings, Program, Role, TrainingCode};

use crate::build::BuildRequest;
use crate::operators::python::PythonError;
use crate::{Engine, Error, python};

/// The columns of an answer; see `_training.py`.
static ANSWER: LazyLock<SchemaRef> = LazyLock::new(|| {
    let column = |name, data_type| Field::new(name, data_type, true);
    Arc::new(Schema::new(vec![
        column("kind", DataType::Utf8),
        column("name", DataType::Utf8),
        column("number", DataType::Float64),
        column("text", DataType::Utf8),
        column("data", DataType::Binary),
    ]))
});

/// What trains, and with what.
pub(super) struct Trainer<'a> {
    pub(super) environment: &'a PythonEnvironment,
    pub(super) code: TrainingCode,
    pub(super) code_hash: String,
    pub(super) vars: Map<String, Value>,
    pub(super) settings: PoolSettings,
}

/// What came of training.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The model's file.
    pub(super) file: Option<(Format, ModelFile)>,
    /// Whether it predicts a class.
    pub(super) is_classifier: bool,
    /// What the code returned, in words.
    pub(super) estimator: String,
    pub(super) classes: Option<Vec<Value>>,
    pub(super) metrics: BTreeMap<String, f64>,
    pub(super) params: BTreeMap<String, String>,
    /// Some rows by their places, and what the library answers for them.
    pub(super) sample: Option<(Vec<u64>, Vec<f64>)>,
}

impl Engine {
    /// Trains in a worker. It ends afterwards: what it has learned from would stay in its memory.
    ///
    /// # Errors
    ///
    /// [`Error::Compute`] at the user's line where the code fails, or the environment cannot be had.
    pub(super) async fn ask_trainer(
        &self,
        request: &BuildRequest<'_>,
        trainer: Trainer<'_>,
        rows: RecordBatch,
    ) -> Result<Answer, Error> {
        let (project, node) = (request.project, request.node);
        let program = Program {
            node: node.name.clone(),
            environment: self.environment(project, node, trainer.environment).await?,
            role: Role::Training(Box::new(trainer.code)),
            input: rows.schema(),
            output: Arc::clone(&ANSWER),
            root: project.root.clone(),
            lib: python::lib_folders(project),
            code_hash: trainer.code_hash,
            vars: trainer.vars,
            isolate: false,
            settings: trainer.settings,
        };
        let failed = |error| told(project, node, error);
        let pool = self.workers.pool(program).await.map_err(failed)?;
        let outcome = pool.call(rows).await;
        pool.dismiss_idle();
        Ok(Answer::read(&outcome.map_err(failed)?.rows))
    }
}

/// Returns a failure of a worker at the user's line.
fn told(project: &Project, node: &Node, error: windlass_worker::Error) -> Error {
    let error = PythonError::from(error);
    let blame = Some(Box::new(python::diagnose(project, node, &error)));
    Error::Compute { node: node.name.clone(), blame, source: error.into() }
}

impl Answer {
    /// Reads an answer; parts that it does not know are left out.
    fn read(rows: &RecordBatch) -> Self {
        let mut answer = Self::default();
        let text = |row: usize, column: usize| -> Option<&str> {
            let texts = rows.column(column).as_string_opt::<i32>()?;
            texts.is_valid(row).then(|| texts.value(row))
        };
        let numbers = rows.column(2).as_primitive_opt::<Float64Type>();
        let data = rows.column(4).as_binary_opt::<i32>();
        for row in 0..rows.num_rows() {
            let bytes = data.filter(|data| data.is_valid(row)).map(|data| data.value(row)).unwrap_or_default();
            let (name, said) = (text(row, 1).unwrap_or_default(), text(row, 3).unwrap_or_default());
            match text(row, 0).unwrap_or_default() {
                "file" => {
                    let file = ModelFile { path: name.to_string(), bytes: Bytes::copy_from_slice(bytes) };
                    answer.file = format(said).map(|format| (format, file));
                }
                "task" => answer.is_classifier = name == "classification",
                "estimator" => answer.estimator = name.to_string(),
                "classes" => answer.classes = serde_json::from_str(said).ok(),
                "param" => {
                    answer.params.insert(name.to_string(), said.to_string());
                }
                "metric" => {
                    let number = numbers.filter(|numbers| numbers.is_valid(row)).map(|numbers| numbers.value(row));
                    answer.metrics.extend(number.map(|number| (name.to_string(), number)));
                }
                "answers" => {
                    let number = |bytes: &[u8]| bytes.try_into().map(f64::from_le_bytes).unwrap_or(f64::NAN);
                    let answers = bytes.chunks(8).map(number).collect();
                    answer.sample = serde_json::from_str(said).ok().map(|places| (places, answers));
                }
                _ => {}
            }
        }
        answer
    }
}

fn format(name: &str) -> Option<Format> {
    let all = [Format::Windlass, Format::Lightgbm, Format::Xgboost, Format::Onnx, Format::Pickle];
    all.into_iter().find(|format| format.name() == name)
}
