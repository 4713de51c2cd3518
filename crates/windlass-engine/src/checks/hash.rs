//! Hashes of values, for sets of keys.
//!
//! A single column of at most 64 bits is mixed by a bijection: different values never meet, so
//! uniqueness by hash is exact. Everything else gets 128 bits, where a billion different keys meet
//! with a probability below 10^-20.
//!
//! Must stay true: NaN equals NaN, `-0.0` equals `0.0`, and a text hashes alike in every layout.

use arrow::buffer::NullBuffer;

use super::columns::{Values, View};

const ODD: [u64; 4] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db, 0x8ebc_6af0_9c88_c6e3, 0x5899_65cc_7537_4cc3];
const MIX: u64 = 0xd6e8_feb8_6659_fd93;
const UNMIX: u64 = inverse(MIX);
const NULL: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// The keys of a batch's rows.
pub(crate) enum Keys {
    /// One column of at most 64 bits, mixed.
    Narrow(Vec<u64>),
    /// Anything else.
    Wide(Vec<u128>),
}

impl Keys {
    /// Returns the key of a row.
    pub(crate) fn of(&self, row: usize) -> u128 {
        match self {
            Self::Narrow(keys) => u128::from(keys[row]),
            Self::Wide(keys) => keys[row],
        }
    }
}

/// Mixes all bits; a bijection.
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 32)).wrapping_mul(MIX);
    let value = (value ^ (value >> 32)).wrapping_mul(MIX);
    value ^ (value >> 32)
}

/// Returns the value of a key that [`mix`] has made.
pub(crate) fn unmix(key: u64) -> u64 {
    let value = (key ^ (key >> 32)).wrapping_mul(UNMIX);
    let value = (value ^ (value >> 32)).wrapping_mul(UNMIX);
    value ^ (value >> 32)
}

/// Returns what an odd number is multiplied with to get 1, modulo 2^64 (Newton's method).
const fn inverse(odd: u64) -> u64 {
    // Right in three bits; each step doubles them.
    let mut inverse = odd;
    let mut bits = 3;
    while bits < u64::BITS {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse
}

pub(crate) fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    product as u64 ^ (product >> 64) as u64
}

/// Hashes bytes to 64 bits.
pub(crate) fn bytes64(bytes: &[u8], seed: u64) -> u64 {
    let mut state = seed ^ ODD[0];
    let (chunks, rest) = bytes.as_chunks::<16>();
    for chunk in chunks {
        let (low, high) = halves(chunk);
        state = fold(low ^ ODD[1], high ^ state);
    }
    let (low, high) = padded(rest);
    state = fold(low ^ ODD[2], high ^ state);
    fold(state ^ ODD[3], bytes.len() as u64 ^ ODD[1])
}

fn halves(chunk: &[u8; 16]) -> (u64, u64) {
    let both = u128::from_le_bytes(*chunk);
    (both as u64, (both >> 64) as u64)
}

/// Hashes bytes to 128 bits.
pub(crate) fn bytes128(bytes: &[u8]) -> u128 {
    let (left, right) = two64(bytes);
    u128::from(left) << 64 | u128::from(right)
}

/// Hashes bytes twice, to 64 bits each, in one pass.
pub(crate) fn two64(bytes: &[u8]) -> (u64, u64) {
    let (mut left, mut right) = (ODD[2] ^ ODD[0], ODD[3] ^ ODD[0]);
    let (chunks, rest) = bytes.as_chunks::<16>();
    for chunk in chunks {
        let (low, high) = halves(chunk);
        left = fold(low ^ ODD[1], high ^ left);
        right = fold(low ^ ODD[2], high ^ right);
    }
    let (low, high) = padded(rest);
    let length = bytes.len() as u64 ^ ODD[1];
    (fold(fold(low ^ ODD[2], high ^ left) ^ ODD[3], length), fold(fold(low ^ ODD[1], high ^ right) ^ ODD[3], length))
}

/// Returns fewer than 16 bytes with zeros behind them, without a copy whose length is not known beforehand.
fn padded(bytes: &[u8]) -> (u64, u64) {
    let at = |from: usize| bytes[from..].first_chunk::<4>().map_or(0, |four| u64::from(u32::from_le_bytes(*four)));
    let few = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    match bytes.len() {
        0..4 => (few(bytes), 0),
        // What two reads have in common is the same in both.
        length @ 4..8 => (at(0) | at(length - 4) << (8 * (length - 4)), 0),
        length @ 8..12 => (at(0) | at(4) << 32, at(length - 4) >> (8 * (12 - length))),
        length => (at(0) | at(4) << 32, at(8) | at(length - 4) << (8 * (length - 12))),
    }
}

