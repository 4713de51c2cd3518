//! Lets DataFusion's parser read `ML.PREDICT(MODEL m, TABLE t)`.
//!
//! The tokens `MODEL m` become one text, and `TABLE t` becomes `(SELECT * FROM t)`, each where it stood, so that
//! places in messages stay those of the user. SQL without such a call goes to the parser as it is.

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as PlannerStatement;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// Plans a query that may use models.
pub(crate) async fn logical_plan(state: &SessionState, sql: &str) -> Result<LogicalPlan> {
    let statement = statement(state, sql)?;
    state.statement_to_plan(statement).await
}

/// Parses one statement that may use models, for the planner.
pub(crate) fn statement(state: &SessionState, sql: &str) -> Result<PlannerStatement> {
    let plain = || state.sql_to_statement(sql, &state.config_options().sql_parser.dialect);
    let Some(tokens) = rewritten(sql) else { return plain() };
    let mut statements = parsed(tokens).map_err(|error| DataFusionError::SQL(Box::new(error), None))?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(PlannerStatement::Statement(Box::new(statement))),
        // It says what is wrong with none or several.
        _ => plain(),
    }
}

/// Parses SQL that may use models.
pub(crate) fn parse(sql: &str) -> Result<Vec<Statement>, ParserError> {
    match rewritten(sql) {
        None => Parser::parse_sql(&GenericDialect {}, sql),
        Some(tokens) => parsed(tokens),
    }
}

fn parsed(tokens: Vec<TokenWithSpan>) -> Result<Vec<Statement>, ParserError> {
    Parser::new(&GenericDialect {}).with_tokens_with_locations(tokens).parse_statements()
}

/// Returns the tokens as the parser can read them; `None` where there is no call of `ML`.
fn rewritten(sql: &str) -> Option<Vec<TokenWithSpan>> {
    if !sql.to_lowercase().contains("ml") {
        return None;
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    let tokens: Vec<TokenWithSpan> =
        tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).collect();
    let mut found = Vec::with_capacity(tokens.len() + 8);
    // The depth of brackets at which the arguments of a call stand, for each call that is open.
    let mut calls: Vec<usize> = Vec::new();
    let (mut depth, mut at, mut is_changed) = (0, 0, false);
    while let Some(token) = tokens.get(at) {
        if let Some(model) = model_at(&tokens[at..]) {
            found.extend_from_slice(&tokens[at..at + 4]);
            found.push(TokenWithSpan::new(Token::SingleQuotedString(model.0), model.1));
            depth += 1;
            calls.push(depth);
            (at, is_changed) = (at + 6, true);
            continue;
        }
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => {
                calls.retain(|call| *call < depth);
                depth = depth.saturating_sub(1);
            }
            Token::Comma if calls.last() == Some(&depth) => {
                if let Some(length) = table_at(&tokens[at + 1..]) {
                    found.push(token.clone());
                    found.extend(select_from(&tokens[at + 1..at + 1 + length]));
                    at += 1 + length;
                    continue;
                }
            }
            _ => {}
        }
        found.push(token.clone());
        at += 1;
    }
    is_changed.then_some(found)
}

/// Returns the model of `ML . function ( MODEL name` and where its name stands.
fn model_at(tokens: &[TokenWithSpan]) -> Option<(String, datafusion::sql::sqlparser::tokenizer::Span)> {
    let [ml, dot, function, open, model, name, ..] = tokens else { return None };
    let is_call = word(ml, "ml") && dot.token == Token::Period && matches!(function.token, Token::Word(_));
    if !is_call || open.token != Token::LParen || !word(model, "model") {
        return None;
    }
    let Token::Word(known) = &name.token else { return None };
    let text = if known.quote_style.is_some() { known.value.clone() } else { known.value.to_lowercase() };
    Some((text, name.span))
}

/// Returns how many tokens `TABLE name` or `TABLE schema.name` has.
fn table_at(tokens: &[TokenWithSpan]) -> Option<usize> {
    let is_name = |at: usize| matches!(tokens.get(at).map(|token| &token.token), Some(Token::Word(_)));
    if !tokens.first().is_some_and(|token| word(token, "table")) || !is_name(1) {
        return None;
    }
    let mut length = 2;
    while tokens.get(length).is_some_and(|token| token.token == Token::Period) && is_name(length + 1) {
        length += 2;
    }
    Some(length)
}

/// Returns `( SELECT * FROM name )` for `TABLE name`.
fn select_from(table: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let [keyword, name @ ..] = table else { return Vec::new() };
    let here = |token| TokenWithSpan::new(token, keyword.span);
    let before = [Token::LParen, Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")];
    before.map(here).into_iter().chain(name.iter().cloned()).chain([here(Token::RParen)]).collect()
}

fn word(token: &TokenWithSpan, wanted: &str) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn calls_of_models_are_read() {
        for (sql, expected) in [
            (
                "select * from ML.PREDICT(MODEL Late@3, TABLE nyc.flights) p where p.x > 1",
                "SELECT * FROM ML.PREDICT('late@3', (SELECT * FROM nyc.flights)) p WHERE p.x > 1",
            ),
            (
                "select a from ml.predict(model m, (select f(x, y) from t), struct(0.4 as threshold))",
                "SELECT a FROM ml.predict('m', (SELECT f(x, y) FROM t), STRUCT(0.4 AS threshold))",
            ),
            ("select model, ml from t", "SELECT model, ml FROM t"),
            ("select * from ml.weights(model m)", "SELECT * FROM ml.weights('m')"),
        ] {
            let found: Vec<String> = parse(sql).unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(found, [expected]);
        }
    }
}
