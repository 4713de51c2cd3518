//! Rows by their unique keys: a table of hashes with open addressing.

use std::cmp::Ordering;
use std::fmt;

use datafusion::arrow::array::{Array, ArrayRef, DynComparator, UInt32Array, UInt32Builder, make_comparator};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::SortOptions;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::error::Result;

const EMPTY: u32 = u32::MAX;
const HASHES: RandomState = RandomState::with_seed(0);

/// Finds the row of a key.
pub(super) struct KeyTable {
    keys: Vec<ArrayRef>,
    /// Hash and row; at least every second slot is empty.
    slots: Vec<(u64, u32)>,
}

impl fmt::Debug for KeyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyTable").field("slots", &self.slots.len()).finish_non_exhaustive()
    }
}

/// Compares the keys of two rows.
struct SameKey(Vec<DynComparator>);

impl SameKey {
    fn try_new(left: &[ArrayRef], right: &[ArrayRef]) -> Result<Self> {
        let one = |(left, right): (&ArrayRef, &ArrayRef)| make_comparator(left, right, SortOptions::default());
        Ok(Self(left.iter().zip(right).map(one).collect::<Result<_, _>>()?))
    }

    fn is_same(&self, left: usize, right: usize) -> bool {
        self.0.iter().all(|compare| compare(left, right) == Ordering::Equal)
    }
}

impl KeyTable {
    /// Returns the table of all rows without NULL in their key; `None` where two of them have the same key,
    /// or where there are more rows than it can number.
    pub(super) fn try_new(keys: Vec<ArrayRef>) -> Result<Option<Self>> {
        let rows = keys.first().map_or(0, |key| key.len());
        if rows >= EMPTY as usize {
            return Ok(None);
        }
        let hashes = hashes(&keys, rows)?;
        let nulls = nulls(&keys);
        let same = SameKey::try_new(&keys, &keys)?;
        let mut slots = vec![(0, EMPTY); slot_count(rows)];
        let mask = slots.len() - 1;
        for row in (0..rows).filter(|row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row))) {
            let hash = hashes[row];
            let mut at = hash as usize & mask;
            while slots[at].1 != EMPTY {
                if slots[at].0 == hash && same.is_same(slots[at].1 as usize, row) {
                    return Ok(None);
                }
                at = (at + 1) & mask;
            }
            slots[at] = (hash, row as u32);
        }
        Ok(Some(Self { keys, slots }))
    }

    /// Returns the bytes that a table of so many rows takes.
    pub(super) fn bytes(rows: usize) -> usize {
        slot_count(rows) * size_of::<(u64, u32)>()
    }

    /// Returns for each key the row that has it, NULL where none does.
    pub(super) fn find(&self, keys: &[ArrayRef], rows: usize) -> Result<UInt32Array> {
        let hashes = hashes(keys, rows)?;
        let nulls = nulls(keys);
        let same = SameKey::try_new(&self.keys, keys)?;
        let mask = self.slots.len() - 1;
        let mut found = UInt32Builder::with_capacity(rows);
        for (row, hash) in hashes.into_iter().enumerate() {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                found.append_null();
                continue;
            }
            let mut at = hash as usize & mask;
            let known = loop {
                match self.slots[at] {
                    (_, EMPTY) => break None,
                    (known, of) if known == hash && same.is_same(of as usize, row) => break Some(of),
                    _ => at = (at + 1) & mask,
                }
            };
            found.append_option(known);
        }
        Ok(found.finish())
    }
}

fn slot_count(rows: usize) -> usize {
    (rows * 2).next_power_of_two().max(2)
}

fn hashes(keys: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
    let mut hashes = vec![0; rows];
    create_hashes(keys, &HASHES, &mut hashes)?;
    Ok(hashes)
}

/// Returns which rows have no NULL in their key; `None` where all have none.
fn nulls(keys: &[ArrayRef]) -> Option<NullBuffer> {
    let each = keys.iter().map(|key| key.logical_nulls());
    each.fold(None, |all, one| NullBuffer::union(all.as_ref(), one.as_ref())).filter(|nulls| nulls.null_count() > 0)
}
