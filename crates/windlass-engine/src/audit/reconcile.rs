//! The check `reconcile`: a table equals another one.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, new_null_array};
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use windlass_project::checks::{ReconcileRule, Written};

use super::queries::ROWS;
use crate::checks::facts::Queried;
use crate::reconcile::{Answer, Example, Question, compare};

/// Returns the rows in which a table differs from another one.
pub(super) async fn reconcile(
    own: DataFrame,
    other: DataFrame,
    rule: &ReconcileRule,
    wanted: usize,
) -> Result<Queried> {
    let texts = |written: &[Written]| written.iter().map(|one| one.text.clone()).collect::<Vec<String>>();
    let exclude = texts(&rule.exclude);
    let all = own.schema().fields().iter().map(|field| field.name().clone());
    let columns: Vec<String> = all.filter(|name| !exclude.contains(name)).collect();
    let is_missing = |name: &&String| other.schema().index_of_column_by_name(None, name).is_none();
    if let Some(first) = columns.iter().find(is_missing) {
        return Err(DataFusionError::Plan(format!("`{}` has no column `{first}`", rule.to.text)));
    }
    let is_unknown = |frame: &DataFrame, name: &String| frame.schema().index_of_column_by_name(None, name).is_none();
    if let Some(name) = exclude.iter().find(|name| is_unknown(&own, name) && is_unknown(&other, name)) {
        return Err(DataFusionError::Plan(format!("neither table has the column `{name}` of `exclude`")));
    }
    let mut others = other.schema().fields().iter().map(|field| field.name());
    if let Some(extra) = others.find(|name| is_unknown(&own, name) && !exclude.contains(name)) {
        let way_out = "leave it out with `exclude`, or add it here";
        return Err(DataFusionError::Plan(format!("`{}` has a column `{extra}` more: {way_out}", rule.to.text)));
    }
    let tolerances = rule.tolerance.iter().map(|(column, tolerance)| (column.text.clone(), *tolerance)).collect();
    let question = Question { columns, key: texts(&rule.key), tolerances, wanted };
    let answer = compare(own, other, &question).await?;
    let examples = answer.examples.iter().map(|example| shown(example, &question)).collect::<Result<_>>()?;
    Ok(Queried {
        failing: answer.differing(),
        figures: vec![("extra_rows", answer.extra as f64), ("missing_rows", answer.missing as f64)],
        detail: Some(told(&answer, rule)),
        examples,
        ..Queried::default()
    })
}

fn told(answer: &Answer, rule: &ReconcileRule) -> String {
    if answer.differing() == 0 {
        return format!("equal to `{}`", rule.to.text);
    }
    let mut text = format!("{} rows missing, {} rows extra", answer.missing, answer.extra);
    let columns = answer.columns.iter().map(|(name, rows)| match rows {
        Some(rows) => format!("`{name}` in {rows} rows"),
        None => format!("`{name}`"),
    });
    let columns: Vec<String> = columns.collect();
    if !columns.is_empty() {
        text.push_str(&format!(", different: {}", columns.join(", ")));
    }
    if answer.has_doubles {
        text.push_str(", several rows of one key");
    }
    text
}

/// Returns both sides of a row beside each other, or a row with how often more it is here.
fn shown(example: &Example, question: &Question) -> Result<RecordBatch> {
    let Some(present) = example.own.as_ref().or(example.other.as_ref()) else {
        return Err(DataFusionError::Internal("a row that neither side has".to_string()));
    };
    let side = |side: &Option<RecordBatch>, at: usize| match side {
        Some(row) => Arc::clone(row.column(at)),
        None => new_null_array(present.column(at).data_type(), 1),
    };
    let names = question.columns.iter().enumerate();
    let mut columns: Vec<(String, ArrayRef)> = match question.key.is_empty() {
        true => names.map(|(at, name)| (name.clone(), Arc::clone(present.column(at)))).collect(),
        false => {
            let own = names.clone().map(|(at, name)| (name.clone(), side(&example.own, at)));
            own.chain(names.map(|(at, name)| (format!("{name} there"), side(&example.other, at)))).collect()
        }
    };
    if question.key.is_empty() {
        let times = example.times as i64;
        let weight = if example.own.is_some() { times } else { -times };
        columns.push((ROWS.to_string(), Arc::new(Int64Array::from(vec![weight]))));
    }
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
}
