//! Values that lie exactly on a bound, or a hair beside it, in types that floats cannot hold.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Float32Array, RecordBatch, TimestampNanosecondArray, UInt64Array};
use windlass_project::checks::{CheckKind, Comparison, Interval, Statistic, Threshold};

use super::super::facts::Facts;
use super::support::*;

/// The first whole number that no float holds.
const BIG: i64 = 9_007_199_254_740_993;

/// Returns a bound of a figure as it comes from a file.
fn written_bounds(statistic: Statistic, min: Option<&str>, max: Option<&str>) -> CheckKind {
    let number = |text: Option<&str>| text.map(|text| text.parse().unwrap());
    let bounds = Interval { min: number(min), max: number(max) };
    CheckKind::Statistic { statistic, bounds, written: [min, max].map(|text| text.map(str::to_string)), change: None }
}

#[test]
fn figures_of_large_integers_are_not_rounded() {
    let one = x(integers(&[BIG]));
    fn status(kind: CheckKind, rows: &RecordBatch) -> String {
        line(kind, rows).split(' ').next().unwrap().to_string()
    }
    for statistic in [Statistic::Sum, Statistic::Min, Statistic::Max] {
        for (min, max, wanted) in [
            (Some("9007199254740993"), Some("9007199254740993"), "pass"),
            (Some("9007199254740994"), None, "fail"),
            (None, Some("9007199254740992"), "fail"),
            (None, Some("9007199254740992.5"), "fail"),
            (Some("9007199254740992.5"), None, "pass"),
            (Some("9_007_199_254_740_993"), None, "pass"),
        ] {
            let kind = match min {
                // A float cannot be read from this, and is not looked at.
                Some(text) if text.contains('_') => {
                    let CheckKind::Statistic { bounds, change, .. } = written_bounds(statistic, None, None) else {
                        panic!()
                    };
                    CheckKind::Statistic { statistic, bounds, written: [Some(text.to_string()), None], change }
                }
                _ => written_bounds(statistic, min, max),
            };
            assert_eq!(status(kind, &one), wanted, "{statistic:?} from {min:?} to {max:?}");
        }
    }
    let sum = |min, max| written_bounds(Statistic::Sum, min, max);
    let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, 1]));
    assert_eq!(
        status(sum(Some("18446744073709551616"), Some("18446744073709551616")), &x(Arc::clone(&unsigned))),
        "pass"
    );
    assert_eq!(status(sum(None, Some("18446744073709551615")), &x(unsigned)), "fail");
    let cents = x(decimals(&[Some(10i128.pow(37)), Some(1)], 38, 2));
    let exact = "100000000000000000000000000000000000.01";
    assert_eq!(status(sum(Some(exact), Some(exact)), &cents), "pass");
    assert_eq!(status(sum(None, Some("100000000000000000000000000000000000")), &cents), "fail");
    // What is not exact itself is compared as the float that it is.
    assert_eq!(status(sum(Some("0.3"), Some("0.31")), &x(floats(&[0.1, 0.2]))), "pass");
}

#[test]
fn means_of_decimals_are_rounded_once() {
    for (value, scale, text) in [(1, 1, "0.1"), (7, 2, "0.07"), (29, 2, "0.29"), (123, 20, "0.00000000000000000123")] {
        for count in [1usize, 3, 10, 77] {
            let rows = x(decimals(&vec![Some(value); count], 38, scale));
            let found = line(written_bounds(Statistic::Mean, Some(text), Some(text)), &rows);
            assert!(found.starts_with("pass"), "{count} times {text}: {found}");
        }
    }
}

#[test]
fn sums_beyond_floats_have_no_answer() {
    let rows = x(floats(&[f64::MAX, f64::MAX]));
    assert_eq!(line(statistic(Statistic::Sum, 0.0, 1.0), &rows), "not_evaluable overflow");
}

