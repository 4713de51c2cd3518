//! Mean, spread and shape of numbers, in mergeable form.
//!
//! A batch is looked at twice, first for its mean, then for central moments around it; batches are
//! merged after Chan et al. (1979), Pebay (2008). Squares are never summed raw: around 10^9 the naive
//! form has no correct digit.

/// How much of the moments is asked for; the rest is not computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// Count, sum, the smallest and the largest value.
    Bounds,
    /// The mean too.
    Mean,
    /// The deviation too.
    Spread,
    /// Skewness and kurtosis too.
    Shape,
}

/// Count, mean, central moments, bounds and sum of finite numbers; infinities are counted apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moments {
    /// Finite values.
    pub(crate) count: u64,
    /// A value near the mean. Differences to it are exact where the mean itself is not.
    shift: f64,
    /// The mean less `shift`.
    mean: f64,
    second: f64,
    third: f64,
    fourth: f64,
    /// The smallest value; infinity where there is none.
    pub(crate) min: f64,
    /// The largest value; minus infinity where there is none.
    pub(crate) max: f64,
    sum: f64,
    /// What rounding has cut off the sum so far (Neumaier).
    compensation: f64,
    /// Positive infinities.
    pub(crate) positive_infinities: u64,
    /// Negative infinities.
    pub(crate) negative_infinities: u64,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            count: 0,
            shift: 0.0,
            mean: 0.0,
            second: 0.0,
            third: 0.0,
            fourth: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: 0.0,
            compensation: 0.0,
            positive_infinities: 0,
            negative_infinities: 0,
        }
    }
}

impl Moments {
    /// Returns the moments of values without NaN.
    pub(crate) fn of(values: &[f64]) -> Self {
        Self::up_to(Depth::Shape, values)
    }

    /// Returns the moments of values without NaN, as far as they are asked for; what is not asked for means
    /// nothing in what they are merged with either.
    pub(crate) fn up_to(depth: Depth, values: &[f64]) -> Self {
        let (sum, min, max) = first_look(values);
        if values.is_empty() {
            return Self::default();
        }
        if min.is_infinite() || max.is_infinite() {
            return Self::with_infinities(depth, values);
        }
        let bounds = Self { count: values.len() as u64, min, max, sum, ..Self::default() };
        if depth == Depth::Bounds {
            return bounds;
        }
        // Values too far apart for a difference have no common neighbour.
        let shift = if (max - min).is_finite() { values[0] } else { 0.0 };
        let count = values.len() as f64;
        let mean = shifted_sum(values, shift) / count;
        let mean = if mean.is_finite() { mean } else { values.iter().map(|value| (value - shift) / count).sum() };
        let [first, second, third, fourth] = match depth {
            Depth::Bounds | Depth::Mean => return Self { shift, mean, ..bounds },
            Depth::Spread => spread_sums(values, shift, mean),
            Depth::Shape => central_sums(values, shift, mean),
        };
        Self { shift, mean, second: second - first * first / count, third, fourth, ..bounds }
    }

    /// Returns the moments of one value that occurs `count` times.
    pub(crate) fn repeated(value: f64, count: u64) -> Self {
        let one = Self::of(&[value]);
        if count == 0 || value.is_infinite() {
            return Self {
                positive_infinities: one.positive_infinities * count,
                negative_infinities: one.negative_infinities * count,
                ..if count == 0 { Self::default() } else { one }
            };
        }
        Self { count, sum: value * count as f64, ..one }
    }

    fn with_infinities(depth: Depth, values: &[f64]) -> Self {
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let mut moments = Self::up_to(depth, &finite);
        for value in values.iter().filter(|value| value.is_infinite()) {
            if *value > 0.0 {
                moments.positive_infinities += 1;
                moments.max = f64::INFINITY;
            } else {
                moments.negative_infinities += 1;
                moments.min = f64::NEG_INFINITY;
            }
        }
        if moments.count == 0 {
            moments.min = if moments.negative_infinities > 0 { f64::NEG_INFINITY } else { f64::INFINITY };
            moments.max = if moments.positive_infinities > 0 { f64::INFINITY } else { f64::NEG_INFINITY };
        }
        moments
    }

