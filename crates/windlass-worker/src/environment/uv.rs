//! Finds uv, fetches it where there is none, and runs it.
//!
//! uv sees the environment variables that we were given and nothing else, less those that would
//! turn its work on another folder. Its standard error is the explanation of a failure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::guard::Guard;
use super::pip::{Additions, PipSettings};
use crate::{Error, WorkersConfig};

/// The version that is fetched.
const VERSION: &str = "0.13.8";

/// The oldest version, as major and minor, that writes and reads locks the way we use them.
const OLDEST: (u32, u32) = (0, 8);

/// Variables that point uv or Python at other folders, or change what uv prints.
const REMOVED: &[&str] = &[
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    "PYTHONHOME",
    "PYTHONPATH",
    "RUST_LOG",
    "UV_FROZEN",
    "UV_ISOLATED",
    "UV_LOCKED",
    "UV_NO_SYNC",
    "UV_PREVIEW",
    "UV_PROJECT",
    "UV_PYTHON",
    "UV_WORKING_DIR",
    "VIRTUAL_ENV",
];

/// uv, ready to be run.
#[derive(Debug)]
pub(super) struct Uv {
    program: PathBuf,
    env: BTreeMap<String, String>,
    /// What pip is told about where packages are.
    pub(super) pip: PipSettings,
}

/// One thing for uv to do.
#[derive(Debug)]
pub(super) struct Task<'a> {
    /// Where it works.
    pub(super) folder: &'a Path,
    /// The subcommand and what follows it.
    pub(super) arguments: Vec<OsString>,
    /// The environment that it fills, for `sync`.
    pub(super) environment: Option<&'a Path>,
    /// What pip's settings add.
    pub(super) additions: Additions,
}

/// Why uv did not do a thing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It could not be started.
    Start(std::io::Error),
    /// It failed and said this.
    Said(String),
}

impl Uv {
    /// Finds uv on the path or in the cache, or fetches it into the cache.
    pub(super) async fn find(config: &WorkersConfig) -> Result<Self, Error> {
        let mut tried = Vec::new();
        let program = match on_path(&config.env, "uv") {
            Some(program) => match check(&program, config).await {
                Ok(()) => Some(program),
                Err(why) => {
                    tried.push(format!("`{}` {why}", program.display()));
                    None
                }
            },
            None => {
                tried.push("there is no `uv` on the path".to_owned());
                None
            }
        };
        let program = match program {
            Some(program) => program,
            None => cached(config, tried).await?,
        };
        let pip = PipSettings::read(&config.env);
        let mut env = config.env.clone();
        REMOVED.iter().for_each(|name| drop(env.remove(*name)));
        env.insert("UV_NO_PROGRESS".to_owned(), "1".to_owned());
        if !env.contains_key("UV_MANAGED_PYTHON") && !env.contains_key("UV_NO_MANAGED_PYTHON") {
            env.entry("UV_PYTHON_PREFERENCE".to_owned()).or_insert_with(|| "system".to_owned());
        }
        if is_offline(config) {
            env.insert("UV_OFFLINE".to_owned(), "1".to_owned());
            env.insert("UV_PYTHON_DOWNLOADS".to_owned(), "never".to_owned());
        }
        Ok(Self { program, env, pip })
    }

    /// Returns its file.
    #[cfg(test)]
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Runs uv to its end. When the answer is not waited for, uv is killed.
    pub(super) async fn run(&self, task: Task<'_>) -> Result<(), Trouble> {
        let mut command = Command::new(&self.program);
        command.args(&task.arguments).args(["--quiet", "--color", "never"]).current_dir(task.folder);
        if task.additions.no_index {
            command.arg("--no-index");
        }
        command.env_clear().envs(&self.env).envs(&task.additions.variables).env("PWD", task.folder);
        if let Some(environment) = task.environment {
            command.env("UV_PROJECT_ENVIRONMENT", environment);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        tracing::debug!(arguments = ?task.arguments, folder = %task.folder.display(), "starting uv");
        let output = command.output().await.map_err(Trouble::Start)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(Trouble::Said(said)) }
    }
}

