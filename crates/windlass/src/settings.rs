//! Flags and environment, resolved once. The only place that reads environment variables.
//!
//! A flag wins over a variable, a variable over the project's files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;

use crate::cli::{Cli, GlobalArgs};
use crate::refusal::Refusal;

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
    /// The environment variables of the process.
    pub(crate) environment: BTreeMap<String, String>,
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
            environment,
        })
    }

    /// Resolves the environment alone.
    pub(crate) fn of_environment() -> anyhow::Result<Self> {
        Self::resolve(&Cli::try_parse_from(["windlass", "ls"])?.global)
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
