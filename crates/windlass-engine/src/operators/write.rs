//! Writes its input as Parquet files that no table refers to yet.
//!
//! The last operator of every node that publishes. Each partition writes files of its own and
//! answers one row a file: what the Delta log needs to add it. The caller commits these rows, all
//! or none. Files carry the run's id in their name, so that leftovers of dead runs can be told.
//!
//! Must stay true: unary, as many partitions as its input, no state shared between partitions, no
//! file for a partition without rows, and every input row in exactly one file.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::arrow::row::OwnedRow;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    ChildrenPropertiesMode, EmissionType, PlanProperties, ReplaceChildrenOptions,
};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, SendableRecordBatchStream,
};
use deltalake_core::kernel::Add;
use futures::{FutureExt, StreamExt};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::{AsyncArrowWriter, arrow_writer::ArrowWriterOptions};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::content::Content;
use super::partition::Splitter;
use crate::tables::{error_rows, schema, statistics};

/// Rows of a row group.
const ROW_GROUP_ROWS: usize = 512 * 1024;
/// A column's dictionary grows to this size, then its values are written plainly. Parquet's usual
/// 1 MiB hashes 131,072 distinct numbers before it gives up on them.
const DICTIONARY_BYTES: usize = 256 * 1024;
/// A file is closed after it has grown past this size.
const FILE_BYTES: usize = 512 << 20;
/// Files of different partition values that one partition keeps open.
const OPEN_FILES: usize = 64;
/// Hive's name for the folder of NULL, which Delta keeps.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// What is written and where.
#[derive(Debug, Clone)]
pub(crate) struct WriteSpec {
    /// Store of the lake, known to the session.
    pub(crate) store: ObjectStoreUrl,
    /// The table's folder in the store.
    pub(crate) folder: Path,
    /// The table's columns, as Delta holds them.
    pub(crate) schema: SchemaRef,
    /// Columns that split the table into folders.
    pub(crate) partition_by: Vec<String>,
    /// Whether each partition's rows come sorted, so that page bounds are worth their room.
    pub(crate) sorted: bool,
    /// The run, part of every file's name.
    pub(crate) run_id: String,
    /// Where rows that failed go; the input's last column carries them then.
    pub(crate) errors: Option<Box<WriteSpec>>,
}

/// The staged files of one table.
#[derive(Debug, Default)]
pub(crate) struct StagedTable {
    /// Add actions.
    pub(crate) files: Vec<Add>,
    /// Rows of the files.
    pub(crate) rows: u64,
    /// What the rows hash to.
    pub(crate) content: Content,
    /// The same of each file, in their order.
    pub(crate) each: Vec<(u64, Content)>,
}

impl StagedTable {
    /// Adds the files of another partition.
    pub(crate) fn extend(&mut self, other: Self) {
        self.files.extend(other.files);
        self.each.extend(other.each);
        self.rows += other.rows;
        self.content = self.content.plus(other.content);
    }
}

/// Writes its input as staged Parquet files; see the module.
#[derive(Debug)]
pub(crate) struct WriteExec {
    input: Arc<dyn ExecutionPlan>,
    spec: WriteSpec,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl WriteExec {
    /// Returns the operator above `input`, whose columns must be those of the spec, in order, and the
    /// carrier of error rows where the spec says where those go.
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, spec: WriteSpec) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(staged_schema()),
            datafusion::physical_plan::Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Final,
            input.boundedness(),
        );
        Self { input, spec, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() }
    }
}

/// Returns the columns of the answer: one row for each staged file.
fn staged_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("path", DataType::Utf8, false),
        Field::new("bytes", DataType::Int64, false),
        Field::new("rows", DataType::Int64, false),
        Field::new("modified_ms", DataType::Int64, false),
        Field::new("partition_values", DataType::Utf8, false),
        Field::new("statistics", DataType::Utf8, false),
        Field::new("holds_errors", DataType::Boolean, false),
        Field::new("content", DataType::Utf8, false),
    ]))
}

