//! A column's profile: how its values are spread, small enough to be stored.
//!
//! Numbers with many values are kept as [`BINS`] about equally full bins, each by its largest value; a
//! value that alone fills a bin has one to itself. Rows are counted exactly, so distribution functions
//! can be compared at the bounds of bins without an error, whatever the other side looks like, and
//! between them they differ by less than a bin.

use std::collections::BTreeMap;

use super::distribution::{Floats, Points, cell};
use super::part::State;
use super::stats::NotEvaluable;
use super::stats::points::{Point, total};

/// Bins of a stored profile. Multiples of 10, so that deciles are among its edges.
const BINS: u64 = 200;
/// More categories than this are not stored.
const CATEGORIES: usize = 1_000;

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
    /// Floats, each with its rows.
    Floats(Floats),
    /// Bins by their largest value, each with its rows.
    Bins(Vec<Point<f64>>),
    /// Categories.
    Categories(BTreeMap<String, u64>),
}

impl Profile {
    /// Returns the profile of what a measure has gathered.
    pub(crate) fn of(state: &State) -> Result<Self, NotEvaluable> {
        match state {
            State::Numbers(numbers) => Ok(Self {
                missing: numbers.missing,
                spread: match numbers.distribution.points() {
                    Points::Integers(points) => Spread::Integers(points),
                    Points::Floats(floats) => Spread::Floats(floats),
                },
            }),
            State::Binned(binned) => Ok(Self { missing: binned.missing, spread: Spread::Floats(binned.floats()) }),
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
    pub(crate) fn compact(self) -> Result<Self, NotEvaluable> {
        let spread = match self.spread {
            Spread::Integers(points) if points.len() > BINS as usize => {
                Spread::Bins(bins(&Points::Integers(points).into_floats()))
            }
            Spread::Floats(floats) if floats.points.len() > BINS as usize => Spread::Bins(bins(&floats)),
            Spread::Categories(known) if known.len() > CATEGORIES => return Err(NotEvaluable::TooManyCategories),
            other => other,
        };
        Ok(Self { missing: self.missing, spread })
    }
}

fn bins(floats: &Floats) -> Vec<Point<f64>> {
    let all = u128::from(total(&floats.points));
    let fills_a_bin = |count: u64| u128::from(count) * u128::from(BINS) >= all;
    let mut bins: Vec<Point<f64>> = Vec::new();
    let mut open = 0;
    for (value, count) in &floats.points {
        let (low, high) = cell(*value, floats.shift);
        // The smallest value stands alone too: what lies below the reference is then known.
        if bins.is_empty() && open == 0 {
            bins.push((high, *count));
            continue;
        }
        if fills_a_bin(*count) {
            let below = low.next_down();
            if open > 0 || bins.last().is_some_and(|(last, _)| *last < below) {
                bins.push((below, open));
            }
            bins.push((high, *count));
            open = 0;
            continue;
        }
        open += count;
        if fills_a_bin(open) {
            bins.push((high, open));
            open = 0;
        }
    }
    if let Some((value, _)) = floats.points.last().filter(|_| open > 0) {
        bins.push((cell(*value, floats.shift).1, open));
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(points: Vec<Point<f64>>) -> Vec<Point<f64>> {
        bins(&Floats { points, shift: 0 })
    }

    #[test]
    fn bins_are_equally_full_and_lose_no_row() {
        let found = of((0..100_000).map(|at| (f64::from(at), 1)).collect());
        assert_eq!((found.len(), total(&found), found[0]), (201, 100_000, (0.0, 1)));
        assert!(found[1..200].iter().all(|(_, count)| *count == 500), "{found:?}");
        assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(found.last(), Some(&(99_999.0, 499)));
    }

    #[test]
    fn a_heavy_value_has_a_bin_to_itself() {
        let mut points: Vec<Point<f64>> = (0..1000).map(|at| (f64::from(at), 1)).collect();
        points[500].1 = 1000;
        let found = of(points);
        let at = found.iter().position(|(value, _)| *value == 500.0).unwrap();
        assert_eq!((found[at].1, found[at - 1].0), (1000, 500f64.next_down()));
        assert_eq!(total(&found), 1999);
        let extremes = of(vec![(f64::NEG_INFINITY, 5), (1.0, 1), (f64::INFINITY, 5)]);
        assert_eq!(total(&extremes), 11);
    }
}
