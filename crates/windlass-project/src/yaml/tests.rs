//! Spans, duplicates, and YAML that is refused.

use std::path::Path;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use windlass_error::SourceFile;

use super::{Value, Yaml, parse};
use crate::fixture::render;

fn show(yaml: &Yaml, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    let at = format!("{} {:?}", yaml.at, &yaml.at.file.text[yaml.at.span.clone()]);
    match &yaml.value {
        Value::Scalar(scalar) => {
            let kind = if scalar.plain { "plain" } else { "quoted" };
            out.push_str(&format!("{pad}{kind} {:?} at {at}\n", scalar.text));
        }
        Value::List(items) => {
            out.push_str(&format!("{pad}list at {at}\n"));
            items.iter().for_each(|item| show(item, indent + 2, out));
        }
        Value::Map(entries) => {
            out.push_str(&format!("{pad}map at {at}\n"));
            for entry in entries {
                out.push_str(&format!("{pad}  {} at {}\n", entry.key, entry.key_at));
                show(&entry.value, indent + 4, out);
            }
        }
    }
}

fn check(text: &str, expected: Expect) {
    let file = SourceFile::new(Path::new("a.yml"), text.to_owned());
    let mut problems = Vec::new();
    let mut out = String::new();
    match parse(&file, &mut problems) {
        Some(yaml) => show(&yaml, 0, &mut out),
        None => out.push_str("nothing\n"),
    }
    out.push_str(&render(&problems));
    expected.assert_eq(&out);
}

