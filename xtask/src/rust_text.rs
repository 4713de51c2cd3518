//! Just enough of Rust's syntax to look at code without its comments and literals.
//!
//! Masked text has the same length and the same lines as the original, so that an offset found in
//! one holds in the other. Not a parser: braces are counted and words are compared.

use std::ops::Range;

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub name: String,
    /// Line of its `fn`, from 1.
    pub line: usize,
    /// Lines from its `fn` to its closing brace.
    pub lines: usize,
}

/// Returns the code with comments, strings and characters blanked.
pub(crate) fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match comment_end(bytes, at).or_else(|| literal_end(text, at)) {
            Some(end) => {
                ranges.push(at..end);
                at = end;
            }
            None => at += 1,
        }
    }
    blank_ranges(text, &ranges)
}

/// Returns masked code with the modules marked `#[cfg(test)]` blanked.
pub(crate) fn without_test_modules(code: &str) -> String {
    blank_ranges(code, &test_modules(code))
}

/// Returns a text of the same lines with nothing in them.
pub(crate) fn blank(text: &str) -> String {
    blank_ranges(text, std::slice::from_ref(&(0..text.len())))
}

/// Returns the byte ranges of inline modules marked `#[cfg(test)]`, in masked code.
pub(crate) fn test_modules(code: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (start, mark) in code.match_indices("#[cfg(test)]") {
        let rest = &code[start + mark.len()..];
        let head = rest.find(['{', ';']).unwrap_or(rest.len());
        let is_module = rest[..head].split_whitespace().any(|word| word == "mod");
        let inside = found.last().is_some_and(|last| last.contains(&start));
        if is_module && !inside && rest[head..].starts_with('{') {
            let open = start + mark.len() + head;
            found.push(start..block_end(code, open));
        }
    }
    found
}

/// Returns the functions of masked code, inner ones too, in order.
pub(crate) fn functions(code: &str) -> Vec<Function> {
    words(code, "fn").filter_map(|start| function(code, start)).collect()
}

/// Returns the offsets at which `word` stands in `code` and no identifier goes on at either end.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let goes_on = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let starts_open = !goes_on(word.chars().next());
    let ends_open = !goes_on(word.chars().next_back());
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        (starts_open || !goes_on(code[..at].chars().next_back()))
            && (ends_open || !goes_on(code[at + word.len()..].chars().next()))
    })
}

/// Returns the line of an offset, from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

fn function(code: &str, start: usize) -> Option<Function> {
    let rest = code[start + 2..].trim_start();
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if name.is_empty() {
        return None; // a pointer type: `fn(u8) -> u8`
    }
    let mut depth = 0;
    let (at, _) = code[start..].char_indices().find(|&(_, c)| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        depth == 0 && (c == '{' || c == ';')
    })?;
    let open = start + at;
    if code[open..].starts_with(';') {
        return None; // a required method of a trait
    }
    let line = line_of(code, start);
    Some(Function { name, line, lines: line_of(code, block_end(code, open)) - line + 1 })
}

/// Returns the offset behind the brace that closes the one at `open`.
fn block_end(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (at, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + at + 1;
        }
    }
    code.len()
}

fn comment_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return Some(rest.iter().position(|&b| b == b'\n').map_or(bytes.len(), |length| at + length));
    }
    if !rest.starts_with(b"/*") {
        return None;
    }
    let mut depth = 0;
    let mut end = at;
    while end < bytes.len() {
        if bytes[end..].starts_with(b"/*") {
            depth += 1;
            end += 2;
        } else if bytes[end..].starts_with(b"*/") {
            depth -= 1;
            end += 2;
        } else {
            end += 1;
        }
        if depth == 0 {
            break;
        }
    }
    Some(end.min(bytes.len()))
}

fn literal_end(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    match bytes[at] {
        b'"' => Some(string_end(bytes, at)),
        b'\'' => char_end(&text[at + 1..]).map(|length| at + 1 + length),
        b'r' | b'b' | b'c' if at == 0 || !is_word(bytes[at - 1]) => raw_string_end(bytes, at),
        _ => None,
    }
}

fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != b'"' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

/// Returns the length of a character literal behind its opening quote. A lifetime, such as `'a`, is
/// none: it has no closing quote.
fn char_end(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices();
    let (_, first) = chars.next()?;
    let (at, second) = chars.next()?;
    if first == '\\' {
        let escaped = at + second.len_utf8();
        return rest[escaped..].find('\'').map(|close| escaped + close + 1);
    }
    (second == '\'').then_some(at + 1)
}

/// Ends `r"..."`, `r#"..."#`, `br"..."` and `cr"..."`; other words starting with these letters are none.
fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut open = at + usize::from(bytes[at] != b'r');
    if bytes.get(open) != Some(&b'r') {
        return None;
    }
    open += 1;
    let hashes = bytes[open..].iter().take_while(|&&b| b == b'#').count();
    open += hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let close = [&b"\""[..], &b"#".repeat(hashes)].concat();
    let length = bytes[open + 1..].windows(close.len()).position(|window| window == close);
    Some(length.map_or(bytes.len(), |length| open + 1 + length + close.len()))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn blank_ranges(text: &str, ranges: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for byte in ranges.iter().flat_map(Clone::clone) {
        if bytes[byte] != b'\n' {
            bytes[byte] = b' ';
        }
    }
    String::from_utf8(bytes).expect("ranges start and end at characters")
}

#[cfg(test)]
mod tests;
