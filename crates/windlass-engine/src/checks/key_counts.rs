//! How many rows each key has: one counter a key.
//!
//! Integers that lie close together, as ids do, have their counters side by side, which spares hashing them
//! and finding their place, and tells the keys themselves. All other keys are known by their hash, unless
//! nobody asks for those.
//!
//! Must stay true: the counts are the same whichever way a key was counted.

use std::collections::HashMap;

use arrow::buffer::BooleanBuffer;

use super::hash::{Keys, mix};
use super::keys::{Prehashed, each};

/// A key's text is kept once so many of its rows were seen in one part of the table.
const NAMED_FROM: u64 = 16;
/// So many counters may stand side by side: 8 MiB of them.
const MOST_DENSE: usize = 1 << 21;
/// Their first and last key are multiples of this, so that they are seldom moved.
const BLOCK: i64 = 1 << 12;

/// How many rows each key has.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyCounts {
    /// Whether keys are counted that have no counter side by side.
    hashes: bool,
    dense: Dense,
    counts: HashMap<u64, u64, Prehashed>,
    names: HashMap<u64, String, Prehashed>,
    /// The largest count of a hashed key so far.
    largest: u64,
}

/// Counters of integers, one after the other.
#[derive(Debug, Clone, Default)]
struct Dense {
    /// The integer of the first counter.
    first: i64,
    counts: Vec<u32>,
    /// Whether integers turned out to lie too far apart.
    is_given_up: bool,
}

impl KeyCounts {
    /// Returns counters that have seen nothing; `hashes` says whether integers that lie too far apart are
    /// counted by their hashes, or no more.
    pub(crate) fn new(hashes: bool) -> Self {
        Self { hashes, ..Self::default() }
    }

    /// Adds the keys of the rows that are `counted`, of all where nothing is said; `name` spells the key of
    /// a row.
    pub(crate) fn add(&mut self, keys: &Keys, counted: Option<&BooleanBuffer>, name: impl Fn(usize) -> String) {
        match keys {
            Keys::Narrow(keys) => each(keys.len(), counted, |row| self.count(keys[row], row, &name)),
            Keys::Wide(keys) => each(keys.len(), counted, |row| self.count(keys[row] as u64, row, &name)),
        }
    }

    /// The same for keys that are integers, which spell themselves.
    pub(crate) fn add_integers(&mut self, values: &[i64], counted: Option<&BooleanBuffer>) {
        let mut bounds = (i64::MAX, i64::MIN);
        each(values.len(), counted, |row| bounds = (bounds.0.min(values[row]), bounds.1.max(values[row])));
        if counted.map_or(values.len(), BooleanBuffer::count_set_bits) == 0 {
            return;
        }
        if !self.dense.reaches(bounds) {
            self.give_up_dense();
            if self.hashes {
                let name = |row: usize| values[row].to_string();
                each(values.len(), counted, |row| self.count(mix(values[row] as u64), row, &name));
            }
            return;
        }
        let mut is_full = false;
        let (first, counts) = (self.dense.first, &mut self.dense.counts);
        each(values.len(), counted, |row| {
            let counter = &mut counts[values[row].wrapping_sub(first) as usize];
            *counter += 1;
            is_full |= *counter == u32::MAX;
        });
        if is_full {
            self.give_up_dense();
        }
    }

    fn count(&mut self, key: u64, row: usize, name: &impl Fn(usize) -> String) {
        let count = self.counts.entry(key).or_default();
        *count += 1;
        if *count == NAMED_FROM || (*count > self.largest && *count < NAMED_FROM) {
            self.names.entry(key).or_insert_with(|| name(row));
        }
        self.largest = self.largest.max(*count);
    }

    /// Counts integers by their hashes from now on.
    fn give_up_dense(&mut self) {
        let dense = std::mem::replace(&mut self.dense, Dense { is_given_up: true, ..Dense::default() });
        for (value, count) in dense.counters().filter(|_| self.hashes) {
            let key = mix(value as u64);
            *self.counts.entry(key).or_default() += count;
            if count >= NAMED_FROM || count > self.largest {
                self.names.entry(key).or_insert_with(|| value.to_string());
            }
            self.largest = self.largest.max(count);
        }
    }

