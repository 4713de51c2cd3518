//! Counts the rows that a scan hands on, and ends it when it has taken long enough.
//!
//! What a plan over this operator has computed when it ends is then known by the places of rows: the first so
//! many of each partition. So the work on a large table can be kept bit by bit, without a guess at how
//! long a part of it takes. Batches are handed on in slices that take a moment each, so that the end comes soon
//! after its time.
//!
//! Must stay true: unary, as many partitions as its input; a row that was counted was handed on, and each
//! partition hands on some rows before it ends, where it has any. Counts are kept by partition, so the
//! operator stays in the process that made it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, PlanProperties, ReplaceChildrenOptions};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, SendableRecordBatchStream,
};
use futures::StreamExt;

/// Rows of the first slice of a partition.
const FIRST_SLICE: usize = 1_024;
/// Rows of a slice at least.
const SMALLEST_SLICE: usize = 64;
/// A slice that was taken up faster is followed by one of twice as many rows.
const FAST: Duration = Duration::from_millis(100);
/// A slice that took longer is followed by one of half as many.
const SLOW: Duration = Duration::from_secs(1);

/// How far a plan has got, and when it ends.
#[derive(Debug)]
pub(crate) struct Meter {
    length: Duration,
    begun: OnceLock<Instant>,
    ended: OnceLock<Instant>,
    passed: Vec<AtomicU64>,
}

impl Meter {
    /// Returns a meter for so many partitions, which ends the scan after this time.
    pub(crate) fn new(partitions: usize, length: Duration) -> Self {
        let passed = (0..partitions).map(|_| AtomicU64::new(0)).collect();
        Self { length, begun: OnceLock::new(), ended: OnceLock::new(), passed }
    }

    /// Returns the rows that each partition has handed on.
    pub(crate) fn passed(&self) -> Vec<u64> {
        self.passed.iter().map(|rows| rows.load(Ordering::Relaxed)).collect()
    }

    /// Returns when it has ended the scan; `None` where that came to its own end.
    pub(crate) fn ended(&self) -> Option<Instant> {
        self.ended.get().copied()
    }

    fn is_over(&self) -> bool {
        if self.begun.get_or_init(Instant::now).elapsed() < self.length {
            return false;
        }
        self.ended.get_or_init(Instant::now);
        true
    }
}

/// Counts and ends; see the module.
#[derive(Debug)]
pub(crate) struct MeterExec {
    input: Arc<dyn ExecutionPlan>,
    meter: Arc<Meter>,
}

impl MeterExec {
    /// Returns the operator above a scan, which has as many partitions as the meter counts.
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, meter: Arc<Meter>) -> Self {
        Self { input, meter }
    }
}

impl DisplayAs for MeterExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MeterExec: length={:?}", self.meter.length)
    }
}

impl ExecutionPlan for MeterExec {
    fn name(&self) -> &str {
        "MeterExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    /// Which rows a partition has is what the counts are about.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(children.swap_remove(0), Arc::clone(&self.meter))))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let partitions = self.input.output_partitioning().partition_count();
        if partitions != self.meter.passed.len() {
            let text = format!("{partitions} partitions are read, {} are counted", self.meter.passed.len());
            return Err(DataFusionError::Internal(text));
        }
        let input = self.input.execute(partition, context)?;
        let meter = Arc::clone(&self.meter);
        let rows = Rows { input, meter, partition, rest: None, slice: FIRST_SLICE, given: None };
        let rows = futures::stream::try_unfold(rows, Rows::next);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(Arc::clone(&inputs[0]))
    }
}

/// The rows of one partition.
struct Rows {
    input: SendableRecordBatchStream,
    meter: Arc<Meter>,
    partition: usize,
    /// What is left of a batch.
    rest: Option<RecordBatch>,
    /// Rows of the next slice.
    slice: usize,
    /// When the last slice was handed on.
    given: Option<Instant>,
}

impl Rows {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        if let Some(given) = self.given {
            self.slice = next_slice(self.slice, given.elapsed());
            if self.meter.is_over() {
                return Ok(None);
            }
        }
        self.meter.begun.get_or_init(Instant::now);
        let batch = loop {
            match self.rest.take() {
                Some(batch) if batch.num_rows() > 0 => break batch,
                _ => match self.input.next().await.transpose()? {
                    Some(batch) => self.rest = Some(batch),
                    None => return Ok(None),
                },
            }
        };
        let rows = batch.num_rows().min(self.slice);
        self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
        self.meter.passed[self.partition].fetch_add(rows as u64, Ordering::Relaxed);
        self.given = Some(Instant::now());
        Ok(Some((batch.slice(0, rows), self)))
    }
}

/// Returns how many rows follow a slice that was taken up in this time.
fn next_slice(rows: usize, taken: Duration) -> usize {
    if taken < FAST {
        rows.saturating_mul(2)
    } else if taken > SLOW {
        (rows / 2).max(SMALLEST_SLICE)
    } else {
        rows
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array};
    use datafusion::arrow::datatypes::Int64Type;
    use datafusion::datasource::memory::MemorySourceConfig;
    use futures::TryStreamExt;

    use super::*;

    fn numbers(from: i64, to: i64) -> RecordBatch {
        RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from_iter_values(from..to)) as ArrayRef)]).unwrap()
    }

    /// Runs both partitions one after the other and returns the values that came.
    async fn run(length: Duration) -> (Vec<BTreeSet<i64>>, Arc<Meter>) {
        let parts =
            [vec![numbers(0, 3_000), numbers(3_000, 3_000), numbers(3_000, 5_000)], vec![numbers(5_000, 5_100)]];
        let input = MemorySourceConfig::try_new_exec(&parts, parts[0][0].schema(), None).unwrap();
        let meter = Arc::new(Meter::new(2, length));
        let plan = MeterExec::new(input, Arc::clone(&meter));
        let mut found = Vec::new();
        for partition in 0..2 {
            let rows: Vec<RecordBatch> = plan.execute(partition, Arc::default()).unwrap().try_collect().await.unwrap();
            let values = rows.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec());
            found.push(values.collect());
        }
        (found, meter)
    }

    #[tokio::test]
    async fn rows_that_are_counted_are_handed_on() {
        let (found, meter) = run(Duration::from_secs(3_600)).await;
        assert_eq!(found, [(0..5_000).collect(), (5_000..5_100).collect::<BTreeSet<i64>>()]);
        assert_eq!((meter.passed(), meter.ended()), (vec![5_000, 100], None));

        // The end comes at once: a slice of each partition is handed on all the same.
        let (found, meter) = run(Duration::ZERO).await;
        assert_eq!(found, [(0..1_024).collect(), (5_000..5_100).collect::<BTreeSet<i64>>()]);
        assert_eq!(meter.passed(), [1_024, 100]);
        assert!(meter.ended().is_some());
    }

    #[test]
    fn slices_follow_the_pace_of_who_takes_them() {
        let after = |taken: u64| next_slice(1_000, Duration::from_millis(taken));
        assert_eq!([after(1), after(500), after(3_000)], [2_000, 1_000, 500]);
        assert_eq!(next_slice(70, Duration::from_secs(9)), SMALLEST_SLICE);
    }
}
