//! What an incremental transform is: which rows a run computes, and what becomes of those that are there.

use crate::IntervalUnit;

/// How a table is computed bit by bit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incremental {
    /// Which rows are new, and what they replace.
    pub strategy: Strategy,
    /// For Python by key or that only grows: the column of the input by which rows are later than those that were read
    /// before. Without it all rows of the input count as new.
    pub later_by: Option<String>,
    /// What happens to rows of an earlier definition.
    pub on_definition_change: OnDefinitionChange,
}

/// Which rows are new, and what they replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// Intervals of time that are not there yet; an interval replaces itself.
    ByInterval(ByInterval),
    /// What the query says, or rows of Python's input; a row replaces the one with its key.
    Merge {
        /// The columns that tell rows apart.
        key: Vec<String>,
    },
    /// The same, and nothing is replaced.
    Append,
}

/// Intervals of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByInterval {
    /// The column of the result that says to which interval a row belongs; for Python one of the input as well.
    pub time_column: String,
    /// How long an interval is.
    pub unit: IntervalUnit,
    /// The number of the first interval.
    pub first: i64,
    /// The number of the interval before which the table ends; `None` where it goes on with time.
    pub end: Option<i64>,
    /// How many intervals before the newest are computed again for late rows.
    pub lookback: u32,
    /// How many intervals are computed and committed at once; `None` for all that follow one another.
    pub batch_intervals: Option<u32>,
}

/// What happens to rows of an earlier definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDefinitionChange {
    /// The whole table is computed anew.
    #[default]
    Rebuild,
    /// They stay; new rows are computed by the new definition.
    Forward,
}

impl Strategy {
    /// Returns its name as written in YAML.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ByInterval(_) => "by_interval",
            Self::Merge { .. } => "merge",
            Self::Append => "append",
        }
    }
}