    /// Returns the rows of each integer, by integer; `None` where some key has no counter side by side.
    pub(crate) fn integers(&self) -> Option<Integers> {
        let is_whole = self.counts.is_empty() && !self.dense.is_given_up;
        is_whole.then(|| Integers(self.dense.clone()))
    }

    /// Adds the counts of another part of the table.
    pub(crate) fn merge(&mut self, mut other: Self) {
        let is_hashed = !self.counts.is_empty() || !other.counts.is_empty();
        if is_hashed || !self.dense.merge(&other.dense) {
            self.give_up_dense();
            other.give_up_dense();
        }
        for (key, count) in other.counts {
            let sum = self.counts.entry(key).or_default();
            *sum += count;
        }
        self.names.extend(other.names);
    }

    /// Returns the bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.counts.capacity() * 17 + self.dense.counts.capacity() * size_of::<u32>()
    }

    /// Returns keys, rows, the rows of the largest key, and its name where it is known.
    pub(crate) fn finish(&self) -> (u64, u64, u64, Option<String>) {
        let (mut keys, mut rows, mut largest) = (0, 0, 0);
        let hashed = self.counts.iter().map(|(key, count)| (*key as i64, *count));
        for (_, count) in self.dense.counters().chain(hashed) {
            (keys, rows, largest) = (keys + 1, rows + count, count.max(largest));
        }
        let are_largest = |(_, count): &(i64, u64)| *count == largest;
        let integers = self.dense.counters().filter(are_largest).map(|(value, _)| value.to_string());
        let named = self.names.iter().filter(|(key, _)| self.counts.get(key) == Some(&largest));
        // Of equally large keys, the first by name, so that the answer does not depend on the order.
        let name = integers.chain(named.map(|(_, name)| name.clone())).min();
        (keys, rows, largest, name)
    }
}

/// Integers with their rows.
#[derive(Debug, Clone)]
pub(crate) struct Integers(Dense);

impl Integers {
    /// Takes an integer out, with all its rows.
    pub(crate) fn remove(&mut self, value: i64) {
        let at = value.checked_sub(self.0.first).and_then(|at| usize::try_from(at).ok());
        if let Some(counter) = at.and_then(|at| self.0.counts.get_mut(at)) {
            *counter = 0;
        }
    }

    /// Returns those that are left, each with its rows.
    pub(crate) fn left(&self) -> impl Iterator<Item = (i64, u64)> {
        self.0.counters()
    }
}

impl Dense {
    /// Makes room for integers between two bounds; `false` where those and the others lie too far apart.
    fn reaches(&mut self, (low, high): (i64, i64)) -> bool {
        if self.is_given_up {
            return false;
        }
        let (low, high) = match self.counts.len() as i64 {
            0 => (low, high),
            // The last counter, not the one behind it, which may be that of no integer.
            counts if low >= self.first && high <= self.first + (counts - 1) => return true,
            counts => (low.min(self.first), high.max(self.first + (counts - 1))),
        };
        let (first, last) = (low.div_euclid(BLOCK), high.div_euclid(BLOCK));
        let width = last.checked_sub(first).and_then(|blocks| (blocks + 1).checked_mul(BLOCK));
        let width = width.and_then(|width| usize::try_from(width).ok()).filter(|width| *width <= MOST_DENSE);
        let Some(width) = width else { return false };
        let first = first * BLOCK;
        let mut counts = vec![0; width];
        if !self.counts.is_empty() {
            let at = (self.first - first) as usize;
            counts[at..at + self.counts.len()].copy_from_slice(&self.counts);
        }
        (self.first, self.counts) = (first, counts);
        true
    }

