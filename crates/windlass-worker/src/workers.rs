//! All workers of this process: their environments, their pools, and the machine they share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::environment::EnvironmentStore;
use crate::init::Init;
use crate::ledger::{Ledger, SharedLedger, WHOLE};
use crate::pool::{Pool, Shared, supervise, thousandths};
use crate::slots::Memory;
use crate::zygote::{Tasks, Zygote, Zygotes, lock};
use crate::{Environment, EnvironmentRequest, Error, LockedPackages, Program, WorkersConfig, sdk};

/// How long pools may take to close.
const CLOSE_LIMIT: Duration = Duration::from_secs(8);

/// All workers of this process. Dropping it kills them.
pub struct Workers {
    environments: Arc<EnvironmentStore>,
    memory: Arc<Memory>,
    ledger: Arc<SharedLedger>,
    zygotes: OnceLock<Arc<Zygotes>>,
    pools: Mutex<HashMap<String, Arc<Pool>>>,
    /// Processes that nobody has asked for a worker yet; see [`Workers::warm`].
    warm: Arc<Mutex<Vec<Arc<Zygote>>>>,
    /// Supervisors and whatever listens to zygotes. Nothing else keeps it alive.
    tasks: Arc<Tasks>,
    config: WorkersConfig,
}

impl Workers {
    /// Makes an empty set; starts nothing. All calls must come from one runtime.
    pub fn new(config: WorkersConfig) -> Arc<Self> {
        Arc::new(Self {
            environments: Arc::new(EnvironmentStore::new(&config)),
            memory: Memory::new(Arc::clone(&config.memory)),
            ledger: SharedLedger::new(Ledger::new(config.cpus, config.gpus.len())),
            zygotes: OnceLock::new(),
            pools: Mutex::default(),
            warm: Arc::default(),
            tasks: Arc::default(),
            config,
        })
    }

    /// Answers the environment that `request` asks for, building it where it is missing.
    pub async fn environment(&self, request: &EnvironmentRequest) -> Result<Environment, Error> {
        self.environments.prepare(request).await
    }

    /// Fails where the lock of an environment is missing or does not fit, and may not be written. Builds
    /// nothing.
    pub async fn check_lock(&self, request: &EnvironmentRequest) -> Result<(), Error> {
        self.environments.check_lock(request).await
    }

    /// Answers what the lock of `request` pins; `None` where there is no lock yet. Builds nothing.
    pub async fn locked(&self, request: &EnvironmentRequest) -> Result<Option<LockedPackages>, Error> {
        self.environments.locked(request).await
    }

    /// Gets an environment ready, and a process that has imported its packages, for a pool that will come: it
    /// starts in a few milliseconds then. Returns at once. What goes wrong is said to whoever asks for the pool.
    pub fn warm(&self, request: EnvironmentRequest) {
        let Ok(zygotes) = self.zygotes().map(Arc::clone) else { return };
        let (environments, warm) = (Arc::clone(&self.environments), Arc::downgrade(&self.warm));
        lock(&self.tasks).spawn(async move {
            let Ok(environment) = environments.prepare(&request).await else { return };
            let Ok(zygote) = zygotes.get(&environment, &request.node).await else { return };
            if let Some(warm) = warm.upgrade() {
                lock(&warm).push(zygote);
            }
        });
    }

    /// Answers the pool of `program`: the one that is there already, or a new one. Its fewest workers
    /// start at once.
    pub async fn pool(&self, program: Program) -> Result<Arc<Pool>, Error> {
        self.check_resources(&program)?;
        let zygotes = Arc::clone(self.zygotes()?);
        let key = key(&program)?;
        let mut pools = lock(&self.pools);
        if let Some(pool) = pools.get(&key).filter(|pool| !pool.core().is_broken() && !pool.core().is_closed()) {
            return Ok(Arc::clone(pool));
        }
        // What is left of earlier code of the same node serves nobody any more.
        for old in pools.values().filter(|pool| pool.program().node == program.node && Arc::strong_count(pool) == 1) {
            old.core().dismiss_idle();
        }
        let shared = Shared {
            zygotes,
            memory: Arc::clone(&self.memory),
            gpus: self.config.gpus.clone(),
            sink: Arc::clone(&self.config.output),
            notices: Arc::clone(&self.config.notices),
            ledger: Arc::clone(&self.ledger),
        };
        let pool = Arc::new(Pool::new(program, shared));
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(supervise(Arc::clone(pool.core())));
        pools.insert(key, Arc::clone(&pool));
        Ok(pool)
    }

