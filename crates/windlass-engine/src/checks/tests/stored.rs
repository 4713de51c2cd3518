//! Drift from a stored profile: values that are counted into its bins answer as values that are kept.

use std::sync::Arc;

use arrow::array::{Float32Array, RecordBatch};
use windlass_project::checks::{Baseline, CheckKind, DriftMethod, DriftRule};

use super::super::facts::Facts;
use super::super::outcome::CheckOutcome;
use super::super::part::{Part, State};
use super::super::profile::{Profile, Spread};
use super::support::*;

const METHODS: [DriftMethod; 6] = [
    DriftMethod::Auto,
    DriftMethod::Psi,
    DriftMethod::KolmogorovSmirnov,
    DriftMethod::ChiSquare,
    DriftMethod::JensenShannon,
    DriftMethod::Wasserstein,
];

fn drift(method: DriftMethod, baseline: Baseline) -> CheckKind {
    let (warn, error, p_value) = (None, None, None);
    CheckKind::Drift(DriftRule {
        method,
        baseline,
        warn,
        error,
        bins: 10,
        p_value,
        forbids_new: false,
        forbids_missing: false,
    })
}

/// Returns the profile of a column as it is stored, which has bins.
fn stored(rows: &RecordBatch) -> Profile {
    let program = Arc::new(compiled(&[check(drift(DriftMethod::Psi, Baseline::Previous))], rows, &Default::default()));
    let mut part = Part::new(program);
    part.add(rows).unwrap();
    let profile = Profile::of(&part.states[0]).and_then(Profile::compact).unwrap();
    assert!(matches!(profile.spread, Spread::Bins(_)));
    profile
}

/// Returns what a check answers where values are kept, and where they are counted.
fn answers(method: DriftMethod, rows: &[RecordBatch], profile: &Profile) -> [CheckOutcome; 2] {
    let facts = Facts { baselines: [("drift".to_string(), Ok(profile.clone()))].into(), ..Facts::default() };
    [Baseline::Previous, Baseline::Stored].map(|baseline| outcome(&check(drift(method, baseline)), rows, &facts))
}

fn same(before: &RecordBatch, now: &RecordBatch, name: &str) {
    let profile = stored(before);
    let halves = [now.slice(0, now.num_rows() / 2), now.slice(now.num_rows() / 2, now.num_rows().div_ceil(2))];
    for method in METHODS {
        let [kept, counted] = answers(method, std::slice::from_ref(now), &profile);
        let of = |found: &CheckOutcome| (found.status, found.observed, found.reason, found.detail.clone());
        assert_eq!(of(&counted), of(&kept), "{name} by {method:?}");
        assert_eq!(counted.figures, kept.figures, "{name} by {method:?}");
        let [_, parts] = answers(method, &halves, &profile);
        assert_eq!(of(&parts), of(&kept), "{name} by {method:?} in parts");
    }
}

#[test]
fn counted_values_answer_as_kept_ones() {
    let spread = |at: i32| f64::from(at * 7919 % 10_007) / 10_007.0;
    let before: Vec<f64> = (0..10_000).map(|at| (spread(at) * 6.0 - 3.0).powi(3)).collect();
    let heavy: Vec<f64> = (0..9_000).map(|at| if at % 3 == 0 { 0.25 } else { spread(at) }).collect();
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, f64::MAX, f64::MIN, 5e-324];
    let moved: Vec<f64> = before.iter().map(|value| value * 1.1 + 0.5).collect();
    for (name, values) in [
        ("the same", before.clone()),
        ("moved", moved.clone()),
        ("odd values", [&odd[..], &before[..500]].concat()),
        ("finite odd values", [&odd[3..5], &before[..500]].concat()),
        ("heavy", heavy.clone()),
        ("all below", vec![-1e9, -1e10, -1e9]),
        ("all above", vec![f64::INFINITY, 1e300]),
        ("one row", vec![0.5]),
        ("constant", vec![0.25; 400]),
        ("nothing but NaN", vec![f64::NAN; 3]),
        ("empty", vec![]),
    ] {
        let now = x(floats(&values));
        same(&x(floats(&before)), &now, name);
        same(&x(floats(&heavy)), &now, name);
    }
    let holes: Vec<Option<f64>> = moved.iter().enumerate().map(|(at, value)| (at % 5 > 0).then_some(*value)).collect();
    same(&x(floats(&before)), &x(maybe_floats(&holes)), "NULL");
    same(&x(maybe_floats(&holes)), &x(maybe_floats(&[None; 7])), "nothing but NULL");
    let single: Vec<f32> = before.iter().map(|value| *value as f32).collect();
    same(&x(Arc::new(Float32Array::from(single.clone()))), &x(Arc::new(Float32Array::from(single))), "single floats");
}

#[test]
fn integers_and_decimals_are_counted_too() {
    const BIG: i64 = 9_007_199_254_740_993;
    let before: Vec<i64> = (0..5_000).map(|at| at * at % 7_001).collect();
    let big: Vec<i64> = (0..5_000).map(|at| BIG + at).collect();
    let moved: Vec<Option<i64>> = before.iter().map(|at| (at % 11 > 0).then_some(at + 40)).collect();
    same(&x(integers(&before)), &x(maybe_integers(&moved)), "integers");
    same(&x(integers(&big)), &x(integers(&big[100..])), "big integers");
    same(&x(integers(&before)), &x(integers(&[i64::MIN, i64::MAX, 0])), "the largest integers");
    let cents: Vec<Option<i128>> = before.iter().map(|at| Some(i128::from(*at))).collect();
    let later: Vec<Option<i128>> = moved.iter().map(|at| at.map(i128::from)).collect();
    same(&x(decimals(&cents, 18, 2)), &x(decimals(&later, 18, 2)), "decimals");
    // What was stored of integers is compared with floats since their column has become one.
    same(&x(integers(&before)), &x(floats(&before.iter().map(|at| *at as f64 + 0.5).collect::<Vec<_>>())), "changed");
}

#[test]
fn only_bins_of_a_stored_profile_are_counted_into() {
    let rows = x(floats(&(0..1_000).map(f64::from).collect::<Vec<_>>()));
    let bins = stored(&rows);
    let exact = Profile { missing: 0, spread: Spread::Integers(vec![(1, 2)]) };
    for (baseline, profile, is_counted) in
        [(Baseline::Stored, bins.clone(), true), (Baseline::Previous, bins, false), (Baseline::Stored, exact, false)]
    {
        let known = [("drift".to_string(), Ok(profile))].into();
        let program = compiled(&[check(drift(DriftMethod::Psi, baseline))], &rows, &known);
        let part = Part::new(Arc::new(program));
        assert_eq!(matches!(part.states[0], State::Binned(_)), is_counted);
    }
}