#[test]
fn a_share_at_its_bound_is_not_too_large() {
    for (failing, rows, share) in [(1u32, 1000u32, 0.001), (7, 1000, 0.007), (29, 100, 0.29), (1, 3, 1.0 / 3.0)] {
        let column = x(maybe_integers(&(0..rows).map(|row| (row >= failing).then_some(1)).collect::<Vec<_>>()));
        let above = Threshold { comparison: Comparison::Greater, value: share, upper: None, is_share: true };
        let mut definition = check(CheckKind::NotNull);
        (definition.error_if, definition.warn_if) = (above, above);
        let told = |definition: &_| outcome(definition, std::slice::from_ref(&column), &Facts::default()).status.name();
        assert_eq!(told(&definition), "pass", "{failing} of {rows}");
        assert_eq!(told(&check(CheckKind::NullRate(Interval { min: Some(share), max: Some(share) }))), "pass");
        // A share is one of all offending rows, also where they are counted no further.
        definition.limit = Some(1);
        let below = Threshold { value: share * 0.9, ..above };
        (definition.error_if, definition.warn_if) = (below, below);
        assert_eq!(told(&definition), "fail", "{failing} of {rows}");
    }
    let other = |other: u64| Facts { other_rows: HashMap::from([("o".to_string(), other)]), ..Facts::default() };
    let same = |tolerance| check(CheckKind::SameRowCount { to: written("o"), tolerance });
    let rows = x(integers(&[0; 71]));
    assert_eq!(line_with(&same(0.29), &rows, &other(100)), "pass 71");
    assert_eq!(line_with(&same(0.28), &rows, &other(100)), "fail 71");
    assert_eq!(line_with(&same(1.0), &rows, &other(0)), "fail 71");
    assert_eq!(line_with(&same(0.0), &rows.slice(0, 0), &other(0)), "pass 0");
    let coverage = check(CheckKind::Coverage { of: written("o"), min: 0.999 });
    assert_eq!(line_with(&coverage, &x(integers(&[0; 999])), &other(1000)), "pass 0.999");
    assert_eq!(line_with(&coverage, &x(integers(&[0; 998])), &other(1000)), "fail 0.998");
    let keys = x(integers(&[1, 1, 1, 1, 2, 2, 2, 3, 3, 3]));
    let (columns, mean) = (vec![written("x")], Interval::default());
    let skew = CheckKind::RowsPerKey { columns, max_over_mean: Some(1.2), mean, max_rows: Some(4.0) };
    assert_eq!(line(skew, &keys), "pass 1.2");
}

#[test]
fn a_row_is_too_old_after_its_age() {
    const HOUR_US: i64 = 3_600_000_000;
    let facts = Facts { now_us: 48 * HOUR_US, ..Facts::default() };
    let fresh = |hours: u64| {
        let max_age = Some(Duration::from_secs(hours * 3_600));
        check(CheckKind::Freshness { column: written("x"), max_age, warn_after: None })
    };
    for zone in [None, Some("UTC"), Some("+02:00"), Some("America/New_York")] {
        assert_eq!(line_with(&fresh(24), &x(timestamps(&[Some(24 * HOUR_US)], zone)), &facts), "pass 86,400");
        assert_eq!(line_with(&fresh(24), &x(timestamps(&[Some(24 * HOUR_US - 1)], zone)), &facts), "fail 86400");
    }
    assert_eq!(line_with(&fresh(24), &x(dates(&[Some(1)])), &facts), "pass 86,400");
    let nanoseconds: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![24 * HOUR_US * 1_000]));
    assert_eq!(line_with(&fresh(24), &x(nanoseconds), &facts), "pass 86,400");
}

#[test]
fn columns_of_different_numbers_are_compared_by_value() {
    let pair = |comparison| CheckKind::Pair { left: written("x"), comparison, right: written("y") };
    let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![BIG as u64, BIG as u64, BIG as u64]));
    let signed = integers(&[BIG - 1, BIG, BIG + 1]);
    let near = floats(&[9_007_199_254_740_992.0, 9_007_199_254_740_992.0, f64::NAN]);
    let mixed = batch(&[("x", unsigned), ("y", Arc::clone(&signed))]);
    assert_eq!(line(pair(Comparison::Equal), &mixed), "fail 2 (2 of 3)");
    assert_eq!(line(pair(Comparison::LessOrEqual), &mixed), "fail 1 (1 of 3)");
    let mixed = batch(&[("x", Arc::clone(&signed)), ("y", near)]);
    assert_eq!(line(pair(Comparison::Equal), &mixed), "fail 2 (2 of 3)");
    assert_eq!(line(pair(Comparison::Greater), &mixed), "fail 2 (2 of 3)");
    let tenths: Vec<Option<i128>> =
        [BIG - 1, BIG, BIG + 1].iter().map(|value| Some(i128::from(*value) * 10 + 1)).collect();
    let mixed = batch(&[("x", signed), ("y", decimals(&tenths, 30, 1))]);
    assert_eq!(line(pair(Comparison::Less), &mixed), "pass 0 (0 of 3)");
}

