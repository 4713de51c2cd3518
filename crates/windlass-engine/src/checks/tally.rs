//! Counts of values by order-preserving keys, in a bounded number of counters.
//!
//! Each key has its own counter while there are few. Beyond [`MOST`] keys, those that agree in all but
//! their last bits share one, and the number of bits grows until the counters suffice. So resolution
//! goes where the values are, around a billion as well as around zero.
//!
//! Must stay true: the result depends on the keys only, not on their order or how they were split: the
//! number of shared bits is the smallest with which all of them fit.

use super::pages::Pages;

/// Counters at most.
pub(crate) const MOST: usize = 16_384;
const FIRST_SLOTS: usize = 64;
/// Spreads keys that differ in few bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Counts by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    counters: Counters,
    used: usize,
    shift: u32,
}

/// Counters by cell: a key without the bits that do not count.
#[derive(Debug, Clone)]
enum Counters {
    /// Many cells that lie close together.
    Pages(Pages),
    /// Others, by open addressing; a count of zero marks a free slot.
    Slots(Vec<(u64, u64)>),
}

impl Default for Counters {
    fn default() -> Self {
        Self::Slots(Vec::new())
    }
}

impl Tally {
    /// Adds to the count of a key.
    #[inline]
    pub(crate) fn add(&mut self, key: u64, count: u64) {
        let cell = key >> self.shift;
        let counter = match &mut self.counters {
            Counters::Pages(pages) => pages.find(cell),
            Counters::Slots(slots) => place(slots, cell).map(|at| &mut slots[at].1),
        };
        // Most keys have a counter already.
        match counter {
            Some(counter) if *counter > 0 => *counter += count,
            _ => self.add_new(cell, count),
        }
    }

    /// Adds a key that has no counter yet.
    fn add_new(&mut self, cell: u64, count: u64) {
        if count == 0 {
            return;
        }
        self.count(cell, count);
        if self.used > MOST {
            self.coarsen();
        }
    }

    fn count(&mut self, cell: u64, count: u64) {
        if let Counters::Pages(pages) = &mut self.counters {
            if let Some(counter) = pages.claim(cell) {
                self.used += usize::from(*counter == 0);
                *counter += count;
                return;
            }
            self.hash(self.used + 1);
        }
        // Three quarters are full at most: half as many slots are twice as likely to be in the cache.
        if (self.used + 1) * 4 > self.slots() * 3 {
            self.hash(self.slots());
        }
        let Counters::Slots(slots) = &mut self.counters else { return };
        let Some(at) = place(slots, cell) else { return };
        self.used += usize::from(slots[at].1 == 0);
        slots[at] = (cell, slots[at].1 + count);
    }

    fn slots(&self) -> usize {
        match &self.counters {
            Counters::Pages(_) => 0,
            Counters::Slots(slots) => slots.len(),
        }
    }

    /// Moves all counters to slots, for more than so many.
    fn hash(&mut self, cells: usize) {
        let mut slots = vec![(0, 0); (cells + 1).next_power_of_two().max(FIRST_SLOTS)];
        for (cell, count) in self.counters() {
            if let Some(at) = place(&slots, cell) {
                slots[at] = (cell, count);
            }
        }
        self.counters = Counters::Slots(slots);
    }

    /// Adds many keys with their counts, for which counters are laid out once.
    pub(crate) fn add_all(&mut self, keys: impl Iterator<Item = (u64, u64)>) {
        let shift = self.shift;
        let mut all: Vec<(u64, u64)> = self.counters().chain(keys.map(|(key, count)| (key >> shift, count))).collect();
        all.sort_unstable_by_key(|(cell, _)| *cell);
        let same = all.chunk_by(|left, right| left.0 == right.0);
        self.lay_out(same.map(|same| (same[0].0, same.iter().map(|(_, count)| count).sum())).collect());
    }

    /// Lets keys share counters until those suffice.
    fn coarsen(&mut self) {
        let mut cells: Vec<(u64, u64)> = self.counters().collect();
        cells.sort_unstable_by_key(|(cell, _)| *cell);
        self.lay_out(cells);
    }

    /// Takes cells in order in place of those that are there; they share counters as far as they must.
    fn lay_out(&mut self, cells: Vec<(u64, u64)>) {
        // By the highest bit in which neighbours differ: they are apart as long as it is kept.
        let mut apart = [0usize; u64::BITS as usize];
        for pair in cells.windows(2) {
            apart[(pair[0].0 ^ pair[1].0).ilog2() as usize] += 1;
        }
        let mut kept = cells.len();
        let mut bits = 0;
        while kept > MOST {
            kept -= apart[bits];
            bits += 1;
        }
        self.share(bits as u32, &cells);
    }

    /// Takes cells in order, of which those share counters that differ in so many more bits.
    fn share(&mut self, more: u32, cells: &[(u64, u64)]) {
        let numbers = cells.iter().map(|(cell, _)| cell >> more);
        let counters = match Pages::suit(numbers) {
            true => Counters::Pages(Pages::default()),
            false => Counters::Slots(vec![(0, 0); slots_for(cells.len())]),
        };
        *self = Self { counters, used: 0, shift: self.shift + more };
        cells.iter().for_each(|(cell, count)| self.count(cell >> more, *count));
    }

