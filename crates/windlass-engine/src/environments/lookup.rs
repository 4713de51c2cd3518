//! Opens published tables: the environment's own, else those of its base.

use windlass_project::error_table;

use crate::tables::published::PublishedTable;
use crate::{Engine, Error};

/// A published table, as readers find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingTable {
    /// Its newest version.
    pub version: u64,
    /// Rows, where the log tells.
    pub rows: Option<u64>,
    /// Bytes of its files.
    pub bytes: u64,
    /// The environment that it stands in, where that is the base.
    pub base: Option<String>,
}

impl Engine {
    /// Returns a published table at its newest version: the environment's own, else that of the base.
    pub(crate) async fn open_table(&self, table: &str) -> Result<Option<PublishedTable>, Error> {
        match self.open_own(table).await? {
            Some(own) => Ok(Some(own)),
            None => self.open_in_base(table).await,
        }
    }

    /// Returns a table of the environment itself.
    pub(crate) async fn open_own(&self, table: &str) -> Result<Option<PublishedTable>, Error> {
        PublishedTable::open(table, &self.place(table), None).await
    }

    /// Returns a table of the base.
    pub(crate) async fn open_in_base(&self, table: &str) -> Result<Option<PublishedTable>, Error> {
        let Some(base) = &self.base else { return Ok(None) };
        let opened = PublishedTable::open(table, &base.place.join(table), None).await?;
        Ok(opened.map(|table| table.of_base(&base.env)))
    }

    /// Returns a table of another environment of the lake, or of the base that it was last run on.
    pub(crate) async fn open_in(&self, env: &str, table: &str) -> Result<Option<PublishedTable>, Error> {
        if let Some(own) = PublishedTable::open(table, &self.place_in(env, table), None).await? {
            return Ok(Some(own));
        }
        let Some(base) = self.base_of(env).await? else { return Ok(None) };
        let opened = PublishedTable::open(table, &self.place_in(&base, table), None).await?;
        Ok(opened.map(|table| table.of_base(&base.into())))
    }

    /// Returns a published table at a version, or at its newest.
    pub(crate) async fn table_at(&self, table: &str, version: Option<u64>) -> Result<PublishedTable, Error> {
        let not_published = || Error::NotPublished { table: table.to_string() };
        let newest = self.open_table(table).await?.ok_or_else(not_published)?;
        match version {
            None => Ok(newest),
            Some(version) if version > newest.version() => {
                Err(Error::NoVersion { table: table.to_string(), version, newest: newest.version() })
            }
            Some(version) => newest.at(table, version).await?.ok_or_else(not_published),
        }
    }

    /// Returns a node's error rows as they belong to its newest version; `None` where it has none.
    pub(crate) async fn open_errors(&self, node: &str) -> Result<Option<PublishedTable>, Error> {
        match self.open_table(node).await? {
            Some(table) => self.errors_of(node, &table).await,
            None => Ok(None),
        }
    }

    /// Returns the error rows that belong to a version of a node's table; they stand beside it.
    pub(crate) async fn errors_of(&self, node: &str, table: &PublishedTable) -> Result<Option<PublishedTable>, Error> {
        let Some(version) = table.errors_version().await else { return Ok(None) };
        let name = error_table(node);
        match (table.base(), &self.base) {
            (Some(_), Some(base)) => {
                let opened = PublishedTable::open(&name, &base.place.join(&name), Some(version)).await?;
                Ok(opened.map(|errors| errors.of_base(&base.env)))
            }
            _ => PublishedTable::open(&name, &self.place(&name), Some(version)).await,
        }
    }

    /// Returns what readers find of a published table; `None` where there is none.
    pub async fn published(&self, table: &str) -> Result<Option<StandingTable>, Error> {
        let Some(table) = self.open_table(table).await? else { return Ok(None) };
        let (rows, bytes) = table.size();
        let base = table.base().map(str::to_string);
        Ok(Some(StandingTable { version: table.version(), rows, bytes, base }))
    }
}
