//! Statistical tests and distances between two samples, as functions of values and counts.
//!
//! Nothing here knows Arrow, checks or tables. What cannot be answered is a [`NotEvaluable`], never a
//! NaN that a comparison would let pass.
//!
//! Must stay true: no function panics on any input, and none returns NaN where it answers `Ok`,
//! save for a side value that its documentation names.

pub(crate) mod anomaly;
pub(crate) mod bins;
pub(crate) mod chi_square;
pub(crate) mod distance;
pub(crate) mod gamma;
pub(crate) mod ks;
mod ks_exact;
mod ks_limit;
pub(crate) mod multiple;
pub(crate) mod points;
pub(crate) mod skew;
pub(crate) mod summary;
pub(crate) mod wasserstein;

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum NotEvaluable {
    /// The reference has no values.
    EmptyReference,
    /// The data that is checked has no values.
    EmptyCurrent,
    /// Infinite values make the result undefined.
    InfiniteValues,
    /// Both sides must have the same total, and do not.
    SumsDiffer,
    /// Both sides must have the same categories or bins, and do not.
    ShapesDiffer,
    /// There are fewer values than the statistic needs.
    TooFewValues,
    /// There is nothing to compare with yet.
    NoBaseline,
    /// Too few runs have left a metric.
    ShortHistory,
    /// A sum is larger than any number that holds it.
    Overflow,
    /// A column has so many different values that they are no categories.
    TooManyCategories,
}

impl NotEvaluable {
    /// Returns its stable name, for JSON and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EmptyReference => "empty_reference",
            Self::EmptyCurrent => "empty_current",
            Self::InfiniteValues => "infinite_values",
            Self::SumsDiffer => "sums_differ",
            Self::ShapesDiffer => "shapes_differ",
            Self::TooFewValues => "too_few_values",
            Self::NoBaseline => "no_baseline",
            Self::ShortHistory => "short_history",
            Self::Overflow => "overflow",
            Self::TooManyCategories => "too_many_categories",
        }
    }

    /// Returns the reason for people.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::EmptyReference => "the reference has no values",
            Self::EmptyCurrent => "there are no values",
            Self::InfiniteValues => "infinite values leave it undefined",
            Self::SumsDiffer => "the totals of both sides differ",
            Self::ShapesDiffer => "both sides have different categories",
            Self::TooFewValues => "there are too few values",
            Self::NoBaseline => "there is nothing to compare with yet",
            Self::ShortHistory => "too few runs have left a value to compare with",
            Self::Overflow => "the sum is larger than any number that holds it",
            Self::TooManyCategories => "it has too many different values to be categories",
        }
    }
}

#[cfg(test)]
mod tests;
