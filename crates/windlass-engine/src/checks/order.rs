//! Whether values rise from row to row, as they are written.

use arrow::buffer::BooleanBuffer;

use super::columns::{Values, View};

/// The last value seen, in the rows of one part of the table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Order {
    last: Option<Last>,
    /// Rows whose value stands on the wrong side of the one before.
    pub(crate) failing: u64,
    /// Rows with a value.
    pub(crate) rows: u64,
}

#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Last {
    Integer(i128),
    Float(f64),
    Text(Vec<u8>),
}

/// Which order is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Direction {
    /// Values fall.
    pub(crate) descending: bool,
    /// Equal neighbours are wrong.
    pub(crate) strict: bool,
}

impl Order {
    /// Adds the selected rows of a batch, and returns those that are out of order.
    pub(crate) fn add(
        &mut self,
        view: &View<'_>,
        selection: Option<&BooleanBuffer>,
        direction: Direction,
    ) -> Option<BooleanBuffer> {
        let valid = view.valid(selection);
        let mut wrong = Vec::new();
        let mut visit = |row: usize| {
            let value = match &view.values {
                Values::Integer(values) => Last::Integer(i128::from(values[row])),
                Values::Decimal(values, _) => Last::Integer(values[row]),
                Values::Float(values) => Last::Float(values[row]),
                Values::Text(text) => Last::Text(text.value(row).to_vec()),
                Values::Boolean(_) | Values::Opaque => return,
            };
            self.rows += 1;
            let order = self.last.as_ref().map(|last| value.partial_cmp(last));
            let is_right = match order {
                None => true,
                Some(None) => false,
                Some(Some(order)) if direction.strict => {
                    if direction.descending {
                        order.is_lt()
                    } else {
                        order.is_gt()
                    }
                }
                Some(Some(order)) => {
                    if direction.descending {
                        order.is_le()
                    } else {
                        order.is_ge()
                    }
                }
            };
            if !is_right {
                wrong.push(row);
            }
            // A NaN has no place in an order; what follows is compared with the number before it.
            if value.partial_cmp(&value).is_some() {
                self.last = Some(value);
            }
        };
        match &valid {
            None => (0..view.rows).for_each(&mut visit),
            Some(valid) => valid.set_indices().for_each(&mut visit),
        }
        self.failing += wrong.len() as u64;
        if wrong.is_empty() {
            return None;
        }
        let mut rows = vec![false; view.rows];
        wrong.into_iter().for_each(|row| rows[row] = true);
        Some(BooleanBuffer::from(rows))
    }

    /// Adds another part of the table, whose rows have an order of their own.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.failing += other.failing;
        self.rows += other.rows;
    }
}
