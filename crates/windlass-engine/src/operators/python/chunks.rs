//! Cuts a stream of batches into calls of a wanted size.

use std::collections::VecDeque;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::concat_batches;
use datafusion::error::Result;

/// Rows that wait to be handed over, in order.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    waiting: VecDeque<RecordBatch>,
    rows: usize,
}

impl Chunks {
    /// Adds rows at the end.
    pub(super) fn push(&mut self, batch: RecordBatch) {
        if batch.num_rows() > 0 {
            self.rows += batch.num_rows();
            self.waiting.push_back(batch);
        }
    }

    /// Returns the rows that wait.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes up to `wanted` rows off the front, without a copy where one batch holds them all.
    pub(super) fn take(&mut self, wanted: usize) -> Result<Option<RecordBatch>> {
        let mut missing = wanted.max(1);
        let mut parts = Vec::new();
        while missing > 0 {
            let Some(front) = self.waiting.pop_front() else { break };
            if front.num_rows() > missing {
                parts.push(front.slice(0, missing));
                self.waiting.push_front(front.slice(missing, front.num_rows() - missing));
                missing = 0;
            } else {
                missing -= front.num_rows();
                parts.push(front);
            }
        }
        let taken = match parts.as_slice() {
            [] => return Ok(None),
            [one] => one.clone(),
            [first, ..] => concat_batches(&first.schema(), &parts)?,
        };
        self.rows -= taken.num_rows();
        Ok(Some(taken))
    }
}
