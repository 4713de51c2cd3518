//! Compares two tables, and names the rows and columns that differ.
//!
//! NULL equals NULL, NaN equals NaN, and `-0.0` equals `0.0`. With a key the rows that belong together
//! are joined; without one each row must be there as often on both sides.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::JoinType;
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast, when};
use datafusion::prelude::{ident, lit};
use windlass_project::checks::{ReconcileRule, Tolerance, Written};

use super::queries::{ROWS, THERE, numbers, offending};
use crate::checks::facts::Queried;

/// This side's columns in a join.
const HERE: &str = "\u{1}here_";
/// Whether a side has the row at all.
const IS_THERE: &str = "is_there";

/// What two joined tables are asked.
struct Comparison {
    joined: DataFrame,
    /// Rows that only one side has, then by name rows in which a column differs.
    figures: Vec<(String, Expr)>,
    /// Whether a row is wrong for any reason.
    is_wrong: Expr,
}

/// Returns the rows in which a table differs from another one.
pub(super) async fn reconcile(
    own: DataFrame,
    there: DataFrame,
    rule: &ReconcileRule,
    wanted: usize,
) -> Result<Queried> {
    let all = own.schema().fields().iter().map(|field| field.name().clone());
    let names: Vec<String> = all.filter(|name| !is_in(&rule.exclude, name)).collect();
    let is_missing = |name: &&String| there.schema().index_of_column_by_name(None, name).is_none();
    if let Some(first) = names.iter().find(is_missing) {
        return Err(DataFusionError::Plan(format!("`{}` has no column `{first}`", rule.to.text)));
    }
    match rule.key.is_empty() {
        true => as_bags(own, there, &names, wanted).await,
        false => by_key(compare(own, there, &names, rule)?, rule, wanted).await,
    }
}

fn is_in(list: &[Written], name: &str) -> bool {
    list.iter().any(|column| column.text == name)
}

fn compare(own: DataFrame, there: DataFrame, names: &[String], rule: &ReconcileRule) -> Result<Comparison> {
    let (here, there) = (side(own, names, HERE)?, side(there, names, THERE)?);
    let here_of = |name: &str| ident(format!("{HERE}{name}"));
    let there_of = |name: &str| ident(format!("{THERE}{name}"));
    let on: Vec<Expr> = rule.key.iter().map(|key| here_of(&key.text).eq(there_of(&key.text))).collect();
    let joined = here.join_on(there, JoinType::Full, on)?;
    let (is_extra, is_missing) = (there_of(IS_THERE).is_null(), here_of(IS_THERE).is_null());
    let is_both = there_of(IS_THERE).is_not_null().and(here_of(IS_THERE).is_not_null());
    let mut figures = vec![("missing".to_string(), is_missing.clone()), ("extra".to_string(), is_extra.clone())];
    let mut is_wrong = is_extra.or(is_missing);
    for name in names.iter().filter(|name| !is_in(&rule.key, name)) {
        let tolerance = rule.tolerance.iter().find(|(column, _)| column.text == *name).map(|(_, found)| *found);
        let differs = is_both.clone().and(differs(here_of(name), there_of(name), tolerance)?);
        is_wrong = is_wrong.or(differs.clone());
        figures.push((name.clone(), differs));
    }
    Ok(Comparison { joined, figures, is_wrong })
}

fn side(frame: DataFrame, names: &[String], prefix: &str) -> Result<DataFrame> {
    let columns = names.iter().map(|name| Ok(plain(&frame, name)?.alias(format!("{prefix}{name}"))));
    let mut columns = columns.collect::<Result<Vec<Expr>>>()?;
    columns.push(lit(true).alias(format!("{prefix}{IS_THERE}")));
    frame.select(columns)
}

