//! One at a time, across processes: a lock on a file of the cache.
//!
//! The system gives the lock up when its holder dies. The file stays: removing it would let two
//! processes hold locks on two files of the same name.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use crate::Error;

/// How often a waiter looks; a build takes a second at least.
const INTERVAL: Duration = Duration::from_millis(25);

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(super) struct Guard(#[expect(dead_code, reason = "closing the file gives the lock up")] File);

impl Guard {
    /// Takes the lock if nobody has it. Creates the folder of the file.
    pub(super) fn take(path: &Path) -> Result<Option<Self>, Error> {
        let failed = |source| Error::Cache { operation: "lock", path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| Error::Cache {
                operation: "create",
                path: folder.to_owned(),
                source,
            })?;
        }
        let file = File::options().create(true).truncate(false).read(true).write(true).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Takes the lock as soon as it is free. Looks again and again rather than block a thread, so
    /// that a caller that gives up leaves nothing behind.
    pub(super) async fn wait(path: &Path) -> Result<Self, Error> {
        loop {
            if let Some(guard) = Self::take(path)? {
                return Ok(guard);
            }
            pause().await;
        }
    }
}

/// Waits until it is worth looking again.
pub(super) async fn pause() {
    tokio::time::sleep(INTERVAL).await;
}
