//! Checks in Python: the rows of the table go through the workers, which say of each whether it is good.
//!
//! Rows are judged by the columns that the code reads alone. Where some are bad, whole rows with the same
//! values are read until enough of them are found to be shown; the code is asked once. Where bad rows leave
//! the table, these values are what tells them.
//!
//! Must stay true: a row without an answer breaks nothing, and a check that raises has no answer.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{filter_record_batch, not, prep_null_mask_filter};
use datafusion::common::JoinType;
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, Operator, binary_expr};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SessionContext, ident};
use futures::TryStreamExt;
use windlass_project::PythonCheck;
use windlass_project::checks::CheckDefinition;
use windlass_worker::Environment;

use super::Subject;
use super::queries::{THERE, offending, own_rows};
use crate::checks::compile::is_comparable;
use crate::checks::facts::Queried;
use crate::checks::suspects::{Hashes, Suspects, hashes_of_rows};
use crate::checks::text::{count, percent};
use crate::operators::python::{PythonExec, Verdict, WorkersHandle};
use crate::python::{CheckRequest, diagnose, python_error, standing};
use crate::session::PlanStyle;
use crate::{Engine, Error};

/// Reasons of rejected rows that an outcome names.
const NAMED_REASONS: usize = 3;

/// A check on its way through the workers.
struct Asked<'a> {
    subject: &'a Subject<'a>,
    definition: &'a CheckDefinition,
    check: &'a PythonCheck,
    environment: Environment,
    context: SessionContext,
}

/// What one pass over rows has found.
#[derive(Default)]
struct Found {
    rows: u64,
    failing: u64,
    examples: Vec<RecordBatch>,
    /// Hashes of bad rows.
    keys: Hashes,
    /// Rows that were rejected, by reason.
    rejected: Option<Verdict>,
}

/// What of bad rows is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// So many of them.
    Rows(usize),
    /// The hashes of all.
    Keys,
}

impl Engine {
    /// Asks a check in Python about all rows that it is for.
    pub(super) async fn python_answer(
        &self,
        subject: &Subject<'_>,
        definition: &CheckDefinition,
        check: &PythonCheck,
    ) -> std::result::Result<Queried, Error> {
        let asked = self.asked(subject, definition, check).await?;
        let failed = |source| asked.failed(source);
        let own = own_rows(&asked.context, subject, definition).map_err(failed)?;
        let narrow = asked.narrow(&own).map_err(failed)?;
        let wanted = definition.kept_rows();
        let is_whole = narrow.schema().fields().len() == own.schema().fields().len();
        if is_whole || !narrow.schema().fields().iter().all(|field| is_comparable(field.data_type())) {
            // Rows that cannot be found by their values are read whole.
            return Ok(self.ask(&asked, own, Kept::Rows(wanted)).await?.answer());
        }
        let mut found = self.ask(&asked, narrow, Kept::Rows(wanted)).await?;
        if !found.examples.is_empty() {
            let bad = asked.context.read_batches(std::mem::take(&mut found.examples)).map_err(failed)?;
            let whole = with_values_of(own, bad).and_then(|rows| rows.limit(0, Some(wanted))).map_err(failed)?;
            found.examples = offending(whole, wanted).await.map_err(failed)?.examples;
        }
        Ok(found.answer())
    }

    /// Asks a check whose bad rows leave the table which ones these are: rows with the values of bad rows in
    /// the columns that the code reads.
    pub(super) async fn python_suspects(
        &self,
        subject: &Subject<'_>,
        definition: &CheckDefinition,
        check: &PythonCheck,
    ) -> std::result::Result<(Suspects, Queried), Error> {
        let asked = self.asked(subject, definition, check).await?;
        let own = own_rows(&asked.context, subject, definition);
        let narrow = own.and_then(|own| asked.narrow(&own)).map_err(|source| asked.failed(source))?;
        let mut found = self.ask(&asked, narrow, Kept::Keys).await?;
        let keys = Arc::new(std::mem::take(&mut found.keys));
        Ok((Suspects { keys, first: None }, found.answer()))
    }

