//! What each kind of check says.

use std::collections::HashMap;
use std::time::Duration;

use windlass_project::checks::{
    AnomalyMethod, AnomalyRule, Baseline, Change, CheckDefinition, CheckKind, CheckSeverity, Comparison, DriftMethod,
    DriftRule, Interval, SchemaRule, Statistic, Threshold,
};

use super::super::distribution::{Distribution, Floats, Points};
use super::super::facts::{Facts, NoProfile, Queried, Unanswered};
use super::super::outcome::CheckStatus;
use super::super::profile::{Profile, Spread};
use super::super::stats::NotEvaluable;
use super::super::stats::points::{of_floats, of_integers};
use super::support::*;

#[test]
fn rules_on_rows() {
    let numbers = x(maybe_integers(&[Some(1), Some(2), None, Some(9), Some(9)]));
    assert_eq!(line(CheckKind::NotNull, &numbers), "fail 1 (1 of 5)");
    assert_eq!(line(range(Some("1"), Some("8.5")), &numbers), "fail 2 (2 of 5)");
    assert_eq!(line(values(&["1", "2", "9"]), &numbers), "pass 0 (0 of 5)");
    assert_eq!(line(values(&["1"]), &numbers), "fail 3 (3 of 5)");
    let rejected = CheckKind::Values { values: vec![written("9")], are_accepted: false };
    assert_eq!(line(rejected, &numbers), "fail 2 (2 of 5)");
    assert_eq!(line(unique(&["x"]), &numbers), "fail 2 (2 of 4)");
    for text in every_text(&[Some("ab"), Some("äöü"), None, Some("")]) {
        let text = x(text);
        assert_eq!(line(CheckKind::Length { min: Some(1), max: Some(3) }, &text), "fail 1 (1 of 4)");
        let regex = |must_match| CheckKind::Regex { pattern: written("^.{2,3}$"), must_match };
        assert_eq!(line(regex(true), &text), "fail 1 (1 of 4)");
        assert_eq!(line(regex(false), &text), "fail 2 (2 of 4)");
    }
}

#[test]
fn pairs_of_columns() {
    let pair = |comparison| CheckKind::Pair { left: written("x"), comparison, right: written("y") };
    let numbers =
        batch(&[("x", maybe_integers(&[Some(1), Some(2), None, Some(4)])), ("y", floats(&[1.5, 2.0, 0.0, 3.0]))]);
    assert_eq!(line(pair(Comparison::LessOrEqual), &numbers), "fail 1 (1 of 4)");
    assert_eq!(line(pair(Comparison::Less), &numbers), "fail 2 (2 of 4)");
    let unlike =
        batch(&[("x", decimals(&[Some(150), Some(100)], 10, 2)), ("y", decimals(&[Some(15), Some(11)], 10, 1))]);
    assert_eq!(line(pair(Comparison::Equal), &unlike), "fail 1 (1 of 2)");
    let nan = batch(&[("x", floats(&[f64::NAN])), ("y", floats(&[f64::NAN]))]);
    assert_eq!(line(pair(Comparison::Equal), &nan), "fail 1 (1 of 1)");
    assert_eq!(line(pair(Comparison::NotEqual), &nan), "pass 0 (0 of 1)");
    let misfit = batch(&[("x", texts(&[Some("a")])), ("y", floats(&[1.0]))]);
    assert_eq!(
        mistakes(&check(pair(Comparison::Equal)), &misfit),
        "`x` is Utf8 and `y` is Float64: they cannot be compared"
    );
}

