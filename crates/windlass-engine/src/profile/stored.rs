//! Stored profiles: what drift with `baseline: stored` is measured from.
//!
//! `<lake>/<env>/_windlass/profiles/<table>/<number>.json`, written only when somebody accepts a profile.
//! The file with the largest number counts; the others tell what was accepted before.
//!
//! Must stay true: floats come back as the same bits, infinities too, so they are kept as texts.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use futures::TryStreamExt;
use indexmap::IndexMap;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};
use windlass_project::SYSTEM_FOLDER;

use crate::checks::distribution::Floats;
use crate::checks::profile::{Profile, Spread};
use crate::checks::stats::NotEvaluable;
use crate::checks::stats::points::Point;
use crate::storage::Place;
use crate::{Engine, Error};

/// A profile of a table as it was accepted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredProfile {
    /// The version that it was taken of; `None` for views and sources.
    pub(crate) version: Option<u64>,
    /// When it was accepted.
    pub(crate) accepted_at: DateTime<Utc>,
    /// Rows of the table.
    pub(crate) rows: u64,
    /// How each column is spread, or why that cannot be stored.
    pub(crate) columns: IndexMap<String, Result<Profile, NotEvaluable>>,
}

#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    table: String,
    version: Option<u64>,
    accepted_at: String,
    rows: u64,
    columns: IndexMap<String, Column>,
}

#[derive(Serialize, Deserialize)]
struct Column {
    missing: u64,
    spread: Stored,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stored {
    Integers(Vec<(i64, u64)>),
    Floats(Vec<(String, u64)>),
    Bins(Vec<(String, u64)>),
    Categories(BTreeMap<String, u64>),
    TooManyCategories,
}

/// The form that this version writes and reads.
const FORMAT: u32 = 1;

impl Engine {
    /// Returns the profile of a table that was accepted last, in the environment or else in its base; `None`
    /// where none was.
    pub(crate) async fn stored_profile(&self, table: &str) -> Result<Option<StoredProfile>, Error> {
        match (stored_at(&self.profiles_place(table), table).await?, &self.base) {
            (None, Some(base)) => stored_at(&profiles_in(&base.place, table), table).await,
            (own, _) => Ok(own),
        }
    }

    /// Stores a profile, from now on the one that counts.
    pub(super) async fn store_profile(&self, table: &str, profile: &StoredProfile) -> Result<(), Error> {
        let place = self.profiles_place(table);
        let failed = |source| Error::StoreProfile { table: table.to_string(), source };
        let text = serde_json::to_string(&written(table, profile)).expect("numbers and texts can be written as JSON");
        loop {
            let next = numbers(&place).await.map_err(failed)?.into_iter().max().map_or(0, |last| last + 1);
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let payload = PutPayload::from(text.clone());
            match place.store.put_opts(&file(&place, next), payload, options).await {
                // Somebody else has accepted one at the same moment.
                Err(object_store::Error::AlreadyExists { .. }) => {}
                put => return put.map(|_| ()).map_err(failed),
            }
        }
    }

