//! What a request comes down to: which files say what its environment holds, and what they hash to.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::requirements::{BasePackage, RequirementSet};
use super::{EnvironmentOrigin, EnvironmentRequest};
use crate::{Error, WorkersConfig};

/// How many digits of a hash name an environment.
const DIGITS: usize = 32;

/// A request, read and checked.
#[derive(Debug)]
pub(super) struct Demand {
    /// The node, for messages.
    pub(super) node: String,
    /// Where the lock is and what it is for.
    pub(super) origin: Origin,
    /// The interpreter that is asked for: a path, or what uv takes.
    pub(super) python: Option<String>,
}

/// Where the lock is and what it is for.
#[derive(Debug)]
pub(super) enum Origin {
    /// A set of requirements, whose lock is ours to write.
    Set {
        /// The requirements.
        set: RequirementSet,
        /// The lock's file.
        lock: PathBuf,
    },
    /// A folder of the user's, which we only read.
    Project {
        /// The folder.
        folder: PathBuf,
    },
}

/// What the files of a demand say at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The lock.
    pub(super) lock: String,
    /// What else decides on packages: the project file and its choice of Python.
    rest: String,
    /// What tells one interpreter at a path from another: its size and time.
    python: String,
}

impl Demand {
    /// Reads a request.
    pub(super) fn try_new(
        request: &EnvironmentRequest,
        config: &WorkersConfig,
        base: &[BasePackage],
    ) -> Result<Self, Error> {
        let node = request.node.clone();
        let origin = match &request.origin {
            EnvironmentOrigin::Project { folder } => Origin::Project { folder: folder.clone() },
            EnvironmentOrigin::Requirements { requires_python, dependencies } => {
                let set = RequirementSet::try_new(requires_python.as_deref(), dependencies, base)
                    .map_err(|why| Error::Environment { node: node.clone(), operation: "resolve", output: why })?;
                let lock = config.lock_dir.join(format!("{}.lock", set.stem()));
                Origin::Set { set, lock }
            }
        };
        let path = config.python.as_deref().map(|python| match python.components().count() {
            // A name, to be found on the path.
            0 | 1 => python.display().to_string(),
            _ => std::path::absolute(python).unwrap_or_else(|_| python.to_owned()).display().to_string(),
        });
        let python = path.or_else(|| config.env.get("UV_PYTHON").filter(|python| !python.is_empty()).cloned());
        Ok(Self { node, origin, python })
    }

    /// Returns the name under which one process at a time works on this demand.
    pub(super) fn name(&self) -> String {
        let start = Digest::new("demand 1").field(self.python.as_deref().unwrap_or_default());
        match &self.origin {
            Origin::Set { set, lock } => start.field(set.stem()).field(lock.as_os_str().as_encoded_bytes()),
            Origin::Project { folder } => start.field("project").field(folder.as_os_str().as_encoded_bytes()),
        }
        .hex(DIGITS)
    }

    /// Returns the lock's file.
    pub(super) fn lock_file(&self) -> PathBuf {
        match &self.origin {
            Origin::Set { lock, .. } => lock.clone(),
            Origin::Project { folder } => folder.join("uv.lock"),
        }
    }

    /// Returns the lock's file as messages name it: with its folder.
    pub(super) fn lock_name(&self) -> String {
        let file = self.lock_file();
        let folder = file.parent().and_then(Path::file_name);
        let name = file.file_name().unwrap_or_default();
        folder.map(PathBuf::from).unwrap_or_default().join(name).display().to_string()
    }

    /// Reads the files; `None` where there is no lock. Blocks for as long as that takes.
    pub(super) fn snapshot(&self) -> Result<Option<Snapshot>, Error> {
        let Some(lock) = read(&self.lock_file())? else { return Ok(None) };
        let rest = match &self.origin {
            Origin::Set { set, .. } => set.pyproject(),
            Origin::Project { folder } => {
                let project = read(&folder.join("pyproject.toml"))?.unwrap_or_default();
                let python = read(&folder.join(".python-version"))?.unwrap_or_default();
                format!("{project}\0{python}")
            }
        };
        Ok(Some(Snapshot { lock, rest, python: self.python_stamp() }))
    }

    fn python_stamp(&self) -> String {
        let mut stamp = self.python.clone().unwrap_or_default();
        if let Some(Ok(file)) =
            self.python.as_deref().map(Path::new).filter(|path| path.is_absolute()).map(Path::metadata)
        {
            let _ = write!(stamp, " {} {:?}", file.len(), file.modified().ok());
        }
        stamp
    }
}

impl Snapshot {
    /// Returns what the lock is for, as text.
    pub(super) fn requirements(&self) -> &str {
        &self.rest
    }

    /// Returns the name under which is noted which environment these files lead to.
    pub(super) fn index_key(&self) -> String {
        Digest::new("index 1").platform().field(&self.python).field(&self.rest).field(&self.lock).hex(DIGITS)
    }

    /// Returns the key of the environment that these files and a version of Python lead to.
    pub(super) fn environment_key(&self, python_version: &str) -> String {
        Digest::new("environment 1").platform().field(python_version).field(&self.rest).field(&self.lock).hex(DIGITS)
    }

    /// Returns the name of an environment's folder. A chosen interpreter has folders of its own:
    /// two of the same version may differ.
    pub(super) fn folder(&self, environment_key: &str) -> String {
        if self.python.is_empty() {
            return environment_key.to_owned();
        }
        format!("{environment_key}-{}", Digest::new("interpreter 1").field(&self.python).hex(8))
    }
}

fn read(file: &Path) -> Result<Option<String>, Error> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Cache { operation: "read", path: file.to_owned(), source }),
    }
}
