//! Values as users write them, in the type of the column that they are compared with.
//!
//! Must stay true: nothing is rounded on the way. A bound between two values of the column's type
//! moves to the nearest value inside; an accepted value that the type cannot hold matches nothing.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};

use super::columns::{is_text, kernel_type};
use super::hash::float_bits;
use super::keys::Prehashed;

/// The values that a range allows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Allowed {
    /// From the first to the last, both allowed; none where the first is larger.
    Integers(i64, i64),
    /// The same for decimals without their point.
    Decimals(i128, i128),
    /// Bounds, and whether each is allowed itself.
    Floats { min: (f64, bool), max: (f64, bool) },
    /// The same for texts, by bytes.
    Texts { min: Option<(Vec<u8>, bool)>, max: Option<(Vec<u8>, bool)> },
}

/// A bound as written, and whether it is allowed itself.
pub(crate) type Limit<'a> = Option<(&'a str, bool)>;

/// A set of values of one type.
#[derive(Debug, Clone)]
pub(crate) enum ValueSet {
    Boolean {
        accepts_true: bool,
        accepts_false: bool,
    },
    Integers(HashSet<i64, Prehashed>),
    /// By their bits, NaN included.
    Floats(HashSet<u64, Prehashed>),
    Decimals(HashSet<i128, Prehashed>),
    Texts(HashSet<Vec<u8>, Prehashed>),
}

/// Why a text is no value of a type; `is_min` tells which bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The lower bound, or a value.
    Lower,
    /// The upper bound.
    Upper,
    /// The type has no order, or cannot be compared with written values.
    Type,
}

impl Allowed {
    /// Returns whether no value lies between the bounds.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Integers(low, high) => low > high,
            Self::Decimals(low, high) => low > high,
            Self::Floats { min, max } => min.0 > max.0 || (min.0 == max.0 && !(min.1 && max.1)),
            Self::Texts { min: Some(min), max: Some(max) } => min.0 > max.0 || (min.0 == max.0 && !(min.1 && max.1)),
            Self::Texts { .. } => false,
        }
    }

    /// Returns the values that a range allows in a column of `data_type`.
    pub(crate) fn between(min: Limit<'_>, max: Limit<'_>, data_type: &DataType) -> Result<Self, Unfit> {
        let kernel = kernel_type(data_type);
        match &kernel {
            DataType::Float32 | DataType::Float64 => {
                let bound = |limit: Limit<'_>, open: f64| match limit {
                    // Between NaN and anything lies nothing.
                    Some((text, inclusive)) => {
                        Some((held_by(&kernel, float(text).filter(|bound| !bound.is_nan())?), inclusive))
                    }
                    None => Some((open, true)),
                };
                Ok(Self::Floats {
                    min: bound(min, f64::NEG_INFINITY).ok_or(Unfit::Lower)?,
                    max: bound(max, f64::INFINITY).ok_or(Unfit::Upper)?,
                })
            }
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                let (low, high) = decimals(min, max, 0)?;
                Ok(Self::integers(low, high))
            }
            DataType::Decimal128(_, scale) => {
                let (low, high) = decimals(min, max, *scale)?;
                Ok(Self::Decimals(low, high))
            }
            other if is_text(other) => {
                let bound = |limit: Limit<'_>| limit.map(|(text, inclusive)| (text.as_bytes().to_vec(), inclusive));
                Ok(Self::Texts { min: bound(min), max: bound(max) })
            }
            DataType::Date32 | DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_) => {
                let low = match min {
                    Some((text, inclusive)) => {
                        let (below, is_exact) = moment(text, &kernel).ok_or(Unfit::Lower)?;
                        below + i128::from(!is_exact || !inclusive)
                    }
                    None => i128::MIN,
                };
                let high = match max {
                    Some((text, inclusive)) => {
                        let (below, is_exact) = moment(text, &kernel).ok_or(Unfit::Upper)?;
                        below - i128::from(is_exact && !inclusive)
                    }
                    None => i128::MAX,
                };
                Ok(Self::integers(low, high))
            }
            _ => Err(Unfit::Type),
        }
    }

    /// Returns a range of 64-bit integers; one that lies wholly beyond them allows none.
    fn integers(low: i128, high: i128) -> Self {
        let is_empty = low > high || low > i128::from(i64::MAX) || high < i128::from(i64::MIN);
        let clamp = |value: i128| value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        if is_empty { Self::Integers(i64::MAX, i64::MIN) } else { Self::Integers(clamp(low), clamp(high)) }
    }
}

