//! Finds the places of calls such as `ref('x')` in a template's text.
//!
//! MiniJinja does not tell a function where it was called. The text does, as long as the argument
//! is written out there, which is nearly always so.

use std::ops::Range;

use super::lexer::{self, SegmentKind, Token, TokenKind};

/// The calls and words of one template.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    calls: Vec<Call>,
    texts: Vec<(String, Range<usize>)>,
    /// Names of the macros defined here, each with its place.
    pub(crate) macros: Vec<(String, Range<usize>)>,
}

#[derive(Debug)]
struct Call {
    function: String,
    span: Range<usize>,
    arguments: Vec<Argument>,
}

#[derive(Debug, Default)]
struct Argument {
    /// The name of `name=value`.
    name: Option<(String, Range<usize>)>,
    /// The string, where the argument is nothing but one literal.
    literal: Option<String>,
    span: Range<usize>,
}

impl Calls {
    /// Scans a template. What cannot be read is skipped.
    pub(crate) fn scan(source: &str) -> Self {
        let mut found = Self::default();
        for segment in lexer::segments(source).unwrap_or_default() {
            if matches!(segment.kind, SegmentKind::Expression | SegmentKind::Block) {
                let tokens = lexer::tokens(source, segment.inner.clone());
                found.add(&tokens);
                if segment.kind == SegmentKind::Block {
                    found.add_macro(&tokens);
                }
            }
        }
        found
    }

    /// Returns the place of the call's argument number `index`, where the first arguments are the
    /// given literals.
    pub(crate) fn argument(&self, function: &str, literals: &[&str], index: usize) -> Option<Range<usize>> {
        self.named(function).find(|call| call.starts_with(literals)).and_then(|call| {
            let positional = call.arguments.iter().filter(|argument| argument.name.is_none());
            positional.map(|argument| argument.span.clone()).nth(index)
        })
    }

    /// Returns the places of the name and the value of `function(..., name=value)`.
    pub(crate) fn keyword(&self, function: &str, name: &str) -> Option<(Range<usize>, Range<usize>)> {
        self.named(function).flat_map(|call| &call.arguments).find_map(|argument| match &argument.name {
            Some((known, at)) if known == name => Some((at.clone(), argument.span.clone())),
            _ => None,
        })
    }

    /// Returns the place of the first call of a function.
    pub(crate) fn first(&self, function: &str) -> Option<Range<usize>> {
        self.named(function).map(|call| call.span.clone()).next()
    }

    /// Returns the place of the first string literal with this text.
    pub(crate) fn text(&self, text: &str) -> Option<Range<usize>> {
        self.texts.iter().find(|(known, _)| known == text).map(|(_, span)| span.clone())
    }

    fn named<'a>(&'a self, function: &'a str) -> impl Iterator<Item = &'a Call> {
        self.calls.iter().filter(move |call| call.function == function)
    }

    fn add(&mut self, tokens: &[Token]) {
        for (at, token) in tokens.iter().enumerate() {
            match &token.kind {
                TokenKind::Text(text) => self.texts.push((text.clone(), token.span.clone())),
                TokenKind::Word(word) => {
                    let is_call = symbol(tokens.get(at + 1)) == Some('(');
                    let is_method = at > 0 && symbol(tokens.get(at - 1)) == Some('.');
                    if is_call && !is_method {
                        let (arguments, end) = read_arguments(&tokens[at + 2..]);
                        let span = token.span.start..end.unwrap_or(token.span.end);
                        self.calls.push(Call { function: word.clone(), span, arguments });
                    }
                }
                _ => {}
            }
        }
    }

    fn add_macro(&mut self, tokens: &[Token]) {
        if let [Token { kind: TokenKind::Word(keyword), .. }, Token { kind: TokenKind::Word(name), span }, ..] = tokens
            && keyword == "macro"
        {
            self.macros.push((name.clone(), span.clone()));
        }
    }
}

impl Call {
    fn starts_with(&self, literals: &[&str]) -> bool {
        literals.iter().enumerate().all(|(at, wanted)| {
            self.arguments.get(at).is_some_and(|argument| argument.literal.as_deref() == Some(*wanted))
        })
    }
}

/// Reads arguments up to the closing bracket; also returns where that ends.
fn read_arguments(tokens: &[Token]) -> (Vec<Argument>, Option<usize>) {
    let mut arguments = Vec::new();
    let mut depth = 0_usize;
    let mut start = 0;
    for (at, token) in tokens.iter().enumerate() {
        let TokenKind::Symbol(symbol) = token.kind else { continue };
        match symbol {
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => {
                arguments.extend(argument(&tokens[start..at]));
                return (arguments, Some(token.span.end));
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                arguments.extend(argument(&tokens[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    (arguments, None)
}

fn argument(tokens: &[Token]) -> Option<Argument> {
    let is_keyword = symbol(tokens.get(1)) == Some('=') && symbol(tokens.get(2)) != Some('=');
    let name = match tokens.first() {
        Some(Token { kind: TokenKind::Word(word), span }) if is_keyword => Some((word.clone(), span.clone())),
        _ => None,
    };
    let value = if name.is_some() { &tokens[2..] } else { tokens };
    let span = value.first()?.span.start..value.last()?.span.end;
    let literal = match value {
        [Token { kind: TokenKind::Text(text), .. }] => Some(text.clone()),
        _ => None,
    };
    Some(Argument { name, literal, span })
}

fn symbol(token: Option<&Token>) -> Option<char> {
    match token.map(|token| &token.kind) {
        Some(TokenKind::Symbol(symbol)) => Some(*symbol),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
