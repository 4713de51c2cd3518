//! Decides by the values of its key whether a row is chosen.
//!
//! Equal values of two sources are chosen alike however these keep them: integers of any width, whole decimals and
//! floats, and texts that spell an integer are one number; dates and times of any unit are one moment; texts are
//! their bytes in every layout.
//!
//! Must stay true: a change of what is chosen makes samples of two versions of Windlass differ, and no table says so.

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, TimeUnit};
use arrow::error::ArrowError;

use super::Sample;
use crate::checks::columns::{Values, View, normalise};
use crate::checks::hash::{bytes64, float_bits, fold, mix};

/// Begins the hash of a row.
const SEED: u64 = 0x5741_4e44_4c41_5353;
/// What a NULL among several columns counts as.
const NULL: u64 = 0x9e37_79b9_7f4a_7c15;
const TEXT: u64 = 0x2545_f491_4f6c_dd1d;
const FLOAT: u64 = 0xd6e8_feb8_6659_fd93;
const DECIMAL: u64 = 0xa076_1d64_78bd_642f;
/// Nanoseconds of a day.
const DAY_NS: i128 = 86_400_000_000_000;
/// The longest text that can spell an `i64`.
const NUMBER_BYTES: usize = 20;

/// Returns which rows are chosen by the columns of their key. A row whose key is NULL joins nothing and is not chosen.
pub(super) fn chosen(sample: Sample, columns: &[ArrayRef], rows: usize) -> Result<BooleanArray, ArrowError> {
    let mut hashes = vec![SEED; rows];
    let mut has_value = vec![false; rows];
    for column in columns {
        let unit_ns = unit_ns(column.data_type());
        let column = normalise(column)?;
        let view = View::of(&column);
        let values = values(&view, unit_ns);
        for (row, value) in values.into_iter().enumerate() {
            let is_null = view.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            has_value[row] |= !is_null;
            hashes[row] = mix(hashes[row].rotate_left(31) ^ if is_null { NULL } else { value });
        }
    }
    Ok(hashes.iter().zip(&has_value).map(|(hash, has_value)| Some(*has_value && sample.has(*hash))).collect())
}

/// Returns the nanoseconds of a unit of a type of times; 1 for numbers.
fn unit_ns(data_type: &DataType) -> i128 {
    let of = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    match data_type {
        DataType::Date32 => DAY_NS,
        DataType::Date64 => 1_000_000,
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => of(unit),
        DataType::Dictionary(_, value) => unit_ns(value),
        DataType::RunEndEncoded(_, value) => unit_ns(value.data_type()),
        _ => 1,
    }
}

fn values(view: &View<'_>, unit_ns: i128) -> Vec<u64> {
    match &view.values {
        Values::Boolean(array) => (0..view.rows).map(|row| number(i128::from(array.value(row)))).collect(),
        Values::Integer(values) => values.iter().map(|value| number(i128::from(*value) * unit_ns)).collect(),
        Values::Float(values) => values.iter().map(|value| float(*value)).collect(),
        Values::Decimal(values, scale) => values.iter().map(|value| decimal(*value, *scale)).collect(),
        Values::Text(text) => text.map(spelled),
        // The key of a source is held against its columns before.
        Values::Opaque => vec![NULL; view.rows],
    }
}

fn number(value: i128) -> u64 {
    let (low, high) = (value as u64, (value >> 64) as u64);
    mix(low ^ mix(high))
}

fn float(value: f64) -> u64 {
    // Every whole float in this range is an `i64`.
    if value.fract() == 0.0 && value.abs() < 9.0e18 { number(value as i128) } else { mix(float_bits(value) ^ FLOAT) }
}

fn decimal(value: i128, scale: i8) -> u64 {
    let (mut value, mut scale) = (value, scale);
    while scale > 0 && value % 10 == 0 {
        (value, scale) = (value / 10, scale - 1);
    }
    match scale {
        0 => number(value),
        _ => mix(number(value) ^ DECIMAL.rotate_left(u32::from(scale.unsigned_abs()))),
    }
}

