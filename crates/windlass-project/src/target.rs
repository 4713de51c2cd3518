//! Where a project runs: one entry of `targets.yml`, rendered.

use indexmap::IndexMap;

use crate::OpenLineage;

/// Where a project runs.
#[derive(Clone)]
pub struct Target {
    /// The target's name.
    pub name: String,
    /// Absolute folder or URL below which `<env>/<table>/` stand.
    pub lake: String,
    /// Absolute folder of the run store.
    pub state: std::path::PathBuf,
    /// Name of the environment, the first folder below the lake.
    pub env: String,
    /// The environment that the target itself names, whichever was chosen.
    pub own_env: String,
    /// The environment whose tables are read where this one has none of its own; never `env` itself.
    pub base: Option<String>,
    /// Environments that only promotions write to, and runs that say so.
    pub protected: Vec<String>,
    /// How much memory queries may use.
    pub memory: MemoryLimit,
    /// How many threads work; `None` takes all that the process may use.
    pub threads: Option<usize>,
    /// Settings of the object store, as named in `storage:` (`endpoint`, `region`, `access_key_id`,
    /// `secret_access_key`, `allow_http`, ...). Values may be secret: never print them.
    pub storage: IndexMap<String, String>,
    /// Where events about runs go, if anywhere.
    pub openlineage: Option<OpenLineage>,
    /// The MLflow server of its models, where `MLFLOW_TRACKING_URI` names no other. May be secret: never print it.
    pub tracking: Option<String>,
}

impl Target {
    /// Returns whether an environment is written to by promotions, and by runs that say so, only.
    pub fn is_protected(&self, env: &str) -> bool {
        self.protected.iter().any(|name| name == env)
    }
}

/// Shows the names of storage settings, never their values.
impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, lake, state, env, own_env, base, protected, memory, threads, storage, openlineage, tracking } =
            self;
        f.debug_struct("Target")
            .field("name", name)
            .field("lake", lake)
            .field("state", state)
            .field("env", env)
            .field("own_env", own_env)
            .field("base", base)
            .field("protected", protected)
            .field("memory", memory)
            .field("threads", threads)
            .field("storage", &storage.keys().collect::<Vec<_>>())
            .field("openlineage", openlineage)
            .field("tracking", &tracking.is_some())
            .finish()
    }
}

/// How much memory queries may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MemoryLimit {
    /// A part of what the process may use, from 0 to 1.
    Fraction(f64),
    /// Bytes.
    Bytes(u64),
}
