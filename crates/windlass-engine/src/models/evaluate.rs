//! The metrics of a model as an aggregate function over labels and scores.

use std::hash::{Hash, Hasher};
use std::mem::size_of_val;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use windlass_model::Task;
use windlass_model::metrics::{ClassifierMetrics, Metrics, RegressionMetrics};

use super::KnownModel;

/// Bytes that a set of metrics may take: the scores of a classifier are told apart by a million at most.
const METRICS_BYTES: usize = 64 << 10;

/// Metrics of regressions and of classifiers, in the order of their columns.
const REGRESSION: [&str; 5] =
    ["mean_absolute_error", "mean_squared_error", "root_mean_squared_error", "r2_score", "explained_variance"];
const CLASSIFICATION: [&str; 6] = ["precision", "recall", "accuracy", "f1_score", "log_loss", "roc_auc"];
const CLUSTERING: [&str; 2] = ["mean_squared_distance", "davies_bouldin_index"];
const PROJECTION: [&str; 1] = ["total_explained_variance_ratio"];

/// Returns the metrics of a task.
pub(super) fn metric_names(task: Task) -> &'static [&'static str] {
    match task {
        Task::Regression | Task::Other => &REGRESSION,
        Task::Classification => &CLASSIFICATION,
        Task::Clustering => &CLUSTERING,
        Task::Projection => &PROJECTION,
    }
}

/// The aggregate function of one model.
#[derive(Debug)]
pub(super) struct Evaluated {
    name: String,
    task: Task,
    /// The second class, as text.
    positive: String,
    threshold: f64,
    signature: Signature,
}

impl Evaluated {
    /// Returns the function; its arguments are the label, as a number or as text, and the score.
    pub(super) fn function(model: &KnownModel, threshold: Option<f64>) -> AggregateUDF {
        let task = model.shape.task;
        let label = if task == Task::Classification { DataType::Utf8 } else { DataType::Float64 };
        let classes = model.record.as_ref().and_then(|record| record.classes.as_ref());
        let positive = classes.and_then(|classes| classes.last()).map(ToString::to_string).unwrap_or_default();
        let suffix = threshold.map(|threshold| format!(", {threshold}")).unwrap_or_default();
        AggregateUDF::new_from_impl(Self {
            name: format!("ml.evaluate[{}{suffix}]", model.reference),
            task,
            positive,
            threshold: threshold.unwrap_or(0.5),
            signature: Signature::exact(vec![label, DataType::Float64], Volatility::Immutable),
        })
    }

    fn fields(&self) -> Fields {
        metric_names(self.task).iter().map(|name| Field::new(*name, DataType::Float64, true)).collect()
    }
}

impl PartialEq for Evaluated {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.positive == other.positive
    }
}

impl Eq for Evaluated {}

impl Hash for Evaluated {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl AggregateUDFImpl for Evaluated {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(self.fields()))
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}_state", arguments.name), DataType::Binary, true))])
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let fields = self.fields();
        Ok(match self.task {
            Task::Classification => {
                let metrics = ClassifierMetrics::new(&self.positive).with_threshold(self.threshold);
                Box::new(Evaluation { metrics, fields, rows: 0 })
            }
            _ => Box::new(Evaluation { metrics: RegressionMetrics::default(), fields, rows: 0 }),
        })
    }
}

/// Metrics so far.
#[derive(Debug)]
struct Evaluation<M> {
    metrics: M,
    fields: Fields,
    rows: u64,
}

impl<M: Metrics + std::fmt::Debug + 'static> Accumulator for Evaluation<M> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [labels, scores] = values else { return Err(lost()) };
        let scores = scores.as_primitive_opt::<Float64Type>().ok_or_else(lost)?;
        let (numbers, texts) = (labels.as_primitive_opt::<Float64Type>(), labels.as_string_opt::<i32>());
        for row in (0..scores.len()).filter(|row| labels.is_valid(*row) && scores.is_valid(*row)) {
            let label = match (numbers, texts) {
                (Some(numbers), _) => (numbers.value(row), ""),
                (None, Some(texts)) => (0.0, texts.value(row)),
                (None, None) => return Err(lost()),
            };
            self.metrics.add(label, scores.value(row));
            self.rows += 1;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let states = states.first().and_then(|states| states.as_binary_opt::<i32>()).ok_or_else(lost)?;
        for state in states.iter().flatten() {
            let (rows, metrics) = state.split_at_checked(8).ok_or_else(lost)?;
            self.rows += u64::from_le_bytes(rows.try_into().map_err(|_| lost())?);
            self.metrics.merge(&M::from_bytes(metrics).ok_or_else(lost)?);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut state = self.rows.to_le_bytes().to_vec();
        state.extend(self.metrics.to_bytes());
        Ok(vec![ScalarValue::Binary(Some(state))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let values = if self.rows == 0 { Default::default() } else { self.metrics.values() };
        let column =
            |field: &FieldRef| -> ArrayRef { Arc::new(Float64Array::from(vec![values.get(field.name()).copied()])) };
        let columns: Vec<ArrayRef> = self.fields.iter().map(column).collect();
        Ok(ScalarValue::Struct(Arc::new(StructArray::try_new(self.fields.clone(), columns, None)?)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + METRICS_BYTES
    }
}

fn lost() -> DataFusionError {
    DataFusionError::Internal("the metrics of a model lost what they were given".to_string())
}
