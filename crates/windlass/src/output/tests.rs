//! Lines in, a screen and a log out.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use clap::Parser;
use tempfile::TempDir;

use super::log::{Lines, Stream};
use super::*;

fn printer() -> Printer {
    Printer::new(&crate::cli::Cli::try_parse_from(["windlass", "ls", "-q"]).unwrap().global)
}

fn line(node: &str, at: DateTime<Utc>, text: &str) -> Line {
    Line { at, node: node.to_owned(), worker: 2, stream: Stream::Stdout, text: text.to_owned() }
}

fn texts(folder: &std::path::Path, node: Option<&str>) -> Vec<String> {
    let lines = Lines::open(folder, node).unwrap().map(Result::unwrap);
    lines.map(|line| format!("{} {} {}", line.origin(), line.stream.as_str(), line.text)).collect()
}

#[test]
fn nothing_steers_the_terminal() {
    let cases = [
        ("plain\ttext é", "plain\ttext é"),
        ("\u{1b}[31mred\u{1b}[0m", "\\x1b[31mred\\x1b[0m"),
        ("\u{7}\u{9b}2J\u{7f}\0", "\\x07\\x9b2J\\x7f\\x00"),
        ("a\rb\n", "a\\rb\\n"),
    ];
    for (text, expected) in cases {
        assert_eq!(harmless(text), expected);
    }
    for (line, turn) in [(" 10%\r 20%\r", " 20%"), ("\rx", "x"), ("x", "x"), ("\r", ""), ("", "")] {
        assert_eq!(text::last_turn(line), turn);
    }
}

#[test]
fn lines_are_kept_to_the_letter() {
    let folder = TempDir::new().unwrap();
    let logs = folder.path().join("logs");
    let output = Output::new(&printer(), Prefix::Worker);
    output.flush();
    output.keep_in(logs.clone());
    output.line("a", 1, OutputStream::Stdout, "\u{1b}[31mred\r x");
    output.line("b", 3, OutputStream::Stderr, "two\nlines");
    output.line("a", 1, OutputStream::Stdout, "");
    output.flush();
    assert_eq!(texts(&logs, Some("a")), ["a[w1] stdout \u{1b}[31mred\r x", "a[w1] stdout "]);
    assert_eq!(texts(&logs, Some("b")), ["b[w3] stderr two\\nlines"]);
    assert_eq!(texts(&logs, Some("nope")), Vec::<String>::new());
    drop(output);
}

#[test]
fn many_lines_of_many_threads_are_all_kept() {
    let folder = TempDir::new().unwrap();
    let output = Output::new(&printer(), Prefix::Worker);
    output.keep_in(folder.path().to_path_buf());
    std::thread::scope(|scope| {
        for worker in 1..=4 {
            let output = &output;
            scope.spawn(move || {
                for at in 0..5_000 {
                    output.line("a", worker, OutputStream::Stdout, &format!("{at}"));
                }
            });
        }
    });
    drop(output);
    let texts = texts(folder.path(), None);
    assert_eq!(texts.len(), 20_000);
    let of_one: Vec<&String> = texts.iter().filter(|text| text.starts_with("a[w3]")).collect();
    assert!(of_one.iter().enumerate().all(|(at, text)| text.ends_with(&format!(" {at}"))));
}

#[test]
fn a_log_does_not_grow_for_ever() {
    let folder = TempDir::new().unwrap();
    let mut log = LogWriter::new(folder.path().to_path_buf());
    let at = Utc.with_ymd_and_hms(2026, 3, 1, 0, 0, 0).unwrap();
    for _ in 0..20 {
        log.keep(&line("loud", at, &"x".repeat(1 << 20))).unwrap();
    }
    log.keep(&line("still", at, "said")).unwrap();
    log.flush().unwrap();
    let kept = texts(folder.path(), Some("loud"));
    assert_eq!(kept.len(), 16);
    assert!(kept[15].starts_with("loud[w0] windlass what was printed from here on was not kept"), "{}", kept[15]);
    assert_eq!(texts(folder.path(), Some("still")), ["still[w2] stdout said"]);
}

#[test]
fn nodes_are_merged_by_time() {
    let folder = TempDir::new().unwrap();
    let mut log = LogWriter::new(folder.path().to_path_buf());
    let at = |seconds| Utc.with_ymd_and_hms(2026, 3, 1, 0, 0, 0).unwrap() + TimeDelta::seconds(seconds);
    for (node, seconds) in [("a", 1), ("a", 4), ("b", 2), ("b", 3), ("b", 5)] {
        log.keep(&line(node, at(seconds), &seconds.to_string())).unwrap();
    }
    drop(log);
    let all: Vec<String> = Lines::open(folder.path(), None).unwrap().map(|line| line.unwrap().text).collect();
    assert_eq!(all, ["1", "2", "3", "4", "5"]);
}

#[test]
fn a_log_that_was_cut_off_can_be_read() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("a.log"), "2026-03-01T00:00:00.000Z w1 stdout x\n2026-03-01T0").unwrap();
    assert_eq!(texts(folder.path(), None), ["a[w1] stdout x", "a[w0] windlass 2026-03-01T0"]);
}
