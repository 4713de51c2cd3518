//! From the values of a row to numbers, as [`NativeModel`](crate::NativeModel) does it when it scores.

use std::collections::HashMap;

use super::frame::{Frame, Layout, Value};
use super::summary::{Spread, Summary};
use super::{Error, MAX_WIDTH};
use crate::{Encoding, Feature};

/// Binary places of numbers in sums of products. A number is at most the root of the number of rows, so that
/// the sum of products of two of them stays below 2^(80 + 46) for 2^46 rows.
pub(super) const PLACES: i32 = 40;

/// How numbers are centred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Center {
    /// At their mean.
    Mean,
    /// Not at all.
    Zero,
}

/// Makes rows into numbers.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    pub(super) features: Vec<Feature>,
    categories: Vec<HashMap<String, usize>>,
    /// The number at which each feature begins.
    starts: Vec<usize>,
    pub(super) width: usize,
}

impl Encoder {
    /// Returns the encoder that brings numbers to a mean square of 1.
    pub(super) fn new(layout: &Layout, summary: &Summary, center: Center) -> Result<Self, Error> {
        let encoding = |spread: &Spread| match spread {
            Spread::Numbers(moments) => {
                let mean = moments.mean();
                let taken_off = if center == Center::Mean { mean } else { 0.0 };
                Encoding::Number { fill: Some(mean), mean: taken_off, scale: moments.scale(taken_off) }
            }
            Spread::Texts { categories, missing } => {
                Encoding::OneHot { categories: categories.keys().cloned().collect(), has_null: *missing > 0 }
            }
        };
        let columns = layout.inputs.iter().map(|input| input.name.clone());
        let encodings = summary.features.iter().map(encoding);
        let features: Vec<Feature> =
            columns.zip(encodings).map(|(column, encoding)| Feature { column, encoding }).collect();
        let mut starts = Vec::with_capacity(features.len());
        let mut width = 0;
        for feature in &features {
            starts.push(width);
            width += feature.encoding.width();
        }
        if width > MAX_WIDTH {
            let what = format!("the features become {width} numbers, one for each category");
            return Err(Error::Rows(format!("{what}; a model has {MAX_WIDTH} at most")));
        }
        let categories = features.iter().map(|feature| by_name(&feature.encoding)).collect();
        Ok(Self { features, categories, starts, width })
    }

    /// Returns the numbers of a row that are not 0, each with its place.
    pub(super) fn encode(&self, frame: &Frame<'_>, row: usize, encoded: &mut Vec<(usize, f64)>) {
        encoded.clear();
        for (at, feature) in self.features.iter().enumerate() {
            let start = self.starts[at];
            match (&feature.encoding, frame.inputs[at].value(row)) {
                (Encoding::Number { fill, mean, scale }, value) => {
                    let number = match value {
                        Value::Number(number) => number,
                        _ => fill.unwrap_or_default(),
                    };
                    encoded.push((start, (number - mean) / scale));
                }
                (Encoding::OneHot { .. }, Value::Text(text)) => {
                    encoded.extend(self.categories[at].get(text).map(|category| (start + category, 1.0)));
                }
                (Encoding::OneHot { categories, has_null: true }, _) => encoded.push((start + categories.len(), 1.0)),
                (Encoding::OneHot { .. }, _) => {}
            }
        }
    }

    /// Returns all numbers of a row.
    pub(super) fn dense(&self, encoded: &[(usize, f64)], numbers: &mut Vec<f64>) {
        numbers.clear();
        numbers.resize(self.width, 0.0);
        for (at, number) in encoded {
            numbers[*at] = *number;
        }
    }
}

/// Returns a number with [`PLACES`] binary places as a whole number.
pub(super) fn fixed(number: f64) -> i64 {
    (number * (1i64 << PLACES) as f64).round() as i64
}

/// Returns the same where it may not fit into 64 bits.
pub(super) fn wide(number: f64) -> i128 {
    (number * (1i64 << PLACES) as f64).round() as i128
}

/// Returns what a sum of products of two [`fixed`] numbers stands for.
pub(super) fn unfixed(sum: i128) -> f64 {
    let one = (1i64 << PLACES) as f64;
    sum as f64 / one / one
}

fn by_name(encoding: &Encoding) -> HashMap<String, usize> {
    match encoding {
        Encoding::OneHot { categories, .. } => {
            categories.iter().enumerate().map(|(at, name)| (name.clone(), at)).collect()
        }
        Encoding::Number { .. } => HashMap::new(),
    }
}
