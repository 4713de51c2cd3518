//! Scores forests: columns to numbers, trees over them, margins to what the model answers.

use std::collections::HashMap;

use arrow::array::{Array, RecordBatch};
use arrow::buffer::ScalarBuffer;

use super::answer::Raw;
use super::forest::Forest;
use super::grid::ROWS;
use super::inputs;
use super::native::{both_classes, sigmoid, softmax};
use crate::{Column, ColumnType, Error, Label, Task};

/// A forest and what stands around it.
#[derive(Debug)]
pub(super) struct TreeModel {
    pub(super) inputs: Vec<TreeInput>,
    pub(super) forest: Forest,
    /// What each output starts from.
    pub(super) start: Vec<f64>,
    /// What sums of trees are divided by.
    pub(super) divisor: f64,
    pub(super) link: Link,
    /// Whether numbers are rounded to 32 bits before they are compared.
    pub(super) is_single: bool,
}

/// An input and how its values become numbers.
#[derive(Debug, Clone)]
pub(super) struct TreeInput {
    pub(super) name: String,
    pub(super) values: Values,
}

/// How values become numbers.
#[derive(Debug, Clone)]
pub(super) enum Values {
    /// They are numbers, or codes of categories.
    Numbers,
    /// Each category is its place in training's list.
    Categories { codes: Codes, unseen: Unseen },
}

/// The place of each category.
#[derive(Debug, Clone)]
pub(super) enum Codes {
    Texts(HashMap<String, f64>),
    /// Numbers, by their bits.
    Numbers(HashMap<u64, f64>),
}

/// What becomes of a category that training did not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unseen {
    /// It is missing.
    Missing,
    /// Its row cannot be scored.
    Failed,
}

/// How a sum becomes an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Link {
    /// It is the answer.
    Identity,
    /// Its exponential is.
    Exponential,
    /// Its square is, with its sign.
    SignedSquare,
    /// `ln(1 + exp(x))` is.
    Softplus,
    /// A number between 0 and 1 that is no class.
    Sigmoid,
    /// The probability of the second of two classes, at this slope.
    Binary(f64),
    /// Several that share 1.
    Softmax,
    /// Several, each against all others, at this slope.
    OneAgainstAll(f64),
}

impl Codes {
    /// Returns the place of each category, as a list of training has them.
    pub(super) fn of(categories: &[serde_json::Value]) -> Option<Self> {
        if categories.iter().all(serde_json::Value::is_number) {
            let number = |value: &serde_json::Value| value.as_f64().map(bits);
            let codes = categories.iter().enumerate().map(|(at, value)| Some((number(value)?, at as f64)));
            return codes.collect::<Option<_>>().map(Self::Numbers);
        }
        let text = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Bool(value) => Some(value.to_string()),
            serde_json::Value::Number(value) => Some(value.to_string()),
            _ => None,
        };
        let codes = categories.iter().enumerate().map(|(at, value)| Some((text(value)?, at as f64)));
        codes.collect::<Option<_>>().map(Self::Texts)
    }
}

/// Returns the bits of a number, the same for 0 and -0.
fn bits(number: f64) -> u64 {
    (number + 0.0).to_bits()
}

impl TreeModel {
    pub(super) fn inputs(&self) -> Vec<Column> {
        let data_type = |values: &Values| match values {
            Values::Categories { codes: Codes::Texts(_), .. } => ColumnType::String,
            _ => ColumnType::Double,
        };
        self.inputs.iter().map(|input| Column::new(&input.name, data_type(&input.values), true)).collect()
    }

    pub(super) fn classes(&self) -> Option<Vec<Label>> {
        (self.task() == Task::Classification).then(|| (0..self.width() as i64).map(Label::Long).collect())
    }

    pub(super) fn task(&self) -> Task {
        match self.link {
            Link::Binary(_) | Link::Softmax | Link::OneAgainstAll(_) => Task::Classification,
            _ => Task::Regression,
        }
    }

