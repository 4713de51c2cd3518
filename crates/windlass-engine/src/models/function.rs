//! Scoring as scalar functions: of all that a model answers, and of the one value that its name stands for.
//!
//! A model that Python scores is not scored here: the planner has workers asked below, and calls the same function over
//! the column that they answer.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, RecordBatch, RecordBatchOptions, StringBuilder,
    StructArray, UInt32Array, new_null_array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Float64Type, Schema};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use windlass_model::{Label, RowFailure, Scorer, Task};

use super::known::KnownModel;
use super::{ModelMistake, answers};
use crate::planner::calls::PythonFunction;
use crate::tables::schema::sql_type;

/// The probability from which on the second class is predicted, unless said.
const EVEN: f64 = 0.5;

/// What a call answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    /// A struct of all columns.
    Row,
    /// The predicted number, the probability of the second class, or the cluster.
    Value,
}

/// A model as a function of its inputs; equal to another where both name the same model.
#[derive(Clone)]
pub(crate) struct ModelFunction {
    name: String,
    model: Arc<KnownModel>,
    answer: Answer,
    threshold: Option<f64>,
    /// Whether it tells why it could not score a row: a struct of [`ANSWER`] and [`FAILURE`].
    tells: bool,
    /// Whether its argument is what workers answered, in place of the inputs.
    is_over_answers: bool,
    signature: Signature,
}

/// The field of what a model answers, where it tells why it could not.
pub(super) const ANSWER: &str = "answer";
/// The field of why a model could not score a row; NULL where it could.
pub(crate) const FAILURE: &str = "failure";

impl ModelFunction {
    /// Returns the function that answers all columns.
    pub(super) fn row(model: &Arc<KnownModel>, threshold: Option<f64>) -> Self {
        let threshold_text = threshold.map(|threshold| format!(", {threshold}")).unwrap_or_default();
        let name = format!("ml.predict[{}{threshold_text}]", model.reference);
        Self { name, threshold, ..Self::new(model, Answer::Row) }
    }

    /// Returns the function that a model's name is.
    pub(crate) fn value(model: &Arc<KnownModel>) -> Self {
        Self::new(model, Answer::Value)
    }

    fn new(model: &Arc<KnownModel>, answer: Answer) -> Self {
        let signature = Signature::user_defined(Volatility::Immutable);
        let names: Vec<&str> = model.shape.inputs.iter().map(|input| input.name.as_str()).collect();
        let signature = signature.clone().with_parameter_names(names).unwrap_or(signature);
        let (name, model) = (model.reference.clone(), Arc::clone(model));
        Self { name, model, answer, threshold: None, tells: false, is_over_answers: false, signature }
    }

    /// Returns what asks workers for the model; `None` for one that is scored here, or asked already.
    pub(crate) fn asked(&self) -> Option<&PythonFunction> {
        self.model.asked.as_ref().filter(|_| !self.is_over_answers)
    }

    /// Returns the same function over what workers answered.
    pub(crate) fn over_answers(&self) -> Self {
        Self { name: format!("{}, answered", self.name), is_over_answers: true, ..self.clone() }
    }

    /// Returns the same function, which tells why it could not score a row.
    pub(super) fn telling(&self) -> Self {
        Self { name: format!("{}, telling", self.name), tells: true, ..self.clone() }
    }

    /// Returns the model that it asks.
    pub(super) fn model(&self) -> &KnownModel {
        &self.model
    }

    /// Returns the type of what it answers.
    pub(super) fn answered(&self) -> Result<DataType> {
        match self.answer {
            Answer::Row => Ok(DataType::Struct(self.model.shape.outputs())),
            Answer::Value => self.model.shape.value_type().ok_or_else(|| {
                let reference = self.model.reference.clone();
                let what = format!("`{reference}` answers several columns and cannot be called as a function");
                let way_out = format!("select them: `select * from ml.predict(model {reference}, table …)`");
                ModelMistake { reference, what, way_out: Some(way_out) }.into()
            }),
        }
    }

