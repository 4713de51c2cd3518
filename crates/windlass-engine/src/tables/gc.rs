//! Finds files that no table refers to, and removes them.
//!
//! Runs that were killed leave staged files behind; every publication leaves the files of the
//! version before. A file goes when no commit refers to it and its run is over, or when it was
//! replaced longer ago than readers of old versions are promised. Young files of runs that nobody
//! here knows stay: another machine may be writing them. Finished pieces of a long transform stay for a week:
//! the next run goes on from them.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::published::PublishedTable;
use super::{candidate, pieces};
use crate::Error;
use crate::storage::Place;

/// How long staged files of an unknown run are left alone.
const UNKNOWN_RUN: Duration = Duration::from_secs(24 * 60 * 60);

/// What may be removed.
#[derive(Debug, Clone)]
pub struct GcOptions {
    /// How long files of replaced versions are kept.
    pub keep_versions_for: Duration,
    /// Ids of runs that are known to be over.
    pub finished_runs: HashSet<String>,
    /// Report only.
    pub dry_run: bool,
    /// The time now.
    pub now: DateTime<Utc>,
}

/// A file that is, or would be, removed.
#[derive(Debug, Clone)]
pub struct Garbage {
    /// Table name.
    pub table: String,
    /// Path below the table's folder.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Why it can go.
    pub reason: GarbageReason,
}

/// Why a file can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GarbageReason {
    /// A run staged it and never published it.
    Leftover,
    /// A later version replaced it long enough ago.
    Replaced,
    /// A run kept it to be looked at, since its table broke checks.
    Candidate,
}

/// A file of a table's folder.
pub(crate) struct Found {
    /// Its path below the table's folder.
    pub(crate) path: String,
    /// Its size.
    pub(crate) bytes: u64,
    modified: DateTime<Utc>,
}

/// Finds, and unless told otherwise removes, the garbage of one table.
pub(crate) async fn collect(table: &str, place: &Place, options: &GcOptions) -> Result<Vec<Garbage>, Error> {
    let (active, replaced) = referenced(table, place, options).await?;
    let mut garbage = Vec::new();
    let all = list(place).await?;
    let going_on = going_on(place, &all, options).await?;
    let (looked_at, is_over) = match candidate::open(place).await? {
        Some(candidate) => (candidate.paths(), is_over(&candidate.run_id, candidate.started(), options)),
        None => Default::default(),
    };
    if is_over && !options.dry_run {
        // Before its files, so that it never names one that is not there.
        remove(place, candidate::LIST).await?;
    }
    for found in all {
        let reason = match &found {
            found if active.contains(&found.path) || going_on.contains(&found.path) => None,
            found if replaced.contains(&found.path) => Some(GarbageReason::Replaced),
            found if looked_at.contains(&found.path) || found.path == candidate::LIST => {
                is_over.then_some(GarbageReason::Candidate)
            }
            found => is_leftover(found, options).then_some(GarbageReason::Leftover),
        };
        let Some(reason) = reason else { continue };
        if !options.dry_run {
            remove(place, &found.path).await?;
        }
        garbage.push(Garbage { table: table.to_string(), path: found.path, bytes: found.bytes, reason });
    }
    Ok(garbage)
}

/// Returns the records of pieces that a run may take over, and their files.
async fn going_on(place: &Place, all: &[Found], options: &GcOptions) -> Result<HashSet<String>, Error> {
    let is_young = |found: &&Found| (options.now - found.modified).to_std().is_ok_and(|age| age < pieces::KEPT);
    let records = all.iter().filter(|found| found.path.starts_with(pieces::FOLDER) && found.path.ends_with(".json"));
    let young: HashSet<&str> = records.filter(is_young).map(|found| found.path.as_str()).collect();
    let mut kept = HashSet::new();
    if young.is_empty() {
        return Ok(kept);
    }
    for (path, piece) in pieces::list(place).await?.into_iter().filter(|(path, _)| young.contains(path.as_str())) {
        kept.extend(piece.iter().flat_map(pieces::Piece::own_paths));
        kept.insert(path);
    }
    Ok(kept)
}

/// Returns the files that some version of a table has, or had.
pub(crate) async fn published(table: &str, place: &Place) -> Result<HashSet<String>, Error> {
    Ok(referenced(table, place, &keeping_all(HashSet::new(), DateTime::UNIX_EPOCH)).await?.0)
}

/// Returns the files to keep because of the log, and those that were replaced long enough ago.
async fn referenced(
    table: &str,
    place: &Place,
    options: &GcOptions,
) -> Result<(HashSet<String>, HashSet<String>), Error> {
    let Some(published) = PublishedTable::open(table, place, None).await? else { return Ok(Default::default()) };
    let mut active: HashSet<String> =
        published.snapshot().log_data().iter().map(|file| file.object_store_path().to_string()).collect();
    let failed = |source| Error::OpenTable { table: table.to_string(), source };
    let state = published.delta().snapshot().map_err(failed)?;
    let log_store = published.delta().log_store();
    let tombstones: Vec<_> = state.all_tombstones(log_store.as_ref()).try_collect().await.map_err(failed)?;
    let oldest_kept = options.now - options.keep_versions_for;
    let mut replaced = HashSet::new();
    for tombstone in tombstones {
        let path = Path::parse(tombstone.path()).map_or_else(|_| tombstone.path().to_string(), |path| path.to_string());
        let removed_at = tombstone.deletion_timestamp().and_then(DateTime::from_timestamp_millis);
        match removed_at {
            Some(at) if at < oldest_kept => replaced.insert(path),
            _ => active.insert(path),
        };
    }
    replaced.retain(|path| !active.contains(path));
    Ok((active, replaced))
}

