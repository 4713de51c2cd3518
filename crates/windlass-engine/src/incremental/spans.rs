//! Sets of intervals, as runs of their numbers.
//!
//! Must stay true: runs are in order, none is empty, and no two touch.

use std::ops::Range;

use windlass_project::IntervalUnit;

/// Runs that are told before the others are only counted.
const TOLD: usize = 3;

/// A set of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spans(Vec<Range<i64>>);

impl Spans {
    /// Returns the set of one run; empty where it ends before it starts.
    pub(crate) fn of(span: Range<i64>) -> Self {
        Self(if span.is_empty() { Vec::new() } else { vec![span] })
    }

    /// Returns the numbers of either set.
    #[must_use]
    pub(crate) fn with(&self, other: &Self) -> Self {
        let mut all: Vec<Range<i64>> = self.0.iter().chain(&other.0).cloned().collect();
        all.sort_by_key(|span| span.start);
        let mut joined: Vec<Range<i64>> = Vec::with_capacity(all.len());
        for span in all {
            match joined.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                _ => joined.push(span),
            }
        }
        Self(joined)
    }

    /// Returns the numbers of this set that the other has not.
    #[must_use]
    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut left = self.0.clone();
        for taken in &other.0 {
            left = left
                .into_iter()
                .flat_map(|span| [span.start..span.end.min(taken.start), span.start.max(taken.end)..span.end])
                .filter(|span| !span.is_empty())
                .collect();
        }
        Self(left)
    }

    /// Returns the numbers of both sets.
    #[must_use]
    pub(crate) fn within(&self, other: &Self) -> Self {
        self.without(&self.without(other))
    }

    /// Returns the runs, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Range<i64>> {
        self.0.iter()
    }

    /// Returns how many numbers there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|span| span.end.abs_diff(span.start)).sum()
    }

    /// Returns whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the smallest number.
    pub(crate) fn first(&self) -> Option<i64> {
        self.0.first().map(|span| span.start)
    }

    /// Names the intervals for people: `2013-02-03, 2013-05-01 to 2013-05-03`.
    pub(crate) fn spell(&self, unit: IntervalUnit) -> String {
        let run = |span: &Range<i64>| match span.end - span.start {
            1 => unit.spell(span.start),
            _ => format!("{} to {}", unit.spell(span.start), unit.spell(span.end - 1)),
        };
        let mut parts: Vec<String> = self.0.iter().take(TOLD).map(run).collect();
        if let Some(more) = self.0.len().checked_sub(TOLD).filter(|more| *more > 0) {
            parts.push(format!("and {more} more span{}", if more == 1 { "" } else { "s" }));
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn numbers(spans: &Spans) -> BTreeSet<i64> {
        spans.iter().flat_map(Clone::clone).collect()
    }

    /// Every set of a few runs of small numbers, against sets of the numbers themselves.
    #[test]
    fn spans_are_sets() {
        let of_bits = |bits: u32| {
            (0..7)
                .filter(|bit| bits >> bit & 1 == 1)
                .fold(Spans::default(), |all, bit| all.with(&Spans::of(bit..bit + 1)))
        };
        for (left, right) in (0..128).flat_map(|left| (0..128).map(move |right| (of_bits(left), of_bits(right)))) {
            let (a, b) = (numbers(&left), numbers(&right));
            for (spans, expected) in [
                (left.with(&right), a.union(&b).copied().collect::<BTreeSet<i64>>()),
                (left.without(&right), a.difference(&b).copied().collect()),
                (left.within(&right), a.intersection(&b).copied().collect()),
            ] {
                assert_eq!(numbers(&spans), expected, "{left:?} {right:?}");
                assert_eq!(spans.count(), expected.len() as u64);
                assert!(spans.0.windows(2).all(|pair| pair[0].end < pair[1].start), "{spans:?}");
            }
        }
    }

    #[test]
    fn spans_in_words() {
        let day = |text: &str| IntervalUnit::Day.number(windlass_project::parse_time(text).unwrap());
        let mut spans = Spans::of(day("2013-05-01")..day("2013-05-04"));
        assert_eq!(spans.spell(IntervalUnit::Day), "2013-05-01 to 2013-05-03");
        for text in ["2013-02-03", "2013-06-01", "2013-07-01", "2013-08-01"] {
            spans = spans.with(&Spans::of(day(text)..day(text) + 1));
        }
        let expected = "2013-02-03, 2013-05-01 to 2013-05-03, 2013-06-01, and 2 more spans";
        assert_eq!(spans.spell(IntervalUnit::Day), expected);
    }
}
