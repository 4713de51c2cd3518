//! Many tests at once: p-values adjusted after Benjamini and Hochberg.

/// Returns p-values adjusted so that rejecting those below `alpha` keeps the expected share of false
/// alarms below `alpha`. Order is kept; NaN counts as 1.
pub(crate) fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let count = p_values.len();
    let known = |index: usize| if p_values[index].is_nan() { 1.0 } else { p_values[index] };
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|left, right| known(*left).total_cmp(&known(*right)));
    let mut adjusted = vec![1.0; count];
    let mut smallest: f64 = 1.0;
    for (rank, index) in order.iter().enumerate().rev() {
        smallest = smallest.min(known(*index) * count as f64 / (rank + 1) as f64);
        adjusted[*index] = smallest;
    }
    adjusted
}
