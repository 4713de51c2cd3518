//! Checks: rules on a table, as a project defines them.
//!
//! Plain data with the place of everything that may turn out wrong later, when the table's columns
//! and types are known. `decode` reads them from YAML, `kinds` holds the list of what may be
//! checked, `singular` reads `checks/*.sql`.
//!
//! Must stay true: names of checks are unique in a node; a bound is kept as written, since only its
//! column's type says what it means.

use std::time::Duration;

use windlass_error::Location;

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
    /// How many offending rows are kept as examples.
    pub sample_rows: usize,
    /// Where it is defined.
    pub location: Location,
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

/// How many offending rows are too many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// How the number compares.
    pub comparison: Comparison,
    /// With what, in rows, or as a share from 0 to 1.
    pub value: f64,
    /// The other end of `between`.
    pub upper: Option<f64>,
    /// Whether `value` is a share of the rows looked at.
    pub is_share: bool,
}

impl Threshold {
    /// Any offending row is one too many.
    pub const ANY: Self = Self { comparison: Comparison::NotEqual, value: 0.0, upper: None, is_share: false };

    /// Returns whether `failing` of `rows` rows are too many.
    pub fn is_met(&self, failing: u64, rows: u64) -> bool {
        let found = match self.is_share {
            true if rows == 0 => 0.0,
            true => failing as f64 / rows as f64,
            false => failing as f64,
        };
        match self.upper {
            Some(upper) => (self.value..=upper).contains(&found),
            None => self.comparison.holds(found.partial_cmp(&self.value)),
        }
    }
}

impl std::fmt::Display for Threshold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = |value: f64| match self.is_share {
            true => format!("{} %", value * 100.0),
            false => format!("{value}"),
        };
        match self.upper {
            Some(upper) => write!(f, "between {} and {}", number(self.value), number(upper)),
            None => write!(f, "{} {}", self.comparison.symbol(), number(self.value)),
        }
    }
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// Returns the comparison of an operator; `==`, `!=` and `<>` are understood too.
    pub fn of_symbol(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "=" | "==" => Self::Equal,
            "!=" | "<>" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// Returns its operator.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Returns whether it holds for values in this order. Values without an order differ.
    pub fn holds(self, order: Option<std::cmp::Ordering>) -> bool {
        let Some(order) = order else { return self == Self::NotEqual };
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
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
    /// A query returns no rows.
    Sql {
        /// The query, rendered; the table is named in it.
        query: Written,
    },
    /// A figure of the column lies within bounds.
    Statistic {
        /// Which figure.
        statistic: Statistic,
        /// Its bounds.
        bounds: Interval,
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
            Self::Sql { .. } => "sql",
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

/// Which columns a table has.
#[derive(Debug, Clone)]
pub struct SchemaRule {
    /// Names with types where they matter.
    pub columns: Vec<(Written, Option<Written>)>,
    /// Whether others may be there too.
    pub allows_others: bool,
    /// Whether their order matters.
    pub is_ordered: bool,
}

/// How drift is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DriftMethod {
    /// By the column: an index of shares for numbers with many values, else Jensen-Shannon.
    #[default]
    Auto,
    /// Population stability index.
    Psi,
    /// The Kolmogorov-Smirnov statistic.
    KolmogorovSmirnov,
    /// Cramer's V of the chi-square test.
    ChiSquare,
    /// The Jensen-Shannon distance in base 2.
    JensenShannon,
    /// The Wasserstein distance in standard deviations of the reference.
    Wasserstein,
}

/// With what a column is compared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Baseline {
    /// The version that is published now.
    #[default]
    Previous,
    /// A version of the table.
    Version(u64),
    /// What `windlass profile` has stored.
    Stored,
}

/// Drift of a column.
#[derive(Debug, Clone)]
pub struct DriftRule {
    /// How it is measured.
    pub method: DriftMethod,
    /// Against what.
    pub baseline: Baseline,
    /// From here on it is a warning.
    pub warn: Option<f64>,
    /// From here on it is an error.
    pub error: Option<f64>,
    /// Bins of the index.
    pub bins: usize,
    /// The p-value below which it is an error; for users who insist.
    pub p_value: Option<f64>,
    /// Whether categories that the baseline lacks are wrong.
    pub forbids_new: bool,
    /// Whether categories that only the baseline has are wrong.
    pub forbids_missing: bool,
}

/// How a figure is compared with its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AnomalyMethod {
    /// By the median absolute deviation.
    #[default]
    Mad,
    /// By the standard deviation.
    ZScore,
    /// By the interquartile range.
    Iqr,
}

/// Whether a figure stands out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnomalyRule {
    /// Which figure: of the column, or the number of rows.
    pub statistic: Option<Statistic>,
    /// How far is measured.
    pub method: AnomalyMethod,
    /// How many deviations are too far.
    pub sensitivity: f64,
    /// With fewer runs before, nothing is said.
    pub min_runs: usize,
    /// The last so many runs are looked at.
    pub window: usize,
}

/// How two tables are compared.
#[derive(Debug, Clone)]
pub struct ReconcileRule {
    /// The other table.
    pub to: Written,
    /// Columns that identify a row.
    pub key: Vec<Written>,
    /// Columns that may differ.
    pub exclude: Vec<Written>,
    /// How far numbers of a column may be apart.
    pub tolerance: Vec<(Written, Tolerance)>,
}

/// How far two numbers may be apart.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tolerance {
    /// In units of the value.
    pub absolute: f64,
    /// As a share of the other value.
    pub relative: f64,
}