/// Returns the smallest and the largest allowed number in units of `10^-scale`.
fn decimals(min: Limit<'_>, max: Limit<'_>, scale: i8) -> Result<(i128, i128), Unfit> {
    let low = match min {
        Some((text, inclusive)) => {
            let (below, is_exact) = floor(text, scale).ok_or(Unfit::Lower)?;
            below.saturating_add(i128::from(!is_exact || !inclusive))
        }
        None => i128::MIN,
    };
    let high = match max {
        Some((text, inclusive)) => {
            let (below, is_exact) = floor(text, scale).ok_or(Unfit::Upper)?;
            below.saturating_sub(i128::from(is_exact && !inclusive))
        }
        None => i128::MAX,
    };
    Ok((low, high))
}

/// Returns a number in units of `10^-scale`, rounded down, and whether that is exact.
fn floor(text: &str, scale: i8) -> Option<(i128, bool)> {
    let text = text.trim().replace('_', "");
    let lower = text.to_ascii_lowercase();
    match lower.trim_start_matches('+') {
        "inf" | ".inf" | "infinity" => return Some((i128::MAX, true)),
        "-inf" | "-.inf" | "-infinity" => return Some((i128::MIN, true)),
        _ => {}
    }
    let (mantissa, exponent) = match lower.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (lower.as_str(), 0),
    };
    let (is_negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || whole.len() + part.len() == 0 {
        return None;
    }
    let digits = format!("{whole}{part}");
    let digits = digits.trim_start_matches('0');
    // Digits before the point, once the value is in units of the scale.
    let kept = digits.len() as i64 - part.len() as i64 + i64::from(exponent) + i64::from(scale);
    let (kept, cut) =
        if kept <= 0 { ("", digits) } else { digits.split_at_checked(kept as usize).unwrap_or((digits, "")) };
    let zeros =
        (digits.len() as i64 - part.len() as i64 + i64::from(exponent) + i64::from(scale)).max(0) as usize - kept.len();
    let is_exact = cut.bytes().all(|byte| byte == b'0');
    let size = match kept {
        "" => Some(0),
        _ if zeros > 39 => None,
        _ => format!("{kept}{}", "0".repeat(zeros)).parse::<i128>().ok(),
    };
    Some(match (size, is_negative) {
        (Some(size), false) => (size, is_exact),
        (Some(size), true) => (-size - i128::from(!is_exact), is_exact),
        (None, false) => (i128::MAX, true),
        (None, true) => (i128::MIN, true),
    })
}

/// Reads a float, also as YAML writes infinities.
pub(crate) fn float(text: &str) -> Option<f64> {
    let text = text.trim().replace('_', "");
    match text.to_ascii_lowercase().as_str() {
        ".inf" | "+.inf" => Some(f64::INFINITY),
        "-.inf" => Some(f64::NEG_INFINITY),
        ".nan" => Some(f64::NAN),
        _ => text.parse().ok(),
    }
}

/// Returns a float as a column holds it: of 32 bits it is the nearest such number, since a user who writes `0.1` means
/// the value that is shown like this.
fn held_by(kernel: &DataType, value: f64) -> f64 {
    let nearest = f64::from(value as f32);
    let is_held = *kernel == DataType::Float32 && (nearest.is_finite() || !value.is_finite());
    if is_held { nearest } else { value }
}

