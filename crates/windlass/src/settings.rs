//! Flags and environment, resolved once. The only place that reads environment variables.
//!
//! A flag wins over a variable, a variable over the project's files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use windlass_worker::LockMode;

use crate::cli::{Cli, GlobalArgs};
use crate::refusal::Refusal;

/// How long a transform computes at least before it keeps what it has: little to lose, and so much that what a
/// piece costs does not matter.
const PIECE: Duration = Duration::from_secs(20);

/// What all commands need to know.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The project's folder, where one is named.
    pub(crate) project: Option<PathBuf>,
    /// The current folder.
    pub(crate) current: PathBuf,
    /// The target, where one is named.
    pub(crate) target: Option<String>,
    /// The environment, where one is named.
    pub(crate) env: Option<String>,
    /// What to log, as a filter of `tracing`; `None` logs nothing.
    pub(crate) log: Option<String>,
    /// Where builds are held, for tests that kill the process there.
    pub(crate) hold_at: Option<HoldPoint>,
    /// Folder for data that does not fit the memory.
    pub(crate) temporary: PathBuf,
    /// How Python runs.
    pub(crate) python: PythonOptions,
    /// The environment variables of the process.
    pub(crate) environment: BTreeMap<String, String>,
}

/// How Python runs.
#[derive(Debug, Clone)]
pub(crate) struct PythonOptions {
    /// The folder that keeps environments; `None` where the user has no folder for such things.
    pub(crate) cache: Option<PathBuf>,
    /// What happens to a lock that is missing or out of date.
    pub(crate) lock_mode: LockMode,
    /// Whether the network is forbidden.
    pub(crate) offline: bool,
    /// The interpreter that environments are built from, where one is named.
    pub(crate) interpreter: Option<PathBuf>,
    /// The GPUs that the process may use, where it is told.
    pub(crate) visible_gpus: Option<Vec<String>>,
    /// How long a transform computes at least before it keeps what it has; tests have less patience.
    pub(crate) piece: Duration,
}

/// A point of a build at which the process stops for good: `staged:feat_flight`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HoldPoint {
    /// The phase.
    pub(crate) phase: windlass_engine::Phase,
    /// The node.
    pub(crate) node: String,
}

impl Settings {
    /// Resolves flags and environment.
    pub(crate) fn resolve(flags: &GlobalArgs) -> anyhow::Result<Self> {
        let environment = environment();
        let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
        let log = variable("WINDLASS_LOG").or_else(|| match flags.verbose {
            0 => None,
            1 => Some("windlass=info".to_owned()),
            _ => Some("windlass=debug".to_owned()),
        });
        Ok(Self {
            project: flags.project.clone().or_else(|| variable("WINDLASS_PROJECT").map(PathBuf::from)),
            current: std::env::current_dir().context("cannot find the current folder")?,
            target: flags.target.clone().or_else(|| variable("WINDLASS_TARGET")),
            env: flags.env.clone().or_else(|| variable("WINDLASS_ENV")),
            log,
            hold_at: variable("WINDLASS_TEST_HOLD_AT").map(|point| HoldPoint::parse(&point)).transpose()?,
            temporary: std::env::temp_dir(),
            python: PythonOptions::resolve(flags, &environment)?,
            environment,
        })
    }

    /// Resolves the environment alone.
    pub(crate) fn of_environment() -> anyhow::Result<Self> {
        Self::resolve(&Cli::try_parse_from(["windlass", "ls"])?.global)
    }
}

impl PythonOptions {
    fn resolve(flags: &GlobalArgs, environment: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        let is_locked = flags.locked || is_on("WINDLASS_LOCKED", variable("WINDLASS_LOCKED"))?;
        let offline = flags.offline || is_on("WINDLASS_OFFLINE", variable("WINDLASS_OFFLINE"))?;
        let current = std::env::current_dir().context("cannot find the current folder")?;
        // Relative paths in XDG variables are to be ignored, says their specification.
        let shared = variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
        let shared = shared.or_else(|| variable("HOME").map(|home| current.join(home).join(".cache")));
        let own = variable("WINDLASS_CACHE_DIR").map(|folder| current.join(folder));
        // A bare name such as `python3.12` is looked up by uv.
        let interpreter = variable("WINDLASS_PYTHON").map(|name| match name.contains('/') {
            true => current.join(name),
            false => PathBuf::from(name),
        });
        Ok(Self {
            cache: own.or_else(|| shared.map(|folder| folder.join("windlass"))),
            lock_mode: if is_locked { LockMode::Locked } else { LockMode::Update },
            offline,
            interpreter,
            // An empty value hides all of them.
            visible_gpus: environment.get("CUDA_VISIBLE_DEVICES").map(|devices| visible(devices)),
            piece: variable("WINDLASS_TEST_PIECE_MS").map_or(Ok(PIECE), |text| piece(text))?,
        })
    }
}

