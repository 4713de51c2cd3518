//! Candidates: the staged files of a table that broke its checks, kept for people to look at.
//!
//! `_candidate/candidate.json` in the table's folder lists them. No reader of Delta looks there, and no
//! version of the table knows of them. They stay until the table is published, the next candidate takes
//! their place, or `gc` removes them.
//!
//! Must stay true: the list is written after all files and removed before any, and as a whole, so that
//! whatever is killed when, it names files that are there; files without a list are leftovers for `gc`. A file
//! that a version has come to name is never removed: finished pieces of a candidate may be published later.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::error::ArrowError;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::engine::arrow_conversion::{TryIntoArrow, TryIntoKernel};
use deltalake_core::kernel::{Add, StructType};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::files::FilesTable;
use super::{gc, pieces, staged};
use crate::Error;
use crate::storage::Place;

/// Where the list stands in a table's folder.
pub(crate) const LIST: &str = "_candidate/candidate.json";
/// The end of a candidate's name.
pub(crate) const SUFFIX: &str = "@candidate";

/// The rows that a run would have published, had they passed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Candidate {
    /// The run.
    pub(crate) run_id: String,
    /// When the run began, in microseconds of UTC.
    pub(crate) started_us: i64,
    /// Whether it has all rows: a run stops early where nothing can save the table.
    pub(crate) is_whole: bool,
    /// What the checks found, as commits tell it.
    pub(crate) checks: Vec<Value>,
    /// The table's columns, as Delta holds them.
    pub(crate) schema: StructType,
    /// Columns that split it into folders.
    pub(crate) partition_by: Vec<String>,
    /// The staged files.
    pub(crate) files: Vec<Add>,
}

/// Returns the columns of a table as a candidate keeps them.
pub(crate) fn columns(table: &str, schema: &Schema) -> Result<StructType, Error> {
    schema.try_into_kernel().map_err(|error: ArrowError| unreadable(table, error))
}

fn unreadable(table: &str, error: ArrowError) -> Error {
    Error::OpenTable { table: table.to_string(), source: DeltaTableError::from(error) }
}

impl Candidate {
    /// Returns the table that its files make.
    pub(crate) fn table(&self, name: &str, place: &Place) -> Result<FilesTable, Error> {
        let schema: Schema = (&self.schema).try_into_arrow().map_err(|error| unreadable(name, error))?;
        staged::table(name, place, &schema, &self.partition_by, &self.files)
    }

    /// Returns the paths of its files, below the table's folder.
    pub(crate) fn paths(&self) -> HashSet<String> {
        let parsed = |file: &Add| Path::parse(&file.path).map_or_else(|_| file.path.clone(), |path| path.to_string());
        self.files.iter().map(parsed).collect()
    }

    /// Returns when its run began.
    pub(crate) fn started(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.started_us).unwrap_or_default()
    }
}

/// Returns the candidate of a table; `None` where there is none, or one that cannot be read.
pub(crate) async fn open(place: &Place) -> Result<Option<Candidate>, Error> {
    let failed = |source| Error::List { location: place.display(), source };
    let found = match place.store.get(&list_of(place)).await {
        Ok(found) => found.bytes().await.map_err(failed)?,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    match serde_json::from_slice(&found) {
        Ok(candidate) => Ok(Some(candidate)),
        Err(error) => {
            tracing::warn!(location = place.display(), %error, "list of a candidate not understood");
            Ok(None)
        }
    }
}

/// Makes files that have been staged the candidate of a table; those of the one before go.
pub(crate) async fn keep(place: &Place, candidate: &Candidate) -> Result<(), Error> {
    let failed = |source| Error::List { location: place.display(), source };
    let before = open(place).await?;
    let text = serde_json::to_vec(candidate)
        .map_err(|error| failed(object_store::Error::Generic { store: "candidate", source: Box::new(error) }))?;
    place.store.put(&list_of(place), text.into()).await.map_err(failed)?;
    let kept = candidate.paths();
    let gone: Vec<String> = before.iter().flat_map(Candidate::paths).filter(|path| !kept.contains(path)).collect();
    remove(place, gone).await
}

/// Removes the candidate of a table, where there is one.
pub(crate) async fn forget(place: &Place) -> Result<(), Error> {
    let Some(candidate) = open(place).await? else { return Ok(()) };
    gc::remove(place, LIST).await?;
    remove(place, candidate.paths().into_iter().collect()).await
}

/// Removes files, but for those that are published or part of finished pieces.
async fn remove(place: &Place, paths: Vec<String>) -> Result<(), Error> {
    if paths.is_empty() {
        return Ok(());
    }
    let mut spared = gc::published(&place.display(), place).await?;
    spared.extend(pieces::paths(place).await?);
    for path in paths.iter().filter(|path| !spared.contains(*path)) {
        gc::remove(place, path).await?;
    }
    Ok(())
}

fn list_of(place: &Place) -> Path {
    place.join(LIST).path
}
