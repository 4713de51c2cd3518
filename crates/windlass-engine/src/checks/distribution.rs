//! How the values of a column are spread, in mergeable form.
//!
//! Up to [`EXACT_UP_TO`] values are kept. Beyond, values are counted in buckets whose width is a
//! fixed share of the value, so that a quantile is off by at most 0.025 % of itself, whatever the
//! order and number of batches. Counting costs a shift and an add, and merging adds.
//!
//! Must stay true: the result depends on the values only, not on how they were batched or merged.

use super::stats::points::{Point, of_floats, of_integers};

/// So many values are kept before they are counted.
pub(crate) const EXACT_UP_TO: usize = 65_536;
/// Bits of the mantissa that tell buckets apart: 4096 for each power of two.
const MANTISSA_BITS: u32 = 12;
const BUCKETS: usize = 1 << MANTISSA_BITS;
/// Sign and exponent.
const PAGES: usize = 1 << 12;

/// A sample of numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Distribution {
    integers: Vec<i64>,
    floats: Vec<f64>,
    buckets: Option<Buckets>,
}

/// Sorted values with their counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Points {
    /// All values are integers, exactly.
    Integers(Vec<Point<i64>>),
    /// Floats, or buckets by their end nearer to zero.
    Floats(Vec<Point<f64>>),
}

impl Distribution {
    /// Adds integers.
    pub(crate) fn add_integers(&mut self, values: impl ExactSizeIterator<Item = i64>) {
        if self.buckets.is_none() && self.floats.is_empty() && self.integers.len() + values.len() <= EXACT_UP_TO {
            self.integers.extend(values);
            return;
        }
        let buckets = self.buckets();
        values.for_each(|value| buckets.add(value as f64, 1));
    }

    /// Adds floats without NaN.
    pub(crate) fn add_floats(&mut self, values: &[f64]) {
        let kept = self.integers.len() + self.floats.len();
        if self.buckets.is_none() && kept + values.len() <= EXACT_UP_TO {
            self.floats.extend_from_slice(values);
            return;
        }
        let buckets = self.buckets();
        values.iter().for_each(|value| buckets.add(*value, 1));
    }

    /// Adds another sample.
    pub(crate) fn merge(&mut self, other: Self) {
        let kept = self.integers.len() + self.floats.len() + other.integers.len() + other.floats.len();
        if self.buckets.is_none() && other.buckets.is_none() && kept <= EXACT_UP_TO {
            self.integers.extend(other.integers);
            self.floats.extend(other.floats);
            return;
        }
        let buckets = self.buckets();
        other.integers.iter().for_each(|value| buckets.add(*value as f64, 1));
        other.floats.iter().for_each(|value| buckets.add(*value, 1));
        if let Some(other) = other.buckets {
            buckets.merge(other);
        }
    }

    /// Returns whether every value is known exactly.
    pub(crate) fn is_exact(&self) -> bool {
        self.buckets.is_none()
    }

    /// Returns the values in order.
    pub(crate) fn points(self) -> Points {
        match self.buckets {
            Some(buckets) => Points::Floats(buckets.points()),
            None if self.floats.is_empty() => Points::Integers(of_integers(self.integers)),
            None => {
                let integers = self.integers.into_iter().map(|value| value as f64);
                Points::Floats(of_floats(self.floats.into_iter().chain(integers)))
            }
        }
    }

    /// Returns the bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let pages = self.buckets.as_ref().map_or(0, |buckets| buckets.pages.iter().flatten().count());
        (self.integers.capacity() + self.floats.capacity()) * 8 + pages * BUCKETS * 8
    }

    fn buckets(&mut self) -> &mut Buckets {
        let (integers, floats) = (std::mem::take(&mut self.integers), std::mem::take(&mut self.floats));
        let buckets = self.buckets.get_or_insert_with(Buckets::default);
        integers.iter().for_each(|value| buckets.add(*value as f64, 1));
        floats.iter().for_each(|value| buckets.add(*value, 1));
        buckets
    }
}