#[test]
fn zeros_with_a_sign_and_single_floats() {
    let zeros = x(floats(&[0.0, -0.0]));
    assert_eq!(line(range(Some("0"), Some("0")), &zeros), "pass 0 (0 of 2)");
    assert_eq!(line(range(Some("-0.0"), Some("-0")), &zeros), "pass 0 (0 of 2)");
    assert_eq!(line(values(&["0"]), &zeros), "pass 0 (0 of 2)");
    assert_eq!(line(values(&["-0.0"]), &zeros), "pass 0 (0 of 2)");
    assert_eq!(line(unique(&["x"]), &zeros), "fail 2 (2 of 2)");
    assert_eq!(line(statistic(Statistic::DistinctCount, 1.0, 1.0), &zeros), "pass 1");
    let single: ArrayRef = Arc::new(Float32Array::from(vec![0.1, 0.7]));
    assert_eq!(line(range(Some("0.1"), Some("0.7")), &x(Arc::clone(&single))), "pass 0 (0 of 2)");
    assert_eq!(line(range(Some("0.10001"), Some("0.69999")), &x(single)), "fail 2 (2 of 2)");
    assert_eq!(mistakes(&check(range(Some(".nan"), None)), &zeros), "`.nan` is no Float64, as column `x` is");
}

#[test]
fn a_condition_that_leaves_no_row_leaves_no_figure() {
    let mut told = Vec::new();
    let rows = batch(&[("x", floats(&[1.0, 2.0]))]);
    let order = CheckKind::Monotonic { descending: false, strict: true, order_by: None };
    let null_rate = CheckKind::NullRate(Interval { min: None, max: Some(1.0) });
    let rules = [CheckKind::NotNull, range(Some("5"), None), values(&["9"]), unique(&["x"]), order];
    let figures = [
        Statistic::Mean,
        Statistic::Sum,
        Statistic::Deviation,
        Statistic::Min,
        Statistic::Max,
        Statistic::Quantile(0.5),
    ];
    let figures = figures.map(|figure| statistic(figure, -1e9, 1e9)).into_iter().chain([null_rate]);
    for (kind, wanted) in rules
        .map(|kind| (kind, "pass 0 (0 of 0)"))
        .into_iter()
        .chain(figures.map(|kind| (kind, "not_evaluable empty_current")))
    {
        let mut definition = check(kind);
        for nothing in ["false", "null"] {
            definition.filter = Some(written(nothing));
            let found = line_with(&definition, &rows, &Facts::default());
            told.extend((found != wanted).then(|| format!("{} where {nothing}: {found}", definition.name)));
        }
    }
    assert_eq!(told, [""; 0]);
}

#[test]
fn decimals_of_many_digits() {
    let digit = 10i128.pow(37);
    let rows = x(decimals(&[Some(digit), Some(2 * digit), None], 38, 38));
    assert_eq!(line(range(Some("0.1"), Some("0.2")), &rows), "pass 0 (0 of 3)");
    assert_eq!(line(range(Some("0.10000000000000000000000000000000000001"), Some("0.2")), &rows), "fail 1 (1 of 3)");
    assert_eq!(line(range(Some("0.099999999999999999999999999999999999999"), Some("1e5")), &rows), "pass 0 (0 of 3)");
    assert_eq!(line(values(&["0.1", "0.20"]), &rows), "pass 0 (0 of 3)");
    assert_eq!(line(unique(&["x"]), &rows), "pass 0 (0 of 2)");
    assert_eq!(line(statistic(Statistic::Mean, 0.15, 0.15), &rows), "pass 0.15");
    assert_eq!(line(written_bounds(Statistic::Max, Some("0.2"), Some("0.2")), &rows), "pass 0.2");
}
