//! Reads the rules on figures, and on a table as a whole.

use windlass_error::{Code, Diagnostic, Location};

use super::arguments::{Arguments, TransposeAll};
use super::kinds::CHANGES;
use super::values::{all_written, growth, lacks, number_from, parse_span, share, span, table, whole, word, written};
use super::{
    AnomalyMethod, AnomalyRule, Baseline, Change, CheckKind, DriftMethod, DriftRule, Interval, ReconcileRule,
    SchemaRule, Statistic, Tolerance, Written,
};
use crate::decode::{Fields, expected};
use crate::problems::Problems;
use crate::yaml::{Value, Yaml};

pub(super) fn change(fields: Fields<'_>, what: &str, at: &Location, problems: &mut Problems) -> Option<Change> {
    let mut of = |key: &'static str| fields.value(key).map(|yaml| growth(yaml, key, problems));
    let both = of("max_change").transpose_all()?;
    let (drop, rise) = (of("max_drop").transpose_all()?, of("max_rise").transpose_all()?);
    let change = Change { max_drop: drop.or(both), max_rise: rise.or(both) };
    if change == Change::default() {
        problems.push(lacks(what, "`max_drop`, `max_rise` or `max_change`", at));
        return None;
    }
    Some(change)
}

pub(super) fn row_count_change(found: &mut Arguments<'_>) -> Option<CheckKind> {
    change(found.fields, found.kind, found.at, found.problems).map(CheckKind::RowCountChange)
}

pub(super) fn same_row_count(found: &mut Arguments<'_>) -> Option<CheckKind> {
    let (key, yaml) = found.needed(&["to", "compare_model"])?;
    let to = table(yaml, key, found.problems)?;
    let tolerance = found.fields.value("tolerance").map(|yaml| share(yaml, "tolerance", found.problems));
    Some(CheckKind::SameRowCount { to, tolerance: tolerance.transpose_all()?.unwrap_or(0.0) })
}

pub(super) fn freshness(found: &mut Arguments<'_>) -> Option<CheckKind> {
    let column = found.own_column()?;
    let mut of = |keys: &[&'static str]| found.value(keys).map(|(key, yaml)| span(yaml, key, found.problems));
    let max_age = of(&["max_age", "error_after"]).transpose_all()?;
    let warn_after = of(&["warn_after"]).transpose_all()?;
    if max_age.is_none() && warn_after.is_none() {
        found.problems.push(lacks(found.kind, "the key `max_age`", found.at));
        return None;
    }
    Some(CheckKind::Freshness { column, max_age, warn_after })
}

pub(super) fn statistic(found: &mut Arguments<'_>, statistic: Statistic) -> Option<CheckKind> {
    found.own_column()?;
    let bounds = if statistic == Statistic::DistinctCount { found.counts() } else { found.interval() };
    let written = found.written_bounds();
    let change = match found.fields.value("vs_previous") {
        Some(yaml) => {
            let fields = Fields::open(yaml, "`vs_previous`", CHANGES, found.problems)?;
            Some(change(fields, found.kind, found.at, found.problems)?)
        }
        None => None,
    };
    if !found.has_bounds() && change.is_none() {
        found.problems.push(lacks(found.kind, "`min`, `max`, `equals` or `vs_previous`", found.at));
        return None;
    }
    Some(CheckKind::Statistic { statistic, bounds, written, change })
}

pub(super) fn quantile(found: &mut Arguments<'_>) -> Option<CheckKind> {
    let (key, yaml) = found.needed(&["p", "quantile"])?;
    let at = share(yaml, key, found.problems)?;
    statistic(found, Statistic::Quantile(at))
}

pub(super) fn drift(found: &mut Arguments<'_>) -> Option<CheckKind> {
    found.own_column()?;
    let methods = [
        ("auto", DriftMethod::Auto),
        ("psi", DriftMethod::Psi),
        ("ks", DriftMethod::KolmogorovSmirnov),
        ("chi_square", DriftMethod::ChiSquare),
        ("jensen_shannon", DriftMethod::JensenShannon),
        ("js", DriftMethod::JensenShannon),
        ("wasserstein", DriftMethod::Wasserstein),
    ];
    let method = match found.value(&["method", "metric"]) {
        Some((key, yaml)) => word(yaml, key, &methods, found.problems)?,
        None => DriftMethod::Auto,
    };
    let baseline = match found.fields.value("baseline") {
        Some(yaml) => baseline(yaml, found.problems)?,
        None => Baseline::Previous,
    };
    let bins = found.fields.value("bins").map(|yaml| whole(yaml, "bins", found.problems)).transpose_all()?;
    let p_value = found.fields.value("p_value").map(|yaml| share(yaml, "p_value", found.problems)).transpose_all()?;
    let mut forbids = |key: &'static str| {
        let words = [("allow", false), ("forbid", true)];
        found.fields.value(key).map(|yaml| word(yaml, key, &words, found.problems))
    };
    let forbids_new = forbids("new_categories").transpose_all()?.unwrap_or(false);
    let forbids_missing = forbids("missing_categories").transpose_all()?.unwrap_or(false);
    Some(CheckKind::Drift(DriftRule {
        method,
        baseline,
        warn: found.not_negative(&["warn"]),
        error: found.not_negative(&["error"]),
        bins: bins.unwrap_or(10).clamp(2, 1000) as usize,
        p_value,
        forbids_new,
        forbids_missing,
    }))
}

