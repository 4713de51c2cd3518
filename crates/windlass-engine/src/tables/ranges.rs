//! Rows of files by their place: what of a table is read, and what is left of it.
//!
//! Pure: lists of ranges in, lists of ranges out. A list is in the order in which its rows are read.
//!
//! Must stay true: whatever is divided or taken away, every row is in exactly one of the answers.

use serde::{Deserialize, Serialize};

/// Rows of one file that follow one another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Range<F> {
    /// The file: its place in a list, or its path.
    pub(crate) file: F,
    /// The first row, from 0.
    pub(crate) first: u64,
    /// How many.
    pub(crate) rows: u64,
}

impl<F: Clone> Range<F> {
    fn end(&self) -> u64 {
        self.first + self.rows
    }

    fn part(&self, first: u64, rows: u64) -> Self {
        Self { file: self.file.clone(), first, rows }
    }

    /// Returns the same rows of a file that is called otherwise.
    pub(crate) fn of<G>(&self, file: G) -> Range<G> {
        Range { file, first: self.first, rows: self.rows }
    }
}

/// Returns the rows of all ranges.
pub(crate) fn rows<F>(ranges: &[Range<F>]) -> u64 {
    ranges.iter().map(|range| range.rows).sum()
}

/// Returns the first so many rows, and the others.
pub(crate) fn split<F: Clone>(ranges: &[Range<F>], rows: u64) -> (Vec<Range<F>>, Vec<Range<F>>) {
    let (mut before, mut after, mut missing) = (Vec::new(), Vec::new(), rows);
    for range in ranges {
        let taken = range.rows.min(missing);
        missing -= taken;
        before.extend((taken > 0).then(|| range.part(range.first, taken)));
        after.extend((taken < range.rows).then(|| range.part(range.first + taken, range.rows - taken)));
    }
    (before, after)
}

/// Returns the ranges in so many lists of about as many rows each; fewer where there are not so many rows.
pub(crate) fn divide<F: Clone>(ranges: &[Range<F>], lists: u64) -> Vec<Vec<Range<F>>> {
    let (mut divided, mut rest) = (Vec::new(), ranges.to_vec());
    for left in (1..=lists).rev() {
        let (list, others) = split(&rest, rows(&rest).div_ceil(left));
        divided.extend((!list.is_empty()).then_some(list));
        rest = others;
    }
    divided
}

/// Returns what is left of ranges without others; `None` where these are no part of them.
pub(crate) fn without<F: Clone + PartialEq>(ranges: &[Range<F>], taken: &[Range<F>]) -> Option<Vec<Range<F>>> {
    let mut left = ranges.to_vec();
    for gone in taken.iter().filter(|gone| gone.rows > 0) {
        let holds =
            |range: &Range<F>| range.file == gone.file && range.first <= gone.first && gone.end() <= range.end();
        let at = left.iter().position(holds)?;
        let whole = left[at].clone();
        let parts =
            [whole.part(whole.first, gone.first - whole.first), whole.part(gone.end(), whole.end() - gone.end())];
        left.splice(at..=at, parts.into_iter().filter(|part| part.rows > 0));
    }
    Some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(file: usize, first: u64, rows: u64) -> Range<usize> {
        Range { file, first, rows }
    }

    /// Returns each row as file and place, sorted.
    fn each(ranges: &[Range<usize>]) -> Vec<(usize, u64)> {
        let mut all: Vec<_> =
            ranges.iter().flat_map(|range| (range.first..range.end()).map(|row| (range.file, row))).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn every_row_is_on_one_side() {
        let all = [range(0, 0, 5), range(1, 3, 2), range(2, 0, 4)];
        for count in 0..=12 {
            let (before, after) = split(&all, count);
            assert_eq!(rows(&before), count.min(11));
            assert_eq!(each(&[before, after].concat()), each(&all), "split after {count}");
        }
        for lists in 1..=13 {
            let divided = divide(&all, lists);
            assert_eq!(each(&divided.concat()), each(&all), "in {lists} lists");
            assert!(divided.len() as u64 <= lists && divided.iter().all(|list| !list.is_empty()));
            let sizes: Vec<u64> = divided.iter().map(|list| rows(list)).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
        }
        assert_eq!(divide::<usize>(&[], 3), Vec::<Vec<Range<usize>>>::new());
    }

    #[test]
    fn what_is_taken_is_gone_once() {
        let all = [range(0, 0, 5), range(1, 0, 4)];
        let taken = [range(1, 1, 2), range(0, 0, 3)];
        let left = without(&all, &taken).unwrap();
        assert_eq!(each(&[left.clone(), taken.to_vec()].concat()), each(&all));
        assert_eq!(without(&left, &taken), None, "a row cannot be taken twice");
        assert_eq!(without(&all, &[range(1, 3, 2)]), None, "there are no such rows");
        assert_eq!(without(&all, &[range(2, 0, 1)]), None, "there is no such file");
        assert_eq!(without(&all, &all), Some(Vec::new()));
    }
}
