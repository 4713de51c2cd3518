//! Whether the values of a column are spread as they were.

use std::collections::BTreeSet;

use windlass_project::checks::{DriftMethod, DriftRule};

use super::profile::{Profile, Spread};
use super::stats::bins::{Binning, counts, histogram, quantile_edges};
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
        Spread::Floats { points, .. } => points.len() > CATEGORICAL_UP_TO,
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
            Numeric { rule, method, reference, current, are_bins: false }.compare(before, now)
        }
        (before, now) => {
            let (before, are_bins) = floats(before).ok_or(NotEvaluable::ShapesDiffer)?;
            let (now, _) = floats(now).ok_or(NotEvaluable::ShapesDiffer)?;
            Numeric { rule, method, reference, current, are_bins }.compare(&before, &now)
        }
    }
}

fn floats(spread: &Spread) -> Option<(Vec<Point<f64>>, bool)> {
    match spread {
        Spread::Integers(points) => {
            Some((points.iter().map(|(value, count)| (*value as f64, *count)).collect(), false))
        }
        Spread::Floats { points, are_bins } => Some((points.clone(), *are_bins)),
        Spread::Categories(_) => None,
    }
}

struct Numeric<'a> {
    rule: &'a DriftRule,
    method: DriftMethod,
    reference: &'a Profile,
    current: &'a Profile,
    are_bins: bool,
}

impl Numeric<'_> {
    fn compare<T: Ordered>(&self, before: &[Point<T>], now: &[Point<T>]) -> Result<Drift, NotEvaluable> {
        match self.method {
            DriftMethod::KolmogorovSmirnov => self.kolmogorov_smirnov(before, now),
            DriftMethod::Wasserstein => wasserstein_drift(before, now),
            method => {
                let (mut reference, mut current) = self.bins(before, now);
                if self.reference.missing + self.current.missing > 0 {
                    reference.push(self.reference.missing as f64);
                    current.push(self.current.missing as f64);
                }
                by_counts(method, &reference, &current)
            }
        }
    }

    fn bins<T: Ordered>(&self, before: &[Point<T>], now: &[Point<T>]) -> (Vec<f64>, Vec<f64>) {
        let bins = self.rule.bins.max(2);
        if !self.are_bins {
            return counts(before, now, &Binning::Auto { bins });
        }
        // A bin holds its largest value, so edges lie right above the values of the reference.
        let edges: Vec<f64> = quantile_edges(before, bins).into_iter().map(f64::next_up).collect();
        (histogram(before, &edges), histogram(now, &edges))
    }

    fn kolmogorov_smirnov<T: Ordered>(&self, before: &[Point<T>], now: &[Point<T>]) -> Result<Drift, NotEvaluable> {
        let test = if self.are_bins {
            // Between the bounds of bins the reference is not known; only there may both be compared.
            let edges: Vec<f64> = before.iter().map(|(value, _)| value.to_f64().next_up()).collect();
            let point = |(at, count): (usize, &f64)| (at as i64, *count as u64);
            let binned = |side: &[Point<T>]| histogram(side, &edges).iter().enumerate().map(point).collect::<Vec<_>>();
            let test = two_samples(&binned(before), &binned(now), KsMethod::Limit, Alternative::TwoSided)?;
            (test.statistic, test.p_value)
        } else {
            let test = two_samples(before, now, KsMethod::Auto, Alternative::TwoSided)?;
            (test.statistic, test.p_value)
        };
        Ok(Drift {
            distance: test.0,
            method: "ks",
            p_value: Some(test.1),
            figures: vec![("p_value", test.1)],
            ..Drift::default()
        })
    }
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
        Spread::Floats { points, .. } => total(points),
        Spread::Categories(known) => known.values().sum(),
    }
}
