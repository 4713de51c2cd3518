//! What a check says, as text without places: two checks with the same text judge a table alike.
//!
//! Every kind names all of its fields here, so that a new one does not compile until someone has decided
//! what of it counts.

use super::{
    AnomalyRule, Bound, Change, CheckDefinition, CheckKind, DriftRule, Interval, KeptDuplicate, ReconcileRule,
    SchemaRule, Written,
};

impl CheckDefinition {
    /// Returns what it says. How many examples it shows says nothing about a table.
    pub fn identity(&self) -> String {
        let Self {
            name,
            column,
            kind,
            severity,
            on_fail,
            error_if,
            warn_if,
            filter,
            limit,
            sample_rows: _,
            store_failures,
            location: _,
        } = self;
        let rule = rule(kind);
        let filter = filter.as_ref().map(|filter| &filter.text);
        format!(
            "{name} {column:?} {severity:?} {on_fail:?} {error_if} {warn_if} {filter:?} {limit:?} {store_failures} {rule}"
        )
    }
}

impl CheckKind {
    /// Returns whether its answer may be another one each time it is looked at, for the same rows.
    pub fn depends_on_time(&self) -> bool {
        match self {
            Self::Freshness { .. } => true,
            Self::Python(check) => check.is_volatile(),
            _ => false,
        }
    }
}

/// Returns the rule of a check.
pub(super) fn rule(kind: &CheckKind) -> String {
    let name = kind.name();
    match kind {
        CheckKind::NotNull => name.to_owned(),
        CheckKind::Schema(SchemaRule { columns, allows_others, is_ordered }) => {
            let columns = columns.iter().map(|(name, kind)| (&name.text, kind.as_ref().map(|kind| &kind.text)));
            format!("{name} {:?} {allows_others} {is_ordered}", columns.collect::<Vec<_>>())
        }
        CheckKind::NullRate(bounds) | CheckKind::RowCount(bounds) => format!("{name} {}", interval(bounds)),
        CheckKind::Unique { columns, keep } => format!("{name} {} {}", texts(columns), kept(keep)),
        CheckKind::Values { values, are_accepted } => format!("{name} {are_accepted} {}", texts(values)),
        CheckKind::Range { min, max } => format!("{name} {} {}", bound(min), bound(max)),
        CheckKind::Length { min, max } => format!("{name} {min:?} {max:?}"),
        CheckKind::Regex { pattern, must_match } => format!("{name} {must_match} {:?}", pattern.text),
        CheckKind::Monotonic { descending, strict, order_by } => {
            format!("{name} {descending} {strict} {:?}", order_by.as_ref().map(|by| &by.text))
        }
        CheckKind::Pair { left, comparison, right } => {
            format!("{name} {:?} {comparison:?} {:?}", left.text, right.text)
        }
        CheckKind::Expression { sql } => format!("{name} {:?}", sql.text),
        CheckKind::Relationships { columns, to, fields } => {
            format!("{name} {} {:?} {}", texts(columns), to.text, texts(fields))
        }
        CheckKind::RowCountChange(moved) => format!("{name} {}", change(moved)),
        CheckKind::SameRowCount { to, tolerance } => format!("{name} {:?} {tolerance}", to.text),
        CheckKind::Freshness { column, max_age, warn_after } => {
            format!("{name} {:?} {max_age:?} {warn_after:?}", column.text)
        }
        CheckKind::Sql { query } => format!("{name} {:?}", query.sql),
        CheckKind::Python(check) => format!("{name} {}", check.identity()),
        CheckKind::Template { sql } => format!("{name} {:?}", sql.text),
        CheckKind::Statistic { statistic, bounds, written, change: moved } => {
            let (bounds, written) =
                (interval(bounds), written.each_ref().map(|text| text.as_deref().unwrap_or_default()));
            format!("{name} {statistic:?} {bounds} {written:?} {}", moved.as_ref().map(change).unwrap_or_default())
        }
        CheckKind::Drift(DriftRule { method, baseline, warn, error, bins, p_value, forbids_new, forbids_missing }) => {
            format!(
                "{name} {method:?} {baseline:?} {warn:?} {error:?} {bins} {p_value:?} {forbids_new} {forbids_missing}"
            )
        }
        CheckKind::Anomaly(AnomalyRule { statistic, method, sensitivity, min_runs, window }) => {
            format!("{name} {statistic:?} {method:?} {sensitivity} {min_runs} {window}")
        }
        CheckKind::Reconcile(ReconcileRule { to, key, exclude, tolerance }) => {
            let tolerance = tolerance.iter().map(|(column, by)| (&column.text, by.absolute, by.relative));
            let tolerance: Vec<_> = tolerance.collect();
            format!("{name} {:?} {} {} {tolerance:?}", to.text, texts(key), texts(exclude))
        }
        CheckKind::Coverage { of, min } => format!("{name} {:?} {min}", of.text),
        CheckKind::RowsPerKey { columns, max_over_mean, mean, max_rows } => {
            format!("{name} {} {max_over_mean:?} {} {max_rows:?}", texts(columns), interval(mean))
        }
    }
}

fn kept(keep: &KeptDuplicate) -> String {
    match keep {
        KeptDuplicate::None => "none".to_owned(),
        KeptDuplicate::First { by, is_descending } => format!("first {:?} {is_descending}", by.text),
    }
}

fn texts(all: &[Written]) -> String {
    format!("{:?}", all.iter().map(|one| &one.text).collect::<Vec<_>>())
}

fn bound(bound: &Option<Bound>) -> String {
    format!("{:?}", bound.as_ref().map(|Bound { value, is_inclusive }| (&value.text, is_inclusive)))
}

fn interval(Interval { min, max }: &Interval) -> String {
    format!("{min:?} {max:?}")
}

fn change(Change { max_drop, max_rise }: &Change) -> String {
    format!("{max_drop:?} {max_rise:?}")
}
