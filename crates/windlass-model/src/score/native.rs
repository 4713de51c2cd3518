//! Scores models of our own, a column at a time.
//!
//! What each column adds to a row's numbers is added at once, so the encoded row is never written out:
//! a column of ten thousand categories costs as much as one of two.

use arrow::array::{Array, Float64Array, RecordBatch, StringArray};
use arrow::buffer::ScalarBuffer;

use super::answer::Raw;
use super::inputs;
use crate::categories::Categories;
use crate::{Column, Distance, Encoding, Error, Estimator, Label, NativeModel, Task};

/// A model of our own, with categories by name.
#[derive(Debug)]
pub(super) struct Native {
    model: NativeModel,
    /// For each feature the number of each category.
    categories: Vec<Categories>,
    /// For each output the weights of the encoded numbers.
    rows: Vec<Vec<f64>>,
    /// What each output starts from.
    start: Vec<f64>,
}

impl Native {
    pub(super) fn new(model: NativeModel) -> Self {
        let by_name = |encoding: &Encoding| match encoding {
            Encoding::OneHot { categories, .. } => Categories::new(categories),
            Encoding::Number { .. } => Categories::default(),
        };
        let categories = model.features.iter().map(|feature| by_name(&feature.encoding)).collect();
        let (rows, start) = match &model.estimator {
            Estimator::Linear { intercept, weights } => (vec![weights.clone()], vec![*intercept]),
            Estimator::Logistic { intercepts, weights, .. } => (weights.clone(), intercepts.clone()),
            Estimator::KMeans { centroids, .. } => (centroids.clone(), vec![0.0; centroids.len()]),
            Estimator::Pca { mean, components } => {
                let taken_off = |row: &Vec<f64>| -row.iter().zip(mean).map(|(a, b)| a * b).sum::<f64>();
                (components.clone(), components.iter().map(taken_off).collect())
            }
        };
        Self { model, categories, rows, start }
    }

    pub(super) fn inputs(&self) -> Vec<Column> {
        let column = |feature: &crate::Feature| {
            Column::new(&feature.column, feature.encoding.data_type(), feature.encoding.takes_null())
        };
        self.model.features.iter().map(column).collect()
    }

    pub(super) fn classes(&self) -> Option<Vec<Label>> {
        match &self.model.estimator {
            Estimator::Logistic { classes, .. } => Some(classes.clone()),
            _ => None,
        }
    }

    pub(super) fn task(&self) -> Task {
        match &self.model.estimator {
            Estimator::Linear { .. } => Task::Regression,
            Estimator::Logistic { .. } => Task::Classification,
            Estimator::KMeans { .. } => Task::Clustering,
            Estimator::Pca { .. } => Task::Projection,
        }
    }

    pub(super) fn width(&self) -> usize {
        match &self.model.estimator {
            Estimator::Logistic { classes, .. } => classes.len(),
            _ => self.rows.len(),
        }
    }

    pub(super) fn score(&self, batch: &RecordBatch) -> Result<Raw, Error> {
        let mut raw = Raw::new(batch.num_rows(), self.rows.len());
        raw.values.chunks_mut(self.rows.len().max(1)).for_each(|row| row.copy_from_slice(&self.start));
        let (squares, needs_lengths) = match &self.model.estimator {
            Estimator::KMeans { distance: Distance::Euclidean, .. } => (Pass::Squares, false),
            Estimator::KMeans { distance: Distance::Cosine, .. } => (Pass::Products, true),
            _ => (Pass::Products, false),
        };
        let mut lengths = vec![0.0; if needs_lengths { batch.num_rows() } else { 0 }];
        let mut offset = 0;
        for (feature, categories) in self.model.features.iter().zip(&self.categories) {
            match &feature.encoding {
                Encoding::Number { fill, mean, scale } => {
                    let values = inputs::numbers(batch, &feature.column)?;
                    let values = numbers(&values, *fill, |row| {
                        raw.fail(row, || format!("input `{}` is NULL", feature.column));
                    });
                    let standard = Standard { values: &values, mean: *mean, scale: *scale };
                    self.add_numbers(&mut raw, squares, offset, standard);
                    let value = |value: &f64| (value - mean) / scale;
                    lengths.iter_mut().zip(values.iter()).for_each(|(length, x)| *length += value(x) * value(x));
                }
                Encoding::OneHot { categories: listed, has_null } => {
                    let texts = inputs::texts(batch, &feature.column)?;
                    let chosen = chosen(&texts, categories, has_null.then_some(listed.len()));
                    self.add_categories(&mut raw, squares, offset..offset + feature.encoding.width(), &chosen);
                    lengths
                        .iter_mut()
                        .zip(&chosen)
                        .for_each(|(length, at)| *length += f64::from(u8::from(at.is_some())));
                }
            }
            offset += feature.encoding.width();
        }
        Ok(self.finish(raw, &lengths))
    }

