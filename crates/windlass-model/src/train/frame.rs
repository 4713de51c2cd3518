//! The columns of training rows, and which rows are kept for evaluation.

use arrow::array::{Array, AsArray, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::Float64Type;

use super::Error;
use crate::Label;

/// The columns of the rows: the features in order, then the label where there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// The features.
    pub inputs: Vec<Input>,
    /// What is predicted.
    pub labels: Option<Labels>,
    /// The share of rows that is kept for evaluation.
    pub evaluation: f64,
}

/// A feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The column.
    pub name: String,
    /// What it holds.
    pub kind: InputKind,
}

/// What a feature's column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Numbers: a column of doubles.
    Number,
    /// Categories: a column of texts.
    Text,
}

/// What a label's column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// Numbers to predict: a column of doubles.
    Numbers,
    /// Truth values: a column of texts, `true` and `false`.
    Booleans,
    /// Whole numbers that stand for classes: a column of texts.
    Longs,
    /// Texts.
    Texts,
}

/// Which rows are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Those that are learned from.
    Training,
    /// Those that were kept for evaluation; all where none were.
    Evaluation,
}

/// A batch with its columns by what they are.
pub(super) struct Frame<'a> {
    pub(super) inputs: Vec<Column<'a>>,
    numbers: Option<&'a Float64Array>,
    classes: Option<&'a StringArray>,
    evaluation: f64,
    pub(super) rows: usize,
}

/// A feature's values.
pub(super) enum Column<'a> {
    Numbers(&'a Float64Array),
    Texts(&'a StringArray),
}

impl Layout {
    /// Returns the rows of a batch that are kept for evaluation, each with its label as a number and as a text.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] where the batch has other columns.
    pub(crate) fn evaluated<'a>(&self, batch: &'a RecordBatch) -> Result<Vec<(usize, f64, &'a str)>, Error> {
        let frame = Frame::new(self, batch)?;
        let row = |row: usize| (row, frame.number(row), frame.class(row));
        Ok(frame.rows(Part::Evaluation).into_iter().map(row).collect())
    }
}

impl Labels {
    /// Returns the label that a text stands for.
    pub(super) fn label(self, text: &str) -> Label {
        match self {
            Self::Booleans => Label::Boolean(text == "true"),
            Self::Longs => text.parse().map_or_else(|_| Label::String(text.to_owned()), Label::Long),
            Self::Numbers | Self::Texts => Label::String(text.to_owned()),
        }
    }
}

impl<'a> Frame<'a> {
    /// Takes a batch apart.
    pub(super) fn new(layout: &Layout, batch: &'a RecordBatch) -> Result<Self, Error> {
        let column = |at: usize| batch.columns().get(at).ok_or_else(|| unexpected("a column is missing"));
        let numbers = |at: usize| {
            column(at)?.as_primitive_opt::<Float64Type>().ok_or_else(|| unexpected("a column does not hold doubles"))
        };
        let texts =
            |at: usize| column(at)?.as_string_opt::<i32>().ok_or_else(|| unexpected("a column does not hold texts"));
        let mut inputs = Vec::with_capacity(layout.inputs.len());
        for (at, input) in layout.inputs.iter().enumerate() {
            inputs.push(match input.kind {
                InputKind::Number => Column::Numbers(numbers(at)?),
                InputKind::Text => Column::Texts(texts(at)?),
            });
        }
        let last = layout.inputs.len();
        let (label_numbers, classes) = match layout.labels {
            None => (None, None),
            Some(Labels::Numbers) => (Some(numbers(last)?), None),
            Some(_) => (None, Some(texts(last)?)),
        };
        let rows = batch.num_rows();
        Ok(Self { inputs, numbers: label_numbers, classes, evaluation: layout.evaluation, rows })
    }

    /// Returns the rows of a part that have a label, in order.
    pub(super) fn rows(&self, part: Part) -> Vec<usize> {
        let labelled = (0..self.rows).filter(|row| self.has_label(*row));
        if self.evaluation <= 0.0 {
            return labelled.collect();
        }
        let kept = self.kept();
        labelled.filter(|row| kept[*row] == (part == Part::Evaluation)).collect()
    }

