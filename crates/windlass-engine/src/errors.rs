//! Rows that failed: why they did, out of the lake, and once more through the code as it is now.

use std::collections::BTreeMap;
use std::path::Path;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::json::WriterBuilder;
use datafusion::arrow::json::writer::LineDelimited;
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use windlass_project::{Project, error_table};

use crate::build::{BuildRequest, RowsFrom};
use crate::tables::error_rows::{CHECK_STAGE, CHECKS, RESULT, ROW};
use crate::{Engine, Error};

/// Causes that are told apart; the rest is counted under the last.
const CAUSES: usize = 1_000;

/// Why rows of a table failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorCauses {
    /// Version of the table that they are missing from.
    pub table_version: u64,
    /// How many.
    pub rows: u64,
    /// Why, most rows first.
    pub causes: Vec<ErrorCause>,
}

/// Rows that failed for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorCause {
    /// How many.
    pub rows: u64,
    /// Where they failed: `requires`, `reject`, `python`, `crash`, `timeout`, `memory`, `model` or `check`.
    pub stage: String,
    /// The exception's class; empty where there is none.
    pub error_type: String,
    /// What the first of them says; the name of a check.
    pub message: String,
    /// The stack of the first of them.
    pub traceback: String,
    /// The key of the first of them, `name=value, ...`.
    pub key: String,
    /// The first of them as JSON.
    pub row: String,
}

/// What a replay did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Error rows that do not fail any more; what came of them is in the table.
    pub replayed: u64,
    /// Error rows that fail still.
    pub still_failing: u64,
    /// The table's version.
    pub version: u64,
    /// The error table's version.
    pub errors_version: u64,
    /// Why they fail, with the number of rows of each cause, most first.
    pub causes: Vec<(String, u64)>,
}

impl Engine {
    /// Returns why rows of a node failed, as of its newest version; `None` where it has no error
    /// table. Streams: memory holds one example of each cause.
    pub async fn error_causes(&self, project: &Project, node: &str) -> Result<Option<ErrorCauses>, Error> {
        let (Some(table), Some(_)) = (self.open_table(node).await?, self.open_errors(node).await?) else {
            return Ok(None);
        };
        let failed = |source| Error::Compute { node: error_table(node), blame: None, source };
        let frame = self.frame(project, &format!("select * from \"{}\"", error_table(node))).await?;
        let stream = frame.execute_stream().await.map_err(failed)?;
        let (rows, causes) = causes(stream).await.map_err(failed)?;
        Ok(Some(ErrorCauses { table_version: table.version(), rows, causes }))
    }

    /// Writes the error rows of a node to a file, as its ending says: `.csv`, `.json` (an object a
    /// line) or `.parquet`. Returns how many there are.
    pub async fn export_errors(&self, project: &Project, node: &str, file: &Path) -> Result<u64, Error> {
        let failed = |source| Error::Compute { node: error_table(node), blame: None, source };
        let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        let columns = match ending.as_str() {
            // Text has no nested values.
            "csv" => self.flat_columns(project, node).await?,
            _ => "*".to_string(),
        };
        let query = format!("select {columns} from \"{}\"", error_table(node));
        let frame = self.frame(project, &query).await?;
        let path = file.display().to_string();
        let options = DataFrameWriteOptions::new().with_single_file_output(true);
        let written = match ending.as_str() {
            "csv" => frame.write_csv(&path, options, None).await,
            "parquet" => frame.write_parquet(&path, options, None).await,
            _ => frame.write_json(&path, options, None).await,
        };
        let counts = written.map_err(failed)?;
        let count = |batch: &RecordBatch| {
            let column = batch.column(0);
            column
                .as_primitive_opt::<datafusion::arrow::datatypes::UInt64Type>()
                .map_or(0, |rows| rows.iter().flatten().sum())
        };
        Ok(counts.iter().map(count).sum())
    }

    /// Returns the columns of an error table with those of the input row beside them.
    async fn flat_columns(&self, project: &Project, node: &str) -> Result<String, Error> {
        let frame = self.frame(project, &format!("select * from \"{}\"", error_table(node))).await?;
        let mut columns = Vec::new();
        let names: Vec<String> = frame.schema().fields().iter().map(|field| field.name().clone()).collect();
        for field in frame.schema().fields() {
            match field.data_type() {
                DataType::Struct(fields) if [ROW, RESULT].contains(&field.name().as_str()) => {
                    let prefix = if field.name() == ROW { "" } else { "result." };
                    let inner = fields.iter().filter(|inner| !inner.data_type().is_nested());
                    let inner = inner.map(|inner| (inner.name(), format!("{prefix}{}", inner.name())));
                    let inner = inner.filter(|(_, shown)| !names.contains(shown));
                    columns.extend(inner.map(|(name, shown)| {
                        format!("\"{}\"['{}'] as \"{shown}\"", field.name(), name.replace('\'', "''"))
                    }));
                }
                DataType::List(_) if field.name() == CHECKS => {
                    columns.push(format!("array_to_string(\"{CHECKS}\", ' ') as \"{CHECKS}\""));
                }
                other if other.is_nested() => {}
                _ => columns.push(format!("\"{}\"", field.name())),
            }
        }
        Ok(columns.join(", "))
    }

