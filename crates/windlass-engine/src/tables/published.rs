//! Published tables: a Delta table at a fixed version, as a list of files.
//!
//! delta-rs reads the log; the scan is ours, because its own scan node has no codec and its
//! statistics do not reach the planner. Tables that need more than plain Parquet (deletion vectors,
//! column mapping; written by others, never by us) are read through delta-rs instead.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use deltalake_core::kernel::{EagerSnapshot, LogicalFileView, Remove, Version};
use deltalake_core::{DeltaTable, DeltaTableError};
use object_store::ObjectMeta;
use serde_json::Value;

use super::files::FilesTable;
use super::{schema, statistics};
use crate::Error;
use crate::fingerprint::{InputVersion, Inputs, Provenance, base_text, seen_from_above, version_text};
use crate::storage::Place;

/// Commits of others, such as compactions, behind which ours is looked for.
const FOREIGN_COMMITS: Version = 64;

/// A Delta table at one version.
#[derive(Debug, Clone)]
pub(crate) struct PublishedTable {
    place: Place,
    table: DeltaTable,
    /// The environment, where it is the base of the one that works.
    base: Option<Arc<str>>,
}

/// A file of a table at one version.
pub(crate) struct PublishedFile {
    /// The action that removes it.
    pub(crate) remove: Remove,
    /// Its rows.
    pub(crate) table: FilesTable,
}

impl PublishedTable {
    /// Returns the table at its newest version, or at `version`; `None` where there is no table.
    pub(crate) async fn open(name: &str, place: &Place, version: Option<Version>) -> Result<Option<Self>, Error> {
        let mut table = DeltaTable::new(place.log_store());
        let loaded = match version {
            Some(version) => table.load_version(version).await,
            None => table.load().await,
        };
        match loaded {
            Ok(()) => Ok(Some(Self { place: place.clone(), table, base: None })),
            Err(DeltaTableError::NotATable(_)) => Ok(None),
            Err(source) => match is_absent(&table).await {
                true => Ok(None),
                false => Err(Error::OpenTable { table: name.to_string(), source }),
            },
        }
    }

    /// Returns the table as one of a base.
    pub(crate) fn of_base(self, env: &Arc<str>) -> Self {
        Self { base: Some(Arc::clone(env)), ..self }
    }

    /// Returns the environment that the table stands in, where it is the base of the one that works.
    pub(crate) fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Returns another version of the table; `None` where it is gone.
    pub(crate) async fn at(&self, name: &str, version: Version) -> Result<Option<Self>, Error> {
        let opened = Self::open(name, &self.place, Some(version)).await?;
        Ok(opened.map(|table| Self { base: self.base.clone(), ..table }))
    }

    /// Returns where the table stands.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Returns what tells the table from one that was made anew in its place.
    pub(crate) fn id(&self) -> String {
        self.snapshot().metadata().id().to_string()
    }

    /// Returns the version.
    pub(crate) fn version(&self) -> Version {
        self.table.version().unwrap_or_default()
    }

    /// Returns the table for commits.
    pub(crate) fn delta(&self) -> &DeltaTable {
        &self.table
    }

    /// Returns what the log says at this version.
    pub(crate) fn snapshot(&self) -> &EagerSnapshot {
        self.table.snapshot().expect("`open` has loaded the table").snapshot()
    }

    /// Returns a provider that reads this version.
    pub(crate) async fn provider(&self, name: &str) -> Result<Arc<dyn TableProvider>, Error> {
        if self.needs_delta_rs() {
            let opened = self.table.table_provider().build().await;
            let failed = |source: datafusion::error::DataFusionError| Error::OpenTable {
                table: name.to_string(),
                source: source.into(),
            };
            return Ok(Arc::new(opened.map_err(failed)?));
        }
        Ok(Arc::new(self.files(name, |_| true)?))
    }

    /// Returns whether its columns are those of `schema`, as Delta holds them.
    pub(crate) fn has_columns(&self, schema: &Schema) -> bool {
        let own = self.snapshot().arrow_schema();
        let name_and_type = |field: &FieldRef| (field.name().clone(), schema::sql_type(field.data_type()));
        own.fields().iter().map(name_and_type).eq(schema.fields().iter().map(name_and_type))
    }

