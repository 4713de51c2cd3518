//! Estimates of rows where statistics end: above joins and groupings.
//!
//! DataFusion knows the rows of files, and of a grouping it knows no more than that it has no more rows than
//! its input. So a join of a table with its own totals would hold the table in memory and stream the
//! totals past it. These estimates are what [`JoinSelection`] compares; they decide which side is
//! held, never a result.
//!
//! [`JoinSelection`]: datafusion::physical_optimizer::join_selection::JoinSelection

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::common::stats::Precision;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::joins::{HashJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::operator_statistics::{
    ExtendedStatistics, StatisticsProvider, StatisticsRegistry, StatisticsResult,
};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};

use crate::operators::meter::MeterExec;

/// Rows of a group, where nothing is known about its keys. Too many only costs where groups are all
/// but as many as rows: both sides are of one size then.
const ROWS_A_GROUP: usize = 10;

/// Returns DataFusion's estimates with ours before them.
pub(crate) fn registry() -> StatisticsRegistry {
    let mut registry = StatisticsRegistry::default_with_builtin_providers();
    registry.register(Arc::new(Estimates));
    registry
}

/// Returns the rows of a plan that only scans and projects, where they are known exactly.
pub(crate) fn exact_rows(plan: &Arc<dyn ExecutionPlan>) -> Option<u64> {
    if plan.children().is_empty() {
        let statistics = plan.statistics_from_inputs(&[], &StatisticsArgs::new()).ok()?;
        return match statistics.num_rows {
            Precision::Exact(rows) => Some(rows as u64),
            _ => None,
        };
    }
    let keeps_rows = plan.downcast_ref::<ProjectionExec>().is_some()
        || plan.downcast_ref::<RepartitionExec>().is_some()
        || plan.downcast_ref::<MeterExec>().is_some();
    match plan.children().as_slice() {
        [input] if keeps_rows => exact_rows(input),
        _ => None,
    }
}

#[derive(Debug)]
struct Estimates;

impl StatisticsProvider for Estimates {
    fn compute_statistics(&self, plan: &dyn ExecutionPlan, inputs: &[ExtendedStatistics]) -> Result<StatisticsResult> {
        let rows: Option<Vec<usize>> = inputs.iter().map(|input| input.base().num_rows.get_value().copied()).collect();
        let estimate = match rows.as_deref() {
            Some(&[rows]) => rows_of_unary(plan, rows, &inputs[0]),
            Some(&[left, right]) => join_type(plan).map(|kind| rows_of_join(kind, left, right)),
            _ => None,
        };
        let Some(estimate) = estimate else { return Ok(StatisticsResult::Delegate) };
        let mut statistics = Arc::unwrap_or_clone(StatisticsContext::new().compute(plan, &StatisticsArgs::new())?);
        statistics.num_rows = Precision::Inexact(estimate);
        // Bytes would be compared before rows, and ours are no better than our rows.
        statistics.total_byte_size = Precision::Absent;
        Ok(StatisticsResult::Computed(ExtendedStatistics::new(statistics)))
    }
}

/// Returns the estimate of a grouping, and of what hands on all its rows with other columns: windows.
fn rows_of_unary(plan: &dyn ExecutionPlan, rows: usize, input: &ExtendedStatistics) -> Option<usize> {
    if let Some(grouping) = plan.downcast_ref::<AggregateExec>() {
        return rows_of_grouping(grouping, rows);
    }
    let has_other_columns = plan.schema().fields().len() != input.base().column_statistics.len();
    (has_other_columns && matches!(plan.cardinality_effect(), CardinalityEffect::Equal)).then_some(rows)
}

fn rows_of_grouping(grouping: &AggregateExec, rows: usize) -> Option<usize> {
    if grouping.group_expr().expr().is_empty() {
        return None;
    }
    match grouping.mode() {
        // Its final half, which is above it, is the one that counts.
        AggregateMode::Partial => Some(rows),
        _ => Some(rows.div_ceil(ROWS_A_GROUP)),
    }
}

fn join_type(plan: &dyn ExecutionPlan) -> Option<JoinType> {
    let hashed = plan.downcast_ref::<HashJoinExec>().map(|join| *join.join_type());
    hashed.or_else(|| plan.downcast_ref::<SortMergeJoinExec>().map(|join| join.join_type()))
}

/// Returns the estimate of a join, taken for one that looks up keys: each row of the larger side finds one of the
/// smaller.
fn rows_of_join(kind: JoinType, left: usize, right: usize) -> usize {
    match kind {
        JoinType::Inner => left.max(right),
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left,
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right,
        JoinType::Full => left.saturating_add(right),
    }
}