    /// Adds the moments of other values.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.positive_infinities += other.positive_infinities;
        self.negative_infinities += other.negative_infinities;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.add_sum(other.sum);
        self.add_sum(other.compensation);
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            (self.count, self.shift, self.mean) = (other.count, other.shift, other.mean);
            (self.second, self.third, self.fourth) = (other.second, other.third, other.fourth);
            return;
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let n = a + b;
        let d = (other.shift - self.shift) + (other.mean - self.mean);
        let (d2, dn) = (d * d, d / n);
        let fourth = self.fourth
            + other.fourth
            + d2 * d2 * a * b * (a * a - a * b + b * b) / (n * n * n)
            + 6.0 * dn * dn * (a * a * other.second + b * b * self.second)
            + 4.0 * dn * (a * other.third - b * self.third);
        let third = self.third
            + other.third
            + d2 * d * a * b * (a - b) / (n * n)
            + 3.0 * dn * (a * other.second - b * self.second);
        self.second += other.second + d2 * a * b / n;
        (self.third, self.fourth) = (third, fourth);
        self.mean += d * b / n;
        self.count += other.count;
    }

    fn add_sum(&mut self, value: f64) {
        let sum = self.sum + value;
        if sum.is_finite() {
            self.compensation +=
                if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        }
        self.sum = sum;
    }

    /// Returns whether infinities leave spread and shape undefined.
    pub(crate) fn has_infinities(&self) -> bool {
        self.positive_infinities + self.negative_infinities > 0
    }

    /// Returns the number of values, infinities included.
    pub(crate) fn values(&self) -> u64 {
        self.count + self.positive_infinities + self.negative_infinities
    }

    /// Returns the mean; `None` without values, or where infinities of both signs cancel.
    pub(crate) fn mean(&self) -> Option<f64> {
        match self.infinity() {
            Some(infinity) => infinity,
            None => (self.count > 0).then_some(self.shift + self.mean),
        }
    }

    /// Returns the sum; `None` without values, or where infinities of both signs cancel.
    pub(crate) fn sum(&self) -> Option<f64> {
        match self.infinity() {
            Some(infinity) => infinity,
            None => (self.count > 0).then_some(self.sum + self.compensation),
        }
    }

    /// Returns the infinity that sum and mean are; the inner `None` where both signs meet.
    fn infinity(&self) -> Option<Option<f64>> {
        match (self.positive_infinities, self.negative_infinities) {
            (0, 0) => None,
            (_, 0) => Some(Some(f64::INFINITY)),
            (0, _) => Some(Some(f64::NEG_INFINITY)),
            (_, _) => Some(None),
        }
    }

    /// Returns the standard deviation of a sample; `None` for fewer than two values.
    pub(crate) fn sample_deviation(&self) -> Option<f64> {
        (self.count > 1 && !self.has_infinities()).then(|| (self.second / (self.count as f64 - 1.0)).max(0.0).sqrt())
    }

    /// Returns the standard deviation of a population.
    pub(crate) fn population_deviation(&self) -> Option<f64> {
        (self.count > 0 && !self.has_infinities()).then(|| (self.second / self.count as f64).max(0.0).sqrt())
    }

    /// Returns the skewness; `None` for fewer than three values or a constant.
    pub(crate) fn skewness(&self) -> Option<f64> {
        let n = self.count as f64;
        let is_known = self.count > 2 && self.second > 0.0 && !self.has_infinities();
        is_known.then(|| (self.third / n) / (self.second / n).powf(1.5)).filter(|value| value.is_finite())
    }

    /// Returns the kurtosis above that of a normal distribution; `None` for fewer than four values
    /// or a constant.
    pub(crate) fn excess_kurtosis(&self) -> Option<f64> {
        let n = self.count as f64;
        let is_known = self.count > 3 && self.second > 0.0 && !self.has_infinities();
        is_known.then(|| (self.fourth / n) / (self.second / n).powi(2) - 3.0).filter(|value| value.is_finite())
    }
}

/// Returns sum, smallest and largest value, by lanes that the compiler turns into vectors.
fn first_look(values: &[f64]) -> (f64, f64, f64) {
    const LANES: usize = 8;
    let (mut sum, mut min, mut max) = ([0.0; LANES], [f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..LANES {
            sum[lane] += chunk[lane];
            min[lane] = if chunk[lane] < min[lane] { chunk[lane] } else { min[lane] };
            max[lane] = if chunk[lane] > max[lane] { chunk[lane] } else { max[lane] };
        }
    }
    let mut total = sum.iter().sum::<f64>();
    let (mut low, mut high) =
        (min.iter().copied().fold(f64::INFINITY, f64::min), max.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    for value in rest {
        total += value;
        low = low.min(*value);
        high = high.max(*value);
    }
    (total, low, high)
}

/// Returns the sum of each value's distance from another, by lanes too.
fn shifted_sum(values: &[f64], shift: f64) -> f64 {
    const LANES: usize = 8;
    let mut sum = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            sum[lane] += chunk[lane] - shift;
        }
    }
    sum.iter().chain(&[rest.iter().map(|value| value - shift).sum()]).sum()
}

/// Returns the sums of the first four powers of each value's distance from the mean.
fn central_sums(values: &[f64], shift: f64, mean: f64) -> [f64; 4] {
    const LANES: usize = 4;
    let mut lanes = [[0.0; LANES]; 4];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..LANES {
            let d = (chunk[lane] - shift) - mean;
            let square = d * d;
            lanes[0][lane] += d;
            lanes[1][lane] += square;
            lanes[2][lane] += square * d;
            lanes[3][lane] += square * square;
        }
    }
    let mut sums = lanes.map(|lane| (lane[0] + lane[1]) + (lane[2] + lane[3]));
    for value in rest {
        let d = (value - shift) - mean;
        sums[0] += d;
        sums[1] += d * d;
        sums[2] += d * d * d;
        sums[3] += d * d * d * d;
    }
    sums
}

/// The same for the first two powers; the others are zero.
fn spread_sums(values: &[f64], shift: f64, mean: f64) -> [f64; 4] {
    const LANES: usize = 4;
    let mut lanes = [[0.0; LANES]; 2];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            let d = (chunk[lane] - shift) - mean;
            lanes[0][lane] += d;
            lanes[1][lane] += d * d;
        }
    }
    let [mut first, mut second] = lanes.map(|lane| (lane[0] + lane[1]) + (lane[2] + lane[3]));
    for value in rest {
        let d = (value - shift) - mean;
        (first, second) = (first + d, second + d * d);
    }
    [first, second, 0.0, 0.0]
}