    /// Returns the first thing in which its columns are not those of `schema`: `column x is new`.
    pub(crate) fn changed_columns(&self, schema: &Schema) -> Option<String> {
        if self.has_columns(schema) {
            return None;
        }
        let own = self.snapshot().arrow_schema();
        for field in schema.fields() {
            let (name, now) = (field.name(), schema::sql_type(field.data_type()));
            match own.field_with_name(name).map(|field| schema::sql_type(field.data_type())) {
                Err(_) => return Some(format!("column {name} is new")),
                Ok(before) if before != now => return Some(format!("column {name} was {before} and is {now}")),
                Ok(_) => {}
            }
        }
        let gone = own.fields().iter().find(|field| schema.field_with_name(field.name()).is_err());
        Some(match gone {
            Some(field) => format!("column {} is gone", field.name()),
            None => "they stand in another order".to_string(),
        })
    }

    /// Returns what the newest of our commits up to this version says about itself.
    pub(crate) async fn provenance(&self) -> Option<Provenance> {
        let log_store = self.table.log_store();
        let version = self.version();
        let mut is_changed = false;
        for version in (version.saturating_sub(FOREIGN_COMMITS)..=version).rev() {
            let Ok(Some(entry)) = log_store.read_commit_entry(version).await else { return None };
            if let Some(info) = commit_info(&entry).and_then(|info| info.get("windlass").cloned()) {
                return Some(Provenance::new(info, is_changed));
            }
            is_changed = is_changed || actions(&entry).any(|action| changes_rows(&action));
        }
        None
    }

    /// Returns the versions up to this one that we have published since then, the newest first, at most
    /// so many.
    pub(crate) async fn published_since(&self, since_ms: i64, most: usize) -> Vec<Version> {
        let log_store = self.table.log_store();
        let mut found = Vec::new();
        for version in (0..=self.version()).rev() {
            let Ok(Some(entry)) = log_store.read_commit_entry(version).await else { break };
            let Some(info) = commit_info(&entry) else { continue };
            if found.len() == most || info["timestamp"].as_i64().is_none_or(|at_ms| at_ms < since_ms) {
                break;
            }
            found.extend(info.get("windlass").map(|_| version));
        }
        found
    }

    /// Returns the version of the error table that belongs to this version.
    pub(crate) async fn errors_version(&self) -> Option<Version> {
        Some(self.provenance().await?.errors()?.0)
    }

    /// Returns what tells its rows from those of other versions.
    pub(crate) async fn input_version(&self) -> InputVersion {
        let content = self.provenance().await.and_then(|provenance| provenance.content());
        InputVersion { identity: self.identity(), content, columns: None }
    }

    /// Returns the word for this version among inputs: the environment is part of it where it is the base.
    pub(crate) fn identity(&self) -> String {
        let version = version_text(self.version());
        self.base().map_or_else(|| version.clone(), |base| base_text(base, &version))
    }

    /// Returns what its commit says that it was made from, in the words of the environment that works.
    pub(crate) fn inputs(&self, provenance: &Provenance) -> Inputs {
        let inputs = provenance.inputs();
        self.base().map_or_else(|| inputs.clone(), |base| seen_from_above(&inputs, base))
    }

    /// Returns whether it is split into folders by these columns.
    pub(crate) fn is_partitioned_by(&self, columns: &[String]) -> bool {
        self.snapshot().metadata().partition_columns() == columns
    }

    /// Returns whether its files hold its rows and nothing else, so that single files can be replaced.
    pub(crate) fn is_plain(&self) -> bool {
        !self.needs_delta_rs()
    }

    /// Returns its files, each with what reads it alone.
    pub(crate) fn each_file(&self, name: &str) -> Result<Vec<PublishedFile>, Error> {
        let tables = self.files(name, |_| true)?.each().into_iter().map(|(_, table)| table);
        let log = self.snapshot().log_data();
        let file = |(view, table): (deltalake_core::kernel::LogicalFileView, FilesTable)| PublishedFile {
            remove: view.remove_action(true),
            table,
        };
        Ok(log.iter().zip(tables).map(file).collect())
    }

    fn needs_delta_rs(&self) -> bool {
        let snapshot = self.snapshot();
        let mapped = snapshot.table_properties().column_mapping_mode.is_some_and(|mode| format!("{mode:?}") != "None");
        mapped || snapshot.log_data().iter().any(|file| file.deletion_vector_descriptor().is_some())
    }

