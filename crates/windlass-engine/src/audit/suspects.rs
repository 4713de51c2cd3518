//! Finds the keys whose rows leave a table: those that several rows have, those that refer to nothing, and
//! the values that a check in Python calls bad.

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::dataframe::DataFrame;
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::functions_window::expr_fn::rank;
use datafusion::logical_expr::{Expr, ExprFunctionExt, Operator, binary_expr};
use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;
use windlass_error::{Classify, Retry};
use windlass_project::checks::{CheckKind, KeptDuplicate, Written};

use super::queries::{ROWS, THERE, duplicates, own_rows};
use super::{Subject, unanswered};
use crate::checks::part::State;
use crate::checks::program::{Answer, Compiled};
use crate::checks::suspects::{Hashes, Suspected, Suspects, hashes_of};
use crate::operators::check::Gathered;
use crate::session::PlanStyle;
use crate::{Engine, Error};

/// The column that tells the first row of a key.
const RANK: &str = "\u{1}rank";

impl Engine {
    /// Returns the keys whose rows leave the table, for each check that diverts rows by key and has found any,
    /// and for each in Python, whose answers are kept with what was gathered. `there` are rows that are in the
    /// table already, to which the subject's are added.
    pub(crate) async fn suspects(
        &self,
        subject: &Subject<'_>,
        gathered: &mut Gathered,
        there: Option<&DataFrame>,
    ) -> std::result::Result<Suspected, Error> {
        let failed = |source| Error::Compute { node: subject.node.name.clone(), blame: None, source };
        let context = self.session.context(PlanStyle::Fast);
        let mut suspected = Suspected::new();
        let program = Arc::clone(gathered.part.program());
        for check in program.checks.iter().filter(|check| check.definition.diverts_keys()) {
            let definition = check.definition.as_ref();
            let found = match &definition.kind {
                CheckKind::Unique { columns, keep } => {
                    let own = own_rows(&context, subject, definition).map_err(failed)?;
                    let repeated = repeated(check, gathered, &own, columns).await.map_err(failed)?;
                    let known = known(&own, there, columns).await.map_err(failed)?;
                    let first = match keep {
                        KeptDuplicate::None => None,
                        _ if repeated.is_empty() => None,
                        KeptDuplicate::First { by, is_descending } => {
                            let first = first(&own, columns, (by, *is_descending), &known).await;
                            Some(Arc::new(first.map_err(failed)?))
                        }
                    };
                    let keys = Arc::new(repeated.into_iter().chain(known).collect());
                    Suspects { keys, first }
                }
                CheckKind::Relationships { columns, .. } => {
                    let orphans = self.orphans_of(&context, subject, definition).await?;
                    let keys = select(orphans, columns).and_then(DataFrame::distinct).map_err(failed)?;
                    Suspects { keys: Arc::new(hashes(keys, columns.len()).await.map_err(failed)?), first: None }
                }
                CheckKind::Python(code) => {
                    let (found, answer) = match self.python_suspects(subject, definition, code).await {
                        Ok(found) => found,
                        // Without an answer no row leaves, and the check says why.
                        Err(error) if error.retry() == Retry::Backoff => return Err(error),
                        Err(error) => {
                            gathered.answered.insert(definition.name.clone(), Err(unanswered(&error)));
                            continue;
                        }
                    };
                    gathered.answered.insert(definition.name.clone(), Ok(answer));
                    suspected.insert(definition.name.clone(), found);
                    continue;
                }
                _ => continue,
            };
            if !found.keys.is_empty() {
                suspected.insert(definition.name.clone(), found);
            }
        }
        Ok(suspected)
    }
}

/// Returns the keys that several rows have.
async fn repeated(check: &Compiled, gathered: &Gathered, own: &DataFrame, columns: &[Written]) -> Result<Hashes> {
    if let Answer::Measure(at) = check.answer
        && let State::Unique(set) = &gathered.part.states[at]
        && !set.is_abandoned
    {
        return Ok(set.repeated());
    }
    hashes(select(duplicates(own.clone(), columns)?, columns)?, columns.len()).await
}

/// Returns the keys of rows that rows in the table have already.
async fn known(own: &DataFrame, there: Option<&DataFrame>, columns: &[Written]) -> Result<Hashes> {
    let Some(there) = there else { return Ok(Hashes::default()) };
    let names: Vec<String> = (0..columns.len()).map(|at| format!("{THERE}{at}")).collect();
    let wanted = columns.iter().zip(&names).map(|(column, name)| ident(&column.text).alias(name));
    let there = there.clone().select(wanted.collect::<Vec<Expr>>())?;
    // Of several columns NULL is like any value.
    let same = if columns.len() == 1 { Operator::Eq } else { Operator::IsNotDistinctFrom };
    let on = columns.iter().zip(&names).map(|(column, name)| binary_expr(ident(&column.text), same, ident(name)));
    let shared = select(own.clone(), columns)?.join_on(there, JoinType::LeftSemi, on.collect::<Vec<Expr>>())?;
    hashes(shared.distinct()?, columns.len()).await
}

/// Returns, of each key, the key with the value by which one of its rows is the first. Where several rows
/// are, none is; where the table has the key already, neither.
async fn first(
    own: &DataFrame,
    key: &[Written],
    (by, is_descending): (&Written, bool),
    known: &Hashes,
) -> Result<Hashes> {
    let columns: Vec<Expr> = key.iter().map(|column| ident(&column.text)).collect();
    let order = vec![ident(&by.text).sort(!is_descending, false)];
    let rank = rank().partition_by(columns.clone()).order_by(order).build()?.alias(RANK);
    let first = own.clone().window(vec![rank])?.filter(ident(RANK).eq(lit(1u64)))?;
    let columns: Vec<Expr> = columns.into_iter().chain([ident(&by.text)]).collect();
    let alone = first.aggregate(columns.clone(), vec![count(lit(1)).alias(ROWS)])?.filter(ident(ROWS).eq(lit(1)))?;
    let mut found = Hashes::default();
    let mut stream = alone.select(columns)?.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        let hashes = hashes_of(&batch, key.len())?.into_iter();
        found.extend(hashes.filter(|(key, _)| !known.contains(key)).map(|(_, all)| all));
    }
    Ok(found)
}

fn select(frame: DataFrame, columns: &[Written]) -> Result<DataFrame> {
    frame.select(columns.iter().map(|column| ident(&column.text)).collect::<Vec<Expr>>())
}

/// Returns the hashes of keys.
async fn hashes(keys: DataFrame, columns: usize) -> Result<Hashes> {
    let mut found = Hashes::default();
    let mut stream = keys.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        found.extend(hashes_of(&batch, columns)?.into_iter().map(|(key, _)| key));
    }
    Ok(found)
}
