//! Checks that need a second look: queries over the staged rows and other tables.
//!
//! Plans are made from expressions, not from text, save for queries that users wrote. All of them
//! stream and spill like any other.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::JoinType;
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::functions_aggregate::expr_fn::{count, sum};
use datafusion::logical_expr::Expr;
use datafusion::prelude::{SessionContext, ident, lit};
use futures::TryStreamExt;
use windlass_error::{Diagnostic, SourceFile};
use windlass_project::checks::{CheckDefinition, CheckKind, Written};
use windlass_project::{Input, InputPart, Node, Transform};

use super::reconcile::reconcile;
use super::{Subject, unanswered};
use crate::checks::columns::View;
use crate::checks::facts::{Queried, Unanswered};
use crate::checks::order::{Direction, Order};
use crate::models;
use crate::planner::{Reading, diagnose, register};
use crate::session::PlanStyle;
use crate::{Engine, Error};

/// A query's own names for columns, which no user's column has.
pub(super) const THERE: &str = "\u{1}there_";
pub(super) const ROWS: &str = "rows";

impl Engine {
    /// Looks at one check by a query, or by asking the user's code. What goes wrong is told in a line.
    pub(super) async fn look(
        &self,
        subject: &Subject<'_>,
        definition: &CheckDefinition,
    ) -> std::result::Result<Queried, Unanswered> {
        let answer = match &definition.kind {
            CheckKind::Python(check) => self.python_answer(subject, definition, check).await,
            _ => self.query_answer(subject, definition).await,
        };
        answer.map_err(|error| unanswered(&error))
    }

    async fn query_answer(
        &self,
        subject: &Subject<'_>,
        definition: &CheckDefinition,
    ) -> std::result::Result<Queried, Error> {
        let failed = |source| Error::Compute { node: subject.node.name.clone(), blame: None, source };
        let context = self.session.context(PlanStyle::Fast);
        let own = || own_rows(&context, subject, definition);
        let missing = |table: &Written| Error::NotPublished { table: table.text.clone() };
        match &definition.kind {
            CheckKind::Sql { query } => {
                self.register_check_inputs(&context, subject, query).await?;
                let frame = models::logical_plan(&context.state(), &query.sql).await.map_err(failed)?;
                let frame = DataFrame::new(context.state(), frame);
                let answer = offending(frame, definition.kept_rows()).await.map_err(failed)?;
                Ok(Queried { rows: subject.whole.as_ref().map(|(_, rows)| *rows), ..answer })
            }
            CheckKind::Relationships { .. } => {
                let orphans = self.orphans_of(&context, subject, definition).await?;
                some_of(orphans, definition.kept_rows()).await.map_err(failed)
            }
            CheckKind::Unique { columns, .. } => {
                let duplicates = own().and_then(|own| duplicates(own, columns)).map_err(failed)?;
                // The most frequent first, so that the answer does not depend on how rows were spread.
                let order = [ident(ROWS).sort(false, false)].into_iter();
                let order = order.chain(columns.iter().map(|column| ident(&column.text).sort(true, true))).collect();
                let first = duplicates.clone().sort(order).and_then(|all| all.limit(0, Some(definition.kept_rows())));
                let mut answer = offending(first.map_err(failed)?, definition.kept_rows()).await.map_err(failed)?;
                let all = duplicates.aggregate(vec![], vec![sum(ident(ROWS))]).map_err(failed)?;
                let rows = first_number(all.execute_stream().await.map_err(failed)?).await.map_err(failed)?;
                answer.failing = rows.unwrap_or(0) as u64;
                let keyed = own().and_then(|own| with_key(own, columns)).map_err(failed)?;
                answer.rows = Some(counted(keyed).await.map_err(failed)?);
                Ok(answer)
            }
            CheckKind::Monotonic { descending, strict, order_by: Some(by) } => {
                let direction = Direction { descending: *descending, strict: *strict };
                let column = definition.column.clone().unwrap_or_default();
                let sorted = own().and_then(|own| own.sort(vec![ident(&by.text).sort(true, true)])).map_err(failed)?;
                out_of_order(sorted, &column, direction, definition.kept_rows()).await.map_err(failed)
            }
            CheckKind::Reconcile(rule) => {
                let there = self.other(subject, &rule.to.text).await?.ok_or_else(|| missing(&rule.to))?;
                // A condition chooses the rows of both: what it leaves of one is no difference.
                let there = context.read_table(there).and_then(|there| chosen(there, definition)).map_err(failed)?;
                let own = own().map_err(failed)?;
                let answer = reconcile(own, there, rule, definition.kept_rows()).await;
                answer.map_err(failed)
            }
            _ => Err(failed(DataFusionError::Internal("no query answers this check".to_string()))),
        }
    }

