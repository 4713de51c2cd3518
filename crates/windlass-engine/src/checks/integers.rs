//! Which integers a column has: a bit for each, side by side, while they lie close enough together.
//!
//! Keys of tables usually do. A bit takes a sixty-fourth of the room of a key, and a value that is there
//! already is found without sorting or hashing.
//!
//! Must stay true: all rows that were added are known, whatever the order of parts. What does not fit
//! changes nothing, and its caller goes on with [`IntegerSet::into_keys`].

use std::collections::HashMap;

use arrow::buffer::BooleanBuffer;

use super::hash::mix;
use super::keys::{Prehashed, each};

/// Integers of a word are those from so many times its number on.
const WORD: u32 = u64::BITS.ilog2();
/// So many words may stand side by side, however few the rows are: 8 MiB.
const MOST_WORDS: i64 = 1 << 20;
/// Beyond that a word for so many rows: half of what their keys would take.
const ROWS_OF_WORD: u64 = 2;
/// So many integers that several rows have are counted apart.
const MOST_REPEATED: usize = 1 << 18;

/// The integers of a column.
#[derive(Debug, Clone, Default)]
pub(crate) struct IntegerSet {
    /// The number of the first word.
    first: i64,
    words: Vec<u64>,
    rows: u64,
    /// By mixed integer, how many rows have it besides the first.
    repeated: HashMap<u64, u64, Prehashed>,
}

impl IntegerSet {
    /// Adds the integers of the rows that are `counted`, of all where nothing is said. Answers whether they
    /// fit; if not, nothing was added.
    pub(crate) fn add(&mut self, values: &[i64], counted: Option<&BooleanBuffer>) -> bool {
        let rows = counted.map_or(values.len(), BooleanBuffer::count_set_bits) as u64;
        let mut bounds = (i64::MAX, i64::MIN);
        each(values.len(), counted, |row| bounds = (bounds.0.min(values[row]), bounds.1.max(values[row])));
        if rows == 0 {
            return true;
        }
        if !self.reaches((bounds.0 >> WORD, bounds.1 >> WORD), self.rows + rows) {
            return false;
        }
        self.rows += rows;
        let (first, words, repeated) = (self.first << WORD, &mut self.words, &mut self.repeated);
        each(values.len(), counted, |row| {
            let at = values[row].wrapping_sub(first) as usize;
            let (word, bit) = (&mut words[at >> WORD], 1 << (at % u64::BITS as usize));
            match *word & bit {
                0 => *word |= bit,
                _ => *repeated.entry(mix(values[row] as u64)).or_default() += 1,
            }
        });
        true
    }

    /// Adds another part of the column. Answers whether it fits; if not, nothing was added.
    pub(crate) fn merge(&mut self, other: &Self) -> bool {
        let Some(last) = (other.words.len() as i64).checked_sub(1).filter(|last| *last >= 0) else { return true };
        if !self.reaches((other.first, other.first + last), self.rows + other.rows) {
            return false;
        }
        let from = (other.first - self.first) as usize;
        let mine = &mut self.words[from..from + other.words.len()];
        let shared: usize =
            mine.iter().zip(&other.words).map(|(mine, theirs)| (mine & theirs).count_ones() as usize).sum();
        if shared > MOST_REPEATED {
            return false;
        }
        for ((mine, theirs), number) in mine.iter_mut().zip(&other.words).zip(other.first..) {
            for value in integers(*mine & theirs, number) {
                *self.repeated.entry(mix(value as u64)).or_default() += 1;
            }
            *mine |= theirs;
        }
        self.rows += other.rows;
        for (key, rows) in &other.repeated {
            *self.repeated.entry(*key).or_default() += rows;
        }
        true
    }

