//! The workers of an engine: what they are set up with, and the memory that they may take.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use windlass_worker::{Gpu, LockMode, MemoryBudget, WorkerOutput, Workers, WorkersConfig};

/// How Python runs; see `WorkersConfig` for each.
#[derive(Clone)]
pub struct PythonSettings {
    /// Folder for environments, the Python package and uv.
    pub cache_dir: PathBuf,
    /// Folder of the project's lock files.
    pub lock_dir: PathBuf,
    /// What happens to a lock that is missing or out of date.
    pub lock_mode: LockMode,
    /// Forbids the network.
    pub offline: bool,
    /// The interpreter that environments are built from.
    pub interpreter: Option<PathBuf>,
    /// GPUs to share out.
    pub gpus: Vec<Gpu>,
    /// How long a transform computes at least before it keeps what it has.
    pub piece: Duration,
    /// Environment variables of this process.
    pub env: BTreeMap<String, String>,
    /// Receives what user code prints.
    pub output: Arc<dyn WorkerOutput>,
    /// Receives what the user should know.
    pub notices: Arc<dyn Fn(&str) + Send + Sync>,
}

/// Leaves out the environment variables, which may hold secrets.
impl fmt::Debug for PythonSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PythonSettings")
            .field("cache_dir", &self.cache_dir)
            .field("lock_dir", &self.lock_dir)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

/// Shared slots count towards the memory limit of queries.
struct PoolBudget(MemoryReservation);

impl MemoryBudget for PoolBudget {
    fn try_grow(&self, bytes: usize) -> bool {
        self.0.try_grow(bytes).is_ok()
    }

    fn shrink(&self, bytes: usize) {
        self.0.shrink(bytes);
    }
}

/// Returns the workers of an engine; starts nothing.
pub(crate) fn workers(settings: PythonSettings, runtime: &RuntimeEnv, threads: usize) -> Arc<Workers> {
    let reservation = MemoryConsumer::new("Python workers").register(&runtime.memory_pool);
    Workers::new(WorkersConfig {
        cache_dir: settings.cache_dir,
        lock_dir: settings.lock_dir,
        lock_mode: settings.lock_mode,
        offline: settings.offline,
        python: settings.interpreter,
        cpus: u32::try_from(threads).unwrap_or(u32::MAX),
        gpus: settings.gpus,
        env: settings.env,
        memory: Arc::new(PoolBudget(reservation)),
        output: settings.output,
        notices: settings.notices,
    })
}