    /// Returns those of its files that are wanted as a table.
    pub(crate) fn files(&self, name: &str, is_wanted: impl Fn(&LogicalFileView) -> bool) -> Result<FilesTable, Error> {
        let snapshot = self.snapshot();
        let (file_schema, partition_columns) = self.schemas();
        let mut table_fields: Vec<FieldRef> = file_schema.fields().iter().cloned().collect();
        table_fields.extend(partition_columns.iter().cloned());
        let table_schema = Schema::new(table_fields);
        let mut files = Vec::new();
        for view in snapshot.log_data().iter().filter(is_wanted) {
            let bad_value = || Error::OpenTable {
                table: name.to_string(),
                source: DeltaTableError::Generic(format!(
                    "partition value of file `{}` does not fit its column",
                    view.path()
                )),
            };
            let texts = view.partition_values_map();
            let values = partition_columns
                .iter()
                .map(|field| {
                    let text = texts.get(field.name()).and_then(|text| text.as_deref());
                    statistics::partition_value(text, field.data_type()).ok_or_else(bad_value)
                })
                .collect::<Result<Vec<ScalarValue>, Error>>()?;
            let size = u64::try_from(view.size()).unwrap_or_default();
            let mut known = statistics::from_delta(view.stats().as_deref(), &table_schema, size);
            let first = file_schema.fields().len();
            for (index, value) in values.iter().enumerate() {
                known.column_statistics[first + index] = statistics::constant_column(value, known.num_rows);
            }
            let location = self.place.path.parts().chain(view.object_store_path().parts()).collect();
            let meta = ObjectMeta {
                location,
                last_modified: view.modification_datetime().unwrap_or_default(),
                size,
                e_tag: None,
                version: None,
            };
            let mut file = PartitionedFile::new_from_meta(meta).with_partition_values(values);
            file.statistics = Some(Arc::new(known));
            files.push(file);
        }
        let format = Arc::new(ParquetFormat::default());
        let table = FilesTable::new(self.place.store_url.clone(), format, file_schema, partition_columns, files);
        let declared = snapshot.arrow_schema();
        Ok(table.with_order(declared.fields().iter().map(|field| field.name())))
    }

    /// Returns the schema of the files and the partition columns.
    fn schemas(&self) -> (SchemaRef, Vec<FieldRef>) {
        let snapshot = self.snapshot();
        let all = schema::reading(&snapshot.arrow_schema());
        let partitioned = snapshot.metadata().partition_columns();
        let is_partition = |field: &FieldRef| partitioned.iter().any(|name| name == field.name());
        let stored: Vec<FieldRef> = all.fields().iter().filter(|field| !is_partition(field)).cloned().collect();
        let columns = partitioned
            .iter()
            .filter_map(|name| all.field_with_name(name).ok())
            .map(|field| Arc::new(Field::new(field.name(), field.data_type().clone(), true)))
            .collect();
        (Arc::new(Schema::new(stored)), columns)
    }

    /// Returns rows and bytes of this version.
    pub(crate) fn size(&self) -> (Option<u64>, u64) {
        let mut rows = Some(0);
        let mut bytes = 0;
        for view in self.snapshot().log_data().iter() {
            rows = rows.zip(view.num_records()).map(|(sum, rows)| sum + rows as u64);
            bytes += u64::try_from(view.size()).unwrap_or_default();
        }
        (rows, bytes)
    }
}

/// Returns what a log entry says about itself.
fn commit_info(entry: &[u8]) -> Option<Value> {
    actions(entry).find_map(|action| action.get("commitInfo").cloned())
}

fn actions(entry: &[u8]) -> impl Iterator<Item = Value> {
    entry.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok())
}

/// Returns whether an action of a commit adds or removes rows; a compaction says that it does not.
fn changes_rows(action: &Value) -> bool {
    ["add", "remove", "cdc"].iter().any(|kind| action.get(kind).is_some_and(|file| file["dataChange"] != false))
}

/// Returns whether the folder holds no Delta log at all, which delta-rs reports in several ways.
async fn is_absent(table: &DeltaTable) -> bool {
    matches!(table.verify_deltatable_existence().await, Ok(false))
}
