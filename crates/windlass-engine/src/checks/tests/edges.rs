//! The values that usually go wrong, in every kind of check that takes them.

use arrow::array::{ArrayRef, Float32Array, Int8Array, ListArray, NullArray, UInt64Array};
use arrow::datatypes::Int32Type;
use std::sync::Arc;
use windlass_project::checks::{CheckKind, Interval, Statistic};

use super::support::*;

#[test]
fn empty_tables() {
    for column in [integers(&[]), floats(&[]), texts(&[]), timestamps(&[], Some("UTC")), decimals(&[], 10, 2)] {
        let rows = x(column);
        assert_eq!(line(CheckKind::NotNull, &rows), "pass 0 (0 of 0)");
        assert_eq!(line(unique(&["x"]), &rows), "pass 0 (0 of 0)");
        assert_eq!(
            line(CheckKind::NullRate(Interval { min: None, max: Some(0.1) }), &rows),
            "not_evaluable empty_current"
        );
        assert_eq!(line(CheckKind::RowCount(Interval { min: Some(1.0), max: None }), &rows), "fail 0");
        assert_eq!(line(statistic(Statistic::DistinctCount, 0.0, 1.0), &rows), "pass 0");
    }
    for figure in [Statistic::Mean, Statistic::Sum, Statistic::Deviation, Statistic::Min, Statistic::Quantile(0.5)] {
        for rows in [
            x(floats(&[])),
            x(integers(&[])),
            x(maybe_floats(&[None, None])),
            x(floats(&[f64::NAN, f64::NAN])),
            x(decimals(&[None], 5, 1)),
        ] {
            assert_eq!(line(statistic(figure, 0.0, 1.0), &rows), "not_evaluable empty_current", "{figure:?}");
        }
    }
}

#[test]
fn all_null() {
    let nothing: ArrayRef = Arc::new(NullArray::new(3));
    for column in
        [nothing, maybe_integers(&[None; 3]), texts(&[None; 3]), every_text(&[None; 3]).remove(2), booleans(&[None; 3])]
    {
        let rows = x(column);
        assert_eq!(line(CheckKind::NotNull, &rows), "fail 3 (3 of 3)");
        assert_eq!(line(CheckKind::NullRate(Interval { min: Some(1.0), max: None }), &rows), "pass 1 (3 of 3)");
    }
    for rows in every_text(&[None; 3]).into_iter().map(x) {
        assert_eq!(line(unique(&["x"]), &rows), "pass 0 (0 of 0)");
        assert_eq!(line(values(&["a"]), &rows), "pass 0 (0 of 3)");
        assert_eq!(line(CheckKind::Regex { pattern: written("a"), must_match: true }, &rows), "pass 0 (0 of 3)");
        assert_eq!(line(CheckKind::Length { min: Some(1), max: None }, &rows), "pass 0 (0 of 3)");
        assert_eq!(line(statistic(Statistic::DistinctCount, 0.0, 0.0), &rows), "pass 0");
    }
    assert_eq!(line(range(Some("1"), None), &x(maybe_floats(&[None; 3]))), "pass 0 (0 of 3)");
}

#[test]
fn nan_and_infinities() {
    let odd = x(maybe_floats(&[Some(1.0), Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY), None]));
    assert_eq!(line(CheckKind::NotNull, &odd), "fail 1 (1 of 5)");
    assert_eq!(line(range(Some("0"), Some("10")), &odd), "fail 3 (3 of 5)");
    assert_eq!(line(range(None, None), &odd), "fail 1 (1 of 5)");
    assert_eq!(line(range(Some("-.inf"), Some(".inf")), &odd), "fail 1 (1 of 5)");
    assert_eq!(line(values(&["1", ".nan", "inf", "-inf"]), &odd), "pass 0 (0 of 5)");
    assert_eq!(line(statistic(Statistic::Mean, 0.0, 1.0), &odd), "not_evaluable infinite_values");
    assert_eq!(line(statistic(Statistic::Sum, 0.0, 1.0), &odd), "not_evaluable infinite_values");
    assert_eq!(line(statistic(Statistic::Deviation, 0.0, 1.0), &odd), "not_evaluable infinite_values");
    assert_eq!(line(statistic(Statistic::Min, 0.0, 1.0), &odd), "fail -infinity");
    assert_eq!(line(statistic(Statistic::Quantile(0.5), 0.0, 1.0), &odd), "pass 1");
    let high = x(floats(&[1.0, f64::INFINITY]));
    assert_eq!(line(statistic(Statistic::Mean, 0.0, 1e300), &high), "fail infinity");
    assert_eq!(line(statistic(Statistic::Quantile(0.5), 0.0, 1.0), &high), "fail infinity");
    let twice = x(floats(&[f64::NAN, -f64::NAN, 0.0, -0.0]));
    assert_eq!(line(unique(&["x"]), &twice), "fail 4 (4 of 4)");
    assert_eq!(line(statistic(Statistic::DistinctCount, 2.0, 2.0), &twice), "pass 2");
    assert_eq!(
        line(
            CheckKind::Monotonic { descending: false, strict: false, order_by: None },
            &x(floats(&[1.0, f64::NAN, 2.0]))
        ),
        "fail 1 (1 of 3)"
    );
}

