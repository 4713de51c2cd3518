//! What the rows of a table hash to, whatever their order and however they lie in files.
//!
//! The sum of a hash of each row: two tables with the same sum have the same rows, as far as 128 bits
//! can tell. Not known for columns of lists and structs.

use datafusion::arrow::array::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::error::Result;

use crate::checks::columns::{Values, View, normalise};
use crate::checks::hash::{bytes128, float_bits, fold, two64};

/// What the two hashes of a row multiply by, and what they take NULL for.
const FACTORS: [u64; 2] = [0x9fb2_1c65_1e98_df25, 0xd1b5_4a32_d192_ed03];
const NULL: (u64, u64) = (0x8a91_a6d4_0bf4_2040, 0x5851_f42d_4c95_7f2d);

/// The sum of the hashes of rows; `None` once rows came whose values cannot be hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content(Option<u128>);

impl Content {
    /// The content of no rows.
    pub(crate) const EMPTY: Self = Self(Some(0));

    /// Returns the content of a batch.
    pub(crate) fn of(batch: &RecordBatch) -> Result<Self> {
        let arrays = batch.columns().iter().map(normalise).collect::<std::result::Result<Vec<_>, _>>()?;
        let views: Vec<View<'_>> = arrays.iter().map(View::of).collect();
        if views.iter().any(|view| matches!(view.values, Values::Opaque)) {
            return Ok(Self(None));
        }
        let mut rows = vec![(FACTORS[1], FACTORS[0]); batch.num_rows()];
        views.iter().for_each(|view| add_column(&mut rows, view));
        let hashes = rows.into_iter().map(|(left, right)| u128::from(left) << 64 | u128::from(right));
        Ok(Self(Some(hashes.fold(0, u128::wrapping_add))))
    }

    /// Returns the content of both.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.zip(other.0).map(|(left, right)| left.wrapping_add(right)))
    }

    /// Returns the content of rows that have these values as well, which stand in no column.
    #[must_use]
    pub(crate) fn with_values(self, values: &[ScalarValue]) -> Self {
        if values.is_empty() {
            return self;
        }
        let text = values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join("\n");
        // Odd, so that no two sums become one; and the same for all files of these values, so that it
        // does not matter how many there are.
        let factor = bytes128(text.as_bytes()) | 1;
        Self(self.0.map(|sum| sum.wrapping_mul(factor)))
    }

    /// Returns it as text; empty where it is not known.
    pub(crate) fn text(self) -> String {
        self.0.map_or_else(String::new, |sum| format!("{sum:032x}"))
    }

    /// Reads the text of one.
    pub(crate) fn parse(text: &str) -> Self {
        Self(u128::from_str_radix(text, 16).ok())
    }

    /// Returns whether it is known.
    pub(crate) fn is_known(self) -> bool {
        self.0.is_some()
    }
}

/// Adds a column to the two hashes of each row. Every table that is written passes here, so this is two multiplications a
/// value; both hashes have to meet for two rows to be taken for the same.
fn add_column(rows: &mut [(u64, u64)], column: &View<'_>) {
    match &column.values {
        Values::Boolean(array) => add(rows, column, |row| twice(u64::from(array.value(row)))),
        Values::Integer(values) => add(rows, column, |row| twice(values[row] as u64)),
        Values::Float(values) => add(rows, column, |row| twice(float_bits(values[row]))),
        Values::Decimal(values, _) => add(rows, column, |row| (values[row] as u64, (values[row] >> 64) as u64)),
        Values::Text(text) => {
            let hashes = text.map(two64);
            add(rows, column, |row| hashes[row]);
        }
        Values::Opaque => {}
    }
}

fn twice(value: u64) -> (u64, u64) {
    (value, value)
}

