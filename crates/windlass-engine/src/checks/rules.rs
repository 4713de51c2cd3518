//! Rules on single rows: for each, the rows of a batch that break it.
//!
//! Must stay true: NULL breaks no rule but `not_null`, as in SQL; NaN lies in no range.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::error::ArrowError;
use windlass_project::checks::Comparison;

use super::columns::{Text, Values, View};
use super::hash::float_bits;
use super::literal::{Allowed, ValueSet};
use super::pattern::Pattern;
use super::suspects::KeyRule;

/// A SQL condition over a batch, planned by whoever made it; it answers for each row.
pub(crate) type Condition = Arc<dyn Fn(&RecordBatch) -> Result<BooleanArray, ArrowError> + Send + Sync>;

/// A rule on single rows.
#[derive(Clone)]
pub(crate) enum Rule {
    NotNull { column: usize },
    Values { column: usize, set: ValueSet, are_accepted: bool },
    Range { column: usize, allowed: Allowed },
    Length { column: usize, min: u64, max: u64 },
    Regex { column: usize, pattern: Pattern, must_match: bool },
    Pair { left: usize, comparison: Comparison, right: usize },
    Condition { condition: Condition },
    Keys(KeyRule),
}

impl Rule {
    /// Returns the columns that it reads as views.
    pub(crate) fn columns(&self) -> Vec<usize> {
        match self {
            Self::NotNull { column }
            | Self::Values { column, .. }
            | Self::Range { column, .. }
            | Self::Length { column, .. }
            | Self::Regex { column, .. } => vec![*column],
            Self::Pair { left, right, .. } => vec![*left, *right],
            Self::Condition { .. } => Vec::new(),
            Self::Keys(rule) => rule.columns(),
        }
    }

    /// Returns the rows that break it; `None` where none does. `view` answers for [`Self::columns`].
    pub(crate) fn broken<'v, 'a: 'v>(
        &self,
        batch: &RecordBatch,
        view: impl Fn(usize) -> &'v View<'a>,
    ) -> Result<Option<BooleanBuffer>, ArrowError> {
        let (broken, nulls) = match self {
            Self::NotNull { column } => {
                let view = view(*column);
                return Ok(view.nulls.as_ref().map(|nulls| !nulls.inner()));
            }
            Self::Values { column, set, are_accepted } => {
                let view = view(*column);
                (in_set(view, set, !*are_accepted), view.nulls.as_ref())
            }
            Self::Range { column, allowed } => {
                let view = view(*column);
                (outside(view, allowed), view.nulls.as_ref())
            }
            Self::Length { column, min, max } => {
                let view = view(*column);
                let is_wrong = |text: &[u8]| !has_length(text, *min, *max);
                (of_text(view, is_wrong), view.nulls.as_ref())
            }
            Self::Regex { column, pattern, must_match } => {
                let view = view(*column);
                (of_text(view, |text| pattern.is_match(text) != *must_match), view.nulls.as_ref())
            }
            Self::Pair { left, comparison, right } => {
                let (left, right) = (view(*left), view(*right));
                let broken = pairs(left, *comparison, right);
                let both = arrow::buffer::NullBuffer::union(left.nulls.as_ref(), right.nulls.as_ref());
                return Ok(some_of(broken, both.as_ref()));
            }
            Self::Keys(rule) => return Ok(some_of(rule.broken(view), None)),
            Self::Condition { condition } => {
                let holds = condition(batch)?;
                let nulls = holds.nulls().cloned();
                return Ok(some_of(!holds.values(), nulls.as_ref()));
            }
        };
        Ok(some_of(broken, nulls))
    }
}

fn some_of(broken: BooleanBuffer, nulls: Option<&arrow::buffer::NullBuffer>) -> Option<BooleanBuffer> {
    let broken = match nulls {
        Some(nulls) => &broken & nulls.inner(),
        None => broken,
    };
    (broken.count_set_bits() > 0).then_some(broken)
}

fn of_text(view: &View<'_>, test: impl FnMut(&[u8]) -> bool) -> BooleanBuffer {
    match &view.values {
        Values::Text(text) => text.test(test),
        _ => BooleanBuffer::new_unset(view.rows),
    }
}

/// Returns whether a text has so many characters at least and so many at most.
fn has_length(text: &[u8], min: u64, max: u64) -> bool {
    // A character has one to four bytes, which decides most texts.
    let (most, fewest) = (text.len() as u64, text.len().div_ceil(4) as u64);
    (fewest >= min && most <= max) || (most >= min && fewest <= max && (min..=max).contains(&characters(text)))
}

/// Returns the number of characters of a text, which is that of bytes that start one.
pub(crate) fn characters(text: &[u8]) -> u64 {
    const LAST_BITS: u64 = 0x0101_0101_0101_0101;
    // Bytes that go on with a character begin with the bits 10. The sum of eight bytes is in the first of their product.
    let others = |word: u64| (((word >> 7) & !(word >> 6) & LAST_BITS).wrapping_mul(LAST_BITS)) >> 56;
    let (words, rest) = text.as_chunks::<8>();
    let in_words: u64 = words.iter().map(|word| others(u64::from_le_bytes(*word))).sum();
    let in_rest = match text.last_chunk::<8>() {
        // The last word overlaps the one before, whose bytes are shifted out.
        Some(last) if !rest.is_empty() => others(u64::from_le_bytes(*last) >> (8 * (8 - rest.len()))),
        Some(_) => 0,
        None => rest.iter().filter(|byte| (**byte as i8) < -0x40).count() as u64,
    };
    text.len() as u64 - in_words - in_rest
}

