//! Order keys as whole numbers, where all columns of the order fit into 64 bits together.
//!
//! Comparing two rows by their bytes is a look at two places of a large memory. Most orders need far fewer bits than
//! their columns have: times lie on a grid, counters are small, codes are few. Each column is
//! brought to a number from 0 up that is ordered as the column is, NULL and direction included; the numbers stand side by side in one word.
//!
//! Must stay true: two keys compare as their rows do, whatever the values.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::{SortOptions, cast, rank};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::error::Result;
use datafusion::logical_expr::EmitTo;
use datafusion::physical_plan::aggregates::group_values::new_group_values;
use datafusion::physical_plan::aggregates::order::GroupOrdering;

/// Different texts of a column at most.
const MOST_TEXTS: usize = 1 << 16;

/// One column of an order: its values batch by batch, and how it is ordered.
pub(super) struct OrderColumn {
    pub(super) parts: Vec<ArrayRef>,
    pub(super) options: SortOptions,
}

/// Returns a number for each row, by which rows compare as by `columns`; `None` where 64 bits are not enough.
pub(super) fn pack(columns: &[OrderColumn], rows: usize) -> Result<Option<Vec<u64>>> {
    let mut keys = vec![0_u64; rows];
    let mut bits = 0;
    for column in columns {
        let added = match column.parts.first().map(|part| part.data_type().clone()) {
            None => Some(0),
            Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => column.append_texts(&mut keys, bits)?,
            Some(data_type) if is_whole(&data_type) => column.append_numbers(&mut keys, bits)?,
            Some(_) => None,
        };
        let Some(added) = added else { return Ok(None) };
        bits += added;
    }
    Ok(Some(keys))
}