fn add(rows: &mut [(u64, u64)], column: &View<'_>, value: impl Fn(usize) -> (u64, u64)) {
    let absorb = |(left, right): &mut (u64, u64), value: (u64, u64)| {
        *left = fold(*left ^ value.0, FACTORS[0]);
        *right = fold(right.wrapping_add(value.1), FACTORS[1]);
    };
    match &column.nulls {
        None => rows.iter_mut().enumerate().for_each(|(row, hash)| absorb(hash, value(row))),
        Some(nulls) => rows.iter_mut().enumerate().for_each(|(row, hash)| {
            absorb(hash, if nulls.is_null(row) { NULL } else { value(row) });
        }),
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::EMPTY
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, ListArray, StringArray, StringViewArray};
    use datafusion::arrow::datatypes::Int64Type;

    use super::*;

    fn content(columns: Vec<ArrayRef>) -> Content {
        let named = columns.into_iter().enumerate().map(|(at, column)| (format!("c{at}"), column));
        Content::of(&RecordBatch::try_from_iter(named).unwrap()).unwrap()
    }

    fn numbers(values: &[Option<i64>]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    #[test]
    fn order_and_files_do_not_matter() {
        let whole = content(vec![numbers(&[Some(1), Some(2), None, Some(2)])]);
        let parts = content(vec![numbers(&[None, Some(2)])]).plus(content(vec![numbers(&[Some(2), Some(1)])]));
        assert_eq!(whole, parts);
        assert_ne!(whole, content(vec![numbers(&[Some(1), Some(2), None, Some(1)])]));
        assert_ne!(whole, content(vec![numbers(&[Some(1), Some(2), None])]));
        assert_ne!(content(vec![numbers(&[Some(0)])]), content(vec![numbers(&[None])]));
    }

    #[test]
    fn values_belong_to_their_rows() {
        let pairs =
            |left: [i64; 2], right: [i64; 2]| content(vec![numbers(&left.map(Some)), numbers(&right.map(Some))]);
        assert_ne!(pairs([1, 2], [3, 4]), pairs([1, 2], [4, 3]));
        assert_ne!(pairs([1, 2], [3, 4]), pairs([3, 4], [1, 2]));
    }

    #[test]
    fn small_numbers_do_not_meet() {
        let mut seen = std::collections::HashSet::new();
        for left in 0..200 {
            for right in -100..100 {
                assert!(
                    seen.insert(content(vec![numbers(&[Some(left)]), numbers(&[Some(right)])]).0),
                    "{left} {right}"
                );
            }
        }
    }

    #[test]
    fn layouts_of_text_and_signs_of_zero_do_not_matter() {
        let texts = ["a", "", "longer than twelve bytes"];
        let plain = content(vec![Arc::new(StringArray::from(texts.to_vec()))]);
        assert_eq!(plain, content(vec![Arc::new(StringViewArray::from(texts.to_vec()))]));
        let floats = |values: Vec<f64>| content(vec![Arc::new(Float64Array::from(values))]);
        assert_eq!(floats(vec![0.0, f64::NAN]), floats(vec![-0.0, -f64::NAN]));
    }

    #[test]
    fn values_of_folders_count() {
        let part =
            |sum: i64, value: &str| content(vec![numbers(&[Some(sum)])]).with_values(&[ScalarValue::from(value)]);
        assert_ne!(part(1, "a").plus(part(2, "b")), part(2, "a").plus(part(1, "b")));
        let together = content(vec![numbers(&[Some(1), Some(2)])]).with_values(&[ScalarValue::from("a")]);
        assert_eq!(part(1, "a").plus(part(2, "a")), together);
    }

    #[test]
    fn what_cannot_be_hashed_is_not_known() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)])]);
        let unknown = content(vec![Arc::new(lists)]);
        assert!(!unknown.is_known() && !unknown.plus(Content::EMPTY).is_known());
        let known = content(vec![numbers(&[Some(7)])]);
        assert_eq!(Content::parse(&known.text()), known);
        assert_eq!(Content::parse(&unknown.text()), unknown);
    }
}