    /// Returns an answer about rows with the number of those that were looked at, where a condition leaves some out.
    pub(super) async fn among_those_looked_at(
        &self,
        subject: &Subject<'_>,
        definition: &CheckDefinition,
        answer: std::result::Result<Queried, Unanswered>,
    ) -> std::result::Result<Queried, Unanswered> {
        let mut answer = answer?;
        let is_about_rows = matches!(definition.kind, CheckKind::Relationships { .. });
        if answer.rows.is_none() && is_about_rows && definition.filter.is_some() {
            let context = self.session.context(PlanStyle::Fast);
            let rows = async { counted(own_rows(&context, subject, definition)?).await };
            let failed = |source| Error::Compute { node: subject.node.name.clone(), blame: None, source };
            answer.rows = Some(rows.await.map_err(|source| unanswered(&failed(source)))?);
        }
        Ok(answer)
    }

    /// Returns the rows of a table that refer to nothing.
    pub(super) async fn orphans_of(
        &self,
        context: &SessionContext,
        subject: &Subject<'_>,
        definition: &CheckDefinition,
    ) -> std::result::Result<DataFrame, Error> {
        let failed = |source| Error::Compute { node: subject.node.name.clone(), blame: None, source };
        let CheckKind::Relationships { columns, to, fields } = &definition.kind else {
            return own_rows(context, subject, definition).map_err(failed);
        };
        let missing = || Error::NotPublished { table: to.text.clone() };
        let there = self.other(subject, &to.text).await?.ok_or_else(missing)?;
        let there = context.read_table(there).map_err(failed)?;
        own_rows(context, subject, definition).and_then(|own| orphans(own, there, columns, fields)).map_err(failed)
    }

    /// Makes the tables of a user's query known: its own as it was just computed, others as they stand.
    async fn register_check_inputs(
        &self,
        context: &SessionContext,
        subject: &Subject<'_>,
        query: &Transform,
    ) -> std::result::Result<(), Error> {
        let is_own = |input: &Input| input.node == subject.node.name && input.part == InputPart::Result;
        let (own, others): (Vec<Input>, Vec<Input>) = query.inputs.iter().cloned().partition(is_own);
        self.register_inputs(context, &others, &subject.reading).await?;
        if let Some(own) = own.first() {
            let rows = subject.whole.as_ref().map_or(&subject.rows, |(whole, _)| whole);
            register(context, &own.table(), Arc::clone(rows))?;
        }
        Ok(())
    }

    /// Returns what is wrong with a user's query, at its line.
    pub(super) async fn query_mistake(
        &self,
        node: &Node,
        (query, file): (&Transform, &Arc<SourceFile>),
        reading: &Reading<'_>,
    ) -> Option<Diagnostic> {
        let context = self.session.context(PlanStyle::Fast);
        let standing = Node { file: Arc::clone(file), checks: Vec::new(), ..node.clone() };
        if let Err(error) = self.register_inputs(&context, &query.inputs, reading).await {
            return Some(Diagnostic::error(windlass_error::Code::UNKNOWN_TABLE, error.to_string()).node(&node.name));
        }
        let state = context.state();
        let error = match models::logical_plan(&state, &query.sql).await {
            Err(error) => error,
            Ok(plan) => state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).err()?,
        };
        Some(diagnose::planning(reading.project, &standing, query, &state, &error))
    }
}

/// Returns the rows that a check is for.
pub(super) fn own_rows(
    context: &SessionContext,
    subject: &Subject<'_>,
    definition: &CheckDefinition,
) -> Result<DataFrame> {
    chosen(context.read_table(Arc::clone(&subject.rows))?, definition)
}

/// Returns the rows for which the condition of a check holds.
fn chosen(frame: DataFrame, definition: &CheckDefinition) -> Result<DataFrame> {
    match &definition.filter {
        Some(filter) => {
            let condition = frame.parse_sql_expr(&filter.text)?;
            frame.filter(condition)
        }
        None => Ok(frame),
    }
}

/// Counts rows, and keeps the first of them.
pub(super) async fn offending(frame: DataFrame, wanted: usize) -> Result<Queried> {
    let mut answer = Queried::default();
    let mut room = wanted;
    let mut stream = frame.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        answer.failing += batch.num_rows() as u64;
        if room > 0 && batch.num_rows() > 0 {
            let kept = batch.slice(0, room.min(batch.num_rows()));
            room -= kept.num_rows();
            answer.examples.push(kept);
        }
    }
    Ok(answer)
}

