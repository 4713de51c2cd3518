//! The engine of one process: a session, the stores it knows, and the lake.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use indexmap::IndexMap;
use windlass_project::{MemoryLimit, Project, SYSTEM_FOLDER, error_table};
use windlass_worker::Workers;

use crate::Error;
use crate::environments::Base;
use crate::models::MlflowModels;
use crate::python::{PythonSettings, workers};
use crate::sampling::Sample;
use crate::session::{Session, SessionSettings};
use crate::storage::{Place, Storage};
use crate::tables::gc::{self, Garbage, GcOptions};

/// What an engine is made from; see `Target` for where the values come from.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Folder or URL below which `<env>/<table>/` stand.
    pub lake: String,
    /// The first folder below the lake.
    pub env: String,
    /// The environment that is read where `env` has no table of its own.
    pub base: Option<String>,
    /// The share of rows of sources that is read, where not all of them are.
    pub sample: Option<Sample>,
    /// How much memory queries may use together.
    pub memory: MemoryLimit,
    /// Partitions that work at the same time.
    pub threads: usize,
    /// Folder for spilled data.
    pub spill: PathBuf,
    /// Settings of the object store; may be secret.
    pub storage: IndexMap<String, String>,
    /// `AWS_*` variables of the process.
    pub environment: BTreeMap<String, String>,
    /// How Python runs.
    pub python: PythonSettings,
    /// The MLflow server that has models of others, where one is named.
    pub mlflow: Option<windlass_model::mlflow::Client>,
}

/// Plans, computes and publishes tables; shared by all nodes of a run.
pub struct Engine {
    pub(crate) session: Session,
    pub(crate) storage: Storage,
    pub(crate) workers: Arc<Workers>,
    /// How long a transform computes at least before it keeps what it has.
    pub(crate) piece: Duration,
    pub(crate) lake: Place,
    pub(crate) lake_root: Place,
    /// What is read where the environment has nothing of its own.
    pub(crate) base: Option<Base>,
    /// The share of rows of sources that is read, where not all of them are.
    pub(crate) sample: Option<Sample>,
    /// Tables that queries find beside those of the lake, by name.
    pub(crate) provided: Mutex<BTreeMap<String, RecordBatch>>,
    /// Models at an MLflow server.
    pub(crate) mlflow: MlflowModels,
    notices: Arc<dyn Fn(&str) + Send + Sync>,
    noticed: Mutex<BTreeSet<String>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("session", &self.session).field("lake", &self.lake).finish_non_exhaustive()
    }
}

impl Engine {
    /// Returns an engine. Reads no table and writes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Location`] and [`Error::OpenStorage`] for a lake that cannot be understood.
    pub fn try_new(config: EngineConfig) -> Result<Self, Error> {
        let threads = config.threads.max(1);
        let session = Session::try_new(SessionSettings {
            memory_bytes: crate::memory::resolve(config.memory),
            threads,
            spill: config.spill,
        })?;
        let piece = config.python.piece;
        let notices = Arc::clone(&config.python.notices);
        let workers = workers(config.python, &session.runtime(), threads);
        let storage = Storage::new(session.runtime(), config.storage, config.environment);
        let lake_root = storage.open(&config.lake)?;
        let lake = lake_root.join(&config.env);
        let base = config.base.filter(|base| *base != config.env);
        let base = base.map(|env| Base { place: lake_root.join(&env), env: env.into() });
        let (mlflow, provided, noticed) = (MlflowModels::new(config.mlflow), Mutex::default(), Mutex::default());
        let sample = config.sample;
        Ok(Self { session, storage, workers, piece, lake, lake_root, base, sample, provided, mlflow, notices, noticed })
    }

    /// Tells the user something that is no error, the first time.
    pub(crate) fn notice_once(&self, text: &str) {
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        if noticed.insert(text.to_string()) {
            (self.notices)(text);
        }
    }

    /// Returns the bytes that queries may use together.
    pub fn memory_bytes(&self) -> u64 {
        self.session.settings().memory_bytes
    }

    /// Returns the lake's location for people.
    pub fn lake(&self) -> String {
        self.lake_root.display()
    }

    /// Fails where the lake cannot be written; makes its folder, and notes there what is read below it.
    pub async fn ensure_writable(&self) -> Result<(), Error> {
        self.lake.ensure_writable().await?;
        self.note_base().await;
        Ok(())
    }

    /// Returns where a table stands.
    pub(crate) fn place(&self, table: &str) -> Place {
        self.lake.join(table)
    }

    /// Returns where a table stands in another environment of the lake.
    pub(crate) fn place_in(&self, env: &str, table: &str) -> Place {
        self.lake_root.join(env).join(table)
    }

    /// Stops all Python workers and waits until they are gone.
    pub async fn shutdown(&self) {
        self.workers.shutdown().await;
    }

    /// Finds, and unless told otherwise removes, files that no table refers to. Looks at every table
    /// of the environment, also at those that the project no longer has.
    pub async fn gc(&self, project: &Project, options: &GcOptions) -> Result<Vec<Garbage>, Error> {
        let mut tables: HashSet<String> =
            project.nodes.values().filter(|node| node.is_published()).map(|node| node.name.clone()).collect();
        tables.extend(self.table_folders().await?);
        let mut tables: Vec<String> = tables.into_iter().collect();
        tables.sort();
        let mut garbage = Vec::new();
        for table in tables {
            garbage.extend(gc::collect(&table, &self.place(&table), options).await?);
        }
        for (table, place) in self.system_tables() {
            garbage.extend(gc::collect(table, &place, options).await?);
        }
        Ok(garbage)
    }

    pub(crate) async fn table_folders(&self) -> Result<Vec<String>, Error> {
        let listed = self.lake.store.list_with_delimiter(Some(&self.lake.path)).await;
        match listed {
            Ok(listed) => {
                let names = listed.common_prefixes.iter().filter_map(|path| path.filename());
                Ok(names.filter(|name| *name != SYSTEM_FOLDER).map(str::to_string).collect())
            }
            Err(object_store::Error::NotFound { .. }) => Ok(Vec::new()),
            Err(source) => Err(Error::List { location: self.lake.display(), source }),
        }
    }

    /// Removes what a run staged for a table and did not publish.
    pub async fn discard(&self, table: &str, run_id: &str, now: chrono::DateTime<chrono::Utc>) -> Result<(), Error> {
        gc::discard(table, &self.place(table), run_id, now).await?;
        let errors = error_table(table);
        gc::discard(&errors, &self.place(&errors), run_id, now).await
    }
}
