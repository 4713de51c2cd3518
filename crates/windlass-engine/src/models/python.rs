//! Trains a `@model`: the user's function fits it in a worker, and its file is scored in the engine from then on.
//!
//! With `keep="pickle"` it is kept as Python has it, and workers score it.
//!
//! Must stay true: nothing is registered that the engine scores otherwise than the library that made it, as far as a
//! sample of the training rows tells, and no pickle is ever opened here.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::Column as ColumnName;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use serde_json::{Map, Value, json};
use windlass_error::{Classify, Code, Diagnostic};
use windlass_model::mlflow::REQUIREMENTS;
use windlass_model::registry::hash;
use windlass_model::train::InputKind;
use windlass_model::{Column, ColumnType, Error as ModelError, Format, Label, ModelFile, Scorer, Task};
use windlass_project::{Model, Node, PythonKeep, PythonModel};
use windlass_worker::TrainingCode;

use super::ModelShape;
use super::class::Declared;
use super::held::{HeldRows, hold};
use super::in_python::{InPython, Loader, code_files};
use super::register::Learned;
use super::shape::kind_word;
use super::train::TrainingQuery;
use super::trainer::{Answer, Trainer};
use crate::build::{BuildRequest, Phase};
use crate::operators::{Leave, specialise};
use crate::python::{code_hash, handed_over, pool_settings};
use crate::session::PlanStyle;
use crate::{Engine, Error};

/// How far probabilities may be apart from those of the library.
const NEAR: f64 = 1e-6;
/// The same for predicted numbers, as a share.
const NEAR_SHARE: f64 = 1e-4;

impl Engine {
    /// Trains a model in Python on the rows of the query, in the order that it asks for.
    pub(super) async fn train_in_python(
        &self,
        request: &BuildRequest<'_>,
        model: &Model,
        python: &PythonModel,
        training: &TrainingQuery,
    ) -> Result<Learned, Error> {
        let (node, shape) = (request.node, &training.shape);
        request.progress.phase(Phase::Staging);
        let held = self.rows_for_python(request, python, training).await?;
        let (line, _) = node.location.position();
        let settings = told(shape, python, line);
        let threads = self.session.settings().threads;
        let trainer = Trainer {
            environment: &python.code.environment,
            code: TrainingCode { function: Some((python.code.path.clone(), python.code.object.clone())), settings },
            code_hash: code_hash(&python.code),
            vars: python.code.vars.clone(),
            settings: windlass_worker::PoolSettings {
                concurrency: (1, 1),
                ..pool_settings(&python.code.workers, threads)
            },
        };
        let answer = self.ask_trainer(request, trainer, held.batch.clone()).await?;
        self.kept((node, model), shape, &held.batch, answer).await
    }

    async fn rows_for_python(
        &self,
        request: &BuildRequest<'_>,
        python: &PythonModel,
        training: &TrainingQuery,
    ) -> Result<HeldRows, Error> {
        let node = request.node;
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let state = training.context.state();
        let query = ordered(&training.query, python, &training.shape).map_err(failed)?;
        let plain = handed_over(&node.name, query.schema().as_arrow())?;
        let held = async {
            let plan = state.create_physical_plan(&query).await?;
            let leave = Leave { room: self.session.room(PlanStyle::Fast), may_reorder: python.order_by.is_empty() };
            let plan = specialise(plan, leave)?;
            let limit = (node.name.as_str(), python.max_bytes);
            hold(plan, state.task_ctx(), &plain, limit, |rows| request.progress.rows_read(rows)).await
        };
        let held = match held.await {
            Ok(held) => held,
            Err(source) => return Err(self.blame_training(request, training, &state, source).await),
        };
        if held.batch.num_rows() == 0 {
            return Err(unkept(
                node,
                Code::TRAINING,
                format!("`{}` cannot be trained: there is no row", node.name),
                None,
            ));
        }
        Ok(held)
    }

