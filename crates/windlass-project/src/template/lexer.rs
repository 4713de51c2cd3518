//! Cuts a template into raw text and tags, as MiniJinja's own lexer does with default syntax.
//!
//! MiniJinja does not show its tokens. The source map and the places of calls need little of them:
//! where text, `{{ }}`, `{% %}`, comments and raw blocks stand, and the words inside a tag.
//!
//! Must stay true: [`segments`] answers `None` rather than guess. A template that MiniJinja accepts
//! and this file misreads costs only precision, because the source map checks its result.

use std::ops::Range;

/// Block tags that have an end tag, besides some uses of `set`.
const BLOCKS: [&str; 8] = ["autoescape", "block", "call", "filter", "for", "if", "macro", "with"];

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) kind: SegmentKind,
    /// The whole piece.
    pub(crate) outer: Range<usize>,
    /// Text without what `-` trims away; the inside of a tag; the content of a raw block.
    pub(crate) inner: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentKind {
    Text,
    Expression,
    Block,
    Comment,
    Raw,
}

/// A word inside a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Word(String),
    /// A string literal without its quotes, escapes kept as written.
    Text(String),
    Number,
    Symbol(char),
}

/// A complete tag: its extent, its inside, and whether it trims the text around it.
struct Tag {
    kind: SegmentKind,
    outer: Range<usize>,
    inner: Range<usize>,
    trims_before: bool,
    trims_after: bool,
}

/// Cuts a template; `None` where a tag does not end.
pub(crate) fn segments(source: &str) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut at = 0;
    let mut trim_start = false;
    while let Some(start) = find_tag(source, at) {
        let tag = read_tag(source, start)?;
        push_text(&mut segments, source, at..start, trim_start, tag.trims_before);
        trim_start = tag.trims_after;
        at = tag.outer.end;
        segments.push(Segment { kind: tag.kind, outer: tag.outer, inner: tag.inner });
    }
    push_text(&mut segments, source, at..source.len(), trim_start, false);
    Some(segments)
}

/// Returns where the tag starts that does not end.
pub(crate) fn open_tag(source: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(start) = find_tag(source, at) {
        at = match read_tag(source, start) {
            Some(tag) => tag.outer.end,
            None => return Some(start),
        };
    }
    None
}

/// Returns the block tag, such as `{% if x %}`, that no `{% endif %}` belongs to.
pub(crate) fn open_block(source: &str) -> Option<Range<usize>> {
    let mut open: Vec<(&str, Range<usize>)> = Vec::new();
    for segment in segments(source)? {
        if segment.kind != SegmentKind::Block {
            continue;
        }
        let keyword = keyword(source, &segment);
        if let Some(closed) = keyword.strip_prefix("end") {
            open.pop_if(|(known, _)| *known == closed);
        } else if is_opening(keyword, &source[segment.inner.clone()]) {
            open.push((keyword, segment.outer));
        }
    }
    open.pop().map(|(_, outer)| outer)
}

/// Returns whether a block tag has an end tag.
pub(crate) fn is_opening(keyword: &str, inner: &str) -> bool {
    match keyword {
        "set" => !inner.contains('='),
        _ => BLOCKS.contains(&keyword),
    }
}

/// Returns the words of a tag's inside; stops at what it does not know.
pub(crate) fn tokens(source: &str, inner: Range<usize>) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = inner.start;
    while at < inner.end {
        let rest = &source[at..inner.end];
        let Some(first) = rest.chars().next() else { break };
        let (kind, length) = if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        } else if first == '\'' || first == '"' {
            let Some(length) = string_length(rest) else { break };
            (TokenKind::Text(rest[1..length - 1].to_owned()), length)
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            (TokenKind::Word(rest[..length].to_owned()), length)
        } else if first.is_ascii_digit() {
            let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
            (TokenKind::Number, length)
        } else {
            (TokenKind::Symbol(first), first.len_utf8())
        };
        tokens.push(Token { kind, span: at..at + length });
        at += length;
    }
    tokens
}

