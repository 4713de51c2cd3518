//! Opens what commands work on: the project and the run store. `session` opens the engine.

use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;
use windlass_error::Code;
use windlass_project::unit_tests::TestSuite;
use windlass_project::{LoadOptions, Loaded, Project, find_root};
use windlass_runner::RunStore;

use crate::refusal::Refusal;
use crate::report::Mistakes;
use crate::settings::Settings;

/// The version of this binary.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Reads the project. What is wrong with it is for the caller to judge.
pub(crate) fn load(settings: &Settings, vars: &[String]) -> anyhow::Result<Loaded> {
    Ok(windlass_project::load(&options(settings, vars)?))
}

/// Reads the project and its unit tests.
pub(crate) fn load_tests(settings: &Settings, vars: &[String]) -> anyhow::Result<TestSuite> {
    Ok(windlass_project::load_tests(&options(settings, vars)?))
}

fn options(settings: &Settings, vars: &[String]) -> anyhow::Result<LoadOptions> {
    Ok(LoadOptions {
        root: root(settings)?,
        target: settings.target.clone(),
        env_name: settings.env.clone(),
        vars: parse_vars(vars)?,
        env: settings.environment.clone(),
        version: VERSION.to_owned(),
    })
}

/// Reads the project for a command that needs no node of it, such as `runs ls`.
pub(crate) fn project(settings: &Settings) -> anyhow::Result<Project> {
    let Loaded { project, diagnostics, .. } = load(settings, &[])?;
    project.ok_or_else(|| Mistakes { diagnostics }.into())
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

/// Returns the folder of the project.
pub(crate) fn root(settings: &Settings) -> anyhow::Result<PathBuf> {
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
