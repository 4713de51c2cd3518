//! Finds chains of windows that may leave rows where they are.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::window::{StandardWindowExpr, WindowExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::windows::BoundedWindowAggExec;
use datafusion::physical_plan::{Distribution, ExecutionPlan, ExecutionPlanProperties, InputOrderMode, Partitioning};

use super::compute::{Function, Window};
use super::{BYTES_TO_ORDER, ScatteredWindowsExec};
use crate::operators::moving_mean::MovingMean;

/// Bytes of a value that is held, roughly.
const CELL_BYTES: usize = 16;

/// What the readers of an operator rely on.
#[derive(Debug, Clone, Copy, Default)]
struct Relied {
    /// The order of its rows.
    on_order: bool,
    /// Rows with the same key being in the same partition.
    on_distribution: bool,
}

/// Replaces chains of windows in a finished plan, in whose result any order will do, and whose rows take at most
/// `room` bytes.
pub(crate) fn specialise(plan: Arc<dyn ExecutionPlan>, room: usize) -> Result<Arc<dyn ExecutionPlan>> {
    replace(plan, room, Relied::default())
}

fn replace(plan: Arc<dyn ExecutionPlan>, room: usize, relied: Relied) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = match Chain::of(&plan).filter(|_| !relied.on_order && !relied.on_distribution) {
        Some(chain) if chain.bytes()? <= room => chain.into_plan(plan)?,
        _ => plan,
    };
    let orders = plan.required_input_ordering();
    let distributions = plan.input_distribution_requirements().into_per_child();
    let keeps_order = plan.maintains_input_order();
    let spreads_anew = spreads_anew(&plan);
    let children = plan.children().into_iter().cloned().enumerate().map(|(index, child)| {
        let is_spread = !matches!(distributions[index], Distribution::UnspecifiedDistribution);
        let of_child = Relied {
            on_order: orders[index].is_some() || (relied.on_order && keeps_order[index]),
            on_distribution: is_spread || (relied.on_distribution && !spreads_anew),
        };
        replace(child, room, of_child)
    });
    let children = children.collect::<Result<Vec<_>>>()?;
    let is_same = children.iter().zip(plan.children()).all(|(new, old)| Arc::ptr_eq(new, old));
    match is_same {
        true => Ok(plan),
        false => plan.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute)),
    }
}

/// Whether rows leave an operator in other partitions than they came in.
fn spreads_anew(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<RepartitionExec>().is_some()
        || plan.downcast_ref::<CoalescePartitionsExec>().is_some()
        || plan.downcast_ref::<SortPreservingMergeExec>().is_some()
}

/// Windows one on top of the other, each with a shuffle and a sort of its own below it.
struct Chain {
    /// What is below the first shuffle.
    input: Arc<dyn ExecutionPlan>,
    /// From the lowest on.
    windows: Vec<Window>,
    /// Partitions that the rows are spread over.
    partitions: usize,
}

impl Chain {
    /// Returns the longest chain that ends at the top of a plan.
    fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let operator = plan.downcast_ref::<BoundedWindowAggExec>()?;
        let sort = operator.input().downcast_ref::<SortExec>()?;
        if operator.input_order_mode != InputOrderMode::Sorted || sort.fetch().is_some() {
            return None;
        }
        let shuffle = sort.input().downcast_ref::<RepartitionExec>()?;
        if !matches!(shuffle.partitioning(), Partitioning::Hash(..)) || shuffle.preserve_order() {
            return None;
        }
        let below = shuffle.input();
        let window = window(operator)?;
        let partitions = shuffle.partitioning().partition_count();
        let chained = Self::of(below).filter(|chain| reads_below(&window, chain.input.schema().fields().len()));
        Some(match chained {
            Some(mut chain) => {
                chain.windows.push(window);
                chain
            }
            None => Self { input: Arc::clone(below), windows: vec![window], partitions },
        })
    }

    /// Returns the bytes that all rows take, as far as that is known before they are read.
    fn bytes(&self) -> Result<usize> {
        let statistics = StatisticsContext::new().compute(self.input.as_ref(), &StatisticsArgs::new())?;
        let functions: usize = self.windows.iter().map(|window| window.functions.len()).sum();
        let cells = (self.input.schema().fields().len() + functions) * CELL_BYTES;
        let bytes_of_row = cells + self.windows.len() * BYTES_TO_ORDER;
        let rows = statistics.num_rows.get_value().copied();
        Ok(rows.map_or(usize::MAX, |rows| rows.saturating_mul(bytes_of_row)))
    }

    fn into_plan(self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = match self.input.output_partitioning().partition_count() < self.partitions {
            true => {
                let spread = Partitioning::RoundRobinBatch(self.partitions);
                Arc::new(RepartitionExec::try_new(self.input, spread)?) as Arc<dyn ExecutionPlan>
            }
            false => self.input,
        };
        Ok(Arc::new(ScatteredWindowsExec::new(input, self.windows.into(), plan.schema())))
    }
}

/// Returns the window of an operator, if all its functions can be computed a group at a time.
fn window(operator: &BoundedWindowAggExec) -> Option<Window> {
    let schema = operator.input().schema();
    let function = |expr: &Arc<dyn WindowExpr>| {
        let mean = MovingMean::of(expr, &schema).map(Function::Mean);
        mean.or_else(|| expr.as_any().is::<StandardWindowExpr>().then(|| Function::Standard(Arc::clone(expr))))
    };
    let exprs = operator.window_expr();
    let first = exprs.first()?;
    let is_like_first =
        |expr: &Arc<dyn WindowExpr>| expr.partition_by() == first.partition_by() && expr.order_by() == first.order_by();
    if !exprs.iter().all(is_like_first) {
        return None;
    }
    Some(Window {
        functions: exprs.iter().map(function).collect::<Option<_>>()?,
        partition_by: first.partition_by().to_vec(),
        order_by: first.order_by().to_vec(),
    })
}

/// Whether a window reads none but the first `columns` columns.
fn reads_below(window: &Window, columns: usize) -> bool {
    let read = window.expressions().into_iter().flat_map(|expr| collect_columns(&expr));
    read.map(|column| column.index()).all(|index| index < columns)
}
