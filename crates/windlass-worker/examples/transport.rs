//! Measures what it costs to hand batches to Python: rows a second, and processor time a batch.
//!
//! `cargo run --release --example transport -- <python> <fma|identity11|sleep> <rows> <batches> <workers>`
//!
//! `fma` computes one column of three, `identity11` returns all columns without the first row, `alias11`
//! returns them as they are, `sleep` waits a millisecond. The input has ten columns of floats and one
//! of text. Processor time is that of this process and of its workers, also while a call runs.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::Map;
use tokio::task::JoinSet;
use windlass_worker::{
    BatchFormat, Environment, InputMode, LockMode, MemoryBudget, OutputStream, PoolSettings, Program, Role, RowsMode,
    StartMode, TransformCode, WorkerOutput, Workers, WorkersConfig,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const CODE: &str = "
import time
import pyarrow as pa

def fma(batch):
    a, b, c = (batch[name].chunk(0).to_numpy() for name in ('c0', 'c1', 'c2'))
    return {'y': a * b + c}

def identity11(batch):
    # A row less: nothing is passed through.
    return batch.slice(1)

def alias11(batch):
    return batch

def sleep(batch):
    time.sleep(0.001)
    return {'y': batch['c0']}
";

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [python, function, rows, batches, workers] = &arguments[..] else {
        return Err("usage: transport <python> <fma|identity11|alias11|sleep> <rows> <batches> <workers>".into());
    };
    let (rows, batches, most) = (rows.parse()?, batches.parse()?, workers.parse()?);
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("code.py"), CODE)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let program = program(Path::new(python), folder.path(), function, most);
    let folder = folder.path().to_owned();
    let line = runtime.block_on(async {
        // On the runtime's own threads, as an engine's operators are.
        let mut tasks = JoinSet::new();
        tasks.spawn(measure(program, folder, rows, batches));
        tasks.join_next().await.ok_or("the measuring task is there")??
    })?;
    writeln!(std::io::stdout(), "function={function} {line}")?;
    Ok(())
}

/// Hands `batches` batches over and returns what it cost.
async fn measure(program: Program, folder: PathBuf, rows: usize, batches: usize) -> Result<String, Failure> {
    let workers = workers(&folder, program.settings.concurrency.1);
    let pool = workers.pool(program).await?;
    let inputs: Vec<_> = (0..4).map(|seed| input(seed, rows)).collect();
    // Workers and their memory are there before the clock starts.
    for input in inputs.iter().cycle().take(8 * pool.in_flight_limit()) {
        pool.call(input.clone()).await?;
    }
    let ((own, theirs), began) = (cpu_times(), Instant::now());
    let mut calls = JoinSet::new();
    for input in inputs.iter().cycle().take(batches) {
        if calls.len() >= pool.in_flight_limit()
            && let Some(answer) = calls.join_next().await
        {
            answer?;
        }
        let (pool, input) = (Arc::clone(&pool), input.clone());
        calls.spawn(async move { pool.call(input).await.map(drop).expect("the call succeeds") });
    }
    while let Some(answer) = calls.join_next().await {
        answer?;
    }
    let (elapsed, (own_after, theirs_after)) = (began.elapsed(), cpu_times());
    let (began, single) = (Instant::now(), batches.min(1000));
    for input in inputs.iter().cycle().take(single) {
        pool.call(input.clone()).await?;
    }
    let alone = began.elapsed();
    workers.shutdown().await;
    let micros = |time: Duration, count: usize| time.as_secs_f64() * 1e6 / count.max(1) as f64;
    Ok(format!(
        "rows={rows} batches={batches} rows_per_s={:.0} cpu_us_per_batch={:.1} engine_us={:.1} worker_us={:.1} alone_us={:.1}",
        (rows * batches) as f64 / elapsed.as_secs_f64(),
        micros(own_after - own + theirs_after - theirs, batches),
        micros(own_after - own, batches),
        micros(theirs_after - theirs, batches),
        micros(alone, single),
    ))
}

fn workers(folder: &Path, cpus: u32) -> Arc<Workers> {
    Workers::new(WorkersConfig {
        cache_dir: folder.join("cache"),
        lock_dir: folder.join("locks"),
        lock_mode: LockMode::Update,
        offline: true,
        python: None,
        cpus,
        gpus: Vec::new(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        memory: Arc::new(Unlimited),
        output: Arc::new(Silent),
        notices: Arc::new(|_| {}),
    })
}

fn program(python: &Path, folder: &Path, function: &str, most: u32) -> Program {
    let input = Arc::clone(input(0, 0).schema_ref());
    let output = match function {
        "identity11" | "alias11" => Arc::clone(&input),
        _ => Arc::new(Schema::new(vec![Field::new("y", DataType::Float64, true)])),
    };
    let code = TransformCode {
        file: folder.join("code.py"),
        object: function.to_owned(),
        is_class: false,
        batch_format: BatchFormat::Pyarrow,
        rows: if function == "identity11" { RowsMode::Many } else { RowsMode::OneToOne },
        mode: InputMode::Batch,
        rowwise: true,
        key: Vec::new(),
        constructor_args: Vec::new(),
        constructor_kwargs: Map::new(),
        fn_args: Vec::new(),
        fn_kwargs: Map::new(),
        copy_inputs: false,
    };
    Program {
        node: "transport".to_owned(),
        environment: Environment { python: python.to_owned(), key: "transport".to_owned(), packages: BTreeMap::new() },
        role: Role::Transform(Box::new(code)),
        input,
        output,
        root: folder.to_owned(),
        lib: Vec::new(),
        code_hash: String::new(),
        vars: Map::new(),
        isolate: true,
        settings: PoolSettings {
            concurrency: (most, most),
            num_cpus: 1.0,
            num_gpus: 0.0,
            timeout: None,
            start_timeout: Duration::from_secs(60),
            memory: None,
            start: StartMode::Fork,
        },
    }
}

fn input(seed: usize, rows: usize) -> RecordBatch {
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for column in 0..10 {
        let values = (0..rows).map(|row| (row * column + seed) as f64 * 0.5);
        columns.push((format!("c{column}"), Arc::new(Float64Array::from_iter_values(values))));
    }
    let texts = (0..rows).map(|row| format!("u{seed}-{row}"));
    columns.push(("s".to_owned(), Arc::new(StringArray::from_iter_values(texts))));
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns have one length")
}

/// Returns the processor times of this process and of all below it.
fn cpu_times() -> (Duration, Duration) {
    let mut parents = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)?.parse::<u32>().ok());
        parents.insert(pid, parent.unwrap_or(0));
    }
    let own = std::process::id();
    let is_below =
        |pid: u32| std::iter::successors(Some(pid), |pid| parents.get(pid).copied()).skip(1).any(|pid| pid == own);
    let time = |pid: u32| threads_time(&PathBuf::from(format!("/proc/{pid}/task")));
    (time(own), parents.keys().filter(|pid| is_below(**pid)).map(|pid| time(*pid)).sum())
}

fn threads_time(tasks: &Path) -> Duration {
    let mut nanos = 0;
    for task in std::fs::read_dir(tasks).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        nanos += text.split(' ').next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    }
    Duration::from_nanos(nanos)
}

struct Unlimited;

impl MemoryBudget for Unlimited {
    fn try_grow(&self, _bytes: usize) -> bool {
        true
    }

    fn shrink(&self, _bytes: usize) {}
}

struct Silent;

impl WorkerOutput for Silent {
    fn line(&self, _node: &str, _worker: u32, _stream: OutputStream, _text: &str) {}
}