fn is_leftover(found: &Found, options: &GcOptions) -> bool {
    let name = found.path.rsplit('/').next().unwrap_or_default();
    if found.path.starts_with("_delta_log/") || found.path.starts_with(candidate::LIST) {
        // What an interrupted atomic write of the log leaves: `00000000000000000003.json#1`.
        return name.contains(".json#") && options.now - found.modified > chrono::Duration::minutes(1);
    }
    if found.path.starts_with(pieces::FOLDER) {
        return (options.now - found.modified).to_std().is_ok_and(|age| age > pieces::KEPT);
    }
    match run_of(name) {
        Some(run) => is_over(run, found.modified, options),
        // Not one of ours: somebody else put it here.
        None => false,
    }
}

/// Returns whether a run that has written something at that time writes no more.
fn is_over(run: &str, written: DateTime<Utc>, options: &GcOptions) -> bool {
    options.finished_runs.contains(run) || (options.now - written).to_std().is_ok_and(|age| age > UNKNOWN_RUN)
}

/// Returns the run id in the name at the end of a path.
pub(crate) fn run_of_path(path: &str) -> Option<&str> {
    run_of(path.rsplit('/').next().unwrap_or_default())
}

/// Returns the run id in a staged file's name, `part-00000-<36 letters of the run>-...`.
fn run_of(name: &str) -> Option<&str> {
    name.strip_prefix("part-")?.split_once('-')?.1.get(..36)
}

/// Returns all files of a table's folder.
pub(crate) async fn list(place: &Place) -> Result<Vec<Found>, Error> {
    if let Some(folder) = place.local() {
        return list_local(&folder);
    }
    let failed = |source| Error::List { location: place.display(), source };
    let mut found = Vec::new();
    let mut objects = place.store.list(Some(&place.path));
    while let Some(object) = objects.try_next().await.map_err(failed)? {
        let below = object.location.prefix_match(&place.path).into_iter().flatten();
        let path = below.map(|part| part.as_ref().to_string()).collect::<Vec<_>>().join("/");
        found.push(Found { path, bytes: object.size, modified: object.last_modified });
    }
    Ok(found)
}

/// Lists a local folder by hand: the local object store hides the parts of interrupted writes.
fn list_local(folder: &std::path::Path) -> Result<Vec<Found>, Error> {
    let failed = |path: &std::path::Path, source| Error::Remove { path: path.display().to_string(), source };
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = vec![folder.to_path_buf()];
    while let Some(current) = waiting.pop() {
        let entries = match std::fs::read_dir(&current) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(&current, error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| failed(&current, error))?;
            let metadata = entry.metadata().map_err(|error| failed(&entry.path(), error))?;
            if metadata.is_dir() {
                waiting.push(entry.path());
                continue;
            }
            let path = entry.path();
            let below = path.strip_prefix(folder).unwrap_or(&path);
            let parts: Vec<String> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            let modified = metadata.modified().map(DateTime::<Utc>::from).unwrap_or_default();
            found.push(Found { path: parts.join("/"), bytes: metadata.len(), modified });
        }
    }
    Ok(found)
}

pub(crate) async fn remove(place: &Place, path: &str) -> Result<(), Error> {
    if let Some(folder) = place.local() {
        let file = folder.join(path);
        return match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::Remove { path: file.display().to_string(), source: error })
            }
            _ => Ok(()),
        };
    }
    let object = Path::parse(format!("{}/{path}", place.path)).unwrap_or_else(|_| place.path.clone().join(path));
    let failed = |source: object_store::Error| Error::Remove { path: path.to_string(), source: source.into() };
    place.store.delete(&object).await.map_err(failed)
}

fn keeping_all(finished_runs: HashSet<String>, now: DateTime<Utc>) -> GcOptions {
    GcOptions { keep_versions_for: Duration::from_secs(u64::from(u32::MAX)), finished_runs, dry_run: false, now }
}

/// Removes what one run staged and did neither publish nor keep, to be looked at or gone on from, as soon as it
/// is over.
pub(crate) async fn discard(table: &str, place: &Place, run_id: &str, now: DateTime<Utc>) -> Result<(), Error> {
    let options = keeping_all(HashSet::from([run_id.to_string()]), now);
    let (mut active, _) = referenced(table, place, &options).await?;
    active.extend(candidate::open(place).await?.iter().flat_map(candidate::Candidate::paths));
    active.extend(pieces::paths(place).await?);
    for found in list(place).await? {
        let name = found.path.rsplit('/').next().unwrap_or_default();
        if run_of(name) == Some(run_id) && !active.contains(&found.path) {
            remove(place, &found.path).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::run_of;

    #[test]
    fn the_run_stands_in_the_name() {
        let run = "0193a5f0-0000-7000-8000-000000000001";
        assert_eq!(run_of(&format!("part-00003-{run}-abc.zstd.parquet")), Some(run));
        assert_eq!(run_of(&format!("part-00003-{run}-abc.zstd.parquet#1")), Some(run));
        assert_eq!(run_of("somebody.parquet"), None);
        assert_eq!(run_of("part-1-é"), None);
    }
}