    /// Returns what is kept of an answer, where the engine scores as the library does.
    async fn kept(
        &self,
        (node, model): (&Node, &Model),
        shape: &ModelShape,
        rows: &RecordBatch,
        answer: Answer,
    ) -> Result<Learned, Error> {
        let Some((format, file)) = answer.file.clone() else {
            return Err(Error::NotPublished { table: node.name.clone() });
        };
        let task = if answer.is_classifier { Task::Classification } else { Task::Regression };
        if task != shape.task {
            let what =
                format!("{} predicts {}, and `{}` {}", answer.estimator, word(task), label(shape), word(shape.task));
            let hint = "say what is predicted: `task=\"classification\"` or `task=\"regression\"`";
            return Err(unkept(node, Code::MODEL_EXPORT, what, Some(hint.to_string())));
        }
        if let (Format::Pickle, Some(python)) = (format, model.algorithm.python()) {
            return self.kept_as_pickle((node, python), shape, rows.num_rows(), (answer, file)).await;
        }
        self.prepare_scoring(format, &node.name).await?;
        let mistake = |error: ModelError| {
            let what = format!("`{}` cannot be scored with: {error}", node.name);
            unkept(node, error.code().unwrap_or(Code::MODEL_EXPORT), what, error.hint())
        };
        let mut scorer = scorer(format, &file, shape).map_err(mistake)?;
        check_inputs(node, shape, &scorer)?;
        let classes = match task {
            Task::Classification => Some(classes(node, shape, &answer)?),
            _ => None,
        };
        if let Some(classes) = &classes {
            scorer = scorer.with_classes(classes.clone()).map_err(mistake)?;
        }
        let apart = apart(&mut scorer, shape, rows, &answer).map_err(mistake)?;
        let limit = if task == Task::Classification { NEAR } else { NEAR_SHARE };
        if let Some(apart) = apart.filter(|apart| apart.is_nan() || *apart > limit) {
            let what = format!(
                "`{}` is not kept: as {}, its scores are up to {apart:.2e} apart from those of {}",
                node.name,
                format.name(),
                answer.estimator
            );
            let hint = "another estimator, or fewer steps before it, can be scored exactly";
            return Err(unkept(node, Code::MODEL_EXPORT, what, Some(hint.to_string())));
        }
        let seed = model.algorithm.python().and_then(|python| python.seed);
        let mut params = facts(answer.params, answer.estimator, rows.num_rows(), seed);
        params.extend(apart.map(|apart| ("largest_difference".to_string(), format!("{apart:.1e}"))));
        let outputs = scorer.signature().outputs.clone();
        let (files, metrics, tags) = (vec![file], answer.metrics, BTreeMap::new());
        Ok(Learned { format, files, task, outputs, classes, metrics, params, tags })
    }

    /// Returns what is kept of a model that workers score as Python has it: with its code, and what it takes to open it.
    async fn kept_as_pickle(
        &self,
        (node, python): (&Node, &PythonModel),
        shape: &ModelShape,
        rows: usize,
        (answer, file): (Answer, ModelFile),
    ) -> Result<Learned, Error> {
        let classes = match shape.task {
            Task::Classification => Some(classes(node, shape, &answer)?),
            _ => None,
        };
        let declared = match &classes {
            Some(classes) => Declared::of_classes(Vec::new(), classes.clone()),
            None => Declared::new(Vec::new(), vec![Column::new("", ColumnType::Double, true)], &[]),
        };
        let outputs = declared.signature.outputs;
        let mut about = InPython::of_code(Loader::Pickle, &python.code);
        about.lock = self.lock_of(&node.name, &python.code.environment).await;
        about.files.insert(file.path.clone(), hash(&file.bytes));
        let code = code_files(&python.code, &node.name)?;
        let tags = BTreeMap::from([(REQUIREMENTS.to_string(), about.dependencies.join("\n"))]);
        let files = [about.to_file(), file].into_iter().chain(code).collect();
        let params = facts(answer.params, answer.estimator, rows, python.seed);
        let (format, task, metrics) = (Format::Pickle, shape.task, answer.metrics);
        Ok(Learned { format, files, task, outputs, classes, metrics, params, tags })
    }
}

/// Returns what a model was trained with, as the code tells it and as it is known here.
fn facts(
    mut params: BTreeMap<String, String>,
    estimator: String,
    rows: usize,
    seed: Option<u64>,
) -> BTreeMap<String, String> {
    params.insert("estimator".to_string(), estimator);
    params.insert("rows".to_string(), rows.to_string());
    params.extend(seed.map(|seed| ("seed".to_string(), seed.to_string())));
    params
}

