//! Values of checks: shares, bounds, time spans, names of tables.

use std::time::Duration;

use windlass_error::{Code, Diagnostic};

use super::{Bound, Comparison, Threshold, Written};
use crate::decode::expected;
use crate::problems::Problems;
use crate::yaml::{Value, Yaml};

/// Returns a text with its place; numbers and the like count as they are written.
pub(super) fn written(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<Written> {
    let text = crate::decode::text(yaml, key, problems)?;
    Some(Written { text, location: yaml.at.clone() })
}

/// Returns one or more texts with their places.
pub(super) fn all_written(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<Vec<Written>> {
    match &yaml.value {
        Value::List(items) => items.iter().map(|item| written(item, key, problems)).collect(),
        _ => written(yaml, key, problems).map(|one| vec![one]),
    }
}

/// Returns a number.
pub(super) fn number(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<f64> {
    let found = yaml.scalar().and_then(|scalar| scalar.text.trim().replace('_', "").parse::<f64>().ok());
    let found = found.filter(|number| !number.is_nan());
    if found.is_none() {
        problems.push(expected("a number", &format!("`{key}`"), yaml));
    }
    found
}

/// Returns a whole number from 0.
pub(super) fn whole(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<u64> {
    let found = yaml.scalar().and_then(|scalar| scalar.text.trim().replace('_', "").parse::<u64>().ok());
    if found.is_none() {
        problems.push(expected("a whole number from 0", &format!("`{key}`"), yaml));
    }
    found
}

/// Returns a whole number from 1.
pub(super) fn from_one(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<u64> {
    let found = whole(yaml, key, problems)?;
    if found == 0 {
        problems.push(expected("a whole number from 1", &format!("`{key}`"), yaml));
    }
    Some(found).filter(|found| *found > 0)
}

/// Returns a number from `least`, for which `what` says in words what it has to be.
pub(super) fn number_from(least: f64, what: &str, (yaml, key): (&Yaml, &str), problems: &mut Problems) -> Option<f64> {
    let found = number(yaml, key, problems)?;
    if found < least {
        problems.push(expected(what, &format!("`{key}`"), yaml));
        return None;
    }
    Some(found)
}

/// Returns a number of rows or of values, which may be written `1e6`.
pub(super) fn count(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<f64> {
    let found = yaml.scalar().and_then(|scalar| scalar.text.trim().replace('_', "").parse::<f64>().ok());
    let found = found.filter(|number| number.is_finite() && *number >= 0.0 && number.fract() == 0.0);
    if found.is_none() {
        problems.push(expected("a whole number from 0", &format!("`{key}`"), yaml));
    }
    found
}

/// Returns a share from 0 to 1, written `3%` or `0.03`.
pub(crate) fn share(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<f64> {
    let found = yaml.scalar().and_then(|scalar| parse_share(&scalar.text)).filter(|share| (0.0..=1.0).contains(share));
    if found.is_none() {
        problems.push(expected("a share such as `3%` or `0.03`", &format!("`{key}`"), yaml));
    }
    found
}

/// Returns a share that may be larger than 1, for growth.
pub(super) fn growth(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<f64> {
    let found = yaml.scalar().and_then(|scalar| parse_share(&scalar.text)).filter(|share| *share >= 0.0);
    if found.is_none() {
        problems.push(expected("a share such as `20%` or `0.2`", &format!("`{key}`"), yaml));
    }
    found
}

fn parse_share(text: &str) -> Option<f64> {
    match text.trim().strip_suffix('%') {
        Some(percent) => parse_percent(percent.trim()),
        None => text.trim().parse().ok(),
    }
}

/// Returns the number nearest to a percentage. Dividing `0.7` by 100 would miss that of 7 rows in 1000 by a bit.
fn parse_percent(text: &str) -> Option<f64> {
    let in_percent = text.parse::<f64>().ok()?;
    let has_exponent = text.contains(['e', 'E']);
    let exact = (!has_exponent).then(|| format!("{text}e-2").parse().ok()).flatten();
    Some(exact.unwrap_or(in_percent / 100.0))
}

/// Returns a bound in the words of its column's type.
pub(super) fn bound(yaml: &Yaml, key: &str, is_inclusive: bool, problems: &mut Problems) -> Option<Bound> {
    Some(Bound { value: written(yaml, key, problems)?, is_inclusive })
}

/// Returns a time span: `26h`, `2 days`, or `{count: 26, period: hour}` as in dbt.
pub(super) fn span(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<Duration> {
    let found = match &yaml.value {
        Value::Scalar(scalar) => parse_span(&scalar.text),
        Value::Map(entries) => {
            let of = |key: &str| entries.iter().find(|entry| entry.key == key)?.value.scalar().map(|found| &found.text);
            of("count").zip(of("period")).and_then(|(count, period)| parse_span(&format!("{count} {period}")))
        }
        Value::List(_) => None,
    };
    if found.is_none() {
        problems.push(expected("a time span such as `26h` or `2 days`", &format!("`{key}`"), yaml));
    }
    found
}

/// Reads a time span: `26h`, `2 days`.
pub(super) fn parse_span(text: &str) -> Option<Duration> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (count, unit) = text.split_at(split);
    let seconds = match unit.trim().trim_end_matches('s') {
        "" | "sec" | "second" => 1.0,
        "m" | "min" | "minute" => 60.0,
        "h" | "hour" => 3600.0,
        "d" | "day" => 86_400.0,
        "w" | "week" => 604_800.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(count.trim().parse::<f64>().ok()? * seconds).ok()
}

/// Returns the name of a table: `orders`, `shop.orders`, `ref('orders')` or `source('shop', 'orders')`.
pub(crate) fn table(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<Written> {
    let mut found = written(yaml, key, problems)?;
    let text = found.text.trim().trim_start_matches("{{").trim_end_matches("}}").trim();
    let name = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        None => Some(text.to_string()),
        Some((function, arguments)) => {
            let parts: Vec<&str> = arguments.split(',').map(|part| part.trim().trim_matches(['\'', '"'])).collect();
            match (function.trim(), parts.as_slice()) {
                ("ref", [name]) => Some((*name).to_string()),
                ("source", [source, table]) => Some(format!("{source}.{table}")),
                _ => None,
            }
        }
    };
    match name {
        Some(name) => {
            found.text = name;
            Some(found)
        }
        None => {
            problems.push(expected("the name of a table", &format!("`{key}`"), yaml));
            None
        }
    }
}

/// Returns how many offending rows are too many: `> 10`, `!= 0`, `> 0.1%`, `between 5 and 10`.
pub(super) fn threshold(yaml: &Yaml, key: &str, problems: &mut Problems) -> Option<Threshold> {
    let found = yaml.scalar().and_then(|scalar| parse_threshold(&scalar.text));
    if found.is_none() {
        let problem = expected("a bound such as `> 10` or `> 0.1%`", &format!("`{key}`"), yaml);
        problems.push(problem);
    }
    found
}

pub(crate) fn parse_threshold(text: &str) -> Option<Threshold> {
    let text = text.trim();
    let value = |text: &str| {
        let is_share = text.trim().ends_with('%');
        let most = if is_share { 1.0 } else { f64::MAX };
        // What no number of rows can be would never hold, or always.
        let value = parse_share(text).filter(|value| (0.0..=most).contains(value))?;
        Some((value, is_share))
    };
    if let Some(range) = text.to_ascii_lowercase().strip_prefix("between ") {
        let (low, high) = range.split_once(" and ")?;
        let ((low, is_share), (high, is_also)) = (value(low)?, value(high)?);
        let fits = is_share == is_also && low <= high;
        return fits.then_some(Threshold { comparison: Comparison::Equal, value: low, upper: Some(high), is_share });
    }
    let split = text.find(|c: char| !"<>=!".contains(c))?;
    let comparison = Comparison::of_symbol(&text[..split])?;
    let (value, is_share) = value(&text[split..])?;
    Some(Threshold { comparison, value, upper: None, is_share })
}

/// Returns one of a few words.
pub(crate) fn word<T: Copy>(yaml: &Yaml, key: &str, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
    let text = yaml.scalar().map(|scalar| scalar.text.to_ascii_lowercase()).unwrap_or_default();
    if let Some((_, found)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*found);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let wanted = format!("one of {}", crate::decode::list(&names));
    let problem = expected(&wanted, &format!("`{key}`"), yaml);
    problems.push(match windlass_error::nearest(&text, names) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem,
    });
    None
}

/// Returns the diagnostic for a check that lacks what it looks for.
pub(super) fn lacks(kind: &str, what: &str, at: &windlass_error::Location) -> Diagnostic {
    Diagnostic::error(Code::MISSING_KEY, format!("check `{kind}` needs {what}")).at(at.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_thresholds() {
        for (text, seconds) in
            [("26h", 93_600.0), ("2 days", 172_800.0), ("90 min", 5400.0), ("1.5d", 129_600.0), ("1 week", 604_800.0)]
        {
            assert_eq!(parse_span(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        assert!(["", "26", "h", "2 moons", "-1h"].into_iter().all(|text| parse_span(text).is_none()));
        for (text, wanted) in [
            ("> 10", "> 10"),
            ("!=0", "<> 0"),
            (">0.1%", "> 0.1 %"),
            ("between 5 and 10", "between 5 and 10"),
            (" <= 3 ", "<= 3"),
            ("> 0.7%", "> 0.7 %"),
            (">=  12.5 %", ">= 12.5 %"),
            ("BETWEEN 0.1% and  29%", "between 0.1 % and 29 %"),
            ("==1e3", "= 1000"),
            ("<>   2", "<> 2"),
        ] {
            assert_eq!(parse_threshold(text).map(|found| found.to_string()).as_deref(), Some(wanted), "{text}");
        }
        let wrong =
            ["10", ">", "> x", "between 1% and 2", "=> 3", "> -1", "> 101%", "> inf", "> NaN", "between 9 and 5"];
        assert!(wrong.into_iter().all(|text| parse_threshold(text).is_none()));
    }

    #[test]
    fn shares_at_their_bound_are_not_above_it() {
        for rows in [1000u64, 999, 7, 300, 12_345] {
            for failing in 0..=rows {
                // The same share, as a person would write it.
                let percent = format!("{}%", (failing * 100) as f64 / rows as f64);
                let found = parse_threshold(&format!("> {percent}")).expect("a bound");
                if (failing * 10_000_000) % rows == 0 {
                    assert!(!found.is_met(failing, rows), "{failing} of {rows} are no more than {percent}");
                }
                assert!(failing == rows || found.is_met(failing + 1, rows), "one more than {percent} of {rows}");
            }
        }
        assert_eq!(parse_share("1e-1%"), Some(0.001));
        assert_eq!(parse_share("29%"), Some(0.29));
    }
}