    fn score(&self, arguments: Vec<ArrayRef>, rows: usize, scorer: &Scorer) -> Result<ArrayRef> {
        let inputs = &self.model.shape.inputs;
        let fields: Vec<Field> = inputs
            .iter()
            .zip(&arguments)
            .map(|(input, array)| Field::new(&input.name, array.data_type().clone(), true))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arguments, &options)?;
        let external = |error: windlass_model::Error| DataFusionError::External(Box::new(error));
        let mut scorer = scorer.fork().map_err(external)?;
        if let Some(threshold) = self.threshold {
            scorer = scorer.with_threshold(threshold);
        }
        let (answers, failures) = match self.answer {
            Answer::Value => scorer.value(&batch).map_err(external)?,
            Answer::Row => {
                let scores = scorer.score(&batch).map_err(external)?;
                let classes = scorer.classes().unwrap_or_default();
                let task = scorer.task();
                (columns(&self.model.shape.outputs(), (task, classes), scores.columns, rows)?, scores.failures)
            }
        };
        if self.tells { self.told(answers, &failures) } else { Ok(answers) }
    }

    /// Returns what SQL asks for, out of what workers answered.
    fn finish(&self, answered: &ArrayRef) -> Result<ArrayRef> {
        let external = |error: windlass_model::Error| DataFusionError::External(Box::new(error));
        let (task, rows) = (self.model.shape.task, answered.len());
        let classes = self.model.record.as_ref().and_then(|record| record.classes.as_deref()).unwrap_or_default();
        let mut scores = answers::read(answered)?;
        if task == Task::Classification {
            scores = scores.classified(classes, self.threshold.unwrap_or(EVEN)).map_err(external)?;
        }
        let answers = match self.answer {
            Answer::Value => scores.value(task).ok_or_else(lost)?,
            Answer::Row => columns(&self.model.shape.outputs(), (task, classes), scores.columns, rows)?,
        };
        if self.tells { self.told(answers, &scores.failures) } else { Ok(answers) }
    }

    /// Returns answers beside the reasons why there are none.
    fn told(&self, answers: ArrayRef, failures: &[RowFailure]) -> Result<ArrayRef> {
        let messages: ArrayRef = match failures {
            [] => new_null_array(&DataType::Utf8, answers.len()),
            _ => {
                let mut messages = StringBuilder::with_capacity(answers.len(), 0);
                let mut failures = failures.iter().peekable();
                for row in 0..answers.len() {
                    let failed = failures.next_if(|failure| failure.row == row);
                    messages.append_option(failed.map(|failure| &failure.message));
                }
                Arc::new(messages.finish())
            }
        };
        let columns = vec![answers, messages];
        Ok(Arc::new(StructArray::try_new(self.told_fields()?, columns, None)?))
    }

    fn told_fields(&self) -> Result<Fields> {
        let fields = [Field::new(ANSWER, self.answered()?, true), Field::new(FAILURE, DataType::Utf8, true)];
        Ok(Fields::from(fields.to_vec()))
    }
}

impl ScalarUDFImpl for ModelFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        if self.tells { Ok(DataType::Struct(self.told_fields()?)) } else { self.answered() }
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        if self.is_over_answers {
            return Ok(arguments.to_vec());
        }
        let inputs = &self.model.shape.inputs;
        let taken = arguments.iter().enumerate().map(|(at, argument)| self.model.shape.takes(at, argument));
        match taken.collect::<Option<Vec<_>>>() {
            Some(taken) if inputs.len() == arguments.len() => Ok(taken),
            _ => {
                let given: Vec<String> = arguments.iter().map(sql_type).collect();
                let parameters = self.model.shape.parameters();
                Err(DataFusionError::Plan(format!("takes {parameters}, not ({})", given.join(", "))))
            }
        }
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = call.number_rows;
        if self.is_over_answers {
            let answered = ColumnarValue::values_to_arrays(&call.args)?.into_iter().next().ok_or_else(lost)?;
            return self.finish(&answered).map(ColumnarValue::Array);
        }
        if self.model.asked.is_some() {
            // Only the folding of constants comes here, which leaves alone what cannot be evaluated.
            return Err(DataFusionError::Internal(format!("`{}` is scored by Python, in workers", self.name)));
        }
        let Some(scorer) = &self.model.scorer else {
            // A model that is still to be trained is known by its shape, for planning alone.
            return Ok(ColumnarValue::Array(new_null_array(call.return_field.data_type(), rows)));
        };
        let arguments = ColumnarValue::values_to_arrays(&call.args)?;
        let rows = arguments.first().map_or(rows, |array| array.len());
        self.score(arguments, rows, scorer).map(ColumnarValue::Array)
    }
}