/// Returns the first word of a block tag, such as `if` or `endfor`.
pub(crate) fn keyword<'a>(source: &'a str, segment: &Segment) -> &'a str {
    source[segment.inner.clone()].split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
}

fn push_text(segments: &mut Vec<Segment>, source: &str, outer: Range<usize>, trim_start: bool, trim_end: bool) {
    if outer.is_empty() {
        return;
    }
    let inner = trimmed(source, outer.clone(), trim_start, trim_end);
    segments.push(Segment { kind: SegmentKind::Text, outer, inner });
}

fn trimmed(source: &str, range: Range<usize>, at_start: bool, at_end: bool) -> Range<usize> {
    let mut text = &source[range.clone()];
    if at_end {
        text = text.trim_end();
    }
    let end = range.start + text.len();
    if at_start {
        text = text.trim_start();
    }
    end - text.len()..end
}

fn find_tag(source: &str, from: usize) -> Option<usize> {
    let bytes = source.as_bytes();
    (from..bytes.len().saturating_sub(1)).find(|&at| bytes[at] == b'{' && matches!(bytes[at + 1], b'{' | b'%' | b'#'))
}

fn read_tag(source: &str, start: usize) -> Option<Tag> {
    let bytes = source.as_bytes();
    let sign = bytes.get(start + 2).copied();
    let body = start + 2 + usize::from(matches!(sign, Some(b'-' | b'+')));
    let trims_before = sign == Some(b'-');
    match bytes[start + 1] {
        b'#' => {
            let close = body + source[body..].find("#}")?;
            let trims_after = close > body && bytes[close - 1] == b'-';
            let kind = SegmentKind::Comment;
            Some(Tag { kind, outer: start..close + 2, inner: body..close, trims_before, trims_after })
        }
        b'%' => {
            let tag = read_code(source, start..body, b'%')?;
            let is_raw = source[tag.inner.clone()].trim() == "raw";
            if is_raw { read_raw(source, &tag) } else { Some(tag) }
        }
        _ => read_code(source, start..body, b'}'),
    }
}

/// Reads `{{ }}` or `{% %}`: the end counts only outside of strings and brackets.
fn read_code(source: &str, opening: Range<usize>, closing: u8) -> Option<Tag> {
    let bytes = source.as_bytes();
    let kind = if closing == b'%' { SegmentKind::Block } else { SegmentKind::Expression };
    let mut depth = 0_i32;
    let mut at = opening.end;
    loop {
        let byte = *bytes.get(at)?;
        if depth == 0 {
            let sign = usize::from(matches!(byte, b'-' | b'+'));
            if bytes.get(at + sign) == Some(&closing) && bytes.get(at + sign + 1) == Some(&b'}') {
                let inner = trimmed(source, opening.end..at, true, true);
                let (outer, trims_after) = (opening.start..at + sign + 2, byte == b'-');
                let trims_before = bytes[opening.end - 1] == b'-';
                return Some(Tag { kind, outer, inner, trims_before, trims_after });
            }
        }
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b'\'' | b'"' => at += string_length(&source[at..])? - 1,
            _ => {}
        }
        at += 1;
    }
}

/// Reads on from `{% raw %}` to the end of `{% endraw %}`.
fn read_raw(source: &str, opening: &Tag) -> Option<Tag> {
    let content = opening.outer.end;
    let mut from = content;
    loop {
        let start = from + source[from..].find("{%")?;
        from = start + 2;
        let Some(closing) = read_tag(source, start) else { continue };
        if source[closing.inner.clone()].trim() == "endraw" {
            return Some(Tag {
                kind: SegmentKind::Raw,
                outer: opening.outer.start..closing.outer.end,
                inner: trimmed(source, content..start, opening.trims_after, closing.trims_before),
                trims_before: opening.trims_before,
                trims_after: closing.trims_after,
            });
        }
    }
}

/// Returns the length of the string literal that `text` starts with, quotes included.
fn string_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            byte if byte == bytes[0] => return Some(at + 1),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests;
