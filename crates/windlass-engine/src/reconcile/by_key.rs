//! Tables with a key: the rows that belong together are joined, and their other columns compared.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::JoinType;
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, cast, when};
use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;
use windlass_project::checks::Tolerance;

use super::{Answer, Example, OWN, Question};
use crate::audit::numbers;

/// A column of one side in the join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Own,
    Other,
}

impl Side {
    /// Returns the name of the side's column at `at`; the one behind the last says that the row is there.
    fn name(self, at: usize) -> String {
        match self {
            Self::Own => format!("{OWN}own_{at}"),
            Self::Other => format!("{OWN}other_{at}"),
        }
    }

    fn column(self, at: usize) -> Expr {
        ident(self.name(at))
    }
}

pub(super) async fn compare(own: DataFrame, other: DataFrame, question: &Question, answer: Answer) -> Result<Answer> {
    let count = question.columns.len();
    let side = |frame: DataFrame, side: Side| {
        let columns = question.columns.iter().enumerate().map(|(at, name)| ident(name).alias(side.name(at)));
        frame.select(columns.chain([lit(true).alias(side.name(count))]).collect::<Vec<Expr>>())
    };
    let is_key = |at: &usize| question.key.contains(&question.columns[*at]);
    let on = (0..count).filter(is_key).map(|at| binary(at, Operator::IsNotDistinctFrom));
    let on = on.collect::<Vec<Expr>>();
    let joined = side(own, Side::Own)?.join_on(side(other, Side::Other)?, JoinType::Full, on)?;
    let is_there = |side: Side| side.column(count).is_not_null();
    let is_both = is_there(Side::Own).and(is_there(Side::Other));
    let mut compared = Vec::new();
    for at in (0..count).filter(|at| !is_key(at)) {
        let name = &question.columns[at];
        let tolerance = question.tolerances.iter().find(|(column, _)| column == name).map(|(_, found)| *found);
        compared.push((at, is_both.clone().and(differs(at, tolerance)?)));
    }
    let is_changed = compared.iter().map(|(_, differs)| differs.clone()).reduce(Expr::or).unwrap_or_else(|| lit(false));
    let is_missing = is_there(Side::Own).is_false();
    let is_extra = is_there(Side::Other).is_false();
    let conditions = [&is_missing, &is_extra, &is_changed, &is_both];
    let conditions = conditions.into_iter().chain(compared.iter().map(|(_, differs)| differs));
    let sums = conditions.enumerate().map(|(at, condition)| {
        let one = when(condition.clone().is_true(), lit(1i64)).otherwise(lit(0i64))?;
        Ok(sum(one).alias(format!("{OWN}{at}")))
    });
    let totals = numbers(joined.clone().aggregate(vec![], sums.collect::<Result<Vec<Expr>>>()?)?).await?;
    let of = |at: usize| totals.get(at).copied().unwrap_or(0) as u64;
    let (missing, extra, changed, both) = (of(0), of(1), of(2), of(3));
    let columns = compared.iter().enumerate().map(|(at, (column, _))| (*column, of(at + 4)));
    let columns = columns.filter(|(_, rows)| *rows > 0);
    let columns = columns.map(|(at, rows)| (question.columns[at].clone(), Some(rows))).collect();
    // Every row is in the join once, unless its key has several rows on the other side.
    let has_doubles = both + extra > answer.rows || both + missing > answer.other_rows;
    let is_wrong = is_missing.or(is_extra).or(is_changed);
    let examples = examples(joined, (is_wrong, &compared), question).await?;
    Ok(Answer { missing, extra, changed, columns, has_doubles, examples, ..answer })
}

/// Compares a column of both sides.
fn binary(at: usize, operator: Operator) -> Expr {
    let (own, other) = (Box::new(Side::Own.column(at)), Box::new(Side::Other.column(at)));
    Expr::BinaryExpr(BinaryExpr::new(own, operator, other))
}

fn differs(at: usize, tolerance: Option<Tolerance>) -> Result<Expr> {
    let is_distinct = binary(at, Operator::IsDistinctFrom);
    let Some(tolerance) = tolerance else { return Ok(is_distinct) };
    let number = |side: Side| cast(side.column(at), DataType::Float64);
    let size = |value: Expr| when(value.clone().lt(lit(0.0)), -value.clone()).otherwise(value);
    let allowed = lit(tolerance.absolute) + size(number(Side::Other))? * lit(tolerance.relative);
    let is_far = size(number(Side::Own) - number(Side::Other))?.gt(allowed);
    // With a NULL on one side, or a NaN, the distance says nothing: they differ.
    let is_near = is_far.is_false();
    Ok(is_distinct.and(is_near.is_not_true()))
}

/// Returns some rows that differ, in order of their key.
async fn examples(
    joined: DataFrame,
    (is_wrong, compared): (Expr, &[(usize, Expr)]),
    question: &Question,
) -> Result<Vec<Example>> {
    let count = question.columns.len();
    let all = [Side::Own, Side::Other].into_iter().flat_map(|side| (0..=count).map(move |at| side.column(at)));
    let flags = compared.iter().map(|(at, differs)| differs.clone().is_true().alias(format!("{OWN}differs_{at}")));
    let order = (0..count).filter(|at| question.key.contains(&question.columns[*at]));
    let order = order.flat_map(|at| [Side::Own.column(at).sort(true, false), Side::Other.column(at).sort(true, false)]);
    let rows = joined.filter(is_wrong.is_true())?.select(all.chain(flags).collect::<Vec<Expr>>())?;
    let rows = rows.sort(order.collect())?.limit(0, Some(question.wanted))?;
    let mut examples = Vec::new();
    let mut stream = rows.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        for row in 0..batch.num_rows() {
            let row = batch.slice(row, 1);
            let side = |first: usize| match row.column(first + count).is_null(0) {
                true => Ok(None),
                false => named(&row.project(&(first..first + count).collect::<Vec<_>>())?, question).map(Some),
            };
            let flags = row.columns()[2 * (count + 1)..].iter().zip(compared);
            let columns = flags.filter(|(flag, _)| flag.as_boolean().value(0)).map(|(_, (at, _))| *at).collect();
            examples.push(Example { own: side(0)?, other: side(count + 1)?, columns, times: 1 });
        }
    }
    Ok(examples)
}

/// Returns a row under the names of its columns.
fn named(row: &RecordBatch, question: &Question) -> Result<RecordBatch> {
    let columns =
        question.columns.iter().zip(row.columns()).map(|(name, column)| (name, ArrayRef::clone(column), true));
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}
