//! Sums that do not depend on the order of what is summed.
//!
//! Many numbers at once are cut at the same binary places first, so high that all high parts add up without rounding, and so do
//! the parts below; what is below these too is added by itself. Each step is exact, so the sum is the same.

use serde::{Deserialize, Serialize};

/// Bits of a limb that carry value; the rest of its 64 bits holds carries of [`MOST_ADDS`] additions.
const LIMB_BITS: i32 = 32;
/// Limbs from the smallest subnormal, 2^-1074, to beyond the largest number, 2^1024.
const LIMBS: usize = 68;
/// The exponent of the lowest bit.
const LOWEST: i32 = -1_074;
/// Additions after which carries are moved on.
const MOST_ADDS: u32 = 1 << 30;

/// Numbers that are cut together; 2^[`CUT_BITS`] is at least two more.
const CUT_ROWS: usize = 512;
const CUT_BITS: i32 = 10;
/// Sums that go on side by side, for vector instructions.
const LANES: usize = 8;

/// A sum of floating-point numbers without any rounding.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<i64>", from = "Vec<i64>")]
pub struct ExactSum {
    limbs: [i64; LIMBS],
    adds: u32,
}

impl Default for ExactSum {
    fn default() -> Self {
        Self { limbs: [0; LIMBS], adds: 0 }
    }
}

impl From<ExactSum> for Vec<i64> {
    fn from(mut sum: ExactSum) -> Self {
        sum.carry();
        sum.limbs.to_vec()
    }
}

impl From<Vec<i64>> for ExactSum {
    /// Takes limbs that were carried; others than there are, are left out.
    fn from(limbs: Vec<i64>) -> Self {
        let mut sum = Self { adds: 1, ..Self::default() };
        sum.limbs.iter_mut().zip(limbs).for_each(|(limb, known)| *limb = known);
        sum
    }
}

impl std::fmt::Debug for ExactSum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ExactSum").field(&self.value()).finish()
    }
}

impl ExactSum {
    /// Adds a finite number; any other is left out.
    pub fn add(&mut self, value: f64) {
        if value == 0.0 || !value.is_finite() {
            return;
        }
        let bits = value.to_bits();
        let biased = ((bits >> 52) & 0x7ff) as i32;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, exponent) = if biased == 0 { (fraction, -1_074) } else { (fraction | 1 << 52, biased - 1_075) };
        let shift = exponent - LOWEST;
        let (limb, bit) = ((shift / LIMB_BITS) as usize, shift % LIMB_BITS);
        let wide = u128::from(mantissa) << bit;
        let sign = if value < 0.0 { -1 } else { 1 };
        for part in 0..3 {
            let piece = (wide >> (32 * part)) as u32;
            self.limbs[limb + part] += sign * i64::from(piece);
        }
        self.adds += 1;
        if self.adds >= MOST_ADDS {
            self.carry();
        }
    }

    /// Adds a product of two numbers, as exact as the sum is.
    pub fn add_product(&mut self, a: f64, b: f64) {
        let product = a * b;
        self.add(product);
        self.add(a.mul_add(b, -product));
    }

    /// Adds many finite numbers.
    pub(super) fn add_all(&mut self, values: &[f64]) {
        for values in values.chunks(CUT_ROWS) {
            let largest = largest(values);
            if largest == 0.0 {
                continue;
            }
            let exponent = ((largest.to_bits() >> 52) & 0x7ff) as i32 - 1_022;
            // Where the cut itself could overflow, or its lower places fall below the smallest number.
            if !(-800..=900).contains(&exponent) {
                values.iter().for_each(|value| self.add(*value));
                continue;
            }
            let upper = power_of_two(exponent + CUT_BITS);
            let lower = power_of_two(exponent + 2 * CUT_BITS - 53);
            let mut sums = [[0.0; LANES]; 2];
            let mut left = [0.0; CUT_ROWS];
            for (values, left) in values.chunks(LANES).zip(left.chunks_mut(LANES)) {
                let mut lanes = [0.0; LANES];
                lanes[..values.len()].copy_from_slice(values);
                for lane in 0..LANES {
                    let high = (upper + lanes[lane]) - upper;
                    let rest = lanes[lane] - high;
                    let low = (lower + rest) - lower;
                    sums[0][lane] += high;
                    sums[1][lane] += low;
                    left[lane] = rest - low;
                }
            }
            sums.iter().flatten().for_each(|sum| self.add(*sum));
            if left.iter().any(|left| *left != 0.0) {
                left.iter().for_each(|left| self.add(*left));
            }
        }
    }

    /// Adds the squares of many finite numbers, as exact as the sum is.
    pub(super) fn add_squares(&mut self, values: &[f64]) {
        let (mut squares, mut errors) = ([0.0; CUT_ROWS], [0.0; CUT_ROWS]);
        for values in values.chunks(CUT_ROWS) {
            // Beyond these a square or what it lacks would overflow or fall below the smallest number.
            let are_usual = values
                .iter()
                .fold(true, |are, value| are & ((*value == 0.0) | ((value.abs() < 1e140) & (value.abs() > 1e-140))));
            if !are_usual {
                values.iter().for_each(|value| self.add_product(*value, *value));
                continue;
            }
            for ((value, square), error) in values.iter().zip(&mut squares).zip(&mut errors) {
                // Dekker's product: halves of 26 bits multiply without rounding.
                let shifted = *value * 134_217_729.0;
                let high = shifted - (shifted - value);
                let low = value - high;
                *square = value * value;
                *error = ((high * high - *square) + 2.0 * high * low) + low * low;
            }
            self.add_all(&squares[..values.len()]);
            self.add_all(&errors[..values.len()]);
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        other.carry();
        self.carry();
        self.limbs.iter_mut().zip(&other.limbs).for_each(|(limb, more)| *limb += more);
        self.adds += 1;
    }

    /// Returns the sum as the nearest number, or the one beside it.
    pub fn value(&self) -> f64 {
        let (high, low) = self.parts();
        high + low
    }

    /// Returns the sum as a number and what is missing from it to the sum.
    pub fn parts(&self) -> (f64, f64) {
        let mut sum = self.clone();
        sum.carry();
        let is_negative = sum.limbs.iter().rev().find(|limb| **limb != 0).is_some_and(|limb| *limb < 0);
        if is_negative {
            sum.limbs.iter_mut().for_each(|limb| *limb = -*limb);
            sum.carry();
        }
        let (mut high, mut low) = (0.0f64, 0.0f64);
        for (at, limb) in sum.limbs.iter().enumerate().rev().filter(|(_, limb)| **limb != 0) {
            let piece = *limb as f64 * power_of_two(LOWEST + at as i32 * LIMB_BITS);
            let next = high + piece;
            // What the addition has lost: pieces come from large to small.
            low += piece - (next - high);
            high = next;
        }
        if is_negative { (-high, -low) } else { (high, low) }
    }

    /// Moves what a limb has too much to the next, so that all are below 2^32; the highest keeps the sign.
    fn carry(&mut self) {
        for at in 0..LIMBS - 1 {
            let over = self.limbs[at] >> LIMB_BITS;
            self.limbs[at] -= over << LIMB_BITS;
            self.limbs[at + 1] += over;
        }
        self.adds = 0;
    }
}

