//! Opens what commands work on: the project, the engine, the run store, a runtime.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use indexmap::IndexMap;
use windlass_engine::{Engine, EngineConfig};
use windlass_error::Code;
use windlass_project::{LoadOptions, Loaded, Project, find_root};
use windlass_runner::RunStore;

use crate::refusal::Refusal;
use crate::report::Mistakes;
use crate::settings::Settings;

/// Deep queries are planned by recursion; threads of a runtime have 2 MiB otherwise.
const STACK_BYTES: usize = 16 << 20;

/// The version of this binary.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Reads the project. What is wrong with it is for the caller to judge.
pub(crate) fn load(settings: &Settings, vars: &[String]) -> anyhow::Result<Loaded> {
    Ok(windlass_project::load(&LoadOptions {
        root: root(settings)?,
        target: settings.target.clone(),
        env_name: settings.env.clone(),
        vars: parse_vars(vars)?,
        env: settings.environment.clone(),
        version: VERSION.to_owned(),
    }))
}

/// Reads the project for a command that needs no node of it, such as `runs ls`.
pub(crate) fn project(settings: &Settings) -> anyhow::Result<Project> {
    let Loaded { project, diagnostics, .. } = load(settings, &[])?;
    project.ok_or_else(|| Mistakes { diagnostics }.into())
}

/// Returns how many threads work.
pub(crate) fn threads(project: &Project, flag: Option<u16>) -> usize {
    let available = || std::thread::available_parallelism().map_or(1, usize::from);
    flag.map(usize::from).or(project.target.threads).unwrap_or_else(available).max(1)
}

/// Returns a runtime; each of its threads computes.
pub(crate) fn runtime(threads: usize) -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .context("cannot start threads")
}

/// Returns the engine of this process.
pub(crate) fn engine(settings: &Settings, project: &Project, threads: usize) -> anyhow::Result<Arc<Engine>> {
    let aws = settings.environment.iter().filter(|(name, _)| name.starts_with("AWS_"));
    let config = EngineConfig {
        lake: project.target.lake.clone(),
        env: project.target.env.clone(),
        memory: project.target.memory,
        threads,
        spill: settings.temporary.clone(),
        storage: project.target.storage.clone(),
        environment: aws.map(|(name, value)| (name.clone(), value.clone())).collect(),
    };
    Ok(Arc::new(Engine::try_new(config)?))
}

/// Opens the run store, and makes it where there is none.
pub(crate) fn store(project: &Project) -> anyhow::Result<Arc<RunStore>> {
    Ok(Arc::new(RunStore::open(&project.target.state)?))
}

/// Opens the run store; `None` where nothing has run yet, so that looking leaves nothing behind.
pub(crate) fn existing_store(project: &Project) -> anyhow::Result<Option<Arc<RunStore>>> {
    let is_there = project.target.state.try_exists().unwrap_or(true);
    is_there.then(|| store(project)).transpose()
}

fn root(settings: &Settings) -> anyhow::Result<PathBuf> {
    let hint = "go to the folder of a `windlass.yml`, name it with -p, or make one: windlass init";
    match &settings.project {
        Some(folder) => {
            let root = settings.current.join(folder);
            if root.join("windlass.yml").is_file() {
                return Ok(root);
            }
            let message = format!("no project in `{}`: it has no `windlass.yml`", folder.display());
            Err(Refusal::new(message).code(Code::NO_PROJECT).hint(hint).into())
        }
        None => find_root(&settings.current).ok_or_else(|| {
            let message = "no project here: no `windlass.yml` in this folder or above it";
            Refusal::new(message).code(Code::NO_PROJECT).hint(hint).into()
        }),
    }
}

fn parse_vars(vars: &[String]) -> anyhow::Result<IndexMap<String, String>> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => {
            let refusal = Refusal::new(format!("`{text}` is not a variable with its value"));
            Err(refusal.hint("write --vars name=value, such as --vars late_minutes=30").into())
        }
    };
    vars.iter().map(pair).collect()
}
