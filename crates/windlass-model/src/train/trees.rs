//! Training rows as libraries that grow trees take them, and how good their models are.
//!
//! Such a library gets numbers alone: a text is the place of its category in a list, what is missing is NaN, and a
//! class is 0 or 1. The list goes along into the model's file, so that scoring leads a text to the same number.
//!
//! Must stay true: each row with a label is handed over once, in the order in which it came.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};

use super::frame::{Frame, Labels, Layout, Value};
use super::logistic::two_classes;
use super::summary::{Spread, Summary};
use super::{Error, Pass};
use crate::metrics::{ClassifierMetrics, Measured, Metrics, RegressionMetrics};
use crate::{Label, Scorer};

/// Rows of numbers, and what these stand for.
#[derive(Debug, Clone)]
pub struct TreeRows {
    /// The features `f0`, `f1` and so on, then `label` and `is_kept`: whether a row is kept for evaluation.
    pub batch: RecordBatch,
    /// For each feature its categories in the order of their numbers; `None` for one of numbers.
    pub categories: Vec<Option<Vec<String>>>,
    /// The classes of a classifier, in the order of their numbers.
    pub classes: Option<Vec<Label>>,
    /// Rows that are learned from.
    pub rows: u64,
}

/// Returns training rows as numbers.
///
/// # Errors
///
/// [`Error::Rows`] where nothing can be learned from them: no label, infinite values, other than two classes.
pub fn tree_rows(layout: &Layout, batch: &RecordBatch) -> Result<TreeRows, Error> {
    let mut summary = Summary::new(layout);
    summary.add(batch)?;
    summary.check()?;
    let classes = match layout.labels {
        None | Some(Labels::Numbers) => None,
        Some(_) => Some(two_classes(layout, &summary, "a classifier of boosted trees")?),
    };
    let frame = Frame::new(layout, batch)?;
    let rows: Vec<usize> = frame.labelled().collect();
    let (mut fields, mut columns, mut categories) = (Vec::new(), Vec::<ArrayRef>::new(), Vec::new());
    for (at, (column, spread)) in frame.inputs.iter().zip(&summary.features).enumerate() {
        let listed = match spread {
            Spread::Numbers(_) => None,
            Spread::Texts { categories, .. } => Some(categories.keys().cloned().collect::<Vec<String>>()),
        };
        let listed_places = listed.iter().flatten().enumerate();
        let places: HashMap<&str, f64> = listed_places.map(|(place, text)| (text.as_str(), place as f64)).collect();
        let number = |row: &usize| match column.value(*row) {
            Value::Number(number) => number,
            Value::Text(text) => places.get(text).copied().unwrap_or(f64::NAN),
            Value::Missing => f64::NAN,
        };
        fields.push(Field::new(format!("f{at}"), DataType::Float64, false));
        columns.push(Arc::new(rows.iter().map(number).collect::<Float64Array>()));
        categories.push(listed);
    }
    let label = |row: &usize| match &classes {
        Some([_, (positive, ..)]) => f64::from(u8::from(frame.class(*row) == positive)),
        None => frame.number(*row),
    };
    fields.push(Field::new("label", DataType::Float64, false));
    columns.push(Arc::new(rows.iter().map(label).collect::<Float64Array>()));
    fields.push(Field::new("is_kept", DataType::Boolean, false));
    let kept = frame.kept();
    columns.push(Arc::new(rows.iter().map(|row| Some(kept[*row])).collect::<BooleanArray>()));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
    let batch = batch.map_err(|error| Error::Read(error.into()))?;
    let classes = classes.map(|classes| classes.into_iter().map(|(_, label, _)| label).collect());
    Ok(TreeRows { batch, categories, classes, rows: summary.rows })
}

/// Measures a model on the rows that are kept for evaluation, or on all where none are.
///
/// # Errors
///
/// [`Error::Model`] where it cannot score them.
pub fn measure(layout: &Layout, scorer: &Scorer, batch: &RecordBatch) -> Result<BTreeMap<String, f64>, Error> {
    let scorer = scorer.fork().map_err(Error::Model)?;
    let positive = scorer.classes().and_then(<[Label]>::last).map(ToString::to_string);
    match positive {
        Some(positive) => {
            let mut measured = Measured::of(layout, scorer, ClassifierMetrics::new(&positive));
            measured.add(batch)?;
            Ok(measured.metrics.values())
        }
        None => {
            let mut measured = Measured::of(layout, scorer, RegressionMetrics::default());
            measured.add(batch)?;
            Ok(measured.metrics.values())
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, StringArray};
    use arrow::datatypes::Float64Type;

    use super::super::{Input, InputKind};
    use super::*;

    fn layout(evaluation: f64) -> Layout {
        let input = |name: &str, kind| Input { name: name.to_owned(), kind };
        Layout {
            inputs: vec![input("x", InputKind::Number), input("c", InputKind::Text)],
            labels: Some(Labels::Booleans),
            evaluation,
        }
    }

    fn batch(rows: &[(Option<f64>, Option<&str>, Option<&str>)]) -> RecordBatch {
        let x: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<Float64Array>());
        let c: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<StringArray>());
        let label: ArrayRef = Arc::new(rows.iter().map(|row| row.2).collect::<StringArray>());
        RecordBatch::try_from_iter_with_nullable([("x", x, true), ("c", c, true), ("y", label, true)]).unwrap()
    }

    #[test]
    fn rows_become_numbers() {
        let rows = batch(&[
            (Some(2.5), Some("b"), Some("true")),
            (None, Some("a"), Some("false")),
            (Some(f64::NAN), None, Some("true")),
            (Some(1.0), Some("b"), None),
        ]);
        let found = tree_rows(&layout(0.0), &rows).unwrap();
        assert_eq!(found.categories, [None, Some(vec!["a".to_owned(), "b".to_owned()])]);
        assert_eq!(found.classes, Some(vec![Label::Boolean(false), Label::Boolean(true)]));
        assert_eq!((found.rows, found.batch.num_rows()), (3, 3));
        let column = |at: usize| -> Vec<String> {
            found.batch.column(at).as_primitive::<Float64Type>().values().iter().map(f64::to_string).collect()
        };
        assert_eq!(column(0), ["2.5", "NaN", "NaN"]);
        assert_eq!(column(1), ["1", "0", "NaN"]);
        assert_eq!(column(2), ["1", "0", "1"]);
    }

    #[test]
    fn rows_that_teach_nothing_are_refused() {
        let told = |rows: &RecordBatch| tree_rows(&layout(0.0), rows).unwrap_err().to_string();
        let one = batch(&[(Some(1.0), None, Some("true"))]);
        assert_eq!(told(&one), "the label has 1 value, true; a classifier of boosted trees tells two apart");
        let none = batch(&[(Some(1.0), None, None)]);
        assert_eq!(told(&none), "there is no row with a label to learn from");
        let infinite = batch(&[(Some(f64::INFINITY), None, Some("true"))]);
        assert_eq!(told(&infinite), "`x` has an infinite value");
    }
}
