//! Order keys as whole numbers, where all columns of the order fit into 64 bits together.
//!
//! Comparing two rows by their bytes is a look at two places of a large memory. Most orders need far fewer bits than
//! their columns have: times lie on a grid, counters are small, codes are few. Each column is
//! brought to a number from 0 up that is ordered as the column is, NULL and direction included; the numbers stand side by side in one word.
//!
//! Must stay true: two keys compare as their rows do, whatever the values.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::compute::{SortOptions, cast, max, min, rank};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::error::Result;
use datafusion::logical_expr::EmitTo;

use super::shares::{number, side_by_side, split};

/// Different texts of a column at most.
const MOST_TEXTS: usize = 1 << 16;

/// One column of an order: its values batch by batch, and how it is ordered.
pub(super) struct OrderColumn {
    pub(super) parts: Vec<ArrayRef>,
    pub(super) options: SortOptions,
}

/// Returns a number for each row, by which rows compare as by `columns`; `None` where 64 bits are not enough.
/// `starts` has the first row of each part, and the end.
pub(super) fn pack(columns: &[OrderColumn], starts: &[usize], shares: usize) -> Result<Option<Vec<u64>>> {
    let mut keys = vec![0_u64; starts.last().copied().unwrap_or_default()];
    let mut bits = 0;
    for column in columns {
        let mut packing = Packing { keys: &mut keys, taken: bits, starts, shares };
        let added = match column.parts.first().map(|part| part.data_type().clone()) {
            None => Some(0),
            Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => packing.append_texts(column)?,
            Some(data_type) if is_whole(&data_type) => packing.append_numbers(column)?,
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

/// Keys that are being made.
struct Packing<'a> {
    keys: &'a mut [u64],
    /// Bits of them that are taken.
    taken: u32,
    starts: &'a [usize],
    shares: usize,
}

impl Packing<'_> {
    /// Writes the numbers of a column below those that are there. Returns the bits that it takes, or `None` where
    /// they do not fit beside those that are taken.
    fn append_numbers(&mut self, column: &OrderColumn) -> Result<Option<u32>> {
        let runs = side_by_side(split(self.starts, self.shares), |run| {
            let number = |part| Ok(cast(&whole(part)?, &DataType::Int64)?.as_primitive::<Int64Type>().clone());
            let parts = column.parts[run].iter().map(number).collect::<Result<Vec<_>>>()?;
            let spread = Spread::of(&parts);
            Ok((parts, spread))
        })?;
        let has_nulls = column.parts.iter().any(|part| part.null_count() > 0);
        let spread = runs.iter().filter_map(|(_, spread)| *spread).reduce(Spread::and);
        let grid = Grid::new(spread.unwrap_or_default());
        // NULL is a number of its own, before or behind all others.
        let numbers = u128::from(grid.most) + 1 + u128::from(has_nulls);
        let bits = u128::BITS - (numbers - 1).leading_zeros();
        if self.taken + bits > u64::BITS {
            return Ok(None);
        }
        let options = column.options;
        let first = u64::from(has_nulls && options.nulls_first);
        let null = if options.nulls_first { 0 } else { grid.most.wrapping_add(1) };
        let mut rest = &mut *self.keys;
        let mut work = Vec::with_capacity(runs.len());
        for (parts, _) in runs {
            let (keys, others) = rest.split_at_mut(parts.iter().map(Array::len).sum());
            rest = others;
            work.push((parts, keys));
        }
        side_by_side(work, |(parts, keys)| {
            let mut keys = keys.iter_mut();
            for part in &parts {
                for (row, key) in (0..part.len()).zip(&mut keys) {
                    let number = if part.is_null(row) { null } else { first + grid.place(part.value(row), options) };
                    *key = shifted(*key, bits) | number;
                }
            }
            Ok(())
        })?;
        Ok(Some(bits))
    }

    /// The same for texts, of which only few are different.
    fn append_texts(&mut self, column: &OrderColumn) -> Result<Option<u32>> {
        let field = Field::new("text", column.parts[0].data_type().clone(), true);
        let schema = Arc::new(Schema::new(vec![field]));
        let of_part = |part: usize| Ok(vec![Arc::clone(&column.parts[part])]);
        let numbered = number(&schema, self.starts, (self.shares, MOST_TEXTS), of_part)?;
        let Some(mut numbered) = numbered else { return Ok(None) };
        let bits = u64::BITS - (numbered.known.len().max(1) as u64 - 1).leading_zeros();
        if self.taken + bits > u64::BITS {
            return Ok(None);
        }
        let distinct = numbered.known.emit(EmitTo::All)?;
        // Arrow ranks no views.
        let ranks = rank(&cast(&distinct[0], &DataType::LargeUtf8)?, Some(column.options))?;
        for (key, text) in self.keys.iter_mut().zip(numbered.numbers) {
            *key = shifted(*key, bits) | u64::from(ranks[text as usize] - 1);
        }
        Ok(Some(bits))
    }
}

/// How far the values of a column lie apart.
#[derive(Debug, Clone, Copy, Default)]
struct Spread {
    least: i64,
    largest: i64,
    /// What all of them are steps of, from the least one on; 0 where there is one value.
    step: u64,
}

impl Spread {
    /// Returns that of values; `None` where there are none.
    fn of(parts: &[Int64Array]) -> Option<Self> {
        let (least, largest) = parts.iter().fold((None, None), |(least, largest): (Option<i64>, Option<i64>), part| {
            let smaller = min(part).map(|value| least.map_or(value, |known| known.min(value)));
            let larger = max(part).map(|value| largest.map_or(value, |known| known.max(value)));
            (smaller.or(least), larger.or(largest))
        });
        let (least, largest) = least.zip(largest)?;
        let (mut step, mut last) = (0, 0);
        for value in parts.iter().flat_map(|part| part.iter().flatten()) {
            let distance = value.abs_diff(least);
            // A step of 1 cannot become less, and times repeat.
            if step == 1 || distance == last {
                continue;
            }
            last = distance;
            if step == 0 || distance % step != 0 {
                step = greatest_divisor(step, distance);
            }
        }
        Some(Self { least, largest, step })
    }

    /// Returns that of the values of both.
    fn and(self, other: Self) -> Self {
        let apart = self.least.abs_diff(other.least);
        Self {
            least: self.least.min(other.least),
            largest: self.largest.max(other.largest),
            step: greatest_divisor(greatest_divisor(self.step, other.step), apart),
        }
    }
}

/// Values of a column as steps from the least of them.
struct Grid {
    least: i64,
    /// A step is an odd number that is shifted so far; multiplied by the inverse of that number, a multiple of it is divided.
    shift: u32,
    inverse: u64,
    /// Steps from the least to the largest.
    most: u64,
}

impl Grid {
    fn new(spread: Spread) -> Self {
        let step = spread.step.max(1);
        let shift = step.trailing_zeros();
        let odd = step >> shift;
        // Newton's iteration: an odd number is its own inverse in 3 bits, and each step doubles them.
        let inverse =
            (0..5).fold(odd, |inverse: u64, _| inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse))));
        Self { least: spread.least, shift, inverse, most: spread.largest.abs_diff(spread.least) / step }
    }

    fn place(&self, value: i64, options: SortOptions) -> u64 {
        let steps = (value.abs_diff(self.least) >> self.shift).wrapping_mul(self.inverse);
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
        BooleanArray, Date32Array, Int32Array, StringArray, StringViewArray, TimestampMicrosecondArray,
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
            let starts = [0, cut, rows];
            let keys = pack(&columns, &starts, 1).unwrap().expect("small columns fit");
            assert_eq!(pack(&columns, &starts, 3).unwrap().as_ref(), Some(&keys), "threads do not matter");
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
            pack(&columns, &[0, rows], 1).unwrap()
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
