//! The engine of a process and the threads that it computes on.
//!
//! Must stay true: when a session is over, however a command ends, no Python worker of it is left and
//! all that workers have printed is written.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Runtime;
use windlass_engine::{Engine, EngineConfig, Sample};
use windlass_project::Project;

use crate::output::Output;
use crate::python;
use crate::settings::Settings;
use crate::tracking;

/// Deep queries are planned by recursion; threads of a runtime have 2 MiB otherwise.
const STACK_BYTES: usize = 16 << 20;
/// How long workers may take to end. They are killed when the process ends in any case.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(5);
/// How long leftover work may take to notice that a command is over.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// An engine at work; closed when it is dropped, which waits for a moment.
pub(crate) struct Session {
    /// The engine.
    pub(crate) engine: Arc<Engine>,
    /// What Python prints.
    pub(crate) output: Arc<Output>,
    /// How many threads compute.
    pub(crate) threads: usize,
    runtime: Option<Runtime>,
}

impl Session {
    /// Opens the engine; `threads` wins over the target.
    pub(crate) fn open(
        settings: &Settings,
        project: &Project,
        threads: Option<u16>,
        output: Output,
    ) -> anyhow::Result<Self> {
        Self::open_on(settings, project, (threads, None), output)
    }

    /// Opens the engine for a share of the rows of sources, or for all.
    pub(crate) fn open_on(
        settings: &Settings,
        project: &Project,
        (threads, sample): (Option<u16>, Option<Sample>),
        output: Output,
    ) -> anyhow::Result<Self> {
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.map(usize::from).or(project.target.threads).unwrap_or_else(available).max(1);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .context("cannot start threads")?;
        let output = Arc::new(output);
        let aws = settings.environment.iter().filter(|(name, _)| name.starts_with("AWS_"));
        let config = EngineConfig {
            lake: project.target.lake.clone(),
            env: project.target.env.clone(),
            base: project.target.base.clone(),
            sample,
            memory: project.target.memory,
            threads,
            spill: settings.temporary.clone(),
            storage: project.target.storage.clone(),
            environment: aws.map(|(name, value)| (name.clone(), value.clone())).collect(),
            python: python::settings(settings, project, &output),
            // One that cannot be used is told of where runs are logged.
            mlflow: tracking::client(&settings.environment, &project.target).ok().flatten(),
        };
        // What belongs to an engine is made on its runtime.
        let engine = {
            let _inside = runtime.enter();
            Arc::new(Engine::try_new(config)?)
        };
        Ok(Self { engine, output, threads, runtime: Some(runtime) })
    }

    /// Runs a future to its end on the session's threads.
    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        let runtime = self.runtime.as_ref().expect("only `close` takes it, and nothing runs after that");
        runtime.block_on(future)
    }

    /// Ends the workers, writes what they have printed, and lets go of the threads.
    pub(crate) fn close(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let ended = runtime.block_on(async { tokio::time::timeout(SHUTDOWN_WAIT, self.engine.shutdown()).await });
        if ended.is_err() {
            tracing::warn!("workers still running, killed with the process");
        }
        runtime.shutdown_timeout(LAST_WAIT);
        self.output.flush();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}
