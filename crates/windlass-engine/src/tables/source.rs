//! Tables of a source: files that others wrote, held against their contract.
//!
//! Every file is looked at before anything reads it: a missing column or a changed type names the
//! file. Folders written `column=value` become partition columns. What is listed here is what is
//! read, also by a retry.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{ScalarValue, Statistics};
use datafusion::datasource::file_format::FileFormat as DataFusionFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt};
use globset::{GlobBuilder, GlobMatcher};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use windlass_error::{Code, Diagnostic};
use windlass_project::{FileFormat, Node, SourceTable};

use super::contract::{self, DeclaredColumn};
use super::files::FilesTable;
use super::published::PublishedTable;
use super::resolved::{ResolvedSource, SmallFiles};
use super::statistics;
use crate::Error;
use crate::storage::{Place, Storage};

/// Files whose footers are read at the same time.
const CONCURRENT_FOOTERS: usize = 16;
/// Sources of this size at most are compared by their bytes where times of files have changed.
const SMALL_BYTES: u64 = 64 << 20;
/// Rows of each file that types of undeclared columns are taken from.
const INFERRED_ROWS: usize = 1000;

/// The files of a source.
struct Listed<'a> {
    source: &'a SourceTable,
    base: &'a Place,
    format: &'a Arc<dyn DataFusionFormat>,
    objects: &'a [ObjectMeta],
}

/// Opens sources.
pub(crate) struct SourceReader<'a> {
    /// Knows the stores.
    pub(crate) storage: &'a Storage,
    /// Parses declared types and reads footers.
    pub(crate) context: &'a SessionContext,
    /// The project folder, for short paths in messages.
    pub(crate) root: &'a std::path::Path,
}

