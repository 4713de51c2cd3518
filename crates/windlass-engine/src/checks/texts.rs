//! The smallest, largest, shortest and longest of texts.

use arrow::buffer::BooleanBuffer;

use super::columns::{Values, View};
use super::rules::characters;

/// Bounds of the texts of a column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Texts {
    /// The smallest by bytes.
    pub(crate) min: Option<Vec<u8>>,
    /// The largest by bytes.
    pub(crate) max: Option<Vec<u8>>,
    /// The fewest and the most characters.
    pub(crate) lengths: Option<(u64, u64)>,
}

impl Texts {
    /// Adds the selected rows of a batch.
    pub(crate) fn add(&mut self, view: &View<'_>, selection: Option<&BooleanBuffer>) {
        let Values::Text(text) = &view.values else { return };
        text.for_each_count(view.valid(selection).as_ref(), |value, _| self.see(value));
    }

    fn see(&mut self, value: &[u8]) {
        if self.min.as_deref().is_none_or(|min| value < min) {
            self.min = Some(value.to_vec());
        }
        if self.max.as_deref().is_none_or(|max| value > max) {
            self.max = Some(value.to_vec());
        }
        let length = characters(value);
        let (shortest, longest) = self.lengths.unwrap_or((length, length));
        self.lengths = Some((shortest.min(length), longest.max(length)));
    }

    /// Adds another part of the table.
    pub(crate) fn merge(&mut self, other: &Self) {
        [&other.min, &other.max].into_iter().flatten().for_each(|value| self.see(value));
        if let Some((shortest, longest)) = other.lengths {
            let own = self.lengths.unwrap_or((shortest, longest));
            self.lengths = Some((own.0.min(shortest), own.1.max(longest)));
        }
    }
}
