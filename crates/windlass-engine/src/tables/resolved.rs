//! A source whose files are known: what reads it, and what tells its rows.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::files::FilesTable;
use crate::checks::hash::bytes128;
use crate::sampling::Sampled;

/// A source, ready to read.
#[derive(Debug, Clone)]
pub(crate) struct ResolvedSource {
    /// Reads it.
    pub(crate) provider: Arc<dyn TableProvider>,
    /// Its files, where they are text whose values can fail to parse.
    pub(crate) text: Option<Arc<FilesTable>>,
    /// What exactly is read, for the fingerprint: a Delta version, or path, size and time of files.
    pub(crate) identity: String,
    /// Where its bytes can be had cheaply, so that files with new times can be told from new files.
    pub(crate) small: Option<SmallFiles>,
    /// Rows, where they are known without reading.
    pub(crate) rows: Option<u64>,
    /// Which rows a run on a sample reads.
    pub(crate) sampled: Option<Sampled>,
}

/// Local files of 64 MiB at most together.
#[derive(Debug, Clone)]
pub(crate) struct SmallFiles {
    /// Where they are.
    pub(super) store: Arc<dyn ObjectStore>,
    /// In order.
    pub(super) paths: Vec<Path>,
}

impl ResolvedSource {
    /// Returns what reads the rows that nodes get.
    pub(crate) fn reader(&self) -> Arc<dyn TableProvider> {
        match &self.sampled {
            Some(sampled) => sampled.of(Arc::clone(&self.provider)),
            None => Arc::clone(&self.provider),
        }
    }

    /// Returns what tells the rows that nodes get: files or version, and what was chosen of them.
    pub(crate) fn state(&self) -> String {
        match &self.sampled {
            Some(sampled) => sampled.mark(&self.identity),
            None => self.identity.clone(),
        }
    }

    /// Returns the hash of the bytes of all files, in the order of their paths; `None` where reading them
    /// for that would not be cheap. Stores other than the disk tell by their tags.
    pub(crate) async fn content(&self) -> Option<String> {
        let SmallFiles { store, paths } = self.small.as_ref()?;
        let mut digests = Vec::with_capacity(paths.len() * 16);
        for path in paths {
            let bytes = store.get(path).await.ok()?.bytes().await.ok()?;
            digests.extend(bytes128(&bytes).to_le_bytes());
        }
        let content = format!("{:032x}", bytes128(&digests));
        Some(match &self.sampled {
            Some(sampled) => sampled.mark(&content),
            None => content,
        })
    }
}
