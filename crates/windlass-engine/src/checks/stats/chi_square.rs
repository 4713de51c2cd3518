//! Chi-square tests of category counts.

use super::NotEvaluable;
use super::gamma::chi_square_tail;

/// Sums further apart than this share are different.
const SUMS_TOLERANCE: f64 = 1.49e-8;

/// The answer of a test of homogeneity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Homogeneity {
    /// The statistic.
    pub(crate) statistic: f64,
    /// How likely a statistic so large is when both sides share one distribution.
    pub(crate) p_value: f64,
    /// Categories less one.
    pub(crate) degrees: u64,
    /// The strength of the difference, from 0 to 1, whatever the number of rows.
    pub(crate) cramers_v: f64,
    /// The smallest expected count; below 5 the p-value is rough.
    pub(crate) smallest_expected: f64,
    /// The share of expected counts below 5.
    pub(crate) share_expected_below_5: f64,
}

/// Returns the test whether two columns of counts come from one distribution. Categories that
/// neither side has are left out; `yates` corrects tables of two categories for continuity.
pub(crate) fn homogeneity(reference: &[f64], current: &[f64], yates: bool) -> Result<Homogeneity, NotEvaluable> {
    let (sum1, sum2) = check_sums(reference, current)?;
    let sum = sum1 + sum2;
    let kept: Vec<(f64, f64)> =
        reference.iter().zip(current).map(|(r, c)| (*r, *c)).filter(|(r, c)| r + c > 0.0).collect();
    let degrees = kept.len().saturating_sub(1);
    let is_corrected = yates && degrees == 1;
    let (mut statistic, mut plain) = (0.0, 0.0);
    let (mut smallest, mut below) = (f64::INFINITY, 0.0);
    for (in_reference, in_current) in &kept {
        let category = in_reference + in_current;
        for (observed, side) in [(in_reference, sum1), (in_current, sum2)] {
            let expected = category * side / sum;
            let difference: f64 = (observed - expected).abs();
            let corrected = if is_corrected { difference - difference.min(0.5) } else { difference };
            statistic += corrected * corrected / expected;
            plain += difference * difference / expected;
            smallest = f64::min(smallest, expected);
            if expected < 5.0 {
                below += 1.0;
            }
        }
    }
    if degrees == 0 {
        (statistic, plain) = (0.0, 0.0);
    }
    Ok(Homogeneity {
        statistic,
        p_value: chi_square_tail(statistic, degrees as f64),
        degrees: degrees as u64,
        cramers_v: (plain / sum).sqrt(),
        smallest_expected: smallest,
        share_expected_below_5: below / (2.0 * kept.len() as f64),
    })
}

/// The answer of a test of fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fit {
    /// The statistic; infinite where a category is new.
    pub(crate) statistic: f64,
    /// How likely a statistic so large is when the reference is the truth.
    pub(crate) p_value: f64,
    /// Categories less one.
    pub(crate) degrees: u64,
}

/// Returns the test whether counts follow the reference taken as the truth, as Evidently does.
pub(crate) fn fit(reference: &[f64], current: &[f64], scale: bool) -> Result<Fit, NotEvaluable> {
    let (sum1, sum2) = check_sums(reference, current)?;
    let factor = if scale { sum2 / sum1 } else { 1.0 };
    if (sum1 * factor - sum2).abs() > SUMS_TOLERANCE * sum2 {
        return Err(NotEvaluable::SumsDiffer);
    }
    let terms = reference.iter().zip(current).map(|(expected, observed)| {
        let expected = expected * factor;
        let difference = observed - expected;
        if difference == 0.0 { 0.0 } else { difference * difference / expected }
    });
    let statistic: f64 = terms.sum();
    let degrees = reference.len().saturating_sub(1);
    Ok(Fit { statistic, p_value: chi_square_tail(statistic, degrees as f64), degrees: degrees as u64 })
}

/// Returns both totals; there is an answer only where neither is zero.
pub(super) fn check_sums(reference: &[f64], current: &[f64]) -> Result<(f64, f64), NotEvaluable> {
    let (sum1, sum2): (f64, f64) = (reference.iter().sum(), current.iter().sum());
    if sum1 == 0.0 {
        return Err(NotEvaluable::EmptyReference);
    }
    if sum2 == 0.0 {
        return Err(NotEvaluable::EmptyCurrent);
    }
    if reference.len() != current.len() {
        return Err(NotEvaluable::ShapesDiffer);
    }
    if !sum1.is_finite() || !sum2.is_finite() {
        return Err(NotEvaluable::InfiniteValues);
    }
    Ok((sum1, sum2))
}