#[test]
fn thresholds_follow_dbt() {
    let rows = x(maybe_integers(&[None, None, Some(1), Some(2)]));
    let with = |severity, error_if: Threshold, warn_if: Threshold| {
        let mut definition = check(CheckKind::NotNull);
        (definition.severity, definition.error_if, definition.warn_if) = (severity, error_if, warn_if);
        line_with(&definition, &rows, &Facts::default())
    };
    let above = |value, is_share| Threshold { comparison: Comparison::Greater, value, upper: None, is_share };
    assert_eq!(with(CheckSeverity::Error, above(2.0, false), Threshold::ANY), "warn 2 (2 of 4)");
    assert_eq!(with(CheckSeverity::Error, above(0.4, true), Threshold::ANY), "fail 2 (2 of 4)");
    assert_eq!(with(CheckSeverity::Error, above(0.5, true), above(0.5, true)), "pass 2 (2 of 4)");
    assert_eq!(with(CheckSeverity::Warn, Threshold::ANY, above(1.0, false)), "warn 2 (2 of 4)");
    assert_eq!(with(CheckSeverity::Warn, Threshold::ANY, above(2.0, false)), "pass 2 (2 of 4)");
    let mut limited = check(CheckKind::NotNull);
    (limited.limit, limited.error_if) = (Some(1), above(1.0, false));
    assert_eq!(line_with(&limited, &rows, &Facts::default()), "warn 2 (2 of 4)");
}

#[test]
fn conditions_choose_the_rows() {
    let rows =
        batch(&[("x", maybe_integers(&[None, None, Some(1)])), ("keep", booleans(&[Some(true), None, Some(true)]))]);
    let mut definition = check(CheckKind::NotNull);
    definition.filter = Some(written("keep"));
    assert_eq!(line_with(&definition, &rows, &Facts::default()), "fail 1 (1 of 2)");
    let mut counted = check(CheckKind::RowCount(Interval { min: Some(3.0), max: None }));
    assert_eq!(line_with(&counted, &rows, &Facts::default()), "pass 3");
    counted.filter = Some(written("keep"));
    assert_eq!(line_with(&counted, &rows, &Facts::default()), "fail 2");
    assert_eq!(line(CheckKind::Expression { sql: written("keep") }, &rows), "pass 0 (0 of 3)");
    assert_eq!(line(CheckKind::Expression { sql: written("false") }, &rows), "fail 3 (3 of 3)");
}

#[test]
fn figures_of_a_column() {
    let rows = x(maybe_integers(&[Some(1), Some(2), None, Some(3), Some(10)]));
    assert_eq!(line(statistic(Statistic::Mean, 0.0, 4.0), &rows), "pass 4");
    assert_eq!(line(statistic(Statistic::Sum, 0.0, 15.0), &rows), "fail 16");
    assert_eq!(line(statistic(Statistic::Deviation, 4.0, 4.1), &rows), "pass 4.08248");
    assert_eq!(line(statistic(Statistic::Min, 1.0, 1.0), &rows), "pass 1");
    assert_eq!(line(statistic(Statistic::Max, 10.0, 10.0), &rows), "pass 10");
    assert_eq!(line(statistic(Statistic::Quantile(0.5), 2.5, 2.5), &rows), "pass 2.5");
    assert_eq!(line(statistic(Statistic::DistinctCount, 4.0, 4.0), &rows), "pass 4");
    assert_eq!(line(CheckKind::NullRate(Interval { min: None, max: Some(0.2) }), &rows), "pass 0.2 (1 of 5)");
    assert_eq!(line(CheckKind::NullRate(Interval { min: None, max: Some(0.1) }), &rows), "fail 0.2 (1 of 5)");
    assert_eq!(
        mistakes(&check(statistic(Statistic::Mean, 0.0, 1.0)), &x(texts(&[None]))),
        "`mean` needs a number, and column `x` is Utf8"
    );
}

#[test]
fn keys_and_order() {
    let rows = batch(&[
        ("x", maybe_integers(&[Some(1), Some(1), None, None])),
        ("y", texts(&[Some("a"), Some("b"), Some("c"), Some("c")])),
    ]);
    assert_eq!(line(unique(&["x", "y"]), &rows), "fail 2 (2 of 4)");
    let per_key = |max| CheckKind::RowsPerKey {
        columns: vec![written("y")],
        max_over_mean: Some(max),
        mean: Interval::default(),
        max_rows: None,
    };
    assert_eq!(line(per_key(1.5), &rows), "pass 1.5");
    assert_eq!(line(per_key(1.4), &rows), "fail 1.5");
    let found = outcome(&check(per_key(1.4)), &[rows], &Facts::default());
    assert!(found.detail.contains("largest `c` has 2"), "{}", found.detail);
    let order = |descending, strict| CheckKind::Monotonic { descending, strict, order_by: None };
    let rows = x(maybe_integers(&[Some(1), Some(1), None, Some(5), Some(3), Some(4)]));
    assert_eq!(line(order(false, false), &rows), "fail 1 (1 of 5)");
    assert_eq!(line(order(false, true), &rows), "fail 2 (2 of 5)");
    assert_eq!(line(order(true, false), &rows), "fail 2 (2 of 5)");
}

