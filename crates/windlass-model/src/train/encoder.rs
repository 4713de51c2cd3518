//! From the values of a row to numbers, as [`NativeModel`](crate::NativeModel) does it when it scores.

use super::frame::{Frame, Layout, Value};
use super::summary::{Spread, Summary};
use super::{Error, MAX_WIDTH};
use crate::categories::Categories;
use crate::{Encoding, Feature};

/// Binary places of numbers in sums of products. A number is at most the root of the number of rows, so that
/// the sum of products of two of them stays below 2^(80 + 46) for 2^46 rows.
pub(super) const PLACES: i32 = 40;

/// Rows that are encoded together.
pub(super) const BLOCK_ROWS: usize = 512;
/// The place of no category.
pub(super) const NOWHERE: u32 = u32::MAX;
/// Added to a number below 2^51 and taken off again, it leaves the nearest whole number.
const TO_WHOLE: f64 = 6_755_399_441_055_744.0;

/// Rows as numbers, a column at a time. Behind the last row are zeros, and no categories.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) rows: usize,
    /// The place of each column of numbers.
    pub(super) places: Vec<usize>,
    pub(super) numbers: Vec<[f64; BLOCK_ROWS]>,
    /// For each text the place of each row's category.
    pub(super) categories: Vec<[u32; BLOCK_ROWS]>,
}

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
    categories: Vec<Categories>,
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
                    encoded.extend(self.categories[at].place(text).map(|category| (start + category, 1.0)));
                }
                (Encoding::OneHot { categories, has_null: true }, _) => encoded.push((start + categories.len(), 1.0)),
                (Encoding::OneHot { .. }, _) => {}
            }
        }
    }

    /// Encodes at most [`BLOCK_ROWS`] rows.
    pub(super) fn encode_block(&self, frame: &Frame<'_>, rows: &[usize], block: &mut Block) {
        let Block { rows: count, places, numbers, categories } = block;
        *count = rows.len();
        places.clear();
        numbers.clear();
        categories.clear();
        for (at, feature) in self.features.iter().enumerate() {
            let (start, column) = (self.starts[at], &frame.inputs[at]);
            match &feature.encoding {
                Encoding::Number { fill, mean, scale } => {
                    let mut cells = [0.0; BLOCK_ROWS];
                    column.numbers(rows, fill.unwrap_or_default(), &mut cells);
                    cells[..rows.len()].iter_mut().for_each(|number| *number = (*number - mean) / scale);
                    places.push(start);
                    numbers.push(cells);
                }
                Encoding::OneHot { categories: known, has_null } => {
                    let mut cells = [NOWHERE; BLOCK_ROWS];
                    let null = if *has_null { (start + known.len()) as u32 } else { NOWHERE };
                    for (cell, text) in cells.iter_mut().zip(column.texts(rows)) {
                        let place = |text: &str| {
                            self.categories[at].place(text).map_or(NOWHERE, |place| (start + place) as u32)
                        };
                        *cell = text.map_or(null, place);
                    }
                    categories.push(cells);
                }
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

impl Block {
    /// Adds a column that holds the same number in all rows.
    pub(super) fn push_constant(&mut self, place: usize, number: f64) {
        let mut cells = [0.0; BLOCK_ROWS];
        cells[..self.rows].fill(number);
        self.places.push(place);
        self.numbers.push(cells);
    }

    /// Adds a column.
    pub(super) fn push(&mut self, place: usize, numbers: impl Iterator<Item = f64>) {
        let mut cells = [0.0; BLOCK_ROWS];
        cells[..self.rows].iter_mut().zip(numbers).for_each(|(cell, number)| *cell = number);
        self.places.push(place);
        self.numbers.push(cells);
    }
}

/// Returns a number with [`PLACES`] binary places as a whole number.
pub(super) fn fixed(number: f64) -> i64 {
    let scaled = number * (1i64 << PLACES) as f64;
    if scaled.abs() < (1i64 << 51) as f64 {
        return (scaled + TO_WHOLE).to_bits() as i64 - TO_WHOLE.to_bits() as i64;
    }
    scaled.round_ties_even() as i64
}

/// Returns the same where it may not fit into 64 bits.
pub(super) fn wide(number: f64) -> i128 {
    let scaled = number * (1i64 << PLACES) as f64;
    if scaled.abs() < (1i64 << 51) as f64 { i128::from(fixed(number)) } else { scaled.round_ties_even() as i128 }
}

/// Returns what a sum of products of two [`fixed`] numbers stands for.
pub(super) fn unfixed(sum: i128) -> f64 {
    let one = (1i64 << PLACES) as f64;
    sum as f64 / one / one
}

fn by_name(encoding: &Encoding) -> Categories {
    match encoding {
        Encoding::OneHot { categories, .. } => Categories::new(categories),
        Encoding::Number { .. } => Categories::default(),
    }
}
