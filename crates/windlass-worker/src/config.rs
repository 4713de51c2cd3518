//! What the caller brings along: folders, limits, and where output goes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Settings of all workers of this process.
#[derive(Clone)]
pub struct WorkersConfig {
    /// Folder for environments, the Python package and uv; shared by projects and processes.
    pub cache_dir: PathBuf,
    /// Folder of the project's lock files, `<project>/locks`.
    pub lock_dir: PathBuf,
    /// What happens to a lock that is missing or out of date.
    pub lock_mode: LockMode,
    /// Forbids the network: environments come from locks and caches, or not at all.
    pub offline: bool,
    /// The interpreter that environments are built from; `None` lets uv choose.
    pub python: Option<PathBuf>,
    /// CPU slots to share out between workers.
    pub cpus: u32,
    /// GPUs to share out between workers.
    pub gpus: Vec<Gpu>,
    /// Environment variables of this process, handed on to workers and uv.
    pub env: BTreeMap<String, String>,
    /// Asked before shared memory grows.
    pub memory: Arc<dyn MemoryBudget>,
    /// Receives what user code prints.
    pub output: Arc<dyn WorkerOutput>,
    /// Receives one line for each thing the user should know: uv fetched, environment built.
    pub notices: Arc<dyn Fn(&str) + Send + Sync>,
}

/// What happens to a lock that is missing or out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// It is written.
    Update,
    /// It is an error.
    Locked,
}

/// A GPU of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// What `CUDA_VISIBLE_DEVICES` takes: a UUID, or an index.
    pub id: String,
}

/// The memory that shared slots may take.
pub trait MemoryBudget: Send + Sync {
    /// Asks for more; `false` means that there is none left.
    fn try_grow(&self, bytes: usize) -> bool;
    /// Gives some back.
    fn shrink(&self, bytes: usize);
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// `print`.
    Stdout,
    /// `logging`, warnings, stack dumps.
    Stderr,
}

/// Receives what user code prints, a line at a time, at once.
pub trait WorkerOutput: Send + Sync {
    /// Takes a line without its end. `worker` counts from 1 within a node. Called from a task: returns quickly.
    fn line(&self, node: &str, worker: u32, stream: OutputStream, text: &str);
}