    /// Returns the rows that have a label.
    pub(super) fn labelled(&self) -> impl Iterator<Item = usize> {
        (0..self.rows).filter(|row| self.has_label(*row))
    }

    fn has_label(&self, row: usize) -> bool {
        match (self.numbers, self.classes) {
            (Some(numbers), _) => numbers.is_valid(row) && !numbers.value(row).is_nan(),
            (None, Some(classes)) => classes.is_valid(row),
            (None, None) => true,
        }
    }

    /// Returns a row's label as a number.
    pub(super) fn number(&self, row: usize) -> f64 {
        self.numbers.map_or(0.0, |numbers| numbers.value(row))
    }

    /// Returns a row's label as a text.
    pub(super) fn class(&self, row: usize) -> &'a str {
        self.classes.map_or("", |classes| classes.value(row))
    }

    /// Returns which rows are kept for evaluation: by what they hold, so that a row always is or never. Hashes grow by
    /// a column at a time, so that the processor works at many rows at once.
    pub(super) fn kept(&self) -> Vec<bool> {
        let mut hashes = vec![Mix::default(); self.rows];
        for column in &self.inputs {
            for (row, hash) in hashes.iter_mut().enumerate() {
                match column.value(row) {
                    Value::Missing => hash.add(0x6d69_7373),
                    Value::Number(number) => hash.number(number),
                    Value::Text(text) => hash.text(text),
                }
            }
        }
        match (self.numbers, self.classes) {
            (Some(_), _) => hashes.iter_mut().enumerate().for_each(|(row, hash)| hash.number(self.number(row))),
            (None, Some(_)) => hashes.iter_mut().enumerate().for_each(|(row, hash)| hash.text(self.class(row))),
            (None, None) => {}
        }
        hashes.iter().map(|hash| unit(hash.finish()) < self.evaluation).collect()
    }
}

/// One value of a feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Missing,
    Number(f64),
    Text(&'a str),
}

impl<'a> Column<'a> {
    pub(super) fn value(&self, row: usize) -> Value<'a> {
        match self {
            Self::Numbers(numbers) if numbers.is_valid(row) && !numbers.value(row).is_nan() => {
                Value::Number(numbers.value(row))
            }
            Self::Texts(texts) if texts.is_valid(row) => Value::Text(texts.value(row)),
            _ => Value::Missing,
        }
    }
}

impl Column<'_> {
    /// Writes the numbers of rows; `fill` stands for those that are missing.
    pub(super) fn numbers(&self, rows: &[usize], fill: f64, numbers: &mut [f64]) {
        let Self::Numbers(array) = self else { return };
        let values = array.values();
        for (number, row) in numbers.iter_mut().zip(rows) {
            let value = values[*row];
            *number = if value.is_nan() { fill } else { value };
        }
        if array.null_count() > 0 {
            let cells = numbers.iter_mut().zip(rows).filter(|(_, row)| array.is_null(**row));
            cells.for_each(|(number, _)| *number = fill);
        }
    }

    /// Returns the texts of rows.
    pub(super) fn texts<'b>(&'b self, rows: &'b [usize]) -> impl Iterator<Item = Option<&'b str>> {
        let text = move |row: &usize| match self.value(*row) {
            Value::Text(text) => Some(text),
            _ => None,
        };
        rows.iter().map(text)
    }
}

/// Hashes numbers and texts, the same on every machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Mix(u64);

impl Mix {
    /// Adds a number.
    pub(super) fn add(&mut self, word: u64) {
        let mut mixed = (self.0 ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = mixed ^ (mixed >> 31);
    }

    /// Adds a floating-point number; both zeros are one.
    pub(super) fn number(&mut self, number: f64) {
        self.add(if number == 0.0 { 0 } else { number.to_bits() });
    }

    fn text(&mut self, text: &str) {
        self.add(text.len() as u64);
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }

    pub(super) fn finish(&self) -> u64 {
        self.0
    }
}

/// Returns a hash as a number from 0 to below 1.
pub(super) fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

fn unexpected(what: &str) -> Error {
    Error::Read(what.to_owned().into())
}
