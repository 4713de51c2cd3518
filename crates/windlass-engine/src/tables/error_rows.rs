//! Error rows: the columns of `<table>__errors`, and how error rows travel to their writer.
//!
//! An operator that loses rows appends one column to its output, [`CARRIER`]. It is NULL in every row
//! of the result; a row of its own carries a batch of error rows as an Arrow IPC stream. So error
//! rows pass sorts, shuffles and retries with the rows around them, exactly once, and the one
//! operator that writes the result writes them too.
//!
//! Must stay true: the carrier never reaches a table; each error row is in exactly one carrier.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, Int32Array, Int64Array, ListBuilder, RecordBatch,
    StringArray, StringBuilder, StructArray, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use datafusion::arrow::compute::{cast, filter_record_batch, is_null, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::error::Result;
use sha2::{Digest, Sha256};
use windlass_worker::RowError;

use super::schema;

/// The column that carries error rows; no column of a Delta table may be called so.
pub(crate) const CARRIER: &str = "__windlass_error_rows__";

/// The column that holds the input row.
pub(crate) const ROW: &str = "row";

/// The column that holds a row of the result where [`ROW`] holds those of the input.
pub(crate) const RESULT: &str = "result";

/// The column that names the checks that a row broke.
pub(crate) const CHECKS: &str = "checks";

/// The column that says where a row failed.
pub(crate) const STAGE: &str = "stage";

/// The stage of rows that broke a check.
pub(crate) const CHECK_STAGE: &str = "check";

/// The column that names the model that could not score a row.
pub(crate) const MODEL: &str = "model";

/// The column that holds the version of that model.
pub(crate) const MODEL_VERSION: &str = "model_version";

/// A version of a model that was asked to score rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ScoredBy {
    /// How SQL names it.
    pub(crate) reference: String,
    /// The model.
    pub(crate) model: String,
    /// The version; `None` for one that is still to be trained.
    pub(crate) version: Option<u64>,
}

/// What all error rows of a node have in common.
#[derive(Debug, Clone)]
pub(crate) struct ErrorRows {
    /// Columns of `row` that identify a row, by place; they stand first in the error table.
    pub(crate) key: Vec<usize>,
    /// The columns of a row that failed, as Delta holds them; the fields of [`ROW`].
    pub(crate) row: SchemaRef,
    /// Where rows stand that broke checks.
    pub(crate) broken: Broken,
    /// Whether rows fail in models, which are named.
    pub(crate) is_scored: bool,
    /// The run.
    pub(crate) run_id: String,
    /// What the definition of the node hashes to.
    pub(crate) fingerprint: String,
    /// When the run began, in microseconds of UTC.
    pub(crate) at_us: i64,
}

/// Where the rows stand that broke checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    /// No check diverts rows.
    Nowhere,
    /// In [`ROW`]: rows fail in no other way.
    InRow,
    /// In [`RESULT`], with these columns: [`ROW`] holds rows of the input that failed before.
    InResult(SchemaRef),
}

impl ErrorRows {
    /// Returns the columns of the error table.
    pub(crate) fn schema(&self) -> SchemaRef {
        let mut fields: Vec<Field> = self.key.iter().map(|index| self.row.field(*index).clone()).collect();
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        // A key column keeps its name; one of ours that clashes with it stands in the row alone.
        let mut ours = vec![Field::new(ROW, DataType::Struct(self.row.fields().clone()), true)];
        if let Broken::InResult(result) = &self.broken {
            ours.push(Field::new(RESULT, DataType::Struct(result.fields().clone()), true));
        }
        ours.extend([text(STAGE), text("error_type"), text("error")]);
        if self.broken != Broken::Nowhere {
            ours.push(Field::new(CHECKS, names_type(), true));
        }
        if self.is_scored {
            ours.extend([text(MODEL), Field::new(MODEL_VERSION, DataType::Int64, true)]);
        }
        ours.extend([
            text("traceback"),
            text("traceback_hash"),
            Field::new("attempts", DataType::Int32, true),
            Field::new("batch_id", DataType::Int64, true),
            Field::new("worker", DataType::Int32, true),
            text("run_id"),
            text("fingerprint"),
            Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        ]);
        fields.retain(|field| !ours.iter().any(|own| own.name() == field.name()));
        fields.extend(ours);
        Arc::new(Schema::new(fields))
    }