fn in_set(view: &View<'_>, set: &ValueSet, wanted: bool) -> BooleanBuffer {
    let rows = view.rows;
    match (&view.values, set) {
        (Values::Boolean(array), ValueSet::Boolean { accepts_true, accepts_false }) => {
            let contains = |value: bool| if value { *accepts_true } else { *accepts_false };
            BooleanBuffer::collect_bool(rows, |row| contains(array.value(row)) == wanted)
        }
        (Values::Integer(values), ValueSet::Integers(set)) => {
            BooleanBuffer::collect_bool(rows, |row| set.contains(&values[row]) == wanted)
        }
        (Values::Float(values), ValueSet::Floats(set)) => {
            BooleanBuffer::collect_bool(rows, |row| set.contains(&float_bits(values[row])) == wanted)
        }
        (Values::Decimal(values, _), ValueSet::Decimals(set)) => {
            BooleanBuffer::collect_bool(rows, |row| set.contains(&values[row]) == wanted)
        }
        (Values::Text(text), ValueSet::Texts(set)) => text.test(|value| set.contains(value) == wanted),
        _ => BooleanBuffer::new_unset(rows),
    }
}

fn outside(view: &View<'_>, allowed: &Allowed) -> BooleanBuffer {
    let rows = view.rows;
    match (&view.values, allowed) {
        (Values::Integer(values), Allowed::Integers(low, high)) => {
            let (low, high) = (*low, *high);
            BooleanBuffer::collect_bool(rows, |row| (values[row] < low) | (values[row] > high))
        }
        (Values::Decimal(values, _), Allowed::Decimals(low, high)) => {
            BooleanBuffer::collect_bool(rows, |row| values[row] < *low || values[row] > *high)
        }
        // Written so that NaN is outside: it is neither above the one nor below the other bound.
        (Values::Float(values), Allowed::Floats { min: (min, true), max: (max, true) }) => {
            let (min, max) = (*min, *max);
            BooleanBuffer::collect_bool(rows, |row| !((values[row] >= min) & (values[row] <= max)))
        }
        (Values::Float(values), Allowed::Floats { min, max }) => BooleanBuffer::collect_bool(rows, |row| {
            let value = values[row];
            let above = value > min.0 || (min.1 && value == min.0);
            let below = value < max.0 || (max.1 && value == max.0);
            !(above && below)
        }),
        (Values::Text(text), Allowed::Texts { min, max }) => text.test(|value| {
            let above = min
                .as_ref()
                .is_none_or(|(min, inclusive)| value > min.as_slice() || (*inclusive && value == min.as_slice()));
            let below = max
                .as_ref()
                .is_none_or(|(max, inclusive)| value < max.as_slice() || (*inclusive && value == max.as_slice()));
            !(above && below)
        }),
        _ => BooleanBuffer::new_unset(rows),
    }
}

/// Returns the rows in which two columns do not compare as they should. A NaN compares with nothing,
/// so it breaks every rule but that values differ.
fn pairs(left: &View<'_>, comparison: Comparison, right: &View<'_>) -> BooleanBuffer {
    let rows = left.rows;
    let broken = |order: Option<Ordering>| !comparison.holds(order);
    match (&left.values, &right.values) {
        (Values::Integer(a), Values::Integer(b)) => compared(a, comparison, b),
        (Values::Float(a), Values::Float(b)) => compared(a, comparison, b),
        (Values::Text(a), Values::Text(b)) => BooleanBuffer::collect_bool(rows, |row| broken(text_order(a, b, row))),
        (Values::Boolean(a), Values::Boolean(b)) => {
            BooleanBuffer::collect_bool(rows, |row| broken(Some(a.value(row).cmp(&b.value(row)))))
        }
        (Values::Decimal(a, left), Values::Decimal(b, right)) if left == right => {
            BooleanBuffer::collect_bool(rows, |row| broken(Some(a[row].cmp(&b[row]))))
        }
        (a, b) => BooleanBuffer::collect_bool(rows, |row| broken(number_order(a, b, row))),
    }
}

/// Returns the rows in which two columns of one type do not compare as they should: by a loop for each
/// comparison, without a question about it in every row.
fn compared<T: PartialOrd + Copy>(left: &[T], comparison: Comparison, right: &[T]) -> BooleanBuffer {
    match comparison {
        Comparison::Equal => unless(left, right, |left, right| left == right),
        Comparison::NotEqual => unless(left, right, |left, right| left != right),
        Comparison::Less => unless(left, right, |left, right| left < right),
        Comparison::LessOrEqual => unless(left, right, |left, right| left <= right),
        Comparison::Greater => unless(left, right, |left, right| left > right),
        Comparison::GreaterOrEqual => unless(left, right, |left, right| left >= right),
    }
}

