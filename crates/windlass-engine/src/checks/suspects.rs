//! Rows that leave the table for their key: duplicates, keys that no other table knows, and values that a check
//! in Python calls bad.
//!
//! Which keys these are is known once all rows have been seen. So the rows are looked at once more, with
//! rules that know the keys by their hashes.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::error::ArrowError;

use super::columns::{View, normalise};
use super::hash;

/// Hashes of keys.
pub(crate) type Hashes = HashSet<u128>;

/// What is known of the keys of each check that diverts rows by key, by its name.
pub(crate) type Suspected = BTreeMap<String, Suspects>;

/// The keys of a check whose rows leave.
#[derive(Debug, Clone)]
pub(crate) struct Suspects {
    /// The keys.
    pub(crate) keys: Arc<Hashes>,
    /// Where one row of a key stays: the key and the value by which it is the first.
    pub(crate) first: Option<Arc<Hashes>>,
}

/// A rule that rows break for their key.
#[derive(Debug, Clone)]
pub(crate) struct KeyRule {
    /// The columns of the key.
    pub(crate) key: Vec<usize>,
    /// The column by which one row of a key is the first.
    pub(crate) order: Option<usize>,
    /// Whether a row without a value in one of the columns has no key.
    pub(crate) needs_values: bool,
    /// The keys.
    pub(crate) suspects: Suspects,
}

impl KeyRule {
    /// Returns the columns that it reads.
    pub(crate) fn columns(&self) -> Vec<usize> {
        self.key.iter().copied().chain(self.order).collect()
    }

    /// Returns the rows that break it.
    pub(crate) fn broken<'v, 'a: 'v>(&self, view: impl Fn(usize) -> &'v View<'a>) -> BooleanBuffer {
        let key: Vec<&View<'_>> = self.key.iter().map(|column| view(*column)).collect();
        let rows = key.first().map_or(0, |view| view.rows);
        let keys = if self.needs_values { hash::keys(&key) } else { hash::Keys::Wide(hash::rows(&key)) };
        let firsts = self.suspects.first.as_ref().zip(self.order).map(|(first, order)| {
            let all: Vec<&View<'_>> = key.iter().copied().chain([view(order)]).collect();
            (first, hash::keys(&all))
        });
        let has_key = |row: usize| {
            let is_null = |view: &&View<'_>| view.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            !(self.needs_values && key.iter().any(is_null))
        };
        BooleanBuffer::collect_bool(rows, |row| {
            let is_first = |(first, all): &(&Arc<Hashes>, hash::Keys)| first.contains(&all.of(row));
            has_key(row) && self.suspects.keys.contains(&keys.of(row)) && !firsts.as_ref().is_some_and(is_first)
        })
    }
}

/// Returns the hashes of the rows of a batch over its first columns, and over one more where there is one.
pub(crate) fn hashes_of(batch: &RecordBatch, key: usize) -> Result<Vec<(u128, u128)>, ArrowError> {
    let arrays = batch.columns().iter().map(normalise).collect::<Result<Vec<ArrayRef>, ArrowError>>()?;
    let views: Vec<View<'_>> = arrays.iter().map(View::of).collect();
    let all: Vec<&View<'_>> = views.iter().collect();
    let (keys, all) = (hash::keys(&all[..key]), hash::keys(&all));
    Ok((0..batch.num_rows()).map(|row| (keys.of(row), all.of(row))).collect())
}

/// Returns the hashes of the rows of a batch over all of its columns, where NULL is like any value.
pub(crate) fn hashes_of_rows(batch: &RecordBatch) -> Result<Vec<u128>, ArrowError> {
    let arrays = batch.columns().iter().map(normalise).collect::<Result<Vec<ArrayRef>, ArrowError>>()?;
    let views: Vec<View<'_>> = arrays.iter().map(View::of).collect();
    Ok(hash::rows(&views.iter().collect::<Vec<_>>()))
}