/// Returns the columns that training is handed, in the order that it asks for. With an order, no two rows that differ
/// may change places: the other columns decide where those of the order do not.
fn ordered(query: &LogicalPlan, python: &PythonModel, shape: &ModelShape) -> Result<LogicalPlan, DataFusionError> {
    let wanted = |name: &String| {
        let is_said = python.columns.iter().flatten().any(|column| column == name);
        let is_feature = shape.inputs.iter().any(|input| input.name == *name);
        let orders = python.order_by.iter().any(|key| key.column == *name);
        python.features.is_none() && python.columns.is_none()
            || is_said
            || is_feature
            || orders
            || *name == python.label
    };
    let schema = query.schema();
    let chosen: Vec<(Expr, bool)> = schema
        .iter()
        .filter(|(_, field)| wanted(field.name()))
        .map(|column| (Expr::Column(ColumnName::from(column)), !column.1.data_type().is_nested()))
        .collect();
    let plan = LogicalPlanBuilder::from(query.clone()).project(chosen.iter().map(|(column, _)| column.clone()))?;
    if python.order_by.is_empty() {
        return plan.build();
    }
    let named = |name: &str| chosen.iter().find(|(column, _)| column.name_for_alias().is_ok_and(|found| found == name));
    let said: Vec<&str> = python.order_by.iter().map(|key| key.column.as_str()).collect();
    let keys = python.order_by.iter().filter_map(|key| Some(named(&key.column)?.0.clone().sort(!key.descending, true)));
    let others = chosen.iter().filter(|(column, is_plain)| {
        *is_plain && !column.name_for_alias().is_ok_and(|name| said.contains(&name.as_str()))
    });
    let keys: Vec<_> = keys.chain(others.map(|(column, _)| column.clone().sort(true, true))).collect();
    plan.sort(keys)?.build()
}

/// Returns what the worker is told; see `_training.py`.
fn told(shape: &ModelShape, python: &PythonModel, line: usize) -> Map<String, Value> {
    let features: Vec<&str> = shape.inputs.iter().map(|input| input.name.as_str()).collect();
    let kinds: Vec<&str> = shape.inputs.iter().map(|input| kind_word(input.kind)).collect();
    let task = if shape.task == Task::Classification { "classification" } else { "regression" };
    let keep = if python.keep == PythonKeep::Pickle { "pickle" } else { "native" };
    let told = json!({
        "keep": keep,
        "features": features,
        "kinds": kinds,
        "label": label(shape),
        "task": task,
        "seed": python.seed,
        "line": line,
    });
    match told {
        Value::Object(told) => told,
        _ => Map::new(),
    }
}

/// Returns what scores a file, under the names that tables have for its inputs.
fn scorer(format: Format, file: &ModelFile, shape: &ModelShape) -> Result<Scorer, ModelError> {
    let names: Vec<String> = shape.inputs.iter().map(|input| input.name.clone()).collect();
    Scorer::load(format, &file.bytes)?.with_inputs(&names)
}

/// Refuses a file that takes a text for a number, or the other way round.
fn check_inputs(node: &Node, shape: &ModelShape, scorer: &Scorer) -> Result<(), Error> {
    for (input, read) in shape.inputs.iter().zip(&scorer.signature().inputs) {
        let kind = match read.data_type {
            windlass_model::ColumnType::String => InputKind::Text,
            _ => InputKind::Number,
        };
        if kind != input.kind {
            let (column, model) = (kind_word(input.kind), kind_word(kind));
            let what = format!("`{}` was trained on a {model} where column `{}` is a {column}", node.name, input.name);
            let hint = "train on the column as the table has it: texts as categories, numbers as numbers";
            return Err(unkept(node, Code::MODEL_EXPORT, what, Some(hint.to_string())));
        }
    }
    Ok(())
}