#[test]
fn one_row_and_constants() {
    let one = x(floats(&[3.5]));
    assert_eq!(line(statistic(Statistic::Mean, 3.5, 3.5), &one), "pass 3.5");
    assert_eq!(line(statistic(Statistic::Deviation, 0.0, 9.0), &one), "not_evaluable too_few_values");
    assert_eq!(line(statistic(Statistic::Quantile(0.99), 3.5, 3.5), &one), "pass 3.5");
    assert_eq!(line(unique(&["x"]), &one), "pass 0 (0 of 1)");
    let constant = x(floats(&[0.1; 100]));
    assert_eq!(line(statistic(Statistic::Deviation, 0.0, 1e-9), &constant), "pass 0");
    assert_eq!(line(statistic(Statistic::DistinctCount, 1.0, 1.0), &constant), "pass 1");
    assert_eq!(line(unique(&["x"]), &constant), "fail 100 (100 of 100)");
}

#[test]
fn integers_above_two_to_the_53() {
    let big = 9_007_199_254_740_993i64;
    let rows = x(integers(&[big, big - 1, i64::MAX, i64::MIN]));
    assert_eq!(line(unique(&["x"]), &rows), "pass 0 (0 of 4)");
    assert_eq!(line(values(&["9007199254740993"]), &rows), "fail 3 (3 of 4)");
    assert_eq!(line(range(Some("9007199254740993"), None), &rows), "fail 2 (2 of 4)");
    assert_eq!(line(range(Some("1e30"), None), &rows), "fail 4 (4 of 4)");
    assert_eq!(line(range(Some("-1e30"), Some("1e30")), &rows), "pass 0 (0 of 4)");
    assert_eq!(line(statistic(Statistic::Sum, 1.8e16, 1.9e16), &rows), "pass 1.80144e16");
    let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, u64::MAX - 1]));
    assert_eq!(line(unique(&["x"]), &x(Arc::clone(&unsigned))), "pass 0 (0 of 2)");
    assert_eq!(line(range(None, Some("18446744073709551614")), &x(unsigned)), "fail 1 (1 of 2)");
    let small: ArrayRef = Arc::new(Int8Array::from(vec![-128, 127]));
    assert_eq!(line(range(Some("-1e9"), Some("126.9")), &x(small)), "fail 1 (1 of 2)");
}

#[test]
fn a_range_without_values_is_a_mistake() {
    let of = |min, max, column| mistakes(&check(range(Some(min), Some(max))), &x(column));
    assert_eq!(of("5", "1", integers(&[])), "no Int64 lies between `5` and `1`");
    assert_eq!(of("0.2", "0.8", integers(&[])), "no Int64 lies between `0.2` and `0.8`");
    assert_eq!(of("0.2", "0.1", floats(&[])), "no Float64 lies between `0.2` and `0.1`");
    assert_eq!(of("0.001", "0.009", decimals(&[], 9, 2)), "no Decimal128(9, 2) lies between `0.001` and `0.009`");
    assert_eq!(of("b", "a", texts(&[])), "no Utf8 lies between `b` and `a`");
    assert_eq!(of("2024-01-02", "2024-01-01", dates(&[])), "no Date32 lies between `2024-01-02` and `2024-01-01`");
    assert_eq!(of("1", "1", floats(&[])), "none");
}

