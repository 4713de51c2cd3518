//! Builds an incremental table, a step at a time: from nothing, or some more of it.
//!
//! Each step is a build of its own with a commit of its own, and what is done after it stands in that
//! commit. So a run that fails, is stopped or is killed between two steps leaves a table that is right as
//! far as it goes, and the next run goes on from there. Steps of a node follow one another.
//!
//! Must stay true: a table that is there is computed anew in one step, so that readers never see a part of
//! it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::datatypes::TimeUnit;
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{SessionContext, ident, lit};
use serde_json::Value;
use windlass_project::checks::CheckDefinition;
use windlass_project::{ByInterval, Incremental, Node, Strategy, Transform, with_interval};

use super::{Audited, BuildRequest, Built, RowsFrom};
use crate::fingerprint::Provenance;
use crate::incremental::{Ask, Extension, Ledger, Prospect, Refresh, Spans, TableBefore, Todo, wanted};
use crate::planner::register;
use crate::tables::published::PublishedTable;
use crate::{Engine, Error};

const DAY_US: i64 = 86_400_000_000;

/// A part of an incremental table.
pub(crate) struct Step {
    /// The table that it is added to; `None` where it becomes the table.
    pub(super) base: Option<Base>,
    /// The intervals that are computed, where there are such.
    pub(super) span: Option<Span>,
    /// What its commit says is done.
    pub(super) ledger: Value,
}

/// A table that rows are added to.
pub(super) struct Base {
    /// The table, at the version that was looked at.
    pub(super) table: PublishedTable,
    /// What its commit says.
    pub(super) known: Provenance,
    /// The number of the step in its run.
    pub(super) number: u32,
    /// Whether the inputs count as read.
    pub(super) reads_inputs: bool,
}

/// Intervals that follow one another.
#[derive(Debug, Clone)]
pub(super) struct Span {
    by_interval: ByInterval,
    numbers: Range<i64>,
}

impl Span {
    /// Returns its ends in microseconds of UTC.
    fn ends_us(&self) -> (i64, i64) {
        let unit = self.by_interval.unit;
        (unit.start_us(self.numbers.start), unit.start_us(self.numbers.end))
    }

    /// Returns the column that says to which interval a row belongs.
    pub(super) fn column(&self) -> &str {
        &self.by_interval.time_column
    }

    /// Returns its ends as values of a column, the first inside, the last outside.
    pub(super) fn bounds(&self, data_type: &DataType) -> Result<(ScalarValue, ScalarValue), DataFusionError> {
        let (from_us, to_us) = self.ends_us();
        Ok((bound(from_us, data_type)?, bound(to_us, data_type)?))
    }

    /// Returns whether rows are in it, as a condition.
    fn holds(&self, data_type: &DataType) -> Result<Expr, DataFusionError> {
        let (from, to) = self.bounds(data_type)?;
        Ok(ident(self.column()).gt_eq(lit(from)).and(ident(self.column()).lt(lit(to))))
    }

    /// Returns the condition as SQL, for people who look at the log.
    pub(super) fn spell(&self) -> String {
        let (from_us, to_us) = self.ends_us();
        let text = |at_us| windlass_project::spell_time(at_us).trim_end_matches('Z').replace('T', " ");
        let column = self.column();
        format!("{column} >= '{}' AND {column} < '{}'", text(from_us), text(to_us))
    }
}

/// Returns a moment as a value of a column of dates or times.
fn bound(at_us: i64, data_type: &DataType) -> Result<ScalarValue, DataFusionError> {
    Ok(match data_type {
        DataType::Date32 => ScalarValue::Date32(i32::try_from(at_us.div_euclid(DAY_US)).ok()),
        DataType::Date64 => ScalarValue::Date64(Some(at_us / 1_000)),
        DataType::Timestamp(TimeUnit::Second, zone) => {
            ScalarValue::TimestampSecond(Some(at_us / 1_000_000), zone.clone())
        }
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            ScalarValue::TimestampMillisecond(Some(at_us / 1_000), zone.clone())
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            ScalarValue::TimestampMicrosecond(Some(at_us), zone.clone())
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            ScalarValue::TimestampNanosecond(at_us.checked_mul(1_000), zone.clone())
        }
        other => return Err(DataFusionError::Internal(format!("intervals over a column of type {other}"))),
    })
}

