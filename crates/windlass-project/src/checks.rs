//! Checks: rules on a table, as a project defines them.
//!
//! Plain data with the place of everything that may turn out wrong later, when the table's columns
//! and types are known. `decode` reads them from YAML, `kinds` holds the list of what may be
//! checked, `singular` reads `checks/*.sql` and takes those of `checks/*.py`, and `attach` gives them
//! to their nodes.
//!
//! Must stay true: names of checks are unique in a node; a bound is kept as written, since only its
//! column's type says what it means.

mod arguments;
mod attach;
mod decode;
mod identity;
mod kinds;
mod of_rows;
mod of_tables;
mod quarantine;
mod rules;
mod singular;
mod threshold;
mod values;

use std::time::Duration;

use windlass_error::Location;

use crate::{PythonCheck, Transform};

pub use rules::{AnomalyMethod, AnomalyRule, Baseline, DriftMethod, DriftRule, ReconcileRule, SchemaRule, Tolerance};
pub use threshold::{Comparison, Threshold, in_percent};

pub(crate) use attach::{attach, unknown_table};
pub(crate) use decode::{CHECK_KEYS, decode_checks, decode_column_checks};
pub(crate) use kinds::QUERY;
pub(crate) use of_tables::one_tolerance;
pub(crate) use singular::{Singular, in_python, read_singular};
pub(crate) use values::{parse_threshold, share, table, word};

/// Offending rows that `store_failures` keeps unless `limit` says otherwise.
const STORED_ROWS: u64 = 1_000;
/// It keeps no more of one check, since they wait in memory.
const MOST_STORED_ROWS: u64 = 100_000;

/// A rule on a table.
#[derive(Debug, Clone)]
pub struct CheckDefinition {
    /// Unique in its node, such as `not_null_email`.
    pub name: String,
    /// The column below which it stands.
    pub column: Option<String>,
    /// What must hold.
    pub kind: CheckKind,
    /// What a broken rule means.
    pub severity: CheckSeverity,
    /// What happens to the table, or to the rows.
    pub on_fail: OnFail,
    /// How many offending rows are an error; looked at first, and only for [`CheckSeverity::Error`].
    pub error_if: Threshold,
    /// How many offending rows are a warning.
    pub warn_if: Threshold,
    /// Only rows for which this SQL condition holds are looked at; written `where`.
    pub filter: Option<Written>,
    /// Count at most so many offending rows.
    pub limit: Option<u64>,
    /// How many offending rows are shown.
    pub sample_rows: usize,
    /// Whether offending rows are kept in a table of their own.
    pub store_failures: bool,
    /// Where it is defined.
    pub location: Location,
}

impl CheckDefinition {
    /// Returns how many offending rows are kept: as many as are shown, or as many as go to the table of
    /// failing rows.
    pub fn kept_rows(&self) -> usize {
        let stored = self.limit.unwrap_or(STORED_ROWS).min(MOST_STORED_ROWS) as usize;
        if self.store_failures { stored } else { self.sample_rows }
    }
}

/// A text with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub location: Location,
}

/// What a broken rule means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CheckSeverity {
    /// The table is published all the same.
    Warn,
    /// The table is not published.
    #[default]
    Error,
}

impl CheckSeverity {
    /// Returns its name as written in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// What happens when a rule is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFail {
    /// The table is not published.
    #[default]
    Error,
    /// It is reported.
    Warn,
    /// Offending rows go to the error table, the others are published.
    Quarantine,
}

impl OnFail {
    /// Returns its name as written in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Quarantine => "quarantine",
        }
    }
}

/// Which of the rows of a key stays.
#[derive(Debug, Clone, Default)]
pub enum KeptDuplicate {
    /// None.
    #[default]
    None,
    /// The first by a column; none, where several are.
    First {
        /// The column.
        by: Written,
        /// Whether large values come first.
        is_descending: bool,
    },
}

