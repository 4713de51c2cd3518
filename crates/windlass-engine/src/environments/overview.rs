//! Which environments a lake has, and how one differs from its base.

use windlass_project::{Project, SYSTEM_FOLDER};

use crate::fingerprint::{Provenance, changed_definition, changed_input};
use crate::reuse::told;
use crate::storage::Place;
use crate::tables::published::PublishedTable;
use crate::{Engine, Error};

/// An environment of a lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// The environment that it was last run on.
    pub base: Option<String>,
    /// The share of rows of sources that its last run has read; `None` for all.
    pub sample: Option<String>,
    /// Its own tables.
    pub tables: u64,
    /// Rows of their newest versions.
    pub rows: u64,
    /// Bytes of their newest versions.
    pub bytes: u64,
}

/// A table that an environment has of its own, held against its base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentTable {
    /// The table.
    pub table: String,
    /// How it differs.
    pub change: TableChange,
    /// Why, for people: `sql changed: line 1`; empty where there is nothing to say.
    pub reason: String,
    /// Version and rows in the environment.
    pub own: (u64, Option<u64>),
    /// Version and rows in the base.
    pub below: Option<(u64, Option<u64>)>,
}

/// How a table of an environment differs from that of its base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableChange {
    /// The base has none of that name.
    New,
    /// It is defined in another way.
    Definition,
    /// The definition is the same, and the rows are others, as far as is known.
    Rows,
    /// Nothing.
    Same,
}

impl TableChange {
    /// Returns the stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Definition => "definition",
            Self::Rows => "rows",
            Self::Same => "same",
        }
    }
}

impl Engine {
    /// Returns the environments of the lake by name: its folders that hold tables or notes of ours.
    pub async fn list_environments(&self) -> Result<Vec<Environment>, Error> {
        let mut found = Vec::new();
        for name in folders(&self.lake_root).await? {
            let env = self.lake_root.join(&name);
            let (base, sample) = (self.base_of(&name).await?, self.noted_sample(&name).await?);
            let mut environment = Environment { name: name.clone(), base, sample, tables: 0, rows: 0, bytes: 0 };
            let children = folders(&env).await?;
            for table in children.iter().filter(|table| *table != SYSTEM_FOLDER) {
                let Some(opened) = PublishedTable::open(table, &env.join(table), None).await? else { continue };
                let (rows, bytes) = opened.size();
                environment.tables += 1;
                environment.rows += rows.unwrap_or_default();
                environment.bytes += bytes;
            }
            if environment.tables > 0 || children.iter().any(|child| child == SYSTEM_FOLDER) {
                found.push(environment);
            }
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// Returns the environments of the lake that were last run on top of another one.
    ///
    /// # Errors
    ///
    /// Errors of storage.
    pub async fn environments_above(&self, env: &str) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        for name in folders(&self.lake_root).await? {
            if name != env && self.base_of(&name).await?.as_deref() == Some(env) {
                found.push(name);
            }
        }
        Ok(found)
    }

    /// Returns the base that an environment of the lake was last run on; `None` where it had none.
    pub async fn noted_base(&self, env: &str) -> Result<Option<String>, Error> {
        self.base_of(env).await
    }

    /// Returns the tables that the environment has of its own, each held against that of its base by what their
    /// commits say. No row is read.
    pub async fn environment_tables(&self, project: &Project) -> Result<Vec<EnvironmentTable>, Error> {
        let mut names = self.table_folders().await?;
        let order = |name: &String| project.graph.order().iter().position(|node| node == name);
        names.sort_by_key(|name| (order(name).unwrap_or(usize::MAX), name.clone()));
        let mut found = Vec::new();
        for name in names.into_iter().filter(|name| !is_beside(project, name)) {
            let Some(own) = self.open_own(&name).await? else { continue };
            let below = self.open_in_base(&name).await?;
            let (change, reason) = match &below {
                None => (TableChange::New, String::new()),
                Some(below) => self.change(project, &own, below).await,
            };
            let of = |table: &PublishedTable| (table.version(), table.size().0);
            let below = below.as_ref().map(of);
            found.push(EnvironmentTable { table: name, change, reason, own: of(&own), below });
        }
        Ok(found)
    }

    async fn change(&self, project: &Project, own: &PublishedTable, below: &PublishedTable) -> (TableChange, String) {
        let (Some(here), Some(there)) = (own.provenance().await, below.provenance().await) else {
            return (TableChange::Definition, "nothing is known of how it was made".to_string());
        };
        let difference = match (there.definition(), here.definition()) {
            (Some(there), Some(here)) => changed_definition(&there, &here),
            _ => return (TableChange::Definition, "nothing is known of how it was made".to_string()),
        };
        if let Some(difference) = difference {
            return (TableChange::Definition, told(project, &difference).text);
        }
        let is_same = |of: &Provenance| of.content();
        if is_same(&here).is_some() && is_same(&here) == is_same(&there)
            || there.is_promoted_from(&self.env(), own.version(), &own.id())
        {
            return (TableChange::Same, String::new());
        }
        let difference = changed_input(&below.inputs(&there), &own.inputs(&here));
        let reason = difference.map_or_else(|| "other rows".to_string(), |difference| told(project, &difference).text);
        (TableChange::Rows, reason)
    }
}

/// Returns whether a table stands beside another one: its error rows, or rows of its checks.
fn is_beside(project: &Project, name: &str) -> bool {
    let of = ["__errors", "__failures"].iter().find_map(|end| name.strip_suffix(end));
    of.is_some_and(|node| project.nodes.contains_key(node)) && !project.nodes.contains_key(name)
}

/// Returns the names of the folders of a place.
pub(super) async fn folders(place: &Place) -> Result<Vec<String>, Error> {
    match place.store.list_with_delimiter(Some(&place.path)).await {
        Ok(listed) => {
            Ok(listed.common_prefixes.iter().filter_map(|path| path.filename()).map(str::to_string).collect())
        }
        Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
        Err(source) => Err(Error::List { location: place.display(), source }),
    }
}
