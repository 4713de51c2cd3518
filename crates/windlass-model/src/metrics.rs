//! How good a model is: sums over scored rows that merge in any order, and the metrics that follow from them.
//!
//! The names are those of BigQuery's `ML.EVALUATE`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::Float64Type;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::categories::PlainHasher;
use crate::train::exact::ExactSum;
use crate::train::{Error, Layout, Pass};
use crate::{Format, NativeModel, Scorer};

/// Bits of a margin that tell scores apart in [`ClassifierMetrics`]: a sign, eight of exponent, eleven of
/// mantissa. Scores that share them count as equal.
const SCORE_BITS: u32 = 20;
/// The smallest probability that a log loss is computed of.
const SMALLEST: f64 = 1e-15;

/// Metrics over rows with a label and a score.
pub trait Metrics: Clone + Send + Sync + Serialize + DeserializeOwned {
    /// Adds a row: its label, as a number and as a text, and its score: the number that is predicted, or the
    /// probability of the second class.
    fn add(&mut self, label: (f64, &str), score: f64);

    /// Adds what another has seen.
    fn merge(&mut self, other: &Self);

    /// Returns the metrics by name.
    fn values(&self) -> BTreeMap<String, f64>;

    /// Returns what was seen as bytes, for another process or thread to merge.
    fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts become JSON")
    }

    /// Returns what [`Self::to_bytes`] gave.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// Metrics of predicted numbers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RegressionMetrics {
    rows: u64,
    labels: ExactSum,
    label_squares: ExactSum,
    errors: ExactSum,
    absolute: ExactSum,
    squares: ExactSum,
}

/// Metrics of two classes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClassifierMetrics {
    positive: String,
    /// Probability from which on the second class is predicted.
    threshold: f64,
    /// Rows by label and prediction: `[[true negative, false positive], [false negative, true positive]]`.
    confusion: [[u64; 2]; 2],
    log_loss: ExactSum,
    /// Rows of the first and of the second class by score.
    scores: HashMap<u32, [u64; 2], BuildHasherDefault<PlainHasher>>,
}

impl Metrics for RegressionMetrics {
    fn add(&mut self, (label, _): (f64, &str), score: f64) {
        let error = label - score;
        self.rows += 1;
        self.labels.add(label);
        self.label_squares.add_product(label, label);
        self.errors.add(error);
        self.absolute.add(error.abs());
        self.squares.add_product(error, error);
    }

    fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.labels.merge(&other.labels);
        self.label_squares.merge(&other.label_squares);
        self.errors.merge(&other.errors);
        self.absolute.merge(&other.absolute);
        self.squares.merge(&other.squares);
    }

    fn values(&self) -> BTreeMap<String, f64> {
        let rows = self.rows as f64;
        let (squared, mean_error) = (self.squares.value() / rows, self.errors.value() / rows);
        let mean = self.labels.value() / rows;
        let mut spread = self.label_squares.clone();
        spread.add_product(-mean, self.labels.value());
        let variance = spread.value() / rows;
        let share = |left: f64| if variance > 0.0 { 1.0 - left / variance } else { f64::NAN };
        named([
            ("mean_absolute_error", self.absolute.value() / rows),
            ("mean_squared_error", squared),
            ("root_mean_squared_error", squared.sqrt()),
            ("r2_score", share(squared)),
            ("explained_variance", share(squared - mean_error * mean_error)),
        ])
    }
}

impl ClassifierMetrics {
    /// Returns the metrics of no rows; `positive` is the second class, as text.
    pub fn new(positive: &str) -> Self {
        Self {
            positive: positive.to_owned(),
            threshold: 0.5,
            confusion: [[0; 2]; 2],
            log_loss: ExactSum::default(),
            scores: HashMap::default(),
        }
    }

    /// Returns the same with another threshold.
    pub fn with_threshold(self, threshold: f64) -> Self {
        Self { threshold, ..self }
    }

    /// Returns the share of pairs of one row of each class in which that of the second scores higher.
    fn roc_auc(&self) -> f64 {
        let (mut below, mut pairs) = (0.0, 0.0);
        let mut scores: Vec<(&u32, &[u64; 2])> = self.scores.iter().collect();
        scores.sort_unstable();
        for (_, [negative, positive]) in scores {
            pairs += *positive as f64 * (below + *negative as f64 / 2.0);
            below += *negative as f64;
        }
        let positive: u64 = self.scores.values().map(|[_, positive]| positive).sum();
        pairs / (below * positive as f64)
    }
}

impl Metrics for ClassifierMetrics {
    fn add(&mut self, (_, label): (f64, &str), score: f64) {
        let is_positive = label == self.positive;
        self.confusion[usize::from(is_positive)][usize::from(score >= self.threshold)] += 1;
        let found = if is_positive { score } else { 1.0 - score };
        self.log_loss.add(-found.clamp(SMALLEST, 1.0).ln());
        self.scores.entry(bucket(score)).or_default()[usize::from(is_positive)] += 1;
    }

    fn merge(&mut self, other: &Self) {
        for (mine, more) in self.confusion.iter_mut().flatten().zip(other.confusion.iter().flatten()) {
            *mine += more;
        }
        self.log_loss.merge(&other.log_loss);
        for (bucket, more) in &other.scores {
            let mine = self.scores.entry(*bucket).or_default();
            mine.iter_mut().zip(more).for_each(|(mine, more)| *mine += more);
        }
    }

