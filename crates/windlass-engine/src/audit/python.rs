//! Checks in Python: the rows of the table go through the workers, which say of each whether it is good.
//!
//! Rows are first counted, over the columns that the code reads alone; where some are bad, whole rows are
//! read until enough of them are found to be shown.
//!
//! Must stay true: a row without an answer breaks nothing, and a check that raises has no answer.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{filter_record_batch, not, prep_null_mask_filter};
use datafusion::dataframe::DataFrame;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SessionContext, ident};
use futures::TryStreamExt;
use windlass_project::PythonCheck;
use windlass_project::checks::CheckDefinition;
use windlass_worker::Environment;

use super::Subject;
use super::queries::own_rows;
use crate::checks::facts::Queried;
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
    /// Rows that were rejected, by reason.
    rejected: Option<Verdict>,
}

/// When a pass may end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// After the last row.
    TheEnd,
    /// Once enough bad rows are there.
    EnoughExamples,
}

impl Engine {
    /// Asks a check in Python about all rows that it is for.
    pub(super) async fn python_answer(
        &self,
        subject: &Subject<'_>,
        definition: &CheckDefinition,
        check: &PythonCheck,
    ) -> std::result::Result<Queried, Error> {
        let node = standing(subject.node, definition);
        let environment = self.environment(subject.reading.project, &node, &check.code.environment).await?;
        let context = self.session.context(PlanStyle::Fast);
        let workers = Arc::new(WorkersHandle(Arc::clone(&self.workers)));
        context.state_ref().write().config_mut().set_extension(workers);
        let asked = Asked { subject, definition, check, environment, context };
        let own = own_rows(&asked.context, subject, definition).map_err(|source| asked.failed(source))?;
        let wanted = definition.kept_rows();
        let Some(columns) = &check.columns else {
            let found = self.ask(&asked, own, (wanted, Until::TheEnd)).await?;
            return Ok(found.answer());
        };
        let columns: Vec<Expr> = columns.iter().map(|column| ident(&column.text)).collect();
        let narrow = own.clone().select(columns).map_err(|source| asked.failed(source))?;
        let mut found = self.ask(&asked, narrow, (0, Until::TheEnd)).await?;
        if found.failing > 0 && wanted > 0 {
            found.examples = self.ask(&asked, own, (wanted, Until::EnoughExamples)).await?.examples;
        }
        Ok(found.answer())
    }

    /// Sends rows through the workers.
    async fn ask(
        &self,
        asked: &Asked<'_>,
        rows: DataFrame,
        (wanted, until): (usize, Until),
    ) -> std::result::Result<Found, Error> {
        let failed = |source| asked.failed(source);
        let (state, plan) = rows.into_parts();
        let plan = state.create_physical_plan(&plan).await.map_err(failed)?;
        let (project, node, check) = (asked.subject.reading.project, asked.subject.node, asked.check);
        let request = CheckRequest { project, node, check, environment: asked.environment.clone() };
        let work = self.check_work(&plan, request)?;
        let exec = Arc::new(PythonExec::new(plan, Arc::new(work)));
        let mut stream = execute_stream(Arc::clone(&exec) as _, state.task_ctx()).map_err(failed)?;
        let mut found = Found::default();
        let mut room = wanted;
        while let Some(batch) = stream.try_next().await.map_err(failed)? {
            found.add(&batch, &mut room).map_err(failed)?;
            if room == 0 && until == Until::EnoughExamples {
                break;
            }
        }
        found.rejected = Some(exec.verdict());
        Ok(found)
    }
}

impl Asked<'_> {
    /// Returns the error of a pass, at the user's line where Python is to blame.
    fn failed(&self, source: DataFusionError) -> Error {
        let node = standing(self.subject.node, self.definition);
        let blame = python_error(&source).map(|error| Box::new(diagnose(self.subject.reading.project, &node, error)));
        Error::Compute { node: node.name, blame, source }
    }
}

impl Found {
    /// Adds rows with their answers, which are the last column. Keeps as many bad ones as there is room for.
    fn add(&mut self, batch: &RecordBatch, room: &mut usize) -> Result<()> {
        let last = batch.num_columns().saturating_sub(1);
        let good: &BooleanArray = batch.column(last).as_boolean();
        let bad = not(good)?;
        let bad = if bad.nulls().is_some() { prep_null_mask_filter(&bad) } else { bad };
        self.rows += batch.num_rows() as u64;
        let failing = bad.true_count();
        self.failing += failing as u64;
        if *room == 0 || failing == 0 {
            return Ok(());
        }
        let columns: Vec<usize> = (0..last).collect();
        let rows = filter_record_batch(&batch.project(&columns)?, &bad)?;
        let rows = rows.slice(0, rows.num_rows().min(*room));
        *room -= rows.num_rows();
        self.examples.push(rows);
        Ok(())
    }

    fn answer(self) -> Queried {
        let Self { rows, failing, examples, rejected } = self;
        let detail = rejected.and_then(|verdict| reasons(&verdict)).map(|reasons| {
            let share = if rows == 0 { 0.0 } else { failing as f64 / rows as f64 };
            format!("{} of {} rows ({}): {reasons}", count(failing), count(rows), percent(share))
        });
        Queried { failing, rows: Some(rows), examples, detail, figures: Vec::new() }
    }
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
