//! Sums of products of each two numbers of a row, in one pass.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::encoder::{Encoder, fixed, unfixed};
use super::frame::{Frame, Layout, Part};
use super::{Error, Pass};

/// A symmetric matrix of sums: the upper half, row after row.
#[derive(Debug, Clone)]
pub(super) struct Products {
    width: usize,
    sums: Vec<i128>,
}

impl Products {
    pub(super) fn new(width: usize) -> Self {
        Self { width, sums: vec![0; width * (width + 1) / 2] }
    }

    /// Adds the products of a row: of each weighted number with each number from its place on.
    pub(super) fn add(&mut self, row: &[(usize, i64)], weighted: &[i128]) {
        for (at, (place, _)) in row.iter().enumerate() {
            let start = self.start(*place);
            let factor = weighted[at];
            for (other, number) in &row[at..] {
                self.sums[start + other - place] += factor * i128::from(*number);
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, more)| *sum += more);
    }

    /// Returns the whole matrix.
    pub(super) fn matrix(&self) -> Vec<Vec<f64>> {
        let value = |row: usize, column: usize| {
            let (first, last) = (row.min(column), row.max(column));
            unfixed(self.sums[self.start(first) + last - first])
        };
        (0..self.width).map(|row| (0..self.width).map(|column| value(row, column)).collect()).collect()
    }

    /// Returns where the row of a place begins.
    fn start(&self, place: usize) -> usize {
        place * self.width - place * place.saturating_sub(1) / 2
    }
}

/// Products of the numbers of a row, a 1 behind them, and behind that the label where it is a number.
#[derive(Debug, Clone)]
pub(super) struct Gram {
    layout: Layout,
    encoder: Arc<Encoder>,
    /// Mean and scale of the label.
    label: Option<(f64, f64)>,
    products: Products,
}

impl Gram {
    pub(super) fn new(layout: &Layout, encoder: &Arc<Encoder>, label: Option<(f64, f64)>) -> Self {
        let width = encoder.width + 1 + usize::from(label.is_some());
        Self { layout: layout.clone(), encoder: Arc::clone(encoder), label, products: Products::new(width) }
    }

    pub(super) fn matrix(&self) -> Vec<Vec<f64>> {
        self.products.matrix()
    }
}

impl Pass for Gram {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let frame = Frame::new(&self.layout, batch)?;
        let (mut encoded, mut row_numbers, mut weighted) = (Vec::new(), Vec::new(), Vec::new());
        for row in frame.rows(Part::Training) {
            self.encoder.encode(&frame, row, &mut encoded);
            row_numbers.clear();
            row_numbers.extend(encoded.iter().map(|(at, number)| (*at, fixed(*number))));
            row_numbers.push((self.encoder.width, fixed(1.0)));
            if let Some((mean, scale)) = self.label {
                row_numbers.push((self.encoder.width + 1, fixed((frame.number(row) - mean) / scale)));
            }
            weighted.clear();
            weighted.extend(row_numbers.iter().map(|(_, number)| i128::from(*number)));
            self.products.add(&row_numbers, &weighted);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.products.merge(&other.products);
    }
}
