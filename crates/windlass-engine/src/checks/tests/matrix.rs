//! Every kind of check that looks at a column itself, on every kind of value that usually goes wrong.
//!
//! What each says stands in `matrix.txt`. A line is the same whether the rows come at once or one by one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Float32Array, Int8Array, RecordBatch, UInt64Array};
use expect_test::expect_file;
use windlass_project::checks::{
    AnomalyMethod, AnomalyRule, CheckKind, Comparison, DriftMethod, DriftRule, Interval, Statistic,
};

use super::super::facts::Facts;
use super::super::profile::{Profile, Spread};
use super::super::stats::points::of_integers;
use super::support::*;

const BIG: i64 = 9_007_199_254_740_993;
const LONG: &str = "a text that no view keeps inline";

/// Returns columns by name, each with a value of its type.
fn columns() -> Vec<(&'static str, RecordBatch, &'static str)> {
    let texts = [Some("a"), Some("bcde"), None, Some("a"), Some(""), Some(LONG)];
    let [_, view, dictionary, large]: [_; 4] = every_text(&texts).try_into().expect("there are four layouts");
    let odd = [Some(1.0), Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY), None, Some(1.0), Some(-0.0)];
    let single = Float32Array::from(vec![Some(0.1), Some(f32::NAN), None, Some(0.1)]);
    let all = [
        ("empty integers", integers(&[]), "1"),
        ("empty texts", every_text(&[]).remove(1), "a"),
        ("one float", floats(&[1.0]), "1"),
        ("one text", every_text(&[Some("a")]).remove(1), "a"),
        ("NULL integers", maybe_integers(&[None; 3]), "1"),
        ("NULL floats", maybe_floats(&[None; 3]), "1"),
        ("NULL texts", every_text(&[None; 3]).remove(2), "a"),
        ("constant", integers(&[7; 4]), "7"),
        ("odd floats", maybe_floats(&odd), "1"),
        ("single floats", Arc::new(single), "0.1"),
        (
            "big integers",
            maybe_integers(&[Some(BIG), Some(BIG - 1), None, Some(i64::MAX), Some(i64::MIN)]),
            "9007199254740993",
        ),
        ("small integers", Arc::new(Int8Array::from(vec![Some(-128), Some(127), None, Some(127)])), "127"),
        ("unsigned", Arc::new(UInt64Array::from(vec![Some(u64::MAX), Some(1), None])), "18446744073709551615"),
        ("decimals", decimals(&[Some(110), Some(-1), None, Some(110)], 20, 2), "1.1"),
        ("dates", dates(&[Some(0), Some(19_723), None, Some(0)]), "1970-01-01"),
        (
            "timestamps with a zone",
            timestamps(&[Some(0), Some(1), None, Some(0)], Some("+02:00")),
            "1970-01-01T00:00:00Z",
        ),
        ("booleans", booleans(&[Some(true), None, Some(false), Some(true)]), "true"),
        ("views", view, "a"),
        ("dictionary", dictionary, "a"),
        ("large texts", large, "a"),
    ];
    all.into_iter()
        .map(|(name, column, value)| (name, batch(&[("x", Arc::clone(&column)), ("y", column)]), value))
        .collect()
}

/// Returns kinds of checks by name, for a column with such a value.
fn kinds(value: &str) -> Vec<(&'static str, CheckKind)> {
    let anywhere = Interval::default();
    let figure = |which| statistic(which, -1e300, 1e300);
    let regex = |must_match| CheckKind::Regex { pattern: written("^a"), must_match };
    let drift = |method| {
        let (bins, baseline) = (10, Default::default());
        CheckKind::Drift(DriftRule {
            method,
            baseline,
            warn: None,
            error: None,
            bins,
            p_value: None,
            forbids_new: false,
            forbids_missing: false,
        })
    };
    let (method, sensitivity, window) = (AnomalyMethod::Mad, 3.0, 30);
    vec![
        ("not_null", CheckKind::NotNull),
        ("null_rate", CheckKind::NullRate(Interval { min: None, max: Some(0.5) })),
        ("unique", unique(&["x"])),
        ("unique of two", unique(&["x", "y"])),
        ("accepted_values", values(&[value])),
        ("rejected_values", CheckKind::Values { values: vec![written(value)], are_accepted: false }),
        ("range", range(Some(value), None)),
        ("length", CheckKind::Length { min: Some(1), max: Some(3) }),
        ("regex", regex(true)),
        ("not_regex", regex(false)),
        ("monotonic", CheckKind::Monotonic { descending: false, strict: false, order_by: None }),
        ("pair", CheckKind::Pair { left: written("x"), comparison: Comparison::Equal, right: written("y") }),
        ("row_count", CheckKind::RowCount(Interval { min: Some(1.0), max: None })),
        (
            "rows_per_key",
            CheckKind::RowsPerKey {
                columns: vec![written("x")],
                max_over_mean: Some(1.2),
                mean: anywhere,
                max_rows: None,
            },
        ),
        (
            "freshness",
            CheckKind::Freshness { column: written("x"), max_age: Some(Duration::from_secs(60)), warn_after: None },
        ),
        ("mean", figure(Statistic::Mean)),
        ("stddev", figure(Statistic::Deviation)),
        ("sum", figure(Statistic::Sum)),
        ("min", figure(Statistic::Min)),
        ("max", figure(Statistic::Max)),
        ("median", figure(Statistic::Quantile(0.5))),
        ("distinct_count", figure(Statistic::DistinctCount)),
        ("drift", drift(DriftMethod::Auto)),
        ("drift by ks", drift(DriftMethod::KolmogorovSmirnov)),
        ("drift by wasserstein", drift(DriftMethod::Wasserstein)),
        (
            "anomaly of the mean",
            CheckKind::Anomaly(AnomalyRule {
                statistic: Some(Statistic::Mean),
                method,
                sensitivity,
                min_runs: 3,
                window,
            }),
        ),
    ]
}

/// Returns a history of figures, and a profile of the column's type.
fn facts(rows: &RecordBatch) -> Facts {
    let is_text = super::super::columns::is_text(rows.column(0).data_type());
    let spread = match rows.column(0).data_type() {
        arrow::datatypes::DataType::Boolean => Spread::Categories([("true".to_string(), 3)].into()),
        _ if is_text => Spread::Categories([("a".to_string(), 2), ("z".to_string(), 1)].into()),
        _ => Spread::Integers(of_integers([0, 1, 7, 127])),
    };
    Facts {
        now_us: 19_723 * 86_400_000_000 + 90_000_000,
        baselines: HashMap::from([("drift".to_string(), Ok(Profile { missing: 1, spread }))]),
        history: HashMap::from([("anomaly".to_string(), vec![1.0, 2.0, 1.5])]),
        ..Facts::default()
    }
}

#[test]
fn every_kind_on_every_column() {
    let columns = columns();
    let mut told = String::new();
    for (at, (name, _)) in kinds("").into_iter().enumerate() {
        told.push_str(&format!("{name}\n"));
        for (column, rows, value) in &columns {
            let definition = check(kinds(value).swap_remove(at).1);
            let found = match mistakes(&definition, rows).as_str() {
                "none" => line_with(&definition, rows, &facts(rows)),
                mistake => format!("refused: {mistake}"),
            };
            told.push_str(&format!("  {column:24}{found}\n"));
        }
    }
    expect_file!["matrix.txt"].assert_eq(&told);
}
