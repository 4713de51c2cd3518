//! Replaces what changes from run to run.

use std::path::Path;

use serde_json::Value;

const TIMES: [&str; 4] = ["ms", "s", "min", "h"];
const SIZES: [&str; 8] = ["B", "kB", "MB", "GB", "KiB", "MiB", "GiB", "TB"];

/// Fields of JSON whose values change.
const FIELDS: [&str; 15] = [
    "at",
    "bytes",
    "compute_ms",
    "cpu_ms",
    "elapsed_ms",
    "fingerprint",
    "finished_at",
    "host",
    "lake",
    "path",
    "peak_memory_bytes",
    "pid",
    "prepare_ms",
    "run_id",
    "started_at",
];

/// Replaces times, sizes, run ids, dates and the folder.
pub(super) fn filtered(text: &str, folder: &Path) -> String {
    let mut text = text.replace(&folder.display().to_string(), "[DIR]");
    // Paths inside plans have no slash in front.
    text = text.replace(folder.display().to_string().trim_start_matches('/'), "[DIR]");
    let mut lines: Vec<String> = text.lines().map(line).collect();
    if text.ends_with('\n') {
        lines.push(String::new());
    }
    lines.join("\n")
}

/// Replaces the values of fields that change, where there is one.
pub(super) fn replace_fields(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if FIELDS.contains(&name.as_str()) && !value.is_null() {
                    *value = Value::from(format!("[{}]", name.to_uppercase()));
                } else {
                    replace_fields(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(replace_fields),
        _ => {}
    }
}

fn line(line: &str) -> String {
    if line.starts_with("process    ") {
        return "process    [PROCESS]".to_owned();
    }
    let mut words: Vec<String> = line.split(' ').map(word).collect();
    replace_quantities(&mut words);
    let mut text = words.join(" ");
    for name in ["[SIZE]", "[TIME]"] {
        text = without_padding(&text, name);
    }
    text.replace("[DATE] [CLOCK] UTC", "[AT]").trim_end().to_owned()
}

/// Replaces a word that changes whatever stands around it.
fn word(word: &str) -> String {
    let bare = word.trim_matches(['`', ',', '.', ':', '(', ')']);
    let replaced = if is_run_id(bare) {
        "[RUN]"
    } else if is_pattern(bare, "dddd-dd-dd") {
        "[DATE]"
    } else if is_pattern(bare, "dd:dd:dd") {
        "[CLOCK]"
    } else {
        return word.to_owned();
    };
    word.replace(bare, replaced)
}

/// Replaces a number and the unit behind it.
fn replace_quantities(words: &mut Vec<String>) {
    let mut at = 0;
    while at + 1 < words.len() {
        let unit = words[at + 1].trim_end_matches(['.', ',', ';', ')']);
        let name = match unit {
            unit if TIMES.contains(&unit) => "[TIME]",
            unit if SIZES.contains(&unit) => "[SIZE]",
            _ => "",
        };
        let number = words[at].trim_start_matches('(');
        if !name.is_empty() && number.parse::<f64>().is_ok() {
            let before = words[at][..words[at].len() - number.len()].to_owned();
            let behind = words[at + 1][unit.len()..].to_owned();
            // `3 min 20 s` is one time.
            if before.is_empty() && at > 0 && words[at - 1] == name {
                words[at - 1] = format!("{name}{behind}");
                words.drain(at..at + 2);
                continue;
            }
            words[at] = format!("{before}{name}{behind}");
            words.remove(at + 1);
        }
        at += 1;
    }
}

/// A padded column is as wide as its number is short.
fn without_padding(text: &str, name: &str) -> String {
    let mut parts = text.split(name);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if result.ends_with("   ") {
            result.truncate(result.trim_end().len());
            result.push_str("  ");
        }
        result.push_str(name);
        result.push_str(part);
    }
    result
}

fn is_run_id(word: &str) -> bool {
    is_pattern(word, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
}

fn is_pattern(word: &str, pattern: &str) -> bool {
    let fits = |(c, p): (char, char)| match p {
        'd' => c.is_ascii_digit(),
        'x' => c.is_ascii_hexdigit(),
        p => c == p,
    };
    word.len() == pattern.len() && word.chars().zip(pattern.chars()).all(fits)
}

#[test]
fn what_changes_is_replaced() {
    let cases = [
        ("  ✓ a     3 rows     484 B  version 0  85 ms", "  ✓ a     3 rows  [SIZE]  version 0  [TIME]"),
        ("took 3 min 20 s, peak 1.2 GiB", "took [TIME], peak [SIZE]"),
        ("run 01a1f8c6-c7d3-7e13-a32f-c9b97bad921d", "run [RUN]"),
        ("started    2026-11-20 11:45:39 UTC, 0.2 s", "started    [AT], [TIME]"),
        ("cannot read `/tmp/x/a.csv`", "cannot read `[DIR]/a.csv`"),
        ("3 rows and 5 columns", "3 rows and 5 columns"),
    ];
    for (text, expected) in cases {
        assert_eq!(filtered(text, Path::new("/tmp/x")), expected);
    }
}
