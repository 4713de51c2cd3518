//! A Python environment, workers, and programs to run in them.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef};
use serde_json::Map;
use windlass_worker::{
    BatchFormat, Environment, Gpu, InputMode, LockMode, MemoryBudget, OutputStream, Pool, PoolSettings, Program, Role,
    RowsMode, StartMode, TransformCode, WorkerOutput, Workers, WorkersConfig,
};

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// Runs a test to its end, two minutes at most.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    RUNTIME.block_on(async {
        tokio::time::timeout(Duration::from_secs(120), test).await.expect("the test takes two minutes at most")
    })
}

/// The test environment's interpreter.
pub(crate) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python-env");
        let output = Command::new(script).output().expect("Python can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    })
}

pub(crate) fn environment() -> Environment {
    Environment { python: python().to_owned(), key: "test".to_owned(), packages: BTreeMap::new() }
}

/// What workers print and what the user is told, for tests to look at.
#[derive(Default)]
pub(crate) struct Heard {
    lines: Mutex<Vec<(String, OutputStream, String)>>,
    notices: Mutex<Vec<String>>,
}

impl WorkerOutput for Heard {
    fn line(&self, node: &str, _worker: u32, stream: OutputStream, text: &str) {
        self.lines.lock().unwrap().push((node.to_owned(), stream, text.to_owned()));
    }
}

impl Heard {
    /// What a node's workers printed.
    pub(crate) fn of(&self, node: &str) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        lines.iter().filter(|(by, _, _)| by == node).map(|(_, _, text)| text.clone()).collect()
    }

    pub(crate) fn notices(&self) -> Vec<String> {
        self.notices.lock().unwrap().clone()
    }
}

/// A memory budget that can be looked at.
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    most: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0), most: AtomicUsize::new(0) })
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }

    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

impl MemoryBudget for Budget {
    fn try_grow(&self, bytes: usize) -> bool {
        let grown = self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| {
            (used + bytes <= self.limit).then_some(used + bytes)
        });
        self.most.fetch_max(self.used(), Ordering::SeqCst);
        grown.is_ok()
    }

    fn shrink(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::SeqCst);
    }
}

/// Workers, and what is heard from them.
pub(crate) struct Setup {
    pub(crate) workers: Arc<Workers>,
    pub(crate) heard: Arc<Heard>,
    pub(crate) budget: Arc<Budget>,
}

pub(crate) fn setup(cpus: u32, gpus: usize, memory: usize) -> Setup {
    let (heard, budget) = (Arc::<Heard>::default(), Budget::new(memory));
    let told = Arc::clone(&heard);
    let cache_dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let workers = Workers::new(WorkersConfig {
        lock_dir: cache_dir.join("locks"),
        cache_dir,
        lock_mode: LockMode::Update,
        offline: true,
        python: None,
        cpus,
        gpus: (0..gpus).map(|place| Gpu { id: format!("GPU-{place}") }).collect(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        memory: Arc::clone(&budget) as _,
        output: Arc::clone(&heard) as _,
        notices: Arc::new(move |text: &str| told.notices.lock().unwrap().push(text.to_owned())),
    });
    Setup { workers, heard, budget }
}

/// The workers that tests share.
pub(crate) fn shared() -> &'static Setup {
    static SHARED: LazyLock<Setup> = LazyLock::new(|| setup(256, 0, usize::MAX));
    &SHARED
}

/// A program that is being put together.
pub(crate) struct Code {
    _folder: tempfile::TempDir,
    pub(crate) program: Program,
}