#[test]
fn decimals_by_value() {
    let rows = x(decimals(&[Some(12_345), Some(-1), None, Some(99_999)], 20, 2));
    assert_eq!(line(range(Some("-0.01"), Some("999.99")), &rows), "pass 0 (0 of 4)");
    assert_eq!(line(range(Some("-0.009"), Some("999.989")), &rows), "fail 2 (2 of 4)");
    assert_eq!(line(values(&["123.450", "-0.01", "999.99"]), &rows), "pass 0 (0 of 4)");
    assert_eq!(line(statistic(Statistic::Sum, 1123.43, 1123.43), &rows), "pass 1123.43");
    assert_eq!(line(unique(&["x"]), &rows), "pass 0 (0 of 3)");
    let huge = x(decimals(&[Some(i128::MAX / 10), Some(i128::MAX / 10)], 38, 0));
    assert_eq!(line(unique(&["x"]), &huge), "fail 2 (2 of 2)");
    let most = 10i128.pow(38) - 1;
    let overflowing = x(decimals(&[Some(most); 3], 38, 0));
    assert_eq!(line(statistic(Statistic::Sum, 0.0, 1.0), &overflowing), "not_evaluable overflow");
}

#[test]
fn dates_and_timestamps_with_zones() {
    let rows = x(dates(&[Some(0), Some(19_723), None]));
    assert_eq!(line(range(Some("1970-01-01"), Some("2023-12-31")), &rows), "fail 1 (1 of 3)");
    assert_eq!(line(values(&["1970-01-01", "2024-01-01"]), &rows), "pass 0 (0 of 3)");
    assert_eq!(mistakes(&check(range(Some("monday"), None)), &rows), "`monday` is no Date32, as column `x` is");
    for zone in [None, Some("UTC"), Some("+02:00"), Some("Europe/Berlin")] {
        let rows = x(timestamps(&[Some(0), Some(1), None], zone));
        assert_eq!(
            line(range(Some("1970-01-01T00:00:00Z"), Some("1970-01-01T00:00:00.000000Z")), &rows),
            "fail 1 (1 of 3)",
            "{zone:?}"
        );
        assert_eq!(line(unique(&["x"]), &rows), "pass 0 (0 of 2)");
    }
}

#[test]
fn texts_in_every_layout() {
    for column in every_text(&[Some("a"), Some("a long text that no view keeps inline"), None, Some("a"), Some("")]) {
        let rows = x(column);
        assert_eq!(line(unique(&["x"]), &rows), "fail 2 (2 of 4)");
        assert_eq!(line(values(&["a", ""]), &rows), "fail 1 (1 of 5)");
        assert_eq!(line(statistic(Statistic::DistinctCount, 3.0, 3.0), &rows), "pass 3");
        assert_eq!(line(range(Some("a"), Some("a")), &rows), "fail 2 (2 of 5)");
        assert_eq!(line(CheckKind::NotNull, &rows), "fail 1 (1 of 5)");
    }
}

#[test]
fn other_types() {
    let floats: ArrayRef = Arc::new(Float32Array::from(vec![0.1, 0.2]));
    assert_eq!(line(values(&["0.1", "0.2"]), &x(Arc::clone(&floats))), "pass 0 (0 of 2)");
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)]), None]));
    assert_eq!(line(CheckKind::NotNull, &x(Arc::clone(&lists))), "fail 1 (1 of 2)");
    assert!(mistakes(&check(unique(&["x"])), &x(lists)).starts_with("`unique` needs values that can be compared"));
    let flags = x(booleans(&[Some(true), Some(false), None, Some(true)]));
    assert_eq!(line(values(&["true"]), &flags), "fail 1 (1 of 4)");
    assert_eq!(line(unique(&["x"]), &flags), "fail 2 (2 of 3)");
    assert!(mistakes(&check(range(Some("1"), None)), &flags).starts_with("`range` needs"));
    let number = x(super::support::floats(&[1.0]));
    assert!(
        mistakes(&check(CheckKind::Regex { pattern: written("a"), must_match: true }), &number)
            .starts_with("`regex` needs a text")
    );
    let text = x(texts(&[None]));
    assert_eq!(
        mistakes(&check(CheckKind::Regex { pattern: written("("), must_match: true }), &text),
        "the regular expression cannot be parsed"
    );
    let mut other = check(CheckKind::NotNull);
    other.column = Some("y".to_string());
    assert_eq!(mistakes(&other, &number), "check `not_null` names column `y`, which `t` does not have");
}
