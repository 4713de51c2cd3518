//! Counters of numbers that lie close together: found in a page, whose place a directory tells.
//!
//! Where values are, pages are full of counters, and the directory between them is empty: two look-ups find a
//! counter, and both stay in the processor's cache.
//!
//! Must stay true: what does not fit changes nothing.

/// Counters of a page, in bits.
const PAGE: u32 = 8;
const ON_PAGE: u64 = (1 << PAGE) - 1;
/// The directory has at most so many entries.
const MOST_ENTRIES: u64 = 1 << 15;
/// There are at most so many pages: 2 MiB.
const MOST_PAGES: usize = 1 << 10;
/// Pages are worth their room with so many counters in use on each.
const FILLED: usize = 32;
const NO_PAGE: u32 = u32::MAX;

/// Counters by number; those that were never claimed are zero.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages {
    /// What the first entry of the directory is for.
    first: u64,
    /// Pages by their number.
    directory: Vec<u32>,
    counters: Vec<u64>,
}

impl Pages {
    /// Returns whether there are enough numbers, which come in order, close enough together.
    pub(super) fn suit(numbers: impl Iterator<Item = u64>) -> bool {
        let (mut count, mut pages, mut bounds) = (0, 0, None);
        for number in numbers {
            let page = number >> PAGE;
            let (first, last) = bounds.unwrap_or((page, page));
            pages += usize::from(bounds.is_none() || page != last);
            (count, bounds) = (count + 1, Some((first, page)));
        }
        // Half of the room is left for numbers to come.
        bounds.is_some_and(|(first, last)| last - first < MOST_ENTRIES / 2)
            && pages <= MOST_PAGES / 2
            && pages * FILLED <= count
    }

    /// Returns the counter of a number, where it has a page.
    pub(super) fn find(&mut self, number: u64) -> Option<&mut u64> {
        let page = *self.directory.get((number >> PAGE).wrapping_sub(self.first) as usize)?;
        self.counters.get_mut(((page as usize) << PAGE) | (number & ON_PAGE) as usize)
    }

    /// Returns the counter of a number, on a new page where it has none; `None` where there is no room.
    pub(super) fn claim(&mut self, number: u64) -> Option<&mut u64> {
        let entry = self.entry(number >> PAGE)?;
        if self.directory[entry] == NO_PAGE {
            let pages = self.counters.len() >> PAGE;
            if pages == MOST_PAGES {
                return None;
            }
            self.directory[entry] = pages as u32;
            self.counters.resize((pages + 1) << PAGE, 0);
        }
        self.find(number)
    }

    /// Returns the place of an entry of the directory, which is made longer for it.
    fn entry(&mut self, wanted: u64) -> Option<usize> {
        if self.directory.is_empty() {
            self.first = wanted;
        }
        let end = self.first + self.directory.len() as u64;
        let (from, to) = (wanted.min(self.first), end.max(wanted + 1));
        if to - from > MOST_ENTRIES {
            return None;
        }
        if from < self.first {
            let mut directory = vec![NO_PAGE; (self.first - from) as usize];
            directory.append(&mut self.directory);
            (self.first, self.directory) = (from, directory);
        }
        self.directory.resize((to - self.first) as usize, NO_PAGE);
        Some((wanted - self.first) as usize)
    }

    /// Returns all numbers whose counters are not zero, in order.
    pub(super) fn counters(&self) -> impl Iterator<Item = (u64, u64)> {
        let pages = self.directory.iter().zip(self.first..).filter(|(page, _)| **page != NO_PAGE);
        pages.flat_map(|(page, number)| {
            let counters = &self.counters[(*page as usize) << PAGE..][..1 << PAGE];
            let numbers = (number << PAGE)..=(number << PAGE) | ON_PAGE;
            numbers.zip(counters.iter().copied()).filter(|(_, count)| *count > 0)
        })
    }

    /// Returns the bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.directory.capacity() * size_of::<u32>() + self.counters.capacity() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_wherever_they_lie() {
        let mut pages = Pages::default();
        let numbers = [1 << 40, (1 << 40) + 5, (1 << 40) - 3000, (1 << 40) + 100_000];
        for (at, number) in numbers.into_iter().enumerate() {
            assert_eq!(pages.find(number).copied().unwrap_or_default(), 0);
            *pages.claim(number).unwrap() += at as u64 + 1;
        }
        for far in [0, u64::MAX, 1 << 50] {
            assert!(pages.find(far).is_none() && pages.claim(far).is_none());
        }
        let expected = [(numbers[2], 3), (numbers[0], 1), (numbers[1], 2), (numbers[3], 4)];
        assert_eq!(pages.counters().collect::<Vec<_>>(), expected);
        let mut last = Pages::default();
        *last.claim(u64::MAX).unwrap() = 1;
        assert_eq!(last.counters().collect::<Vec<_>>(), [(u64::MAX, 1)]);
    }

    #[test]
    fn few_numbers_and_far_ones_do_not_suit() {
        assert!(Pages::suit(0..1000) && Pages::suit((0..10_000).map(|at| at * 7)));
        assert!(!Pages::suit([].into_iter()) && !Pages::suit([1, 2].into_iter()));
        assert!(!Pages::suit((0..10_000).map(|at| at * 70)) && !Pages::suit((0..1000).chain([1 << 40])));
    }

    #[test]
    fn there_are_only_so_many_pages() {
        let mut pages = Pages::default();
        let fitting = (0..MOST_PAGES as u64 + 5).filter(|page| pages.claim(page << PAGE).is_some()).count();
        assert_eq!(fitting, MOST_PAGES);
    }
}