    /// Returns the error rows of one batch of input, whose columns are those of `self.row`.
    pub(crate) fn batch(&self, input: &RecordBatch, errors: &[RowError], batch_id: i64) -> Result<RecordBatch> {
        let places = UInt32Array::from_iter_values(errors.iter().map(|error| error.row));
        let rows = take_record_batch(input, &places)?;
        let texts =
            |of: fn(&RowError) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(errors.iter().map(of))) };
        let hashes = errors.iter().map(|error| (!error.traceback.is_empty()).then(|| traceback_hash(error)));
        let numbers = |of: fn(&RowError) -> u32| -> ArrayRef {
            Arc::new(Int32Array::from_iter_values(errors.iter().map(|error| of(error) as i32)))
        };
        self.table(&rows, batch_id, |name| match name {
            ROW => Some(struct_of(self.row.fields(), &rows)),
            STAGE => Some(texts(|error| error.stage.as_str())),
            "error_type" => Some(texts(|error| &error.error_type)),
            "error" => Some(texts(|error| &error.message)),
            "traceback" => Some(texts(|error| &error.traceback)),
            "traceback_hash" => Some(Arc::new(hashes.clone().collect::<StringArray>())),
            "attempts" => Some(numbers(|error| error.attempts)),
            "worker" => Some(numbers(|error| error.worker)),
            _ => None,
        })
    }

    /// Returns the error rows for rows that a model could not score, whose columns are those of `self.row`.
    pub(crate) fn unscored(
        &self,
        rows: &RecordBatch,
        errors: &[RowError],
        by: &ScoredBy,
        batch_id: i64,
    ) -> Result<RecordBatch> {
        let texts =
            |of: fn(&RowError) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(errors.iter().map(of))) };
        let count = errors.len();
        self.table(rows, batch_id, |name| match name {
            ROW => Some(struct_of(self.row.fields(), rows)),
            STAGE => Some(texts(|error| error.stage.as_str())),
            "error_type" => Some(texts(|error| &error.error_type)),
            "error" => Some(texts(|error| &error.message)),
            MODEL => Some(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&by.model, count)))),
            MODEL_VERSION => Some(Arc::new(Int64Array::from(vec![by.version.map(|version| version as i64); count]))),
            _ => None,
        })
    }

    /// Returns the error rows for rows of the result that broke checks, each with the checks' names.
    pub(crate) fn breaking(&self, rows: &RecordBatch, checks: &[Vec<&str>], batch_id: i64) -> Result<RecordBatch> {
        let columns = match &self.broken {
            Broken::InResult(result) => result,
            Broken::InRow | Broken::Nowhere => &self.row,
        };
        let rows = schema::conform(rows, columns)?;
        let row = || Some(struct_of(columns.fields(), &rows));
        let same = |text: &str| -> Option<ArrayRef> {
            Some(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows.num_rows()))))
        };
        let told = checks.iter().map(|names| format!("breaks {}", names.join(", ")));
        self.table(&rows, batch_id, |name| match (name, &self.broken) {
            (ROW, Broken::InRow) | (RESULT, Broken::InResult(_)) => row(),
            (STAGE, _) => same(CHECK_STAGE),
            ("error", _) => Some(Arc::new(StringArray::from_iter_values(told.clone()))),
            (CHECKS, _) => Some(lists_of(checks)),
            _ => None,
        })
    }

    /// Returns error rows for `rows`: what they have in common, and what `own` answers by column. Other
    /// columns are NULL.
    fn table(&self, rows: &RecordBatch, batch_id: i64, own: impl Fn(&str) -> Option<ArrayRef>) -> Result<RecordBatch> {
        let schema = self.schema();
        let count = rows.num_rows();
        let same =
            |text: &String| -> ArrayRef { Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, count))) };
        let keys = schema.index_of(ROW)?;
        let column = |(at, field): (usize, &Arc<Field>)| -> Result<ArrayRef> {
            let name = field.name().as_str();
            Ok(match name {
                _ if at < keys => match rows.column_by_name(name) {
                    // Types differ where Python declares another one for a key than its input has.
                    Some(key) => cast(key, field.data_type())?,
                    None => new_null_array(field.data_type(), count),
                },
                "batch_id" => Arc::new(Int64Array::from_value(batch_id, count)),
                "run_id" => same(&self.run_id),
                "fingerprint" => same(&self.fingerprint),
                "at" => Arc::new(TimestampMicrosecondArray::from_value(self.at_us, count).with_timezone("UTC")),
                _ => own(name).unwrap_or_else(|| new_null_array(field.data_type(), count)),
            })
        };
        let columns = schema.fields().iter().enumerate().map(column).collect::<Result<Vec<ArrayRef>>>()?;
        Ok(RecordBatch::try_new(schema, columns)?)
    }
}