#[test]
fn rows_of_other_tables_and_versions() {
    let rows = x(integers(&[1, 2, 3, 4]));
    let facts =
        Facts { previous_rows: Some(8), other_rows: HashMap::from([("other".to_string(), 5)]), ..Facts::default() };
    let change = |drop| CheckKind::RowCountChange(Change { max_drop: Some(drop), max_rise: None });
    assert_eq!(line_with(&check(change(0.5)), &rows, &facts), "pass 4");
    assert_eq!(line_with(&check(change(0.4)), &rows, &facts), "fail 4");
    assert_eq!(line(change(0.4), &rows), "not_evaluable 4 no_baseline");
    let same = |tolerance| CheckKind::SameRowCount { to: written("other"), tolerance };
    assert_eq!(line_with(&check(same(0.0)), &rows, &facts), "fail 4");
    assert_eq!(line_with(&check(same(0.2)), &rows, &facts), "pass 4");
    let coverage = |min| CheckKind::Coverage { of: written("other"), min };
    assert_eq!(line_with(&check(coverage(0.8)), &rows, &facts), "pass 0.8");
    assert_eq!(line_with(&check(coverage(0.9)), &rows, &facts), "fail 0.8");
    assert_eq!(line(coverage(0.9), &rows), "not_evaluable no_baseline");
}

#[test]
fn freshness_counts_from_the_newest_row() {
    let facts = Facts { now_us: 86_400_000_000 * 10, ..Facts::default() };
    let fresh = |hours: u64, warn: Option<u64>| CheckKind::Freshness {
        column: written("x"),
        max_age: Some(Duration::from_secs(hours * 3600)),
        warn_after: warn.map(|hours| Duration::from_secs(hours * 3600)),
    };
    let day = 86_400_000_000;
    let rows = x(timestamps(&[Some(day), None, Some(day * 9)], Some("UTC")));
    assert_eq!(line_with(&check(fresh(25, None)), &rows, &facts), "pass 86,400");
    assert_eq!(line_with(&check(fresh(23, None)), &rows, &facts), "fail 86,400");
    assert_eq!(line_with(&check(fresh(48, Some(12))), &rows, &facts), "warn 86,400");
    assert_eq!(line_with(&check(fresh(23, None)), &x(dates(&[Some(9)])), &facts), "fail 86,400");
    assert_eq!(line_with(&check(fresh(23, None)), &x(dates(&[None])), &facts), "not_evaluable empty_current");
}

fn drift(method: DriftMethod) -> DriftRule {
    DriftRule {
        method,
        baseline: Default::default(),
        warn: None,
        error: None,
        bins: 10,
        p_value: None,
        forbids_new: false,
        forbids_missing: false,
    }
}

/// Returns facts with a profile that drift is measured from.
fn from(profile: Profile) -> Facts {
    Facts { baselines: HashMap::from([("drift".to_string(), Ok(profile))]), ..Facts::default() }
}

fn exact(values: &[f64]) -> Spread {
    Spread::Floats(Floats { points: of_floats(values.to_vec()), shift: 0 })
}