impl SourceReader<'_> {
    /// Returns a source's table.
    ///
    /// # Errors
    ///
    /// [`Error::Mistakes`] where files are missing or break the contract; all of them are named.
    pub(crate) async fn resolve(&self, node: &Node, source: &SourceTable) -> Result<ResolvedSource, Error> {
        let declared = contract::declared(self.context, node).await.map_err(mistakes)?;
        match source.format {
            FileFormat::Delta => self.delta(node, source, &declared).await,
            _ => self.files(node, source, &declared).await,
        }
    }

    async fn delta(
        &self,
        node: &Node,
        source: &SourceTable,
        declared: &[DeclaredColumn<'_>],
    ) -> Result<ResolvedSource, Error> {
        let place = self.storage.open(source.path.trim_start_matches("delta://"))?;
        let Some(table) = PublishedTable::open(&node.name, &place, None).await? else {
            return Err(mistakes(vec![no_files(node, &self.short(&place), "no Delta table")]));
        };
        let provider = table.provider(&node.name).await?;
        let broken = contract::violations(node, declared, &provider.schema(), &format!("`{}`", self.short(&place)));
        if !broken.is_empty() {
            return Err(mistakes(broken));
        }
        let identity = format!("delta {} version {}", place.url, table.version());
        Ok(ResolvedSource { provider, text: None, identity, small: None, rows: table.size().0, sampled: None })
    }

    async fn files(
        &self,
        node: &Node,
        source: &SourceTable,
        declared: &[DeclaredColumn<'_>],
    ) -> Result<ResolvedSource, Error> {
        let (base, objects) = self.list(source).await?;
        if objects.is_empty() {
            let prefix = format!("{}/", self.root.display());
            let location = source.path.strip_prefix(&prefix).unwrap_or(&source.path);
            return Err(mistakes(vec![no_files(node, location, "no file")]));
        }
        let partitions = PartitionColumns::find(source, &base, &objects, declared);
        let format = format_of(source, &objects);
        let stored: Vec<DeclaredColumn<'_>> =
            declared.iter().filter(|column| !partitions.has(&column.column.name)).cloned().collect();
        let listed = Listed { source, base: &base, format: &format, objects: &objects };
        let schema = self.schema(node, &listed, &stored).await?;
        let mut files = Vec::with_capacity(objects.len());
        for object in &objects {
            let values = partitions.values(&base, object).map_err(|column| {
                let message = format!("the folder of `{}` does not fit column `{column}`", object.location);
                mistakes(vec![
                    Diagnostic::error(Code::CHANGED_TYPE, message).at(node.location.clone()).node(&node.name),
                ])
            })?;
            let mut file = PartitionedFile::new_from_meta(object.clone()).with_partition_values(values.clone());
            if source.format == FileFormat::Parquet {
                let state = self.context.state();
                let known = format.infer_stats(&state, &base.store, Arc::clone(&schema), object).await;
                let known = known.map_err(|error| self.unreadable(node, object, &error))?;
                file.statistics = Some(Arc::new(with_partitions(known, &values)));
            }
            files.push(file);
        }
        let identity = identity(self.root, &objects);
        let columns = partitions.fields();
        let table = Arc::new(FilesTable::new(base.store_url.clone(), format, schema, columns, files));
        let rows = table.rows();
        let text = (source.format != FileFormat::Parquet).then(|| Arc::clone(&table));
        let is_small = base.local().is_some() && objects.iter().map(|object| object.size).sum::<u64>() <= SMALL_BYTES;
        let paths = || objects.iter().map(|object| object.location.clone()).collect();
        let small = is_small.then(|| SmallFiles { store: Arc::clone(&base.store), paths: paths() });
        Ok(ResolvedSource { provider: table, text, identity, small, rows, sampled: None })
    }

    /// Returns the folder that partition folders stand below, and the files, sorted by path.
    async fn list(&self, source: &SourceTable) -> Result<(Place, Vec<ObjectMeta>), Error> {
        let (fixed, pattern) = split_glob(&source.path);
        let base = self.storage.open(fixed)?;
        let failed = |error| Error::List { location: source.path.clone(), source: error };
        if pattern.is_none() && !fixed.ends_with('/') {
            match base.store.head(&base.path).await {
                Ok(object) => return Ok((base, vec![object])),
                Err(object_store::Error::NotFound { .. }) => {}
                // The local store calls a folder an error of its own.
                Err(error) if base.local().is_none_or(|path| !path.is_dir()) => return Err(failed(error)),
                Err(_) => {}
            }
        }
        if base.local().is_some_and(|path| !path.is_dir()) {
            return Ok((base, Vec::new()));
        }
        let ending = ending_of(source.format);
        let mut found: Vec<ObjectMeta> = Vec::new();
        let mut listed = base.store.list(Some(&base.path));
        while let Some(object) = listed.try_next().await.map_err(failed)? {
            let below = relative(&base, &object.location);
            let hidden = below.split('/').any(|part| part.starts_with(['_', '.']) && !part.contains('='));
            let wanted = match &pattern {
                Some(matcher) => matcher.is_match(&below),
                None => ending.iter().any(|ending| below.contains(ending)),
            };
            if wanted && !hidden && object.size > 0 {
                found.push(object);
            }
        }
        found.sort_by(|a, b| a.location.cmp(&b.location));
        Ok((base, found))
    }

    /// Returns the columns that all files share, after each was held against the contract.
    async fn schema(
        &self,
        node: &Node,
        listed: &Listed<'_>,
        declared: &[DeclaredColumn<'_>],
    ) -> Result<SchemaRef, Error> {
        let Listed { source, base, format, objects } = *listed;
        let schemas: Vec<SchemaRef> = futures::stream::iter(objects)
            .map(|object| async move {
                let state = self.context.state();
                let found = format.infer_schema(&state, &base.store, std::slice::from_ref(object)).await;
                found.map_err(|error| self.unreadable(node, object, &error))
            })
            .buffered(CONCURRENT_FOOTERS)
            .try_collect()
            .await?;
        let typed = source.format == FileFormat::Parquet;
        // What a text file seems to hold is a guess; one that holds whole numbers only is no contradiction.
        let schemas: Vec<SchemaRef> = match typed {
            true => schemas,
            false => schemas.iter().map(|found| with_declared_types(found, declared, source.format)).collect(),
        };
        let mut broken = Vec::new();
        for (object, found) in objects.iter().zip(&schemas) {
            broken.extend(contract::violations(node, declared, found, &format!("`{}`", self.short_path(base, object))));
            if !typed && source.format != FileFormat::Json && names(found) != names(&schemas[0]) {
                broken.push(self.other_header(node, base, object, &objects[0]));
            }
        }
        if !broken.is_empty() {
            return Err(mistakes(broken));
        }
        let merged = Schema::try_merge(schemas.iter().map(|schema| schema.as_ref().clone())).map_err(|error| {
            let message = format!("files of `{}` disagree about a column", node.name);
            let hint = "declare the columns of the source, so that the file that differs is named";
            let mistake = Diagnostic::error(Code::CHANGED_TYPE, message).at(node.location.clone());
            mistakes(vec![mistake.note(error.to_string()).hint(hint).node(&node.name)])
        })?;
        Ok(if typed { nullable(&merged) } else { nullable(&texts_for_nulls(&merged)) })
    }

    fn other_header(&self, node: &Node, base: &Place, object: &ObjectMeta, first: &ObjectMeta) -> Diagnostic {
        let (this, that) = (self.short_path(base, object), self.short_path(base, first));
        Diagnostic::error(Code::MISSING_COLUMN, format!("the columns of `{this}` are not those of `{that}`"))
            .at(node.location.clone())
            .hint("CSV files of one table must have the same columns in the same order")
            .node(&node.name)
    }

    fn unreadable(&self, node: &Node, object: &ObjectMeta, error: &DataFusionError) -> Error {
        let path = short_location(self.root, object.location.as_ref());
        let message = format!("cannot read `{path}`");
        let cause = error.find_root().strip_backtrace();
        let mistake = Diagnostic::error(crate::error::code_of(error).unwrap_or(Code::BAD_FILE), message);
        mistakes(vec![mistake.at(node.location.clone()).note(format!("cause: {cause}")).node(&node.name)])
    }

    fn short(&self, place: &Place) -> String {
        match place.local() {
            Some(path) => path.strip_prefix(self.root).unwrap_or(&path).display().to_string(),
            None => place.url.to_string(),
        }
    }

    fn short_path(&self, base: &Place, object: &ObjectMeta) -> String {
        let below = relative(base, &object.location);
        let base = self.short(base);
        if below.is_empty() { base } else { format!("{}/{below}", base.trim_end_matches('/')) }
    }
}

/// Returns an object's place as a path below the project folder, where it is one.
pub(crate) fn short_location(root: &std::path::Path, location: &str) -> String {
    let below = root.to_str().and_then(|root| location.strip_prefix(root.trim_start_matches('/')));
    below.map_or(location, |below| below.trim_start_matches('/')).to_string()
}

/// Columns whose values stand in folder names.
#[derive(Debug)]
struct PartitionColumns {
    columns: Vec<(String, DataType)>,
}

impl PartitionColumns {
    /// Takes the declared names, or the `name=value` folders above the first file.
    fn find(source: &SourceTable, base: &Place, objects: &[ObjectMeta], declared: &[DeclaredColumn<'_>]) -> Self {
        let names: Vec<String> = match source.partitioned_by.as_slice() {
            [] => objects.first().map(|object| folders(base, object).into_iter().map(|(name, _)| name).collect()),
            declared => Some(declared.to_vec()),
        }
        .unwrap_or_default();
        let type_of = |name: &str| {
            let declared = declared.iter().find(|column| column.column.name == name);
            declared.and_then(|column| column.data_type.clone()).unwrap_or(DataType::Utf8View)
        };
        Self {
            columns: names
                .into_iter()
                .map(|name| {
                    let data_type = type_of(&name);
                    (name, data_type)
                })
                .collect(),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|(known, _)| known == name)
    }

    fn fields(&self) -> Vec<FieldRef> {
        self.columns.iter().map(|(name, data_type)| Arc::new(Field::new(name, data_type.clone(), true))).collect()
    }

    /// Returns a file's values, or the name of the column that has none or one of another type.
    fn values(&self, base: &Place, object: &ObjectMeta) -> Result<Vec<ScalarValue>, String> {
        let found: BTreeMap<String, Option<String>> = folders(base, object).into_iter().collect();
        self.columns
            .iter()
            .map(|(name, data_type)| {
                let text = found.get(name).ok_or_else(|| name.clone())?;
                statistics::partition_value(text.as_deref(), data_type).ok_or_else(|| name.clone())
            })
            .collect()
    }
}

/// Returns the `name=value` folders between `base` and a file; Hive's NULL becomes `None`.
fn folders(base: &Place, object: &ObjectMeta) -> Vec<(String, Option<String>)> {
    let below = relative(base, &object.location);
    let decoded = |text: &str| percent_decode(text);
    below
        .split('/')
        .filter_map(|part| part.split_once('='))
        .map(|(name, value)| (decoded(name), (value != "__HIVE_DEFAULT_PARTITION__").then(|| decoded(value))))
        .collect()
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_string())
}

fn relative(base: &Place, location: &Path) -> String {
    match location.prefix_match(&base.path) {
        Some(parts) => parts.map(|part| part.as_ref().to_string()).collect::<Vec<_>>().join("/"),
        None => location.to_string(),
    }
}

/// Splits a location before its first segment with a wildcard.
fn split_glob(path: &str) -> (&str, Option<GlobMatcher>) {
    let Some(wild) = path.find(['*', '?', '[', '{']) else { return (path, None) };
    let cut = path[..wild].rfind('/').map_or(0, |slash| slash + 1);
    let matcher = GlobBuilder::new(&path[cut..]).literal_separator(true).build().ok();
    (&path[..cut], matcher.map(|glob| glob.compile_matcher()))
}

fn ending_of(format: FileFormat) -> &'static [&'static str] {
    match format {
        FileFormat::Parquet => &[".parquet", ".pq"],
        FileFormat::Csv { .. } => &[".csv", ".tsv", ".txt"],
        FileFormat::Json => &[".json", ".jsonl", ".ndjson"],
        FileFormat::Delta => &[],
    }
}

fn format_of(source: &SourceTable, objects: &[ObjectMeta]) -> Arc<dyn DataFusionFormat> {
    let name = objects.first().map(|object| object.location.to_string()).unwrap_or_default();
    let compression = match name.rsplit('.').next() {
        Some("gz") => FileCompressionType::GZIP,
        Some("zst") => FileCompressionType::ZSTD,
        Some("bz2") => FileCompressionType::BZIP2,
        Some("xz") => FileCompressionType::XZ,
        _ => FileCompressionType::UNCOMPRESSED,
    };
    match source.format {
        FileFormat::Csv { delimiter, header } => Arc::new(
            CsvFormat::default()
                .with_has_header(header)
                .with_delimiter(delimiter)
                .with_schema_infer_max_rec(INFERRED_ROWS)
                .with_newlines_in_values(true)
                .with_file_compression_type(compression),
        ),
        FileFormat::Json => Arc::new(
            JsonFormat::default().with_schema_infer_max_rec(INFERRED_ROWS).with_file_compression_type(compression),
        ),
        FileFormat::Parquet | FileFormat::Delta => Arc::new(ParquetFormat::default()),
    }
}

/// Returns the schema with declared types in place of guessed ones. JSON objects may lack a key, so
/// a declared column that no file shows is added there.
fn with_declared_types(found: &Schema, declared: &[DeclaredColumn<'_>], format: FileFormat) -> SchemaRef {
    let mut fields: Vec<Field> = found
        .fields()
        .iter()
        .map(|field| {
            let wanted = declared.iter().find(|column| column.column.name == *field.name());
            let data_type = wanted.and_then(|column| column.data_type.clone());
            field.as_ref().clone().with_data_type(data_type.unwrap_or_else(|| field.data_type().clone()))
        })
        .collect();
    if format == FileFormat::Json {
        for column in declared {
            if let Some(data_type) = &column.data_type
                && !fields.iter().any(|field| *field.name() == column.column.name)
            {
                fields.push(Field::new(&column.column.name, data_type.clone(), true));
            }
        }
    }
    Arc::new(Schema::new(fields))
}

/// A column without any value in a text file is text: the next file may have some, and a type of NULL
/// could not be published.
fn texts_for_nulls(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Null => field.as_ref().clone().with_data_type(DataType::Utf8),
        _ => field.as_ref().clone(),
    });
    Schema::new(fields.collect::<Vec<_>>())
}

