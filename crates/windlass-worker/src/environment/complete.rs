//! Environments that are complete, and how they are found without asking uv or Python.
//!
//! ```text
//! environments/index/<index key>      the folder that a lock, its project and an interpreter lead to
//! environments/index/<name>.guard     held by the process that works on a demand
//! environments/<folder>/              an environment; complete when it has its marker
//! environments/tmp-<name>-<n>/        work of the holder of <name>.guard; rubbish when nobody holds it
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Environment;
use super::guard::Guard;
use super::requirements::normalised;
use crate::Error;

/// The file that makes an environment complete; written last.
const MARKER: &str = "windlass.json";

/// The folder with environments.
#[derive(Debug, Clone)]
pub(super) struct Environments {
    folder: PathBuf,
}

/// What is noted about a complete environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    /// The environment's key.
    pub(super) key: String,
    /// The version of its Python.
    pub(super) python: String,
    /// Its packages with their versions.
    pub(super) packages: BTreeMap<String, String>,
}

impl Environments {
    /// Returns the folder of a cache.
    pub(super) fn of(cache_dir: &Path) -> Self {
        Self { folder: cache_dir.join("environments") }
    }

    /// Returns an environment's folder.
    pub(super) fn path(&self, folder: &str) -> PathBuf {
        self.folder.join(folder)
    }

    /// Returns the file whose lock lets one process at a time work on a demand.
    pub(super) fn guard(&self, name: &str) -> PathBuf {
        self.folder.join("index").join(format!("{name}.guard"))
    }

    /// Returns the complete environment that is noted under an index key.
    pub(super) fn find(&self, index_key: &str) -> Option<Environment> {
        let folder = std::fs::read_to_string(self.index(index_key)).ok()?;
        self.complete(folder.trim())
    }

    /// Returns the environment of a folder, if it is complete and its interpreter still there.
    pub(super) fn complete(&self, folder: &str) -> Option<Environment> {
        let path = self.path(folder);
        let marker: Marker = serde_json::from_slice(&std::fs::read(path.join(MARKER)).ok()?).ok()?;
        let python = path.join("bin/python");
        // Follows the link to the interpreter that the environment was made from.
        python.metadata().ok()?;
        Some(Environment { python, key: marker.key, packages: marker.packages })
    }

    /// Notes which folder an index key leads to.
    pub(super) fn note(&self, index_key: &str, folder: &str) -> Result<(), Error> {
        write_whole(&self.index(index_key), folder)
    }

    /// Makes a folder for the holder of a guard to work in, after removing what the dead left behind.
    pub(super) fn temporary(&self, name: &str) -> Result<Temporary, Error> {
        self.sweep(name);
        for n in 0_u32.. {
            let path = self.folder.join(format!("tmp-{name}-{n}"));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Temporary { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(Error::Cache { operation: "create", path, source }),
            }
        }
        unreachable!("there are never so many folders")
    }

    /// Removes work in progress of nobody: of `held`, whose guard is ours, and of guards that are free.
    fn sweep(&self, held: &str) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let file_name = entry.file_name();
            let Some(name) = file_name.to_str().and_then(|name| name.strip_prefix("tmp-")?.split('-').next()) else {
                continue;
            };
            let guard = if name == held { None } else { Some(Guard::take(&self.guard(name))) };
            if matches!(guard, None | Some(Ok(Some(_)))) && std::fs::remove_dir_all(entry.path()).is_ok() {
                tracing::debug!(folder = %entry.path().display(), "removed an unfinished environment");
            }
        }
    }

    fn index(&self, index_key: &str) -> PathBuf {
        self.folder.join("index").join(index_key)
    }
}

impl Marker {
    /// Lists an environment's packages and marks it as complete.
    pub(super) fn write(environment: &Path, key: &str, python: &str) -> Result<Self, Error> {
        let packages = packages(environment).map_err(|source| Error::Cache {
            operation: "list",
            path: environment.to_owned(),
            source,
        })?;
        let marker = Self { key: key.to_owned(), python: python.to_owned(), packages };
        let text = serde_json::to_string_pretty(&marker).expect("strings are valid JSON");
        write_whole(&environment.join(MARKER), &text)?;
        Ok(marker)
    }
}

/// Work in progress. Removed when dropped.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// Returns the folder with the project that uv works on.
    pub(super) fn project(&self) -> PathBuf {
        self.path.join("project")
    }

    /// Returns the folder that becomes the environment.
    pub(super) fn environment(&self) -> PathBuf {
        self.path.join("environment")
    }

    /// Gives the environment its place. Where another one is complete already, that one stays.
    pub(super) fn keep(&self, environments: &Environments, folder: &str) -> Result<Environment, Error> {
        let path = environments.path(folder);
        let failed = |source| Error::Cache { operation: "put an environment into", path: path.clone(), source };
        for _ in 0..2 {
            match std::fs::rename(self.environment(), &path) {
                Ok(()) => break,
                Err(error) if is_taken(&error) => {}
                Err(error) => return Err(failed(error)),
            }
            if environments.complete(folder).is_some() {
                break;
            }
            // Somebody took files out of it, or its interpreter is gone.
            let broken = self.path.join("broken");
            std::fs::rename(&path, broken).map_err(failed)?;
        }
        environments.complete(folder).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::debug!(folder = %self.path.display(), %error, "an unfinished environment stays for the next build");
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty)
}

/// Writes a file that is there as a whole or not at all.
pub(super) fn write_whole(file: &Path, text: &str) -> Result<(), Error> {
    let failed = |operation: &'static str| {
        let path = file.to_owned();
        move |source| Error::Cache { operation, path, source }
    };
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|source| Error::Cache {
        operation: "create",
        path: folder.to_owned(),
        source,
    })?;
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = folder.join(name);
    let written = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, file));
    written.inspect_err(|_| drop(std::fs::remove_file(&temporary))).map_err(failed("write"))
}

/// Lists the packages of an environment by their metadata folders.
fn packages(environment: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut packages = BTreeMap::new();
    for python in std::fs::read_dir(environment.join("lib"))? {
        let site = python?.path().join("site-packages");
        if !site.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(site)? {
            let name = entry?.file_name();
            let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".dist-info")) else { continue };
            if let Some((name, version)) = stem.split_once('-') {
                packages.insert(normalised(name), version.to_owned());
            }
        }
    }
    Ok(packages)
}