    /// Runs the error rows of a node through its code as it is now and merges what comes of them into
    /// its table. `None` when the progress forbids to publish; nothing is then.
    ///
    /// # Errors
    ///
    /// [`Error::NoErrors`] where there is nothing to replay, and those of [`Engine::build`].
    pub async fn replay(&self, request: &BuildRequest<'_>) -> Result<Option<Replayed>, Error> {
        let node = &request.node.name;
        let nothing = || Error::NoErrors { node: node.clone() };
        if let Some(table) = self.open_table(node).await? {
            self.adopt(request, &table).await?;
        }
        let Some(errors) = self.open_errors(node).await? else { return Err(nothing()) };
        let (Some(before @ 1..), _) = errors.size() else { return Err(nothing()) };
        let Some(built) = self.build_from(request, &RowsFrom::Errors(Box::new(errors))).await? else {
            return Ok(None);
        };
        let (still_failing, causes) = built.failures.map_or((0, Vec::new()), |failed| (failed.rows, failed.causes));
        let errors_version = self.open_errors(node).await?.map_or(0, |table| table.version());
        let replayed = before.saturating_sub(still_failing);
        Ok(Some(Replayed { replayed, still_failing, version: built.version, errors_version, causes }))
    }
}

/// Returns how many error rows there are, and why they failed.
async fn causes(mut stream: SendableRecordBatchStream) -> Result<(u64, Vec<ErrorCause>), DataFusionError> {
    let mut known: BTreeMap<[String; 3], ErrorCause> = BTreeMap::new();
    let mut rows = 0;
    while let Some(batch) = stream.try_next().await? {
        rows += batch.num_rows() as u64;
        group(&batch, &mut known)?;
    }
    let mut causes: Vec<ErrorCause> = known.into_values().collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.rows));
    Ok((rows, causes))
}

/// Adds the error rows of a batch to their causes. A row that broke several checks counts for each.
pub(crate) fn group(batch: &RecordBatch, known: &mut BTreeMap<[String; 3], ErrorCause>) -> Result<(), DataFusionError> {
    let text = |name: &str| -> Result<datafusion::arrow::array::ArrayRef, DataFusionError> {
        let column = batch.column_by_name(name).ok_or_else(|| missing(name))?;
        Ok(datafusion::arrow::compute::cast(column, &DataType::Utf8)?)
    };
    let [stage, kind, message] = [text("stage")?, text("error_type")?, text("error")?];
    let [traceback, hash] = [text("traceback")?, text("traceback_hash")?];
    for row in 0..batch.num_rows() {
        let at = |column: &datafusion::arrow::array::ArrayRef| match column.is_null(row) {
            true => String::new(),
            false => column.as_string::<i32>().value(row).to_string(),
        };
        let reasons = match (checks_of(batch, row), at(&hash)) {
            (checks, _) if !checks.is_empty() => checks,
            (_, hash) if hash.is_empty() => vec![at(&message)],
            (_, hash) => vec![hash],
        };
        let is_check = at(&stage) == CHECK_STAGE;
        for reason in reasons {
            let mut key = [at(&stage), at(&kind), reason];
            if known.len() >= CAUSES && !known.contains_key(&key) {
                key = [at(&stage), "other causes".to_string(), String::new()];
            }
            match known.get_mut(&key) {
                Some(cause) => cause.rows += 1,
                None => {
                    let cause = ErrorCause {
                        rows: 1,
                        stage: at(&stage),
                        error_type: key[1].clone(),
                        message: if is_check { key[2].clone() } else { at(&message) },
                        traceback: at(&traceback),
                        key: key_text(batch, row)?,
                        row: row_json(batch, row)?,
                    };
                    known.insert(key, cause);
                }
            }
        }
    }
    Ok(())
}

/// Returns the checks that an error row broke.
fn checks_of(batch: &RecordBatch, row: usize) -> Vec<String> {
    let lists = batch.column_by_name(CHECKS).and_then(|column| column.as_list_opt::<i32>());
    let Some(lists) = lists.filter(|lists| lists.is_valid(row)) else { return Vec::new() };
    let names = datafusion::arrow::compute::cast(&lists.value(row), &DataType::Utf8);
    names.map(|names| names.as_string::<i32>().iter().flatten().map(str::to_string).collect()).unwrap_or_default()
}

fn missing(name: &str) -> DataFusionError {
    DataFusionError::Plan(format!("the error table has no column `{name}`"))
}

/// Returns the key columns of an error row, those before the input row.
fn key_text(batch: &RecordBatch, row: usize) -> Result<String, DataFusionError> {
    let end = batch.schema().index_of(ROW)?;
    let options = datafusion::arrow::util::display::FormatOptions::default().with_null("NULL");
    let mut parts = Vec::with_capacity(end);
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()).take(end) {
        let formatter = datafusion::arrow::util::display::ArrayFormatter::try_new(column.as_ref(), &options)?;
        parts.push(format!("{}={}", field.name(), formatter.value(row)));
    }
    Ok(parts.join(", "))
}

fn row_json(batch: &RecordBatch, row: usize) -> Result<String, DataFusionError> {
    let of_result = batch.column_by_name(RESULT).filter(|column| column.is_valid(row));
    let column = of_result.or_else(|| batch.column_by_name(ROW)).ok_or_else(|| missing(ROW))?;
    let Some(input) = column.as_struct_opt().filter(|input| !input.fields().is_empty()) else {
        return Ok("{}".to_string());
    };
    let one = RecordBatch::from(input.slice(row, 1));
    let mut bytes = Vec::new();
    // A row fails because of its NULLs more often than not.
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut bytes);
    writer.write(&one)?;
    writer.finish()?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_string())
}