impl HoldPoint {
    fn parse(text: &str) -> anyhow::Result<Self> {
        use windlass_engine::Phase;
        let (phase, node) = text.split_once(':').unwrap_or((text, ""));
        let phase = match phase {
            "staging" => Phase::Staging,
            "staged" => Phase::Staged,
            "committed" => Phase::Committed,
            _ => {
                let message = format!("`{text}` is no point at which a build can be held");
                let hint = "WINDLASS_TEST_HOLD_AT takes staging:NODE, staged:NODE or committed:NODE";
                return Err(Refusal::new(message).hint(hint).into());
            }
        };
        Ok(Self { phase, node: node.to_owned() })
    }
}

impl std::fmt::Display for HoldPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let phase = match self.phase {
            windlass_engine::Phase::Staging => "staging",
            windlass_engine::Phase::Staged => "staged",
            windlass_engine::Phase::Committed => "committed",
        };
        write!(f, "{phase}:{}", self.node)
    }
}

/// Reads how long a piece of a transform takes at least, in milliseconds.
fn piece(text: &str) -> anyhow::Result<Duration> {
    let refused = |_| Refusal::new(format!("WINDLASS_TEST_PIECE_MS is `{text}`, which is no number of milliseconds"));
    Ok(Duration::from_millis(text.parse().map_err(refused)?))
}

/// Reads a variable that turns something on.
fn is_on(name: &str, value: Option<&String>) -> anyhow::Result<bool> {
    match value.map(String::as_str) {
        Some("1" | "true") => Ok(true),
        None | Some("0" | "false") => Ok(false),
        Some(other) => {
            let refusal = Refusal::new(format!("{name} is `{other}`, which is neither yes nor no"));
            Err(refusal.hint("write 1 or true, 0 or false").into())
        }
    }
}

/// Returns the devices of `CUDA_VISIBLE_DEVICES`. CUDA reads up to the first that cannot be one.
fn visible(devices: &str) -> Vec<String> {
    let names = devices.split(',').map(str::trim);
    names.take_while(|name| !name.is_empty() && !name.starts_with('-')).map(str::to_owned).collect()
}

/// Returns whether `NO_COLOR` asks for plain text: set, and not empty (<https://no-color.org>).
#[expect(clippy::disallowed_methods, reason = "the place that reads the environment")]
pub(crate) fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Returns the variables that are text; no project can name another.
#[expect(clippy::disallowed_methods, reason = "the place that reads the environment")]
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(args: &[&str], environment: &[(&str, &str)]) -> PythonOptions {
        let flags = Cli::try_parse_from([&["windlass", "ls"], args].concat()).unwrap().global;
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        PythonOptions::resolve(&flags, &environment.iter().map(pair).collect()).unwrap()
    }

    #[test]
    fn the_cache_is_where_the_user_keeps_such_things() {
        let check = |environment: &[(&str, &str)], cache: Option<&str>| {
            assert_eq!(resolve(&[], environment).cache, cache.map(PathBuf::from), "{environment:?}");
        };
        check(&[("WINDLASS_CACHE_DIR", "/c"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")], Some("/c"));
        check(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")], Some("/x/windlass"));
        check(&[("XDG_CACHE_HOME", "x"), ("HOME", "/h")], Some("/h/.cache/windlass"));
        check(&[("WINDLASS_CACHE_DIR", ""), ("HOME", "/h")], Some("/h/.cache/windlass"));
        check(&[], None);
    }

    #[test]
    fn flags_and_variables_lock_and_cut_off() {
        let answer = |args: &[&str], environment: &[(&str, &str)]| {
            let options = resolve(args, environment);
            (options.lock_mode == LockMode::Locked, options.offline)
        };
        assert_eq!(answer(&[], &[]), (false, false));
        assert_eq!(answer(&["--locked"], &[("WINDLASS_OFFLINE", "1")]), (true, true));
        assert_eq!(answer(&["--offline"], &[("WINDLASS_LOCKED", "true")]), (true, true));
        assert_eq!(answer(&[], &[("WINDLASS_LOCKED", "0"), ("WINDLASS_OFFLINE", "false")]), (false, false));
        assert!(is_on("WINDLASS_LOCKED", Some(&"maybe".to_owned())).is_err());
    }

    #[test]
    fn gpus_are_read_as_cuda_reads_them() {
        let cases: [(&str, &[&str]); 5] =
            [("", &[]), ("-1", &[]), ("0,1", &["0", "1"]), ("2, GPU-a", &["2", "GPU-a"]), ("1,-1,0", &["1"])];
        for (devices, names) in cases {
            assert_eq!(visible(devices), names, "{devices}");
        }
        assert_eq!(resolve(&[], &[]).visible_gpus, None);
    }
}
