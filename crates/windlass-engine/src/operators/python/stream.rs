//! One partition: preconditions, calls in flight, answers in order.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use datafusion::arrow::compute::{CastOptions, cast_with_options, take};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::metrics::BaselineMetrics;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use windlass_worker::{BatchOutcome, Pool, Role, RowError, RowsMode, Workers};

use super::budget::Budget;
use super::chunks::Chunks;
use super::preconditions::sift;
use super::{FailureObserver, PythonError, Shape, Work};
use crate::tables::error_rows::{carrying, without_errors};
use crate::tables::schema;

/// What a partition finds around itself.
pub(super) struct Surroundings {
    /// The workers of the process.
    pub(super) workers: Arc<Workers>,
    /// Told about rows that fail.
    pub(super) observer: Option<Arc<FailureObserver>>,
    /// The operator's columns.
    pub(super) schema: SchemaRef,
    /// Of this partition.
    pub(super) metrics: BaselineMetrics,
    /// How many partitions share the pool.
    pub(super) partitions: usize,
}

/// Rows that were handed over, with what came back.
struct Answered {
    source: RecordBatch,
    outcome: BatchOutcome,
}

/// The state of one partition.
pub(super) struct Partition {
    input: SendableRecordBatchStream,
    is_ended: bool,
    work: Arc<Work>,
    budget: Arc<Budget>,
    around: Surroundings,
    pool: Option<Arc<Pool>>,
    chunks: Chunks,
    in_flight: FuturesOrdered<BoxFuture<'static, std::result::Result<Answered, windlass_worker::Error>>>,
    ready: VecDeque<RecordBatch>,
    batches: i64,
}

impl Partition {
    pub(super) fn new(
        input: SendableRecordBatchStream,
        work: Arc<Work>,
        budget: Arc<Budget>,
        around: Surroundings,
    ) -> Self {
        Self {
            input,
            is_ended: false,
            work,
            budget,
            around,
            pool: None,
            chunks: Chunks::default(),
            in_flight: FuturesOrdered::new(),
            ready: VecDeque::new(),
            batches: 0,
        }
    }

    /// Returns the next batch of the answer.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let pool = match &self.pool {
            Some(pool) => Arc::clone(pool),
            None => self.open().await?,
        };
        // Every partition may have a call waiting while another is worked on.
        let depth = pool.in_flight_limit().div_ceil(self.around.partitions).max(1) + 1;
        loop {
            if let Some(batch) = self.ready.pop_front() {
                self.around.metrics.record_output(batch.num_rows());
                return Ok(Some(batch));
            }
            if self.in_flight.len() < depth {
                let wanted = self.work.batch_rows.unwrap_or_else(|| pool.batch_rows());
                if self.chunks.rows() >= wanted || (self.is_ended && self.chunks.rows() > 0) {
                    self.hand_over(&pool, wanted)?;
                    continue;
                }
                if !self.is_ended {
                    self.step().await?;
                    continue;
                }
            }
            match self.in_flight.next().await {
                Some(answered) => self.settle(answered)?,
                None => return Ok(None),
            }
        }
    }

    async fn open(&mut self) -> Result<Arc<Pool>> {
        let pool = self.around.workers.pool(self.work.program.clone()).await.map_err(PythonError::from)?;
        pool.expect_rows(self.work.expected_rows);
        self.pool = Some(Arc::clone(&pool));
        Ok(pool)
    }

    /// Takes either the next answer or the next input, whichever comes first.
    async fn step(&mut self) -> Result<()> {
        if self.in_flight.is_empty() {
            let batch = self.input.next().await;
            return self.accept(batch);
        }
        futures::select_biased! {
            answered = self.in_flight.next().fuse() => match answered {
                Some(answered) => self.settle(answered),
                None => Ok(()),
            },
            batch = self.input.next().fuse() => self.accept(batch),
        }
    }

    fn accept(&mut self, batch: Option<Result<RecordBatch>>) -> Result<()> {
        let Some(batch) = batch.transpose()? else {
            self.is_ended = true;
            return Ok(());
        };
        let _timer = self.around.metrics.elapsed_compute().clone();
        let _timer = _timer.timer();
        let (rows, broken) = sift(&self.work.requires, &batch)?;
        if !broken.is_empty() {
            self.reject(&batch, broken)?;
        }
        self.chunks.push(rows);
        Ok(())
    }

    /// Settles rows that Python never sees.
    fn reject(&mut self, batch: &RecordBatch, broken: Vec<RowError>) -> Result<()> {
        match &self.work.shape {
            Shape::Fail | Shape::Append => {
                let rule = broken.first().map(|error| error.message.clone()).unwrap_or_default();
                Err(PythonError::Requires { rule, rows: broken.len(), of: batch.num_rows() }.into())
            }
            Shape::Quarantine(_) | Shape::Null(_) => {
                self.spend(broken.len(), &broken)?;
                self.emit_failed(batch, &broken, None)
            }
        }
    }

    fn hand_over(&mut self, pool: &Arc<Pool>, wanted: usize) -> Result<()> {
        let Some(source) = self.chunks.take(wanted)? else { return Ok(()) };
        let batch = arguments(&self.work, &source)?;
        let pool = Arc::clone(pool);
        let call = async move { pool.call(batch).await.map(|outcome| Answered { source, outcome }) };
        self.in_flight.push_back(call.boxed());
        Ok(())
    }

    fn settle(&mut self, answered: std::result::Result<Answered, windlass_worker::Error>) -> Result<()> {
        let Answered { source, outcome } = answered.map_err(PythonError::from)?;
        self.account(&source, &outcome)?;
        self.spend(source.num_rows(), &outcome.errors)?;
        match &self.work.shape {
            Shape::Append => {
                let columns = source.columns().iter().chain(outcome.rows.columns()).cloned().collect();
                let options = RecordBatchOptions::new().with_row_count(Some(source.num_rows()));
                let schema = Arc::clone(&self.around.schema);
                self.ready.push_back(RecordBatch::try_new_with_options(schema, columns, &options)?);
                Ok(())
            }
            Shape::Fail => {
                self.push(outcome.rows);
                Ok(())
            }
            Shape::Quarantine(_) => {
                let rows = without_errors(&outcome.rows, &self.around.schema)?;
                self.push(rows);
                if outcome.errors.is_empty() {
                    return Ok(());
                }
                self.emit_failed(&source, &outcome.errors, None)
            }
            Shape::Null(_) if outcome.errors.is_empty() => {
                self.push(outcome.rows);
                Ok(())
            }
            Shape::Null(_) => self.emit_failed(&source, &outcome.errors, Some(&outcome.rows)),
        }
    }

    fn push(&mut self, rows: RecordBatch) {
        if rows.num_rows() > 0 {
            self.ready.push_back(rows);
        }
    }

    /// Asserts that no row was lost or invented.
    fn account(&self, source: &RecordBatch, outcome: &BatchOutcome) -> Result<()> {
        let (rows_in, rows_out) = (source.num_rows(), outcome.rows.num_rows());
        let failed = outcome.errors.len();
        let balances = match &self.work.program.role {
            Role::Functions { .. } => rows_out == rows_in,
            Role::Transform(code) if code.rows == RowsMode::OneToOne => rows_out + failed == rows_in,
            // Models are not trained by an operator.
            Role::Transform(_) | Role::Training(_) => failed <= rows_in,
        };
        let in_order = outcome.errors.windows(2).all(|pair| pair[0].row < pair[1].row);
        let in_range = outcome.errors.last().is_none_or(|error| (error.row as usize) < rows_in);
        match balances && in_order && in_range {
            true => Ok(()),
            false => Err(PythonError::Account { rows_in, rows_out, failed }.into()),
        }
    }

    fn spend(&self, rows: usize, errors: &[RowError]) -> Result<()> {
        if let (Some(observer), false) = (&self.around.observer, errors.is_empty()) {
            (observer.0)(errors.len() as u64);
        }
        match self.budget.spend(rows as u64, errors) {
            Some(verdict) => Err(PythonError::Budget(verdict).into()),
            None => Ok(()),
        }
    }

    /// Sends failed rows of `source` on: to the error rows, or as rows of NULLs among `good` ones.
    fn emit_failed(&mut self, source: &RecordBatch, errors: &[RowError], good: Option<&RecordBatch>) -> Result<()> {
        let batch = match &self.work.shape {
            Shape::Quarantine(kind) => {
                self.batches += 1;
                let rows = schema::conform(source, &kind.row)?;
                carrying(&kind.batch(&rows, errors, self.batches)?, &self.around.schema)?
            }
            Shape::Null(kept) => nulls_among(source, errors, good, (kept, &self.around.schema))?,
            Shape::Append | Shape::Fail => return Ok(()),
        };
        self.ready.push_back(batch);
        Ok(())
    }
}

