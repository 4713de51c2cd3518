//! Numbers as people read them, and durations as they write them.

use std::time::Duration;

/// Returns a count with commas: `328,521`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a count with its noun: `1 row`, `2 rows`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// Returns how far a transform has got: `61,440 of 100,000 rows are done`.
pub(crate) fn continued(rows: u64, of: u64) -> String {
    format!("{} of {} are done", count(rows), counted(of, "row"))
}

/// Returns a part of a whole: `1.60%`.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let percent = 100.0 * part as f64 / whole.max(1) as f64;
    match percent {
        percent if part > 0 && percent < 0.01 => "<0.01%".to_owned(),
        // Not all is not everything.
        percent if part < whole && percent > 99.99 => ">99.99%".to_owned(),
        percent => format!("{percent:.2}%"),
    }
}

/// Returns a size of data in powers of 1000: `21.3 MB`.
pub(crate) fn bytes(bytes: u64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB"])
}

/// Returns a size of memory in powers of 1024: `512 MiB`.
pub(crate) fn memory(bytes: u64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
}

/// Returns a rate: `352 k rows/s`.
pub(crate) fn rate(rows_per_second: f64) -> String {
    match rows_per_second {
        rate if rate >= 10e6 => format!("{:.0} M rows/s", rate / 1e6),
        rate if rate >= 1e6 => format!("{:.1} M rows/s", rate / 1e6),
        rate if rate >= 10e3 => format!("{:.0} k rows/s", rate / 1e3),
        rate if rate >= 1e3 => format!("{:.1} k rows/s", rate / 1e3),
        rate => format!("{rate:.0} rows/s"),
    }
}

/// Returns a duration: `9 ms`, `1.3 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.as_millis() < 100 => format!("{} ms", duration.as_millis()),
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Reads a number with a unit: `90s`, `15m`, `12h`, `7d`, `2w`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let usage = || "write a number and one of s, m, h, d and w, such as 7d".to_owned();
    let unit = text.chars().last().ok_or_else(usage)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        'w' => 7 * 24 * 3600,
        _ => return Err(usage()),
    };
    let number: u32 = text[..text.len() - 1].trim().parse().map_err(|_| usage())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

fn scaled(bytes: u64, base: f64, units: &[&str]) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    // A value that would be printed as the base itself belongs to the next unit.
    while value >= base - 0.5 && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} {}", units[0]),
        _ if value < 99.95 => format!("{value:.1} {}", units[unit]),
        _ => format!("{value:.0} {}", units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_commas() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (328_521, "328,521"), (10_103_280, "10,103,280")];
        for (number, text) in cases {
            assert_eq!(count(number), text);
        }
        assert_eq!(counted(1, "row"), "1 row");
    }

    #[test]
    fn parts_are_percentages() {
        let cases = [(5_261, 328_521, "1.60%"), (0, 0, "0.00%"), (1, 1_000_000, "<0.01%"), (3, 3, "100.00%")];
        for (part, whole, text) in cases {
            assert_eq!(percent(part, whole), text);
        }
        assert_eq!(percent(999_999, 1_000_000), ">99.99%");
    }

    #[test]
    fn sizes_have_units() {
        let cases = [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (21_300_000, "21.3 MB"), (999_999, "1.0 MB")];
        for (size, text) in cases {
            assert_eq!(bytes(size), text);
        }
        assert_eq!(memory(512 << 20), "512 MiB");
        assert_eq!(bytes(u64::MAX), "18447 PB");
    }

    #[test]
    fn durations_are_short() {
        let cases = [(9, "9 ms"), (100, "0.1 s"), (1_340, "1.3 s"), (200_000, "3 min 20 s"), (7_500_000, "2 h 5 min")];
        for (milliseconds, text) in cases {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn durations_are_read() {
        let day = 24 * 3600;
        let cases = [("90s", 90), ("15m", 900), ("12h", 12 * 3600), ("7d", 7 * day), ("2w", 14 * day), ("0d", 0)];
        for (text, seconds) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "7", "d", "-1d", "7y", "7é", "99999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
