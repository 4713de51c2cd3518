//! The Kolmogorov-Smirnov test of two samples.
//!
//! Statistic and sign follow from integers alone, so they are exact. The p-value is exact up to
//! [`EXACT_UP_TO`] values a side and from the limit distribution above.

use super::points::{Ordered, Point, total, walk};
use super::{NotEvaluable, ks_exact, ks_limit};

/// The largest sample whose p-value is computed exactly.
pub(crate) const EXACT_UP_TO: u64 = 10_000;

/// How the p-value is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum KsMethod {
    /// Exactly for small samples.
    #[default]
    Auto,
    /// Exactly.
    Exact,
    /// From the limit distribution.
    Limit,
}

/// Which difference counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Alternative {
    /// Either way.
    #[default]
    TwoSided,
    /// The reference's distribution function lies below the current one's.
    Less,
    /// The reference's distribution function lies above the current one's.
    Greater,
}

/// The answer of the test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct KsTest<T> {
    /// The largest difference between the distribution functions.
    pub(crate) statistic: f64,
    /// How likely a difference so large is when both samples come from one distribution.
    pub(crate) p_value: f64,
    /// The value at which the difference is largest.
    pub(crate) location: T,
    /// 1 where the reference's function lies above there, -1 where below.
    pub(crate) sign: i8,
    /// Whether the p-value is exact.
    pub(crate) is_exact: bool,
}

/// Returns the test of two samples.
pub(crate) fn two_samples<T: Ordered>(
    reference: &[Point<T>],
    current: &[Point<T>],
    method: KsMethod,
    alternative: Alternative,
) -> Result<KsTest<T>, NotEvaluable> {
    let (n1, n2) = (total(reference), total(current));
    if n1 == 0 {
        return Err(NotEvaluable::EmptyReference);
    }
    if n2 == 0 {
        return Err(NotEvaluable::EmptyCurrent);
    }
    let extremes = extremes(reference, current, n1, n2).ok_or(NotEvaluable::EmptyReference)?;
    let (steps, sign) = match alternative {
        Alternative::Less => (-extremes.lowest.0, -1),
        Alternative::Greater => (extremes.highest.0, 1),
        Alternative::TwoSided if -extremes.lowest.0 > extremes.highest.0 => (-extremes.lowest.0, -1),
        Alternative::TwoSided => (extremes.highest.0, 1),
    };
    let steps = steps.max(0).unsigned_abs();
    let statistic = steps as f64 / extremes.lcm as f64;
    let is_exact = match method {
        KsMethod::Auto => n1.max(n2) <= EXACT_UP_TO,
        KsMethod::Exact => true,
        KsMethod::Limit => false,
    };
    let p_value = match (alternative, is_exact) {
        (Alternative::TwoSided, true) => ks_exact::two_sided(n1, n2, steps),
        (Alternative::TwoSided, false) => {
            let (m, n) = (n1 as f64, n2 as f64);
            ks_limit::two_sided((m * n / (m + n)).round_ties_even(), statistic)
        }
        (_, true) => ks_exact::one_sided(n1, n2, steps),
        (_, false) => ks_limit::one_sided(n1, n2, statistic),
    };
    let location = if sign > 0 { extremes.highest.1 } else { extremes.lowest.1 };
    Ok(KsTest { statistic, p_value, location, sign, is_exact })
}

/// The largest and smallest difference of the distribution functions, in steps of `1 / lcm`.
struct Extremes<T> {
    highest: (i128, T),
    lowest: (i128, T),
    lcm: u128,
}

fn extremes<T: Ordered>(reference: &[Point<T>], current: &[Point<T>], n1: u64, n2: u64) -> Option<Extremes<T>> {
    let divisor = ks_exact::gcd(n1, n2);
    let (step1, step2) = (i128::from(n2 / divisor), i128::from(n1 / divisor));
    let mut difference = 0i128;
    let mut found: Option<Extremes<T>> = None;
    walk(reference, current, |value, in_reference, in_current| {
        difference += step1 * i128::from(in_reference) - step2 * i128::from(in_current);
        let extremes = found.get_or_insert(Extremes {
            highest: (difference, value),
            lowest: (difference, value),
            lcm: u128::from(n1 / divisor) * u128::from(n2),
        });
        if difference > extremes.highest.0 {
            extremes.highest = (difference, value);
        }
        if difference < extremes.lowest.0 {
            extremes.lowest = (difference, value);
        }
    });
    found
}
