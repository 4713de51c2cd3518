//! Keys of rows that are there twice.
//!
//! Duplicates need all keys at the end of the table. Integers that lie close together have a bit each, see
//! [`IntegerSet`]; other keys take 8 or 16 bytes a row, spread over parts by their first bits, so that the
//! table in which each is looked up stays in the processor's cache.

use std::hash::{BuildHasherDefault, Hasher};

use arrow::buffer::BooleanBuffer;

use super::hash::{Keys, mix};
use super::integers::IntegerSet;
use super::suspects::Hashes;

const PARTS: usize = 256;
/// So many duplicate keys are kept to be named, as many as a check shows at most.
const FREQUENT: usize = 1_000;

/// A hasher for keys that are hashes already.
pub(crate) type Prehashed = BuildHasherDefault<Identity>;

/// Takes a 64-bit key as its own hash.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = super::hash::bytes64(bytes, self.0);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// All keys of a table, to find those that are there twice.
#[derive(Debug, Clone)]
pub(crate) struct KeySet {
    integers: IntegerSet,
    /// Whether integers turned out not to fit, so that they are hashed too.
    is_hashed: bool,
    narrow: Vec<Vec<u64>>,
    wide: Vec<Vec<u128>>,
    rows: u64,
    /// Set where there was no room to go on; the keys are gone.
    pub(crate) is_abandoned: bool,
    /// What they came to; the keys are gone.
    found: Option<Duplicates>,
}

impl Default for KeySet {
    fn default() -> Self {
        Self {
            integers: IntegerSet::default(),
            is_hashed: false,
            narrow: vec![Vec::new(); PARTS],
            wide: vec![Vec::new(); PARTS],
            rows: 0,
            is_abandoned: false,
            found: None,
        }
    }
}

/// What the keys of a table come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Duplicates {
    /// Rows with a key.
    pub(crate) rows: u64,
    /// Rows that share their key with another.
    pub(crate) failing: u64,
    /// Keys that several rows have.
    pub(crate) keys: u64,
    /// The most frequent of them with their rows, the most first.
    pub(crate) frequent: Vec<(u128, u64)>,
}

impl KeySet {
    /// Adds the keys of the rows that are `counted`, of all where nothing is said.
    pub(crate) fn add(&mut self, keys: &Keys, counted: Option<&BooleanBuffer>) {
        if self.is_abandoned {
            return;
        }
        let rows = match keys {
            Keys::Narrow(keys) => {
                each(keys.len(), counted, |row| self.narrow[(keys[row] >> 56) as usize].push(keys[row]));
                keys.len()
            }
            Keys::Wide(keys) => {
                each(keys.len(), counted, |row| self.wide[(keys[row] >> 120) as usize].push(keys[row]));
                keys.len()
            }
        };
        self.rows += counted.map_or(rows, BooleanBuffer::count_set_bits) as u64;
    }

    /// The same for keys that are integers.
    pub(crate) fn add_integers(&mut self, values: &[i64], counted: Option<&BooleanBuffer>) {
        if self.is_abandoned {
            return;
        }
        if !self.is_hashed && self.integers.add(values, counted) {
            self.rows += counted.map_or(values.len(), BooleanBuffer::count_set_bits) as u64;
            if self.integers.is_crowded() {
                self.hash_integers();
            }
            return;
        }
        self.hash_integers();
        self.add(&Keys::Narrow(values.iter().map(|value| mix(*value as u64)).collect()), counted);
    }

    /// Keeps integers by their hashes from now on.
    fn hash_integers(&mut self) {
        self.is_hashed = true;
        for (key, rows) in std::mem::take(&mut self.integers).into_keys() {
            let part = &mut self.narrow[(key >> 56) as usize];
            part.extend(std::iter::repeat_n(key, rows as usize));
        }
    }

    /// Adds the keys of another part of the table.
    pub(crate) fn merge(&mut self, mut other: Self) {
        if other.is_abandoned {
            self.abandon();
        }
        if self.is_abandoned {
            return;
        }
        self.rows += other.rows;
        let is_merged = !self.is_hashed && !other.is_hashed && self.integers.merge(&other.integers);
        if !is_merged {
            other.hash_integers();
        }
        if !is_merged || self.integers.is_crowded() {
            self.hash_integers();
        }
        self.narrow.iter_mut().zip(other.narrow).for_each(|(mine, theirs)| append(mine, theirs));
        self.wide.iter_mut().zip(other.wide).for_each(|(mine, theirs)| append(mine, theirs));
    }

    /// Gives all keys up, to free their memory.
    pub(crate) fn abandon(&mut self) {
        *self = Self { is_abandoned: true, ..Self::default() };
    }

    /// Returns the bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        let narrow: usize = self.narrow.iter().map(Vec::capacity).sum();
        let wide: usize = self.wide.iter().map(Vec::capacity).sum();
        narrow * 8 + wide * 16 + self.integers.bytes()
    }

    /// Returns the keys that several rows have.
    pub(crate) fn repeated(&self) -> Hashes {
        let mut found: Hashes = self.integers.repeated().map(|(key, _)| u128::from(key)).collect();
        let (mut narrow, mut wide) = (Slots::default(), Slots::default());
        self.narrow.iter().for_each(|part| found.extend(narrow.again(part).into_iter().map(u128::from)));
        self.wide.iter().for_each(|part| found.extend(wide.again(part)));
        found
    }

    /// Counts what the keys come to and gives them up.
    pub(crate) fn settle(&mut self) {
        if self.is_abandoned || self.found.is_some() {
            return;
        }
        let mut found = Duplicates { rows: self.rows, ..Duplicates::default() };
        let integers = std::mem::take(&mut self.integers);
        integers.repeated().for_each(|(key, rows)| found.note(u128::from(key), rows));
        let (mut narrow, mut wide) = (Slots::default(), Slots::default());
        for part in std::mem::take(&mut self.narrow) {
            found.count(narrow.again(&part), u128::from);
        }
        for part in std::mem::take(&mut self.wide) {
            found.count(wide.again(&part), |key| key);
        }
        found.keep_frequent();
        self.found = Some(found);
    }

    /// Returns what the keys come to; `None` where they were given up.
    pub(crate) fn finish(&self) -> Option<Duplicates> {
        let mut settled = self.clone();
        settled.settle();
        settled.found
    }
}

