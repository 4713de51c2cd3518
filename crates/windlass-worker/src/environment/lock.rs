//! Locks of requirement sets: makes them, and checks that they still fit.
//!
//! A lock is uv's own `uv.lock`, below a comment that says what it is for. Its name is the hash of
//! the requirements, so changed requirements never meet the lock of the old ones; a lock that does
//! not fit was edited, or merged.

use std::path::Path;

use super::complete::{Temporary, write_whole};
use super::demand::{Demand, Origin};
use super::pip::{Additions, Folders};
use super::requirements::{PROJECT, RequirementSet};
use super::says::{self, Meaning};
use super::uv::{Task, Trouble, Uv};
use crate::{Error, LockMode};

/// What lock work needs.
pub(super) struct Locksmith<'a> {
    /// Runs uv.
    pub(super) uv: &'a Uv,
    /// What is to be locked.
    pub(super) demand: &'a Demand,
    /// What happens to a lock that is missing or does not fit.
    pub(super) mode: LockMode,
    /// Where to work.
    pub(super) temporary: &'a Temporary,
    /// Hears what the user should know.
    pub(super) notices: &'a (dyn Fn(&str) + Send + Sync),
}

/// Why a lock is made.
#[derive(Debug, Clone, Copy)]
enum Cause {
    Missing,
    Stale,
}

impl Locksmith<'_> {
    /// Returns once the lock is there and fits what is asked for.
    pub(super) async fn settle(&self) -> Result<(), Error> {
        let lock_file = self.demand.lock_file();
        let lock = match tokio::fs::read_to_string(&lock_file).await {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(Error::Cache { operation: "read", path: lock_file, source }),
        };
        match (&self.demand.origin, lock) {
            (Origin::Project { folder }, Some(_)) => self.check_project(folder).await,
            (_, None) if self.may_write() => self.make(Cause::Missing).await,
            (_, None) => Err(missing(self.demand)),
            (Origin::Set { set, .. }, Some(lock)) => self.check_set(set, &lock).await,
        }
    }

    fn may_write(&self) -> bool {
        self.mode == LockMode::Update && matches!(self.demand.origin, Origin::Set { .. })
    }

    async fn check_project(&self, folder: &Path) -> Result<(), Error> {
        let said = match self.lock(folder, Some("--check"), self.uv.pip.for_project()).await? {
            Ok(()) => return Ok(()),
            Err(said) => said,
        };
        let shown = folder.display();
        Err(match says::meaning(&said) {
            Meaning::Stale => self.refused(
                format!("`{}` of `{}` does not fit its `pyproject.toml`", self.demand.lock_name(), self.demand.node),
                format!("run `uv lock` in `{shown}` and commit the file"),
            ),
            Meaning::Unreadable => self.unreadable(&said),
            Meaning::Failure => self.unresolved(&said),
        })
    }

    async fn check_set(&self, set: &RequirementSet, lock: &str) -> Result<(), Error> {
        lay_out(self.temporary, set, Some(lock)).await?;
        let additions = self.uv.pip.for_lock(lock);
        let said = match self.lock(&self.temporary.project(), Some("--check"), additions).await? {
            Ok(()) => return Ok(()),
            Err(said) => said,
        };
        match says::meaning(&said) {
            Meaning::Stale if self.may_write() => self.make(Cause::Stale).await,
            Meaning::Stale => Err(self.refused(
                format!("`{}` does not fit the requirements of `{}`", self.demand.lock_name(), self.demand.node),
                "run once without `--locked` and commit the file: it was edited, or made with other indexes".to_owned(),
            )),
            Meaning::Unreadable => Err(self.unreadable(&said)),
            Meaning::Failure => Err(self.unresolved(&said)),
        }
    }

    /// Makes the lock. Versions of the lock that is in the way are kept as far as they fit.
    async fn make(&self, cause: Cause) -> Result<(), Error> {
        let Origin::Set { set, lock } = &self.demand.origin else { return Err(missing(self.demand)) };
        lay_out(self.temporary, set, None).await?;
        let project = self.temporary.project();
        let pip = &self.uv.pip;
        let mut said = self.lock(&project, None, pip.for_new_lock(Folders::Unnamed)).await?;
        if said.is_err() && pip.has_folders() && !pip.has_no_index() {
            said = self.lock(&project, None, pip.for_new_lock(Folders::Named)).await?;
        }
        said.map_err(|said| self.unresolved(&said))?;
        let made = project.join("uv.lock");
        let failed = |source| Error::Cache { operation: "read", path: made.clone(), source };
        let text = tokio::fs::read_to_string(&made).await.map_err(failed)?;
        let body = text.trim_start_matches(|c: char| c.is_whitespace());
        let text = format!("{}\n{body}", set.heading());
        // The build reads what is committed.
        tokio::fs::write(&made, &text).await.map_err(failed)?;
        write_whole(lock, &text)?;
        let (node, name) = (&self.demand.node, self.demand.lock_name());
        (self.notices)(&match cause {
            Cause::Missing => format!("locked the environment of `{node}`: {name}"),
            Cause::Stale => format!("locked the environment of `{node}` again, its lock did not fit: {name}"),
        });
        if names_folders(&text) {
            (self.notices)(&format!("{name} names folders of this machine: other machines cannot use it"));
        }
        Ok(())
    }

    async fn lock(
        &self,
        folder: &Path,
        check: Option<&str>,
        additions: Additions,
    ) -> Result<Result<(), String>, Error> {
        let mut arguments = vec!["lock".into()];
        arguments.extend(check.map(Into::into));
        arguments.extend(["--no-build-package".into(), PROJECT.into()]);
        arguments.extend(self.demand.python.iter().flat_map(|python| ["--python".into(), python.into()]));
        match self.uv.run(Task { folder, arguments, environment: None, additions }).await {
            Ok(()) => Ok(Ok(())),
            Err(Trouble::Said(said)) => Ok(Err(said)),
            Err(Trouble::Start(source)) => {
                Err(Error::Process { node: self.demand.node.clone(), operation: "start uv", source })
            }
        }
    }

    fn unresolved(&self, said: &str) -> Error {
        let output = match &self.demand.origin {
            // uv takes a requirement that it cannot read for one that only a build can tell.
            Origin::Set { set, .. } if said.contains(&format!("Failed to build `{PROJECT}")) => set.doubt(),
            _ => says::explain(said),
        };
        Error::Environment { node: self.demand.node.clone(), operation: "resolve", output }
    }

    fn unreadable(&self, said: &str) -> Error {
        let name = self.demand.lock_name();
        let reason = if said.contains("unsupported schema version") {
            "was written by a newer uv"
        } else if said.contains("<<<<<<<") || said.contains("=======") || said.contains(">>>>>>>") {
            "holds a merge that is not finished"
        } else {
            "is no lock that uv can read"
        };
        let way_out = match &self.demand.origin {
            _ if reason.ends_with("newer uv") => "bring uv up to date".to_owned(),
            Origin::Set { .. } => format!("take `{name}` back from version control, or remove it to lock anew"),
            Origin::Project { .. } => "take it back from version control, or remove it and run `uv lock`".to_owned(),
        };
        self.refused(format!("`{name}`, the lock of `{}`, {reason}", self.demand.node), way_out)
    }

    fn refused(&self, message: String, way_out: String) -> Error {
        Error::Lock { node: self.demand.node.clone(), message, way_out }
    }
}