/// Returns the type of a list of names.
fn names_type() -> DataType {
    DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)))
}

fn lists_of(names: &[Vec<&str>]) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", DataType::Utf8, true));
    for names in names {
        names.iter().for_each(|name| lists.values().append_value(name));
        lists.append(true);
    }
    Arc::new(lists.finish())
}

fn struct_of(fields: &Fields, rows: &RecordBatch) -> ArrayRef {
    match fields.is_empty() {
        true => Arc::new(StructArray::new_empty_fields(rows.num_rows(), None)),
        false => Arc::new(StructArray::new(fields.clone(), rows.columns().to_vec(), None)),
    }
}

/// Returns what equal causes have in common: the class and the places of the stack, not the values.
fn traceback_hash(error: &RowError) -> String {
    let mut hash = Sha256::new();
    hash.update(error.error_type.as_bytes());
    // Without the folder, so that it is the same in every checkout.
    for line in error.traceback.lines().filter(|line| line.trim_start().starts_with("File ")) {
        let place = line.rsplit_once('/').map_or(line, |(_, place)| place);
        hash.update(place.trim().as_bytes());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the carrier's field.
pub(crate) fn carrier_field() -> Field {
    Field::new(CARRIER, DataType::Binary, true)
}

/// Returns a result with an empty carrier appended; `schema` has the carrier last.
pub(crate) fn without_errors(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns = rows.columns().to_vec();
    columns.push(new_null_array(&DataType::Binary, rows.num_rows()));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Returns one row that carries error rows and is NULL elsewhere; `schema` has the carrier last.
pub(crate) fn carrying(errors: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &errors.schema())?;
    writer.write(errors)?;
    writer.finish()?;
    drop(writer);
    let mut payload = BinaryBuilder::new();
    payload.append_value(&bytes);
    let (_, result) = schema.fields().split_last().expect("the carrier is there");
    let mut columns: Vec<ArrayRef> = result.iter().map(|field| new_null_array(field.data_type(), 1)).collect();
    columns.push(Arc::new(payload.finish()));
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Returns the rows of a result without its carrier, the last column, and the error rows that it
/// carries.
pub(crate) fn split(batch: &RecordBatch) -> Result<(RecordBatch, Vec<RecordBatch>)> {
    let last = batch.num_columns() - 1;
    let carrier = batch.column(last);
    let all: Vec<usize> = (0..last).collect();
    if carrier.null_count() == carrier.len() {
        return Ok((batch.project(&all)?, Vec::new()));
    }
    let mut errors = Vec::new();
    let payloads = carrier.as_binary::<i32>();
    for payload in payloads.iter().flatten() {
        for read in StreamReader::try_new(payload, None)? {
            errors.push(read?);
        }
    }
    let keep: BooleanArray = is_null(carrier)?;
    Ok((filter_record_batch(&batch.project(&all)?, &keep)?, errors))
}

#[cfg(test)]
mod tests;
