//! Puts the files of a published table where another one stands, without reading a row: hard links on a
//! local disk, copies within the object store elsewhere.
//!
//! Must stay true: the new names carry the run that publishes them, so that what a killed one leaves is
//! found; nothing is changed where the files come from.

use std::path::PathBuf;
use std::time::SystemTime;

use deltalake_core::kernel::Add;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::published::PublishedTable;
use crate::Error;
use crate::storage::Place;

/// Files that are copied at the same time.
const AT_ONCE: usize = 8;

/// Copies the files of a version and returns them as they stand in the new place, not yet published.
///
/// # Errors
///
/// [`Error::Copy`]; what was copied by then is left over.
pub(crate) async fn copy(name: &str, table: &PublishedTable, to: &Place, run_id: &str) -> Result<Vec<Add>, Error> {
    let mut files = Vec::new();
    for (index, view) in table.snapshot().log_data().iter().enumerate() {
        let path = renamed(&view.path(), index, run_id);
        let from: Path = table.place().path.parts().chain(view.object_store_path().parts()).collect();
        let add = Add {
            path,
            partition_values: view.partition_values_map(),
            size: view.size(),
            modification_time: view.modification_time(),
            data_change: true,
            stats: view.stats(),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        };
        files.push((from, add));
    }
    let copied = stream::iter(files).map(|(from, add)| async move {
        let failed = |source| Error::Copy { table: name.to_string(), source };
        // Parsed, not joined: escapes of folder names stand in the path as they are on disk.
        let below = Path::parse(&add.path).map_err(|error| failed(error.into()))?;
        let there: Path = to.path.parts().chain(below.parts()).collect();
        copy_one(&from, to, &there).await.map_err(failed)?;
        Ok(add)
    });
    copied.buffered(AT_ONCE).try_collect().await
}

async fn copy_one(from: &Path, to: &Place, there: &Path) -> Result<(), object_store::Error> {
    let copied = to.store.copy(from, there).await;
    if to.local().is_none() {
        return copied;
    }
    let (from, there) = (on_disk(from), on_disk(there));
    let finished = tokio::task::spawn_blocking(move || {
        if copied.is_err() {
            // Not every disk has hard links.
            if let Some(folder) = there.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::copy(&from, &there)?;
        }
        touch(&there);
        Ok(())
    });
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic { store: "local", source };
    finished.await.map_err(|error| failed(error.into()))?.map_err(|error: std::io::Error| failed(error.into()))
}

/// Makes a file one of now: a link is as old as what it links to, and old files of runs that are not known
/// are collected.
#[expect(clippy::disallowed_methods, reason = "what is collected goes by the times of the disk")]
fn touch(file: &std::path::Path) {
    let file = std::fs::File::options().append(true).open(file);
    let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
}

/// Returns the path of an object of the local store, whose root is that of the disk.
fn on_disk(path: &Path) -> PathBuf {
    PathBuf::from(format!("/{path}"))
}

/// Returns a file's path with a name for another run; folders of partitions stay.
fn renamed(path: &str, index: usize, run_id: &str) -> String {
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    // `part-00000-<run>-<unique>.zstd.parquet`, or what another writer has called it.
    let ours = name.strip_prefix("part-").and_then(|rest| rest.split_once('-'));
    let rest = ours.and_then(|(_, rest)| rest.get(36..)?.strip_prefix('-')).unwrap_or(name);
    let name = format!("part-{index:05}-{run_id}-{rest}");
    if folder.is_empty() { name } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::renamed;

    #[test]
    fn names_carry_the_run_that_publishes() {
        let (old, new) = ("0193a5f0-0000-7000-8000-000000000001", "0193a5f0-0000-7000-8000-000000000002");
        let check = |path: &str, expected: &str| assert_eq!(renamed(path, 3, new), expected.replace("NEW", new));
        check(&format!("part-00000-{old}-ab12.zstd.parquet"), "part-00003-NEW-ab12.zstd.parquet");
        check(&format!("day=1%2F2/part-00000-{old}-ab.parquet"), "day=1%2F2/part-00003-NEW-ab.parquet");
        check("of_others.parquet", "part-00003-NEW-of_others.parquet");
        check("part-1-é.parquet", "part-00003-NEW-part-1-é.parquet");
    }
}