    /// Adds what numbers say, which are standardised on the way.
    fn add_numbers(&self, raw: &mut Raw, pass: Pass, at: usize, standard: Standard<'_>) {
        let Standard { values, mean, scale } = standard;
        for (output, weights) in self.rows.iter().enumerate() {
            let weight = weights[at];
            let by_unit = weight / scale;
            let each = move |sum: &mut f64, value: &f64| *sum += by_unit * (value - mean);
            let square = move |sum: &mut f64, value: &f64| {
                let apart = (value - mean) / scale - weight;
                *sum += apart * apart;
            };
            match (pass, raw.width) {
                // Sums that lie side by side are added to by vector instructions.
                (Pass::Products, 1) => raw.values.iter_mut().zip(values).for_each(|(sum, value)| each(sum, value)),
                (Pass::Products, width) => {
                    let sums = raw.values.iter_mut().skip(output).step_by(width);
                    sums.zip(values).for_each(|(sum, value)| each(sum, value));
                }
                (Pass::Squares, width) => {
                    let sums = raw.values.iter_mut().skip(output).step_by(width);
                    sums.zip(values).for_each(|(sum, value)| square(sum, value));
                }
            }
        }
    }

    fn add_categories(&self, raw: &mut Raw, pass: Pass, span: std::ops::Range<usize>, chosen: &[Option<usize>]) {
        for (output, weights) in self.rows.iter().enumerate() {
            let weights = &weights[span.clone()];
            let sums = raw.values.iter_mut().skip(output).step_by(raw.width).zip(chosen);
            match pass {
                Pass::Products => sums.for_each(|(sum, at)| *sum += at.map_or(0.0, |at| weights[at])),
                Pass::Squares => {
                    let none: f64 = weights.iter().map(|weight| weight * weight).sum();
                    sums.for_each(|(sum, at)| *sum += none + at.map_or(0.0, |at| 1.0 - 2.0 * weights[at]));
                }
            }
        }
    }

    /// Makes what was summed up into what the model answers.
    fn finish(&self, mut raw: Raw, lengths: &[f64]) -> Raw {
        match &self.model.estimator {
            Estimator::Logistic { classes, .. } if classes.len() == 2 && raw.width == 1 => {
                raw.values = raw.values.iter().flat_map(|margin| both_classes(*margin)).collect();
                raw.width = 2;
            }
            Estimator::Logistic { .. } => raw.values.chunks_mut(raw.width).for_each(softmax),
            Estimator::KMeans { distance: Distance::Euclidean, .. } => {
                raw.values.iter_mut().for_each(|value| *value = value.max(0.0).sqrt());
            }
            Estimator::KMeans { distance: Distance::Cosine, .. } => {
                let sizes: Vec<f64> =
                    self.rows.iter().map(|row| row.iter().map(|x| x * x).sum::<f64>().sqrt()).collect();
                for (row, length) in raw.values.chunks_mut(raw.width).zip(lengths) {
                    row.iter_mut().zip(&sizes).for_each(|(value, size)| {
                        let sizes = size * length.sqrt();
                        *value = if sizes > 0.0 { 1.0 - *value / sizes } else { 1.0 };
                    });
                }
            }
            Estimator::Linear { .. } | Estimator::Pca { .. } => {}
        }
        raw
    }
}

/// Numbers, and what brings them to the scale of the weights.
#[derive(Debug, Clone, Copy)]
struct Standard<'a> {
    values: &'a [f64],
    mean: f64,
    scale: f64,
}

/// What a value and a weight add.
#[derive(Debug, Clone, Copy)]
enum Pass {
    /// Their product.
    Products,
    /// The square of their difference.
    Squares,
}

/// Returns numbers without gaps; a row with a gap that nothing fills is told.
fn numbers(values: &Float64Array, fill: Option<f64>, mut missing: impl FnMut(usize)) -> ScalarBuffer<f64> {
    let has_gap = values.null_count() > 0 || values.values().iter().fold(false, |has, value| has | value.is_nan());
    if !has_gap {
        return values.values().clone();
    }
    let value = |row: usize| match values.is_valid(row).then(|| values.value(row)).filter(|value| !value.is_nan()) {
        Some(value) => value,
        None => fill.unwrap_or_else(|| {
            missing(row);
            0.0
        }),
    };
    (0..values.len()).map(value).collect()
}

/// Returns the number of each text's category.
fn chosen(texts: &StringArray, categories: &Categories, null: Option<usize>) -> Vec<Option<usize>> {
    texts.iter().map(|text| text.map_or(null, |text| categories.place(text))).collect()
}

/// Returns the probability that a margin stands for.
pub(super) fn sigmoid(margin: f64) -> f64 {
    1.0 / (1.0 + (-margin).exp())
}

/// Returns the probabilities of the first and of the second class at a margin, each as exact as its size.
pub(super) fn both_classes(margin: f64) -> [f64; 2] {
    let opposed = (-margin).exp();
    let second = 1.0 / (1.0 + opposed);
    // Far below 0 the exponential is infinite.
    [if opposed.is_finite() { opposed * second } else { 1.0 }, second]
}

/// Makes margins into probabilities that sum to 1.
pub(super) fn softmax(margins: &mut [f64]) {
    let highest = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for margin in margins.iter_mut() {
        *margin = (*margin - highest).exp();
        sum += *margin;
    }
    margins.iter_mut().for_each(|margin| *margin /= sum);
}
