//! Rows that leave the table: for every kind of check on rows, over the values that usually go wrong.

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, RecordBatch, StringViewArray};
use arrow::datatypes::Int32Type;
use windlass_project::checks::{CheckDefinition, CheckKind, Comparison, OnFail};

use super::super::part::Part;
use super::support::*;

/// Returns the rows that leave a table because of a check, after asserting that the others stay and that the
/// counts agree with both.
fn leaving(kind: CheckKind, batch: &RecordBatch) -> Vec<usize> {
    let diverting = CheckDefinition { on_fail: OnFail::Quarantine, ..check(kind.clone()) };
    let counting = CheckDefinition { name: "rows".to_string(), ..check(kind) };
    let program = Arc::new(compiled(&[diverting, counting], batch, &Default::default()));
    let mut part = Part::new(program);
    let found = part.add(batch).expect("the batch can be looked at");
    let rows: Vec<usize> = found.iter().flat_map(|leaving| leaving.rows.set_indices().collect::<Vec<_>>()).collect();
    for row in &rows {
        let broken: Vec<usize> = found.as_ref().map_or_else(Vec::new, |found| found.broken.broken_by(*row).collect());
        assert_eq!(broken, [0, 1], "row {row} breaks both");
    }
    assert_eq!((part.rows, part.diverted), ((batch.num_rows() - rows.len()) as u64, rows.len() as u64));
    assert_eq!(part.tallies[0].failing, rows.len() as u64, "what diverts rows counts them");
    assert_eq!(part.tallies[0].rows, batch.num_rows() as u64);
    assert_eq!((part.tallies[1].failing, part.tallies[1].rows), (0, part.rows), "what diverts none judges the rest");
    rows
}

fn length(min: u64, max: u64) -> CheckKind {
    CheckKind::Length { min: Some(min), max: Some(max) }
}

fn regex(pattern: &str) -> CheckKind {
    CheckKind::Regex { pattern: written(pattern), must_match: true }
}

fn rejected(texts: &[&str]) -> CheckKind {
    CheckKind::Values { values: texts.iter().map(|text| written(text)).collect(), are_accepted: false }
}

fn pair(comparison: Comparison) -> CheckKind {
    CheckKind::Pair { left: written("x"), comparison, right: written("y") }
}

#[test]
fn nulls_break_not_null_alone() {
    let nulls: Vec<(ArrayRef, Vec<CheckKind>)> = vec![
        (maybe_floats(&[None, Some(1.0), None]), vec![range(Some("0"), Some("2")), values(&["1"]), rejected(&["2"])]),
        (maybe_integers(&[None, Some(1), None]), vec![range(Some("0"), Some("2")), values(&["1"])]),
        (texts(&[None, Some("a"), None]), vec![length(1, 1), regex("a"), values(&["a"]), rejected(&["b"])]),
        (decimals(&[None, Some(100), None], 9, 2), vec![range(Some("0"), Some("2")), values(&["1.00"])]),
        (timestamps(&[None, Some(0), None], Some("Europe/Oslo")), vec![range(Some("1970-01-01"), None)]),
        (booleans(&[None, Some(true), None]), vec![values(&["true"])]),
    ];
    for (array, kinds) in nulls {
        assert_eq!(leaving(CheckKind::NotNull, &x(Arc::clone(&array))), [0, 2]);
        for kind in kinds {
            assert_eq!(leaving(kind.clone(), &x(Arc::clone(&array))), [0usize; 0], "{kind:?}");
        }
    }
}

#[test]
fn nan_lies_in_no_range_and_infinities_do() {
    let odd = x(floats(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1.0]));
    assert_eq!(leaving(range(Some("0"), Some("1")), &odd), [0, 1, 2]);
    assert_eq!(leaving(range(Some("0"), None), &odd), [0, 2]);
    assert_eq!(leaving(range(None, Some("1")), &odd), [0, 1]);
    assert_eq!(leaving(values(&["0", "1"]), &odd), [0, 1, 2]);
    assert_eq!(leaving(rejected(&["0"]), &odd), [3]);
    assert_eq!(leaving(CheckKind::NotNull, &odd), [0usize; 0]);
    let both = batch(&[("x", floats(&[f64::NAN, 1.0, 2.0])), ("y", floats(&[1.0, f64::NAN, 1.0]))]);
    assert_eq!(leaving(pair(Comparison::LessOrEqual), &both), [0, 1, 2]);
    assert_eq!(leaving(pair(Comparison::NotEqual), &both), [0usize; 0]);
}

