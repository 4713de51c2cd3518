//! Pieces: rows of a long transform that are computed and staged, while the others are not.
//!
//! A record in `_pieces/` of the table's folder says which rows of the input a piece has answered, with which
//! files, and what was counted on the way. The next build of the same definition over the same input takes
//! them over. No reader of Delta looks there. The folder of the error table has a record of its own files.
//!
//! Must stay true: a record is written after its files and removed before them, and as a whole; a file that a
//! version of the table or a candidate names is never removed with a record.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use deltalake_core::kernel::Add;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use windlass_worker::Stage;

use super::ranges::Range;
use super::{candidate, gc};
use crate::Error;
use crate::operators::content::Content;
use crate::operators::python::{Cause, Spent};
use crate::operators::write::StagedTable;
use crate::storage::Place;

/// Where records stand in a table's folder.
pub(crate) const FOLDER: &str = "_pieces/";
/// How long a piece that no run has taken over is kept by `gc`.
pub(crate) const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Files that are looked up at the same time.
const CONCURRENT_LOOKS: usize = 16;

/// What a piece is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Piece {
    /// What definition and inputs hash to.
    pub(crate) fingerprint: String,
    /// The run that computed it.
    pub(crate) run_id: String,
    /// The rows of the input that it has answered, by path in their store.
    pub(crate) covers: Vec<Range<String>>,
    /// Its files in the table's folder.
    pub(crate) result: Vec<StagedFile>,
    /// Its files in the error table's folder.
    pub(crate) errors: Vec<StagedFile>,
    /// What was counted of its rows in Python.
    pub(crate) counted: Counted,
    /// What checks have diverted of its rows.
    pub(crate) diverted: Diverted,
}

/// A file that is complete and that no version names yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StagedFile {
    add: Add,
    rows: u64,
    content: String,
}

/// Rows that Python has seen, and why some failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counted {
    seen: u64,
    failed: u64,
    batches: u64,
    called: u64,
    calls_failed: u64,
    causes: Vec<CountedCause>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct CountedCause {
    stage: String,
    error_type: String,
    message: String,
    traceback: String,
    rows: u64,
}

/// Rows that left the table for checks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Diverted {
    /// How many.
    pub(crate) rows: u64,
    /// By the name of a check that diverts rows: rows that were held against it, and those that broke it.
    pub(crate) checks: BTreeMap<String, (u64, u64)>,
}

impl Piece {
    /// Returns the files in the folder whose record this is, below it.
    pub(crate) fn own_paths(&self) -> HashSet<String> {
        self.result.iter().map(StagedFile::path).collect()
    }
}

impl StagedFile {
    /// Returns the files of a staged table.
    pub(crate) fn of(staged: &StagedTable) -> Vec<Self> {
        let file = |(add, (rows, content)): (&Add, &(u64, Content))| Self {
            add: add.clone(),
            rows: *rows,
            content: content.text(),
        };
        staged.files.iter().zip(&staged.each).map(file).collect()
    }

    /// Returns the staged table that files make.
    pub(crate) fn together(files: &[Self]) -> StagedTable {
        let mut staged = StagedTable::default();
        for file in files {
            let content = Content::parse(&file.content);
            let (files, each) = (vec![file.add.clone()], vec![(file.rows, content)]);
            staged.extend(StagedTable { files, rows: file.rows, content, each });
        }
        staged
    }

    fn path(&self) -> String {
        Path::parse(&self.add.path).map_or_else(|_| self.add.path.clone(), |path| path.to_string())
    }
}

impl From<Spent> for Counted {
    fn from(spent: Spent) -> Self {
        let Spent { seen, failed, batches, called, calls_failed, causes } = spent;
        let told = |cause: Cause| {
            let Cause { stage, error_type, message, traceback, rows } = cause;
            CountedCause { stage: stage.as_str().to_string(), error_type, message, traceback, rows }
        };
        let causes = causes.into_iter().map(told).collect();
        Self { seen, failed, batches, called, calls_failed, causes }
    }
}

impl From<Counted> for Spent {
    fn from(counted: Counted) -> Self {
        let Counted { seen, failed, batches, called, calls_failed, causes } = counted;
        let read = |cause: CountedCause| {
            let CountedCause { stage, error_type, message, traceback, rows } = cause;
            Some(Cause { stage: Stage::parse(&stage)?, error_type, message, traceback, rows })
        };
        let causes = causes.into_iter().filter_map(read).collect();
        Self { seen, failed, batches, called, calls_failed, causes }
    }
}

