//! Measures how many rows a second a model scores in this process, without an engine around it.
//!
//! `cargo run --release -p windlass-model --example score -- <lightgbm|xgboost|windlass> <model> <rows.arrow> <threads> <rounds>`
//!
//! The rows are a file of Arrow IPC whose columns are the model's inputs, read before the clock starts. Prints a line of
//! JSON: rows, threads, the seconds of each round, and the sum of the second class's probabilities, or of the
//! predicted numbers.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float64Type;
use arrow::ipc::reader::FileReader;
use windlass_model::{Format, Scorer, Task};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Rows of a batch, as the engine has them.
const BATCH_ROWS: usize = 8_192;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [format, model, rows, threads, rounds] = arguments.as_slice() else {
        return Err("give format, model, rows, threads and rounds".into());
    };
    let format: Format = serde_json::from_value(format.as_str().into())?;
    let scorer = Scorer::load(format, &std::fs::read(model)?)?;
    let batches = batches(rows)?;
    let (threads, rounds): (usize, usize) = (threads.parse()?, rounds.parse()?);
    let mut seconds = Vec::new();
    let mut sum = 0.0;
    for _ in 0..rounds {
        let started = Instant::now();
        sum = score_all(&scorer, &batches, threads)?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let told = serde_json::json!({"rows": rows, "threads": threads, "seconds": seconds, "sum": sum});
    writeln!(std::io::stdout(), "{told}")?;
    Ok(())
}

fn batches(file: &str) -> Result<Vec<RecordBatch>, Failure> {
    let mut batches = Vec::new();
    for batch in FileReader::try_new(File::open(file)?, None)? {
        let batch = batch?;
        for first in (0..batch.num_rows()).step_by(BATCH_ROWS) {
            batches.push(batch.slice(first, BATCH_ROWS.min(batch.num_rows() - first)));
        }
    }
    Ok(batches)
}

/// Scores all batches, each thread every so many of them.
fn score_all(scorer: &Scorer, batches: &[RecordBatch], threads: usize) -> Result<f64, Failure> {
    let share = |first: usize| -> Result<f64, Failure> {
        let mut scorer = scorer.fork()?;
        let mut sum = 0.0;
        for batch in batches.iter().skip(first).step_by(threads) {
            let scores = scorer.score(batch)?;
            let numbers = match scorer.task() {
                Task::Classification => scores.columns[1].as_fixed_size_list().values(),
                _ => &scores.columns[0],
            };
            let width = numbers.len() / batch.num_rows();
            sum += numbers.as_primitive::<Float64Type>().values().iter().skip(width - 1).step_by(width).sum::<f64>();
        }
        Ok(sum)
    };
    std::thread::scope(|scope| {
        let share = &share;
        let threads: Vec<_> = (0..threads).map(|first| scope.spawn(move || share(first))).collect();
        let sums = threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?);
        sums.sum()
    })
}
