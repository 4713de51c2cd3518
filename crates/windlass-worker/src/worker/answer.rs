//! Reads a worker's answer, believing nothing.
//!
//! The answer is a record batch message in memory that the worker wrote. Every number in it is checked
//! before use and every array is validated in full; what does not hold up is an error, never a
//! crash. Columns that the worker passed through come back as a number and are ours already.

use std::collections::HashMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Schema, SchemaRef, UInt32Type};
use arrow::ipc::reader::{RecordBatchDecoder, StreamDecoder};
use arrow::ipc::{MetadataVersion, root_as_message};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::protocol::{Column, Done, Span};
use crate::{Failure, FailureKind, RowError, RowsMode, Stage};

/// Schemas that are kept.
const MOST_SCHEMAS: usize = 64;

/// Reads the answers of one worker.
pub(crate) struct Reader {
    output: SchemaRef,
    rows: RowsMode,
    /// For error rows.
    worker: u32,
    /// Schemas of results, by the places of the columns that they hold.
    schemas: HashMap<Vec<usize>, SchemaRef>,
}

/// Why an answer cannot be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It makes no sense: the worker is broken.
    Malformed(String),
    /// It makes sense and is not what was declared.
    Undeclared(Failure),
}

impl From<String> for Unusable {
    fn from(message: String) -> Self {
        Self::Malformed(message)
    }
}

/// Returns the byte ranges of result and errors within a slot of `size` bytes.
pub(crate) fn spans(done: &Done, size: usize) -> Result<(Range<usize>, Range<usize>), String> {
    let used = usize::try_from(done.used).ok().filter(|used| *used <= size).ok_or("it is larger than its slot")?;
    let range = |span: Span| {
        let start = span.offset as usize;
        let end = start.checked_add(span.bytes as usize).filter(|end| *end <= used);
        match end {
            _ if span.bytes == 0 => Ok(0..0),
            Some(end) if start.is_multiple_of(64) => Ok(start..end),
            _ => Err(format!("{} bytes at {start} do not lie within {used} bytes", span.bytes)),
        }
    };
    Ok((range(done.result)?, range(done.errors)?))
}

impl Reader {
    pub(crate) fn new(output: SchemaRef, rows: RowsMode, worker: u32) -> Self {
        Self { output, rows, worker, schemas: HashMap::new() }
    }

    /// Makes rows and error rows of an answer to `input`. `result` and `errors` are its bytes.
    pub(crate) fn read(
        &mut self,
        done: &Done,
        input: &RecordBatch,
        result: &Buffer,
        errors: Buffer,
    ) -> Result<(RecordBatch, Vec<RowError>), Unusable> {
        let handed = input.num_rows();
        let errors = if errors.is_empty() { Vec::new() } else { read_errors(errors, handed, self.worker)? };
        let rows = done.rows as usize;
        let balances = match self.rows {
            RowsMode::OneToOne => rows + errors.len() == handed,
            RowsMode::EveryRow => rows == handed,
            RowsMode::Many => true,
        };
        if !balances {
            let message = format!("{handed} rows became {rows} rows and {} error rows", errors.len());
            return Err(Unusable::Malformed(message));
        }
        let mut fresh = self.fresh(done, result)?.into_iter();
        let fields = self.output.fields();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(fields.len());
        for (column, field) in done.columns.iter().zip(fields) {
            let array = match column {
                Column::Fresh => fresh.next().ok_or_else(|| "a column is missing".to_owned())?,
                Column::Input(place) => passed_through(input, *place, rows, field.data_type())?,
            };
            if !field.is_nullable() && array.logical_null_count() > 0 {
                return Err(Unusable::Undeclared(unexpected_null(field.name())));
            }
            columns.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options);
        Ok((batch.map_err(|err| err.to_string())?, errors))
    }

    /// Returns the columns that the worker made.
    fn fresh(&mut self, done: &Done, result: &Buffer) -> Result<Vec<ArrayRef>, String> {
        let count = self.output.fields().len();
        if done.columns.len() != count {
            return Err(format!("it has {} columns, not {count}", done.columns.len()));
        }
        let places: Vec<_> = (0..count).filter(|place| done.columns[*place] == Column::Fresh).collect();
        if places.is_empty() {
            return if result.is_empty() { Ok(Vec::new()) } else { Err("it has a result without columns".to_owned()) };
        }
        if !self.schemas.contains_key(&places) {
            // A worker that passes other columns through each time is odd, and must not fill our memory.
            if self.schemas.len() >= MOST_SCHEMAS {
                self.schemas.clear();
            }
            let schema = all_nullable(&self.output.project(&places).map_err(|err| err.to_string())?);
            self.schemas.insert(places.clone(), Arc::new(schema));
        }
        read_message(result, &self.schemas[&places], done.rows as usize)
    }
}

/// Returns an input column that the worker says is an output column as it is.
fn passed_through(input: &RecordBatch, place: u16, rows: usize, data_type: &DataType) -> Result<ArrayRef, String> {
    let array = input.columns().get(usize::from(place)).ok_or_else(|| format!("there is no input column {place}"))?;
    if array.len() != rows {
        return Err(format!("input column {place} has {} rows, the answer has {rows}", array.len()));
    }
    if array.data_type() != data_type {
        return Err(format!("input column {place} has type {}, not {data_type}", array.data_type()));
    }
    Ok(Arc::clone(array))
}

