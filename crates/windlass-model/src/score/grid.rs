//! Brings values to small whole numbers that compare as the values do.
//!
//! A split asks whether a value is at most a threshold. A forest has few thresholds for each input, so a value can be
//! replaced by how many of them it exceeds, its rank, once for all trees: splits then compare bytes, many rows at
//! once. No rounding is involved: the rank is at most the threshold's place exactly where the value is at most
//! the threshold.
//!
//! A column of bytes holds [`PAGE`] thresholds; an input with more has several columns. Missing values have a byte of
//! their own at either end, so splits that send them left read another column than those that send them right.

use std::collections::HashMap;
use std::ops::Range;

use arrow::buffer::ScalarBuffer;

/// Rows that are taken through all trees together.
pub(super) const ROWS: usize = 256;
/// Thresholds that a column tells apart.
const PAGE: usize = 254;
/// What is missing, where it goes right: more than any rank.
const HIGHEST: u8 = 255;
/// Categories of an input at most.
pub(super) const MAX_CATEGORIES: usize = 1_024;

/// The columns of a forest, and what they are made from.
#[derive(Debug, Default)]
pub(super) struct Grid {
    ranked: Vec<Ranked>,
    coded: Vec<Coded>,
    columns: usize,
}

/// The columns of one input for splits on its order.
#[derive(Debug)]
struct Ranked {
    feature: usize,
    thresholds: Vec<f64>,
    columns: Vec<RankColumn>,
}

/// A column of ranks.
#[derive(Debug)]
struct RankColumn {
    at: usize,
    page: usize,
    missing: Missing,
}

/// The column of one input for splits on its categories.
#[derive(Debug)]
struct Coded {
    feature: usize,
    categories: usize,
}

/// What is missing, and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Missing {
    pub(super) is_zero: bool,
    pub(super) is_left: bool,
}

/// What a forest asks for, before its columns are laid out.
#[derive(Debug, Default)]
pub(super) struct GridPlan {
    thresholds: HashMap<usize, Vec<f64>>,
    categories: HashMap<usize, usize>,
    places: HashMap<(usize, usize, Missing), usize>,
}

/// Where a split finds what it compares with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) column: usize,
    /// The highest rank that goes left.
    pub(super) rank: u8,
}

/// The columns for some rows.
#[derive(Debug)]
pub(super) struct Cells {
    /// Ranks by column.
    pub(super) ranks: Vec<[u8; ROWS]>,
    /// Codes of categories by input, in the order of [`GridPlan::coded`].
    pub(super) codes: Vec<[u16; ROWS]>,
}

impl GridPlan {
    /// Notes a threshold.
    pub(super) fn add_threshold(&mut self, feature: usize, threshold: f64) {
        self.thresholds.entry(feature).or_default().push(threshold);
    }

    /// Notes that an input has so many categories.
    pub(super) fn add_categories(&mut self, feature: usize, categories: usize) {
        let most = self.categories.entry(feature).or_default();
        *most = categories.max(*most);
    }

    /// Sorts what was noted; places can be asked for from then on.
    pub(super) fn sort(&mut self) {
        for thresholds in self.thresholds.values_mut() {
            thresholds.sort_by(f64::total_cmp);
            thresholds.dedup_by(|a, b| a == b);
        }
    }

    /// Returns where a split on a threshold finds its ranks.
    pub(super) fn place(&mut self, feature: usize, threshold: f64, missing: Missing) -> Place {
        let thresholds = self.thresholds.get(&feature).map_or(&[][..], Vec::as_slice);
        let rank = thresholds.partition_point(|known| *known < threshold);
        let next = self.places.len();
        let column = *self.places.entry((feature, rank / PAGE, missing)).or_insert(next);
        Place { column, rank: (rank % PAGE) as u8 }
    }

    /// Returns where the codes of an input stand, and how many categories they tell apart.
    pub(super) fn coded(&self, feature: usize) -> Option<(usize, usize)> {
        let mut features: Vec<usize> = self.categories.keys().copied().collect();
        features.sort_unstable();
        Some((features.binary_search(&feature).ok()?, *self.categories.get(&feature)?))
    }

