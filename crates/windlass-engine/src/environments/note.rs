//! `_windlass/environment.json` of an environment: which base it stands on, and of which sample its last run was.
//!
//! Targets say so for the runs of a checkout; the note says it to everybody who looks at the lake. It
//! is written by every run that finds it missing or different, and decides nothing for a run.

use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use windlass_project::SYSTEM_FOLDER;

use crate::storage::Place;
use crate::{Engine, Error};

/// The file's name in the system folder.
const FILE: &str = "environment.json";

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Note {
    /// The environment below.
    base: Option<String>,
    /// The share of rows of sources that the last run has read; `None` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<String>,
}

impl Engine {
    /// Notes in the lake which base the environment stands on. One that never had any has no note. Where it
    /// cannot be written, the run goes on all the same.
    pub(crate) async fn note_base(&self) {
        let base = self.base.as_ref().map(|base| base.env.to_string());
        let wanted = Note { base, sample: self.sample.map(|sample| sample.to_string()) };
        let place = place(&self.lake);
        let known = read(&place).await.ok().flatten().unwrap_or_default();
        if known == wanted {
            return;
        }
        let text = serde_json::to_vec(&wanted).unwrap_or_default();
        if let Err(error) = place.store.put(&place.path, PutPayload::from(text)).await {
            tracing::warn!(location = place.display(), %error, "base not noted");
        }
    }

    /// Returns the base that an environment of the lake was last run on.
    pub(crate) async fn base_of(&self, env: &str) -> Result<Option<String>, Error> {
        Ok(read(&place(&self.lake_root.join(env))).await?.and_then(|note| note.base))
    }

    /// Returns the share of rows of sources that the last run of an environment has read; `None` for all.
    pub(crate) async fn noted_sample(&self, env: &str) -> Result<Option<String>, Error> {
        Ok(read(&place(&self.lake_root.join(env))).await?.and_then(|note| note.sample))
    }
}

fn place(env: &Place) -> Place {
    env.join(SYSTEM_FOLDER).join(FILE)
}

async fn read(place: &Place) -> Result<Option<Note>, Error> {
    let failed = |source| Error::List { location: place.display(), source };
    let text = match place.store.get(&place.path).await {
        Ok(found) => found.bytes().await.map_err(failed)?,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    // One that somebody has broken is written anew.
    Ok(serde_json::from_slice(&text).ok())
}