/// NULLs where none are declared are told as what they are, not as a broken message.
fn all_nullable(schema: &Schema) -> Schema {
    Schema::new(schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>())
}

fn unexpected_null(column: &str) -> Failure {
    Failure {
        kind: FailureKind::Output,
        error_type: "OutputError".to_owned(),
        message: format!("column `{column}` holds NULL and is declared as never NULL"),
        traceback: String::new(),
        file: None,
        line: None,
        function: None,
        way_out: None,
    }
}

/// Reads one record batch message: a marker, the length of the head, the head, the body.
fn read_message(message: &Buffer, schema: &SchemaRef, rows: usize) -> Result<Vec<ArrayRef>, String> {
    let (prefix, _) = message.split_first_chunk::<8>().ok_or("it is too short")?;
    let [0xff, 0xff, 0xff, 0xff, length @ ..] = *prefix else {
        return Err("it does not start as a message".to_owned());
    };
    let end = usize::try_from(i32::from_le_bytes(length)).ok().and_then(|length| length.checked_add(8));
    let end = end.filter(|end| *end <= message.len()).ok_or("its head is longer than it is")?;
    // The body must start where arrays may lie, or each of them would be copied.
    let head = message.get(8..end).ok_or("its head is too short")?;
    let head = root_as_message(head).map_err(|err| format!("its head does not parse: {err}"))?;
    let batch = head.header_as_record_batch().ok_or("it is no record batch")?;
    let room = message.len() - end;
    let body = usize::try_from(head.bodyLength()).ok().filter(|body| *body <= room).ok_or("its body is cut short")?;
    if head.version() != MetadataVersion::V5 || batch.compression().is_some() {
        return Err("it has an old version or is compressed".to_owned());
    }
    if usize::try_from(batch.length()) != Ok(rows) {
        return Err(format!("it has {} rows, not {rows}", batch.length()));
    }
    if batch.variadicBufferCounts().is_some_and(|counts| !counts.is_empty()) {
        return Err("it has views".to_owned());
    }
    for buffer in batch.buffers().into_iter().flatten() {
        let end = buffer.offset().checked_add(buffer.length());
        let fits = buffer.offset() >= 0 && buffer.length() >= 0 && end.is_some_and(|end| end as u64 <= body as u64);
        if !fits {
            return Err(format!("a buffer of {} bytes at {} lies outside", buffer.length(), buffer.offset()));
        }
    }
    for node in batch.nodes().into_iter().flatten() {
        if node.null_count() < 0 || node.null_count() > node.length() || node.length() > i64::from(u32::MAX) << 3 {
            return Err(format!("an array of {} rows has {} NULLs", node.length(), node.null_count()));
        }
    }
    let body = message.slice_with_length(end, body);
    let version = head.version();
    let none = HashMap::new();
    // Arrow's reader asserts some of what we do not: a panic is an answer that cannot be read, too.
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        RecordBatchDecoder::try_new(&body, batch, Arc::clone(schema), &none, &version)?.read_record_batch()
    }));
    match decoded {
        Ok(Ok(batch)) => Ok(batch.columns().to_vec()),
        Ok(Err(err)) => Err(err.to_string()),
        Err(_) => Err("its arrays do not fit together".to_owned()),
    }
}

/// Reads the rows that failed, in order of their places.
fn read_errors(mut stream: Buffer, handed: usize, worker: u32) -> Result<Vec<RowError>, String> {
    let mut decoder = StreamDecoder::new();
    let mut errors = Vec::new();
    let mut next = || -> Result<Option<RecordBatch>, String> {
        match catch_unwind(AssertUnwindSafe(|| decoder.decode(&mut stream))) {
            Ok(Ok(batch)) => Ok(batch),
            Ok(Err(err)) => Err(format!("its error rows do not parse: {err}")),
            Err(_) => Err("its error rows do not fit together".to_owned()),
        }
    };
    while let Some(batch) = next()? {
        errors.extend(error_rows(&batch, worker)?);
    }
    errors.sort_by_key(|error| error.row);
    let is_known = errors.last().is_none_or(|last| (last.row as usize) < handed);
    if !is_known || errors.windows(2).any(|pair| pair[0].row == pair[1].row) {
        return Err("its error rows are no rows of the batch, or count twice".to_owned());
    }
    Ok(errors)
}

fn error_rows(batch: &RecordBatch, worker: u32) -> Result<Vec<RowError>, String> {
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("its error rows have no `{name}`"));
    let numbers = |name| {
        let column = column(name)?.as_primitive_opt::<UInt32Type>();
        column.ok_or_else(|| format!("its error rows have no number `{name}`"))
    };
    let texts = |name| {
        let column = column(name)?.as_string_opt::<i32>();
        column.ok_or_else(|| format!("its error rows have no text `{name}`"))
    };
    let (rows, attempts) = (numbers("row")?, numbers("attempts")?);
    let (stages, types) = (texts("stage")?, texts("error_type")?);
    let (messages, tracebacks) = (texts("message")?, texts("traceback")?);
    (0..batch.num_rows())
        .map(|place| {
            let stage = Stage::parse(stages.value(place)).ok_or("its error rows have an unknown stage")?;
            Ok(RowError {
                row: rows.value(place),
                stage,
                error_type: types.value(place).to_owned(),
                message: messages.value(place).to_owned(),
                traceback: tracebacks.value(place).to_owned(),
                attempts: attempts.value(place),
                worker,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
