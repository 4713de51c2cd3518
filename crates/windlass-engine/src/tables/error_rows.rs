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
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use datafusion::arrow::compute::{filter_record_batch, is_null, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::error::Result;
use sha2::{Digest, Sha256};
use windlass_worker::RowError;

/// The column that carries error rows; no column of a Delta table may be called so.
pub(crate) const CARRIER: &str = "__windlass_error_rows__";

/// The column that holds the input row.
pub(crate) const ROW: &str = "row";

/// What all error rows of an operator have in common.
#[derive(Debug, Clone)]
pub(crate) struct ErrorRows {
    /// Columns of the input that identify a row, by place; they stand first in the error table.
    pub(crate) key: Vec<usize>,
    /// The input's columns, as Delta holds them; the fields of [`ROW`].
    pub(crate) input: SchemaRef,
    /// The run.
    pub(crate) run_id: String,
    /// What the definition of the node hashes to.
    pub(crate) fingerprint: String,
    /// When the run began, in microseconds of UTC.
    pub(crate) at_us: i64,
}

impl ErrorRows {
    /// Returns the columns of the error table.
    pub(crate) fn schema(&self) -> SchemaRef {
        let mut fields: Vec<Field> = self.key.iter().map(|index| self.input.field(*index).clone()).collect();
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        // A key column keeps its name; one of ours that clashes with it stands in the row alone.
        let ours = [
            Field::new(ROW, DataType::Struct(self.input.fields().clone()), true),
            text("stage"),
            text("error_type"),
            text("error"),
            text("traceback"),
            text("traceback_hash"),
            Field::new("attempts", DataType::Int32, true),
            Field::new("batch_id", DataType::Int64, true),
            Field::new("worker", DataType::Int32, true),
            text("run_id"),
            text("fingerprint"),
            Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        ];
        fields.retain(|field| !ours.iter().any(|own| own.name() == field.name()));
        fields.extend(ours);
        Arc::new(Schema::new(fields))
    }

    /// Returns the error rows of one batch of input, whose columns are those of `self.input`.
    pub(crate) fn batch(&self, input: &RecordBatch, errors: &[RowError], batch_id: i64) -> Result<RecordBatch> {
        let schema = self.schema();
        let places = UInt32Array::from_iter_values(errors.iter().map(|error| error.row));
        let rows = take_record_batch(input, &places)?;
        let count = errors.len();
        let texts =
            |of: fn(&RowError) -> &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(errors.iter().map(of))) };
        let hashes = errors.iter().map(|error| (!error.traceback.is_empty()).then(|| traceback_hash(error)));
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
        for index in &self.key {
            if schema.fields()[columns.len()].name() == self.input.field(*index).name() {
                columns.push(Arc::clone(rows.column(*index)));
            }
        }
        let at = TimestampMicrosecondArray::from_value(self.at_us, count).with_timezone("UTC");
        let ours: [ArrayRef; 12] = [
            struct_of(self.input.fields(), &rows),
            texts(|error| error.stage.as_str()),
            texts(|error| &error.error_type),
            texts(|error| &error.message),
            texts(|error| &error.traceback),
            Arc::new(hashes.collect::<StringArray>()),
            Arc::new(Int32Array::from_iter_values(errors.iter().map(|error| error.attempts as i32))),
            Arc::new(Int64Array::from_value(batch_id, count)),
            Arc::new(Int32Array::from_iter_values(errors.iter().map(|error| error.worker as i32))),
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&self.run_id, count))),
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&self.fingerprint, count))),
            Arc::new(at),
        ];
        columns.extend(ours);
        Ok(RecordBatch::try_new(schema, columns)?)
    }
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