/// Returns a program that calls `object`, a function unless its name starts with a capital, of a file with
/// this text. Its output columns are `y: Float64`, its input has the columns of [`numbers`].
pub(crate) fn code(object: &str, text: &str) -> Code {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("code.py");
    let text = unindent(text);
    std::fs::write(&file, format!("import os, sys, time, signal\nimport numpy as np\nimport pyarrow as pa\n{text}"))
        .unwrap();
    let transform = TransformCode {
        file,
        object: object.to_owned(),
        is_class: object.starts_with(char::is_uppercase),
        batch_format: BatchFormat::Pyarrow,
        rows: RowsMode::OneToOne,
        mode: InputMode::Batch,
        rowwise: true,
        key: Vec::new(),
        constructor_args: Vec::new(),
        constructor_kwargs: Map::new(),
        fn_args: Vec::new(),
        fn_kwargs: Map::new(),
        copy_inputs: false,
    };
    let program = Program {
        node: format!("node{}", NEXT.fetch_add(1, Ordering::Relaxed)),
        environment: environment(),
        role: Role::Transform(Box::new(transform)),
        input: numbers(0).schema(),
        output: schema(&[("y", DataType::Float64)]),
        root: folder.path().to_owned(),
        lib: Vec::new(),
        code_hash: text,
        vars: Map::new(),
        isolate: false,
        settings: PoolSettings {
            concurrency: (1, 1),
            num_cpus: 1.0,
            num_gpus: 0.0,
            timeout: None,
            start_timeout: Duration::from_secs(60),
            memory: None,
            start: StartMode::Fork,
        },
    };
    Code { _folder: folder, program }
}

impl Code {
    pub(crate) fn transform(&mut self) -> &mut TransformCode {
        match &mut self.program.role {
            Role::Transform(code) => code,
            Role::Functions { .. } | Role::Training(_) => panic!("it is a transform"),
        }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Program)) -> Self {
        change(&mut self.program);
        self
    }

    pub(crate) fn format(mut self, format: BatchFormat) -> Self {
        self.transform().batch_format = format;
        self
    }

    pub(crate) fn many(mut self) -> Self {
        self.transform().rows = RowsMode::Many;
        self
    }

    pub(crate) fn isolate(self) -> Self {
        self.with(|program| program.isolate = true)
    }

    pub(crate) fn timeout(self, millis: u64) -> Self {
        self.with(|program| program.settings.timeout = Some(Duration::from_millis(millis)))
    }

    pub(crate) fn workers(self, fewest: u32, most: u32) -> Self {
        self.with(|program| program.settings.concurrency = (fewest, most))
    }

    /// As many columns out as in.
    pub(crate) fn same(self) -> Self {
        self.with(|program| program.output = Arc::clone(&program.input))
    }

    pub(crate) fn output(self, columns: &[(&str, DataType)]) -> Self {
        self.with(|program| program.output = schema(columns))
    }

    pub(crate) fn node(&self) -> &str {
        &self.program.node
    }

    pub(crate) async fn pool(&self) -> Arc<Pool> {
        self.pool_in(shared()).await
    }

    pub(crate) async fn pool_in(&self, setup: &Setup) -> Arc<Pool> {
        setup.workers.pool(self.program.clone()).await.unwrap()
    }
}

fn unindent(text: &str) -> String {
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let indent = lines().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    text.lines().map(|line| line.get(indent..).unwrap_or("")).collect::<Vec<_>>().join("\n")
}

pub(crate) fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let field = |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// Returns a batch of one column for each name.
pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<_> = columns.iter().map(|(name, array)| (*name, array.data_type().clone())).collect();
    RecordBatch::try_new(schema(&fields), columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

/// Returns rows with `id` from 0, `x = id / 2` and `s = "row <id>"`.
pub(crate) fn numbers(rows: usize) -> RecordBatch {
    numbers_from(0, rows)
}

pub(crate) fn numbers_from(first: usize, rows: usize) -> RecordBatch {
    let ids = first as i64..(first + rows) as i64;
    batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(ids.clone()))),
        ("x", Arc::new(Float64Array::from_iter_values(ids.clone().map(|id| id as f64 / 2.0)))),
        ("s", Arc::new(StringArray::from_iter_values(ids.map(|id| format!("row {id}"))))),
    ])
}

pub(crate) fn floats(batch: &RecordBatch, column: usize) -> Vec<f64> {
    batch.column(column).as_primitive::<Float64Type>().values().to_vec()
}

pub(crate) fn ints(batch: &RecordBatch, column: usize) -> Vec<i64> {
    batch.column(column).as_primitive::<Int64Type>().values().to_vec()
}

/// Waits until something holds, half a minute at most.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "not within half a minute: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Returns whether a process runs.
pub(crate) fn is_running(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}
