//! Whether a metric stands out from its own history.

use super::NotEvaluable;
use super::points::{of_floats, quantile};

/// Scales the median absolute deviation to the standard deviation of a normal distribution.
const MAD_SCALE: f64 = 1.482_602_218_505_602;

/// Where a value stands in a history.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Standing {
    /// Standard deviations from the mean; `None` for a constant history that goes on.
    pub(crate) z_score: Option<f64>,
    /// The same by median and median absolute deviation, which an old outlier does not blind.
    pub(crate) robust_z: Option<f64>,
    /// The scaled median absolute deviation.
    pub(crate) mad: f64,
    /// Values below are outside of one and a half interquartile ranges.
    pub(crate) iqr_low: f64,
    /// Values above are.
    pub(crate) iqr_high: f64,
}

/// Returns where `value` stands. A change after a constant history is infinitely far.
pub(crate) fn standing(history: &[f64], value: f64) -> Result<Standing, NotEvaluable> {
    let points = of_floats(history.iter().copied());
    let known: Vec<f64> = history.iter().copied().filter(|value| !value.is_nan()).collect();
    if known.len() < 2 {
        return Err(NotEvaluable::ShortHistory);
    }
    if value.is_nan() {
        return Err(NotEvaluable::EmptyCurrent);
    }
    if value.is_infinite() || known.iter().any(|value| value.is_infinite()) {
        return Err(NotEvaluable::InfiniteValues);
    }
    let count = known.len() as f64;
    let mean = known.iter().sum::<f64>() / count;
    let variance = known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let at = |probability| quantile(&points, probability).unwrap_or_default();
    let median = at(0.5);
    let deviations = of_floats(known.iter().map(|value| (value - median).abs()));
    let mad = quantile(&deviations, 0.5).unwrap_or_default() * MAD_SCALE;
    let (low, high) = (at(0.25), at(0.75));
    Ok(Standing {
        z_score: score(value - mean, variance.sqrt()),
        robust_z: score(value - median, mad),
        mad,
        iqr_low: low - 1.5 * (high - low),
        iqr_high: high + 1.5 * (high - low),
    })
}

fn score(difference: f64, spread: f64) -> Option<f64> {
    match (difference == 0.0, spread == 0.0) {
        (true, true) => None,
        (false, true) => Some(f64::INFINITY.copysign(difference)),
        (_, false) => Some(difference / spread),
    }
}
