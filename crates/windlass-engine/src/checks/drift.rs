//! Whether the values of a column are spread as they were.

use std::collections::BTreeSet;

use windlass_project::checks::{DriftMethod, DriftRule};

use super::distribution::{Floats, Points};
use super::profile::{Profile, Spread};
use super::stats::bins::{Binning, counts, histogram};
use super::stats::distance::{ZeroBins, jensen_shannon, psi};
use super::stats::ks::{Alternative, KsMethod, two_samples};
use super::stats::points::{Ordered, Point, total};
use super::stats::summary::Moments;
use super::stats::{NotEvaluable, chi_square, wasserstein};

/// Numbers with more values than this are no categories.
const CATEGORICAL_UP_TO: usize = 20;

/// How far two profiles are apart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drift {
    /// The distance by the method in use.
    pub(crate) distance: f64,
    /// The method's name.
    pub(crate) method: &'static str,
    /// How likely a difference so large is by chance, where the method says.
    pub(crate) p_value: Option<f64>,
    /// Categories that the reference lacks.
    pub(crate) new: Vec<String>,
    /// Categories that only the reference has.
    pub(crate) missing: Vec<String>,
    /// Further figures, by stable names.
    pub(crate) figures: Vec<(&'static str, f64)>,
}

/// Returns the method for a rule and a reference.
pub(crate) fn method(rule: &DriftRule, reference: &Profile) -> DriftMethod {
    let has_many = match &reference.spread {
        Spread::Integers(points) => points.len() > CATEGORICAL_UP_TO,
        Spread::Floats(floats) => floats.points.len() > CATEGORICAL_UP_TO,
        Spread::Bins(_) => true,
        Spread::Categories(_) => false,
    };
    match (rule.method, has_many) {
        (DriftMethod::Auto, true) => DriftMethod::Psi,
        (DriftMethod::Auto, false) => DriftMethod::JensenShannon,
        (method, _) => method,
    }
}

/// Returns the distances from which on drift is a warning and an error, unless the rule says.
pub(crate) fn limits(rule: &DriftRule, method: DriftMethod) -> (Option<f64>, Option<f64>) {
    let usual = match method {
        DriftMethod::Psi | DriftMethod::Wasserstein => (0.1, 0.25),
        _ => (0.1, 0.2),
    };
    match (rule.warn, rule.error, rule.p_value) {
        (None, None, None) => (Some(usual.0), Some(usual.1)),
        (warn, error, _) => (warn, error),
    }
}

/// Compares two profiles.
pub(crate) fn compare(rule: &DriftRule, reference: &Profile, current: &Profile) -> Result<Drift, NotEvaluable> {
    let method = method(rule, reference);
    match (&reference.spread, &current.spread) {
        (Spread::Categories(before), Spread::Categories(now)) => {
            let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
            let of = |side: &std::collections::BTreeMap<String, u64>, missing: u64| -> Vec<f64> {
                let known = names.iter().map(|name| side.get(*name).copied().unwrap_or_default() as f64);
                known.chain((reference.missing + current.missing > 0).then_some(missing as f64)).collect()
            };
            let mut drift = by_counts(method, &of(before, reference.missing), &of(now, current.missing))?;
            drift.new = now.keys().filter(|name| !before.contains_key(*name)).cloned().collect();
            drift.missing = before.keys().filter(|name| !now.contains_key(*name)).cloned().collect();
            drift.figures.extend([
                ("new_categories", drift.new.len() as f64),
                ("missing_categories", drift.missing.len() as f64),
            ]);
            Ok(drift)
        }
        (Spread::Integers(before), Spread::Integers(now)) => {
            Numeric { rule, method, reference, current }.compare(before, now)
        }
        (Spread::Bins(bins), now) => {
            let now = floats(now).ok_or(NotEvaluable::ShapesDiffer)?;
            Numeric { rule, method, reference, current }.compare_with_bins(bins, &now.points)
        }
        (before, now) => {
            let before = floats(before).ok_or(NotEvaluable::ShapesDiffer)?;
            let now = floats(now).ok_or(NotEvaluable::ShapesDiffer)?;
            // Values that one side cannot tell apart must be one value on the other side too.
            let shift = before.shift.max(now.shift);
            let (before, now) = (before.coarsened(shift), now.coarsened(shift));
            Numeric { rule, method, reference, current }.compare(&before.points, &now.points)
        }
    }
}

fn floats(spread: &Spread) -> Option<Floats> {
    match spread {
        Spread::Integers(points) => Some(Points::Integers(points.clone()).into_floats()),
        Spread::Floats(floats) => Some(floats.clone()),
        Spread::Bins(_) | Spread::Categories(_) => None,
    }
}

struct Numeric<'a> {
    rule: &'a DriftRule,
    method: DriftMethod,
    reference: &'a Profile,
    current: &'a Profile,
}