/// Returns what a model answers under the names and types of its outputs.
fn columns(
    outputs: &Fields,
    (task, classes): (Task, &[Label]),
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<ArrayRef> {
    let arrays: Vec<ArrayRef> = match task {
        Task::Classification => {
            let numbers: Vec<Option<usize>> = (0..classes.len()).map(Some).collect();
            let keys = Label::column(classes, &numbers);
            vec![Arc::clone(&columns[0]), pairs(outputs, &keys, &columns[1], Order::OfKeys)?]
        }
        Task::Clustering => {
            let vectors = columns[1].as_fixed_size_list_opt().ok_or_else(lost)?;
            let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(1..=i64::from(vectors.value_length())));
            vec![Arc::clone(&columns[0]), pairs(outputs, &keys, &columns[1], Order::NearestFirst)?]
        }
        _ => columns,
    };
    if arrays.len() != outputs.len() || arrays.iter().any(|array| array.len() != rows) {
        return Err(lost());
    }
    Ok(Arc::new(StructArray::try_new(outputs.clone(), arrays, None)?))
}

/// How the pairs of a row are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    OfKeys,
    /// The smallest number first.
    NearestFirst,
}

/// Returns a list of pairs for each row: each key with the value of its place, in the order that is wanted.
fn pairs(outputs: &Fields, keys: &ArrayRef, vectors: &ArrayRef, order: Order) -> Result<ArrayRef> {
    let vectors = vectors.as_fixed_size_list_opt().ok_or_else(lost)?;
    let DataType::List(item) = outputs.get(1).ok_or_else(lost)?.data_type() else { return Err(lost()) };
    let DataType::Struct(fields) = item.data_type() else { return Err(lost()) };
    let width = keys.len().max(1);
    let all = vectors.values().as_primitive_opt::<Float64Type>().ok_or_else(lost)?;
    let (chosen, values): (Vec<u32>, ArrayRef) = match order {
        Order::OfKeys => {
            let mut chosen = Vec::with_capacity(all.len());
            (0..vectors.len()).for_each(|_| chosen.extend(0..width as u32));
            (chosen, Arc::clone(vectors.values()))
        }
        Order::NearestFirst => {
            let (mut chosen, mut values) = (Vec::with_capacity(all.len()), Vec::with_capacity(all.len()));
            for row in all.values().chunks(width) {
                let mut places: Vec<usize> = (0..row.len()).collect();
                places.sort_by(|a, b| row[*a].total_cmp(&row[*b]));
                chosen.extend(places.iter().map(|at| *at as u32));
                values.extend(places.iter().map(|at| row[*at]));
            }
            (chosen, Arc::new(Float64Array::from(values)))
        }
    };
    let keys = take(keys, &UInt32Array::from(chosen), None)?;
    let pairs = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    let offsets = OffsetBuffer::from_repeated_length(vectors.value_length() as usize, vectors.len());
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, Arc::new(pairs), vectors.nulls().cloned())?))
}

fn lost() -> DataFusionError {
    DataFusionError::Internal("a model answers other columns than it says".to_string())
}

impl fmt::Debug for ModelFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelFunction({})", self.name)
    }
}

impl PartialEq for ModelFunction {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.answer, self.model.version()) == (&other.name, other.answer, other.model.version())
            && self.model.shape == other.model.shape
    }
}

impl Eq for ModelFunction {}

impl Hash for ModelFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.answer.hash(state);
    }
}