    async fn asked<'a>(
        &self,
        subject: &'a Subject<'a>,
        definition: &'a CheckDefinition,
        check: &'a PythonCheck,
    ) -> std::result::Result<Asked<'a>, Error> {
        let node = standing(subject.node, definition);
        let environment = self.environment(subject.reading.project, &node, &check.code.environment).await?;
        let context = self.session.context(PlanStyle::Fast);
        let workers = Arc::new(WorkersHandle(Arc::clone(&self.workers)));
        context.state_ref().write().config_mut().set_extension(workers);
        Ok(Asked { subject, definition, check, environment, context })
    }

    /// Sends rows through the workers.
    async fn ask(&self, asked: &Asked<'_>, rows: DataFrame, kept: Kept) -> std::result::Result<Found, Error> {
        let failed = |source| asked.failed(source);
        let (state, plan) = rows.into_parts();
        let plan = state.create_physical_plan(&plan).await.map_err(failed)?;
        let (project, node, check) = (asked.subject.reading.project, asked.subject.node, asked.check);
        let request = CheckRequest { project, node, check, environment: asked.environment.clone() };
        let work = self.check_work(&plan, request)?;
        let exec = Arc::new(PythonExec::new(plan, Arc::new(work)));
        let mut stream = execute_stream(Arc::clone(&exec) as _, state.task_ctx()).map_err(failed)?;
        let mut found = Found::default();
        while let Some(batch) = stream.try_next().await.map_err(failed)? {
            found.add(&batch, kept).map_err(failed)?;
        }
        found.rejected = Some(exec.verdict());
        Ok(found)
    }
}

impl Asked<'_> {
    /// Returns rows with the columns that the code reads alone.
    fn narrow(&self, own: &DataFrame) -> Result<DataFrame> {
        match &self.check.columns {
            None => Ok(own.clone()),
            Some(columns) => {
                own.clone().select(columns.iter().map(|column| ident(&column.text)).collect::<Vec<Expr>>())
            }
        }
    }

    /// Returns the error of a pass, at the user's line where Python is to blame.
    fn failed(&self, source: DataFusionError) -> Error {
        let node = standing(self.subject.node, self.definition);
        let blame = python_error(&source).map(|error| Box::new(diagnose(self.subject.reading.project, &node, error)));
        Error::Compute { node: node.name, blame, source }
    }
}

impl Found {
    /// Adds rows with their answers, which are the last column, and keeps what is wanted of the bad ones.
    fn add(&mut self, batch: &RecordBatch, kept: Kept) -> Result<()> {
        let last = batch.num_columns().saturating_sub(1);
        let good: &BooleanArray = batch.column(last).as_boolean();
        let bad = not(good)?;
        let bad = if bad.nulls().is_some() { prep_null_mask_filter(&bad) } else { bad };
        self.rows += batch.num_rows() as u64;
        let failing = bad.true_count();
        self.failing += failing as u64;
        let known: usize = self.examples.iter().map(RecordBatch::num_rows).sum();
        if failing == 0 || kept == Kept::Rows(known) {
            return Ok(());
        }
        let columns: Vec<usize> = (0..last).collect();
        let rows = filter_record_batch(&batch.project(&columns)?, &bad)?;
        match kept {
            Kept::Rows(wanted) => self.examples.push(rows.slice(0, rows.num_rows().min(wanted - known))),
            Kept::Keys => self.keys.extend(hashes_of_rows(&rows)?),
        }
        Ok(())
    }

    fn answer(self) -> Queried {
        let Self { rows, failing, examples, keys: _, rejected } = self;
        let detail = rejected.and_then(|verdict| reasons(&verdict)).map(|reasons| {
            let share = if rows == 0 { 0.0 } else { failing as f64 / rows as f64 };
            format!("{} of {} rows ({}): {reasons}", count(failing), count(rows), percent(share))
        });
        Queried { failing, rows: Some(rows), examples, detail, figures: Vec::new() }
    }
}

/// Returns the rows of a frame that have the values of some row of another, in the columns of that one.
fn with_values_of(own: DataFrame, some: DataFrame) -> Result<DataFrame> {
    let names: Vec<String> = some.schema().fields().iter().map(|field| field.name().clone()).collect();
    let renamed = |at: usize| format!("{THERE}{at}");
    let there =
        some.select(names.iter().enumerate().map(|(at, name)| ident(name).alias(renamed(at))).collect::<Vec<Expr>>())?;
    let same = |(at, name): (usize, &String)| binary_expr(ident(name), Operator::IsNotDistinctFrom, ident(renamed(at)));
    own.join_on(there, JoinType::LeftSemi, names.iter().enumerate().map(same).collect::<Vec<Expr>>())
}

/// Returns the reasons with the most rows; `None` where no row was given one.
fn reasons(verdict: &Verdict) -> Option<String> {
    let named = verdict.causes.iter().take(NAMED_REASONS);
    let mut all: Vec<String> = named.map(|cause| format!("{} {}", count(cause.rows), cause.message)).collect();
    let others = verdict.causes.len().saturating_sub(NAMED_REASONS);
    if others > 0 {
        all.push(format!("{others} other reason{}", if others == 1 { "" } else { "s" }));
    }
    (!all.is_empty()).then(|| all.join(", "))
}