/// Whether values are whole numbers, or times that are counted from somewhere.
fn is_whole(data_type: &DataType) -> bool {
    data_type.is_signed_integer()
        || matches!(data_type, DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::Boolean)
        || matches!(data_type, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
        || matches!(data_type, DataType::Time32(_) | DataType::Time64(_))
}

/// Values of a column as steps from the least of them.
struct Grid {
    least: i64,
    step: u64,
    /// Steps from the least to the largest.
    most: u64,
    has_nulls: bool,
}

impl OrderColumn {
    /// Writes the numbers of this column below those that are there. Returns the bits that it takes, or `None` where
    /// they do not fit beside the `taken` ones.
    fn append_numbers(&self, keys: &mut [u64], taken: u32) -> Result<Option<u32>> {
        let parts = self.parts.iter().map(|part| cast(&whole(part)?, &DataType::Int64));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let Some(grid) = Grid::of(&parts) else { return Ok(None) };
        // NULL is a number of its own, before or behind all others.
        let numbers = u128::from(grid.most) + 1 + u128::from(grid.has_nulls);
        let bits = u128::BITS - (numbers - 1).leading_zeros();
        if taken + bits > u64::BITS {
            return Ok(None);
        }
        let first = u64::from(grid.has_nulls && self.options.nulls_first);
        let null = if self.options.nulls_first { 0 } else { grid.most.wrapping_add(1) };
        let mut keys = keys.iter_mut();
        for part in &parts {
            let part = part.as_primitive::<Int64Type>();
            for (row, key) in (0..part.len()).zip(&mut keys) {
                let number = if part.is_null(row) { null } else { first + grid.place(part.value(row), self.options) };
                *key = shifted(*key, bits) | number;
            }
        }
        Ok(Some(bits))
    }

    /// The same for texts, of which only few are different.
    fn append_texts(&self, keys: &mut [u64], taken: u32) -> Result<Option<u32>> {
        let field = Field::new("text", self.parts[0].data_type().clone(), true);
        let mut known = new_group_values(Arc::new(Schema::new(vec![field])), &GroupOrdering::None)?;
        let mut texts: Vec<u32> = Vec::with_capacity(keys.len());
        let mut groups = Vec::new();
        for part in &self.parts {
            known.intern(&[Arc::clone(part)], &mut groups)?;
            if known.len() > MOST_TEXTS {
                return Ok(None);
            }
            texts.extend(groups.iter().map(|group| *group as u32));
        }
        let bits = u64::BITS - (known.len().max(1) as u64 - 1).leading_zeros();
        if taken + bits > u64::BITS {
            return Ok(None);
        }
        let distinct = known.emit(EmitTo::All)?;
        // Arrow ranks no views.
        let ranks = rank(&cast(&distinct[0], &DataType::LargeUtf8)?, Some(self.options))?;
        for (key, text) in keys.iter_mut().zip(texts) {
            *key = shifted(*key, bits) | u64::from(ranks[text as usize] - 1);
        }
        Ok(Some(bits))
    }
}

impl Grid {
    /// Returns what all values are steps of; `None` where they lie further apart than 64 bits tell.
    fn of(parts: &[ArrayRef]) -> Option<Self> {
        let values = || parts.iter().flat_map(|part| part.as_primitive::<Int64Type>().iter().flatten());
        let has_nulls = parts.iter().any(|part| part.null_count() > 0);
        let Some(least) = values().min() else { return Some(Self { least: 0, step: 1, most: 0, has_nulls }) };
        let (mut step, mut most) = (0, 0);
        for value in values() {
            let distance = value.abs_diff(least);
            most = most.max(distance);
            // A step of 1 cannot become less.
            if step != 1 && (step == 0 || distance % step != 0) {
                step = greatest_divisor(step, distance);
            }
        }
        let step = step.max(1);
        Some(Self { least, step, most: most / step, has_nulls })
    }

    fn place(&self, value: i64, options: SortOptions) -> u64 {
        let steps = value.abs_diff(self.least) / self.step;
        if options.descending { self.most - steps } else { steps }
    }
}

/// Returns an array as one that casts to whole numbers: Arrow casts times of a day by way of their own width alone.
fn whole(part: &ArrayRef) -> Result<ArrayRef> {
    Ok(match part.data_type() {
        DataType::Date32 | DataType::Time32(_) => cast(part, &DataType::Int32)?,
        _ => Arc::clone(part),
    })
}

/// Returns the key with room for so many bits below.
fn shifted(key: u64, bits: u32) -> u64 {
    key.checked_shl(bits).unwrap_or(0)
}

fn greatest_divisor(left: u64, right: u64) -> u64 {
    let (mut left, mut right) = (left, right);
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{
        BooleanArray, Date32Array, Int32Array, Int64Array, StringArray, StringViewArray, TimestampMicrosecondArray,
    };
    use datafusion::arrow::row::{RowConverter, SortField};

    use super::*;

    /// Numbers that look drawn by chance.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, most: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % most
        }
    }

    fn column(kind: u64, rows: usize, dice: &mut Dice) -> ArrayRef {
        let mut drawn = |most: u64| (0..rows).map(|_| dice.below(most + 1).checked_sub(1)).collect::<Vec<_>>();
        match kind {
            0 => Arc::new(Int64Array::from_iter(drawn(9).into_iter().map(|v| v.map(|v| v as i64 * 7 - 30)))),
            1 => Arc::new(Int32Array::from_iter(drawn(5000).into_iter().map(|v| v.map(|v| v as i32 - 2000)))),
            2 => {
                let hours = drawn(400).into_iter().map(|v| v.map(|v| v as i64 * 3_600_000_000 - 5_000_000_000));
                Arc::new(TimestampMicrosecondArray::from_iter(hours).with_timezone("UTC"))
            }
            3 => Arc::new(StringArray::from_iter(drawn(30).into_iter().map(|v| v.map(|v| format!("{}", v * 7))))),
            4 => Arc::new(StringViewArray::from_iter(
                drawn(5).into_iter().map(|v| v.map(|v| "a long text of its own ".repeat(v as usize))),
            )),
            5 => Arc::new(BooleanArray::from_iter(drawn(2).into_iter().map(|v| v.map(|v| v == 1)))),
            6 => Arc::new(Date32Array::from_iter(drawn(3).into_iter().map(|v| v.map(|v| v as i32 * 365)))),
            _ => Arc::new(Int64Array::from_iter_values(drawn(3).into_iter().map(|v| v.unwrap_or(0) as i64))),
        }
    }

    #[test]
    fn keys_compare_as_rows_do() {
        let mut dice = Dice(11);
        for round in 0..300 {
            let rows = 1 + dice.below(40) as usize;
            let cut = dice.below(rows as u64 + 1) as usize;
            let columns: Vec<OrderColumn> = (0..1 + dice.below(4))
                .map(|_| {
                    let whole = column(dice.below(8), rows, &mut dice);
                    let parts = vec![whole.slice(0, cut), whole.slice(cut, rows - cut)];
                    OrderColumn {
                        parts,
                        options: SortOptions { descending: dice.below(2) == 1, nulls_first: dice.below(2) == 1 },
                    }
                })
                .collect();
            let keys = pack(&columns, rows).unwrap().expect("small columns fit");
            let fields = columns
                .iter()
                .map(|column| SortField::new_with_options(column.parts[0].data_type().clone(), column.options));
            let converter = RowConverter::new(fields.collect()).unwrap();
            let mut expected = converter.empty_rows(rows, 0);
            for part in 0..2 {
                let parts: Vec<ArrayRef> = columns.iter().map(|column| Arc::clone(&column.parts[part])).collect();
                converter.append(&mut expected, &parts).unwrap();
            }
            for left in 0..rows {
                for right in 0..rows {
                    assert_eq!(
                        keys[left].cmp(&keys[right]),
                        expected.row(left).cmp(&expected.row(right)),
                        "round {round}, rows {left} and {right}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_left_to_bytes() {
        let pack = |parts: Vec<ArrayRef>| {
            let rows = parts[0].len();
            let options = SortOptions::default();
            let columns: Vec<_> = parts.into_iter().map(|part| OrderColumn { parts: vec![part], options }).collect();
            pack(&columns, rows).unwrap()
        };
        let all: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN, 0]));
        assert_eq!(pack(vec![Arc::clone(&all)]), Some(vec![u64::MAX, 0, 1 << 63]));
        let nulls: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(i64::MIN), Some(0), None]));
        assert_eq!(pack(vec![nulls]), None);
        let few: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        assert_eq!(pack(vec![Arc::clone(&few), Arc::clone(&all)]), None);
        let same: ArrayRef = Arc::new(Int64Array::from(vec![5, 5, 5]));
        assert_eq!(pack(vec![Arc::clone(&same), all]), Some(vec![u64::MAX, 0, 1 << 63]));
        let nothing: ArrayRef = Arc::new(Int64Array::from(vec![None, None, None]));
        assert_eq!(pack(vec![nothing, few]), Some(vec![0, 1, 2]));
        let floats: ArrayRef = Arc::new(datafusion::arrow::array::Float64Array::from(vec![1.0, 2.0]));
        assert_eq!(pack(vec![floats]), None);
    }
}
