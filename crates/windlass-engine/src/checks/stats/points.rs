//! Samples as sorted values with their counts.
//!
//! What every rank test works on: equal values are one point, so ties are consumed together by
//! construction. Integers stay integers: above 2^53 a float would merge neighbours.

/// A value that has an order.
pub(crate) trait Ordered: PartialOrd + Copy {
    /// Returns the value as a float, rounded where it must be.
    fn to_f64(self) -> f64;
}

impl Ordered for f64 {
    fn to_f64(self) -> f64 {
        self
    }
}

impl Ordered for i64 {
    fn to_f64(self) -> f64 {
        self as f64
    }
}

impl Ordered for i128 {
    fn to_f64(self) -> f64 {
        self as f64
    }
}

/// A value and how often it occurs.
pub(crate) type Point<T> = (T, u64);

/// Returns the points of a sample. NaN is dropped, and `-0.0` is `0.0`.
pub(crate) fn of_floats(values: impl IntoIterator<Item = f64>) -> Vec<Point<f64>> {
    // Adding zero turns `-0.0` into `0.0` and leaves everything else as it is.
    let mut values: Vec<f64> = values.into_iter().filter(|value| !value.is_nan()).map(|value| value + 0.0).collect();
    values.sort_unstable_by(f64::total_cmp);
    group(values)
}

/// Returns the points of a sample of integers.
pub(crate) fn of_integers(values: impl IntoIterator<Item = i64>) -> Vec<Point<i64>> {
    let mut values: Vec<i64> = values.into_iter().collect();
    values.sort_unstable();
    group(values)
}

/// Returns the points of sorted values.
pub(crate) fn group<T: Ordered>(sorted: Vec<T>) -> Vec<Point<T>> {
    let mut points: Vec<Point<T>> = Vec::new();
    for value in sorted {
        match points.last_mut() {
            Some((last, count)) if *last == value => *count += 1,
            _ => points.push((value, 1)),
        }
    }
    points
}

/// Returns the number of values.
pub(crate) fn total<T>(points: &[Point<T>]) -> u64 {
    points.iter().map(|(_, count)| count).sum()
}

/// Visits the values of two samples in order, each once, with its count on either side.
pub(crate) fn walk<T: Ordered>(left: &[Point<T>], right: &[Point<T>], mut visit: impl FnMut(T, u64, u64)) {
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        let take_left = j >= right.len() || (i < left.len() && left[i].0 <= right[j].0);
        let value = if take_left { left[i].0 } else { right[j].0 };
        let mut counts = (0, 0);
        if i < left.len() && left[i].0 == value {
            counts.0 = left[i].1;
            i += 1;
        }
        if j < right.len() && right[j].0 == value {
            counts.1 = right[j].1;
            j += 1;
        }
        visit(value, counts.0, counts.1);
    }
}

/// Returns a quantile, interpolated linearly between the two nearest values (type 7). `None` for an
/// empty sample.
pub(crate) fn quantile<T: Ordered>(points: &[Point<T>], probability: f64) -> Option<f64> {
    let count = total(points);
    if count == 0 {
        return None;
    }
    let rank = (count - 1) as f64 * probability.clamp(0.0, 1.0);
    let below = rank.floor() as u64;
    let fraction = rank - rank.floor();
    let low = at_rank(points, below)?.to_f64();
    if fraction == 0.0 || below + 1 >= count {
        return Some(low);
    }
    let high = at_rank(points, below + 1)?.to_f64();
    // Equal neighbours also when they are infinite, whose difference is not a number.
    if low == high {
        return Some(low);
    }
    let step = high - low;
    if !step.is_finite() {
        return Some(if low.is_infinite() { low } else { high });
    }
    Some(if fraction >= 0.5 { high - step * (1.0 - fraction) } else { low + step * fraction })
}

fn at_rank<T: Ordered>(points: &[Point<T>], rank: u64) -> Option<T> {
    let mut seen = 0;
    points.iter().find_map(|(value, count)| {
        seen += count;
        (seen > rank).then_some(*value)
    })
}