#[test]
fn drift_from_a_baseline() {
    let before: Vec<f64> = (0..1000).map(f64::from).collect();
    let facts = |compact: bool| {
        let profile = Profile { missing: 0, spread: exact(&before) };
        from(if compact { profile.compact().unwrap() } else { profile })
    };
    let same = x(floats(&before));
    let moved = x(floats(&before.iter().map(|value| value + 300.0).collect::<Vec<_>>()));
    for method in [
        DriftMethod::Auto,
        DriftMethod::Psi,
        DriftMethod::KolmogorovSmirnov,
        DriftMethod::JensenShannon,
        DriftMethod::ChiSquare,
        DriftMethod::Wasserstein,
    ] {
        for compact in [false, true] {
            let definition = check(CheckKind::Drift(drift(method)));
            let status = |rows| outcome(&definition, std::slice::from_ref(rows), &facts(compact)).status;
            assert_eq!(status(&same), CheckStatus::Pass, "{method:?}");
            assert_eq!(status(&moved), CheckStatus::Fail, "{method:?}");
        }
    }
    assert_eq!(line(CheckKind::Drift(drift(DriftMethod::Psi)), &same), "not_evaluable no_baseline");
    assert_eq!(line(CheckKind::Drift(drift(DriftMethod::Psi)), &same.slice(0, 0)), "not_evaluable empty_current");
}

#[test]
fn stored_profiles_answer_nearly_as_all_values_do() {
    let before: Vec<f64> = (0..200_000).map(|at| f64::from(at * 7919 % 200_000).sqrt()).collect();
    let now = x(floats(&before.iter().map(|value| value * 1.02 + 1.0).collect::<Vec<_>>()));
    let profile = Profile { missing: 0, spread: exact(&before) };
    for method in [DriftMethod::Psi, DriftMethod::KolmogorovSmirnov, DriftMethod::Wasserstein] {
        let distance = |profile: Profile| {
            let facts = from(profile);
            outcome(&check(CheckKind::Drift(drift(method))), std::slice::from_ref(&now), &facts).observed.unwrap()
        };
        let (all, stored) = (distance(profile.clone()), distance(profile.clone().compact().unwrap()));
        assert!((all - stored).abs() < 0.005, "{method:?}: {all} {stored}");
    }
}

/// What lies close together far from zero, where a bucket of a fixed share of the value would hold it all.
#[test]
fn drift_is_seen_wherever_the_values_lie() {
    let normal = |at: i32| f64::from(at * 7919 % 100_003) / 100_003.0;
    for offset in [0.0, 1e9, -1e12] {
        let before: Vec<f64> = (0..100_000).map(|at| offset + normal(at) * 1000.0).collect();
        let same: Vec<f64> = (0..100_000).map(|at| offset + normal(at + 17) * 1000.0).collect();
        let moved: Vec<f64> = before.iter().map(|value| value + 300.0).collect();
        let stored = Profile { missing: 0, spread: exact(&before) }.compact().unwrap();
        for (values, wanted) in [(&same, CheckStatus::Pass), (&moved, CheckStatus::Fail)] {
            for method in [DriftMethod::Psi, DriftMethod::KolmogorovSmirnov, DriftMethod::JensenShannon] {
                let rows = x(floats(values));
                let found = outcome(&check(CheckKind::Drift(drift(method))), &[rows], &from(stored.clone()));
                assert_eq!(found.status, wanted, "{method:?} {offset}: {}", found.detail);
            }
        }
    }
}

/// Half of the rows have one value: no edge may part it from itself, however coarse the other side is.
#[test]
fn heavy_values_do_not_drift() {
    let value = |at: i32| if at % 2 == 0 { 0.5 } else { f64::from(at * 7919 % 100_003) / 100_003.0 };
    let before: Vec<f64> = (0..100_000).map(value).collect();
    let stored = Profile { missing: 0, spread: exact(&before) }.compact().unwrap();
    let gathered = {
        let mut all = Distribution::default();
        all.add_floats(&before);
        let Points::Floats(floats) = all.points() else { panic!("floats were added") };
        assert!(floats.shift > 0);
        Profile { missing: 0, spread: Spread::Floats(floats) }
    };
    let rows = x(floats(&before[..30_000]));
    for profile in [stored, gathered.clone(), gathered.compact().unwrap()] {
        for method in [DriftMethod::Psi, DriftMethod::KolmogorovSmirnov, DriftMethod::Wasserstein] {
            let found =
                outcome(&check(CheckKind::Drift(drift(method))), std::slice::from_ref(&rows), &from(profile.clone()));
            assert!(found.observed.unwrap() < 0.02, "{method:?}: {}", found.detail);
        }
    }
}