/// Returns what is handed over for rows of the input.
fn arguments(work: &Work, source: &RecordBatch) -> Result<RecordBatch> {
    let rows = source.num_rows();
    let schema = &work.program.input;
    let columns = work
        .arguments
        .iter()
        .zip(schema.fields())
        .map(|(argument, field)| plain(&argument.evaluate(source)?.into_array(rows)?, field.data_type()))
        .collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// Casts to a plain type: no views, no dictionaries. A value that does not fit is an error.
fn plain(column: &ArrayRef, data_type: &datafusion::arrow::datatypes::DataType) -> Result<ArrayRef> {
    if column.data_type() == data_type {
        return Ok(Arc::clone(column));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    Ok(cast_with_options(column, data_type, &options)?)
}

/// Returns rows of `source` as result: good ones as they came back, failed ones with the key and
/// NULLs. Without good rows only the failed ones are answered.
fn nulls_among(
    source: &RecordBatch,
    errors: &[RowError],
    good: Option<&RecordBatch>,
    (kept, schema): (&[(usize, usize)], &SchemaRef),
) -> Result<RecordBatch> {
    let rows = if good.is_some() { source.num_rows() } else { errors.len() };
    let mut failed = errors.iter().map(|error| error.row as usize).peekable();
    let mut next_good = 0_u32;
    let places: UInt32Array = (0..rows)
        .map(|row| {
            if good.is_none() || failed.next_if_eq(&row).is_some() {
                return None;
            }
            next_good += 1;
            Some(next_good - 1)
        })
        .collect();
    let source_places: UInt32Array = match good {
        Some(_) => (0..rows as u32).map(Some).collect(),
        None => errors.iter().map(|error| Some(error.row)).collect(),
    };
    let column = |(at, field): (usize, &Arc<datafusion::arrow::datatypes::Field>)| -> Result<ArrayRef> {
        if let Some((from, _)) = kept.iter().find(|(_, to)| *to == at) {
            let key = take(source.column(*from), &source_places, None)?;
            return plain(&key, field.data_type());
        }
        match good {
            Some(good) => Ok(take(good.column(at), &places, None)?),
            None => Ok(datafusion::arrow::array::new_null_array(field.data_type(), rows)),
        }
    };
    let columns = schema.fields().iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
