//! Python environments: what a node asks for, and what was built for it.
//!
//! `EnvironmentStore` answers requests. What was built before is found by hashing files, in
//! milliseconds and without starting a process; all else is uv's work, done in a temporary folder
//! that is renamed when it is complete.
//!
//! Must stay true: an environment has exactly the packages of its lock; a lock is only ever used
//! for the requirements that it was made for; a folder of somebody's project is never written to,
//! except for locks.

use std::collections::BTreeMap;
use std::path::PathBuf;

mod build;
mod complete;
mod demand;
mod digest;
mod guard;
mod lock;
mod locked;
mod pip;
mod requirements;
mod says;
mod store;
#[cfg(test)]
mod tests;
mod uv;
mod wheel;

pub(crate) use says::hint;
pub(crate) use store::EnvironmentStore;
pub use wheel::fetch_wheel;

/// What a node's environment must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentRequest {
    /// The node, for messages.
    pub node: String,
    /// Where its packages are named.
    pub origin: EnvironmentOrigin,
}

/// Where packages are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvironmentOrigin {
    /// A list of requirements (PEP 508), from a PEP 723 block, a `requirements.txt` or the project.
    Requirements {
        /// The versions of Python that will do (PEP 440), such as `>=3.11`.
        requires_python: Option<String>,
        /// The requirements, as written.
        dependencies: Vec<String>,
    },
    /// A folder with `pyproject.toml` and `uv.lock`.
    Project {
        /// The folder, absolute.
        folder: PathBuf,
    },
}

/// What a lock pins, read without building anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockedPackages {
    /// What the lock and the requirements that it is for hash to.
    pub digest: String,
    /// All packages with their versions, on whatever platform they are for.
    pub packages: BTreeMap<String, String>,
}

/// An environment that is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its interpreter.
    pub python: PathBuf,
    /// What its lock, its Python and the platform hash to.
    pub key: String,
    /// Its packages with their versions.
    pub packages: BTreeMap<String, String>,
}
