//! Sums of products of each two numbers of a row, in one pass.

use std::sync::Arc;

use arrow::array::RecordBatch;

use super::encoder::{BLOCK_ROWS, Block, Encoder, NOWHERE, PLACES, fixed};
use super::frame::{Frame, Layout, Part};
use super::{Error, Pass};

/// Sums that go on side by side, for vector instructions.
const LANES: usize = 8;

/// Whole numbers of a column of a [`Block`].
pub(super) type Wholes = [i64; BLOCK_ROWS];

/// A symmetric matrix of sums: the upper half, row after row.
#[derive(Debug, Clone)]
pub(super) struct Products {
    width: usize,
    sums: Vec<i128>,
}

/// Returns a column as whole numbers.
pub(super) fn whole(numbers: &[f64; BLOCK_ROWS], each: impl Fn(f64) -> i64) -> Wholes {
    let mut wholes = [0; BLOCK_ROWS];
    wholes.iter_mut().zip(numbers).for_each(|(whole, number)| *whole = each(*number));
    wholes
}

impl Products {
    pub(super) fn new(width: usize) -> Self {
        Self { width, sums: vec![0; width * (width + 1) / 2] }
    }

    /// Adds the products of each two columns.
    pub(super) fn add_pairs(&mut self, places: &[usize], columns: &[Wholes]) {
        for (at, (place, column)) in places.iter().zip(columns).enumerate() {
            for (other, others) in places[at..].iter().zip(&columns[at..]) {
                let products = column.iter().zip(others).map(|(a, b)| i128::from(*a) * i128::from(*b));
                self.add_sum(*place, *other, products.sum());
            }
        }
    }

    /// Adds the products of each two columns of multiples of 2^-`places_each`, whose sums over a block fit into 53 bits: no
    /// addition rounds.
    pub(super) fn add_exact(&mut self, places: &[usize], columns: &[[f64; BLOCK_ROWS]], places_each: i32) {
        let one = 2f64.powi(2 * places_each);
        for (at, (place, column)) in places.iter().zip(columns).enumerate() {
            for (other, others) in places[at..].iter().zip(&columns[at..]) {
                let mut sums = [0.0; LANES];
                for (left, right) in column.chunks_exact(LANES).zip(others.chunks_exact(LANES)) {
                    for lane in 0..LANES {
                        sums[lane] += left[lane] * right[lane];
                    }
                }
                let sum: f64 = sums.iter().sum();
                self.add_sum(*place, *other, i128::from((sum * one) as i64));
            }
        }
    }

    /// Adds the products of categories with columns, with themselves and with each other; `own` is the number that a
    /// row's categories have.
    pub(super) fn add_categories(&mut self, block: &Block, columns: &[Wholes], own: &Wholes) {
        for (at, categories) in block.categories.iter().enumerate() {
            for (row, category) in categories.iter().enumerate().filter(|(_, category)| **category != NOWHERE) {
                let number = i128::from(own[row]);
                for (place, column) in block.places.iter().zip(columns) {
                    self.add_sum(*category as usize, *place, number * i128::from(column[row]));
                }
                for others in block.categories[at..].iter().filter(|others| others[row] != NOWHERE) {
                    self.add_sum(*category as usize, others[row] as usize, number * number);
                }
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, more)| *sum += more);
    }

    /// Returns the whole matrix; sums have so many binary places.
    pub(super) fn matrix(&self, places: i32) -> Vec<Vec<f64>> {
        let unit = 0.5f64.powi(places);
        let value = |row: usize, column: usize| self.sums[self.at(row, column)] as f64 * unit;
        (0..self.width).map(|row| (0..self.width).map(|column| value(row, column)).collect()).collect()
    }

    #[inline]
    fn add_sum(&mut self, row: usize, column: usize, sum: i128) {
        let at = self.at(row, column);
        self.sums[at] += sum;
    }

    /// Returns where the sum of two places stands.
    #[inline]
    fn at(&self, row: usize, column: usize) -> usize {
        let (first, last) = (row.min(column), row.max(column));
        first * self.width - first * first.saturating_sub(1) / 2 + last - first
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
        self.products.matrix(2 * PLACES)
    }
}

impl Pass for Gram {
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let frame = Frame::new(&self.layout, batch)?;
        let (mut block, mut columns) = (Block::default(), Vec::new());
        let own = [fixed(1.0); BLOCK_ROWS];
        for rows in frame.rows(Part::Training).chunks(BLOCK_ROWS) {
            self.encoder.encode_block(&frame, rows, &mut block);
            block.push_constant(self.encoder.width, 1.0);
            if let Some((mean, scale)) = self.label {
                let labels = rows.iter().map(|row| (frame.number(*row) - mean) / scale);
                block.push(self.encoder.width + 1, labels);
            }
            columns.clear();
            columns.extend(block.numbers.iter().map(|numbers| whole(numbers, fixed)));
            self.products.add_pairs(&block.places, &columns);
            self.products.add_categories(&block, &columns, &own);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.products.merge(&other.products);
    }
}
