//! Builds one environment: interpreter, packages, marker, and then its place.
//!
//! All happens in a temporary folder; nothing is seen of a build that fails or is killed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Environment;
use super::complete::{Environments, Marker, Temporary};
use super::demand::{Demand, Origin, Snapshot};
use super::pip::Additions;
use super::requirements::PROJECT;
use super::says;
use super::uv::{Task, Trouble, Uv};
use crate::Error;

/// What a build needs.
pub(super) struct Build<'a> {
    /// Runs uv.
    pub(super) uv: &'a Uv,
    /// What is to be built.
    pub(super) demand: &'a Demand,
    /// The lock and its project, checked.
    pub(super) snapshot: &'a Snapshot,
    /// Where to work.
    pub(super) temporary: Temporary,
    /// Where it goes.
    pub(super) environments: &'a Environments,
}

/// An environment in its place.
pub(super) struct Built {
    /// The environment.
    pub(super) environment: Environment,
    /// The version of its Python.
    pub(super) python: String,
    /// Its folder's name.
    pub(super) folder: String,
}

impl Build<'_> {
    /// Builds the environment, or finds that it is there under another name.
    pub(super) async fn run(self) -> Result<Built, Error> {
        let path = self.temporary.environment();
        let mut arguments: Vec<OsString> = vec!["venv".into(), "--relocatable".into()];
        arguments.extend(self.demand.python.iter().flat_map(|python| ["--python".into(), python.into()]));
        arguments.push(path.clone().into());
        self.uv(arguments).await?;

        let python = python_version(&path).await?;
        let key = self.snapshot.environment_key(&python);
        let folder = self.snapshot.folder(&key);
        if let Some(environment) = self.environments.complete(&folder) {
            return Ok(Built { environment, python, folder });
        }
        let mut arguments: Vec<OsString> = vec!["sync".into(), "--locked".into(), "--no-install-project".into()];
        arguments.extend(["--no-build-package".into(), PROJECT.into()]);
        arguments.extend(["--python".into(), path.join("bin/python").into()]);
        self.uv(arguments).await?;
        self.finish(python, key, folder).await
    }

    async fn uv(&self, arguments: Vec<OsString>) -> Result<(), Error> {
        let path = self.temporary.environment();
        let folder = self.folder();
        let task = Task { folder: &folder, arguments, environment: Some(&path), additions: self.additions() };
        let node = self.demand.node.clone();
        self.uv.run(task).await.map_err(|trouble| match trouble {
            Trouble::Start(source) => Error::Process { node, operation: "start uv", source },
            Trouble::Said(said) => {
                let said = said.replace(&format!("{}/", path.display()), "");
                Error::Environment { node, operation: "build", output: says::explain(&said) }
            }
        })
    }

    async fn finish(self, python: String, key: String, folder: String) -> Result<Built, Error> {
        let environments = self.environments.clone();
        let temporary = self.temporary;
        let work = move || {
            Marker::write(&temporary.environment(), &key, &python)?;
            let environment = temporary.keep(&environments, &folder)?;
            Ok(Built { environment, python, folder })
        };
        tokio::task::spawn_blocking(work).await.expect("writing a marker does not panic")
    }

    fn folder(&self) -> PathBuf {
        match &self.demand.origin {
            Origin::Set { .. } => self.temporary.project(),
            Origin::Project { folder } => folder.clone(),
        }
    }

    fn additions(&self) -> Additions {
        match &self.demand.origin {
            Origin::Set { .. } => self.uv.pip.for_lock(&self.snapshot.lock),
            Origin::Project { .. } => self.uv.pip.for_project(),
        }
    }
}

/// Returns the version of an environment's Python, as its configuration says.
async fn python_version(environment: &Path) -> Result<String, Error> {
    let file = environment.join("pyvenv.cfg");
    let failed = |source| Error::Cache { operation: "read", path: file.clone(), source };
    let text = tokio::fs::read_to_string(&file).await.map_err(failed)?;
    let version = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        matches!(name.trim(), "version_info" | "version").then(|| value.trim().to_owned())
    });
    version.ok_or_else(|| failed(std::io::ErrorKind::InvalidData.into()))
}
