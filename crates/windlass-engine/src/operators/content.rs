//! What the rows of a table hash to, whatever their order and however they lie in files.
//!
//! The sum of a hash of each row: two tables with the same sum have the same rows, as far as 128 bits
//! can tell. A list counts as its items in their order, a struct as its fields.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait, RecordBatch};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::DataType;
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
        let Some(rows) = rows(batch.columns(), batch.num_rows())? else { return Ok(Self(None)) };
        let hashes = rows.into_iter().map(|(left, right)| u128::from(left) << 64 | u128::from(right));
        Ok(Self(Some(hashes.fold(0, u128::wrapping_add))))
    }

    /// Returns the content of rows of which nothing is known.
    pub(crate) const fn unknown() -> Self {
        Self(None)
    }

    /// Returns the content of both.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.zip(other.0).map(|(left, right)| left.wrapping_add(right)))
    }

    /// Returns the content without that of other rows, which must be among its rows.
    #[must_use]
    pub(crate) fn minus(self, other: Self) -> Self {
        Self(self.0.zip(other.0).map(|(left, right)| left.wrapping_sub(right)))
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

/// The two hashes of a row or value; both have to meet for two to be taken for the same.
type Hashes = (u64, u64);

const START: Hashes = (FACTORS[1], FACTORS[0]);

/// Returns the hashes of rows of these columns; `None` where some value cannot be hashed.
fn rows(columns: &[ArrayRef], count: usize) -> Result<Option<Vec<Hashes>>> {
    let mut rows = vec![START; count];
    for column in columns {
        let nested = match column.data_type() {
            DataType::List(_) => lists::<i32>(column)?,
            DataType::LargeList(_) => lists::<i64>(column)?,
            DataType::Struct(_) => self::rows(column.as_struct().columns(), count)?,
            _ => {
                let column = normalise(column)?;
                let view = View::of(&column);
                if matches!(view.values, Values::Opaque) {
                    return Ok(None);
                }
                add_column(&mut rows, &view);
                continue;
            }
        };
        let Some(values) = nested else { return Ok(None) };
        add(&mut rows, column.nulls(), |row| values[row]);
    }
    Ok(Some(rows))
}

/// Returns the hashes of lists: those of their items in order, then how many there are.
fn lists<O: OffsetSizeTrait>(column: &ArrayRef) -> Result<Option<Vec<Hashes>>> {
    let lists = column.as_list::<O>();
    let offsets: Vec<usize> = lists.value_offsets().iter().map(|offset| offset.as_usize()).collect();
    let (Some(first), Some(last)) = (offsets.first().copied(), offsets.last().copied()) else {
        return Ok(Some(Vec::new()));
    };
    let Some(items) = rows(&[lists.values().slice(first, last - first)], last - first)? else { return Ok(None) };
    let list = |ends: &[usize]| {
        let mut list = START;
        items[ends[0] - first..ends[1] - first].iter().for_each(|item| absorb(&mut list, *item));
        absorb(&mut list, twice((ends[1] - ends[0]) as u64));
        list
    };
    Ok(Some(offsets.windows(2).map(list).collect()))
}

/// Adds a column to the hashes of each row. Every table that is written passes here, so this is two multiplications a
/// value.
fn add_column(rows: &mut [Hashes], column: &View<'_>) {
    let nulls = column.nulls.as_ref();
    match &column.values {
        Values::Boolean(array) => add(rows, nulls, |row| twice(u64::from(array.value(row)))),
        Values::Integer(values) => add(rows, nulls, |row| twice(values[row] as u64)),
        Values::Float(values) => add(rows, nulls, |row| twice(float_bits(values[row]))),
        Values::Decimal(values, _) => add(rows, nulls, |row| (values[row] as u64, (values[row] >> 64) as u64)),
        Values::Text(text) => {
            let hashes = text.map(two64);
            add(rows, nulls, |row| hashes[row]);
        }
        Values::Opaque => {}
    }
}

fn twice(value: u64) -> Hashes {
    (value, value)
}

fn absorb((left, right): &mut Hashes, value: Hashes) {
    *left = fold(*left ^ value.0, FACTORS[0]);
    *right = fold(right.wrapping_add(value.1), FACTORS[1]);
}

fn add(rows: &mut [Hashes], nulls: Option<&NullBuffer>, value: impl Fn(usize) -> Hashes) {
    match nulls {
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

    use datafusion::arrow::array::{
        Float64Array, Int64Array, IntervalMonthDayNanoArray, ListArray, StringArray, StringViewArray, StructArray,
    };
    use datafusion::arrow::datatypes::{Field, Int64Type, IntervalMonthDayNano};

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
        assert_eq!(whole.minus(content(vec![numbers(&[Some(2), Some(1)])])), content(vec![numbers(&[None, Some(2)])]));
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

    fn lists(lists: &[Option<Vec<Option<i64>>>]) -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists.iter().cloned()))
    }

    #[test]
    fn items_of_lists_count_in_their_order() {
        let some = |items: &[i64]| Some(items.iter().copied().map(Some).collect::<Vec<_>>());
        let rows = [some(&[1, 2]), None, some(&[]), Some(vec![None]), some(&[3]), some(&[0])];
        let whole = content(vec![lists(&rows)]);
        assert!(whole.is_known());
        let turned: Vec<_> = rows.iter().rev().cloned().collect();
        assert_eq!(whole, content(vec![lists(&turned)]), "rows count in any order");
        let parts = lists(&rows);
        let parts = [parts.slice(0, 2), parts.slice(2, 4)].map(|part| content(vec![part]));
        assert_eq!(whole, parts[0].plus(parts[1]), "a part of an array is its rows");
        let others = [some(&[2, 1]), some(&[1]), some(&[1, 2, 2]), some(&[0]), None, some(&[]), Some(vec![None, None])];
        let mut seen = vec![content(vec![lists(&[some(&[1, 2])])])];
        for other in others {
            let other = content(vec![lists(&[other])]);
            assert!(!seen.contains(&other));
            seen.push(other);
        }
        // What is in one list is not in the next.
        assert_ne!(
            content(vec![lists(&[some(&[1]), some(&[2, 3])])]),
            content(vec![lists(&[some(&[1, 2]), some(&[3])])])
        );
    }

    #[test]
    fn fields_of_structs_count_with_their_rows() {
        let field = |name: &str, data_type| Arc::new(Field::new(name, data_type, true));
        let of = |numbers: [i64; 2], tags: &[Option<Vec<Option<i64>>>], is_there: [bool; 2]| {
            let tags = lists(tags);
            let fields = vec![field("n", DataType::Int64), field("tags", tags.data_type().clone())];
            let columns = vec![self::numbers(&numbers.map(Some)), tags];
            let nulls = NullBuffer::from(is_there.to_vec());
            content(vec![Arc::new(StructArray::new(fields.into(), columns, Some(nulls)))])
        };
        let (one, two) = (Some(vec![Some(1)]), Some(vec![Some(2)]));
        let both = of([1, 2], &[one.clone(), two.clone()], [true; 2]);
        assert_eq!(both, of([2, 1], &[two.clone(), one.clone()], [true; 2]));
        assert_ne!(both, of([1, 2], &[two.clone(), one.clone()], [true; 2]));
        assert_ne!(both, of([1, 2], &[one.clone(), two.clone()], [true, false]));
        // What stands in a row that is NULL means nothing.
        assert_eq!(of([1, 2], &[one.clone(), two], [true, false]), of([1, 7], &[one, None], [true, false]));
    }

    #[test]
    fn what_cannot_be_hashed_is_not_known() {
        let spans = IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, 2, 3)]);
        let unknown = content(vec![Arc::new(spans)]);
        assert!(!unknown.is_known() && !unknown.plus(Content::EMPTY).is_known());
        let known = content(vec![numbers(&[Some(7)])]);
        assert_eq!(Content::parse(&known.text()), known);
        assert_eq!(Content::parse(&unknown.text()), unknown);
    }
}
