//! Rows per key: whether one key has many more than the others.

use super::NotEvaluable;

/// How rows spread over keys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct KeySkew {
    /// Distinct keys.
    pub(crate) keys: u64,
    /// Rows with a key.
    pub(crate) rows: u64,
    /// Rows of an average key.
    pub(crate) mean: f64,
    /// Rows of the largest key.
    pub(crate) largest: u64,
}

impl KeySkew {
    /// Returns the figures of `keys` keys that have `rows` rows together and at most `largest` each.
    pub(crate) fn new(keys: u64, rows: u64, largest: u64) -> Result<Self, NotEvaluable> {
        if keys == 0 {
            return Err(NotEvaluable::EmptyCurrent);
        }
        Ok(Self { keys, rows, mean: rows as f64 / keys as f64, largest })
    }

    /// Returns how many average keys the largest one is.
    pub(crate) fn ratio(&self) -> f64 {
        // By whole numbers, which are rounded once: `mean` is rounded already.
        (u128::from(self.largest) * u128::from(self.keys)) as f64 / self.rows as f64
    }
}