/// Returns a date, time or timestamp in units of its type, rounded down, and whether that is exact. Days and seconds
/// are finer in a text than in a column, and reach further than nanoseconds of 64 bits.
fn moment(text: &str, data_type: &DataType) -> Option<(i128, bool)> {
    let nanoseconds = match data_type {
        DataType::Date32 => 86_400_000_000_000,
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
        _ => return raw(text, data_type).map(|value| (i128::from(value), true)),
    };
    let in_unit = |unit| raw(text, &DataType::Timestamp(unit, None)).map(i128::from);
    let found = in_unit(TimeUnit::Nanosecond).or_else(|| Some(in_unit(TimeUnit::Microsecond)? * 1_000));
    match found {
        Some(found) => Some((found.div_euclid(nanoseconds), found.rem_euclid(nanoseconds) == 0)),
        // What is written as a date alone may be.
        None => raw(text, data_type).map(|value| (i128::from(value), true)),
    }
}

/// Returns a date, time or timestamp as the number behind it.
fn raw(text: &str, data_type: &DataType) -> Option<i64> {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![text.trim()]));
    let options = CastOptions { safe: false, ..CastOptions::default() };
    // Without a zone of its own a text is in UTC, as tables are; with one it is that moment.
    let plain = match data_type {
        DataType::Timestamp(unit, _) => DataType::Timestamp(*unit, None),
        other => other.clone(),
    };
    let value = cast_with_options(&texts, &plain, &options).ok()?;
    let value = match data_type {
        DataType::Date32 | DataType::Time32(_) => arrow::compute::cast(&value, &DataType::Int32).ok()?,
        _ => value,
    };
    let value = arrow::compute::cast(&value, &DataType::Int64).ok()?;
    Some(value.as_primitive::<Int64Type>().value(0))
}

/// Returns a text as one value of a type, in an array of its own; `None` where it is none.
pub(crate) fn value(text: &str, data_type: &DataType) -> Option<ArrayRef> {
    let kernel = kernel_type(data_type);
    let plain: ArrayRef = match &kernel {
        DataType::Boolean => Arc::new(BooleanArray::from(vec![boolean(text)?])),
        DataType::Float32 | DataType::Float64 => Arc::new(Float64Array::from(vec![float(text)?])),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let (number, true) = floor(text, 0)? else { return None };
            Arc::new(Int64Array::from(vec![i64::try_from(number).ok()?]))
        }
        DataType::Decimal128(precision, scale) => {
            let (number, true) = floor(text, *scale)? else { return None };
            (number.unsigned_abs() < 10u128.pow(u32::from(*precision))).then_some(())?;
            let number = Decimal128Array::from(vec![number]);
            Arc::new(number.with_precision_and_scale(*precision, *scale).ok()?)
        }
        DataType::Date32 | DataType::Time32(_) => {
            Arc::new(Int32Array::from(vec![i32::try_from(raw(text, &kernel)?).ok()?]))
        }
        DataType::Timestamp(..) | DataType::Time64(_) => Arc::new(Int64Array::from(vec![raw(text, &kernel)?])),
        _ => Arc::new(StringArray::from(vec![text])),
    };
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let plain = cast_with_options(&plain, &kernel, &strict).ok()?;
    cast_with_options(&plain, data_type, &strict).ok()
}

fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Some(true),
        "false" | "f" | "0" => Some(false),
        _ => None,
    }
}

impl ValueSet {
    /// Returns the values of a column's type that the texts stand for. `Err` holds the position of
    /// the first text that is no such value, `None` where the type takes none at all.
    pub(crate) fn of(texts: &[&str], data_type: &DataType) -> Result<Self, Option<usize>> {
        let kernel = kernel_type(data_type);
        let mut set = match &kernel {
            DataType::Boolean => Self::Boolean { accepts_true: false, accepts_false: false },
            DataType::Float32 | DataType::Float64 => Self::Floats(HashSet::default()),
            DataType::Decimal128(..) => Self::Decimals(HashSet::default()),
            other if is_text(other) => Self::Texts(HashSet::default()),
            other if super::columns::is_ordered(other) => Self::Integers(HashSet::default()),
            _ => return Err(None),
        };
        for (at, text) in texts.iter().enumerate() {
            set.insert(text, &kernel).ok_or(Some(at))?;
        }
        Ok(set)
    }

