//! One partition: looks at its batches, passes rows on, and diverts those that leave the table.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use datafusion::arrow::array::{Array, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{filter_record_batch, is_not_null, is_null};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::metrics::BaselineMetrics;
use futures::StreamExt;

use super::watch::{Told, Watch};
use super::{CheckSink, Gathered, without_carrier};
use crate::checks::facts::Baselines;
use crate::checks::part::{Leaving, Part};
use crate::operators::python::FailureObserver;
use crate::tables::error_rows::{CARRIER, ErrorRows, carrying, without_errors};

/// The rows of one partition.
pub(super) struct Partition {
    pub(super) input: SendableRecordBatchStream,
    /// The columns that are passed on.
    pub(super) schema: SchemaRef,
    pub(super) part: Part,
    /// The stored profiles by whose bins the part counts.
    pub(super) stored: Option<Arc<Baselines>>,
    /// How rows that leave the table are told, where any may.
    pub(super) errors: Option<ErrorRows>,
    pub(super) watch: Option<Arc<Watch>>,
    pub(super) memory: MemoryReservation,
    pub(super) sink: Option<Arc<CheckSink>>,
    pub(super) observer: Option<Arc<FailureObserver>>,
    pub(super) metrics: BaselineMetrics,
    pub(super) ready: VecDeque<RecordBatch>,
    pub(super) told: Told,
    pub(super) batches: i64,
}

impl Partition {
    /// Returns the next batch to pass on, with the partition as it is then.
    pub(super) async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                self.metrics.record_output(batch.num_rows());
                return Ok(Some((batch, self)));
            }
            let is_hopeless = self.watch.as_ref().is_some_and(|watch| watch.is_hopeless());
            let batch = if is_hopeless { None } else { self.input.next().await.transpose()? };
            match batch {
                Some(batch) => self.look(batch)?,
                None => {
                    self.finish(is_hopeless);
                    return Ok(None);
                }
            }
        }
    }

    fn finish(self, is_cut_short: bool) {
        let schema = without_carrier(&self.input.schema());
        if let Some(sink) = &self.sink {
            let (part, stored, answered, memory) = (self.part, self.stored, HashMap::new(), vec![self.memory]);
            sink.add(Gathered { part, schema, is_cut_short, stored, answered, memory });
        }
        self.metrics.done();
    }

    fn look(&mut self, batch: RecordBatch) -> Result<()> {
        let timer = self.metrics.elapsed_compute().clone();
        let _timer = timer.timer();
        let rows = rows_of_result(&batch)?;
        let leaving = self.part.add(&rows)?;
        while self.memory.try_resize(self.part.bytes()).is_err() {
            if !self.part.shrink() {
                // What remains is small; it is accounted for all the same.
                self.memory.resize(self.part.bytes());
                break;
            }
        }
        if let Some(watch) = &self.watch {
            watch.note(&self.part, &mut self.told);
        }
        match leaving {
            Some(leaving) => self.divert(&batch, &rows, &leaving)?,
            None if batch.num_columns() < self.schema.fields().len() => self.push(without_errors(&rows, &self.schema)?),
            None => self.push(batch),
        }
        Ok(())
    }

    /// Passes on the rows that stay, those that failed before, and the ones that leave as error rows.
    fn divert(&mut self, batch: &RecordBatch, rows: &RecordBatch, leaving: &Leaving) -> Result<()> {
        let staying = BooleanArray::new(!&leaving.rows, None);
        let kept = filter_record_batch(rows, &staying)?;
        let left = filter_record_batch(rows, &BooleanArray::new(leaving.rows.clone(), None))?;
        let (all, kept_rows, left_rows) = (rows.num_rows(), kept.num_rows(), left.num_rows());
        let Some(errors) = self.errors.as_ref().filter(|_| kept_rows + left_rows == all) else {
            let text = format!("{all} rows were looked at, {kept_rows} stay and {left_rows} leave the table");
            return Err(DataFusionError::Internal(text));
        };
        let program = self.part.program();
        let name = |rule: usize| {
            let check = &program.checks[program.rules[rule].check].definition;
            let is_broken_by_rows = check.kind.is_on_rows() || program.rules[rule].diverts;
            is_broken_by_rows.then_some(check.name.as_str())
        };
        let names: Vec<Vec<&str>> =
            leaving.rows.set_indices().map(|row| leaving.broken.broken_by(row).filter_map(name).collect()).collect();
        self.batches += 1;
        let told = carrying(&errors.breaking(&left, &names, self.batches)?, &self.schema)?;
        if let Some(observer) = &self.observer {
            (observer.0)(left_rows as u64);
        }
        self.push(without_errors(&kept, &self.schema)?);
        if let Ok(carrier) = batch.schema().index_of(CARRIER) {
            self.push(filter_record_batch(batch, &is_not_null(batch.column(carrier))?)?);
        }
        self.push(told);
        Ok(())
    }

    fn push(&mut self, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.ready.push_back(batch);
        }
    }
}

/// Returns the rows of the result; a row that carries error rows is none of them.
fn rows_of_result(batch: &RecordBatch) -> Result<RecordBatch> {
    let Ok(carrier) = batch.schema().index_of(CARRIER) else { return Ok(batch.clone()) };
    let columns: Vec<usize> = (0..batch.num_columns()).filter(|column| *column != carrier).collect();
    let result = batch.project(&columns)?;
    let carried = batch.column(carrier);
    match carried.null_count() == batch.num_rows() {
        true => Ok(result),
        false => Ok(filter_record_batch(&result, &is_null(carried)?)?),
    }
}
