//! The numbers of a column: their sum, moments and spread.
//!
//! Must stay true: NULL and NaN are counted as missing and enter nothing else; sums of integers and
//! decimals are exact.

use std::borrow::Cow;

use arrow::buffer::BooleanBuffer;

use super::columns::{Values, View};
use super::distribution::Distribution;
use super::rules::decimal;
use super::stats::NotEvaluable;
use super::stats::summary::{Depth, Moments};

/// What is gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// Mean, deviation, sum, bounds: as far as they are asked for.
    pub(crate) moments: Option<Depth>,
    /// Quantiles and drift.
    pub(crate) distribution: bool,
}

impl Wanted {
    /// Returns that figures are wanted, and no quantiles.
    pub(crate) fn moments(depth: Depth) -> Self {
        Self { moments: Some(depth), distribution: false }
    }
}

/// The numbers of a column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers {
    wanted: Wanted,
    /// NULL and NaN.
    pub(crate) missing: u64,
    /// Mean, spread and bounds.
    pub(crate) moments: Moments,
    /// How the values are spread.
    pub(crate) distribution: Distribution,
    /// The exact sum of integers, or of decimals without their point; `None` once it overflows.
    exact: Option<i128>,
    scale: i8,
    is_exact: bool,
    /// The smallest and the largest of integers, or of decimals without their point.
    range: Option<(i128, i128)>,
}

impl Numbers {
    /// Returns an empty state that gathers what is wanted.
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self { wanted, exact: Some(0), ..Self::default() }
    }

    /// Adds the selected rows of a batch.
    pub(crate) fn add(&mut self, view: &View<'_>, selection: Option<&BooleanBuffer>) {
        let valid = view.valid(selection);
        let looked_at = selection.map_or(view.rows, BooleanBuffer::count_set_bits);
        let known = valid.as_ref().map_or(view.rows, BooleanBuffer::count_set_bits);
        self.missing += (looked_at - known) as u64;
        let floats: Cow<'_, [f64]> = match &view.values {
            Values::Integer(values) => {
                let values = kept(values, valid.as_ref());
                self.add_integers(&values);
                if self.wanted.moments.is_none() {
                    return;
                }
                Cow::Owned(values.iter().map(|value| *value as f64).collect())
            }
            Values::Decimal(values, scale) => {
                let values = kept(values, valid.as_ref());
                self.add_exact(values.iter().copied(), *scale);
                self.widen(values.iter().copied().min().zip(values.iter().copied().max()));
                Cow::Owned(values.iter().map(|value| decimal(*value, *scale)).collect())
            }
            Values::Float(values) => {
                let values = kept(values, valid.as_ref());
                if values.iter().any(|value| value.is_nan()) {
                    let numbers: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
                    self.missing += (values.len() - numbers.len()) as u64;
                    Cow::Owned(numbers)
                } else {
                    values
                }
            }
            _ => return,
        };
        if let Some(depth) = self.wanted.moments {
            self.moments.merge(&Moments::up_to(depth, &floats));
        }
        if self.wanted.distribution && !matches!(view.values, Values::Integer(_)) {
            self.distribution.add_floats(&floats);
        }
    }

    fn add_integers(&mut self, values: &[i64]) {
        (self.is_exact, self.scale) = (true, 0);
        let Some((min, max)) = bounds(values) else { return };
        self.widen(Some((i128::from(min), i128::from(max))));
        if self.wanted.moments.is_some() {
            let most = min.unsigned_abs().max(max.unsigned_abs()).checked_mul(values.len() as u64);
            // 64 bits where they suffice, which processors add several of at once.
            let sum = match most.is_some_and(|most| i64::try_from(most).is_ok()) {
                true => i128::from(values.iter().sum::<i64>()),
                false => values.iter().map(|value| i128::from(*value)).sum(),
            };
            self.exact = self.exact.and_then(|known| known.checked_add(sum));
        }
        if self.wanted.distribution {
            self.distribution.add_integers(values);
        }
    }

    fn add_exact(&mut self, values: impl Iterator<Item = i128>, scale: i8) {
        (self.is_exact, self.scale) = (true, scale);
        if self.wanted.moments.is_some() {
            self.exact = values.fold(self.exact, |sum, value| sum?.checked_add(value));
        }
    }

    fn widen(&mut self, range: Option<(i128, i128)>) {
        self.range = match (self.range, range) {
            (Some(own), Some(other)) => Some((own.0.min(other.0), own.1.max(other.1))),
            (own, other) => own.or(other),
        };
    }

    /// Adds another part of the table.
    pub(crate) fn merge(&mut self, other: Self) {
        self.missing += other.missing;
        self.moments.merge(&other.moments);
        self.distribution.merge(&other.distribution);
        self.exact = self.exact.zip(other.exact).and_then(|(mine, theirs)| mine.checked_add(theirs));
        if other.is_exact {
            (self.is_exact, self.scale) = (true, other.scale);
        }
        self.widen(other.range);
    }

    /// Returns the smallest and the largest of integers, or of decimals without their point.
    pub(crate) fn range(&self) -> Option<(i128, i128)> {
        self.range
    }

    /// Returns the digits of decimals behind their point.
    pub(crate) fn scale(&self) -> i8 {
        self.scale
    }

    /// Returns the sum.
    pub(crate) fn sum(&self) -> Result<f64, NotEvaluable> {
        match (self.is_exact, self.exact) {
            (true, Some(sum)) if self.moments.count > 0 => Ok(decimal(sum, self.scale)),
            (true, None) => Err(NotEvaluable::Overflow),
            _ => self.of(self.moments.sum()),
        }
    }

    /// Returns the mean.
    pub(crate) fn mean(&self) -> Result<f64, NotEvaluable> {
        match (self.is_exact, self.exact) {
            (true, Some(sum)) if self.moments.count > 0 => Ok(decimal(sum, self.scale) / self.moments.count as f64),
            _ => self.of(self.moments.mean()),
        }
    }

    /// Returns the standard deviation of a sample.
    pub(crate) fn deviation(&self) -> Result<f64, NotEvaluable> {
        match self.moments.count {
            1 if !self.moments.has_infinities() => Err(NotEvaluable::TooFewValues),
            _ => self.of(self.moments.sample_deviation()),
        }
    }

    /// Returns the smallest and the largest value.
    pub(crate) fn bounds(&self) -> Result<(f64, f64), NotEvaluable> {
        self.of((self.moments.values() > 0).then_some((self.moments.min, self.moments.max)))
    }

    fn of<T>(&self, figure: Option<T>) -> Result<T, NotEvaluable> {
        figure.ok_or(match self.moments.values() {
            0 => NotEvaluable::EmptyCurrent,
            _ if self.moments.has_infinities() => NotEvaluable::InfiniteValues,
            _ => NotEvaluable::TooFewValues,
        })
    }
}

/// Returns the smallest and the largest of integers.
fn bounds(values: &[i64]) -> Option<(i64, i64)> {
    let bounds = values.iter().fold((i64::MAX, i64::MIN), |(min, max), value| (min.min(*value), max.max(*value)));
    (!values.is_empty()).then_some(bounds)
}

/// Returns the values of the rows that are kept, without a copy where all are.
fn kept<'a, T: Copy>(values: &'a [T], valid: Option<&BooleanBuffer>) -> Cow<'a, [T]> {
    match valid {
        None => Cow::Borrowed(values),
        Some(valid) => Cow::Owned(valid.set_indices().map(|row| values[row]).collect()),
    }
}