pub(super) fn baseline(yaml: &Yaml, problems: &mut Problems) -> Option<Baseline> {
    let text = yaml.scalar().map(|scalar| scalar.text.trim().to_string()).unwrap_or_default();
    match text.as_str() {
        "previous" => return Some(Baseline::Previous),
        "stored" => return Some(Baseline::Stored),
        _ => {}
    }
    let version = || Some(Baseline::Version(text.strip_prefix("version").unwrap_or(&text).trim().parse().ok()?));
    let window = || Some(Baseline::Window(parse_span(text.strip_prefix("window")?)?));
    let found = window().or_else(version);
    if found.is_none() {
        let forms = "`previous`, `stored`, a version such as `version 3` or a window such as `window 28d`";
        problems.push(expected(forms, "`baseline`", yaml));
    }
    found
}

pub(super) fn anomaly(found: &mut Arguments<'_>) -> Option<CheckKind> {
    let metrics = [
        ("row_count", None),
        ("mean", Some(Statistic::Mean)),
        ("stddev", Some(Statistic::Deviation)),
        ("sum", Some(Statistic::Sum)),
        ("min", Some(Statistic::Min)),
        ("max", Some(Statistic::Max)),
        ("median", Some(Statistic::Quantile(0.5))),
        ("distinct_count", Some(Statistic::DistinctCount)),
    ];
    let statistic = match found.fields.value("metric") {
        Some(yaml) => word(yaml, "metric", &metrics, found.problems)?,
        None => None,
    };
    if statistic.is_some() {
        found.own_column()?;
    }
    let methods = [("mad", AnomalyMethod::Mad), ("zscore", AnomalyMethod::ZScore), ("iqr", AnomalyMethod::Iqr)];
    let method = match found.fields.value("method") {
        Some(yaml) => word(yaml, "method", &methods, found.problems)?,
        None => AnomalyMethod::Mad,
    };
    let mut of = |key: &'static str, usual: u64| {
        found.fields.value(key).map_or(Some(usual), |yaml| whole(yaml, key, found.problems))
    };
    let (min_runs, window) = (of("min_runs", 7)? as usize, of("window", 30)? as usize);
    let sensitivity = found.not_negative(&["sensitivity"]).unwrap_or(3.0);
    if window < min_runs.max(2) {
        let message = format!(
            "`window` of `{}` has room for {window} runs, and with fewer than {} nothing is said",
            found.kind,
            min_runs.max(2)
        );
        found.problems.push(Diagnostic::error(Code::INVALID_VALUE, message).at(found.at.clone()));
    }
    Some(CheckKind::Anomaly(AnomalyRule { statistic, method, sensitivity, min_runs, window }))
}

