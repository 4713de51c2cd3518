//! Finds the rows that kill workers by trying ever smaller parts of a batch on new workers.
//!
//! For workers that cannot fork, such as those with a GPU. Each row that kills costs about
//! `log2(n)` workers, so after [`MOST_KILLERS`] such rows a part that kills is given up as a whole.
//!
//! Must stay true: parts are tried from left to right and cover the batch, each row once.

use std::ops::Range;

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use crate::RowError;

/// Rows that may kill workers before parts are given up.
pub(crate) const MOST_KILLERS: usize = 8;

/// The state of a search.
#[derive(Debug)]
pub(crate) struct Bisection {
    /// Parts that are still to be tried, the next one last.
    parts: Vec<Range<u32>>,
    killers: usize,
    rows: Vec<RecordBatch>,
    errors: Vec<RowError>,
}

impl Bisection {
    /// Starts with the halves of a batch that has killed as a whole.
    pub(crate) fn new(rows: u32) -> Self {
        let mut bisection = Self { parts: Vec::new(), killers: 0, rows: Vec::new(), errors: Vec::new() };
        bisection.split(0..rows);
        bisection
    }

    /// Returns the part to try next; `None` when all is done.
    pub(crate) fn next(&self) -> Option<Range<u32>> {
        self.parts.last().cloned()
    }

    /// Takes the answer to the part in turn; its error rows count from the start of the part.
    pub(crate) fn answered(&mut self, rows: RecordBatch, errors: Vec<RowError>) {
        let Some(part) = self.parts.pop() else { return };
        self.rows.push(rows);
        self.errors.extend(errors.into_iter().map(|error| RowError { row: error.row + part.start, ..error }));
    }

    /// Takes note that the part in turn killed its worker. `blame` describes it, for any row; `lost` returns what
    /// the answer holds for so many rows that are given up.
    pub(crate) fn killed(&mut self, blame: &RowError, lost: impl FnOnce(usize) -> RecordBatch) {
        let Some(part) = self.parts.pop() else { return };
        let is_single = part.len() <= 1;
        if is_single {
            self.killers += 1;
        }
        if is_single || self.killers >= MOST_KILLERS {
            self.rows.push(lost(part.len()));
            self.errors.extend(part.map(|row| RowError { row, ..blame.clone() }));
        } else {
            self.split(part);
        }
    }

    /// Returns the rows that came back and those that failed.
    pub(crate) fn finish(self, schema: &SchemaRef) -> Result<(RecordBatch, Vec<RowError>), ArrowError> {
        Ok((concat_batches(schema, &self.rows)?, self.errors))
    }

    fn split(&mut self, part: Range<u32>) {
        let middle = part.start + (part.end - part.start).div_ceil(2);
        for half in [middle..part.end, part.start..middle] {
            if !half.is_empty() {
                self.parts.push(half);
            }
        }
    }
}

#[cfg(test)]
mod tests;