    fn insert(&mut self, text: &str, kernel: &DataType) -> Option<()> {
        match self {
            Self::Boolean { accepts_true, accepts_false } => match boolean(text)? {
                true => *accepts_true = true,
                false => *accepts_false = true,
            },
            Self::Floats(values) => {
                values.insert(float_bits(held_by(kernel, float(text)?)));
            }
            Self::Texts(values) => {
                values.insert(text.as_bytes().to_vec());
            }
            Self::Decimals(values) => {
                let DataType::Decimal128(_, scale) = kernel else { return None };
                let (value, is_exact) = floor(text, *scale)?;
                if is_exact {
                    values.insert(value);
                }
            }
            Self::Integers(values) => {
                let is_date = !super::columns::is_number(kernel);
                if is_date {
                    let (value, is_exact) = moment(text, kernel)?;
                    values.extend(i64::try_from(value).ok().filter(|_| is_exact));
                } else if let (value, true) = floor(text, 0)? {
                    values.extend(i64::try_from(value).ok());
                }
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;

    use super::*;

    #[test]
    fn numbers_are_read_exactly() {
        for (text, scale, wanted) in [
            ("12", 0, (12, true)),
            ("-12", 0, (-12, true)),
            ("1.5", 0, (1, false)),
            ("-1.5", 0, (-2, false)),
            ("1.50", 1, (15, true)),
            ("0.001", 2, (0, false)),
            ("-0.001", 2, (-1, false)),
            ("1e3", 2, (100_000, true)),
            ("1.25e-1", 3, (125, true)),
            ("9007199254740993", 0, (9_007_199_254_740_993, true)),
            ("1_000", 0, (1000, true)),
            ("0", 5, (0, true)),
            ("1e60", 0, (i128::MAX, true)),
        ] {
            assert_eq!(floor(text, scale), Some(wanted), "{text}");
        }
        for text in ["", "a", "1.2.3", "--1", "1e", "."] {
            assert_eq!(floor(text, 0), None, "{text}");
        }
    }

    #[test]
    fn bounds_move_inside() {
        let between = |min, max, data_type: &DataType| Allowed::between(min, max, data_type).unwrap();
        assert_eq!(between(Some(("0.5", true)), Some(("2.5", true)), &DataType::Int32), Allowed::Integers(1, 2));
        assert_eq!(between(Some(("1", false)), Some(("3", false)), &DataType::Int64), Allowed::Integers(2, 2));
        assert_eq!(between(Some(("1e30", true)), None, &DataType::Int64), Allowed::Integers(i64::MAX, i64::MIN));
        assert_eq!(between(None, Some(("1e30", true)), &DataType::Int64), Allowed::Integers(i64::MIN, i64::MAX));
        assert_eq!(
            between(Some(("0.005", true)), Some(("1", false)), &DataType::Decimal128(10, 2)),
            Allowed::Decimals(1, 99)
        );
        let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(
            between(Some(("1970-01-01T01:00:00+01:00", true)), Some(("1970-01-01T00:00:01Z", false)), &zoned),
            Allowed::Integers(0, 999_999)
        );
        // A date holds no hours: noon lies after its day, and before the next.
        let noon = |inclusive| Some(("2024-01-31 12:00:00", inclusive));
        for inclusive in [true, false] {
            assert_eq!(between(noon(inclusive), None, &DataType::Date32), Allowed::Integers(19_754, i64::MAX));
            assert_eq!(between(None, noon(inclusive), &DataType::Date32), Allowed::Integers(i64::MIN, 19_753));
        }
        assert_eq!(between(None, Some(("2024-01-31", false)), &DataType::Date32), Allowed::Integers(i64::MIN, 19_752));
        let seconds = DataType::Timestamp(TimeUnit::Second, None);
        let half = Some(("1969-12-31T23:59:59.5Z", true));
        assert_eq!(between(half, half, &seconds), Allowed::Integers(i64::MAX, i64::MIN));
        let nanoseconds = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        let far = (Some(("0001-01-01", true)), Some(("9999-12-31", true)));
        assert_eq!(between(far.0, far.1, &nanoseconds), Allowed::Integers(i64::MIN, i64::MAX));
        assert_eq!(between(far.1, None, &nanoseconds), Allowed::Integers(i64::MAX, i64::MIN));
        let single = |text| between(None, Some((text, true)), &DataType::Float32);
        let below = |max| Allowed::Floats { min: (f64::NEG_INFINITY, true), max: (max, true) };
        assert_eq!(single("0.1"), below(f64::from(0.1f32)));
        assert_eq!(single("1e39"), below(1e39));
        assert_eq!(Allowed::between(Some((".nan", true)), None, &DataType::Float64), Err(Unfit::Lower));
        assert_eq!(Allowed::between(Some(("x", true)), None, &DataType::Date32), Err(Unfit::Lower));
        assert_eq!(Allowed::between(None, None, &DataType::Boolean), Err(Unfit::Type));
    }

    #[test]
    fn a_value_fits_its_type_or_is_none() {
        let of = |text: &str, data_type: &DataType| {
            let found = value(text, data_type)?;
            assert_eq!((found.len(), found.data_type()), (1, data_type), "{text}");
            Some(arrow::util::display::array_value_to_string(&found, 0).unwrap())
        };
        let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        for (text, data_type, wanted) in [
            ("9007199254740993", DataType::Int64, Some("9007199254740993")),
            ("18446744073709551615", DataType::UInt64, Some("18446744073709551615")),
            ("300", DataType::Int8, None),
            ("1.5", DataType::Int32, None),
            ("2.0", DataType::Int32, Some("2")),
            ("x", DataType::Float64, None),
            (".nan", DataType::Float64, Some("NaN")),
            ("1.005", DataType::Decimal128(6, 2), None),
            ("99999.5", DataType::Decimal128(6, 2), None),
            ("-1.5", DataType::Decimal128(6, 2), Some("-1.50")),
            ("yes", DataType::Boolean, None),
            ("TRUE", DataType::Boolean, Some("true")),
            ("2013-02-29", DataType::Date32, None),
            ("2013-02-28", DataType::Date32, Some("2013-02-28")),
            ("2013-01-01T01:00:00+01:00", zoned, Some("2013-01-01T00:00:00Z")),
            ("2013-01-01", DataType::Timestamp(TimeUnit::Nanosecond, None), Some("2013-01-01T00:00:00")),
            ("10:30:00", DataType::Time64(TimeUnit::Microsecond), Some("10:30:00")),
            ("~", DataType::Utf8View, Some("~")),
        ] {
            assert_eq!(of(text, &data_type).as_deref(), wanted, "{text} as {data_type}");
        }
    }

    #[test]
    fn sets_hold_values_of_the_type() {
        let of = |texts: &[&str], data_type: &DataType| ValueSet::of(texts, data_type);
        assert!(
            matches!(of(&["1", "2.0", "2.5"], &DataType::Int64), Ok(ValueSet::Integers(values)) if values.len() == 2)
        );
        assert!(matches!(of(&["0.1", ".nan"], &DataType::Float32), Ok(ValueSet::Floats(values)) if values.len() == 2));
        assert!(matches!(of(&["1", "x"], &DataType::Int64), Err(Some(1))));
        assert!(matches!(
            of(&["1"], &DataType::List(Arc::new(arrow::datatypes::Field::new("x", DataType::Int8, true)))),
            Err(None)
        ));
        assert!(
            matches!(of(&["2024-01-01 06:00:00"], &DataType::Date32), Ok(ValueSet::Integers(values)) if values.is_empty())
        );
        assert!(
            matches!(of(&["2024-01-01"], &DataType::Date32), Ok(ValueSet::Integers(values)) if values.contains(&19723))
        );
    }
}
