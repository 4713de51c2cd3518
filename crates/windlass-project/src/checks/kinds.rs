//! What may be checked: one visible list of kinds, their keys and how they are read.
//!
//! Names of dbt, dbt_utils and dbt_expectations stand beside ours and mean the same.

use super::arguments::Arguments;
use super::of_rows::{expression, length, monotonic, null_rate, pair, range, regex, relationships, unique, values};
use super::of_tables::{
    anomaly, coverage, drift, freshness, quantile, query, reconcile, row_count_change, rows_per_key, same_row_count,
    schema, statistic,
};
use super::{CheckKind, Statistic};

/// A kind of check.
pub(super) struct Kind {
    /// Its names, ours first.
    pub(super) names: &'static [&'static str],
    /// The keys that it knows besides those of every check.
    pub(super) keys: &'static [&'static str],
    /// The key that a value without keys stands for, as in `accepted_values: [a, b]`.
    pub(super) short: Option<&'static str>,
    /// Reads it.
    pub(super) decode: fn(&mut Arguments<'_>) -> Option<CheckKind>,
}

/// The kind whose query is a template of its own.
pub(crate) const QUERY: &str = "sql";

/// Every kind of check.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        names: &["not_null", "expect_column_values_to_not_be_null"],
        keys: &[],
        short: None,
        decode: |found| found.own_column().map(|_| CheckKind::NotNull),
    },
    Kind {
        names: &["null_rate", "not_null_proportion"],
        keys: &["min", "max", "at_least", "at_most"],
        short: Some("max"),
        decode: null_rate,
    },
    Kind {
        names: &[
            "unique",
            "unique_combination_of_columns",
            "expect_column_values_to_be_unique",
            "expect_compound_columns_to_be_unique",
        ],
        keys: &["columns", "combination_of_columns", "column_list", "quote_columns", "keep", "order_by"],
        short: Some("columns"),
        decode: unique,
    },
    Kind {
        names: &["accepted_values", "expect_column_values_to_be_in_set"],
        keys: &["values", "value_set", "quote"],
        short: Some("values"),
        decode: |found| values(found, true),
    },
    Kind {
        names: &["rejected_values", "not_accepted_values", "expect_column_values_to_not_be_in_set"],
        keys: &["values", "value_set", "quote"],
        short: Some("values"),
        decode: |found| values(found, false),
    },
    Kind {
        names: &["range", "accepted_range", "expect_column_values_to_be_between"],
        keys: &["min", "max", "min_value", "max_value", "inclusive", "strictly"],
        short: None,
        decode: range,
    },
    Kind {
        names: &["length", "expect_column_value_lengths_to_be_between", "expect_column_value_lengths_to_equal"],
        keys: &["min", "max", "min_value", "max_value", "equals", "value"],
        short: Some("equals"),
        decode: length,
    },
    Kind {
        names: &["regex", "matches", "expect_column_values_to_match_regex"],
        keys: &["pattern", "regex"],
        short: Some("pattern"),
        decode: |found| regex(found, true),
    },
    Kind {
        names: &["not_regex", "expect_column_values_to_not_match_regex"],
        keys: &["pattern", "regex"],
        short: Some("pattern"),
        decode: |found| regex(found, false),
    },
    Kind {
        names: &["monotonic", "sequential"],
        keys: &["direction", "strict", "order_by"],
        short: Some("direction"),
        decode: monotonic,
    },
    Kind { names: &["pair", "compare"], keys: &["left", "operator", "right", "other"], short: None, decode: pair },
    Kind {
        names: &["expression", "expression_is_true"],
        keys: &["expression", "sql"],
        short: Some("expression"),
        decode: expression,
    },
    Kind {
        names: &["relationships", "relationship"],
        keys: &["to", "field", "fields", "columns"],
        short: None,
        decode: relationships,
    },
    Kind {
        names: &["row_count", "expect_table_row_count_to_be_between", "expect_table_row_count_to_equal"],
        keys: BOUNDS,
        short: Some("equals"),
        decode: |found| found.required_counts().map(CheckKind::RowCount),
    },
    Kind { names: &["row_count_change"], keys: CHANGES, short: Some("max_change"), decode: row_count_change },
    Kind {
        names: &["same_row_count", "equal_rowcount"],
        keys: &["to", "compare_model", "tolerance"],
        short: Some("to"),
        decode: same_row_count,
    },
    Kind {
        names: &["freshness", "recency"],
        keys: &["max_age", "warn_after", "error_after"],
        short: Some("max_age"),
        decode: freshness,
    },
    Kind {
        names: &["mean", "expect_column_mean_to_be_between"],
        keys: FIGURES,
        short: None,
        decode: |found| statistic(found, Statistic::Mean),
    },
    Kind {
        names: &["stddev", "expect_column_stdev_to_be_between"],
        keys: FIGURES,
        short: None,
        decode: |found| statistic(found, Statistic::Deviation),
    },
    Kind {
        names: &["sum", "expect_column_sum_to_be_between"],
        keys: FIGURES,
        short: None,
        decode: |found| statistic(found, Statistic::Sum),
    },
    Kind {
        names: &["min", "expect_column_min_to_be_between"],
        keys: FIGURES,
        short: None,
        decode: |found| statistic(found, Statistic::Min),
    },
    Kind {
        names: &["max", "expect_column_max_to_be_between"],
        keys: FIGURES,
        short: None,
        decode: |found| statistic(found, Statistic::Max),
    },
    Kind {
        names: &["median", "expect_column_median_to_be_between"],
        keys: FIGURES,
        short: None,
        decode: |found| statistic(found, Statistic::Quantile(0.5)),
    },
    Kind {
        names: &["quantile", "expect_column_quantile_values_to_be_between"],
        keys: QUANTILES,
        short: None,
        decode: quantile,
    },
    Kind {
        names: &["distinct_count", "expect_column_unique_value_count_to_be_between"],
        keys: FIGURES,
        short: Some("equals"),
        decode: |found| statistic(found, Statistic::DistinctCount),
    },
    Kind {
        names: &["drift"],
        keys: &[
            "method",
            "metric",
            "baseline",
            "warn",
            "error",
            "bins",
            "p_value",
            "new_categories",
            "missing_categories",
        ],
        short: Some("method"),
        decode: drift,
    },
    Kind {
        names: &["anomaly"],
        keys: &["metric", "method", "sensitivity", "min_runs", "window"],
        short: Some("metric"),
        decode: anomaly,
    },
    Kind {
        names: &["reconcile", "equality"],
        keys: &["to", "compare_model", "key", "exclude", "tolerance"],
        short: None,
        decode: reconcile,
    },
    Kind { names: &["coverage"], keys: &["of", "min"], short: Some("of"), decode: coverage },
    Kind {
        names: &["rows_per_key", "key_skew"],
        keys: &["columns", "key", "max_over_mean", "max_rows", "min_mean", "max_mean"],
        short: Some("max_over_mean"),
        decode: rows_per_key,
    },
    Kind { names: &[QUERY], keys: &["query", "failing_rows"], short: Some("query"), decode: query },
    Kind { names: &["schema"], keys: &["columns", "others", "ordered"], short: Some("columns"), decode: schema },
];

const BOUNDS: &[&str] = &["min", "max", "min_value", "max_value", "equals", "value"];
pub(super) const CHANGES: &[&str] = &["max_drop", "max_rise", "max_change"];
const FIGURES: &[&str] = &["min", "max", "min_value", "max_value", "equals", "value", "vs_previous"];
const QUANTILES: &[&str] = &["p", "quantile", "min", "max", "min_value", "max_value", "equals", "value", "vs_previous"];