    /// Returns the columns that were asked for.
    pub(super) fn finish(self) -> Grid {
        let columns = self.places.len();
        let mut ranked: Vec<Ranked> = self
            .thresholds
            .into_iter()
            .map(|(feature, thresholds)| Ranked { feature, thresholds: padded(thresholds), columns: Vec::new() })
            .collect();
        ranked.sort_by_key(|ranked| ranked.feature);
        for ((feature, page, missing), at) in self.places {
            if let Ok(place) = ranked.binary_search_by_key(&feature, |ranked| ranked.feature) {
                ranked[place].columns.push(RankColumn { at, page, missing });
            }
        }
        let mut coded: Vec<Coded> =
            self.categories.into_iter().map(|(feature, categories)| Coded { feature, categories }).collect();
        coded.sort_by_key(|coded| coded.feature);
        Grid { ranked, coded, columns }
    }
}

/// Returns thresholds with as many behind them that no value exceeds as the search needs.
fn padded(mut thresholds: Vec<f64>) -> Vec<f64> {
    let length = (thresholds.len() + 1).next_power_of_two() - 1;
    thresholds.resize(length, f64::INFINITY);
    thresholds
}

impl Grid {
    /// Returns room for the columns.
    pub(super) fn cells(&self) -> Cells {
        Cells { ranks: vec![[0; ROWS]; self.columns], codes: vec![[0; ROWS]; self.coded.len()] }
    }

    /// Fills the columns with a span of at most [`ROWS`] rows.
    pub(super) fn fill(&self, inputs: &[ScalarBuffer<f64>], span: Range<usize>, cells: &mut Cells) {
        for ranked in &self.ranked {
            ranked.fill(&inputs[ranked.feature][span.clone()], &mut cells.ranks);
        }
        for (coded, codes) in self.coded.iter().zip(&mut cells.codes) {
            for (code, value) in codes.iter_mut().zip(&inputs[coded.feature][span.clone()]) {
                *code = code_of(*value, coded.categories);
            }
        }
    }
}

impl Ranked {
    fn fill(&self, values: &[f64], cells: &mut [[u8; ROWS]]) {
        let ranks = ranks(&self.thresholds, values);
        let has_nan = values.iter().fold(false, |found, value| found | value.is_nan());
        for column in &self.columns {
            let cells = &mut cells[column.at];
            let first = (column.page * PAGE) as u32;
            for (cell, rank) in cells.iter_mut().zip(&ranks) {
                *cell = rank.saturating_sub(first).min(PAGE as u32) as u8;
            }
            let Missing { is_zero, is_left } = column.missing;
            if has_nan || is_zero {
                let missing = if is_left { 0 } else { HIGHEST };
                for (cell, value) in cells.iter_mut().zip(values) {
                    *cell = if value.is_nan() | (is_zero & counts_as_zero(*value)) { missing } else { *cell };
                }
            }
        }
    }
}

/// Returns how many thresholds each value exceeds; none where it is NaN. Their number is a power of two less one.
///
/// All rows take a step before any takes the next: what one waits for, the others hide.
fn ranks(thresholds: &[f64], values: &[f64]) -> [u32; ROWS] {
    let mut ranks = [0_u32; ROWS];
    let mut step = thresholds.len().div_ceil(2);
    while step > 0 {
        let ahead = &thresholds[step - 1..];
        let shift = step.trailing_zeros();
        for (rank, value) in ranks.iter_mut().zip(values) {
            *rank += u32::from(ahead[*rank as usize] < *value) << shift;
        }
        step /= 2;
    }
    ranks
}

/// Returns whether a number is zero to a split for which zero is missing: LightGBM's own bound.
pub(super) fn counts_as_zero(value: f64) -> bool {
    value.abs() <= f64::from(1e-35_f32)
}

/// Returns the code of a category: itself, or the two numbers behind all categories for others and for NaN.
fn code_of(value: f64, categories: usize) -> u16 {
    let category = value as i64;
    let is_known = (0..categories as i64).contains(&category);
    let code = if is_known { category as usize } else { categories };
    if value.is_nan() { categories as u16 + 1 } else { code as u16 }
}
