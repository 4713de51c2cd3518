//! Rows that a model cannot score: taken out where it was asked, handed to the writer at the top of the plan.
//!
//! [`DivertExec`] stands right above what scores and takes out the rows that it failed for; joins, groups and sorts may
//! follow. [`CarryExec`] stands below the writer and sends them on as [`error_rows`](crate::tables::error_rows), beside
//! the rows of the result. In between they wait in the [`UnscoredSink`] of the session, known to the memory pool.
//!
//! Must stay true: every row that a model was asked for goes on or waits here, never both; all that waits is sent on
//! before the last partition of `CarryExec` ends, since what feeds a partition has ended before it. The two meet in
//! one process.

mod carry;
mod divert;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use datafusion::arrow::compute::{cast, take_record_batch};
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use windlass_error::Code;
use windlass_worker::{RowError, Stage};

pub(crate) use carry::CarryExec;
pub(crate) use divert::{DivertExec, Diverted};

use super::python::{Budget, Limit, Together, Verdict};
use crate::tables::error_rows::ScoredBy;

/// What becomes of rows that cannot be scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unscored {
    /// They end the query.
    Fail,
    /// They become error rows.
    Quarantine,
}

/// Why a query over models has no answer; travels through DataFusion as an external error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnscoredError {
    /// A row cannot be scored, and none may fail.
    #[error("model `{reference}` cannot score {rows} row{} of a batch of {of}: {message}", if *rows == 1 { "" } else { "s" })]
    Row {
        /// The model as SQL names it.
        reference: String,
        /// Rows that cannot be scored.
        rows: usize,
        /// Rows of the batch.
        of: usize,
        /// Why the first cannot.
        message: String,
    },
    /// More rows cannot be scored than may fail.
    #[error("{0}")]
    Budget(Verdict),
}

impl UnscoredError {
    /// Returns its code.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Row { .. } => Code::UNSCORED,
            Self::Budget(_) => Code::ERROR_BUDGET,
        }
    }

    /// Returns the model at whose mention it is told.
    pub(crate) fn reference(&self) -> Option<&str> {
        match self {
            Self::Row { reference, .. } => Some(reference),
            Self::Budget(_) => None,
        }
    }

    /// Returns the way out.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Row { .. } => {
                "correct the input, or say what becomes of such rows: `config(on_error='quarantine')` or `'null'`"
            }
            Self::Budget(_) => "correct the input or leave such rows out, raise `max_error_rate`, or `on_error: null`",
        }
    }
}

impl From<UnscoredError> for DataFusionError {
    fn from(error: UnscoredError) -> Self {
        Self::External(Box::new(error))
    }
}

/// Rows that wait for the writer.
#[derive(Debug)]
struct Waiting {
    rows: RecordBatch,
    errors: Vec<RowError>,
    by: ScoredBy,
}

/// Where rows that cannot be scored wait; found in the session's extensions.
#[derive(Debug)]
pub(crate) struct UnscoredSink {
    way: Unscored,
    budget: Budget,
    waiting: Mutex<(Vec<Waiting>, MemoryReservation)>,
}

impl UnscoredSink {
    /// Returns a sink in which nothing waits, of a node that may lose so many rows.
    pub(crate) fn new(way: Unscored, limit: Limit, pool: &Arc<dyn MemoryPool>) -> Self {
        let memory = MemoryConsumer::new("UnscoredSink").register(pool);
        Self { way, budget: Budget::new(limit, Together::Row, None), waiting: Mutex::new((Vec::new(), memory)) }
    }

    /// Returns how many rows were asked for, and how many of them failed.
    pub(crate) fn verdict(&self) -> Verdict {
        self.budget.verdict()
    }

    /// Counts rows that a model was asked for, and takes those that it failed for: their places, with what it says.
    ///
    /// # Errors
    ///
    /// [`UnscoredError`] where none or no more may fail; where memory has no room for them.
    fn take(&self, asked: usize, failed: &[(usize, String)], rows: RecordBatch, by: &ScoredBy) -> Result<()> {
        if let (Unscored::Fail, Some((_, message))) = (self.way, failed.first()) {
            let (reference, message) = (by.reference.clone(), message.clone());
            return Err(UnscoredError::Row { reference, rows: failed.len(), of: asked, message }.into());
        }
        let errors: Vec<RowError> =
            failed.iter().enumerate().map(|(at, (_, message))| row_error(at, message.clone())).collect();
        if let Some(verdict) = self.budget.spend(asked as u64, &errors) {
            return Err(UnscoredError::Budget(verdict).into());
        }
        if errors.is_empty() {
            return Ok(());
        }
        let mut waiting = self.lock();
        waiting.1.try_grow(rows.get_array_memory_size())?;
        waiting.0.push(Waiting { rows, errors, by: by.clone() });
        Ok(())
    }

    /// Returns all that waits, which waits no longer.
    fn drain(&self) -> Vec<Waiting> {
        let mut waiting = self.lock();
        waiting.1.free();
        std::mem::take(&mut waiting.0)
    }

    fn lock(&self) -> MutexGuard<'_, (Vec<Waiting>, MemoryReservation)> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn row_error(at: usize, message: String) -> RowError {
    RowError {
        row: at as u32,
        stage: Stage::Model,
        error_type: Code::UNSCORED.to_string(),
        message,
        traceback: String::new(),
        attempts: 1,
        worker: 0,
    }
}

/// Returns rows at places of a batch.
fn rows_at(batch: &RecordBatch, failed: &[(usize, String)]) -> Result<RecordBatch> {
    let places = UInt32Array::from_iter_values(failed.iter().map(|(row, _)| *row as u32));
    Ok(take_record_batch(batch, &places)?)
}

/// Returns rows with the columns of an error row: those of the same name, NULL where they have none.
fn conformed(rows: &RecordBatch, columns: &SchemaRef) -> Result<RecordBatch> {
    let by_name: BTreeMap<&str, &ArrayRef> = rows
        .schema_ref()
        .fields()
        .iter()
        .zip(rows.columns())
        .map(|(field, array)| (field.name().as_str(), array))
        .collect();
    let column = |field: &Arc<Field>| match by_name.get(field.name().as_str()) {
        Some(array) => Ok(cast(array, field.data_type())?),
        None => Ok(new_null_array(field.data_type(), rows.num_rows())),
    };
    let arrays = columns.fields().iter().map(column).collect::<Result<Vec<ArrayRef>>>()?;
    let schema: Schema = columns.as_ref().clone();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(schema), arrays, &options)?)
}
