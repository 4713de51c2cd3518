//! Reads the text of a selection.

use std::ops::Range;

use globset::Glob;
use windlass_error::nearest;

use super::{Atom, Expression, METHODS, Reach, SelectionError};

/// Brackets nest no deeper, so that recursion is safe.
const MAX_DEPTH: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
enum TokenKind {
    And,
    Or,
    Not,
    Open,
    Close,
    /// A name or method, quotes removed.
    Word(String),
}

#[derive(Debug, Clone)]
struct Token {
    kind: TokenKind,
    span: Range<usize>,
}

/// Parses a selection.
pub(super) fn parse(text: &str) -> Result<Expression, SelectionError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { text, tokens: &tokens, at: 0, depth: 0 };
    if tokens.is_empty() {
        return Err(SelectionError::syntax(text, 0..0, "the selection is empty"));
    }
    let expression = parser.expression()?;
    match parser.peek() {
        None => Ok(expression),
        Some(token) => Err(SelectionError::syntax(text, token.span.clone(), "this bracket was never opened")),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn accept(&mut self, kind: &TokenKind) -> bool {
        let found = self.peek().is_some_and(|token| token.kind == *kind);
        self.at += usize::from(found);
        found
    }

    fn expression(&mut self) -> Result<Expression, SelectionError> {
        let mut terms = vec![self.term()?];
        while self.peek().is_some_and(|token| token.kind != TokenKind::Close) {
            self.accept(&TokenKind::Or);
            terms.push(self.term()?);
        }
        Ok(single(terms, Expression::Any))
    }

    fn term(&mut self) -> Result<Expression, SelectionError> {
        let mut factors = vec![self.factor()?];
        while self.accept(&TokenKind::And) {
            factors.push(self.factor()?);
        }
        Ok(single(factors, Expression::All))
    }

    fn factor(&mut self) -> Result<Expression, SelectionError> {
        let mut negated = false;
        while self.accept(&TokenKind::Not) {
            negated = !negated;
        }
        let inner = self.unit()?;
        Ok(if negated { Expression::Not(Box::new(inner)) } else { inner })
    }

    fn unit(&mut self) -> Result<Expression, SelectionError> {
        let Some(token) = self.peek().cloned() else {
            let end = self.text.trim_end().len();
            return Err(SelectionError::syntax(self.text, end..end, "expected a name or method here"));
        };
        match token.kind {
            TokenKind::Word(word) => {
                self.at += 1;
                atom(self.text, &word, token.span).map(Expression::Atom)
            }
            TokenKind::Open => self.group(token.span),
            _ => Err(SelectionError::syntax(self.text, token.span, "expected a name or method here")),
        }
    }

    fn group(&mut self, open: Range<usize>) -> Result<Expression, SelectionError> {
        if self.depth == MAX_DEPTH {
            return Err(SelectionError::syntax(self.text, open, "brackets are nested too deeply"));
        }
        self.at += 1;
        self.depth += 1;
        let inner = self.expression()?;
        self.depth -= 1;
        if !self.accept(&TokenKind::Close) {
            return Err(SelectionError::syntax(self.text, open, "this bracket is never closed"));
        }
        Ok(inner)
    }
}

fn single(mut parts: Vec<Expression>, many: impl FnOnce(Vec<Expression>) -> Expression) -> Expression {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            many(parts)
        }
        None => many(parts),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, SelectionError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let width = c.len_utf8();
        let kind = match c {
            _ if c.is_whitespace() => {
                at += width;
                continue;
            }
            ',' => TokenKind::And,
            '(' => TokenKind::Open,
            ')' => TokenKind::Close,
            _ => {
                let (word, length) = word(text, at)?;
                let kind = match text[at..at + length].as_ref() {
                    "and" => TokenKind::And,
                    "or" => TokenKind::Or,
                    "not" => TokenKind::Not,
                    _ => TokenKind::Word(word),
                };
                tokens.push(Token { kind, span: at..at + length });
                at += length;
                continue;
            }
        };
        tokens.push(Token { kind, span: at..at + width });
        at += width;
    }
    Ok(tokens)
}

/// Returns a word without its quotes, and its length with them.
fn word(text: &str, start: usize) -> Result<(String, usize), SelectionError> {
    let mut word = String::new();
    let mut quote: Option<(char, usize)> = None;
    for (at, c) in text[start..].char_indices() {
        match quote {
            Some((mark, _)) if c == mark => quote = None,
            None if c == '"' || c == '\'' => quote = Some((c, start + at)),
            None if c.is_whitespace() || matches!(c, ',' | '(' | ')') => return Ok((word, at)),
            _ => word.push(c),
        }
    }
    match quote {
        Some((_, at)) => Err(SelectionError::syntax(text, at..at + 1, "this quote is never closed")),
        None => Ok((word, text.len() - start)),
    }
}

/// Reads `2+x+1`, `@x`, `tag:hourly`.
fn atom(text: &str, word: &str, span: Range<usize>) -> Result<Atom, SelectionError> {
    let fail = |message: &str| SelectionError::syntax(text, span.clone(), message);
    let (closure, rest) = match word.strip_prefix('@') {
        Some(rest) => (true, rest),
        None => (false, word),
    };
    let (ancestors, rest) = leading(rest);
    let (descendants, rest) = trailing(rest);
    if closure && ancestors != Reach::None {
        return Err(fail("`@` takes what is before already; leave out the `+`"));
    }
    if rest.is_empty() {
        return Err(fail("expected a name or method beside this sign"));
    }
    let (method, value) = match rest.split_once(':') {
        Some((method, value)) => (Some(method.to_owned()), value),
        None if rest.contains('/') => (Some("path".to_owned()), rest),
        None => (None, rest),
    };
    if let Some(method) = &method {
        check_method(text, method, &span)?;
    }
    if value.is_empty() {
        return Err(fail("expected a value after `:`"));
    }
    if Glob::new(value).is_err() {
        return Err(fail("this pattern cannot be read"));
    }
    Ok(Atom { span: span.clone(), method, value: value.to_owned(), ancestors, descendants, closure })
}

fn check_method(text: &str, method: &str, span: &Range<usize>) -> Result<(), SelectionError> {
    let is_known = METHODS.iter().any(|(known, _)| *known == method);
    if is_known || method.strip_prefix("config.").is_some_and(|setting| !setting.is_empty()) {
        return Ok(());
    }
    let known = METHODS.iter().map(|(known, _)| *known);
    let err = SelectionError::syntax(text, span.clone(), format!("no selection method `{method}`"));
    Err(match nearest(method, known.clone()) {
        Some(near) => err.with_hint(format!("did you mean `{near}:`?")),
        None => {
            let known: Vec<String> = known.map(|known| format!("`{known}:`")).collect();
            err.with_hint(format!("methods are {}", known.join(", ")))
        }
    })
}

/// Cuts `+` or `2+` off the start.
fn leading(word: &str) -> (Reach, &str) {
    let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    match word[digits..].strip_prefix('+') {
        Some(rest) => (reach(&word[..digits]), rest),
        None => (Reach::None, word),
    }
}

/// Cuts `+` or `+2` off the end.
fn trailing(word: &str) -> (Reach, &str) {
    let name = word.trim_end_matches(|c: char| c.is_ascii_digit());
    match name.strip_suffix('+') {
        Some(rest) => (reach(&word[name.len()..]), rest),
        None => (Reach::None, word),
    }
}

fn reach(digits: &str) -> Reach {
    if digits.is_empty() { Reach::All } else { Reach::Edges(digits.parse().unwrap_or(usize::MAX)) }
}
