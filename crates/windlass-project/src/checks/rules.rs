//! Rules with many parts: schema, drift, anomalies and reconciliation.

use std::time::Duration;

use super::{Statistic, Written};

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
    /// All versions that were published in this time before the run, taken together.
    Window(Duration),
    /// What `windlass profile --accept` has stored.
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