#[test]
fn integers_above_the_exact_floats_are_told_apart() {
    let large = x(integers(&[9_007_199_254_740_992, 9_007_199_254_740_993, i64::MAX, i64::MIN]));
    assert_eq!(leaving(range(None, Some("9007199254740992")), &large), [1, 2]);
    assert_eq!(leaving(values(&["9007199254740993", "9223372036854775807"]), &large), [0, 3]);
    let both = batch(&[("x", integers(&[9_007_199_254_740_993])), ("y", integers(&[9_007_199_254_740_992]))]);
    assert_eq!(leaving(pair(Comparison::LessOrEqual), &both), [0]);
}

#[test]
fn decimals_and_instants_compare_by_value() {
    let money = x(decimals(&[Some(999), Some(1000), Some(1001), None], 9, 2));
    assert_eq!(leaving(range(Some("10"), Some("10.00")), &money), [0, 2]);
    assert_eq!(leaving(values(&["9.99", "10"]), &money), [2]);
    // Two hours apart on the clock, one instant.
    let noon = 1_704_106_800_000_000;
    let instants = x(timestamps(&[Some(noon - 1), Some(noon), Some(noon + 1)], Some("Asia/Tokyo")));
    assert_eq!(leaving(range(Some("2024-01-01T11:00:00Z"), Some("2024-01-01T11:00:00Z")), &instants), [0, 2]);
    let days = x(dates(&[Some(19_722), Some(19_723), None]));
    assert_eq!(leaving(range(Some("2024-01-01"), None), &days), [0]);
}

#[test]
fn texts_leave_in_every_layout() {
    let words = [Some("ada"), Some("grace"), None, Some(""), Some("ünïcödé")];
    for array in every_text(&words) {
        let batch = x(array);
        assert_eq!(leaving(length(3, 5), &batch), [3, 4]);
        assert_eq!(leaving(regex("^[a-z]+$"), &batch), [3, 4]);
        assert_eq!(leaving(values(&["ada", "grace"]), &batch), [3, 4]);
        assert_eq!(leaving(rejected(&["ada", ""]), &batch), [0, 3]);
        assert_eq!(leaving(CheckKind::NotNull, &batch), [2]);
    }
    // A dictionary with values that no row has, and one whose value is NULL.
    let dictionary: DictionaryArray<Int32Type> = [Some("bad"), Some("ok"), None, Some("ok")].into_iter().collect();
    let tail = x(Arc::new(dictionary.slice(1, 3)));
    assert_eq!(leaving(values(&["ok"]), &tail), [0usize; 0]);
    let view = StringViewArray::from(vec![Some("a text of more than twelve bytes"), Some("short")]);
    assert_eq!(leaving(regex("short"), &x(Arc::new(view))), [0]);
}

#[test]
fn conditions_that_are_null_hold() {
    let flags = x(booleans(&[Some(true), Some(false), None]));
    assert_eq!(leaving(CheckKind::Expression { sql: written("x") }, &flags), [1]);
    assert_eq!(leaving(CheckKind::Expression { sql: written("null") }, &flags), [0usize; 0]);
    assert_eq!(leaving(CheckKind::Expression { sql: written("false") }, &flags), [0, 1, 2]);
}

#[test]
fn tables_of_no_row_one_row_and_no_value() {
    for kind in [CheckKind::NotNull, range(Some("0"), Some("1")), values(&["1"])] {
        assert_eq!(leaving(kind, &x(maybe_floats(&[]))), [0usize; 0]);
    }
    assert_eq!(leaving(range(Some("0"), Some("1")), &x(floats(&[2.0]))), [0]);
    assert_eq!(leaving(CheckKind::NotNull, &x(maybe_floats(&[None, None]))), [0, 1]);
    assert_eq!(leaving(range(Some("0"), None), &x(maybe_floats(&[None, None]))), [0usize; 0]);
}

#[test]
fn a_condition_says_whose_rows_leave() {
    let batch = batch(&[("x", integers(&[1, 5, 9])), ("y", booleans(&[Some(true), None, Some(true)]))]);
    let only = CheckDefinition {
        on_fail: OnFail::Quarantine,
        filter: Some(written("y")),
        ..check(range(Some("2"), Some("4")))
    };
    let mut part = Part::new(Arc::new(compiled(&[only], &batch, &Default::default())));
    let leaving = part.add(&batch).unwrap().expect("two rows leave");
    assert_eq!(leaving.rows.set_indices().collect::<Vec<_>>(), [0, 2]);
    assert_eq!((part.tallies[0].rows, part.rows, part.diverted), (2, 1, 2));
}
