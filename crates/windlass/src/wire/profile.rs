//! What `windlass profile --format json` prints; see `wire` for the rules.

use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::Value;
use windlass_engine::{Accepted, Bar, ColumnProfile, Figure, TableProfile};

/// `windlass.profile/1`.
#[derive(Debug, Serialize)]
pub(crate) struct ProfileReport {
    pub(crate) node: String,
    pub(crate) table_version: Option<u64>,
    pub(crate) rows: u64,
    pub(crate) columns: Vec<WireProfile>,
    pub(crate) accepted: bool,
    pub(crate) baseline: Option<WireBaseline>,
}

/// The profile that drift is measured from.
#[derive(Debug, Serialize)]
pub(crate) struct WireBaseline {
    pub(crate) table_version: Option<u64>,
    pub(crate) accepted_at: String,
}

/// Statistics of a column.
#[derive(Debug, Serialize)]
pub(crate) struct WireProfile {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) data_type: String,
    pub(crate) nulls: u64,
    pub(crate) nans: u64,
    pub(crate) distinct: Option<u64>,
    pub(crate) distinct_is_exact: Option<bool>,
    pub(crate) min: Value,
    pub(crate) max: Value,
    pub(crate) mean: Option<f64>,
    pub(crate) stddev: Option<f64>,
    pub(crate) quantiles: Vec<WireQuantile>,
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) top: Vec<WireCount>,
    pub(crate) histogram: Vec<WireBar>,
}

/// A value below which this share of all values lies.
#[derive(Debug, Serialize)]
pub(crate) struct WireQuantile {
    pub(crate) p: f64,
    pub(crate) value: Value,
}

/// A value with its rows.
#[derive(Debug, Serialize)]
pub(crate) struct WireCount {
    pub(crate) value: Value,
    pub(crate) rows: u64,
}

/// A bar of a histogram.
#[derive(Debug, Serialize)]
pub(crate) struct WireBar {
    pub(crate) from: Value,
    pub(crate) to: Value,
    pub(crate) rows: u64,
}

impl ProfileReport {
    /// Returns a profile with what drift is measured from now.
    pub(crate) fn new(profile: &TableProfile, accepted: bool, baseline: Option<Accepted>) -> Self {
        let baseline = baseline.map(|baseline| WireBaseline {
            table_version: baseline.version,
            accepted_at: baseline.at.to_rfc3339_opts(SecondsFormat::Millis, true),
        });
        Self {
            node: profile.table.clone(),
            table_version: profile.version,
            rows: profile.rows,
            columns: profile.columns.iter().map(Into::into).collect(),
            accepted,
            baseline,
        }
    }
}

impl From<&ColumnProfile> for WireProfile {
    fn from(column: &ColumnProfile) -> Self {
        let value = |value: &Option<Figure>| value.as_ref().map_or(Value::Null, figure);
        let quantile = |(p, value): &(f64, Figure)| WireQuantile { p: *p, value: figure(value) };
        let bar = |bar: &Bar| WireBar { from: figure(&bar.from), to: figure(&bar.to), rows: bar.rows };
        Self {
            name: column.name.clone(),
            data_type: column.data_type.clone(),
            nulls: column.nulls,
            nans: column.nans,
            distinct: column.distinct.map(|(count, _)| count),
            distinct_is_exact: column.distinct.map(|(_, is_exact)| is_exact),
            min: value(&column.min),
            max: value(&column.max),
            mean: column.mean,
            stddev: column.stddev,
            quantiles: column.quantiles.iter().map(quantile).collect(),
            min_length: column.lengths.map(|(shortest, _)| shortest),
            max_length: column.lengths.map(|(_, longest)| longest),
            top: column.top.iter().map(|(value, rows)| WireCount { value: figure(value), rows: *rows }).collect(),
            histogram: column.histogram.iter().map(bar).collect(),
        }
    }
}

/// Returns a value as JSON has it; an infinity is `null`.
fn figure(value: &Figure) -> Value {
    match value {
        Figure::Integer(value) => (*value).into(),
        Figure::Float(value) => (*value).into(),
        Figure::Text(text) => text.as_str().into(),
    }
}