    /// Makes room for the words between two numbers; `false` where those would be too many for the rows.
    fn reaches(&mut self, (low, high): (i64, i64), rows: u64) -> bool {
        let most = MOST_WORDS.max((rows / ROWS_OF_WORD) as i64);
        if self.words.is_empty() {
            let width = high - low + 1;
            if width <= most {
                (self.first, self.words) = (low, vec![0; width as usize]);
            }
            return width <= most;
        }
        let end = self.first + self.words.len() as i64;
        let (from, to) = (low.min(self.first), high.max(end - 1));
        if to - from >= most {
            return false;
        }
        if from < self.first {
            // With room to spare, so that falling integers do not move all words with every batch.
            let from = from.saturating_sub(self.words.len() as i64).max(i64::MIN >> WORD);
            let mut words = vec![0; (self.first - from) as usize];
            words.append(&mut self.words);
            (self.first, self.words) = (from, words);
        }
        let width = (to - self.first + 1) as usize;
        if width > self.words.len() {
            self.words.resize(width, 0);
        }
        true
    }

    /// Returns whether so many integers are there several times that they are better hashed, as all keys are.
    pub(crate) fn is_crowded(&self) -> bool {
        self.repeated.len() > MOST_REPEATED
    }

    /// Returns the integers that several rows have, mixed, each with its rows.
    pub(crate) fn repeated(&self) -> impl Iterator<Item = (u64, u64)> {
        self.repeated.iter().map(|(key, more)| (*key, more + 1))
    }

    /// Returns all integers, mixed, each with its rows.
    pub(crate) fn into_keys(self) -> impl Iterator<Item = (u64, u64)> {
        let Self { first, words, repeated, .. } = self;
        let keys = words.into_iter().zip(first..).flat_map(|(word, number)| integers(word, number));
        keys.map(move |value| {
            let key = mix(value as u64);
            (key, repeated.get(&key).map_or(1, |more| more + 1))
        })
    }

    /// Returns the bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>() + self.repeated.capacity() * (size_of::<(u64, u64)>() + 1)
    }
}

/// Returns the integers whose bits are set in a word.
fn integers(word: u64, number: i64) -> impl Iterator<Item = i64> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let bit = (rest != 0).then(|| rest.trailing_zeros())?;
        rest &= rest - 1;
        Some((number << WORD) | i64::from(bit))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn of(values: &[i64]) -> IntegerSet {
        let mut set = IntegerSet::default();
        assert!(values.chunks(7).all(|chunk| set.add(chunk, None)), "{values:?}");
        set
    }

    fn check(set: IntegerSet, values: &[i64]) {
        let mut expected: BTreeMap<u64, u64> = BTreeMap::new();
        values.iter().for_each(|value| *expected.entry(mix(*value as u64)).or_default() += 1);
        let repeated: BTreeMap<u64, u64> = set.repeated().collect();
        assert_eq!(set.into_keys().collect::<BTreeMap<_, _>>(), expected);
        expected.retain(|_, rows| *rows > 1);
        assert_eq!(repeated, expected);
    }

    #[test]
    fn knows_every_integer_and_its_rows() {
        let rising: Vec<i64> = (-1000..1000).collect();
        let falling: Vec<i64> = rising.iter().rev().map(|value| value / 3).collect();
        let ends = [i64::MIN, i64::MIN + 63, i64::MIN + 64, i64::MIN];
        for values in [&rising[..], &falling, &ends, &[i64::MAX, i64::MAX - 100, i64::MAX], &[0], &[]] {
            check(of(values), values);
            let (left, right) = values.split_at(values.len() / 2);
            for (mine, theirs) in [(left, right), (right, left)] {
                let mut set = of(mine);
                assert!(set.merge(&of(theirs)));
                check(set, values);
            }
        }
    }

    #[test]
    fn integers_too_far_apart_change_nothing() {
        let mut set = of(&[5, 5, 70]);
        assert!(!set.add(&[1, i64::MAX], None) && !set.merge(&of(&[i64::MIN])));
        assert!(!set.add(&[-(1 << 40)], None));
        check(set, &[5, 5, 70]);
        let mut counted = IntegerSet::default();
        assert!(counted.add(&[1, i64::MAX, 1], Some(&BooleanBuffer::from(vec![true, false, true]))));
        check(counted, &[1, 1]);
    }

    #[test]
    fn many_that_are_shared_are_better_hashed() {
        let values: Vec<i64> = (0..MOST_REPEATED as i64 + 1).collect();
        let mut set = of(&values);
        assert!(!set.merge(&set.clone()) && !set.is_crowded());
        assert!(set.add(&values, None) && set.is_crowded());
    }
}