/// Returns what an answer staged: the result, and the rows that failed.
pub(crate) fn staged_files(batch: &RecordBatch) -> Result<(StagedTable, StagedTable)> {
    let text = |column: usize| batch.column(column).as_string::<i32>();
    let number = |column: usize| batch.column(column).as_primitive::<Int64Type>();
    let (mut result, mut errors) = (StagedTable::default(), StagedTable::default());
    for index in 0..batch.num_rows() {
        let table = if batch.column(6).as_boolean().value(index) { &mut errors } else { &mut result };
        let (rows, content) = (number(2).value(index) as u64, Content::parse(text(7).value(index)));
        table.rows += rows;
        table.content = table.content.plus(content);
        table.each.push((rows, content));
        let partition_values =
            serde_json::from_str(text(4).value(index)).map_err(|error| DataFusionError::External(Box::new(error)))?;
        table.files.push(Add {
            path: text(0).value(index).to_string(),
            partition_values,
            size: number(1).value(index),
            modification_time: number(3).value(index),
            data_change: true,
            stats: Some(text(5).value(index).to_string()),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        });
    }
    Ok((result, errors))
}

impl DisplayAs for WriteExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteExec: folder={}", self.spec.folder)?;
        match self.spec.partition_by.as_slice() {
            [] => Ok(()),
            columns => write!(f, ", partition_by=[{}]", columns.join(", ")),
        }
    }
}

