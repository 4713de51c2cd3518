//! Keys of rows that are there twice.
//!
//! Duplicates need all keys at the end of the table: 8 or 16 bytes a row, spread over parts by their
//! first bits, so that each part is sorted alone.

use std::hash::{BuildHasherDefault, Hasher};

use arrow::buffer::BooleanBuffer;

use super::hash::Keys;
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

    /// Adds the keys of another part of the table.
    pub(crate) fn merge(&mut self, other: Self) {
        if other.is_abandoned {
            self.abandon();
        }
        if self.is_abandoned {
            return;
        }
        self.rows += other.rows;
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
        narrow * 8 + wide * 16
    }

    /// Returns the keys that several rows have.
    pub(crate) fn repeated(&self) -> Hashes {
        let mut found = Hashes::default();
        for part in &self.narrow {
            collect_repeated(part.iter().map(|key| u128::from(*key)).collect(), &mut found);
        }
        for part in &self.wide {
            collect_repeated(part.clone(), &mut found);
        }
        found
    }

    /// Counts what the keys come to and gives them up.
    pub(crate) fn settle(&mut self) {
        if self.is_abandoned || self.found.is_some() {
            return;
        }
        let mut found = Duplicates { rows: self.rows, ..Duplicates::default() };
        std::mem::take(&mut self.narrow).into_iter().for_each(|part| found.count(part, u128::from));
        std::mem::take(&mut self.wide).into_iter().for_each(|part| found.count(part, |key| key));
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
    fn count<T: Ord + Copy>(&mut self, mut part: Vec<T>, key: impl Fn(T) -> u128) {
        part.sort_unstable();
        for group in part.chunk_by(|left, right| left == right).filter(|group| group.len() > 1) {
            self.failing += group.len() as u64;
            self.keys += 1;
            self.frequent.push((key(group[0]), group.len() as u64));
            if self.frequent.len() >= 2 * FREQUENT {
                self.keep_frequent();
            }
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

fn collect_repeated(mut part: Vec<u128>, found: &mut Hashes) {
    part.sort_unstable();
    found.extend(part.chunk_by(|left, right| left == right).filter(|group| group.len() > 1).map(|group| group[0]));
}

fn append<T>(mine: &mut Vec<T>, mut theirs: Vec<T>) {
    if mine.is_empty() {
        *mine = theirs;
    } else {
        mine.append(&mut theirs);
    }
}
