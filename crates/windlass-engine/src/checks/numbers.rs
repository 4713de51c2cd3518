//! The numbers of a column: their sum, moments and spread.
//!
//! Must stay true: NULL and NaN are counted as missing and enter nothing else; sums of integers and
//! decimals are exact.

use std::borrow::Cow;

use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;
use windlass_project::checks::Statistic;

use super::columns::{Values, View};
use super::distribution::Distribution;
use super::literal::Allowed;
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
            (true, Some(sum)) if self.moments.count > 0 => Ok(nearest(sum, self.scale)),
            (true, None) => Err(NotEvaluable::Overflow),
            _ => self.finite(self.of(self.moments.sum())),
        }
    }

    /// Returns whether a figure lies within bounds as they are written, where both are known without rounding: a sum,
    /// the smallest or the largest of integers or decimals.
    pub(crate) fn is_within(&self, statistic: Statistic, written: &[Option<String>; 2]) -> Option<bool> {
        let found = match statistic {
            Statistic::Sum => self.exact.filter(|_| self.is_exact && self.moments.count > 0)?,
            Statistic::Min => self.range?.0,
            Statistic::Max => self.range?.1,
            _ => return None,
        };
        let [min, max] = written.each_ref().map(|text| text.as_deref().map(|text| (text, true)));
        match Allowed::between(min, max, &DataType::Decimal128(38, self.scale)) {
            Ok(Allowed::Decimals(low, high)) if min.or(max).is_some() => Some((low..=high).contains(&found)),
            _ => None,
        }
    }

    /// Returns the mean.
    pub(crate) fn mean(&self) -> Result<f64, NotEvaluable> {
        match (self.is_exact, self.exact) {
            (true, Some(sum)) if self.moments.count > 0 => Ok(mean(sum, self.scale, self.moments.count)),
            _ => self.finite(self.of(self.moments.mean())),
        }
    }

    /// Returns the standard deviation of a sample.
    pub(crate) fn deviation(&self) -> Result<f64, NotEvaluable> {
        match self.moments.count {
            1 if !self.moments.has_infinities() => Err(NotEvaluable::TooFewValues),
            _ => self.finite(self.of(self.moments.sample_deviation())),
        }
    }

    /// Returns the smallest and the largest value.
    pub(crate) fn bounds(&self) -> Result<(f64, f64), NotEvaluable> {
        self.of((self.moments.values() > 0).then_some((self.moments.min, self.moments.max)))
    }

    /// Takes a figure of finite values that is none itself for what it is.
    fn finite(&self, figure: Result<f64, NotEvaluable>) -> Result<f64, NotEvaluable> {
        match figure {
            Ok(figure) if !figure.is_finite() && !self.moments.has_infinities() => Err(NotEvaluable::Overflow),
            figure => figure,
        }
    }

    fn of<T>(&self, figure: Option<T>) -> Result<T, NotEvaluable> {
        figure.ok_or(match self.moments.values() {
            0 => NotEvaluable::EmptyCurrent,
            _ if self.moments.has_infinities() => NotEvaluable::InfiniteValues,
            _ => NotEvaluable::TooFewValues,
        })
    }
}

/// Powers of ten up to this one are floats.
const EXACT_POWER: u32 = 22;

/// Returns the mean of values with a sum, rounded once: that of equal values is that value.
fn mean(sum: i128, scale: i8, count: u64) -> f64 {
    match i128::from(count) {
        count if sum % count == 0 => nearest(sum / count, scale),
        count if scale > 0 && u32::from(scale.unsigned_abs()) <= EXACT_POWER => {
            sum as f64 / (count as f64 * 10f64.powi(i32::from(scale)))
        }
        count => nearest(sum, scale) / count as f64,
    }
}

/// Returns the float that is nearest to a decimal, also to one of many digits.
fn nearest(value: i128, scale: i8) -> f64 {
    let text = (u32::from(scale.unsigned_abs()) > EXACT_POWER).then(|| format!("{value}e{}", -i32::from(scale)));
    text.and_then(|text| text.parse().ok()).unwrap_or_else(|| decimal(value, scale))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_equal_values_is_that_value() {
        for (value, scale) in [(1, 1), (3, 2), (7, 3), (-29, 2), (9_007_199_254_740_993, 0), (1, 20), (5, -3)] {
            for count in [1u64, 3, 7, 10, 1000] {
                assert_eq!(mean(value * i128::from(count), scale, count), nearest(value, scale), "{value} {scale}");
            }
        }
        assert_eq!(nearest(15 * 10i128.pow(36), 38), 0.15);
        assert_eq!(mean(1, 0, 10), 0.1);
        assert_eq!(mean(3, 1, 2), 0.15);
    }
}