#[test]
fn spans_count_bytes_after_other_scripts() {
    check(
        "# größe — 日本\nschlüssel: 'wörter'\nb: [日, {c: 1}] # ß\nd: é x\n",
        expect![[r#"
        map at a.yml:2:1 "schlüssel: 'wörter'"
          schlüssel at a.yml:2:1
            quoted "wörter" at a.yml:2:12 "'wörter'"
          b at a.yml:3:1
            list at a.yml:3:4 "[日, {c: 1}]"
              plain "日" at a.yml:3:5 "日"
              map at a.yml:3:8 "{c: 1}"
                c at a.yml:3:9
                  plain "1" at a.yml:3:12 "1"
          d at a.yml:4:1
            plain "é x" at a.yml:4:4 "é x"
    "#]],
    );
}

#[test]
fn crlf_keeps_offsets() {
    check(
        "a: 1\r\nb:\r\n  - x\r\n  - y\r\n",
        expect![[r#"
        map at a.yml:1:1 "a: 1"
          a at a.yml:1:1
            plain "1" at a.yml:1:4 "1"
          b at a.yml:2:1
            list at a.yml:3:3 "- x"
              plain "x" at a.yml:3:5 "x"
              plain "y" at a.yml:4:5 "y"
    "#]],
    );
}

#[test]
fn blocks_anchors_and_merges() {
    check(
        "base: &b {x: 1, y: 2}\nnear:\n  <<: *b\n  y: 3\ntext: |\n  one\n  two\nlist: [*b]\n",
        expect![[r#"
        map at a.yml:1:1 "base: &b {x: 1, y: 2}"
          base at a.yml:1:1
            map at a.yml:1:7 "&b {x: 1, y: 2}"
              x at a.yml:1:11
                plain "1" at a.yml:1:14 "1"
              y at a.yml:1:17
                plain "2" at a.yml:1:20 "2"
          near at a.yml:2:1
            map at a.yml:3:3 "<<: *b"
              y at a.yml:4:3
                plain "3" at a.yml:4:6 "3"
              x at a.yml:1:11
                plain "1" at a.yml:1:14 "1"
          text at a.yml:5:1
            quoted "one\ntwo\n" at a.yml:6:3 "one\n  two\n"
          list at a.yml:8:1
            list at a.yml:8:7 "[*b]"
              map at a.yml:1:7 "&b {x: 1, y: 2}"
                x at a.yml:1:11
                  plain "1" at a.yml:1:14 "1"
                y at a.yml:1:17
                  plain "2" at a.yml:1:20 "2"
    "#]],
    );
}

#[test]
fn empty_files_hold_nothing() {
    for text in ["", "# only a comment\n", "---\n", "~\n"] {
        check(text, expect![["nothing\n"]]);
    }
}

#[test]
fn duplicate_keys_show_both_places() {
    check(
        "a: 1\nb: 2\na: 3\n",
        expect![[r#"
        map at a.yml:1:1 "a: 1"
          a at a.yml:1:1
            plain "1" at a.yml:1:4 "1"
          b at a.yml:2:1
            plain "2" at a.yml:2:4 "2"
        error[E0205]: duplicate key `a`
          a.yml:3:1
          | a: 3
          | ^ again here
          a.yml:1:1
          | a: 1
          | - first here
    "#]],
    );
}

#[test]
fn broken_yaml_is_located() {
    check(
        "a: [1, 2\nb: 3\n",
        expect![[r#"
        nothing
        error[E0201]: the YAML cannot be parsed: illegal placement of ':' indicator
          a.yml:2:2
          | b: 3
          |  ^
    "#]],
    );
    check(
        "a: b: c\n",
        expect![[r#"
        nothing
        error[E0201]: the YAML cannot be parsed: mapping values are not allowed in this context
          a.yml:1:5
          | a: b: c
          |     ^
    "#]],
    );
    check(
        "a:\n\t- b\n",
        expect![[r#"
        nothing
        error[E0201]: the YAML cannot be parsed: tabs disallowed within this context (block indentation)
          a.yml:2:2
          | 	- b
          |  ^
    "#]],
    );
    check(
        "é: 'x\n",
        expect![[r#"
        nothing
        error[E0201]: the YAML cannot be parsed: while scanning a quoted scalar, found unexpected end of stream
          a.yml:1:4
          | é: 'x
          |    ^
    "#]],
    );
}

#[test]
fn template_without_quotes_is_explained() {
    check(
        "path: {{ env_var('X') }}/data\n",
        expect![[r#"
        nothing
        error[E0201]: a key must be a plain name
          a.yml:1:8
          | path: {{ env_var('X') }}/data
          |        ^^^^^^^^^^^^^^^^
          hint: put quotes around a value with `{{ }}`
    "#]],
    );
    check(
        "path: {{ env_var('X') }}\n",
        expect![[r#"
        nothing
        error[E0201]: a key must be a plain name
          a.yml:1:8
          | path: {{ env_var('X') }}
          |        ^^^^^^^^^^^^^^^^
          hint: put quotes around a value with `{{ }}`
    "#]],
    );
}

#[test]
fn unsupported_yaml_is_refused() {
    check(
        "a: 1\n---\nb: 2\n",
        expect![[r#"
        nothing
        error[E0201]: a file holds one YAML document
          a.yml:2:1
          | ---
          | ^^^ a second one starts here
          hint: move it into a file of its own
    "#]],
    );
    check(
        "a: !secret x\n",
        expect![[r#"
        nothing
        error[E0201]: the YAML tag `!secret` is not supported
          a.yml:1:4
          | a: !secret x
          |    ^^^^^^^^^
          hint: write the plain value, in quotes if it starts with `!`
    "#]],
    );
    check(
        "a: &a [*a]\n",
        expect![[r#"
        nothing
        error[E0201]: an alias refers to the value that it stands in
          a.yml:1:8
          | a: &a [*a]
          |        ^^
    "#]],
    );
    check(
        "? [a]\n: b\n",
        expect![[r#"
        nothing
        error[E0201]: a key must be a plain name
          a.yml:1:3
          | ? [a]
          |   ^^^
    "#]],
    );
    check(
        "<<: 1\na: !!str 2\n",
        expect![[r#"
        map at a.yml:1:1 "<<: 1"
          a at a.yml:2:1
            quoted "2" at a.yml:2:4 "!!str 2"
        error[E0203]: expected a map for `<<`
          a.yml:1:5
          | <<: 1
          |     ^
    "#]],
    );
}

#[test]
fn huge_expansions_are_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for at in 1..9 {
        let alias = format!("*a{}", at - 1);
        text.push_str(&format!("a{at}: &a{at} [{}]\n", [alias.as_str(); 10].join(", ")));
    }
    check(
        &text,
        expect![[r#"
        nothing
        error[E0201]: the YAML expands to too many values
          a.yml:4:5
          | a3: &a3 [*a2, *a2, *a2, *a2, *a2, *a2, *a2, *a2, *a2, *a2]
          |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#]],
    );
    check(
        &"[".repeat(500),
        expect![[r#"
        nothing
        error[E0201]: the YAML cannot be parsed: recursion limit exceeded
          a.yml:1:256
          | [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[
          |                                                                                                                                                                                                                                                                ^
    "#]],
    );
}

proptest! {
    #[test]
    fn never_panics_and_spans_hold_scalars(text in "[ab:\\-\\[\\]{},'\"#&*|>é\n\r\t ]{0,60}") {
        let file = SourceFile::new(Path::new("a.yml"), text);
        let _ = parse(&file, &mut Vec::new());
    }

    #[test]
    fn plain_scalars_stand_where_their_span_says(words in prop::collection::vec("[a-zäß日]{1,6}", 1..8)) {
        let text: String = words.iter().enumerate().map(|(at, word)| format!("k{at}: {word} # {word}\n")).collect();
        let file = SourceFile::new(Path::new("a.yml"), text);
        let Some(Yaml { value: Value::Map(entries), .. }) = parse(&file, &mut Vec::new()) else { panic!("no map") };
        for (entry, word) in entries.iter().zip(&words) {
            prop_assert_eq!(&file.text[entry.value.at.span.clone()], word);
            prop_assert_eq!(&file.text[entry.key_at.span.clone()], &entry.key);
        }
    }
}