    /// Adds other counters; `false` where they cannot stand beside these, and nothing has changed then.
    fn merge(&mut self, other: &Self) -> bool {
        if other.counts.is_empty() || self.is_given_up || other.is_given_up {
            // Where one side is hashed, so must be the other.
            return !(self.is_given_up || other.is_given_up);
        }
        let bounds = (other.first, other.first + (other.counts.len() as i64 - 1));
        if !self.reaches(bounds) {
            return false;
        }
        let at = (other.first - self.first) as usize;
        let mine = &mut self.counts[at..at + other.counts.len()];
        if mine.iter().zip(&other.counts).any(|(mine, theirs)| mine.checked_add(*theirs).is_none()) {
            return false;
        }
        mine.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        true
    }

    /// Returns the integers that rows have, each with their number.
    fn counters(&self) -> impl Iterator<Item = (i64, u64)> {
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.map(|(at, count)| (self.first + at as i64, u64::from(*count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integers(values: &[i64]) -> KeyCounts {
        let mut counts = KeyCounts::new(true);
        counts.add_integers(values, None);
        counts
    }

    fn hashed(values: &[i64]) -> KeyCounts {
        let mut counts = KeyCounts::new(true);
        let keys = Keys::Narrow(values.iter().map(|value| mix(*value as u64)).collect());
        counts.add(&keys, None, |row| values[row].to_string());
        counts
    }

    #[test]
    fn both_ways_count_alike() {
        let near: Vec<i64> = (0..5000).map(|at| at * at % 3001 - 1500).chain([7; 40]).collect();
        let far: Vec<i64> = near.iter().map(|value| value * 1_000_003).chain([i64::MIN, i64::MAX]).collect();
        for values in [&near, &far] {
            let (low, high) = values.split_at(values.len() / 3);
            let wanted = hashed(values);
            for mut counts in [integers(values), integers(low), hashed(low)] {
                if counts.finish().1 < values.len() as u64 {
                    counts.merge(integers(high));
                }
                assert_eq!(counts.finish(), wanted.finish());
            }
        }
        assert!(!integers(&near).dense.is_given_up && integers(&far).dense.is_given_up);
    }

    #[test]
    fn counters_move_as_integers_come() {
        let mut counts = integers(&[10, 10]);
        for values in [[-9000, 10], [9000, -9000], [1 << 40, 10]] {
            counts.add_integers(&values, None);
        }
        assert_eq!(counts.finish(), (4, 8, 4, Some("10".to_string())));
        assert!(counts.dense.is_given_up);
        let mut none = KeyCounts::new(true);
        none.add_integers(&[1, 2], Some(&BooleanBuffer::new_unset(2)));
        assert_eq!(none.finish(), (0, 0, 0, None));
        none.merge(integers(&[3]));
        none.merge(integers(&[3 + (1 << 30)]));
        assert_eq!(none.finish().0, 2);
    }
    #[test]
    fn integers_are_told_with_their_rows_while_they_lie_close() {
        let mut counts = KeyCounts::new(false);
        counts.add_integers(&[5, -70, 5], None);
        let mut other = KeyCounts::new(false);
        other.add_integers(&[9_000, 5], None);
        counts.merge(other);
        let Some(mut integers) = counts.integers() else { panic!("they lie close") };
        assert_eq!(integers.left().collect::<Vec<_>>(), [(-70, 1), (5, 3), (9_000, 1)]);
        [5, 6, i64::MIN, i64::MAX].into_iter().for_each(|value| integers.remove(value));
        assert_eq!(integers.left().collect::<Vec<_>>(), [(-70, 1), (9_000, 1)]);
        counts.add_integers(&[1 << 40], None);
        counts.add_integers(&[5], None);
        assert!(counts.integers().is_none() && counts.bytes() == 0);
        for end in [i64::MIN, i64::MAX] {
            let mut counts = KeyCounts::new(true);
            counts.add_integers(&[end, end], None);
            counts.add_integers(&[end], None);
            assert_eq!((counts.finish(), counts.dense.is_given_up), ((1, 3, 3, Some(end.to_string())), false));
        }
        let mut none = KeyCounts::new(false);
        none.merge(counts);
        assert!(none.integers().is_none());
    }
}
