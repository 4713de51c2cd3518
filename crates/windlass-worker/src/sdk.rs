//! The Python package `windlass`, as workers import it.
//!
//! It is part of this binary and is written below the cache, into a folder named by its hash, so that
//! several versions of Windlass can run at once. Each file appears whole or not at all, and is put
//! right where it is not what it should be.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use include_dir::{Dir, File, include_dir};
use sha2::{Digest, Sha256};

use crate::Error;

static PACKAGE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../python/src/windlass");

/// Makes sure that the package is there and returns the folder for `PYTHONPATH`.
pub(crate) fn install(cache: &Path) -> Result<PathBuf, Error> {
    let mut files = Vec::new();
    collect(&PACKAGE, &mut files);
    files.sort_by_key(|file| file.path());
    let folder = cache.join("sdk").join(hash(&files));
    for file in files {
        let path = folder.join("windlass").join(file.path());
        put(&path, file.contents()).map_err(|source| Error::Cache { operation: "write", path, source })?;
    }
    Ok(folder)
}

/// Adds the files of the package: no caches or tests that lie about.
fn collect<'a>(dir: &'a Dir<'a>, files: &mut Vec<&'a File<'a>>) {
    let wanted = |file: &&File<'_>| file.path().extension().is_some_and(|ending| ending == "py" || ending == "typed");
    files.extend(dir.files().filter(wanted));
    for dir in dir.dirs() {
        collect(dir, files);
    }
}

fn hash(files: &[&File<'_>]) -> String {
    let mut hasher = Sha256::new();
    for file in files {
        hasher.update(file.path().as_os_str().as_encoded_bytes());
        hasher.update([0]);
        hasher.update((file.contents().len() as u64).to_le_bytes());
        hasher.update(file.contents());
    }
    hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn put(path: &Path, contents: &[u8]) -> io::Result<()> {
    if std::fs::read(path).is_ok_and(|found| found == contents) {
        return Ok(());
    }
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(folder)?;
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // A name of its own for every writer; the last one wins, with the same bytes.
    let new = path.with_extension(format!("new-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let mut file = std::fs::File::create(&new)?;
    file.write_all(contents)?;
    drop(file);
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests;