/// Returns the largest size among numbers.
fn largest(values: &[f64]) -> f64 {
    let mut most = [0.0; LANES];
    for values in values.chunks(LANES) {
        for (most, value) in most.iter_mut().zip(values) {
            *most = if value.abs() > *most { value.abs() } else { *most };
        }
    }
    most.iter().copied().fold(0.0, f64::max)
}

/// Returns 2 to a power from [`LOWEST`], also where that is subnormal or too large.
fn power_of_two(exponent: i32) -> f64 {
    match exponent {
        ..-1_022 => f64::from_bits(1 << (exponent - LOWEST)),
        -1_022..=1_023 => f64::from_bits(((exponent + 1_023) as u64) << 52),
        _ => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[f64]) -> f64 {
        let mut sum = ExactSum::default();
        values.iter().for_each(|value| sum.add(*value));
        sum.value()
    }

    #[test]
    fn nothing_is_lost() {
        assert_eq!(sum(&[1e300, 1.0, -1e300]), 1.0);
        assert_eq!(sum(&[1e-300, 1e300, -1e300]), 1e-300);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_eq!(sum(&[-0.5, -0.25]), -0.75);
        assert_eq!(sum(&[-3.0, 1e-20]), -3.0);
        assert_eq!(sum(&[]), 0.0);
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
    }

    #[test]
    fn order_and_parts_do_not_matter() {
        let values: Vec<f64> =
            (0..2_000).map(|at| f64::from(at * 7_919 % 2_003).sin() * 10f64.powi(at % 40 - 20)).collect();
        let (mut left, mut right) = (ExactSum::default(), ExactSum::default());
        values.iter().rev().take(700).for_each(|value| left.add(*value));
        values.iter().take(1_300).for_each(|value| right.add(*value));
        right.merge(&left);
        assert_eq!(right.value().to_bits(), sum(&values).to_bits());
    }

    #[test]
    fn many_at_once_are_the_same() {
        let check = |values: &[f64]| {
            let (mut one, mut all) = (ExactSum::default(), ExactSum::default());
            values.iter().for_each(|value| one.add(*value));
            all.add_all(values);
            assert_eq!(Vec::from(one), Vec::from(all), "{values:?}");
            let (mut one, mut all) = (ExactSum::default(), ExactSum::default());
            values.iter().for_each(|value| one.add_product(*value, *value));
            all.add_squares(values);
            assert_eq!(Vec::from(one), Vec::from(all), "squares of {values:?}");
        };
        let wave = |at: i32, spread: i32| f64::from(at * 7_919 % 2_003).sin() * 10f64.powi(at % spread - spread / 2);
        for spread in [1, 8, 60, 300, 600] {
            let values: Vec<f64> = (0..1_300).map(|at| wave(at, spread)).collect();
            check(&values);
            check(&values[..5]);
        }
        check(&[0.1; 700]);
        check(&[1.0, -1.0, 0.0, -0.0, 3.5]);
        check(&[1e300, 1e-300, 5e-324, -1e300]);
        check(&[]);
    }

    #[test]
    fn products_are_exact() {
        let mut sum = ExactSum::default();
        let large = 1e8 + 0.123;
        sum.add_product(large, large);
        sum.add_product(-large, large);
        assert_eq!(sum.value(), 0.0);
    }
}
