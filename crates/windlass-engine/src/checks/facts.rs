//! What checks need to know besides the table's rows: found out by others, and handed to `evaluate`.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use windlass_error::Location;

use super::profile::Profile;
use super::stats::NotEvaluable;

/// What checks need to know besides the table's rows.
#[derive(Default)]
pub(crate) struct Facts {
    /// The time of the run, in microseconds since 1970.
    pub(crate) now_us: i64,
    /// Whether looking ended before the last row, since the table cannot be published.
    pub(crate) is_cut_short: bool,
    /// Rows of the version that is published now.
    pub(crate) previous_rows: Option<u64>,
    /// What checks have observed in earlier versions, oldest first, by name.
    pub(crate) history: HashMap<String, Vec<f64>>,
    /// With what drift is compared, by the name of the check.
    pub(crate) baselines: Baselines,
    /// Rows of other tables, by name.
    pub(crate) other_rows: HashMap<String, u64>,
    /// What queries have answered, by the name of the check.
    pub(crate) queried: HashMap<String, Result<Queried, Unanswered>>,
}

/// Profiles that drift is measured from, or why there are none, by the names of checks.
pub(crate) type Baselines = HashMap<String, Result<Profile, NoProfile>>;

/// Why there is nothing to compare with, though something was named.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NoProfile {
    /// There is no such thing.
    Reason(NotEvaluable),
    /// It cannot be read.
    Unreadable(String),
}

/// Why something was not answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unanswered {
    /// In a line, for people.
    pub(crate) why: String,
    /// Where the user's code is to blame.
    pub(crate) at: Option<Location>,
}

/// What a query, or the user's code, has answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queried {
    /// Offending rows.
    pub(crate) failing: u64,
    /// Rows looked at, where it says.
    pub(crate) rows: Option<u64>,
    /// Some offending rows.
    pub(crate) examples: Vec<RecordBatch>,
    /// What was found, where a number of rows does not say it.
    pub(crate) detail: Option<String>,
    /// Other figures, by stable names.
    pub(crate) figures: Figures,
}

/// Figures by stable names.
pub(crate) type Figures = Vec<(&'static str, f64)>;
