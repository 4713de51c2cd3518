//! Arrow columns in the few shapes that kernels know.
//!
//! Integers, dates and times are `i64`, floats `f64`, decimals `i128` with their scale, texts are
//! bytes whatever their layout. A dictionary stays one: kernels look at each of its values once.
//!
//! Must stay true: a value that a conversion would change fails the batch, it is never rounded.

use std::borrow::Cow;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BinaryViewArray, BooleanArray, LargeBinaryArray,
    LargeStringArray, StringArray, StringViewArray,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use arrow::error::ArrowError;

/// A column of a batch.
pub(crate) struct View<'a> {
    /// Number of rows.
    pub(crate) rows: usize,
    /// Which rows are NULL, also through a dictionary; `None` where none is.
    pub(crate) nulls: Option<NullBuffer>,
    /// The values; what stands in NULL rows means nothing.
    pub(crate) values: Values<'a>,
}

/// The values of a column.
pub(crate) enum Values<'a> {
    /// True or false.
    Boolean(&'a BooleanArray),
    /// Integers, dates, times and timestamps in their own unit.
    Integer(Cow<'a, [i64]>),
    /// Floats.
    Float(Cow<'a, [f64]>),
    /// Decimals without their point, and the digits behind it.
    Decimal(&'a [i128], i8),
    /// Text or bytes.
    Text(Text<'a>),
    /// Lists, structs and what else only NULL is asked of.
    Opaque,
}

/// Text or bytes in one of Arrow's layouts.
pub(crate) enum Text<'a> {
    Utf8(&'a StringArray),
    LargeUtf8(&'a LargeStringArray),
    Utf8View(&'a StringViewArray),
    Binary(&'a BinaryArray),
    LargeBinary(&'a LargeBinaryArray),
    BinaryView(&'a BinaryViewArray),
    /// Texts of at most 12 bytes, as Arrow keeps them in a view: their length, then their bytes.
    Inline(Vec<[u8; 16]>),
    Dictionary {
        keys: Vec<u32>,
        values: Box<Text<'a>>,
    },
}

/// What is read of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reading {
    /// Which rows are NULL.
    Nulls,
    /// The values too.
    Values,
}

/// Up to so many different short texts a batch is read as a dictionary, each looked at once.
const DICTIONARY: usize = 256;
/// The longest text that a view holds itself.
const INLINE_BYTES: u32 = 12;

/// Returns the type in which kernels see columns of `data_type`.
pub(crate) fn kernel_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Decimal256(_, scale) => DataType::Decimal128(38, *scale),
        DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Dictionary(_, value) if is_text(value) => data_type.clone(),
        DataType::Dictionary(_, value) => kernel_type(value),
        DataType::RunEndEncoded(_, value) => kernel_type(value.data_type()),
        other => other.clone(),
    }
}

/// Returns whether a type holds text or bytes.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_text(value),
        DataType::RunEndEncoded(_, value) => is_text(value.data_type()),
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => true,
        _ => false,
    }
}

/// Returns whether values are integers that kernels see as such: all but the largest unsigned ones.
pub(crate) fn is_integer(data_type: &DataType) -> bool {
    data_type.is_integer() && *data_type != DataType::UInt64
}

/// Returns whether mean, quantiles and drift of numbers make sense.
pub(crate) fn is_number(data_type: &DataType) -> bool {
    matches!(
        kernel_type(data_type),
        DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Decimal128(..)
    )
}

/// Returns whether values of a type have an order that bounds can use.
pub(crate) fn is_ordered(data_type: &DataType) -> bool {
    is_number(data_type)
        || is_text(data_type)
        || matches!(
            kernel_type(data_type),
            DataType::Date32 | DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_)
        )
}

/// Returns a column as kernels see it, to be borrowed by [`View::of`].
pub(crate) fn normalise(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let wanted = kernel_type(array.data_type());
    if wanted == *array.data_type() {
        return Ok(ArrayRef::clone(array));
    }
    // Not safe: a value that does not fit is an error, never NULL.
    cast_with_options(array, &wanted, &CastOptions { safe: false, ..CastOptions::default() })
}

impl<'a> View<'a> {
    /// Returns the view of a normalised column.
    pub(crate) fn of(array: &'a ArrayRef) -> Self {
        Self::reading(array, Reading::Values)
    }

    /// Returns the view of a column that is normalised where its values are read.
    pub(crate) fn reading(array: &'a ArrayRef, reading: Reading) -> Self {
        let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        let values = match reading {
            Reading::Nulls => Values::Opaque,
            Reading::Values => Values::of(array),
        };
        Self { rows: array.len(), nulls, values }
    }

    /// Returns which rows are not NULL and selected.
    pub(crate) fn valid(&self, selection: Option<&BooleanBuffer>) -> Option<BooleanBuffer> {
        match (&self.nulls, selection) {
            (None, None) => None,
            (Some(nulls), None) => Some(nulls.inner().clone()),
            (None, Some(selection)) => Some(selection.clone()),
            (Some(nulls), Some(selection)) => Some(nulls.inner() & selection),
        }
    }
}

impl<'a> Values<'a> {
    fn of(array: &'a ArrayRef) -> Self {
        match array.data_type() {
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Int64 => Self::Integer(Cow::Borrowed(array.as_primitive::<Int64Type>().values())),
            DataType::Int32 => Self::Integer(widen::<Int32Type>(array)),
            DataType::Int16 => Self::Integer(widen::<Int16Type>(array)),
            DataType::Int8 => Self::Integer(widen::<Int8Type>(array)),
            DataType::Date32 => Self::Integer(widen::<Date32Type>(array)),
            DataType::Timestamp(TimeUnit::Second, _) => Self::Integer(raw::<TimestampSecondType>(array)),
            DataType::Timestamp(TimeUnit::Millisecond, _) => Self::Integer(raw::<TimestampMillisecondType>(array)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Self::Integer(raw::<TimestampMicrosecondType>(array)),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Self::Integer(raw::<TimestampNanosecondType>(array)),
            DataType::Time64(TimeUnit::Microsecond) => Self::Integer(raw::<Time64MicrosecondType>(array)),
            DataType::Time64(_) => Self::Integer(raw::<Time64NanosecondType>(array)),
            DataType::Time32(_) => Self::Integer(match arrow::compute::cast(array, &DataType::Int32) {
                Ok(array) => Cow::Owned(widen::<Int32Type>(&array).into_owned()),
                Err(_) => return Self::Opaque,
            }),
            DataType::Float64 => Self::Float(Cow::Borrowed(array.as_primitive::<Float64Type>().values())),
            DataType::Float32 => {
                let values = array.as_primitive::<Float32Type>().values();
                Self::Float(Cow::Owned(values.iter().map(|value| f64::from(*value)).collect()))
            }
            DataType::Decimal128(_, scale) => Self::Decimal(array.as_primitive::<Decimal128Type>().values(), *scale),
            other if is_text(other) => Text::of(array).map_or(Self::Opaque, Self::Text),
            _ => Self::Opaque,
        }
    }
}

fn widen<T: ArrowPrimitiveType>(array: &ArrayRef) -> Cow<'_, [i64]>
where
    T::Native: Into<i64>,
{
    Cow::Owned(array.as_primitive::<T>().values().iter().map(|value| (*value).into()).collect())
}

/// Returns the 64-bit numbers behind a timestamp or time, in its own unit.
fn raw<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef) -> Cow<'_, [i64]> {
    Cow::Borrowed(array.as_primitive::<T>().values())
}

/// Returns a column of few different short texts as keys and values; `None` where they are many or long.
fn encoded(array: &StringViewArray) -> Option<(Vec<u32>, Vec<[u8; 16]>)> {
    const SLOTS: usize = 4 * DICTIONARY;
    const FREE: u32 = u32::MAX;
    let mut slots = [FREE; SLOTS];
    let mut values: Vec<u128> = Vec::new();
    let mut keys = Vec::with_capacity(array.len());
    for view in array.views() {
        if *view as u32 > INLINE_BYTES {
            return None;
        }
        let mixed = (*view as u64 ^ (*view >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut at = (mixed >> (u64::BITS - SLOTS.ilog2())) as usize;
        while slots[at] != FREE && values[slots[at] as usize] != *view {
            at = (at + 1) % SLOTS;
        }
        if slots[at] == FREE {
            if values.len() == DICTIONARY {
                return None;
            }
            slots[at] = values.len() as u32;
            values.push(*view);
        }
        keys.push(slots[at]);
    }
    Some((keys, values.into_iter().map(u128::to_le_bytes).collect()))
}

impl<'a> Text<'a> {
    fn of(array: &'a dyn Array) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Utf8 => Self::Utf8(array.as_string()),
            DataType::LargeUtf8 => Self::LargeUtf8(array.as_string()),
            DataType::Utf8View => match encoded(array.as_string_view()) {
                Some((keys, values)) => Self::Dictionary { keys, values: Box::new(Self::Inline(values)) },
                None => Self::Utf8View(array.as_string_view()),
            },
            DataType::Binary => Self::Binary(array.as_binary()),
            DataType::LargeBinary => Self::LargeBinary(array.as_binary()),
            DataType::BinaryView => Self::BinaryView(array.as_binary_view()),
            DataType::Dictionary(..) => {
                let dictionary = array.as_any_dictionary();
                let values = Box::new(Self::of(dictionary.values().as_ref())?);
                let keys = match dictionary.values().len() {
                    // All rows are NULL.
                    0 => vec![0; array.len()],
                    _ => dictionary.normalized_keys().into_iter().map(|key| key as u32).collect(),
                };
                Self::Dictionary { keys, values }
            }
            _ => return None,
        })
    }

    /// Returns the value of a row; nothing for a row of an empty dictionary, which is NULL.
    pub(crate) fn value(&self, row: usize) -> &[u8] {
        match self {
            Self::Utf8(array) => array.value(row).as_bytes(),
            Self::LargeUtf8(array) => array.value(row).as_bytes(),
            Self::Utf8View(array) => array.value(row).as_bytes(),
            Self::Binary(array) => array.value(row),
            Self::LargeBinary(array) => array.value(row),
            Self::BinaryView(array) => array.value(row),
            Self::Inline(values) => inline(&values[row]),
            Self::Dictionary { keys, values } if (keys[row] as usize) < values.len() => {
                values.value(keys[row] as usize)
            }
            Self::Dictionary { .. } => &[],
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Utf8(array) => array.len(),
            Self::LargeUtf8(array) => array.len(),
            Self::Utf8View(array) => array.len(),
            Self::Binary(array) => array.len(),
            Self::LargeBinary(array) => array.len(),
            Self::BinaryView(array) => array.len(),
            Self::Inline(values) => values.len(),
            Self::Dictionary { keys, .. } => keys.len(),
        }
    }

    /// Returns for each row what `of` says of its value; each value of a dictionary is asked once.
    pub(crate) fn map<T: Copy + Default>(&self, mut of: impl FnMut(&[u8]) -> T) -> Vec<T> {
        match self {
            Self::Dictionary { keys, values } => {
                let known: Vec<T> = values.map(of);
                keys.iter().map(|key| known.get(*key as usize).copied().unwrap_or_default()).collect()
            }
            Self::Utf8(array) => (0..array.len()).map(|row| of(array.value(row).as_bytes())).collect(),
            Self::LargeUtf8(array) => (0..array.len()).map(|row| of(array.value(row).as_bytes())).collect(),
            Self::Utf8View(array) => (0..array.len()).map(|row| of(array.value(row).as_bytes())).collect(),
            other => (0..other.len()).map(|row| of(other.value(row))).collect(),
        }
    }

    /// Returns the rows whose value `test` accepts; each value of a dictionary is tested once.
    pub(crate) fn test(&self, mut test: impl FnMut(&[u8]) -> bool) -> BooleanBuffer {
        match self {
            Self::Dictionary { keys, values } => {
                let known: Vec<bool> = values.map(test);
                BooleanBuffer::collect_bool(keys.len(), |row| {
                    known.get(keys[row] as usize).copied().unwrap_or_default()
                })
            }
            Self::Utf8(array) => BooleanBuffer::collect_bool(array.len(), |row| test(array.value(row).as_bytes())),
            Self::Utf8View(array) => BooleanBuffer::collect_bool(array.len(), |row| test(array.value(row).as_bytes())),
            other => BooleanBuffer::collect_bool(other.len(), |row| test(other.value(row))),
        }
    }

    /// Returns, for a dictionary, how many selected rows have each of its values.
    pub(crate) fn for_each_count(&self, valid: Option<&BooleanBuffer>, mut visit: impl FnMut(&[u8], u64)) {
        match self {
            Self::Dictionary { keys, values } => {
                let mut counts = vec![0u64; values.len().max(1)];
                match valid {
                    None => keys.iter().for_each(|key| counts[*key as usize] += 1),
                    Some(valid) => valid.set_indices().for_each(|row| counts[keys[row] as usize] += 1),
                }
                for (key, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                    visit(values.value(key), *count);
                }
            }
            other => match valid {
                None => (0..other.len()).for_each(|row| visit(other.value(row), 1)),
                Some(valid) => valid.set_indices().for_each(|row| visit(other.value(row), 1)),
            },
        }
    }
}

/// Returns the text in a view that holds it itself.
fn inline(view: &[u8; 16]) -> &[u8] {
    let length = u32::from_le_bytes([view[0], view[1], view[2], view[3]]);
    &view[4..4 + length.min(INLINE_BYTES) as usize]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn few_short_texts_are_read_as_a_dictionary() {
        let of = |texts: &[Option<String>]| -> ArrayRef { Arc::new(StringViewArray::from_iter(texts.iter().cloned())) };
        let numbered = |count: usize| (0..count).map(|at| Some(format!("text {at}"))).collect::<Vec<_>>();
        let mut few = [numbered(DICTIONARY - 2), numbered(10)].concat();
        few.extend([None, Some(String::new()), Some("twelve bytes".to_string())]);
        for (texts, is_dictionary) in [
            (few, true),
            (vec![None; 3], true),
            (Vec::new(), true),
            (numbered(DICTIONARY + 1), false),
            (vec![Some("more than twelve bytes".to_string())], false),
        ] {
            let array = of(&texts);
            let Some(text) = Text::of(array.as_ref()) else { panic!("a text column is text") };
            assert_eq!(matches!(text, Text::Dictionary { .. }), is_dictionary, "{}", texts.len());
            let known = texts.iter().enumerate().filter_map(|(row, value)| Some((row, value.as_ref()?)));
            known.for_each(|(row, value)| assert_eq!(text.value(row), value.as_bytes()));
        }
    }
}
