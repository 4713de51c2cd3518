//! Removes an environment: its tables and what runs have noted beside them.
//!
//! Must stay true: only files of ours go, those of others and their folders stay. The log of a table goes
//! before its files and from its end, so that who reads meanwhile finds an older version or no table; a
//! removal that is killed can be repeated.

use windlass_project::SYSTEM_FOLDER;

use super::overview::folders;
use crate::storage::Place;
use crate::tables::gc::{self, Found};
use crate::tables::pieces;
use crate::tables::published::PublishedTable;
use crate::{Engine, Error};

/// What is, or would be, removed of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemovedEnvironment {
    /// Its tables.
    pub tables: Vec<String>,
    /// How many files.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// Files that stay, since we have not written them.
    pub kept: Vec<String>,
}

/// Whether something is done or only told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is removed.
    Done,
    /// It would be removed.
    Told,
}

impl Engine {
    /// Removes an environment of the lake, or tells what that would remove.
    ///
    /// # Errors
    ///
    /// Errors of storage; what was removed by then stays removed.
    pub async fn remove_environment(&self, env: &str, removal: Removal) -> Result<RemovedEnvironment, Error> {
        let place = self.lake_root.join(env);
        let mut removed = RemovedEnvironment::default();
        let mut names = folders(&place).await?;
        // Last, since it says which base the environment has.
        names.sort_by_key(|name| (name == SYSTEM_FOLDER, name.clone()));
        for name in names {
            let folder = place.join(&name);
            let files = gc::list(&folder).await?;
            let is_ours = match name == SYSTEM_FOLDER {
                true => true,
                false => match PublishedTable::open(&name, &folder, None).await {
                    Ok(Some(table)) => {
                        removed.tables.push(name.clone());
                        table.provenance().await.is_some()
                    }
                    // What a killed removal or run has left.
                    Ok(None) => true,
                    // Half of a log that is being removed; one of others names no file of ours.
                    Err(_) => files.iter().any(|file| gc::run_of_path(&file.path).is_some()),
                },
            };
            let (mut ours, others): (Vec<Found>, Vec<Found>) =
                files.into_iter().partition(|file| is_ours && (name == SYSTEM_FOLDER || is_of_table(&file.path)));
            removed.kept.extend(others.iter().map(|file| format!("{name}/{}", file.path)));
            if !is_ours {
                removed.tables.retain(|table| *table != name);
            }
            ours.sort_by_key(|file| std::cmp::Reverse(rank(&file.path)));
            for file in ours {
                removed.files += 1;
                removed.bytes += file.bytes;
                if removal == Removal::Done {
                    gc::remove(&folder, &file.path).await?;
                }
            }
            if removal == Removal::Done {
                remove_empty(&folder);
            }
        }
        if removal == Removal::Done {
            remove_empty(&place);
        }
        Ok(removed)
    }
}

/// Returns whether a file is part of a table of ours.
fn is_of_table(path: &str) -> bool {
    let ours = ["_delta_log/", "_candidate/", pieces::FOLDER];
    ours.iter().any(|folder| path.starts_with(folder)) || gc::run_of_path(path).is_some()
}

/// Returns what orders files for removal, the last first: the pointer to a checkpoint, checkpoints, entries
/// of the log from the newest, then everything else.
fn rank(path: &str) -> (u8, String) {
    let kind = match path.strip_prefix("_delta_log/") {
        Some("_last_checkpoint") => 3,
        Some(name) if name.contains("checkpoint") => 2,
        Some(_) => 1,
        None => 0,
    };
    (kind, path.to_string())
}

/// Removes local folders that hold nothing any more.
fn remove_empty(place: &Place) {
    let Some(folder) = place.local() else { return };
    let mut folders = vec![folder];
    let mut at = 0;
    while let Some(folder) = folders.get(at) {
        let inner: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().collect();
        let inner = inner.into_iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.extend(inner.map(|entry| entry.path()).collect::<Vec<_>>());
        at += 1;
    }
    for folder in folders.iter().rev() {
        // Fails where something is in it, which is why it stays.
        let _ = std::fs::remove_dir(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_go_from_their_end_before_the_files() {
        let mut paths = [
            "part-00000-x.parquet",
            "_delta_log/00000000000000000000.json",
            "_delta_log/_last_checkpoint",
            "_delta_log/00000000000000000010.checkpoint.parquet",
            "_delta_log/00000000000000000011.json",
        ];
        paths.sort_by_key(|path| std::cmp::Reverse(rank(path)));
        let expected = [
            "_delta_log/_last_checkpoint",
            "_delta_log/00000000000000000010.checkpoint.parquet",
            "_delta_log/00000000000000000011.json",
            "_delta_log/00000000000000000000.json",
            "part-00000-x.parquet",
        ];
        assert_eq!(paths, expected);
    }
}
