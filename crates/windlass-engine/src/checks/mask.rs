//! Which rules each row of a batch breaks: a bit for each rule, in words of 64.

use arrow::buffer::BooleanBuffer;

const WORD: usize = u64::BITS as usize;

/// The rules that the rows of a batch break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RuleMask {
    rows: usize,
    /// Words of a row.
    words: usize,
    /// Row after row.
    bits: Vec<u64>,
}

impl RuleMask {
    /// Returns the mask of rows that break none of so many rules.
    pub(crate) fn new(rows: usize, rules: usize) -> Self {
        let words = rules.div_ceil(WORD);
        Self { rows, words, bits: vec![0; rows * words] }
    }

    /// Notes the rows that break a rule.
    pub(crate) fn mark(&mut self, rule: usize, broken: &BooleanBuffer) {
        let (word, bit) = (rule / WORD, 1 << (rule % WORD));
        for row in broken.set_indices() {
            self.bits[row * self.words + word] |= bit;
        }
    }

    /// Returns the rows that break any of some rules.
    pub(crate) fn breaking(&self, rules: impl IntoIterator<Item = usize>) -> BooleanBuffer {
        let mut wanted = vec![0; self.words];
        rules.into_iter().for_each(|rule| wanted[rule / WORD] |= 1 << (rule % WORD));
        BooleanBuffer::collect_bool(self.rows, |row| {
            self.of(row).iter().zip(&wanted).any(|(bits, wanted)| bits & wanted != 0)
        })
    }

    /// Returns the rules that a row breaks, in order.
    pub(crate) fn broken_by(&self, row: usize) -> impl Iterator<Item = usize> {
        let words = self.of(row).iter().enumerate();
        words.flat_map(|(at, bits)| (0..WORD).filter(move |bit| bits & (1 << bit) != 0).map(move |bit| at * WORD + bit))
    }

    fn of(&self, row: usize) -> &[u64] {
        &self.bits[row * self.words..(row + 1) * self.words]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_rules_than_a_word_has_bits() {
        let rules = 130;
        let mut mask = RuleMask::new(3, rules);
        for rule in 0..rules {
            mask.mark(rule, &BooleanBuffer::from(vec![rule % 64 == 1, false, rule == 129]));
        }
        assert_eq!(mask.broken_by(0).collect::<Vec<_>>(), [1, 65, 129]);
        assert_eq!(mask.broken_by(1).count(), 0);
        assert_eq!(mask.broken_by(2).collect::<Vec<_>>(), [129]);
        assert_eq!(mask.breaking([0, 64]).count_set_bits(), 0);
        assert_eq!(mask.breaking([65]).set_indices().collect::<Vec<_>>(), [0]);
        assert_eq!(mask.breaking([129, 3]).set_indices().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(RuleMask::new(2, 0).breaking([]).count_set_bits(), 0);
    }
}