async fn by_key(comparison: Comparison, rule: &ReconcileRule, wanted: usize) -> Result<Queried> {
    let Comparison { joined, figures, is_wrong } = comparison;
    let counted = |condition: &Expr| -> Result<Expr> {
        Ok(sum(when(condition.clone().is_true(), lit(1i64)).otherwise(lit(0i64))?))
    };
    let conditions = figures.iter().map(|(_, condition)| condition).chain([&is_wrong]).enumerate();
    let sums = conditions.map(|(at, condition)| Ok(counted(condition)?.alias(format!("{HERE}{at}"))));
    let sums = sums.collect::<Result<Vec<Expr>>>()?;
    let mut totals = numbers(joined.clone().aggregate(vec![], sums)?).await?;
    let failing = totals.pop().unwrap_or(0);
    let of = |at: usize| totals.get(at).copied().unwrap_or(0);
    let (missing, extra) = (of(0), of(1));
    let mut answer = Queried { failing: failing as u64, ..Queried::default() };
    answer.figures = vec![("extra_rows", extra as f64), ("missing_rows", missing as f64)];
    let differing = figures.iter().zip(&totals).skip(2).filter(|(_, rows)| **rows > 0);
    let differing: Vec<String> = differing.map(|((name, _), rows)| format!("`{name}` in {rows} rows")).collect();
    answer.detail = Some(match (failing, differing.is_empty()) {
        (0, _) => format!("equal to `{}`", rule.to.text),
        (_, true) => format!("{missing} rows missing, {extra} rows extra"),
        (_, false) => format!("{missing} rows missing, {extra} rows extra, different: {}", differing.join(", ")),
    });
    if failing > 0 {
        let order: Vec<_> = rule.key.iter().map(|key| ident(format!("{HERE}{}", key.text)).sort(true, false)).collect();
        let shown = joined.filter(is_wrong.is_true())?.sort(order)?.limit(0, Some(wanted))?;
        answer.examples = offending(readable(shown)?, wanted).await?.examples;
    }
    Ok(answer)
}

/// Returns a column under which equal values are equal: `-0.0` is `0.0`.
fn plain(frame: &DataFrame, name: &str) -> Result<Expr> {
    let column = ident(name);
    let data_type = column.get_type(frame.schema())?;
    Ok(if data_type.is_floating() { column + cast(lit(0.0), data_type) } else { column })
}

fn differs(here: Expr, there: Expr, tolerance: Option<Tolerance>) -> Result<Expr> {
    let Some(tolerance) = tolerance else { return Ok(distinct(here, there)) };
    let number = |value: &Expr| cast(value.clone(), DataType::Float64);
    let size = |value: Expr| when(value.clone().lt(lit(0.0)), -value.clone()).otherwise(value);
    let allowed = lit(tolerance.absolute) + size(number(&there))? * lit(tolerance.relative);
    let is_far = size(number(&here) - number(&there))?.gt(allowed);
    // With a NULL on one side, or a NaN, the distance says nothing: they differ.
    let is_near = is_far.is_false();
    Ok(distinct(here, there).and(is_near.is_not_true()))
}

fn distinct(here: Expr, there: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(here), Operator::IsDistinctFrom, Box::new(there)))
}

/// Gives the columns of both sides names for people.
fn readable(frame: DataFrame) -> Result<DataFrame> {
    let names: Vec<String> = frame.schema().fields().iter().map(|field| field.name().clone()).collect();
    let columns = names.iter().filter(|name| !name.ends_with(IS_THERE)).map(|name| {
        let shown = match name.strip_prefix(HERE) {
            Some(rest) => rest.to_string(),
            None => format!("{} there", name.trim_start_matches(THERE)),
        };
        ident(name).alias(shown)
    });
    frame.select(columns.collect::<Vec<Expr>>())
}

async fn as_bags(own: DataFrame, there: DataFrame, names: &[String], wanted: usize) -> Result<Queried> {
    let side = |frame: DataFrame, weight: i64| {
        let columns = names.iter().map(|name| Ok(plain(&frame, name)?.alias(name)));
        let mut columns = columns.collect::<Result<Vec<Expr>>>()?;
        columns.push(lit(weight).alias(ROWS));
        frame.select(columns)
    };
    let all = side(own, 1)?.union(side(there, -1)?)?;
    let keys: Vec<Expr> = names.iter().map(ident).collect();
    let wrong = all.aggregate(keys, vec![sum(ident(ROWS)).alias(ROWS)])?.filter(ident(ROWS).not_eq(lit(0i64)))?;
    let size = when(ident(ROWS).lt(lit(0i64)), -ident(ROWS)).otherwise(ident(ROWS))?;
    let extra = when(ident(ROWS).gt(lit(0i64)), ident(ROWS)).otherwise(lit(0i64))?;
    let totals = wrong.clone().aggregate(vec![], vec![sum(size).alias("all"), sum(extra).alias("extra")])?;
    let totals = numbers(totals).await?;
    let (all, extra) = (totals.first().copied().unwrap_or(0), totals.get(1).copied().unwrap_or(0));
    let order: Vec<_> = names.iter().map(|name| ident(name).sort(true, true)).collect();
    let mut answer = offending(wrong.sort(order)?.limit(0, Some(wanted))?, wanted).await?;
    answer.failing = all as u64;
    answer.figures = vec![("extra_rows", extra as f64), ("missing_rows", (all - extra) as f64)];
    answer.detail = Some(format!("{} rows missing, {extra} rows extra", all - extra));
    Ok(answer)
}
