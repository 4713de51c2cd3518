//! How many rows a sample has, as written on the command line: `1%`.

use std::fmt;
use std::str::FromStr;

/// Parts of a whole that a share counts.
const WHOLE: u32 = 1_000_000;
/// The same of one percent.
const PERCENT: f64 = 10_000.0;

/// A share of rows, between none and all. A smaller sample is a part of every larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sample {
    millionths: u32,
}

impl Sample {
    /// Returns whether a row with this hash is chosen.
    pub(super) fn has(self, hash: u64) -> bool {
        u128::from(hash) * u128::from(WHOLE) < u128::from(self.millionths) << 64
    }
}

impl FromStr for Sample {
    type Err = String;

    /// Reads `1%`, `0.5%` and the like, down to `0.0001%`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no share of rows: write it as `1%` or `0.1%`, above 0% and below 100%");
        let percent: f64 = text.trim().strip_suffix('%').and_then(|text| text.trim().parse().ok()).ok_or_else(wrong)?;
        let millionths = (percent * PERCENT).round();
        if !(millionths >= 1.0 && millionths < f64::from(WHOLE)) {
            return Err(wrong());
        }
        if (percent * PERCENT - millionths).abs() > 1e-6 {
            return Err(format!("`{text}` is finer than 0.0001%"));
        }
        // Below a million, so nothing is lost.
        Ok(Self { millionths: millionths as u32 })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.millionths) / PERCENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_as_they_are_written() {
        let told = |text: &str| text.parse::<Sample>().map(|sample| sample.to_string());
        for (text, same) in
            [("1%", "1%"), (" 1.0 %", "1%"), ("0.5%", "0.5%"), ("0.0001%", "0.0001%"), ("99.9%", "99.9%")]
        {
            assert_eq!(told(text).as_deref(), Ok(same), "{text}");
        }
        for text in ["1", "0%", "100%", "-1%", "0.00001%", "1.00005%", "nan%", "%", "a%", "1e9%"] {
            assert!(told(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_has_its_part_of_all_hashes() {
        let half: Sample = "50%".parse().unwrap();
        assert!(half.has(0) && half.has(u64::MAX / 2) && !half.has(u64::MAX / 2 + 2) && !half.has(u64::MAX));
        let least: Sample = "0.0001%".parse().unwrap();
        assert!(least.has(u64::MAX / 1_000_001) && !least.has(u64::MAX / 999_999));
    }
}