impl Engine {
    /// Builds what is to be done of an incremental table.
    pub(super) async fn build_steps(
        &self,
        request: &BuildRequest<'_>,
        incremental: &Incremental,
    ) -> Result<Option<Built>, Error> {
        let mut built: Option<Built> = None;
        for number in 0.. {
            let step = match Box::pin(self.next_step(request, incremental, number)).await? {
                Next::Step(step) => step,
                Next::Done(standing) => return Ok(Some(built.unwrap_or(standing))),
            };
            if built.is_some() && !request.progress.begin_step() {
                return Ok(built);
            }
            let rows = RowsFrom::Step(step);
            let done = match &rows {
                RowsFrom::Step(step) if step.base.is_some() => Box::pin(self.extend(request, step, &rows)).await?,
                _ => Box::pin(self.build_from(request, &rows)).await?,
            };
            let Some(done) = done else { return Ok(None) };
            built = Some(match built {
                Some(before) => together(before, done),
                None => done,
            });
        }
        Ok(built)
    }

    /// Looks at the table as it is now and says what comes next.
    async fn next_step(
        &self,
        request: &BuildRequest<'_>,
        incremental: &Incremental,
        number: u32,
    ) -> Result<Next, Error> {
        let ask = Ask { now_us: request.started_us, run_id: Some(request.run_id), ..request.ask };
        // Whoever asks for one more step gets one, and then what is missing still.
        let is_served = number > 0 && ask.refresh == Refresh::Always;
        let ask = if is_served { Ask { refresh: Refresh::IfChanged, ..ask } } else { ask };
        let (project, plan, node, upcoming) = (request.project, request.plan, request.node, BTreeSet::new());
        let prospect = Prospect { project, plan, node, incremental, upcoming: &upcoming, ask: &ask };
        Ok(match self.todo(&prospect).await? {
            Todo::Rebuild(_, before) => Next::Step(Box::new(from_nothing(&incremental.strategy, &ask, before))),
            Todo::Extend(extension) => Next::Step(Box::new(extending(&incremental.strategy, *extension, number))),
            Todo::Nothing(table, known) => Next::Done(Built {
                version: table.version(),
                rows: 0,
                bytes: 0,
                files: 0,
                fingerprint: known.fingerprint(),
                failures: None,
                nulls: None,
                checks: Vec::new(),
            }),
        })
    }

    /// Returns the query of a step: the text that adds rows or the one that computes the table, with the
    /// intervals filled in; what it returns beyond these is left out.
    pub(super) async fn step_query(
        &self,
        node: &Node,
        transform: &Transform,
        context: &SessionContext,
        step: &Step,
    ) -> Result<LogicalPlan, Error> {
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let text = match (&step.base, &transform.incremental) {
            (Some(base), Some(adding)) => {
                register(context, &node.name, base.table.provider(&node.name).await?)?;
                adding
            }
            _ => transform,
        };
        let Some(span) = &step.span else {
            return context.state().create_logical_plan(&text.sql).await.map_err(failed);
        };
        let (from_us, to_us) = span.ends_us();
        let sql = with_interval(&text.sql, from_us, to_us);
        let query = context.state().create_logical_plan(&sql).await.map_err(failed)?;
        let within = || {
            let data_type = query.schema().field_with_unqualified_name(span.column())?.data_type().clone();
            LogicalPlanBuilder::from(query.clone()).filter(span.holds(&data_type)?)?.build()
        };
        within().map_err(failed)
    }

    /// Computes rows and adds them to a table in one commit.
    async fn extend(&self, request: &BuildRequest<'_>, step: &Step, rows: &RowsFrom) -> Result<Option<Built>, Error> {
        let Some(base) = &step.base else { return Ok(None) };
        let (of_rows, of_table) = self.divided_checks(request, base).await?;
        let node = Node { checks: of_rows, ..request.node.clone() };
        let BuildRequest { project, plan, run_id, sequence, started_us, ask, .. } = *request;
        let progress = Arc::clone(&request.progress);
        let on_rows = BuildRequest { project, plan, node: &node, run_id, sequence, started_us, ask, progress };
        let (prepared, mut staged) = self.stage_fitting(&on_rows, rows).await?;
        request.progress.phase(super::Phase::Staged);
        if !base.table.has_columns(&prepared.published) {
            return Err(Error::KeptColumns { node: node.name.clone() });
        }
        let audited = match self.audit_staged(&on_rows, &prepared, &mut staged, rows).await {
            Ok(audited) => audited,
            Err(error) => return Err(self.keep_candidate(request, &prepared, staged, error).await),
        };
        let replaced = self.replaced(request, &prepared, &staged, step).await?;
        let of_table = Node { checks: of_table, ..request.node.clone() };
        let checks = match self.audit_whole(request, &of_table, &prepared, (&staged, &replaced)).await {
            Ok(checks) => checks,
            Err(error) => return Err(self.keep_candidate(request, &prepared, staged, error).await),
        };
        if !request.progress.begin_commit() {
            return Ok(None);
        }
        let checks = [audited.checks, checks].concat();
        let audited = Audited { checks, failures: None };
        let built = self.commit_step(request, &prepared, (staged, replaced, audited), step).await?;
        request.progress.phase(super::Phase::Committed);
        self.forget_candidates(&node.name).await;
        Ok(Some(built))
    }

