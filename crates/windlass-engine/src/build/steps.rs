//! Builds an incremental table, a step at a time: from nothing, or some more of it.
//!
//! Each step is a build of its own with a commit of its own, and what is done after it stands in that
//! commit. So a run that fails, is stopped or is killed between two steps leaves a table that is right as
//! far as it goes, and the next run goes on from there. Here is what comes next; `parts` adds to a table.
//!
//! Must stay true: a table that is there is computed anew in one step, so that readers never see a part of
//! it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::datatypes::TimeUnit;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::expressions::{col, is_not_null};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::{Metric, MetricValue, MetricsSet};
use datafusion::prelude::{SessionContext, ident, lit};
use serde_json::Value;
use windlass_project::{
    ByInterval, INTERVAL_END, INTERVAL_START, Incremental, Node, Strategy, Transform, with_interval,
};

use super::parts::More;
use super::slices::Later;
use super::{BuildRequest, Built, FailedRows, LeftOut, RowsFrom};
use crate::fingerprint::Provenance;
use crate::incremental::{Ask, Extension, Ledger, Prospect, Spans, TableBefore, Todo, wanted};
use crate::models;
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
    /// What Python gets of its input, where later rows are new.
    pub(super) later: Option<Later>,
    /// What its commit says is done.
    pub(super) ledger: Value,
}

/// A table that rows are added to.
#[derive(Clone)]
pub(super) struct Base {
    /// The table, at the version that was looked at.
    pub(super) table: PublishedTable,
    /// What its commit says.
    pub(super) known: Provenance,
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
    pub(super) fn new(by_interval: &ByInterval, numbers: Range<i64>) -> Self {
        Self { by_interval: by_interval.clone(), numbers }
    }

    /// Returns the numbers of its intervals.
    pub(super) fn numbers(&self) -> Range<i64> {
        self.numbers.clone()
    }

    /// Returns its place among the intervals of the table.
    pub(super) fn offset(&self) -> u32 {
        u32::try_from(self.numbers.start - self.by_interval.first).unwrap_or_default()
    }

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

    /// Returns whether rows are in it or have no time, as a condition. Those are counted before they are left out.
    pub(super) fn may_hold(&self, data_type: &DataType) -> Result<Expr, DataFusionError> {
        let ((from, to), time) = (self.bounds(data_type)?, || ident(self.column()));
        Ok(time().gt_eq(lit(from)).and(time().lt(lit(to))).or(time().is_null()))
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
        let mut pace = self.pace(request);
        loop {
            let more = match Box::pin(self.next_step(request, incremental)).await? {
                Next::Whole(step) => {
                    let done = Box::pin(self.build_from(request, &RowsFrom::Step(step))).await?;
                    More { built: done, is_over: false, pace }
                }
                Next::Parts(extension) => Box::pin(self.extend(request, incremental, *extension, pace)).await?,
                Next::Done(standing) => return Ok(Some(built.unwrap_or(standing))),
            };
            let is_held = more.built.is_none() && pace == more.pace;
            pace = more.pace;
            built = together(built, more.built);
            if is_held && !more.is_over {
                // Nothing may be published any more.
                return Ok(None);
            }
            if more.is_over || (built.is_some() && !request.progress.begin_step()) {
                return Ok(built);
            }
        }
    }

    /// Looks at the table as it is now and says what comes next.
    async fn next_step(&self, request: &BuildRequest<'_>, incremental: &Incremental) -> Result<Next, Error> {
        let ask = Ask { now_us: request.started_us, run_id: Some(request.run_id), ..request.ask };
        let (project, plan, node, upcoming) = (request.project, request.plan, request.node, BTreeSet::new());
        let prospect = Prospect { project, plan, node, incremental, upcoming: &upcoming, ask: &ask };
        Ok(match self.todo(&prospect).await? {
            Todo::Rebuild(_, before) => Next::Whole(Box::new(from_nothing(incremental, &ask, before))),
            Todo::Extend(extension) if extension.table.base().is_some() => {
                // Rows are added to what the base has, and never in the base.
                self.adopt(request, &extension.table).await?;
                return Box::pin(self.next_step(request, incremental)).await;
            }
            Todo::Extend(extension) => Next::Parts(extension),
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
            return models::logical_plan(&context.state(), &text.sql).await.map_err(failed);
        };
        let (from_us, to_us) = span.ends_us();
        let sql = with_interval(&text.sql, from_us, to_us);
        let query = models::logical_plan(&context.state(), &sql).await.map_err(failed)?;
        let within = || {
            let data_type = query.schema().field_with_unqualified_name(span.column())?.data_type().clone();
            LogicalPlanBuilder::from(query.clone()).filter(span.may_hold(&data_type)?)?.build()
        };
        within().map_err(failed)
    }
}

/// Leaves out of a plan the rows without a time, which [`rows_left_out`] counts.
pub(super) fn with_time(plan: Arc<dyn ExecutionPlan>, step: &Step) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let Some(column) = step.time_column() else { return Ok(plan) };
    let has_time = is_not_null(col(column, &plan.schema())?)?;
    Ok(Arc::new(FilterExec::try_new(has_time, plan)?))
}