/// Returns whether the network is forbidden, by us or for uv.
fn is_offline(config: &WorkersConfig) -> bool {
    let set = config.env.get("UV_OFFLINE").map(|value| value.to_lowercase());
    config.offline || set.is_some_and(|value| !["", "0", "false", "no", "off"].contains(&value.as_str()))
}

/// Returns uv of the cache, fetching it when it is not there.
async fn cached(config: &WorkersConfig, mut tried: Vec<String>) -> Result<PathBuf, Error> {
    let home = config.cache_dir.join("uv");
    let folder = home.join(VERSION);
    let program = folder.join("bin/uv");
    if is_program(&program) {
        return Ok(program);
    }
    let missing = |tried: &[String]| Error::Uv { output: tried.join("\n") };
    tried.push(format!("there is none at `{}`", program.display()));
    if is_offline(config) {
        tried.push("offline, it may not be fetched".to_owned());
        return Err(missing(&tried));
    }
    let _guard = Guard::wait(&home.join("fetch.guard")).await?;
    if is_program(&program) {
        return Ok(program);
    }
    let arriving = home.join(format!("{VERSION}.arriving"));
    for python in pythons(config) {
        // What an interrupted fetch left behind.
        remove(&arriving).await?;
        match fetch(config, &python, &arriving).await {
            Ok(()) => {
                let cache = |source| Error::Cache { operation: "put uv into", path: folder.clone(), source };
                remove(&folder).await?;
                tokio::fs::rename(&arriving, &folder).await.map_err(cache)?;
                (config.notices)(&format!("fetched uv {VERSION} into the cache"));
                return Ok(program);
            }
            Err(why) => tried.push(format!("`{} -m pip install uv=={VERSION}` failed: {why}", python.display())),
        }
    }
    remove(&arriving).await?;
    if pythons(config).is_empty() {
        tried.push("there is no `python3` on the path to fetch it with".to_owned());
    }
    Err(missing(&tried))
}

async fn fetch(config: &WorkersConfig, python: &Path, target: &Path) -> Result<(), String> {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--quiet", "--no-deps", "--no-input", "--disable-pip-version-check"]);
    command.args(["--only-binary", ":all:", "--target"]).arg(target).arg(format!("uv=={VERSION}"));
    let said = said_by(&mut command, config).await?;
    if is_program(&target.join("bin/uv")) {
        return Ok(());
    }
    // Below `ERROR: Exception:` stands a stack, and what happened in its last line.
    let reason = said.lines().rev().find(|line| line.starts_with("ERROR: ") && !line.ends_with(':'));
    let reason = reason.or_else(|| said.lines().next_back());
    Err(reason.unwrap_or("it brought no `bin/uv`").trim_start_matches("ERROR: ").trim().to_owned())
}

/// Returns why a uv on the path will not do.
async fn check(program: &Path, config: &WorkersConfig) -> Result<(), String> {
    let said = said_by(Command::new(program).arg("--version"), config).await?;
    let version = said.split_whitespace().nth(1).unwrap_or_default();
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => Ok(()),
        (Some(_), Some(_)) => Err(format!("is uv {version}, older than {}.{}", OLDEST.0, OLDEST.1)),
        _ => Err("does not tell its version".to_owned()),
    }
}

/// Runs a command and returns what it printed, on either stream.
async fn said_by(command: &mut Command, config: &WorkersConfig) -> Result<String, String> {
    command.env_clear().envs(&config.env).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| format!("cannot be started: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// Returns the interpreters whose pip may fetch uv.
fn pythons(config: &WorkersConfig) -> Vec<PathBuf> {
    let on_path = ["python3", "python"].into_iter().filter_map(|name| on_path(&config.env, name));
    config.python.clone().into_iter().chain(on_path).collect()
}

fn on_path(env: &BTreeMap<String, String>, name: &str) -> Option<PathBuf> {
    std::env::split_paths(env.get("PATH")?)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

async fn remove(folder: &Path) -> Result<(), Error> {
    match tokio::fs::remove_dir_all(folder).await {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Cache { operation: "remove", path: folder.to_owned(), source })
        }
        _ => Ok(()),
    }
}