    fn profiles_place(&self, table: &str) -> Place {
        profiles_in(&self.lake, table)
    }
}

/// Returns where an environment keeps the profiles of a table.
fn profiles_in(env: &Place, table: &str) -> Place {
    env.join(SYSTEM_FOLDER).join("profiles").join(table)
}

/// Returns the newest profile of a place; `None` where there is none.
async fn stored_at(place: &Place, table: &str) -> Result<Option<StoredProfile>, Error> {
    let failed = |source| Error::ReadProfile { table: table.to_string(), source };
    let Some(last) = numbers(place).await.map_err(|error| failed(error.into()))?.into_iter().max() else {
        return Ok(None);
    };
    let bytes = async { place.store.get(&file(place, last)).await?.bytes().await };
    let bytes = bytes.await.map_err(|error| failed(error.into()))?;
    let stored = serde_json::from_slice::<File>(&bytes).map_err(|error| failed(error.into()))?;
    let broken = || failed(format!("`{}` is no profile of this form", file(place, last)).into());
    (stored.format == FORMAT).then(|| read(stored)).flatten().map(Some).ok_or_else(broken)
}

fn file(place: &Place, number: u64) -> Path {
    place.path.clone().join(format!("{number:020}.json"))
}

/// Returns the numbers of the profiles that are there.
async fn numbers(place: &Place) -> Result<Vec<u64>, object_store::Error> {
    let listed: Vec<_> = match place.store.list(Some(&place.path)).try_collect().await {
        Err(object_store::Error::NotFound { .. }) => Vec::new(),
        listed => listed?,
    };
    let number = |path: &Path| path.filename()?.strip_suffix(".json")?.parse().ok();
    Ok(listed.iter().filter_map(|object: &object_store::ObjectMeta| number(&object.location)).collect())
}

fn written(table: &str, profile: &StoredProfile) -> File {
    let texts = |points: &[Point<f64>]| points.iter().map(|(value, count)| (value.to_string(), *count)).collect();
    let column = |profile: &Result<Profile, NotEvaluable>| match profile {
        Err(_) => Column { missing: 0, spread: Stored::TooManyCategories },
        Ok(Profile { missing, spread }) => Column {
            missing: *missing,
            spread: match spread {
                Spread::Integers(points) => Stored::Integers(points.clone()),
                Spread::Floats(floats) => Stored::Floats(texts(&floats.points)),
                Spread::Bins(bins) => Stored::Bins(texts(bins)),
                Spread::Categories(known) => Stored::Categories(known.clone()),
            },
        },
    };
    File {
        format: FORMAT,
        table: table.to_string(),
        version: profile.version,
        accepted_at: profile.accepted_at.to_rfc3339_opts(SecondsFormat::Millis, true),
        rows: profile.rows,
        columns: profile.columns.iter().map(|(name, profile)| (name.clone(), column(profile))).collect(),
    }
}

/// Returns what a file says; `None` where a number is none.
fn read(file: File) -> Option<StoredProfile> {
    let points = |texts: Vec<(String, u64)>| -> Option<Vec<Point<f64>>> {
        texts.into_iter().map(|(text, count)| Some((text.parse().ok()?, count))).collect()
    };
    let mut columns = IndexMap::with_capacity(file.columns.len());
    for (name, Column { missing, spread }) in file.columns {
        let spread = match spread {
            Stored::Integers(points) => Ok(Spread::Integers(points)),
            Stored::Floats(texts) => Ok(Spread::Floats(Floats { points: points(texts)?, shift: 0 })),
            Stored::Bins(texts) => Ok(Spread::Bins(points(texts)?)),
            Stored::Categories(known) => Ok(Spread::Categories(known)),
            Stored::TooManyCategories => Err(NotEvaluable::TooManyCategories),
        };
        columns.insert(name, spread.map(|spread| Profile { missing, spread }));
    }
    let accepted_at = DateTime::parse_from_rfc3339(&file.accepted_at).ok()?.to_utc();
    Some(StoredProfile { version: file.version, accepted_at, rows: file.rows, columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let odd = vec![(f64::NEG_INFINITY, 1), (-5e-324, 2), (0.1 + 0.2, 3), (f64::MAX, 4), (f64::INFINITY, 5)];
        let spreads = [
            Ok(Spread::Integers(vec![(i64::MIN, 1), (9_007_199_254_740_993, 2)])),
            Ok(Spread::Floats(Floats { points: odd.clone(), shift: 0 })),
            Ok(Spread::Bins(odd)),
            Ok(Spread::Categories([("".to_string(), 1), ("\u{1}\"é".to_string(), 2)].into())),
            Err(NotEvaluable::TooManyCategories),
        ];
        let columns = spreads.into_iter().enumerate();
        let columns = columns
            .map(|(at, spread)| (format!("c \"{at}"), spread.map(|spread| Profile { missing: at as u64, spread })));
        let profile = StoredProfile {
            version: Some(3),
            accepted_at: DateTime::UNIX_EPOCH,
            rows: u64::MAX,
            columns: columns.collect(),
        };
        let text = serde_json::to_string(&written("t", &profile)).unwrap();
        assert_eq!(read(serde_json::from_str(&text).unwrap()), Some(profile));
    }
}