fn unless<T: Copy>(left: &[T], right: &[T], holds: impl Fn(T, T) -> bool) -> BooleanBuffer {
    let rows = left.len().min(right.len());
    let (left, right) = (&left[..rows], &right[..rows]);
    BooleanBuffer::collect_bool(rows, |row| !holds(left[row], right[row]))
}

fn text_order(left: &Text<'_>, right: &Text<'_>, row: usize) -> Option<Ordering> {
    Some(left.value(row).cmp(right.value(row)))
}

fn number_order(left: &Values<'_>, right: &Values<'_>, row: usize) -> Option<Ordering> {
    match (left, right) {
        (Values::Integer(a), Values::Float(b)) => integer_order(a[row], b[row]),
        (Values::Float(a), Values::Integer(b)) => integer_order(b[row], a[row]).map(Ordering::reverse),
        _ => match (exact(left, row), exact(right, row)) {
            (Some(left), Some(right)) => decimal_order(left, right),
            _ => number(left, row)?.partial_cmp(&number(right, row)?),
        },
    }
}

/// Returns how an integer compares with a float, by what they are: above 2^53 a float would hold its neighbours too.
fn integer_order(integer: i64, float: f64) -> Option<Ordering> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    match float {
        float if float.is_nan() => None,
        float if float >= BEYOND => Some(Ordering::Less),
        float if float < -BEYOND => Some(Ordering::Greater),
        // What is left fits once it has no fraction, which decides between equals.
        float => Some(integer.cmp(&(float.floor() as i64)).then(0f64.partial_cmp(&(float - float.floor()))?)),
    }
}

/// Returns an integer or decimal without its point, and the digits behind that.
fn exact(values: &Values<'_>, row: usize) -> Option<(i128, i8)> {
    match values {
        Values::Integer(values) => Some((i128::from(values[row]), 0)),
        Values::Decimal(values, scale) => Some((values[row], *scale)),
        _ => None,
    }
}

/// Compares decimals by value, whatever the scale; where one side has no room for more digits, by floats.
fn decimal_order((a, left): (i128, i8), (b, right): (i128, i8)) -> Option<Ordering> {
    let common = left.max(right);
    let scaled = |value: i128, scale: i8| {
        10i128.checked_pow(u32::try_from(common - scale).ok()?).and_then(|factor| value.checked_mul(factor))
    };
    match (scaled(a, left), scaled(b, right)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => decimal(a, left).partial_cmp(&decimal(b, right)),
    }
}

/// Returns a number as a float.
pub(crate) fn number(values: &Values<'_>, row: usize) -> Option<f64> {
    match values {
        Values::Integer(values) => Some(values[row] as f64),
        Values::Float(values) => Some(values[row]),
        Values::Decimal(values, scale) => Some(decimal(values[row], *scale)),
        _ => None,
    }
}

/// Returns a decimal as the nearest float.
pub(crate) fn decimal(value: i128, scale: i8) -> f64 {
    value as f64 / 10f64.powi(i32::from(scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_compare_with_floats_by_value() {
        const BIG: i64 = 9_007_199_254_740_993;
        for (integer, float, wanted) in [
            (BIG, 9_007_199_254_740_992.0, Some(Ordering::Greater)),
            (BIG - 1, 9_007_199_254_740_992.0, Some(Ordering::Equal)),
            (-BIG, -9_007_199_254_740_992.0, Some(Ordering::Less)),
            (i64::MAX, 9_223_372_036_854_775_808.0, Some(Ordering::Less)),
            (i64::MIN, -9_223_372_036_854_775_808.0, Some(Ordering::Equal)),
            (i64::MIN, f64::NEG_INFINITY, Some(Ordering::Greater)),
            (0, -0.0, Some(Ordering::Equal)),
            (1, 1.5, Some(Ordering::Less)),
            (-1, -1.5, Some(Ordering::Greater)),
            (0, f64::NAN, None),
        ] {
            assert_eq!(integer_order(integer, float), wanted, "{integer} and {float}");
        }
        assert_eq!(decimal_order((i128::from(BIG), 0), (i128::from(BIG) * 100, 2)), Some(Ordering::Equal));
        assert_eq!(decimal_order((i128::from(BIG), 0), (i128::from(BIG) * 100 + 1, 2)), Some(Ordering::Less));
    }

    #[test]
    fn characters_of_any_number_of_bytes() {
        let text = "aé€😀zß".repeat(9);
        let starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
        for (count, end) in starts.enumerate() {
            let bytes = &text.as_bytes()[..end];
            let count = count as u64;
            assert_eq!(characters(bytes), count);
            for (min, max) in [(0, u64::MAX), (count, count), (count + 1, u64::MAX), (0, count), (5, 40)] {
                assert_eq!(has_length(bytes, min, max), (min..=max).contains(&count), "{count} in {min}..={max}");
            }
            assert!(count == 0 || !has_length(bytes, 0, count - 1));
        }
    }
}
