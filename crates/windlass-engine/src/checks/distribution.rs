//! How the values of a column are spread, in mergeable form.
//!
//! Integers are counted as they are while they have few different values; else, and for floats,
//! neighbours share counters, see [`Tally`]. How many must share one is known after the first values, which
//! therefore wait.
//!
//! Must stay true: the result depends on the values only, not on how they were batched or merged.

use std::borrow::Cow;

use super::stats::points::{Point, quantile, total};
use super::tally::{MOST, Tally, float_key, float_of, integer_key, integer_of};

/// So many floats wait to be counted.
const WAITING: usize = 1 << 16;

/// A sample of numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Distribution {
    /// Integers, each with its own counter; once they are too many, all are counted as floats.
    integers: Tally,
    /// Finite floats.
    floats: Tally,
    are_floats: bool,
    /// Keys of floats that are not counted yet.
    waiting: Vec<u64>,
    /// Whether floats are counted at once.
    is_settled: bool,
    /// Negative and positive infinities.
    infinities: (u64, u64),
}

/// Sorted values with their counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Points {
    /// All values are integers, exactly.
    Integers(Vec<Point<i64>>),
    /// Floats.
    Floats(Floats),
}

/// Floats with their counts. Where neighbours share a count, it stands at the middle of their cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Floats {
    /// The values.
    pub(crate) points: Vec<Point<f64>>,
    /// How many of the last bits tell no values apart; 0 where every value is exact.
    pub(crate) shift: u32,
}

impl Distribution {
    /// Adds integers.
    pub(crate) fn add_integers(&mut self, values: &[i64]) {
        for value in values {
            if self.are_floats {
                self.add_key(float_key(*value as f64));
                continue;
            }
            self.integers.add(integer_key(*value), 1);
            if self.integers.len() >= MOST {
                self.widen();
            }
        }
    }

    /// Adds floats without NaN.
    pub(crate) fn add_floats(&mut self, values: &[f64]) {
        self.are_floats = true;
        for value in values {
            match *value {
                f64::NEG_INFINITY => self.infinities.0 += 1,
                f64::INFINITY => self.infinities.1 += 1,
                finite => self.add_key(float_key(finite)),
            }
        }
    }

    fn add_key(&mut self, key: u64) {
        match self.is_settled {
            true => self.floats.add(key, 1),
            false => self.wait(key),
        }
    }

    fn wait(&mut self, key: u64) {
        self.waiting.push(key);
        if self.waiting.len() == WAITING {
            self.settle();
        }
    }

    /// Counts what waits, and all that comes at once.
    fn settle(&mut self) {
        add_waiting(&mut self.floats, std::mem::take(&mut self.waiting));
        self.is_settled = true;
    }

    /// Returns floats with those that wait.
    fn counted(&self) -> Cow<'_, Tally> {
        let mut floats = Cow::Borrowed(&self.floats);
        if !self.waiting.is_empty() {
            add_waiting(floats.to_mut(), self.waiting.clone());
        }
        floats
    }

    /// Counts integers as floats from now on.
    fn widen(&mut self) {
        self.are_floats = true;
        let integers = std::mem::take(&mut self.integers).sorted().into_iter();
        self.floats.add_all(integers.map(|(key, count)| (float_key(integer_of(key) as f64), count)));
    }

    /// Adds another sample.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.are_floats && !self.are_floats {
            self.widen();
        }
        self.infinities.0 += other.infinities.0;
        self.infinities.1 += other.infinities.1;
        if other.are_floats {
            self.settle();
            self.floats.merge(&other.counted());
        }
        for (key, count) in other.integers.sorted() {
            if self.are_floats {
                self.floats.add(float_key(integer_of(key) as f64), count);
                continue;
            }
            self.integers.add(key, count);
            if self.integers.len() >= MOST {
                self.widen();
            }
        }
    }

    /// Returns whether every value is known exactly.
    pub(crate) fn is_exact(&self) -> bool {
        self.counted().shift() == 0
    }

    /// Returns the values in order.
    pub(crate) fn points(&self) -> Points {
        if !self.are_floats {
            let integers = self.integers.sorted().into_iter().map(|(key, count)| (integer_of(key), count));
            return Points::Integers(integers.collect());
        }
        let floats = self.counted();
        let shift = floats.shift();
        let mut points = Vec::with_capacity(floats.len() + 2);
        points.extend((self.infinities.0 > 0).then_some((f64::NEG_INFINITY, self.infinities.0)));
        points.extend(floats.sorted().into_iter().map(|(key, count)| (middle(key, shift), count)));
        points.extend((self.infinities.1 > 0).then_some((f64::INFINITY, self.infinities.1)));
        Points::Floats(Floats { points, shift })
    }

    /// Returns the bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.integers.bytes() + self.floats.bytes() + self.waiting.capacity() * size_of::<u64>()
    }
}

/// Adds keys to those that are counted.
fn add_waiting(floats: &mut Tally, mut keys: Vec<u64>) {
    keys.sort_unstable();
    floats.add_all(keys.chunk_by(|left, right| left == right).map(|same| (same[0], same.len() as u64)));
}

/// Returns the middle of the cell that begins at a key.
fn middle(first: u64, shift: u32) -> f64 {
    float_of(first + ((1 << shift) >> 1))
}