pub(super) fn reconcile(found: &mut Arguments<'_>) -> Option<CheckKind> {
    let (key, yaml) = found.needed(&["to", "compare_model"])?;
    let to = table(yaml, key, found.problems)?;
    let mut of = |key: &'static str| found.fields.value(key).map(|yaml| all_written(yaml, key, found.problems));
    let (keys, exclude) = (of("key").transpose_all()?, of("exclude").transpose_all()?);
    let mut tolerance = Vec::new();
    if let Some(yaml) = found.fields.value("tolerance") {
        for entry in crate::decode::entries(yaml, "`tolerance`", found.problems)? {
            let column = Written { text: entry.key.clone(), location: entry.key_at.clone() };
            tolerance.push((column, one_tolerance(&entry.value, found.problems)?));
        }
    }
    if !tolerance.is_empty() && keys.is_none() {
        found.problems.push(lacks(
            found.kind,
            "the key `key` for `tolerance`, which says what rows belong together",
            found.at,
        ));
    }
    let rule = ReconcileRule { to, key: keys.unwrap_or_default(), exclude: exclude.unwrap_or_default(), tolerance };
    Some(CheckKind::Reconcile(rule))
}

pub(crate) fn one_tolerance(yaml: &Yaml, problems: &mut Problems) -> Option<Tolerance> {
    if yaml.scalar().is_some() {
        let absolute = number_from(0.0, "a number from 0", (yaml, "tolerance"), problems)?;
        return Some(Tolerance { absolute, relative: 0.0 });
    }
    let fields = Fields::open(yaml, "`tolerance`", &["abs", "rel"], problems)?;
    let mut of = |key: &'static str| match fields.value(key) {
        Some(yaml) => number_from(0.0, "a number from 0", (yaml, key), problems),
        None => Some(0.0),
    };
    Some(Tolerance { absolute: of("abs")?, relative: of("rel")? })
}

pub(super) fn query(found: &mut Arguments<'_>) -> Option<CheckKind> {
    let (key, yaml) = found.needed(&["query", "failing_rows"])?;
    Some(CheckKind::Template { sql: written(yaml, key, found.problems)? })
}

pub(super) fn coverage(found: &mut Arguments<'_>) -> Option<CheckKind> {
    let (key, yaml) = found.needed(&["of"])?;
    let of = table(yaml, key, found.problems)?;
    let min = found.fields.value("min").map(|yaml| share(yaml, "min", found.problems)).transpose_all()?;
    Some(CheckKind::Coverage { of, min: min.unwrap_or(1.0) })
}

pub(super) fn rows_per_key(found: &mut Arguments<'_>) -> Option<CheckKind> {
    let columns = match found.value(&["columns", "key"]) {
        Some((key, yaml)) => all_written(yaml, key, found.problems)?,
        None => vec![found.own_column()?],
    };
    if ["max_over_mean", "max_rows", "min_mean", "max_mean"].into_iter().all(|key| found.value(&[key]).is_none()) {
        found.problems.push(lacks(found.kind, "`max_over_mean`, `max_rows`, `min_mean` or `max_mean`", found.at));
        return None;
    }
    // The largest key is as large as the mean at least.
    let max_over_mean = match found.value(&["max_over_mean"]) {
        Some((key, yaml)) => Some(number_from(1.0, "a number from 1", (yaml, key), found.problems)?),
        None => None,
    };
    // What is wrong with it is said where the keys of every check are read, of which it is one.
    let max_rows = found.value(&["max_rows"]).and_then(|(_, yaml)| yaml.scalar()?.text.parse::<u64>().ok());
    let max_rows = max_rows.map(|rows| rows as f64);
    let mean = Interval { min: found.not_negative(&["min_mean"]), max: found.not_negative(&["max_mean"]) };
    let mean = found.checked(mean);
    Some(CheckKind::RowsPerKey { columns, max_over_mean, mean, max_rows })
}

pub(super) fn schema(found: &mut Arguments<'_>) -> Option<CheckKind> {
    let (key, yaml) = found.needed(&["columns"])?;
    let columns = match &yaml.value {
        Value::Map(entries) => entries
            .iter()
            .map(|entry| {
                let name = Written { text: entry.key.clone(), location: entry.key_at.clone() };
                let wanted = (!entry.value.is_null()).then(|| written(&entry.value, &entry.key, found.problems));
                Some((name, wanted.transpose_all()?))
            })
            .collect::<Option<Vec<_>>>()?,
        _ => all_written(yaml, key, found.problems)?.into_iter().map(|name| (name, None)).collect(),
    };
    let words = [("allow", true), ("forbid", false)];
    let others = found.fields.value("others").map(|yaml| word(yaml, "others", &words, found.problems));
    let is_ordered = found.flag("ordered").unwrap_or(false);
    Some(CheckKind::Schema(SchemaRule { columns, allows_others: others.transpose_all()?.unwrap_or(false), is_ordered }))
}