    pub(super) fn width(&self) -> usize {
        if matches!(self.link, Link::Binary(_)) { 2 } else { self.start.len() }
    }

    pub(super) fn score(&self, batch: &RecordBatch) -> Result<Raw, Error> {
        let outputs = self.start.len();
        let mut raw = Raw::new(batch.num_rows(), outputs);
        let columns = self.columns(batch, &mut raw)?;
        let mut block = self.forest.block();
        for first in (0..batch.num_rows()).step_by(ROWS) {
            let span = first..batch.num_rows().min(first + ROWS);
            let sums = &mut raw.values[first * outputs..span.end * outputs];
            self.forest.add(&columns, span, &mut block, (sums, outputs));
        }
        self.finish(&mut raw);
        Ok(raw)
    }

    /// Returns the inputs as numbers, NULL as NaN.
    fn columns(&self, batch: &RecordBatch, raw: &mut Raw) -> Result<Vec<ScalarBuffer<f64>>, Error> {
        let column = |input: &TreeInput| {
            let values: ScalarBuffer<f64> = match &input.values {
                Values::Numbers => {
                    let numbers = inputs::numbers(batch, &input.name)?;
                    match numbers.null_count() {
                        0 => numbers.values().clone(),
                        _ => numbers.iter().map(|value| value.unwrap_or(f64::NAN)).collect(),
                    }
                }
                Values::Categories { codes, unseen } => codes_of(batch, &input.name, codes, *unseen, raw)?.into(),
            };
            Ok(match self.is_single {
                true => values.iter().map(|value| f64::from(*value as f32)).collect(),
                false => values,
            })
        };
        self.inputs.iter().map(column).collect()
    }

    /// Makes sums into what the model answers.
    fn finish(&self, raw: &mut Raw) {
        let outputs = self.start.len();
        for row in raw.values.chunks_mut(outputs) {
            for (value, start) in row.iter_mut().zip(&self.start) {
                *value = *value / self.divisor + start;
            }
        }
        let each = |raw: &mut Raw, link: fn(f64) -> f64| raw.values.iter_mut().for_each(|value| *value = link(*value));
        match self.link {
            Link::Identity => {}
            Link::Exponential => each(raw, f64::exp),
            Link::SignedSquare => each(raw, |value| value.signum() * value * value),
            Link::Softplus => each(raw, |value| value.exp().ln_1p()),
            Link::Sigmoid => each(raw, sigmoid),
            Link::Binary(slope) => {
                raw.values = raw.values.iter().flat_map(|margin| both_classes(slope * margin)).collect();
                raw.width = 2;
            }
            Link::Softmax => raw.values.chunks_mut(outputs).for_each(softmax),
            Link::OneAgainstAll(slope) => raw.values.iter_mut().for_each(|value| *value = sigmoid(slope * *value)),
        }
    }
}

fn codes_of(batch: &RecordBatch, name: &str, codes: &Codes, unseen: Unseen, raw: &mut Raw) -> Result<Vec<f64>, Error> {
    let mut code = |row: usize, found: Option<f64>, shown: &dyn Fn() -> String| {
        if found.is_none() && unseen == Unseen::Failed {
            raw.fail(row, || format!("input `{name}` is `{}`, which the model was not trained on", shown()));
        }
        found.unwrap_or(f64::NAN)
    };
    match codes {
        Codes::Texts(known) => {
            let texts = inputs::texts(batch, name)?;
            let text = |(row, text): (usize, Option<&str>)| match text {
                Some(text) => code(row, known.get(text).copied(), &|| text.to_owned()),
                None => f64::NAN,
            };
            Ok(texts.iter().enumerate().map(text).collect())
        }
        Codes::Numbers(known) => {
            let numbers = inputs::numbers(batch, name)?;
            let number = |(row, number): (usize, Option<f64>)| match number.filter(|number| !number.is_nan()) {
                Some(number) => code(row, known.get(&bits(number)).copied(), &|| number.to_string()),
                None => f64::NAN,
            };
            Ok(numbers.iter().enumerate().map(number).collect())
        }
    }
}