impl Duplicates {
    /// Counts keys that are there once for each of their rows but the first.
    fn count<T: Ord + Copy>(&mut self, mut again: Vec<T>, key: impl Fn(T) -> u128) {
        again.sort_unstable();
        for group in again.chunk_by(|left, right| left == right) {
            self.note(key(group[0]), group.len() as u64 + 1);
        }
    }

    /// Notes a key that several rows have.
    fn note(&mut self, key: u128, rows: u64) {
        self.failing += rows;
        self.keys += 1;
        self.frequent.push((key, rows));
        if self.frequent.len() >= 2 * FREQUENT {
            self.keep_frequent();
        }
    }

    fn keep_frequent(&mut self) {
        self.frequent.sort_unstable_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(&right.0)));
        self.frequent.truncate(FREQUENT);
    }
}

/// Visits the rows that are `counted`, all where nothing is said.
pub(super) fn each(rows: usize, counted: Option<&BooleanBuffer>, visit: impl FnMut(usize)) {
    match counted {
        None => (0..rows).for_each(visit),
        Some(counted) => counted.set_indices().for_each(visit),
    }
}

fn append<T>(mine: &mut Vec<T>, mut theirs: Vec<T>) {
    if mine.is_empty() {
        *mine = theirs;
    } else {
        mine.append(&mut theirs);
    }
}

/// A key whose bits are mixed.
trait Mixed: Copy + Default + PartialEq {
    /// Returns 64 of its bits that parts do not have in common.
    fn bits(self) -> u64;
}

impl Mixed for u64 {
    fn bits(self) -> u64 {
        self << 8
    }
}

impl Mixed for u128 {
    fn bits(self) -> u64 {
        self as u64
    }
}

/// Slots in which keys are looked up, used for one part after the other.
#[derive(Default)]
struct Slots<T>(Vec<T>);

impl<T: Mixed> Slots<T> {
    /// Returns the keys of a part that are there before already, once for each such row.
    fn again(&mut self, part: &[T]) -> Vec<T> {
        let free = T::default();
        let size = (part.len() * 3 / 2).next_power_of_two().max(2);
        self.0.clear();
        self.0.resize(size, free);
        let slots = &mut self.0[..size];
        let mut has_free = false;
        let mut again = Vec::new();
        for key in part {
            let mut at = (key.bits() >> (u64::BITS - size.ilog2())) as usize;
            while slots[at] != *key && slots[at] != free {
                at = (at + 1) & (size - 1);
            }
            // The key that looks like a free slot never fills one.
            if slots[at] == *key && (*key != free || std::mem::replace(&mut has_free, true)) {
                again.push(*key);
            }
            slots[at] = *key;
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash::bytes128;
    use super::*;

    /// Rows of keys, several of them: what a sorted list of all says.
    fn expected(mut keys: Vec<u128>) -> Duplicates {
        keys.sort_unstable();
        let mut found = Duplicates { rows: keys.len() as u64, ..Duplicates::default() };
        keys.chunk_by(|left, right| left == right)
            .filter(|group| group.len() > 1)
            .for_each(|group| found.note(group[0], group.len() as u64));
        found.keep_frequent();
        found
    }

    fn check(sets: impl Iterator<Item = KeySet>, keys: Vec<u128>) {
        let mut whole = KeySet::default();
        sets.for_each(|set| whole.merge(set));
        let wanted = expected(keys);
        assert_eq!(whole.repeated().len() as u64, wanted.keys);
        assert_eq!(whole.finish(), Some(wanted));
    }

    #[test]
    fn near_and_far_integers_are_counted_alike() {
        let near: Vec<i64> = (0..6_000).map(|at| at * at % 4_001).collect();
        let far: Vec<i64> = near.iter().map(|value| value * 1_000_000_007).collect();
        // At first near, then far, so that a set changes its mind.
        let both = [&near[..], &far[..]].concat();
        for values in [near, far, both] {
            let set = |values: &[i64]| {
                let mut set = KeySet::default();
                values.chunks(100).for_each(|chunk| set.add_integers(chunk, None));
                set
            };
            let keys = values.iter().map(|value| u128::from(mix(*value as u64))).collect();
            check(values.chunks(2_500).map(set), keys);
        }
    }

    #[test]
    fn keys_of_all_widths_are_found_again() {
        let texts = |from: usize| (from..from + 3_000).map(|at| bytes128(at.to_string().as_bytes())).collect();
        let wide: [Vec<u128>; 2] = [texts(0), texts(2_000)];
        let set = |keys: &Vec<u128>| {
            let mut set = KeySet::default();
            set.add(&Keys::Wide(keys.clone()), None);
            set
        };
        check(wide.iter().map(set), wide.concat());
        // Booleans are not mixed: 0 looks like a free slot.
        for flags in [vec![0u64], vec![1, 0, 1, 1], vec![0, 0], vec![1, 0]] {
            let mut set = KeySet::default();
            set.add(&Keys::Narrow(flags.clone()), None);
            check([set].into_iter(), flags.into_iter().map(u128::from).collect());
        }
    }
}