impl Numeric<'_> {
    fn compare<T: Ordered>(&self, before: &[Point<T>], now: &[Point<T>]) -> Result<Drift, NotEvaluable> {
        match self.method {
            DriftMethod::KolmogorovSmirnov => kolmogorov_smirnov(before, now, KsMethod::Auto),
            DriftMethod::Wasserstein => wasserstein_drift(before, now),
            method => {
                let (reference, current) = counts(before, now, &Binning::Auto { bins: self.rule.bins.max(2) });
                self.by_counts(method, reference, current)
            }
        }
    }

    /// Compares values with the bins of a reference, which is known at their bounds alone.
    fn compare_with_bins(&self, bins: &[Point<f64>], now: &[Point<f64>]) -> Result<Drift, NotEvaluable> {
        match self.method {
            DriftMethod::KolmogorovSmirnov => {
                // The method of the limit: between the bounds the difference may be larger, so no
                // p-value is exact.
                kolmogorov_smirnov(bins, &in_bins(bins, now), KsMethod::Limit)
            }
            DriftMethod::Wasserstein => wasserstein_drift(bins, &in_bins(bins, now)),
            method => {
                let edges = wide_edges(bins, self.rule.bins.max(2));
                self.by_counts(method, histogram(bins, &edges), histogram(now, &edges))
            }
        }
    }

    fn by_counts(
        &self,
        method: DriftMethod,
        mut reference: Vec<f64>,
        mut current: Vec<f64>,
    ) -> Result<Drift, NotEvaluable> {
        if self.reference.missing + self.current.missing > 0 {
            reference.push(self.reference.missing as f64);
            current.push(self.current.missing as f64);
        }
        by_counts(method, &reference, &current)
    }
}

/// Moves values to the largest value of their bin; those outside of all bins stay.
fn in_bins(bins: &[Point<f64>], now: &[Point<f64>]) -> Vec<Point<f64>> {
    let mut moved: Vec<Point<f64>> = Vec::new();
    for (value, count) in now {
        let at = bins.partition_point(|(largest, _)| largest < value);
        let value = if at == 0 { *value } else { bins.get(at).map_or(*value, |(largest, _)| *largest) };
        match moved.last_mut() {
            Some((last, sum)) if *last == value => *sum += count,
            _ => moved.push((value, *count)),
        }
    }
    moved
}

/// Returns the edges between `wanted` groups of bins with about as many rows. A bin that is as heavy as a
/// group is one.
fn wide_edges(bins: &[Point<f64>], wanted: usize) -> Vec<f64> {
    let all = u128::from(total(bins));
    let (mut seen, mut groups) = (0u128, 0u128);
    let mut edges = Vec::new();
    let mut last: Option<f64> = None;
    for (largest, count) in bins {
        if u128::from(*count) * wanted as u128 >= all {
            edges.extend(last.map(f64::next_up));
        }
        seen += u128::from(*count);
        // A bin holds its largest value, so edges lie right above it.
        if seen * wanted as u128 >= (groups + 1) * all {
            groups = seen * wanted as u128 / all.max(1);
            edges.push(largest.next_up());
        }
        last = Some(*largest);
    }
    edges.dedup();
    if groups >= wanted as u128 {
        // Nothing of the reference lies above the last of its values.
        edges.pop();
    }
    edges
}

fn kolmogorov_smirnov<T: Ordered>(
    before: &[Point<T>],
    now: &[Point<T>],
    method: KsMethod,
) -> Result<Drift, NotEvaluable> {
    let test = two_samples(before, now, method, Alternative::TwoSided)?;
    Ok(Drift {
        distance: test.statistic,
        method: "ks",
        p_value: Some(test.p_value),
        figures: vec![("p_value", test.p_value)],
        ..Drift::default()
    })
}

fn wasserstein_drift<T: Ordered>(before: &[Point<T>], now: &[Point<T>]) -> Result<Drift, NotEvaluable> {
    let distance = wasserstein::distance(before, now)?;
    let mut moments = Moments::default();
    for (value, count) in before {
        moments.merge(&Moments::repeated(value.to_f64(), *count));
    }
    let deviation = moments.population_deviation().filter(|deviation| *deviation > 0.0);
    let figures = vec![("wasserstein", distance), ("constant_reference", f64::from(u8::from(deviation.is_none())))];
    // A constant reference has no deviation to measure in: the distance stays in units of the value.
    Ok(Drift { distance: distance / deviation.unwrap_or(1.0), method: "wasserstein", figures, ..Drift::default() })
}

fn by_counts(method: DriftMethod, reference: &[f64], current: &[f64]) -> Result<Drift, NotEvaluable> {
    match method {
        DriftMethod::Psi => {
            let distance = psi(reference, current, ZeroBins::Floor)?;
            Ok(Drift { distance, method: "psi", ..Drift::default() })
        }
        DriftMethod::ChiSquare => {
            let test = chi_square::homogeneity(reference, current, false)?;
            let figures = vec![
                ("chi_square", test.statistic),
                ("p_value", test.p_value),
                ("degrees_of_freedom", test.degrees as f64),
                ("min_expected", test.smallest_expected),
                ("share_expected_below_5", test.share_expected_below_5),
            ];
            let p_value = Some(test.p_value);
            Ok(Drift { distance: test.cramers_v, method: "chi_square", p_value, figures, ..Drift::default() })
        }
        _ => {
            let divergence = jensen_shannon(reference, current, Some(2.0))?;
            Ok(Drift { distance: divergence.sqrt(), method: "jensen_shannon", ..Drift::default() })
        }
    }
}

/// Returns the rows of a profile that have a value.
pub(crate) fn values_of(profile: &Profile) -> u64 {
    match &profile.spread {
        Spread::Integers(points) => total(points),
        Spread::Floats(floats) => total(&floats.points),
        Spread::Bins(bins) => total(bins),
        Spread::Categories(known) => known.values().sum(),
    }
}
