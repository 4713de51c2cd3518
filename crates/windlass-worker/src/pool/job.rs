//! A batch on its way to an answer.

use std::ops::Range;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::bisect::Bisection;
use crate::{BatchOutcome, Error, RowError};

/// What a caller waits for.
pub(crate) type Reply = oneshot::Sender<Result<BatchOutcome, Error>>;

/// A batch that waits, or is with a worker. Dropping it tells the caller that the pool is closed.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) batch: RecordBatch,
    pub(crate) mode: Mode,
    /// Workers that died of it.
    pub(crate) deaths: u32,
    /// Workers that were lost under it, through no fault of its own as far as one can see.
    pub(crate) losses: u32,
    reply: Reply,
    _place: OwnedSemaphorePermit,
}

/// An answer put together from parts. Fails where the parts do not fit into one batch.
pub(crate) type Whole = Result<(RecordBatch, Vec<RowError>), ArrowError>;

/// How a batch is to be gone about.
#[derive(Debug)]
pub(crate) enum Mode {
    Normal,
    /// It has killed workers: the worker tries it in child processes first.
    Careful,
    /// It has killed workers that cannot fork: part by part.
    Bisect(Bisection),
}

impl Job {
    pub(crate) fn new(batch: RecordBatch, reply: Reply, place: OwnedSemaphorePermit) -> Self {
        Self { batch, mode: Mode::Normal, deaths: 0, losses: 0, reply, _place: place }
    }

    /// Returns whether nobody waits for the answer any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Returns whether it needs a new worker, to itself.
    pub(crate) fn is_suspect(&self) -> bool {
        self.deaths > 0
    }

    /// Returns the rows to hand over now: all, or the part in turn.
    pub(crate) fn part(&self) -> Range<u32> {
        let rows = u32::try_from(self.batch.num_rows()).unwrap_or(u32::MAX);
        match &self.mode {
            Mode::Normal | Mode::Careful => 0..rows,
            Mode::Bisect(bisection) => bisection.next().unwrap_or(0..0),
        }
    }

    /// Answers the caller.
    pub(crate) fn answer(self, outcome: Result<BatchOutcome, Error>) {
        // A caller that went away does not want it.
        let _ = self.reply.send(outcome);
    }

    /// Takes the answer for the part in turn. Returns the whole answer, or nothing if parts are left.
    pub(crate) fn absorb(&mut self, rows: RecordBatch, errors: Vec<RowError>, schema: &SchemaRef) -> Option<Whole> {
        let Mode::Bisect(bisection) = &mut self.mode else { return Some(Ok((rows, errors))) };
        bisection.answered(rows, errors);
        self.finish_bisection(schema)
    }

    /// Returns the whole answer of a bisection, if no parts are left.
    pub(crate) fn finish_bisection(&mut self, schema: &SchemaRef) -> Option<Whole> {
        match std::mem::replace(&mut self.mode, Mode::Normal) {
            Mode::Bisect(bisection) if bisection.next().is_none() => Some(bisection.finish(schema)),
            other => {
                self.mode = other;
                None
            }
        }
    }
}