fn mix128(value: u128) -> u128 {
    let (low, high) = (value as u64, (value >> 64) as u64);
    let first = fold(low ^ ODD[0], high ^ ODD[1]);
    let second = fold(low ^ ODD[2], high.rotate_left(32) ^ ODD[3]);
    // Both halves enter both results, so that no part of the input is lost.
    u128::from(first ^ mix(high)) << 64 | u128::from(second ^ mix(low))
}

/// Returns the bits of a float under which equal values are equal.
pub(crate) fn float_bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() }
}

/// Returns the keys of rows over some columns. For one column, what NULL rows get means nothing.
pub(crate) fn keys(columns: &[&View<'_>]) -> Keys {
    match columns {
        [column] => match &column.values {
            Values::Boolean(array) => Keys::Narrow((0..column.rows).map(|row| u64::from(array.value(row))).collect()),
            Values::Integer(values) => Keys::Narrow(values.iter().map(|value| mix(*value as u64)).collect()),
            Values::Float(values) => Keys::Narrow(values.iter().map(|value| mix(float_bits(*value))).collect()),
            _ => Keys::Wide(wide(column)),
        },
        columns => Keys::Wide(rows(columns)),
    }
}

/// Returns the keys of rows in 64 bits where that is cheaper, for what need not be exact.
pub(crate) fn short_keys(columns: &[&View<'_>]) -> Keys {
    match columns {
        [View { values: Values::Text(text), .. }] => Keys::Narrow(text.map(|value| bytes64(value, ODD[2]))),
        columns => keys(columns),
    }
}

/// Returns a hash of each row over some columns. NULL is like any value.
pub(crate) fn rows(columns: &[&View<'_>]) -> Vec<u128> {
    let mut keys = vec![0u128; columns.first().map_or(0, |column| column.rows)];
    for column in columns {
        add_column(&mut keys, &values(column));
    }
    keys
}

/// Returns a hash of each value of a column; NULL is like any value.
pub(crate) fn values(column: &View<'_>) -> Vec<u128> {
    let mut values = wide(column);
    if let Some(nulls) = &column.nulls {
        replace_nulls(&mut values, nulls);
    }
    values
}

fn replace_nulls(values: &mut [u128], nulls: &NullBuffer) {
    for (row, value) in values.iter_mut().enumerate() {
        if nulls.is_null(row) {
            *value = NULL;
        }
    }
}

/// Adds a column to the hashes of rows.
pub(crate) fn add_column(rows: &mut [u128], column: &[u128]) {
    for (row, value) in rows.iter_mut().zip(column) {
        *row = mix128(row.rotate_left(41).wrapping_add(*value));
    }
}

fn wide(column: &View<'_>) -> Vec<u128> {
    let mixed = |value: u64| mix128(u128::from(value));
    match &column.values {
        Values::Boolean(array) => (0..column.rows).map(|row| mixed(u64::from(array.value(row)))).collect(),
        Values::Integer(values) => values.iter().map(|value| mixed(*value as u64)).collect(),
        Values::Float(values) => values.iter().map(|value| mixed(float_bits(*value))).collect(),
        Values::Decimal(values, _) => values.iter().map(|value| mix128(*value as u128)).collect(),
        Values::Text(text) => text.map(bytes128),
        Values::Opaque => vec![0; column.rows],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn small_and_similar_values_do_not_meet() {
        let mut seen = HashSet::new();
        assert!((0..200_000u64).all(|value| seen.insert(mix(value)) && unmix(mix(value)) == value));
        assert!([u64::MAX, 1 << 63, i64::MAX as u64].into_iter().all(|value| unmix(mix(value)) == value));
        let mut wide = HashSet::new();
        assert!((0..200_000u32).all(|value| wide.insert(bytes128(format!("user-{value}@x").as_bytes()))));
        assert!((0..20u8).all(|length| wide.insert(bytes128(&vec![0; usize::from(length)]))));
        let mut pairs = HashSet::new();
        let pair = |left: u128, right: u128| mix128(mix128(left).rotate_left(41).wrapping_add(mix128(right)));
        assert!((0..300u128).all(|left| (0..300).all(|right| pairs.insert(pair(left, right)))));
    }

    #[test]
    fn the_rest_of_a_text_is_padded() {
        let bytes: Vec<u8> = (1..16).collect();
        for length in 0..16 {
            let mut expected = [0; 16];
            expected[..length].copy_from_slice(&bytes[..length]);
            assert_eq!(padded(&bytes[..length]), halves(&expected), "{length}");
        }
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(float_bits(-0.0), float_bits(0.0));
        assert_eq!(float_bits(-f64::NAN), float_bits(f64::NAN));
    }
}