    /// Returns all cells with their counts.
    fn counters(&self) -> impl Iterator<Item = (u64, u64)> {
        let (pages, slots) = match &self.counters {
            Counters::Pages(pages) => (Some(pages), &[][..]),
            Counters::Slots(slots) => (None, slots.as_slice()),
        };
        let slots = slots.iter().copied().filter(|(_, count)| *count > 0);
        pages.into_iter().flat_map(Pages::counters).chain(slots)
    }

    /// Adds other counts.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.shift > self.shift {
            let mut cells: Vec<(u64, u64)> = self.counters().collect();
            cells.sort_unstable_by_key(|(cell, _)| *cell);
            self.share(other.shift - self.shift, &cells);
        }
        self.add_all(other.counters().map(|(cell, count)| (cell << other.shift, count)));
    }

    /// Returns how many of the last bits of keys do not count; 0 as long as every key has its counter.
    pub(crate) fn shift(&self) -> u32 {
        self.shift
    }

    /// Returns the number of counters in use.
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    /// Returns the smallest key of each counter with its count, in order.
    pub(crate) fn sorted(&self) -> Vec<(u64, u64)> {
        let mut all: Vec<(u64, u64)> = self.counters().map(|(cell, count)| (cell << self.shift, count)).collect();
        all.sort_unstable();
        all
    }

    /// Returns the bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        match &self.counters {
            Counters::Pages(pages) => pages.bytes(),
            Counters::Slots(slots) => slots.capacity() * size_of::<(u64, u64)>(),
        }
    }
}

/// Returns how many slots so many cells take, as far as they get counters of their own.
fn slots_for(cells: usize) -> usize {
    (cells.min(MOST) * 4 / 3 + 1).next_power_of_two().max(FIRST_SLOTS)
}

/// Returns the slot of a cell, or the free one that it would get; `None` where there are no slots.
fn place(slots: &[(u64, u64)], cell: u64) -> Option<usize> {
    let last = slots.len().checked_sub(1)?;
    let mut at = (cell.wrapping_mul(SPREAD) >> (u64::BITS - slots.len().trailing_zeros())) as usize;
    while slots[at].1 > 0 && slots[at].0 != cell {
        at = (at + 1) & last;
    }
    Some(at)
}

/// Returns a key that orders floats as they are; `-0.0` is `0.0`.
pub(crate) fn float_key(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    bits ^ ((bits as i64 >> 63) as u64 | 1 << 63)
}

/// Returns the float of a key.
pub(crate) fn float_of(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key ^ 1 << 63 } else { !key })
}

/// Returns a key that orders integers as they are.
pub(crate) fn integer_key(value: i64) -> u64 {
    value as u64 ^ 1 << 63
}

/// Returns the integer of a key.
pub(crate) fn integer_of(key: u64) -> i64 {
    (key ^ 1 << 63) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: impl Iterator<Item = u64>) -> Tally {
        let mut tally = Tally::default();
        keys.for_each(|key| tally.add(key, 1));
        tally
    }

    #[test]
    fn few_keys_are_counted_apart() {
        let tally = of([7, 3, 7, u64::MAX, 0].into_iter());
        assert_eq!((tally.shift(), tally.sorted()), (0, vec![(0, 1), (3, 1), (7, 2), (u64::MAX, 1)]));
    }

    #[test]
    fn many_keys_share_counters_however_they_come() {
        let key = |at: u64| float_key(1e9 + (at * 7919 % 100_003) as f64 / 1000.0);
        let whole = of((0..100_003).map(key));
        assert!(whole.shift() > 0 && whole.len() > MOST / 2 && whole.len() <= MOST);
        let backwards = of((0..100_003).rev().map(key));
        let mut merged = of((70_000..100_003).map(key));
        merged.merge(&of((0..10).map(key)));
        merged.merge(&of((10..70_000).map(key)));
        for other in [backwards, merged] {
            assert_eq!((other.shift(), other.sorted()), (whole.shift(), whole.sorted()));
        }
        assert_eq!(whole.sorted().iter().map(|(_, count)| count).sum::<u64>(), 100_003);
    }

    #[test]
    fn keys_keep_the_order_of_their_values() {
        let floats = [f64::NEG_INFINITY, -1e300, -1.0, -5e-324, 0.0, 5e-324, 1.0, 1e300, f64::INFINITY];
        assert!(floats.windows(2).all(|pair| float_key(pair[0]) < float_key(pair[1])));
        assert!(floats.iter().all(|value| float_of(float_key(*value)) == *value));
        assert_eq!(float_key(-0.0), float_key(0.0));
        let integers = [i64::MIN, -1, 0, 1, i64::MAX];
        assert!(integers.windows(2).all(|pair| integer_key(pair[0]) < integer_key(pair[1])));
        assert!(integers.iter().all(|value| integer_of(integer_key(*value)) == *value));
    }
}