/// Returns the hash of a text; one that spells an integer is that integer.
fn spelled(text: &[u8]) -> u64 {
    let is_number =
        text.len() <= NUMBER_BYTES && text.first().is_some_and(|first| first.is_ascii_digit() || *first == b'-');
    if is_number
        && let Some(value) = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok())
        && value.to_string().as_bytes() == text
    {
        return number(i128::from(value));
    }
    mix(fold(bytes64(text, TEXT), TEXT))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, LargeStringArray, StringArray,
        StringViewArray, TimestampMicrosecondArray, TimestampSecondArray, UInt8Array, UInt64Array,
    };
    use arrow::compute::cast;

    use super::*;

    fn of(sample: &str, columns: &[ArrayRef]) -> Vec<bool> {
        let rows = columns[0].len();
        chosen(sample.parse().unwrap(), columns, rows).unwrap().iter().map(|is_chosen| is_chosen.unwrap()).collect()
    }

    #[test]
    fn equal_values_are_chosen_alike_in_every_type() {
        let numbers = 0..100;
        let wide: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers.clone()));
        let expected = of("30%", &[Arc::clone(&wide)]);
        assert!(expected.iter().any(|is_chosen| *is_chosen) && !expected.iter().all(|is_chosen| *is_chosen));
        let texts = || numbers.clone().map(|number| number.to_string());
        let text: ArrayRef = Arc::new(StringArray::from_iter_values(texts()));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8));
        let same: [ArrayRef; 9] = [
            Arc::new(Int32Array::from_iter_values(0..100)),
            Arc::new(UInt8Array::from_iter_values(0..100)),
            Arc::new(UInt64Array::from_iter_values(0..100)),
            Arc::new(Float64Array::from_iter_values(numbers.clone().map(|number| number as f64))),
            Arc::new(
                Decimal128Array::from_iter_values(numbers.clone().map(|number| i128::from(number) * 100))
                    .with_precision_and_scale(20, 2)
                    .unwrap(),
            ),
            Arc::new(LargeStringArray::from_iter_values(texts())),
            Arc::new(StringViewArray::from_iter_values(texts())),
            cast(&text, &dictionary).unwrap(),
            text,
        ];
        for column in same {
            assert_eq!(of("30%", &[Arc::clone(&column)]), expected, "{}", column.data_type());
        }
    }

    #[test]
    fn negative_numbers_and_times_are_chosen_alike() {
        let numbers = -50i64..50;
        let wide = of("40%", &[Arc::new(Int64Array::from_iter_values(numbers.clone()))]);
        let decimal = Decimal128Array::from_iter_values(numbers.clone().map(i128::from));
        let decimal = decimal.with_precision_and_scale(20, 0).unwrap();
        assert_eq!(of("40%", &[Arc::new(decimal)]), wide);
        let days = of("40%", &[Arc::new(Date32Array::from_iter_values(-50..50))]);
        let seconds = TimestampSecondArray::from_iter_values(numbers.clone().map(|day| day * 86_400));
        assert_eq!(of("40%", &[Arc::new(seconds)]), days);
        let micros = TimestampMicrosecondArray::from_iter_values(numbers.map(|day| day * 86_400_000_000));
        assert_eq!(of("40%", &[Arc::new(micros.with_timezone("+00:00"))]), days);
    }

    #[test]
    fn a_smaller_sample_is_part_of_a_larger_one() {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100_000));
        let samples = ["1%", "5%", "50%"].map(|sample| of(sample, &[Arc::clone(&column)]));
        let count = |sample: &[bool]| sample.iter().filter(|is_chosen| **is_chosen).count();
        for (sample, expected) in samples.iter().zip([1_000, 5_000, 50_000]) {
            let found = count(sample);
            assert!(found.abs_diff(expected) < expected / 8, "{found} of {expected}");
        }
        assert!(samples[0].iter().zip(&samples[1]).all(|(small, large)| !small || *large));
        assert!(samples[1].iter().zip(&samples[2]).all(|(small, large)| !small || *large));
    }

    #[test]
    fn a_key_of_nulls_is_not_chosen() {
        let none: ArrayRef = Arc::new(Int64Array::from(vec![None; 1_000]));
        assert!(of("99.9%", &[Arc::clone(&none)]).iter().all(|is_chosen| !is_chosen));
        let some: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
        let both = of("50%", &[none, some]);
        assert!((400..600).contains(&both.iter().filter(|is_chosen| **is_chosen).count()));
    }

    #[test]
    fn what_only_looks_like_a_number_is_a_text() {
        assert_eq!(spelled(b"7"), number(7));
        assert_eq!(spelled(b"-7"), number(-7));
        for text in ["07", "+7", "-0", "7 ", "-", "", "99999999999999999999"] {
            assert_ne!(Some(spelled(text.as_bytes())), text.trim().parse().ok().map(number), "{text}");
        }
    }
}
