//! Scores models of our own, a column at a time.
//!
//! What each column adds to a row's numbers is added at once, so the encoded row is never written out:
//! a column of ten thousand categories costs as much as one of two.

use std::collections::HashMap;

use arrow::array::{Array, Float64Array, RecordBatch, StringArray};

use super::answer::Raw;
use super::inputs;
use crate::{Column, Distance, Encoding, Error, Estimator, Label, NativeModel, Task};

/// A model of our own, with categories by name.
#[derive(Debug)]
pub(super) struct Native {
    model: NativeModel,
    /// For each feature the number of each category.
    categories: Vec<HashMap<String, usize>>,
    /// For each output the weights of the encoded numbers.
    rows: Vec<Vec<f64>>,
    /// What each output starts from.
    start: Vec<f64>,
}

impl Native {
    pub(super) fn new(model: NativeModel) -> Self {
        let by_name = |encoding: &Encoding| match encoding {
            Encoding::OneHot { categories, .. } => {
                categories.iter().enumerate().map(|(at, name)| (name.clone(), at)).collect()
            }
            Encoding::Number { .. } => HashMap::new(),
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
        let squares = match &self.model.estimator {
            Estimator::KMeans { distance: Distance::Euclidean, .. } => Pass::Squares,
            _ => Pass::Products,
        };
        let mut lengths = vec![0.0; batch.num_rows()];
        let mut offset = 0;
        for (feature, categories) in self.model.features.iter().zip(&self.categories) {
            match &feature.encoding {
                Encoding::Number { fill, mean, scale } => {
                    let values = inputs::numbers(batch, &feature.column)?;
                    let values = numbers(&values, *fill, |row| {
                        raw.fail(row, || format!("input `{}` is NULL", feature.column));
                    });
                    let values: Vec<f64> = values.into_iter().map(|value| (value - mean) / scale).collect();
                    self.add_numbers(&mut raw, squares, offset, &values);
                    lengths.iter_mut().zip(&values).for_each(|(length, value)| *length += value * value);
                }
                Encoding::OneHot { has_null, .. } => {
                    let texts = inputs::texts(batch, &feature.column)?;
                    let chosen = chosen(&texts, categories, *has_null);
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

    fn add_numbers(&self, raw: &mut Raw, pass: Pass, at: usize, values: &[f64]) {
        for (output, weights) in self.rows.iter().enumerate() {
            let weight = weights[at];
            let sums = raw.values.iter_mut().skip(output).step_by(raw.width);
            match pass {
                Pass::Products => sums.zip(values).for_each(|(sum, value)| *sum += weight * value),
                Pass::Squares => sums.zip(values).for_each(|(sum, value)| *sum += (value - weight) * (value - weight)),
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
                raw.values = raw.values.iter().flat_map(|margin| [sigmoid(-margin), sigmoid(*margin)]).collect();
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

/// What a value and a weight add.
#[derive(Debug, Clone, Copy)]
enum Pass {
    /// Their product.
    Products,
    /// The square of their difference.
    Squares,
}

/// Returns numbers without gaps; a row with a gap that nothing fills is told.
fn numbers(values: &Float64Array, fill: Option<f64>, mut missing: impl FnMut(usize)) -> Vec<f64> {
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
fn chosen(texts: &StringArray, categories: &HashMap<String, usize>, has_null: bool) -> Vec<Option<usize>> {
    let null = has_null.then_some(categories.len());
    texts.iter().map(|text| text.map_or(null, |text| categories.get(text).copied())).collect()
}

/// Returns the probability that a margin stands for.
pub(super) fn sigmoid(margin: f64) -> f64 {
    1.0 / (1.0 + (-margin).exp())
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