    fn values(&self) -> BTreeMap<String, f64> {
        let [[true_negative, false_positive], [false_negative, true_positive]] = self.confusion;
        let rows = true_negative + false_positive + false_negative + true_positive;
        let share = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        named([
            ("precision", share(true_positive, true_positive + false_positive)),
            ("recall", share(true_positive, true_positive + false_negative)),
            ("accuracy", share(true_positive + true_negative, rows)),
            ("f1_score", share(2 * true_positive, 2 * true_positive + false_positive + false_negative)),
            ("log_loss", self.log_loss.value() / rows as f64),
            ("roc_auc", self.roc_auc()),
        ])
    }
}

/// Metrics of a model over rows that it scores on the way.
#[derive(Debug, Clone)]
pub(crate) struct Measured<M> {
    layout: Layout,
    scorer: Arc<Scorer>,
    pub(crate) metrics: M,
}

impl<M: Metrics> Measured<M> {
    pub(crate) fn new(layout: &Layout, model: &NativeModel, metrics: M) -> Result<Self, Error> {
        let bytes = model.to_json().map_err(Error::Model)?;
        Ok(Self::of(layout, Scorer::load(Format::Windlass, &bytes).map_err(Error::Model)?, metrics))
    }

    pub(crate) fn of(layout: &Layout, scorer: Scorer, metrics: M) -> Self {
        Self { layout: layout.clone(), scorer: Arc::new(scorer), metrics }
    }
}

impl<M: Metrics> Pass for Measured<M> {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let rows = self.layout.evaluated(batch)?;
        let places: UInt32Array = rows.iter().map(|(row, ..)| Some(*row as u32)).collect();
        if places.is_empty() {
            return Ok(());
        }
        let chosen = match places.len() == batch.num_rows() {
            true => batch.clone(),
            // Of many rows few are kept, and scoring all would take longer than learning from them.
            false => take_record_batch(batch, &places).map_err(|error| Error::Read(error.into()))?,
        };
        let scores = self.scorer.fork().and_then(|mut scorer| scorer.score(&chosen)).map_err(Error::Model)?;
        let failed: BTreeSet<usize> = scores.failures.iter().map(|failure| failure.row).collect();
        let answered = rows.iter().zip(score_of(&scores.columns)).enumerate();
        for (_, ((_, number, text), score)) in answered.filter(|(place, _)| !failed.contains(place)) {
            self.metrics.add((*number, text), score);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.metrics.merge(&other.metrics);
    }
}

/// Returns the predicted number, or the probability of the second class, of each row.
fn score_of(columns: &[arrow::array::ArrayRef]) -> Vec<f64> {
    let vector = columns.get(1).and_then(|column| column.as_fixed_size_list_opt());
    match (vector, columns.first().and_then(|column| column.as_primitive_opt::<Float64Type>())) {
        (Some(vector), _) => {
            let width = usize::try_from(vector.value_length()).unwrap_or(1).max(1);
            let numbers = vector.values().as_primitive::<Float64Type>();
            (0..vector.len()).map(|row| numbers.value(row * width + width - 1)).collect()
        }
        (None, Some(numbers)) => numbers.values().to_vec(),
        (None, None) => Vec::new(),
    }
}

/// Returns a number that grows with a probability and has few values.
fn bucket(probability: f64) -> u32 {
    let clamped = probability.clamp(SMALLEST, 1.0 - f64::EPSILON / 2.0);
    let margin = (clamped / (1.0 - clamped)).ln() as f32;
    let bits = margin.to_bits();
    // Floats in the order of their bits: negative ones the other way round.
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    ordered >> (32 - SCORE_BITS)
}

fn named<const N: usize>(values: [(&str, f64); N]) -> BTreeMap<String, f64> {
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: &BTreeMap<String, f64>, name: &str, expected: f64, tolerance: f64) {
        assert!((found[name] - expected).abs() <= tolerance, "{name}: {} is not {expected}", found[name]);
    }

    #[test]
    fn metrics_of_numbers() {
        let mut metrics = RegressionMetrics::default();
        for (label, score) in [(3.0, 2.5), (-0.5, 0.0), (2.0, 2.0), (7.0, 8.0)] {
            metrics.add((label, ""), score);
        }
        // scikit-learn 1.9.1 on the same numbers.
        let found = metrics.values();
        near(&found, "mean_absolute_error", 0.5, 1e-15);
        near(&found, "mean_squared_error", 0.375, 1e-15);
        near(&found, "r2_score", 0.948_608_137_044_967_9, 1e-15);
        near(&found, "explained_variance", 0.957_173_447_537_473_2, 1e-15);
    }

    #[test]
    fn metrics_of_classes_merge() {
        let rows = [("a", 0.1), ("a", 0.4), ("b", 0.35), ("b", 0.8), ("b", 0.9), ("a", 0.6)];
        let (mut left, mut right) = (ClassifierMetrics::new("b"), ClassifierMetrics::new("b"));
        rows.iter().take(2).for_each(|(label, score)| left.add((0.0, label), *score));
        rows.iter().skip(2).for_each(|(label, score)| right.add((0.0, label), *score));
        left.merge(&ClassifierMetrics::from_bytes(&right.to_bytes()).unwrap());
        let found = left.values();
        near(&found, "roc_auc", 7.0 / 9.0, 1e-12);
        near(&found, "accuracy", 4.0 / 6.0, 1e-15);
        near(&found, "precision", 2.0 / 3.0, 1e-15);
        near(&found, "recall", 2.0 / 3.0, 1e-15);
        near(
            &found,
            "log_loss",
            (0.9f64.ln() + 0.6f64.ln() + 0.35f64.ln() + 0.8f64.ln() + 0.9f64.ln() + 0.4f64.ln()) / -6.0,
            1e-12,
        );
        let even = rows.iter().fold(ClassifierMetrics::new("b"), |mut metrics, (label, _)| {
            metrics.add((0.0, label), 0.3);
            metrics
        });
        near(&even.values(), "roc_auc", 0.5, 1e-15);
    }
}
