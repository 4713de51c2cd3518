//! Bins for numbers: one for each value where there are few, else quantiles of the reference.

use super::points::{Ordered, Point, quantile, total, walk};

/// Up to so many distinct values each has a bin of its own: quantiles cannot see a constant change.
const CATEGORICAL_UP_TO: usize = 20;

/// How numbers are put into bins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Binning {
    /// One bin a value for up to 20 distinct reference values, else quantiles.
    Auto { bins: usize },
    /// Edges at quantiles of the reference, the outer bins open.
    Quantiles { bins: usize },
    /// These inner edges; a bin holds its lower edge.
    Edges(Vec<f64>),
}

/// Returns the counts of both sides, bin by bin.
pub(crate) fn counts<T: Ordered>(
    reference: &[Point<T>],
    current: &[Point<T>],
    binning: &Binning,
) -> (Vec<f64>, Vec<f64>) {
    let edges = match binning {
        Binning::Auto { .. } if reference.len() <= CATEGORICAL_UP_TO => return by_value(reference, current),
        Binning::Auto { bins } | Binning::Quantiles { bins } => quantile_edges(reference, *bins),
        Binning::Edges(edges) => edges.clone(),
    };
    (histogram(reference, &edges), histogram(current, &edges))
}

/// Returns the distinct inner edges of equally full bins.
pub(crate) fn quantile_edges<T: Ordered>(reference: &[Point<T>], bins: usize) -> Vec<f64> {
    if total(reference) == 0 {
        return Vec::new();
    }
    let mut edges: Vec<f64> = (1..bins).filter_map(|index| quantile(reference, index as f64 / bins as f64)).collect();
    edges.dedup();
    edges
}

/// Counts values into the bins between `edges`.
pub(crate) fn histogram<T: Ordered>(points: &[Point<T>], edges: &[f64]) -> Vec<f64> {
    let mut counts = vec![0.0; edges.len() + 1];
    for (value, count) in points {
        let value = value.to_f64();
        counts[edges.partition_point(|edge| *edge <= value)] += *count as f64;
    }
    counts
}

fn by_value<T: Ordered>(reference: &[Point<T>], current: &[Point<T>]) -> (Vec<f64>, Vec<f64>) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    walk(reference, current, |_, in_reference, in_current| {
        left.push(in_reference as f64);
        right.push(in_current as f64);
    });
    (left, right)
}
