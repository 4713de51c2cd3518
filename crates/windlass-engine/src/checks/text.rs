//! Figures as people read them.

/// Returns a count with its thousands apart: `9,858`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a share in percent, with as many digits as it takes to see it.
pub(crate) fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value.abs() {
        size if size == 0.0 || size >= 10.0 => format!("{value:.1} %"),
        size if size >= 0.1 => format!("{value:.2} %"),
        size if size >= 0.0001 => format!("{value:.4} %"),
        _ => format!("{value:.1e} %"),
    }
}

/// Returns a number with at most six significant digits, integers in full.
pub(crate) fn number(value: f64) -> String {
    const WHOLE: f64 = 1e15;
    if value.fract() == 0.0 && value.abs() < WHOLE {
        let text = count(value.abs() as u64);
        return if value < 0.0 { format!("-{text}") } else { text };
    }
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "infinity"
        } else {
            "-infinity"
        }
        .to_string();
    }
    let digits = value.abs().log10().floor() as i32;
    if !(-5..15).contains(&digits) {
        return format!("{value:.5e}");
    }
    let text = format!("{value:.*}", usize::try_from(5 - digits).unwrap_or(0));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// Returns a time span in its largest fitting units.
pub(crate) fn age(seconds: f64) -> String {
    let sign = if seconds < 0.0 { "-" } else { "" };
    let whole = seconds.abs().round() as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{whole} s"),
        (0, 0, minutes) => format!("{sign}{minutes} min"),
        (0, hours, 0) => format!("{sign}{hours} h"),
        (0, hours, minutes) => format!("{sign}{hours} h {minutes} min"),
        (days, 0, _) => format!("{sign}{days} d"),
        (days, hours, _) => format!("{sign}{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!([0, 12, 999, 1000, 1_234_567].map(count), ["0", "12", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.0, 0.000_986, 0.5, 1.0, 1e-9].map(percent),
            ["0.0 %", "0.0986 %", "50.0 %", "100.0 %", "1.0e-7 %"]
        );
        assert_eq!(
            [0.0, 3.0, -4500.0, 0.1 + 0.2, 1234.5678, 1e-7, f64::INFINITY].map(number),
            ["0", "3", "-4,500", "0.3", "1234.57", "1.00000e-7", "infinity"]
        );
        assert_eq!([5.0, 125.0, 3600.0, 90_000.0, -60.0].map(age), ["5 s", "2 min", "1 h", "1 d 1 h", "-1 min"]);
    }
}