fn nullable(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| Field::new(field.name(), field.data_type().clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn names(schema: &Schema) -> Vec<&str> {
    schema.fields().iter().map(|field| field.name().as_str()).collect()
}

fn with_partitions(mut known: Statistics, values: &[ScalarValue]) -> Statistics {
    let rows = known.num_rows;
    known.column_statistics.extend(values.iter().map(|value| statistics::constant_column(value, rows)));
    known
}

/// Returns what tells the rows of files: a line of path, size and tag for each. Paths are those below the
/// project where they are, so that a project can move.
fn identity(root: &std::path::Path, objects: &[ObjectMeta]) -> String {
    let lines = objects.iter().map(|object| {
        let tag = object.e_tag.clone().unwrap_or_else(|| object.last_modified.timestamp_micros().to_string());
        format!("{} {} {tag}", short_location(root, object.location.as_ref()), object.size)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn no_files(node: &Node, location: &str, what: &str) -> Diagnostic {
    Diagnostic::error(Code::MISSING_FILE, format!("source `{}` has {what} at `{location}`", node.name))
        .at(node.location.clone())
        .hint("correct `path:`, or put the file there")
        .node(&node.name)
}

fn mistakes(diagnostics: Vec<Diagnostic>) -> Error {
    Error::Mistakes { diagnostics }
}
