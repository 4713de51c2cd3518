//! Distances between two columns of counts: population stability index and Jensen-Shannon.

use super::NotEvaluable;
use super::chi_square::check_sums;

/// What a bin counts as that one side does not have, whose logarithm is infinite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ZeroBins {
    /// A share is at least 0.0001.
    #[default]
    Floor,
    /// Half a row is added to every bin.
    Laplace,
    /// As Evidently does: empty bins get 0.0001, or a millionth of the smallest share below that.
    Evidently,
    /// The index is infinite.
    Infinite,
}

/// Returns the population stability index. Infinite only under [`ZeroBins::Infinite`].
pub(crate) fn psi(reference: &[f64], current: &[f64], zero_bins: ZeroBins) -> Result<f64, NotEvaluable> {
    check_sums(reference, current)?;
    let (reference, current) = (shares(reference, zero_bins), shares(current, zero_bins));
    let term = |(r, c): (&f64, &f64)| {
        if r == c {
            0.0
        } else if *r == 0.0 || *c == 0.0 {
            f64::INFINITY
        } else {
            (c - r) * (c / r).ln()
        }
    };
    Ok(reference.iter().zip(&current).map(term).sum())
}

fn shares(counts: &[f64], zero_bins: ZeroBins) -> Vec<f64> {
    const FLOOR: f64 = 1e-4;
    let sum: f64 = counts.iter().sum();
    let plain = counts.iter().map(|count| count / sum);
    match zero_bins {
        ZeroBins::Infinite => plain.collect(),
        ZeroBins::Floor => plain.map(|share| share.max(FLOOR)).collect(),
        ZeroBins::Laplace => {
            let sum = sum + 0.5 * counts.len() as f64;
            counts.iter().map(|count| (count + 0.5) / sum).collect()
        }
        ZeroBins::Evidently => {
            let smallest = plain.clone().filter(|share| *share != 0.0).fold(f64::INFINITY, f64::min);
            let floor = if smallest <= FLOOR { smallest / 1e6 } else { FLOOR };
            plain.map(|share| if share == 0.0 { floor } else { share }).collect()
        }
    }
}

/// Returns the Jensen-Shannon divergence, whose root is the distance, with logarithms to `base`
/// (natural without). From 0 to 1 in base 2.
pub(crate) fn jensen_shannon(reference: &[f64], current: &[f64], base: Option<f64>) -> Result<f64, NotEvaluable> {
    let (sum1, sum2) = check_sums(reference, current)?;
    let mut divergence = 0.0;
    for (r, c) in reference.iter().zip(current) {
        let (p, q) = (r / sum1, c / sum2);
        // This form keeps near-identical pairs from cancelling below zero by more than rounding.
        if p > 0.0 {
            divergence += p * (2.0 * p / (p + q)).ln();
        }
        if q > 0.0 {
            divergence += q * (2.0 * q / (p + q)).ln();
        }
    }
    Ok((0.5 * divergence / base.map_or(1.0, f64::ln)).max(0.0))
}
