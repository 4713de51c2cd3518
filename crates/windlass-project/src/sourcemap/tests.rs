//! Ranges at the borders of pieces.

use std::path::Path;

use windlass_error::{Location, SourceFile};

use super::SourceMap;

#[test]
fn a_range_is_cut_where_its_text_ends() {
    let file = SourceFile::new(Path::new("a.sql"), "select a_b\nfrom t".to_owned());
    let map = SourceMap::identity(&file);
    for (span, expected) in [
        (0..6, Some("select")),
        (7..7, Some("a_b")),
        (7..8, Some("a")),
        (11..99, Some("from t")),
        (17..17, Some("")),
        (18..20, None),
    ] {
        let found = map.locate(span.clone()).map(|at| file.text[at.span].to_owned());
        assert_eq!(found.as_deref(), expected, "{span:?}");
    }
}

#[test]
fn lines_lead_to_equal_lines_or_the_one_above() {
    let file = SourceFile::new(Path::new("a.sql"), "select a\n  , b\nfrom t\nwhere x\n".to_owned());
    let rendered = "select a\n    , b\n, extra\nfrom t\n\nwhere x";
    let map = SourceMap::by_lines(&file, rendered);
    let lines: Vec<(String, usize)> = rendered
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let start = rendered.find(line).unwrap() + (line.len() - line.trim_start().len());
            let at = map.locate(start..start + line.trim().len()).unwrap();
            (file.text[at.span.clone()].to_owned(), at.position().0)
        })
        .collect();
    let expected = [("select a", 1), (", b", 2), (", b", 2), ("from t", 3), ("where x", 4)]
        .map(|(text, line)| (text.to_owned(), line));
    assert_eq!(lines, expected);
}

#[test]
fn a_literal_leads_to_its_words_or_to_itself() {
    let file = SourceFile::new(Path::new("a.py"), "rules = [\"x > y\", \"x > \\'\\'\"]\n".to_owned());
    for (literal, text, span, expected) in [
        ("\"x > y\"", "x > y", 4..5, "y"),
        ("\"x > y\"", "x > y", 4..4, "y"),
        ("\"x > \\'\\'\"", "x > ''", 0..1, "\"x > \\'\\'\""),
    ] {
        let start = file.text.find(literal).unwrap();
        let place = Location::new(&file, start..start + literal.len());
        let found = SourceMap::literal(&place, text).locate(span).unwrap();
        assert_eq!(&file.text[found.span], expected);
    }
}