/// Returns the classes as the label's column has them, in the order of the probabilities.
fn classes(node: &Node, shape: &ModelShape, answer: &Answer) -> Result<Vec<Label>, Error> {
    let data_type = shape.label.as_ref().map_or(&DataType::Utf8, |(_, data_type)| data_type);
    let found: Option<Vec<Label>> =
        answer.classes.as_ref().and_then(|found| found.iter().map(|value| class(value, data_type)).collect());
    found.ok_or_else(|| {
        let told = answer.classes.as_ref().map(|classes| Value::from(classes.clone()).to_string()).unwrap_or_default();
        let what = format!("`{}` tells classes {told} apart, which column `{}` does not hold", node.name, label(shape));
        let hint = "fit it on the label as the table has it: true and false, whole numbers or texts";
        unkept(node, Code::MODEL_EXPORT, what, Some(hint.to_string()))
    })
}

/// Returns the label that a class stands for.
fn class(value: &Value, data_type: &DataType) -> Option<Label> {
    let whole =
        || value.as_i64().or_else(|| value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64));
    match data_type {
        DataType::Boolean => match (value, whole()) {
            (Value::Bool(truth), _) => Some(Label::Boolean(*truth)),
            (_, Some(number @ (0 | 1))) => Some(Label::Boolean(number == 1)),
            _ => None,
        },
        DataType::Int64 => whole().or_else(|| value.as_bool().map(i64::from)).map(Label::Long),
        _ => value.as_str().map(|text| Label::String(text.to_string())),
    }
}

/// Returns how far the engine's scores are from those of the library at most; `None` where it did not say.
fn apart(
    scorer: &mut Scorer,
    shape: &ModelShape,
    rows: &RecordBatch,
    answer: &Answer,
) -> Result<Option<f64>, ModelError> {
    let Some((places, expected)) = answer.sample.as_ref().filter(|(places, _)| !places.is_empty()) else {
        return Ok(None);
    };
    let sample = sample(shape, rows, places).map_err(|source| ModelError::Output { source })?;
    let scores = scorer.score(&sample)?;
    if !scores.failures.is_empty() {
        return Ok(Some(f64::NAN));
    }
    let vectors = scores.columns.get(1).and_then(|column| column.as_fixed_size_list_opt()).map(|list| list.values());
    let found = vectors.or_else(|| scores.columns.first()).and_then(|column| column.as_primitive_opt::<Float64Type>());
    let Some(found) = found.filter(|found| found.len() == expected.len()) else { return Ok(Some(f64::NAN)) };
    let difference = |(found, expected): (&f64, &f64)| match shape.task {
        Task::Classification => (found - expected).abs(),
        _ => (found - expected).abs() / expected.abs().max(1.0),
    };
    let largest = found.values().iter().zip(expected).map(difference);
    Ok(Some(largest.fold(0.0, |largest: f64, next| if next.is_nan() { f64::NAN } else { largest.max(next) })))
}

/// Returns some rows as scoring gets them: numbers as doubles, texts as texts.
fn sample(shape: &ModelShape, rows: &RecordBatch, places: &[u64]) -> Result<RecordBatch, ArrowError> {
    let places = UInt64Array::from(places.to_vec());
    let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
    for input in &shape.inputs {
        let data_type = if input.kind == InputKind::Number { DataType::Float64 } else { DataType::Utf8 };
        let column = rows.column(rows.schema_ref().index_of(&input.name)?);
        columns.push(cast(&take(column, &places, None)?, &data_type)?);
        fields.push(Field::new(&input.name, data_type, true));
    }
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    RecordBatch::try_new(schema, columns)
}

fn label(shape: &ModelShape) -> &str {
    shape.label.as_ref().map_or("", |(label, _)| label)
}

fn word(task: Task) -> &'static str {
    if task == Task::Classification { "a class" } else { "a number" }
}

/// Returns the mistake of a model that cannot be kept, at the function that trains it.
fn unkept(node: &Node, code: Code, what: String, hint: Option<String>) -> Error {
    let mistake = Diagnostic::error(code, what.clone()).at(node.location.clone()).node(&node.name);
    let mistake = match hint {
        Some(hint) => mistake.hint(hint),
        None => mistake,
    };
    Error::Compute { node: node.name.clone(), blame: Some(Box::new(mistake)), source: DataFusionError::Execution(what) }
}