    /// Returns the checks that need to look at the new rows only, and those that look at the whole table:
    /// what they say is about all rows, or rows that stay have not passed them as they are now.
    async fn divided_checks(
        &self,
        request: &BuildRequest<'_>,
        base: &Base,
    ) -> Result<(Vec<CheckDefinition>, Vec<CheckDefinition>), Error> {
        let checks = &request.node.checks;
        if checks.is_empty() {
            return Ok(Default::default());
        }
        let passed = base.known.passed_checks();
        let now = self.check_identities(request.project, request.plan, request.node).await?;
        let is_known = |check: &CheckDefinition| {
            let before = passed.get(&check.name);
            before.is_some() && before == now.get(&check.name)
        };
        Ok(checks.iter().cloned().partition(|check| check.kind.is_on_rows() && is_known(check)))
    }
}

/// What a build does next.
enum Next {
    Step(Box<Step>),
    /// Nothing is left; this is what stands.
    Done(Built),
}

/// Returns the step that computes a table from nothing.
fn from_nothing(strategy: &Strategy, ask: &Ask<'_>, before: TableBefore) -> Step {
    let Strategy::ByInterval(by_interval) = strategy else {
        return Step { base: None, span: None, ledger: Ledger::default().to_json(strategy) };
    };
    let mut numbers = wanted(by_interval, ask.now_us);
    if before == TableBefore::Absent {
        // Nobody reads it yet, so it may grow step by step.
        if let Some(range) = ask.range {
            let part = crate::incremental::asked(by_interval, range).within(&Spans::of(numbers.clone()));
            numbers = part.iter().next().cloned().unwrap_or(numbers.start..numbers.start);
        }
        numbers.end = numbers.end.min(batch_end(by_interval, numbers.start));
    }
    let ledger = Ledger::default().with(&Spans::of(numbers.clone()));
    let span = Some(Span { by_interval: by_interval.clone(), numbers });
    Step { base: None, span, ledger: ledger.to_json(strategy) }
}

/// Returns the step that computes the first of what is to be added.
fn extending(strategy: &Strategy, extension: Extension, number: u32) -> Step {
    let Extension { reason: _, table, known, spans, ledger, reads_inputs } = extension;
    let Strategy::ByInterval(by_interval) = strategy else {
        let base = Base { table, known, number, reads_inputs };
        return Step { base: Some(base), span: None, ledger: ledger.to_json(strategy) };
    };
    let mut numbers = spans.iter().next().cloned().unwrap_or(0..0);
    numbers.end = numbers.end.min(batch_end(by_interval, numbers.start));
    let part = Spans::of(numbers.clone());
    // Late rows are looked for in the last intervals, so with the last step all inputs are read.
    let reads_inputs = reads_inputs && spans.without(&part).is_empty();
    let ledger = ledger.with(&part).to_json(strategy);
    let base = Base { table, known, number, reads_inputs };
    Step { base: Some(base), span: Some(Span { by_interval: by_interval.clone(), numbers }), ledger }
}

fn batch_end(by_interval: &ByInterval, start: i64) -> i64 {
    by_interval.batch_intervals.map_or(i64::MAX, |count| start.saturating_add(i64::from(count)))
}

/// Returns what two steps have published.
fn together(before: Built, after: Built) -> Built {
    Built {
        rows: before.rows + after.rows,
        bytes: before.bytes + after.bytes,
        files: before.files + after.files,
        ..after
    }
}