/// Writes the record of a piece whose files are staged; that of the error table first.
pub(crate) async fn keep(place: &Place, errors: Option<&Place>, piece: &Piece) -> Result<(), Error> {
    let name = format!("{}.json", uuid::Uuid::now_v7());
    if let Some(errors) = errors.filter(|_| !piece.errors.is_empty()) {
        let (fingerprint, run_id) = (piece.fingerprint.clone(), piece.run_id.clone());
        let own = Piece { fingerprint, run_id, result: piece.errors.clone(), ..Piece::default() };
        put(errors, &name, &own).await?;
    }
    put(place, &name, piece).await
}

async fn put(place: &Place, name: &str, piece: &Piece) -> Result<(), Error> {
    let failed = |source| Error::List { location: place.display(), source };
    let text = serde_json::to_vec(piece)
        .map_err(|error| failed(object_store::Error::Generic { store: "pieces", source: Box::new(error) }))?;
    let at = place.join(&format!("{FOLDER}{name}")).path;
    place.store.put(&at, text.into()).await.map_err(failed)?;
    Ok(())
}

/// Returns the records in a table's folder by their path below it, oldest first; `None` for one that cannot be
/// read.
pub(crate) async fn list(place: &Place) -> Result<Vec<(String, Option<Piece>)>, Error> {
    let failed = |source| Error::List { location: place.display(), source };
    let folder = place.join(FOLDER.trim_end_matches('/')).path;
    let mut names: Vec<String> = Vec::new();
    let mut listed = place.store.list(Some(&folder));
    while let Some(object) = listed.try_next().await.map_err(failed)? {
        // What an interrupted write leaves is none.
        names.extend(object.location.filename().filter(|name| name.ends_with(".json")).map(str::to_string));
    }
    names.sort();
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let path = format!("{FOLDER}{name}");
        let read = place.store.get(&place.join(&path).path).await.map_err(failed)?;
        let piece = serde_json::from_slice(&read.bytes().await.map_err(failed)?).ok();
        found.push((path, piece));
    }
    Ok(found)
}

/// Returns the paths of all files that records in a table's folder name, below it.
pub(crate) async fn paths(place: &Place) -> Result<HashSet<String>, Error> {
    let records = list(place).await?;
    Ok(records.iter().filter_map(|(_, piece)| Some(piece.as_ref()?.own_paths())).flatten().collect())
}

/// Returns whether all files of a piece are there, and no version of a table has them.
pub(crate) async fn is_whole(
    piece: &Piece,
    (place, published): (&Place, &HashSet<String>),
    (errors, published_errors): (&Place, &HashSet<String>),
) -> bool {
    let of = |place: &Place, files: &[StagedFile]| -> Vec<(Path, i64)> {
        let path = |file: &StagedFile| place.path.parts().chain(Path::from(file.path()).parts()).collect();
        files.iter().map(|file| (path(file), file.add.size)).collect()
    };
    if piece.result.iter().any(|file| published.contains(&file.path()))
        || piece.errors.iter().any(|file| published_errors.contains(&file.path()))
    {
        return false;
    }
    let all = [of(place, &piece.result), of(errors, &piece.errors)].concat();
    let looks = futures::stream::iter(all).map(|(path, size)| async move {
        matches!(place.store.head(&path).await, Ok(found) if i64::try_from(found.size) == Ok(size))
    });
    looks.buffer_unordered(CONCURRENT_LOOKS).all(std::future::ready).await
}

/// Removes the record of a piece that nobody can take over, then its files.
pub(crate) async fn remove(place: &Place, path: &str, published: &HashSet<String>) -> Result<(), Error> {
    let read = match place.store.get(&place.join(path).path).await {
        Ok(read) => read.bytes().await.ok(),
        Err(object_store::Error::NotFound { .. }) => return Ok(()),
        Err(source) => return Err(Error::List { location: place.display(), source }),
    };
    let piece: Piece = read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    gc::remove(place, path).await?;
    let mut spared = published.clone();
    spared.extend(candidate::open(place).await?.iter().flat_map(candidate::Candidate::paths));
    spared.extend(paths(place).await?);
    for path in piece.own_paths().difference(&spared) {
        gc::remove(place, path).await?;
    }
    Ok(())
}

/// Removes all records of a table whose rows are published now; files that no version has are left to `gc`.
pub(crate) async fn forget(place: &Place) -> Result<(), Error> {
    for (path, _) in list(place).await? {
        gc::remove(place, &path).await?;
    }
    Ok(())
}
