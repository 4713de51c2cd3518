//! A column's profile: how its values are spread, small enough to be stored.
//!
//! Numbers with many values are kept as [`BINS`] equally full bins, each by its largest value. A
//! distribution function is then known exactly at those values, and off by less than a bin between.

use std::collections::BTreeMap;

use super::distribution::Points;
use super::part::State;
use super::stats::NotEvaluable;
use super::stats::points::{Ordered, Point, total};

/// Bins of a stored profile. Multiples of 10, so that deciles are among its edges.
const BINS: u64 = 1000;

/// How the values of a column are spread.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Profile {
    /// Rows without a value: NULL and NaN.
    pub(crate) missing: u64,
    /// The values.
    pub(crate) spread: Spread,
}

/// The values of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Spread {
    /// Integers, each with its rows.
    Integers(Vec<Point<i64>>),
    /// Floats, each with its rows, or bins by their largest value.
    Floats { points: Vec<Point<f64>>, are_bins: bool },
    /// Categories.
    Categories(BTreeMap<String, u64>),
}

impl Profile {
    /// Returns the profile of what a measure has gathered.
    pub(crate) fn of(state: &State) -> Result<Self, NotEvaluable> {
        match state {
            State::Numbers(numbers) => Ok(Self {
                missing: numbers.missing,
                spread: match numbers.distribution.clone().points() {
                    Points::Integers(points) => Spread::Integers(points),
                    Points::Floats(points) => Spread::Floats { points, are_bins: false },
                },
            }),
            State::Categories(Some(known), missing) => {
                let spell = |value: &Vec<u8>| String::from_utf8_lossy(value).into_owned();
                let categories = known.iter().map(|(value, count)| (spell(value), *count)).collect();
                Ok(Self { missing: *missing, spread: Spread::Categories(categories) })
            }
            State::Categories(None, _) => Err(NotEvaluable::TooManyCategories),
            _ => Err(NotEvaluable::ShapesDiffer),
        }
    }

    /// Returns the profile in the form that is stored.
    #[allow(dead_code, reason = "`windlass profile` stores it")]
    pub(crate) fn compact(self) -> Self {
        let spread = match self.spread {
            Spread::Integers(points) if points.len() > BINS as usize => {
                let points: Vec<Point<f64>> =
                    points.into_iter().map(|(value, count)| (value.to_f64(), count)).collect();
                Spread::Floats { points: binned(&points), are_bins: true }
            }
            Spread::Floats { points, are_bins: false } if points.len() > BINS as usize => {
                Spread::Floats { points: binned(&points), are_bins: true }
            }
            other => other,
        };
        Self { missing: self.missing, spread }
    }
}

fn binned(points: &[Point<f64>]) -> Vec<Point<f64>> {
    let all = total(points);
    let mut bins: Vec<Point<f64>> = Vec::new();
    let (mut seen, mut open) = (0u64, 0u64);
    for (value, count) in points {
        seen += count;
        open += count;
        // A bin ends where the next multiple of a thousandth of all rows is reached.
        let full = u128::from(seen) * u128::from(BINS) >= u128::from(bins.len() as u64 + 1) * u128::from(all);
        if full {
            bins.push((*value, open));
            open = 0;
        }
    }
    if open > 0 {
        bins.extend(points.last().map(|(value, _)| (*value, open)));
    }
    bins
}