impl Points {
    /// Returns the points as floats.
    pub(crate) fn into_floats(self) -> Vec<Point<f64>> {
        match self {
            Self::Floats(points) => points,
            Self::Integers(points) => points.into_iter().map(|(value, count)| (value as f64, count)).collect(),
        }
    }
}

/// Counts by sign, exponent and the first bits of the mantissa.
#[derive(Debug, Clone)]
struct Buckets {
    pages: Vec<Option<Box<[u64]>>>,
}

impl Default for Buckets {
    fn default() -> Self {
        Self { pages: vec![None; PAGES] }
    }
}

impl Buckets {
    fn add(&mut self, value: f64, count: u64) {
        let key = (value + 0.0).to_bits() >> (52 - MANTISSA_BITS);
        let page = self.pages[(key >> MANTISSA_BITS) as usize].get_or_insert_with(|| vec![0; BUCKETS].into());
        page[key as usize & (BUCKETS - 1)] += count;
    }

    fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.pages.iter_mut().zip(other.pages) {
            match (mine, theirs) {
                (_, None) => {}
                (mine @ None, theirs) => *mine = theirs,
                (Some(mine), Some(theirs)) => {
                    mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
                }
            }
        }
    }

    fn points(self) -> Vec<Point<f64>> {
        let mut points = Vec::new();
        let half = PAGES / 2;
        // Negative numbers first, those of the largest magnitude before the others.
        for number in (half..PAGES).rev().chain(0..half) {
            let Some(page) = &self.pages[number] else { continue };
            let value = |slot: usize| f64::from_bits(((number * BUCKETS + slot) as u64) << (52 - MANTISSA_BITS));
            let mut visit = |slot: usize| {
                if page[slot] > 0 {
                    points.push((value(slot), page[slot]));
                }
            };
            if number >= half {
                (0..BUCKETS).rev().for_each(&mut visit);
            } else {
                (0..BUCKETS).for_each(&mut visit);
            }
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::super::stats::points::{quantile, total};
    use super::*;

    fn of(values: &[f64]) -> Distribution {
        let mut all = Distribution::default();
        values.chunks(1000).for_each(|chunk| all.add_floats(chunk));
        all
    }

    #[test]
    fn quantiles_of_many_values_are_close_and_do_not_depend_on_order() {
        let values: Vec<f64> = (0..300_000).map(|at| (f64::from(at % 1000) - 300.0) * 1.37).collect();
        let exact = of_floats(values.clone());
        let whole = of(&values).points();
        let mut halves = of(&values[150_000..]);
        halves.merge(of(&values[..150_000]));
        assert_eq!(halves.points(), whole);
        let points = whole.into_floats();
        assert_eq!(total(&points), 300_000);
        for at in [0.0, 0.01, 0.3, 0.5, 0.99, 1.0] {
            let (found, wanted) = (quantile(&points, at).unwrap(), quantile(&exact, at).unwrap());
            assert!((found - wanted).abs() <= wanted.abs() * 2.5e-4 + 1e-12, "{at}: {found} {wanted}");
        }
    }

    #[test]
    fn extremes_have_their_place() {
        let mut all = of(&vec![1.0; EXACT_UP_TO]);
        all.add_floats(&[f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MIN_POSITIVE]);
        let points = all.points().into_floats();
        let wanted =
            [(f64::NEG_INFINITY, 1), (0.0, 1), (f64::MIN_POSITIVE, 1), (1.0, EXACT_UP_TO as u64), (f64::INFINITY, 1)];
        assert_eq!(points, wanted);
    }

    #[test]
    fn large_integers_stay_apart() {
        let mut all = Distribution::default();
        all.add_integers([9_007_199_254_740_993, 9_007_199_254_740_992].into_iter());
        assert_eq!(all.points(), Points::Integers(vec![(9_007_199_254_740_992, 1), (9_007_199_254_740_993, 1)]));
    }
}
