//! Files of versions on the local disk, where workers load them.
//!
//! They stand below the cache, in a folder named by what they are. Each is held against its hash whenever a plan needs
//! it, and written anew where it is not what was registered: whoever loads a pickle runs it.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::task::JoinSet;
use windlass_model::registry::hash;
use windlass_model::{Error as ModelError, ModelVersion, Registry};

use crate::{Engine, Error};

/// The folder of the cache that holds them.
const FOLDER: &str = "models";
/// Bytes of one read.
const READ_BYTES: usize = 1 << 20;

impl Engine {
    /// Returns the folder that holds the files of a version, as they were registered.
    ///
    /// # Errors
    ///
    /// [`Error::UseModel`] where the registry does not have them as they were registered; [`Error::ModelFiles`] where
    /// the cache cannot be written.
    pub(super) async fn local_files(&self, record: &ModelVersion, registry: &Registry) -> Result<PathBuf, Error> {
        let folder = self.workers.cache_dir().join(FOLDER).join(digest(record));
        for artifact in &record.artifacts {
            let failed = |source| {
                let (model, path) = (record.model.clone(), folder.clone());
                Error::ModelFiles { operation: "write", model, path, source }
            };
            let path = below(&folder, &artifact.path).map_err(failed)?;
            let (at, expected) = (path.clone(), artifact.sha256.clone());
            if blocking(move || holds(&at, &expected)).await.map_err(failed)? {
                continue;
            }
            let bytes = registry.artifact(record, &artifact.path).await;
            let bytes = bytes.map_err(|source: ModelError| Error::UseModel { model: record.model.clone(), source })?;
            blocking(move || put(&path, &bytes)).await.map_err(failed)?;
        }
        Ok(folder)
    }
}

/// Returns the name of the folder: versions of the same files share it.
fn digest(record: &ModelVersion) -> String {
    let files: Vec<(&str, &str)> =
        record.artifacts.iter().map(|artifact| (artifact.path.as_str(), artifact.sha256.as_str())).collect();
    hash(serde_json::json!(files).to_string().as_bytes())[..32].to_string()
}

/// Returns the place of a file, which never stands outside of the folder.
fn below(folder: &Path, path: &str) -> io::Result<PathBuf> {
    let is_plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    match is_plain && !path.is_empty() {
        true => Ok(folder.join(path)),
        false => Err(io::Error::new(ErrorKind::InvalidInput, format!("`{path}` is no place of a file"))),
    }
}

/// Does what blocks, beside the tasks of the runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let mut tasks = JoinSet::new();
    tasks.spawn_blocking(work);
    match tasks.join_next().await {
        Some(Ok(done)) => done,
        Some(Err(error)) => Err(io::Error::other(error)),
        None => Err(io::Error::other("the work was lost")),
    }
}

/// Returns whether a file is there and hashes to what is expected.
fn holds(path: &Path, expected: &str) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; READ_BYTES]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(found == expected)
}

/// Writes a file, which appears whole or not at all.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_stands_below_the_folder_or_nowhere() {
        let folder = Path::new("/cache/models/x");
        assert_eq!(below(folder, "data/model.pkl").unwrap(), folder.join("data/model.pkl"));
        for path in ["../model.pkl", "/etc/passwd", "data/../../x", "", "."] {
            assert!(below(folder, path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_file_that_was_changed_is_not_what_was_registered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        assert!(!holds(&path, &hash(b"weights")).unwrap());
        put(&path, b"weights").unwrap();
        assert!(holds(&path, &hash(b"weights")).unwrap());
        put(&path, b"other").unwrap();
        assert!(!holds(&path, &hash(b"weights")).unwrap());
    }
}