    /// Returns the folder of what is kept between runs and can be made again.
    pub fn cache_dir(&self) -> &std::path::Path {
        &self.config.cache_dir
    }

    /// Returns the folder of a package that we need ourselves, for the library in it; see [`crate::fetch_wheel`].
    pub async fn wheel(&self, name: &str, version: &str) -> Result<std::path::PathBuf, Error> {
        crate::fetch_wheel(&self.config, name, version).await
    }

    /// Ends workers that have nothing to do, as if they had been idle for long. Their pools start new
    /// ones when batches come.
    pub fn dismiss_idle(&self) {
        lock(&self.warm).clear();
        for pool in lock(&self.pools).values() {
            pool.core().dismiss_idle();
        }
    }

    /// Stops all workers and waits for their end, a few seconds at most. Calls fail from now on.
    pub async fn shutdown(&self) {
        for (_, pool) in lock(&self.pools).drain() {
            pool.core().close();
        }
        lock(&self.warm).clear();
        // Taken out, so that no lock is held while they end.
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        if let Some(zygotes) = self.zygotes.get() {
            let all = async {
                // Supervisors end by themselves; listeners end with their zygotes, which are closed when
                // the last worker has let go of them.
                while tasks.join_next().await.is_some() {}
            };
            if tokio::time::timeout(CLOSE_LIMIT, all).await.is_err() {
                zygotes.close().await;
            }
        }
        tasks.shutdown().await;
    }

    fn zygotes(&self) -> Result<&Arc<Zygotes>, Error> {
        if let Some(zygotes) = self.zygotes.get() {
            return Ok(zygotes);
        }
        let sdk = sdk::install(&self.config.cache_dir)?;
        let tasks = Arc::downgrade(&self.tasks);
        Ok(self.zygotes.get_or_init(|| Arc::new(Zygotes::new(&self.config.env, &sdk, tasks))))
    }

    /// Refuses what could never be granted.
    fn check_resources(&self, program: &Program) -> Result<(), Error> {
        let settings = &program.settings;
        let refuse =
            |asked: String, available: String| Err(Error::Resources { node: program.node.clone(), asked, available });
        if thousandths(settings.num_cpus) > self.config.cpus.saturating_mul(WHOLE) {
            return refuse(format!("{} CPUs", settings.num_cpus), self.config.cpus.to_string());
        }
        let gpus = thousandths(settings.num_gpus);
        if gpus > WHOLE && !gpus.is_multiple_of(WHOLE) {
            return refuse(format!("{} GPUs", settings.num_gpus), "whole GPUs, or a share of one".to_owned());
        }
        if gpus.div_ceil(WHOLE) as usize > self.config.gpus.len() {
            return refuse(format!("{} GPUs", settings.num_gpus), self.config.gpus.len().to_string());
        }
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for (_, pool) in lock(&self.pools).drain() {
            pool.core().close();
        }
        lock(&self.warm).clear();
        lock(&self.tasks).abort_all();
    }
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").field("pools", &lock(&self.pools).len()).finish_non_exhaustive()
    }
}

/// Returns what a program hashes to: everything that a worker sees, and how many there may be.
fn key(program: &Program) -> Result<String, Error> {
    let init = Init::new(program, 0).map_err(|err| Error::Process {
        node: program.node.clone(),
        operation: "encode a schema",
        source: std::io::Error::other(err),
    })?;
    let settings = format!("{:?}", program.settings);
    let python = program.environment.python.as_os_str().as_encoded_bytes();
    let mut hasher = Sha256::new();
    for part in [
        &init.json,
        &init.input,
        &init.output,
        &init.constants,
        program.environment.key.as_bytes(),
        python,
        program.code_hash.as_bytes(),
        settings.as_bytes(),
    ] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