/// Returns the number of rows.
async fn counted(frame: DataFrame) -> Result<u64> {
    let counted = frame.aggregate(vec![], vec![count(lit(1))])?;
    Ok(first_number(counted.execute_stream().await?).await?.unwrap_or(0) as u64)
}

/// Counts rows, which reads what tells them alone, and then whole rows until enough are kept.
async fn some_of(frame: DataFrame, wanted: usize) -> Result<Queried> {
    let failing = counted(frame.clone()).await?;
    let examples = match failing {
        0 => Vec::new(),
        _ => offending(frame.limit(0, Some(wanted))?, wanted).await?.examples,
    };
    Ok(Queried { failing, examples, ..Queried::default() })
}

/// Returns the first value of a stream of numbers.
pub(super) async fn first_number(mut stream: SendableRecordBatchStream) -> Result<Option<i64>> {
    let mut found = None;
    while let Some(batch) = stream.try_next().await? {
        if batch.num_rows() > 0 && found.is_none() {
            let column = datafusion::arrow::compute::cast(batch.column(0), &DataType::Int64)?;
            let column = column.as_primitive::<Int64Type>();
            found = (!datafusion::arrow::array::Array::is_null(column, 0)).then(|| column.value(0));
        }
    }
    Ok(found)
}

/// Returns the rows whose values are in no row of the other table. NULL refers to nothing.
fn orphans(own: DataFrame, there: DataFrame, columns: &[Written], fields: &[Written]) -> Result<DataFrame> {
    let known = columns.iter().map(|column| ident(&column.text).is_not_null()).reduce(Expr::and);
    let own = match known {
        Some(known) => own.filter(known)?,
        None => own,
    };
    let names: Vec<String> = (0..fields.len()).map(|at| format!("{THERE}{at}")).collect();
    let wanted = fields.iter().zip(&names).map(|(field, name)| ident(&field.text).alias(name));
    let there = there.select(wanted.collect::<Vec<Expr>>())?;
    let on = columns.iter().zip(&names).map(|(column, name)| ident(&column.text).eq(ident(name)));
    own.join_on(there, JoinType::LeftAnti, on.collect::<Vec<Expr>>())
}

/// Returns the rows that have a key: one of several columns may be NULL.
fn with_key(own: DataFrame, columns: &[Written]) -> Result<DataFrame> {
    match columns {
        [column] => own.filter(ident(&column.text).is_not_null()),
        _ => Ok(own),
    }
}

/// Returns each key that several rows have, with their number.
pub(super) fn duplicates(own: DataFrame, columns: &[Written]) -> Result<DataFrame> {
    let own = with_key(own, columns)?;
    let keys = columns.iter().map(|column| ident(&column.text)).collect();
    own.aggregate(keys, vec![count(lit(1)).alias(ROWS)])?.filter(ident(ROWS).gt(lit(1)))
}

async fn out_of_order(sorted: DataFrame, column: &str, direction: Direction, wanted: usize) -> Result<Queried> {
    let at = sorted.schema().index_of_column_by_name(None, column).unwrap_or_default();
    let mut order = Order::default();
    let mut answer = Queried::default();
    let mut stream = sorted.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        let array = crate::checks::columns::normalise(batch.column(at))?;
        let view = View::of(&array);
        let Some(broken) = order.add(&view, None, direction) else { continue };
        let kept: usize = answer.examples.iter().map(RecordBatch::num_rows).sum();
        for row in broken.set_indices().take(wanted.saturating_sub(kept)) {
            answer.examples.push(batch.slice(row, 1));
        }
    }
    (answer.failing, answer.rows) = (order.failing, Some(order.rows));
    Ok(answer)
}

/// Returns the first row of a frame of numbers; NULL counts as 0.
pub(crate) async fn numbers(frame: DataFrame) -> Result<Vec<i64>> {
    let mut found = Vec::new();
    let mut stream = frame.execute_stream().await?;
    while let Some(batch) = stream.try_next().await? {
        for column in batch.columns().iter().filter(|_| batch.num_rows() > 0) {
            let column = datafusion::arrow::compute::cast(column, &DataType::Int64)?;
            found.push(column.as_primitive::<Int64Type>().iter().next().flatten().unwrap_or(0));
        }
    }
    Ok(found)
}
