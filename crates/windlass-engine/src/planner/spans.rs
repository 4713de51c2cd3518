//! Places in rendered SQL: from the parser's lines and columns to the user's own file.

use datafusion::common::Span;
use datafusion::sql::sqlparser::ast::{SelectItem, SetExpr, Spanned, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location as Point, Span as ParserSpan, Token, Tokenizer};
use windlass_error::{Location, SourceFile};
use windlass_project::Transform;

use crate::models;

/// Leads from places in a transform's rendered SQL to the user's files.
pub(crate) struct Places<'a> {
    transform: &'a Transform,
    rendered: std::sync::Arc<SourceFile>,
}

impl<'a> Places<'a> {
    /// Returns the places of a transform.
    pub(crate) fn new(transform: &'a Transform) -> Self {
        let rendered = SourceFile::new(std::path::Path::new("rendered.sql"), transform.sql.clone());
        Self { transform, rendered }
    }

    /// Returns where a span of the parser came from.
    pub(crate) fn of_span(&self, span: Span) -> Option<Location> {
        self.between(span.start.line, span.start.column, span.end.line, span.end.column)
    }

    fn of_parser_span(&self, span: ParserSpan) -> Option<Location> {
        self.between(span.start.line, span.start.column, span.end.line, span.end.column)
    }

    fn between(&self, line: u64, column: u64, end_line: u64, end_column: u64) -> Option<Location> {
        if line == 0 {
            return None;
        }
        let offset = |line: u64, column: u64| self.rendered.offset(line as usize, column as usize);
        let start = offset(line, column);
        self.transform.map.locate(start..offset(end_line, end_column).max(start))
    }

    /// Returns where a line and column of the rendered SQL came from, one token wide.
    pub(crate) fn of_point(&self, line: u64, column: u64) -> Option<Location> {
        let tokens = self.tokens();
        let point = Point { line, column };
        match tokens.iter().find(|(_, span)| span.start <= point && point < span.end) {
            Some((_, span)) => self.of_parser_span(*span),
            None => self.between(line, column, line, column),
        }
    }

    /// Returns where the last token of the SQL came from.
    pub(crate) fn of_end(&self) -> Option<Location> {
        self.tokens().iter().rev().find(|(token, _)| !is_blank(token)).and_then(|(_, span)| self.of_parser_span(*span))
    }

    /// Returns where a word stands first.
    pub(crate) fn of_word(&self, word: &str) -> Option<Location> {
        let tokens = self.tokens();
        let mut found = tokens
            .iter()
            .filter(|(token, _)| matches!(token, Token::Word(known) if known.value.eq_ignore_ascii_case(word)));
        let (_, span) = found.next()?;
        self.of_parser_span(*span)
    }

    /// Returns where a word stands for the last time.
    pub(crate) fn of_last_word(&self, word: &str) -> Option<Location> {
        let tokens = self.tokens();
        let is_word = |token: &Token| matches!(token, Token::Word(known) if known.value.eq_ignore_ascii_case(word));
        let (_, span) = tokens.iter().rev().find(|(token, _)| is_word(token))?;
        self.of_parser_span(*span)
    }

    /// Returns where the first token of a span came from.
    pub(crate) fn of_start(&self, span: ParserSpan) -> Option<Location> {
        self.of_point(span.start.line, span.start.column)
    }

    /// Returns where the `index`-th column of the result is written, unless a `*` stands before it.
    pub(crate) fn of_output(&self, index: usize) -> Option<Location> {
        let statements = models::parse(&self.transform.sql).ok()?;
        let Some(Statement::Query(query)) = statements.first() else { return None };
        let mut body = query.body.as_ref();
        while let SetExpr::SetOperation { left, .. } = body {
            body = left.as_ref();
        }
        let SetExpr::Select(select) = body else { return None };
        let is_star = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        if select.projection.iter().take(index + 1).any(is_star) {
            return None;
        }
        self.of_parser_span(select.projection.get(index)?.span())
    }

    /// Returns where an expression stands whose text is `wanted`, compared without spaces, quotes,
    /// qualifiers, parentheses and letter case.
    pub(crate) fn of_expression(&self, wanted: &str) -> Option<Location> {
        use std::ops::ControlFlow;

        use datafusion::sql::sqlparser::ast::{Expr, Visit, Visitor};

        struct Finder {
            wanted: String,
            found: Option<ParserSpan>,
        }
        impl Visitor for Finder {
            type Break = ();
            fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
                if normal_form(&expr.to_string()) == self.wanted {
                    self.found = Some(expr.span());
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            }
        }
        let statements = models::parse(&self.transform.sql).ok()?;
        let mut finder = Finder { wanted: normal_form(wanted), found: None };
        let _ = statements.visit(&mut finder);
        self.of_parser_span(finder.found?)
    }

    fn tokens(&self) -> Vec<(Token, ParserSpan)> {
        let tokens = Tokenizer::new(&GenericDialect {}, &self.transform.sql).tokenize_with_location();
        tokens.unwrap_or_default().into_iter().map(|token| (token.token, token.span)).collect()
    }
}

fn is_blank(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_) | Token::EOF)
}

/// Returns an expression's text without what does not change its meaning here.
fn normal_form(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for word in
        text.to_lowercase().split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.' || c == '"'))
    {
        let (name, rest) = match word.char_indices().last() {
            Some((at, last)) if !(last.is_alphanumeric() || last == '_' || last == '.' || last == '"') => {
                word.split_at(at)
            }
            _ => (word, ""),
        };
        let is_number = name.chars().next().is_some_and(|c| c.is_ascii_digit());
        let name = if is_number { name } else { name.rsplit('.').next().unwrap_or(name) };
        plain.extend(name.chars().chain(rest.chars()).filter(|c| !c.is_whitespace() && !matches!(c, '"' | '(' | ')')));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::normal_form;

    #[test]
    fn spelling_does_not_matter() {
        for (a, b) in [
            ("f.distance / f.air_time", "distance/air_time"),
            ("(\"Distance\" / 2.5)", "distance / 2.5"),
            ("CAST(x AS INT)", "cast(x as int)"),
        ] {
            assert_eq!(normal_form(a), normal_form(b));
        }
        assert_ne!(normal_form("a / b"), normal_form("b / a"));
    }
}