#[test]
fn a_baseline_that_cannot_be_read_is_an_error() {
    let rows = x(floats(&[1.0]));
    let facts = |why| Facts { baselines: HashMap::from([("drift".to_string(), Err(why))]), ..Facts::default() };
    let definition = check(CheckKind::Drift(drift(DriftMethod::Psi)));
    assert_eq!(line_with(&definition, &rows, &facts(NoProfile::Unreadable("no".to_string()))), "error");
    let reason = NoProfile::Reason(NotEvaluable::TooManyCategories);
    assert_eq!(line_with(&definition, &rows, &facts(reason)), "not_evaluable too_many_categories");
    let mut filtered = check(CheckKind::Drift(DriftRule { baseline: Baseline::Stored, ..drift(DriftMethod::Psi) }));
    filtered.filter = Some(written("true"));
    assert_eq!(mistakes(&filtered, &rows), "a stored profile is one of all rows, and `where` leaves some out");
}

#[test]
fn categories_come_and_go() {
    let known = [("a".to_string(), 50), ("b".to_string(), 50)].into();
    let profile = Profile { missing: 0, spread: Spread::Categories(known) };
    let facts = from(profile);
    let mut rule = drift(DriftMethod::Auto);
    let rows = x(texts(&[Some("a"), Some("a"), Some("b"), Some("b"), Some("b"), Some("a")]));
    assert_eq!(line_with(&check(CheckKind::Drift(rule.clone())), &rows, &facts), "pass 0");
    let mut all: Vec<Option<&str>> = [Some("a"), Some("b")].repeat(100);
    all.push(Some("c"));
    let rows = x(texts(&all));
    assert!(line_with(&check(CheckKind::Drift(rule.clone())), &rows, &facts).starts_with("pass"));
    rule.forbids_new = true;
    assert!(line_with(&check(CheckKind::Drift(rule.clone())), &rows, &facts).starts_with("fail"));
    let flags = x(booleans(&[Some(true)]));
    assert_eq!(line(CheckKind::Drift(drift(DriftMethod::Auto)), &flags), "not_evaluable no_baseline");
}

#[test]
fn anomalies_need_a_history() {
    let rule =
        |method| CheckKind::Anomaly(AnomalyRule { statistic: None, method, sensitivity: 3.0, min_runs: 7, window: 30 });
    let rows = x(integers(&[0; 70]));
    let facts = |history: &[f64]| Facts {
        history: HashMap::from([("anomaly".to_string(), history.to_vec())]),
        ..Facts::default()
    };
    let usual = [100.0, 102.0, 98.0, 101.0, 99.5, 100.5, 99.0];
    for method in [AnomalyMethod::Mad, AnomalyMethod::ZScore, AnomalyMethod::Iqr] {
        assert_eq!(line_with(&check(rule(method)), &rows, &facts(&usual)), "fail 70");
        assert_eq!(line_with(&check(rule(method)), &rows, &facts(&usual[..6])), "not_evaluable 70 short_history");
        assert_eq!(line_with(&check(rule(method)), &rows, &facts(&[70.0; 7])), "pass 70");
        assert_eq!(line_with(&check(rule(method)), &rows, &facts(&[71.0; 7])), "fail 70");
    }
}

