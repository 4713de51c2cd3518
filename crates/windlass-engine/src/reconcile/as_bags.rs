//! Tables without a key: each row must be there as often on both sides.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{Expr, when};
use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;

use super::{Answer, Example, OWN, Question};
use crate::audit::numbers;

pub(super) async fn compare(own: DataFrame, other: DataFrame, question: &Question, answer: Answer) -> Result<Answer> {
    let weight_name = format!("{OWN}rows");
    let weight = || ident(&weight_name);
    let side = |frame: DataFrame, rows: i64| {
        let columns = question.columns.iter().map(ident).chain([lit(rows).alias(&weight_name)]);
        frame.select(columns.collect::<Vec<Expr>>())
    };
    let all = side(own, 1)?.union(side(other, -1)?)?;
    let keys: Vec<Expr> = question.columns.iter().map(ident).collect();
    let wrong = all.aggregate(keys, vec![sum(weight()).alias(&weight_name)])?.filter(weight().not_eq(lit(0i64)))?;
    let missing = when(weight().lt(lit(0i64)), -weight()).otherwise(lit(0i64))?;
    let extra = when(weight().gt(lit(0i64)), weight()).otherwise(lit(0i64))?;
    let totals = wrong.clone().aggregate(vec![], vec![sum(missing).alias("missing"), sum(extra).alias("extra")])?;
    let totals = numbers(totals).await?;
    let of = |at: usize| totals.get(at).copied().unwrap_or(0) as u64;
    // Nested types have no order: of rows that differ there alone, those that are missing come first.
    let order = question.columns.iter().filter(|name| {
        let field = wrong.schema().field_with_unqualified_name(name);
        field.is_ok_and(|field| !field.data_type().is_nested())
    });
    let order = order.map(|name| ident(name).sort(true, true)).chain([weight().sort(true, true)]).collect();
    let shown = wrong.sort(order)?;
    let mut examples = Vec::new();
    let mut stream = shown.limit(0, Some(question.wanted))?.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        let (rows, weights) = (batch.num_columns() - 1, batch.column(batch.num_columns() - 1));
        let weights = weights.as_primitive::<Int64Type>();
        let columns: Vec<usize> = (0..rows).collect();
        for row in 0..batch.num_rows() {
            let (one, weight) = (batch.slice(row, 1).project(&columns)?, weights.value(row));
            let (own, other) = if weight > 0 { (Some(one), None) } else { (None, Some(one)) };
            examples.push(Example { own, other, columns: Vec::new(), times: weight.unsigned_abs() });
        }
    }
    Ok(Answer { missing: of(0), extra: of(1), examples, ..answer })
}