/// Writes the project that uv sees, with a lock where there is one.
pub(super) async fn lay_out(temporary: &Temporary, set: &RequirementSet, lock: Option<&str>) -> Result<(), Error> {
    let folder = temporary.project();
    let failed = |source| Error::Cache { operation: "write into", path: folder.clone(), source };
    tokio::fs::create_dir_all(&folder).await.map_err(failed)?;
    tokio::fs::write(folder.join("pyproject.toml"), set.pyproject()).await.map_err(failed)?;
    if let Some(lock) = lock {
        tokio::fs::write(folder.join("uv.lock"), lock).await.map_err(failed)?;
    }
    Ok(())
}

/// Returns the error for a lock that is not there.
pub(super) fn missing(demand: &Demand) -> Error {
    let (node, name) = (demand.node.clone(), demand.lock_name());
    let way_out = match &demand.origin {
        Origin::Set { .. } => format!("run once without `--locked` and commit `{name}`"),
        Origin::Project { folder } => format!("run `uv lock` in `{}` and commit the file", folder.display()),
    };
    Error::Lock { message: format!("`{name}`, the lock of `{node}`, is missing"), node, way_out }
}

/// Returns whether a lock takes packages from folders rather than from addresses.
fn names_folders(lock: &str) -> bool {
    lock.lines().any(|line| line.contains("registry = \"") && !line.contains("://"))
}