#[test]
fn columns_as_declared() {
    let rows = batch(&[("x", integers(&[])), ("y", texts(&[]))]);
    let rule = |columns: &[(&str, Option<&str>)], allows_others, is_ordered| {
        let columns = columns.iter().map(|(name, wanted)| (written(name), wanted.map(written))).collect();
        let mut definition = check(CheckKind::Schema(SchemaRule { columns, allows_others, is_ordered }));
        definition.column = None;
        outcome(&definition, std::slice::from_ref(&rows), &Facts::default()).detail
    };
    assert_eq!(rule(&[("x", Some("bigint")), ("y", None)], false, true), "columns are as declared");
    assert_eq!(rule(&[("y", None), ("x", None)], false, true), "column `x` stands too early");
    assert_eq!(
        rule(&[("x", Some("double"))], false, false),
        "column `x` is Int64, not double; column `y` is not expected"
    );
    assert_eq!(rule(&[("z", None)], true, false), "column `z` is missing");
    let rows = batch(&[("y", texts(&[])), ("z", floats(&[]))]);
    let columns = [("y", "character varying"), ("z", "double precision")];
    let columns = columns.map(|(name, wanted)| (written(name), Some(written(wanted)))).into();
    let mut definition = check(CheckKind::Schema(SchemaRule { columns, allows_others: false, is_ordered: true }));
    definition.column = None;
    let found = outcome(&definition, std::slice::from_ref(&rows), &Facts::default());
    assert_eq!(found.detail, "columns are as declared");
}

#[test]
fn queries_answer_for_checks() {
    let kind = || CheckKind::Sql { query: Box::new(query()) };
    let rows = x(integers(&[1, 2]));
    let answered = |answer| Facts { queried: HashMap::from([("sql".to_string(), answer)]), ..Facts::default() };
    let found = Queried { failing: 1, ..Queried::default() };
    assert_eq!(line_with(&check(kind()), &rows, &answered(Ok(found))), "fail 1 (1 of 2)");
    assert_eq!(line_with(&check(kind()), &rows, &answered(Ok(Queried::default()))), "pass 0 (0 of 2)");
    assert_eq!(
        line_with(&check(kind()), &rows, &answered(Err(Unanswered { why: "no".to_string(), at: None }))),
        "error"
    );
    assert_eq!(line(kind(), &rows), "error");
}

#[test]
fn figures_take_their_columns_alone() {
    let rows = batch(&[("w", booleans(&[])), ("x", integers(&[])), ("y", texts(&[])), ("z", integers(&[]))]);
    let suffices = |definitions: &[CheckDefinition]| compiled(definitions, &rows, &Default::default()).suffices();
    let mean = || check(statistic(Statistic::Mean, 0.0, 1.0));
    let row_count = check(CheckKind::RowCount(Interval { min: Some(1.0), max: None }));
    assert_eq!(suffices(&[mean(), row_count.clone()]), Some(vec![1]));
    assert_eq!(suffices(&[row_count]), Some(vec![]));
    assert_eq!(suffices(&[mean(), check(unique(&["z", "y"]))]), Some(vec![1, 2, 3]));
    // Offending rows are shown as a whole, unless none is wanted.
    assert_eq!(suffices(&[mean(), check(CheckKind::NotNull)]), None);
    let silent = CheckDefinition { sample_rows: 0, ..check(CheckKind::NotNull) };
    assert_eq!(suffices(&[silent]), Some(vec![1]));
    let order = CheckKind::Monotonic { descending: false, strict: false, order_by: None };
    assert_eq!(suffices(&[check(order)]), None);
    let columns = SchemaRule { columns: Vec::new(), allows_others: true, is_ordered: false };
    assert_eq!(suffices(&[check(CheckKind::Schema(columns))]), None);
    assert_eq!(suffices(&[mean(), check(CheckKind::Sql { query: Box::new(query()) })]), None);
    assert_eq!(
        suffices(&[CheckDefinition { sample_rows: 0, ..check(CheckKind::Expression { sql: written("w") }) }]),
        None
    );
}

#[test]
fn many_integers_are_compared_exactly() {
    let big = 9_007_199_254_740_992i64;
    let spread = Spread::Integers(of_integers([big, big + 1, big + 2, big + 3]));
    let facts = from(Profile { missing: 0, spread });
    let mut rule = drift(DriftMethod::KolmogorovSmirnov);
    rule.error = Some(2.0);
    let rows = x(integers(&[big + 3; 4]));
    assert_eq!(line_with(&check(CheckKind::Drift(rule)), &rows, &facts), "pass 0.75");
}