/// Returns the smallest and the largest value of the cell in which a value lies.
pub(crate) fn cell(value: f64, shift: u32) -> (f64, f64) {
    if value.is_infinite() {
        return (value, value);
    }
    let first = float_key(value) >> shift << shift;
    (float_of(first), float_of(first + ((1 << shift) - 1)))
}

impl Points {
    /// Returns the points as floats.
    pub(crate) fn into_floats(self) -> Floats {
        match self {
            Self::Floats(floats) => floats,
            Self::Integers(points) => {
                let points = points.into_iter().map(|(value, count)| (value as f64, count));
                Floats { points: joined(points), shift: 0 }
            }
        }
    }
}

impl Floats {
    /// Returns a quantile: interpolated linearly between the two nearest values (type 7), and within a
    /// cell where neighbours share one.
    pub(crate) fn quantile(&self, probability: f64) -> Option<f64> {
        if self.shift == 0 {
            return quantile(&self.points, probability);
        }
        let rank = (total(&self.points) - 1) as f64 * probability.clamp(0.0, 1.0);
        let mut seen = 0.0;
        for (value, count) in &self.points {
            let count = *count as f64;
            if rank < seen + count {
                let (low, high) = cell(*value, self.shift);
                return Some(if low == high { low } else { low + (high - low) * ((rank - seen + 0.5) / count) });
            }
            seen += count;
        }
        None
    }

    /// Returns the values as they are told apart with fewer bits, so that two samples can be compared.
    pub(crate) fn coarsened(&self, shift: u32) -> Self {
        if shift <= self.shift {
            return self.clone();
        }
        let coarse = |value: f64| match value.is_infinite() {
            true => value,
            false => middle(float_key(value) >> shift << shift, shift),
        };
        Self { points: joined(self.points.iter().map(|(value, count)| (coarse(*value), *count))), shift }
    }
}

/// Joins neighbours that are equal.
fn joined(points: impl Iterator<Item = Point<f64>>) -> Vec<Point<f64>> {
    let mut all: Vec<Point<f64>> = Vec::new();
    for (value, count) in points {
        match all.last_mut() {
            Some((last, sum)) if *last == value => *sum += count,
            _ => all.push((value, count)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::stats::points::of_floats;
    use super::*;

    fn of(values: &[f64]) -> Distribution {
        let mut all = Distribution::default();
        values.chunks(1000).for_each(|chunk| all.add_floats(chunk));
        all
    }

    #[test]
    fn quantiles_of_many_values_are_close_and_do_not_depend_on_order() {
        for (offset, step) in [(-300.0, 1.37e-3), (1e9, 1e-4), (-1e6, 1e-9)] {
            let values: Vec<f64> = (0..300_000u64).map(|at| (at * 7919 % 300_007) as f64 * step + offset).collect();
            let exact = of_floats(values.clone());
            let whole = of(&values).points();
            let mut halves = of(&values[150_000..]);
            halves.merge(&of(&values[..150_000]));
            assert_eq!(halves.points(), whole);
            let floats = whole.into_floats();
            assert_eq!(total(&floats.points), 300_000);
            for at in [0.0, 0.01, 0.3, 0.5, 0.99, 1.0] {
                let (found, wanted) = (floats.quantile(at).unwrap(), quantile(&exact, at).unwrap());
                // In ranks: a few ten-thousandths of all values.
                assert!((found - wanted).abs() <= 300_000.0 * step * 5e-4, "{at}: {found} {wanted}");
            }
        }
    }

    #[test]
    fn extremes_have_their_place() {
        let mut values: Vec<f64> = (0..100_000).map(|at| 1.0 + f64::from(at) / 1e5).collect();
        values.extend([f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, -0.0, f64::MIN_POSITIVE]);
        let points = of(&values).points().into_floats().points;
        assert_eq!((points[0], points[points.len() - 1]), ((f64::NEG_INFINITY, 1), (f64::INFINITY, 1)));
        assert!(points[1].0 < -1e308 && points[points.len() - 2].0 > 1e308);
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0) && total(&points) == 100_006);
    }

    #[test]
    fn large_integers_stay_apart_while_they_are_few() {
        let mut all = Distribution::default();
        all.add_integers(&[9_007_199_254_740_993, 9_007_199_254_740_992]);
        assert_eq!(all.points(), Points::Integers(vec![(9_007_199_254_740_992, 1), (9_007_199_254_740_993, 1)]));
        let many: Vec<i64> = (0..100_000).collect();
        let mut wide = Distribution::default();
        wide.add_integers(&many[..9_000]);
        let mut other = Distribution::default();
        other.add_integers(&many[9_000..18_000]);
        wide.merge(&other);
        wide.add_integers(&many[18_000..]);
        let mut whole = Distribution::default();
        whole.add_integers(&many);
        assert!(wide.points() == whole.points() && !whole.is_exact());
    }

    #[test]
    fn a_sample_can_be_told_in_fewer_bits() {
        let exact = Floats { points: vec![(-1.0, 3), (1.0, 2), (1.0 + f64::EPSILON, 1), (f64::INFINITY, 1)], shift: 0 };
        let coarse = exact.coarsened(4);
        assert_eq!(coarse.points.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [3, 3, 1]);
        assert_eq!(coarse.coarsened(4), coarse);
        assert_eq!(cell(1.0, 4), (1.0, 1.0 + 15.0 * f64::EPSILON));
    }
}