/// Returns how many rows a finished plan has left out because they have no time. Nothing that is put on top of
/// [`with_time`] filters, so it is the uppermost filter.
pub(super) fn rows_left_out(plan: &Arc<dyn ExecutionPlan>, step: &Step) -> u64 {
    let mut left_out = 0;
    let _ = plan.apply(|operator| {
        let Some(filter) = operator.downcast_ref::<FilterExec>() else { return Ok(TreeNodeRecursion::Continue) };
        left_out = filter.metrics().iter().flat_map(MetricsSet::iter).filter_map(|metric| left_out_by(metric)).sum();
        Ok(TreeNodeRecursion::Stop)
    });
    if step.time_column().is_some() { left_out } else { 0 }
}

/// Returns how many rows a filter has taken in and not handed on.
fn left_out_by(metric: &Metric) -> Option<u64> {
    match metric.value() {
        MetricValue::Ratio { name, ratio_metrics } if name == "selectivity" => {
            Some(ratio_metrics.total().saturating_sub(ratio_metrics.part()) as u64)
        }
        _ => None,
    }
}

/// Tells of rows that a published part has left out. A text that does not ask for the interval returns the same rows for
/// each of them, and so does the input of Python.
pub(super) fn tell_left_out(request: &BuildRequest<'_>, rows: u64, step: &Step) {
    if rows == 0 {
        return;
    }
    let Some(transform) = request.node.transform() else {
        request.progress.rows_left_out(rows, LeftOut::Same);
        return;
    };
    let text = match (&step.base, &transform.incremental) {
        (Some(_), Some(adding)) => &adding.sql,
        _ => &transform.sql,
    };
    let is_asked = [INTERVAL_START, INTERVAL_END].iter().any(|name| text.contains(name));
    request.progress.rows_left_out(rows, if is_asked { LeftOut::More } else { LeftOut::Same });
}

/// What a build does next.
enum Next {
    /// The table is computed from nothing.
    Whole(Box<Step>),
    /// Parts are added to it.
    Parts(Box<Extension>),
    /// Nothing is left; this is what stands.
    Done(Built),
}

/// Returns the step that computes a table from nothing.
fn from_nothing(incremental: &Incremental, ask: &Ask<'_>, before: TableBefore) -> Step {
    let strategy = &incremental.strategy;
    let later = Later::than_known(incremental, None);
    let Strategy::ByInterval(by_interval) = strategy else {
        return Step { base: None, span: None, later, ledger: Ledger::default().to_json(strategy) };
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
    let span = Some(Span::new(by_interval, numbers));
    Step { base: None, span, later, ledger: ledger.to_json(strategy) }
}

/// Returns the number at which a batch ends that starts with another.
pub(super) fn batch_end(by_interval: &ByInterval, start: i64) -> i64 {
    by_interval.batch_intervals.map_or(i64::MAX, |count| start.saturating_add(i64::from(count)))
}

/// Returns what has been published before and after.
pub(super) fn together(before: Option<Built>, after: Option<Built>) -> Option<Built> {
    match (before, after) {
        (Some(before), Some(after)) => Some(Built {
            rows: before.rows + after.rows,
            bytes: before.bytes + after.bytes,
            files: before.files + after.files,
            failures: all_failed(before.failures, after.failures),
            nulls: all_failed(before.nulls, after.nulls),
            ..after
        }),
        (before, after) => after.or(before),
    }
}

/// Returns the rows that failed before and after, with all of their causes.
fn all_failed(before: Option<FailedRows>, after: Option<FailedRows>) -> Option<FailedRows> {
    let (mut all, more) = match (before, after) {
        (Some(before), Some(after)) => (before, after),
        (before, after) => return after.or(before),
    };
    all.rows += more.rows;
    all.of += more.of;
    for (cause, rows) in more.causes {
        match all.causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, known)) => *known += rows,
            None => all.causes.push((cause, rows)),
        }
    }
    all.causes.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    Some(all)
}