/// What must hold.
#[derive(Debug, Clone)]
pub enum CheckKind {
    /// The columns are these, with these types.
    Schema(SchemaRule),
    /// No value is NULL.
    NotNull,
    /// The share of NULL, from 0 to 1, is within bounds.
    NullRate(Interval),
    /// No two rows agree in these columns. NULL is like any value where there are several columns,
    /// and left out where there is one.
    Unique {
        /// The columns.
        columns: Vec<Written>,
        /// Which of several rows stays where the others go to the error table.
        keep: KeptDuplicate,
    },
    /// Values are among these, or are not.
    Values {
        /// The values.
        values: Vec<Written>,
        /// Whether others are wrong, or these.
        are_accepted: bool,
    },
    /// Values lie between bounds.
    Range {
        /// The lower bound.
        min: Option<Bound>,
        /// The upper bound.
        max: Option<Bound>,
    },
    /// Texts have so many characters.
    Length {
        /// At least.
        min: Option<u64>,
        /// At most.
        max: Option<u64>,
    },
    /// A regular expression is found in the text, or is not.
    Regex {
        /// The expression.
        pattern: Written,
        /// Whether it must be found.
        must_match: bool,
    },
    /// Values never fall from row to row, or never rise.
    Monotonic {
        /// Whether they fall.
        descending: bool,
        /// Whether equal neighbours are wrong too.
        strict: bool,
        /// The column that orders the rows; else rows are taken as they are written.
        order_by: Option<Written>,
    },
    /// Two columns compare like this in each row.
    Pair {
        /// One column.
        left: Written,
        /// How.
        comparison: Comparison,
        /// The other.
        right: Written,
    },
    /// A SQL condition holds for each row.
    Expression {
        /// The condition.
        sql: Written,
    },
    /// Each value is found in another table.
    Relationships {
        /// The columns here.
        columns: Vec<Written>,
        /// The other table.
        to: Written,
        /// The columns there, as many.
        fields: Vec<Written>,
    },
    /// The table has so many rows.
    RowCount(Interval),
    /// The number of rows has not changed by more than this share since the last version.
    RowCountChange(Change),
    /// The table has as many rows as another one.
    SameRowCount {
        /// The other table.
        to: Written,
        /// The share by which they may differ.
        tolerance: f64,
    },
    /// The newest timestamp is young enough.
    Freshness {
        /// The column of timestamps; for a check on a column, that one.
        column: Written,
        /// The age that is an error.
        max_age: Option<Duration>,
        /// The age that is a warning.
        warn_after: Option<Duration>,
    },
    /// A query as YAML holds it, until it is rendered: no node of a project has one.
    Template {
        /// The query.
        sql: Written,
    },
    /// A query returns no rows.
    Sql {
        /// The query, rendered; its own table is among its inputs.
        query: Box<Transform>,
    },
    /// Code says of each row whether it is good.
    Python(Box<PythonCheck>),
    /// A figure of the column lies within bounds.
    Statistic {
        /// Which figure.
        statistic: Statistic,
        /// Its bounds.
        bounds: Interval,
        /// The same as written: a sum of large integers is held against these, since a float would round them.
        written: [Option<String>; 2],
        /// How far it may move from the last version.
        change: Option<Change>,
    },
    /// The column's values are spread as they were.
    Drift(DriftRule),
    /// A figure of the table does not stand out from its history.
    Anomaly(AnomalyRule),
    /// The table equals another one.
    Reconcile(ReconcileRule),
    /// So large a share of an input's rows arrives.
    Coverage {
        /// The input.
        of: Written,
        /// At least this share, from 0 to 1.
        min: f64,
    },
    /// Rows spread evenly over keys.
    RowsPerKey {
        /// The columns of the key.
        columns: Vec<Written>,
        /// The largest key has at most so many times the rows of an average one.
        max_over_mean: Option<f64>,
        /// Bounds of the average.
        mean: Interval,
        /// The most rows that a key may have.
        max_rows: Option<f64>,
    },
}

impl CheckKind {
    /// Returns whether each row is judged alone.
    pub fn is_on_rows(&self) -> bool {
        matches!(
            self,
            Self::NotNull
                | Self::Values { .. }
                | Self::Range { .. }
                | Self::Length { .. }
                | Self::Regex { .. }
                | Self::Pair { .. }
                | Self::Expression { .. }
        )
    }

    /// Returns its name as written in YAML.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Schema(_) => "schema",
            Self::NotNull => "not_null",
            Self::NullRate(_) => "null_rate",
            Self::Unique { .. } => "unique",
            Self::Values { are_accepted: true, .. } => "accepted_values",
            Self::Values { are_accepted: false, .. } => "rejected_values",
            Self::Range { .. } => "range",
            Self::Length { .. } => "length",
            Self::Regex { must_match: true, .. } => "regex",
            Self::Regex { must_match: false, .. } => "not_regex",
            Self::Monotonic { .. } => "monotonic",
            Self::Pair { .. } => "pair",
            Self::Expression { .. } => "expression",
            Self::Relationships { .. } => "relationships",
            Self::RowCount(_) => "row_count",
            Self::RowCountChange(_) => "row_count_change",
            Self::SameRowCount { .. } => "same_row_count",
            Self::Freshness { .. } => "freshness",
            Self::Template { .. } | Self::Sql { .. } => QUERY,
            Self::Python(_) => "python",
            Self::Statistic { statistic, .. } => statistic.name(),
            Self::Drift(_) => "drift",
            Self::Anomaly(_) => "anomaly",
            Self::Reconcile(_) => "reconcile",
            Self::Coverage { .. } => "coverage",
            Self::RowsPerKey { .. } => "rows_per_key",
        }
    }
}

/// A bound as written.
#[derive(Debug, Clone)]
pub struct Bound {
    /// The value.
    pub value: Written,
    /// Whether the value itself is allowed.
    pub is_inclusive: bool,
}

/// Bounds of a figure, both allowed themselves.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Interval {
    /// At least.
    pub min: Option<f64>,
    /// At most.
    pub max: Option<f64>,
}

impl Interval {
    /// Returns whether a figure lies within. NaN does not.
    pub fn contains(&self, value: f64) -> bool {
        !value.is_nan() && self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.min, self.max) {
            (Some(min), Some(max)) if min == max => write!(f, "{min}"),
            (Some(min), Some(max)) => write!(f, "{min} to {max}"),
            (Some(min), None) => write!(f, "at least {min}"),
            (None, Some(max)) => write!(f, "at most {max}"),
            (None, None) => write!(f, "any"),
        }
    }
}

/// How far a figure may move, as shares of what it was.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Change {
    /// At most so far down.
    pub max_drop: Option<f64>,
    /// At most so far up.
    pub max_rise: Option<f64>,
}

/// A figure of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    /// The arithmetic mean.
    Mean,
    /// The standard deviation of a sample.
    Deviation,
    /// The sum.
    Sum,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The value below which this share of all values lies.
    Quantile(f64),
    /// The number of different values.
    DistinctCount,
}

impl Statistic {
    /// Returns its name as written in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Deviation => "stddev",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Quantile(_) => "quantile",
            Self::DistinctCount => "distinct_count",
        }
    }
}

#[cfg(test)]
mod tests;
