//! Queries in a form that layout, comments and letter case do not change.
//!
//! Two forms: the plan, under which `x::int` and `cast(x as int)` are one, and the words of the
//! rendered text, which stay the same when an upgrade plans the same text differently.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use windlass_error::Location;
use windlass_project::Transform;

use super::hash;
use super::record::SqlText;
use crate::planner::Places;
use crate::tables::schema::sql_type;

/// Digits of the hash of a line.
const LINE_DIGITS: usize = 8;

/// Returns the words of rendered SQL.
pub(super) fn text(sql: &str) -> SqlText {
    let mut lines: Vec<(u64, Vec<String>)> = Vec::new();
    for (line, word) in words(sql) {
        match lines.last_mut() {
            Some((known, words)) if *known == line => words.push(word),
            _ => lines.push((line, vec![word])),
        }
    }
    let of_line = |words: &[String]| {
        let mut digits = hash(words.iter().map(String::as_str));
        digits.truncate(LINE_DIGITS);
        digits
    };
    let all = lines.iter().flat_map(|(_, words)| words.iter().map(String::as_str));
    SqlText { words: hash(all), lines: lines.iter().map(|(_, words)| of_line(words)).collect() }
}

/// Returns where the user wrote the line at `index` among those that have words.
pub(crate) fn place_of_line(transform: &Transform, index: usize) -> Option<Location> {
    let mut lines: Vec<u64> = words(&transform.sql).into_iter().map(|(line, _)| line).collect();
    lines.dedup();
    let line = lines.get(index).or(lines.last())?;
    let text = transform.sql.lines().nth(usize::try_from(*line).ok()?.checked_sub(1)?)?;
    let indent = text.chars().take_while(|c| c.is_whitespace()).count() as u64;
    Places::new(transform).of_point(*line, indent + 1)
}

/// Returns the words of SQL with their lines, from 1. Names without quotes have no letter case.
fn words(sql: &str) -> Vec<(u64, String)> {
    let mut tokens = Vec::new();
    // What cannot be read any further is not planned either.
    let _ = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location_into_buf(&mut tokens);
    let word = |token: &Token| match token {
        Token::Whitespace(_) | Token::EOF => None,
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_lowercase()),
        other => Some(other.to_string()),
    };
    tokens.iter().filter_map(|token| Some((token.span.start.line, word(&token.token)?))).collect()
}

/// Returns the hash of a query.
pub(super) fn plan(query: &LogicalPlan) -> String {
    let mut text = query.display_indent().to_string();
    let _ = query.apply_with_subqueries(|node| {
        // A plan shows the first of many VALUES and the start of long binary literals only.
        for expr in node.expressions() {
            if matches!(node, LogicalPlan::Values(_)) {
                text.push_str(&format!("\n{expr}"));
            }
            expr.apply(|expr| {
                match expr {
                    Expr::Literal(value, _) if binary(value).is_some() => {
                        text.push_str(&format!("\n{:02x?}", binary(value)));
                    }
                    Expr::Literal(value, _) => text.push_str(&format!("\n{value:?}")),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    hash([text.as_str()])
}

fn binary(value: &ScalarValue) -> Option<&[u8]> {
    match value {
        ScalarValue::Binary(bytes)
        | ScalarValue::LargeBinary(bytes)
        | ScalarValue::BinaryView(bytes)
        | ScalarValue::FixedSizeBinary(_, bytes) => bytes.as_deref(),
        _ => None,
    }
}

/// Returns the hash of the columns of every table that a query reads.
pub(super) fn columns(query: &LogicalPlan) -> BTreeMap<String, String> {
    schemas(query).iter().map(|(table, columns)| (table.clone(), schema(columns))).collect()
}

/// Returns the columns of every table that a query reads.
pub(super) fn schemas(query: &LogicalPlan) -> BTreeMap<String, SchemaRef> {
    let mut found = BTreeMap::new();
    let _ = query.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found.insert(scan.table_name.to_string(), scan.source.schema());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// Returns whether a query reads a table.
pub(crate) fn reads(query: &LogicalPlan, table: &str) -> bool {
    columns(query).contains_key(table)
}

/// Returns the hash of names and types.
pub(crate) fn schema(schema: &Schema) -> String {
    let fields = schema.fields().iter().map(|field| format!("{} {}", field.name(), sql_type(field.data_type())));
    hash(fields.collect::<Vec<String>>().iter().map(String::as_str))
}

/// Returns whether a query reads something beside the named tables: a table function such as
/// `generate_series`, whose arguments a plan does not show.
pub(super) fn reads_others(query: &LogicalPlan, tables: &BTreeSet<String>) -> bool {
    let mut found = false;
    let _ = query.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            found = found || !tables.contains(&scan.table_name.to_string());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// Returns a function that a query calls and that does not always answer the same, such as `now()`.
pub(crate) fn volatile_function(query: &LogicalPlan) -> Option<String> {
    let mut found = None;
    let _ = query.apply_with_subqueries(|node| {
        node.apply_expressions(|root| {
            root.apply(|expr| {
                if let Expr::ScalarFunction(call) = expr
                    && call.func.signature().volatility != Volatility::Immutable
                {
                    found = Some(format!("{}()", call.func.name()));
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_same(left: &str, right: &str, is_same: bool) {
        assert_eq!(text(left).words == text(right).words, is_same, "{left}\n{right}");
    }

    #[test]
    fn layout_comments_and_letter_case_are_no_words() {
        check_same("select a, b from t", "SELECT  A,\n  b -- why\nFROM /* here */ T", true);
        check_same("select \"A\" from t", "select \"a\" from t", false);
        check_same("select 'A' from t", "select 'a' from t", false);
        check_same("select a b from t", "select ab from t", false);
    }

    #[test]
    fn a_line_is_found_among_those_with_words() {
        let (old, new) = (text("select a,\n-- note\n  b\nfrom t"), text("select a,\n\n  b + 1\nfrom t"));
        let first = old.lines.iter().zip(&new.lines).position(|(old, new)| old != new);
        assert_eq!((first, new.lines.len()), (Some(1), 3));
    }
}
