//! The rows of a training query, kept in files without a name so that they can be gone through again.
//!
//! The query is computed once, however many passes follow: all of them see the same rows. Each partition
//! writes a file; each pass reads all of them on as many threads as the session has.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::TryStreamExt;
use tokio::task::JoinSet;
use windlass_model::train::{Error as TrainError, Pass, Rows};

/// Bytes of one read.
const READ_BYTES: usize = 256 << 10;

/// Rows in files.
#[derive(Debug)]
pub(super) struct StagedRows {
    files: Vec<Arc<File>>,
    /// How many rows there are.
    pub(super) rows: u64,
    threads: usize,
    is_given_up: Arc<AtomicBool>,
}

/// Ends passes when it is dropped: nobody waits for them any more.
#[derive(Debug)]
pub(super) struct GiveUp(Arc<AtomicBool>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl StagedRows {
    /// Writes all partitions of a query to files in a folder; `seen` is told how many rows have been written.
    pub(super) async fn write(
        partitions: Vec<SendableRecordBatchStream>,
        folder: &Path,
        threads: usize,
        seen: impl Fn(u64),
    ) -> Result<(Self, GiveUp)> {
        std::fs::create_dir_all(folder)?;
        let mut writers = JoinSet::new();
        for partition in partitions {
            let file = Arc::new(tempfile::tempfile_in(folder)?);
            writers.spawn(write(partition, file));
        }
        let (mut files, mut rows) = (Vec::new(), 0);
        while let Some(written) = writers.join_next().await {
            let (file, count) = written.map_err(|error| DataFusionError::Internal(error.to_string()))??;
            rows += count;
            files.push(file);
            seen(rows);
        }
        let is_given_up = Arc::new(AtomicBool::new(false));
        let guard = GiveUp(Arc::clone(&is_given_up));
        Ok((Self { files, rows, threads: threads.max(1), is_given_up }, guard))
    }

    fn read<P: Pass>(&self, next: &AtomicUsize, mut pass: P) -> std::result::Result<P, TrainError> {
        let unreadable = |error: Box<dyn std::error::Error + Send + Sync>| TrainError::Read(error);
        while let Some(file) = self.files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let file = At { file: Arc::clone(file), offset: 0 };
            let reader = StreamReader::try_new(BufReader::with_capacity(READ_BYTES, file), None);
            for batch in reader.map_err(|error| unreadable(error.into()))? {
                if self.is_given_up.load(Ordering::Relaxed) {
                    return Err(unreadable("training was given up".into()));
                }
                pass.add(&batch.map_err(|error| unreadable(error.into()))?)?;
            }
        }
        Ok(pass)
    }
}

impl Rows for StagedRows {
    fn pass<P: Pass>(&self, start: &P) -> std::result::Result<P, TrainError> {
        let next = AtomicUsize::new(0);
        let threads = self.threads.min(self.files.len());
        let parts = std::thread::scope(|scope| {
            let work = || self.read(&next, start.clone());
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let joined = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| Err(TrainError::Read("a pass over the rows panicked".into())))
            });
            joined.collect::<Vec<_>>()
        });
        let mut all = start.clone();
        for part in parts {
            all.merge(part?);
        }
        Ok(all)
    }
}

/// Writes the rows of a partition.
async fn write(mut rows: SendableRecordBatchStream, file: Arc<File>) -> Result<(Arc<File>, u64)> {
    let schema: SchemaRef = rows.schema();
    let output = BufWriter::with_capacity(READ_BYTES, file.try_clone()?);
    let mut writer = StreamWriter::try_new(output, &schema)?;
    let mut count = 0;
    while let Some(batch) = rows.try_next().await? {
        let batch: RecordBatch = batch;
        count += batch.num_rows() as u64;
        writer.write(&batch)?;
    }
    writer.finish()?;
    Ok((file, count))
}

/// Reads a file from an offset of its own: several may read it at once.
struct At {
    file: Arc<File>,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}