impl ExecutionPlan for WriteExec {
    fn name(&self) -> &str {
        "WriteExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(children.swap_remove(0), self.spec.clone())))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, Arc::clone(&context))?;
        let around = Around { partition, context: &context, metrics: &self.metrics };
        let answer = match &self.spec.errors {
            None => {
                let result = PartitionWriter::try_new(&self.spec, &input.schema(), &around)?;
                futures::stream::once(run(input, result, None).boxed())
            }
            Some(errors) => {
                let carried = input.schema();
                let columns: Vec<usize> = (0..carried.fields().len() - 1).collect();
                let result = PartitionWriter::try_new(&self.spec, &Arc::new(carried.project(&columns)?), &around)?;
                let errors = PartitionWriter::try_new(errors, &errors.schema, &around)?;
                futures::stream::once(run(input, result, Some(errors)).boxed())
            }
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(staged_schema(), answer)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Told about rows as they are written; found in the session's extensions, absent on a cluster.
pub(crate) struct WriteObserver(pub(crate) Arc<dyn Fn(u64) + Send + Sync>);

/// What the writers of a partition find around themselves.
struct Around<'a> {
    partition: usize,
    context: &'a TaskContext,
    metrics: &'a ExecutionPlanMetricsSet,
}

/// Writes a partition: its result, and where there is a writer for them, the rows that failed.
async fn run(
    mut input: SendableRecordBatchStream,
    mut result: PartitionWriter,
    mut errors: Option<PartitionWriter>,
) -> Result<RecordBatch> {
    while let Some(batch) = input.next().await.transpose()? {
        match &mut errors {
            None => result.take(batch).await?,
            Some(errors) => {
                let (rows, failed) = error_rows::split(&batch)?;
                for batch in failed {
                    errors.take(batch).await?;
                }
                result.take(rows).await?;
            }
        }
    }
    let staged = result.finish().await?;
    let failed = match errors {
        Some(errors) => errors.finish().await?,
        None => Vec::new(),
    };
    answer(&staged, &failed)
}

/// Writes the rows of one partition to the files of one table.
struct PartitionWriter {
    spec: WriteSpec,
    partition: usize,
    store: Arc<dyn ObjectStore>,
    /// Types handed to the Parquet writer, all columns.
    writing: SchemaRef,
    splitter: Option<Splitter>,
    open: Vec<(Option<OwnedRow>, OpenFile)>,
    staged: Vec<StagedFile>,
    memory: MemoryReservation,
    observer: Option<Arc<WriteObserver>>,
    rows: Count,
}

/// A file that is being written.
struct OpenFile {
    path: Path,
    values: Vec<ScalarValue>,
    schema: SchemaRef,
    writer: AsyncArrowWriter<BufWriter>,
    /// NULLs of each column so far: where Parquet keeps no bounds, it does not count them either.
    nulls: Vec<u64>,
    content: Content,
}

/// A file that is complete.
struct StagedFile {
    path: String,
    bytes: u64,
    rows: i64,
    modified_ms: i64,
    partition_values: HashMap<String, Option<String>>,
    statistics: String,
    content: Content,
}

impl PartitionWriter {
    fn try_new(spec: &WriteSpec, input: &SchemaRef, around: &Around<'_>) -> Result<Self> {
        let Around { partition, context, metrics } = *around;
        let writing = schema::writing(input, &spec.schema);
        let columns =
            spec.partition_by.iter().map(|name| Ok(writing.index_of(name)?)).collect::<Result<Vec<usize>>>()?;
        let splitter = if columns.is_empty() { None } else { Some(Splitter::try_new(&writing, &columns)?) };
        Ok(Self {
            spec: spec.clone(),
            partition,
            store: context.runtime_env().object_store(&spec.store)?,
            writing,
            splitter,
            open: Vec::new(),
            staged: Vec::new(),
            memory: MemoryConsumer::new(format!("WriteExec[{partition}]")).register(context.memory_pool()),
            observer: context.session_config().get_extension::<WriteObserver>(),
            rows: MetricBuilder::new(metrics).output_rows(partition),
        })
    }

    async fn take(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let rows = batch.num_rows();
        // A value that does not fit fails the node and is never published as NULL.
        let batch = schema::conform(&batch, &self.writing)?;
        match &self.splitter {
            None => self.write(None, Vec::new(), &batch).await?,
            Some(splitter) => {
                for slice in splitter.split(&batch)? {
                    self.write(Some(slice.key), slice.values, &slice.rows).await?;
                }
            }
        }
        self.rows.add(rows);
        if let Some(observer) = &self.observer {
            (observer.0)(rows as u64);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Vec<StagedFile>> {
        while let Some((_, file)) = self.open.pop() {
            self.close(file).await?;
        }
        Ok(self.staged)
    }

    async fn write(&mut self, key: Option<OwnedRow>, values: Vec<ScalarValue>, rows: &RecordBatch) -> Result<()> {
        let known = self.open.iter().position(|(known, _)| *known == key);
        let at = match known {
            Some(at) => at,
            None => {
                if self.open.len() >= OPEN_FILES {
                    let (_, oldest) = self.open.remove(0);
                    self.close(oldest).await?;
                }
                let file = self.create(values, rows.schema())?;
                self.open.push((key, file));
                self.open.len() - 1
            }
        };
        let file = &mut self.open[at].1;
        for (nulls, column) in file.nulls.iter_mut().zip(rows.columns()) {
            *nulls += column.logical_null_count() as u64;
        }
        file.content = file.content.plus(Content::of(rows)?);
        file.writer.write(rows).await?;
        let grown = file.writer.bytes_written() > FILE_BYTES;
        self.account().await?;
        if grown {
            let (_, file) = self.open.remove(at);
            self.close(file).await?;
        }
        Ok(())
    }

    /// Keeps the memory pool informed; where it has no room, rows that wait for a full row group
    /// are written out early.
    async fn account(&mut self) -> Result<()> {
        let used = |open: &[(Option<OwnedRow>, OpenFile)]| open.iter().map(|(_, file)| file.writer.memory_size()).sum();
        if self.memory.try_resize(used(&self.open)).is_ok() {
            return Ok(());
        }
        for (_, file) in &mut self.open {
            file.writer.flush().await?;
        }
        self.memory.resize(used(&self.open));
        Ok(())
    }

    fn create(&self, values: Vec<ScalarValue>, schema: SchemaRef) -> Result<OpenFile> {
        let mut path = self.spec.folder.to_string();
        for (name, value) in self.spec.partition_by.iter().zip(&values) {
            let text = statistics::partition_text(value).map_or_else(|| NULL_FOLDER.to_string(), |text| escape(&text));
            path.push_str(&format!("/{}={text}", escape(name)));
        }
        let unique = uuid::Uuid::new_v4().simple();
        path.push_str(&format!("/part-{:05}-{}-{unique}.zstd.parquet", self.partition, self.spec.run_id));
        // Parsed, not joined: the folder's escapes must reach the disk as they are.
        let path =
            Path::parse(path.trim_start_matches('/')).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let sink = BufWriter::new(Arc::clone(&self.store), path.clone());
        let options = ArrowWriterOptions::new()
            .with_properties(writer_properties(self.spec.sorted, &schema))
            // Readers get plain Parquet types; how strings lay in our memory is nobody's business.
            .with_skip_arrow_metadata(true);
        let writer = AsyncArrowWriter::try_new_with_options(sink, Arc::clone(&schema), options)?;
        let nulls = vec![0; schema.fields().len()];
        Ok(OpenFile { path, values, schema, writer, nulls, content: Content::EMPTY })
    }

    async fn close(&mut self, mut file: OpenFile) -> Result<()> {
        let metadata = file.writer.finish().await?;
        let head = self.store.head(&file.path).await?;
        let partition_values = self
            .spec
            .partition_by
            .iter()
            .zip(&file.values)
            .map(|(name, value)| (name.clone(), statistics::partition_text(value)))
            .collect();
        let below = file.path.prefix_match(&self.spec.folder).into_iter().flatten();
        self.staged.push(StagedFile {
            path: below.map(|part| part.as_ref().to_string()).collect::<Vec<_>>().join("/"),
            bytes: head.size,
            rows: metadata.file_metadata().num_rows(),
            modified_ms: head.last_modified.timestamp_millis(),
            partition_values,
            statistics: statistics::to_delta(&metadata, &file.schema, &file.nulls),
            content: file.content.with_values(&file.values),
        });
        Ok(())
    }
}

/// Returns one row for each file: those of the result, then those of the rows that failed.
fn answer(result: &[StagedFile], errors: &[StagedFile]) -> Result<RecordBatch> {
    let all = || result.iter().chain(errors);
    let texts =
        |of: fn(&StagedFile) -> String| -> Arc<dyn Array> { Arc::new(StringArray::from_iter_values(all().map(of))) };
    let numbers =
        |of: fn(&StagedFile) -> i64| -> Arc<dyn Array> { Arc::new(Int64Array::from_iter_values(all().map(of))) };
    let json = |file: &StagedFile| serde_json::to_string(&file.partition_values).unwrap_or_default();
    let holds_errors = (0..result.len() + errors.len()).map(|index| Some(index >= result.len()));
    let columns = vec![
        texts(|file| file.path.clone()),
        numbers(|file| file.bytes as i64),
        numbers(|file| file.rows),
        numbers(|file| file.modified_ms),
        texts(json),
        texts(|file| file.statistics.clone()),
        Arc::new(holds_errors.collect::<BooleanArray>()),
        texts(|file| file.content.text()),
    ];
    Ok(RecordBatch::try_new(staged_schema(), columns)?)
}

/// Bounds of floats are left out: they do not count NaN, which SQL calls larger than any number, and
/// DataFusion, DuckDB and Arrow alike skip a file by its bounds, NaN or not.
fn writer_properties(sorted: bool, schema: &Schema) -> WriterProperties {
    let level = ZstdLevel::try_new(1).expect("1 is a level of zstd");
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_enabled(if sorted { EnabledStatistics::Page } else { EnabledStatistics::Chunk })
        .set_created_by(concat!("windlass version ", env!("CARGO_PKG_VERSION")).to_string());
    for field in schema.fields().iter().filter(|field| field.data_type().is_floating()) {
        properties = properties.set_column_statistics_enabled(field.name().as_str().into(), EnabledStatistics::None);
    }
    properties.build()
}

/// Returns a folder name without characters that file systems or URLs treat specially, as Hive
/// escapes them: `%` and two hexadecimal digits for each byte.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}
