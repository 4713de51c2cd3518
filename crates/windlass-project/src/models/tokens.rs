//! SQL as tokens, far enough to find `CREATE MODEL` and the models that a query names.
//!
//! The words are those of the engine's parser: `@`, `#` and `$` belong to a word, so that `m@3` is one.
//! Strings, quoted names and comments hide what stands in them. Nothing is parsed here that the
//! engine parses later.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A word as written: a keyword or a plain name.
    Word(String),
    /// A name in double quotes or backquotes, without them.
    Quoted(String),
    /// A text in single quotes, without them.
    Text(String),
    /// A number as written, without sign.
    Number(String),
    /// Any other character.
    Sign(char),
}

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Range<usize>,
}

impl Token {
    /// Returns whether it is this keyword, in any letter case.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(known) if known.eq_ignore_ascii_case(word))
    }

    /// Returns whether it is this sign.
    pub(crate) fn is_sign(&self, sign: char) -> bool {
        self.kind == Kind::Sign(sign)
    }

    /// Returns the name that it is: a plain word in lower case, as SQL reads it, a quoted one as it is.
    pub(crate) fn name(&self) -> Option<String> {
        match &self.kind {
            Kind::Word(word) => Some(word.to_lowercase()),
            Kind::Quoted(name) => Some(name.clone()),
            _ => None,
        }
    }
}

/// Returns the tokens of some SQL, without spaces and comments. What is not closed ends with the text.
pub(crate) fn tokens(sql: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let (length, kind) = if first.is_whitespace() {
            (first.len_utf8(), None)
        } else if rest.starts_with("--") {
            (rest.find('\n').unwrap_or(rest.len()), None)
        } else if rest.starts_with("/*") {
            (comment(rest), None)
        } else if matches!(first, '\'' | '"' | '`') {
            let (length, text) = delimited(rest, first);
            (length, Some(if first == '\'' { Kind::Text(text) } else { Kind::Quoted(text) }))
        } else if starts_word(first) {
            let length = rest.find(|c| !continues_word(c)).unwrap_or(rest.len());
            (length, Some(Kind::Word(rest[..length].to_owned())))
        } else if first.is_ascii_digit() {
            let length = number(rest);
            (length, Some(Kind::Number(rest[..length].to_owned())))
        } else {
            (first.len_utf8(), Some(Kind::Sign(first)))
        };
        found.extend(kind.map(|kind| Token { kind, span: at..at + length }));
        at += length;
    }
    found
}

fn starts_word(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '#' | '@')
}

fn continues_word(c: char) -> bool {
    starts_word(c) || c.is_ascii_digit() || c == '$'
}

/// Returns the length of a comment that may hold others.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += 1;
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Returns the length of a text between two quotes, and the text; a doubled quote stands for itself.
fn delimited(text: &str, quote: char) -> (usize, String) {
    let mut inner = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            inner.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
            inner.push(quote);
            chars.next();
        } else {
            return (at + c.len_utf8(), inner);
        }
    }
    (text.len(), inner)
}

/// Returns the length of a number such as `1`, `0.5` or `1e-3`.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end += 1 + digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits((end + 1 + sign).min(bytes.len()));
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, expected: &[&str]) {
        let text = |token: Token| match token.kind {
            Kind::Word(word) => word,
            Kind::Quoted(name) => format!("\"{name}\""),
            Kind::Text(text) => format!("'{text}'"),
            Kind::Number(number) => format!("#{number}"),
            Kind::Sign(sign) => sign.to_string(),
        };
        assert_eq!(tokens(sql).into_iter().map(text).collect::<Vec<_>>(), expected, "{sql}");
    }

    #[test]
    fn what_is_quoted_or_a_comment_is_no_word() {
        check("select m@3(a) -- m(a)\nfrom t", &["select", "m@3", "(", "a", ")", "from", "t"]);
        check("/* m(a) /* deep */ m */ x", &["x"]);
        check("'it''s' \"a\"\"b\" `c d`", &["'it's'", "\"a\"b\"", "\"c d\""]);
        check("1.5e-3*x 2 .5 1e", &["#1.5e-3", "*", "x", "#2", ".", "#5", "#1", "e"]);
        check("'open", &["'open'"]);
        check("/* open", &[]);
    }
}
