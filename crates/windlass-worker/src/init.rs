//! What a worker is told before its first batch: JSON and schemas.

use std::sync::Arc;

use arrow::array::{RecordBatchOptions, new_null_array};
use arrow::datatypes::{FieldRef, Schema};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use serde_json::{Value, json};

use crate::pool::Blame;
use crate::program::{Call, InputMode, Program, Role, RowsMode, TrainingCode, TransformCode};

/// Parts of the region that comes with HELLO, in order.
#[derive(Debug)]
pub(crate) struct Init {
    pub(crate) json: Vec<u8>,
    pub(crate) input: Vec<u8>,
    pub(crate) output: Vec<u8>,
    pub(crate) constants: Vec<u8>,
}

impl Init {
    /// Writes down what worker number `worker` of `program` is told.
    pub(crate) fn new(program: &Program, worker: u32) -> Result<Self, ArrowError> {
        let input = schema_bytes(&program.input)?;
        let output = schema_bytes(&program.output)?;
        let constants = match &program.role {
            Role::Functions { constants: Some(constants), .. } => stream_bytes(constants)?,
            _ => Vec::new(),
        };
        let mut fields = common(program, worker);
        let own = match &program.role {
            Role::Transform(code) => transform(code),
            Role::Training(code) => training(code),
            Role::Functions { calls, .. } => functions(calls),
        };
        for part in [own, json!({ "output_schema_bytes": output.len(), "constants_bytes": constants.len() })] {
            if let (Value::Object(fields), Value::Object(part)) = (&mut fields, part) {
                fields.extend(part);
            }
        }
        Ok(Self { json: fields.to_string().into_bytes(), input, output, constants })
    }
}

impl Program {
    /// Returns how many threads a worker's numeric libraries may use.
    pub(crate) fn threads(&self) -> u32 {
        // The cast saturates, and fractions share one thread.
        (self.settings.num_cpus as u32).max(1)
    }

    /// Returns how output rows relate to input rows.
    pub(crate) fn rows_mode(&self) -> RowsMode {
        match &self.role {
            Role::Transform(code) => code.rows,
            Role::Training(_) => RowsMode::Many,
            Role::Functions { .. } => RowsMode::EveryRow,
        }
    }

    /// Returns what the answer holds for rows that kill workers: NULLs in every column where each row is
    /// answered, and no row where they are left out.
    pub(crate) fn lost_rows(&self, rows: usize) -> RecordBatch {
        let rows = if self.rows_mode() == RowsMode::EveryRow { rows } else { 0 };
        let column = |field: &FieldRef| new_null_array(field.data_type(), rows);
        let columns = self.output.fields().iter().map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options)
            .expect("answers of functions may be NULL, and no rows fit any columns")
    }

    /// Returns who pays for a batch that kills workers.
    pub(crate) fn blame(&self) -> Blame {
        match &self.role {
            Role::Transform(code) if self.isolate && code.mode == InputMode::Batch => {
                if code.rowwise {
                    Blame::Rows
                } else {
                    Blame::Batch
                }
            }
            // Every call of them answers NULL for a row that fails.
            Role::Functions { .. } if self.isolate => Blame::Rows,
            // Rows of a SELECT have no place to go to.
            Role::Transform(_) | Role::Training(_) | Role::Functions { .. } => Blame::Call,
        }
    }
}

fn common(program: &Program, worker: u32) -> Value {
    let columns: Vec<_> = program.output.fields().iter().map(|field| field.name()).collect();
    json!({
        "node": program.node,
        "worker": worker,
        "root": program.root,
        "lib": program.lib,
        "isolate": program.isolate,
        "columns": columns,
        "vars": program.vars,
        "memory_limit": program.settings.memory,
        "threads": program.threads(),
        "budget": { "calls": 64, "row_factor": 4, "time_factor": 20 },
    })
}

fn transform(code: &TransformCode) -> Value {
    json!({
        "role": "transform",
        "file": code.file,
        "object": code.object,
        "is_class": code.is_class,
        "batch_format": code.batch_format,
        "rows": code.rows,
        "mode": code.mode,
        "rowwise": code.rowwise,
        "key": code.key,
        "constructor_args": code.constructor_args,
        "constructor_kwargs": code.constructor_kwargs,
        "fn_args": code.fn_args,
        "fn_kwargs": code.fn_kwargs,
        "copy_inputs": code.copy_inputs,
    })
}

fn training(code: &TrainingCode) -> Value {
    let (file, object) = code.function.as_ref().map(|(file, object)| (file, object)).unzip();
    json!({
        "role": "training",
        "file": file,
        "object": object,
        "rows": RowsMode::Many,
        "mode": "batch",
        "rowwise": false,
        "key": [],
        "copy_inputs": false,
        "training": code.settings,
    })
}

fn functions(calls: &[Call]) -> Value {
    let calls: Vec<Value> = calls
        .iter()
        .map(|call| {
            let mut told = json!({
                "file": call.file,
                "object": call.object,
                "args": call.arguments,
                "nulls": call.nulls,
                "batch_format": call.batch_format,
                "on_error": call.on_error,
            });
            if let Some(model) = &call.model {
                told["model"] = Value::Object(model.clone());
            }
            told
        })
        .collect();
    json!({
        "role": "udf",
        "rows": RowsMode::EveryRow,
        "mode": "batch",
        "rowwise": true,
        "key": [],
        "copy_inputs": false,
        "calls": calls,
    })
}

fn schema_bytes(schema: &Schema) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    Ok(std::mem::take(writer.get_mut()))
}

fn stream_bytes(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref())?;
    writer.write(batch)?;
    writer.into_inner()
}

#[cfg(test)]
mod tests;
