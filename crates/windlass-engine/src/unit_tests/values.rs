//! Rows as written in a test, in the types of the columns that they are for.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, new_empty_array, new_null_array};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::json::ReaderBuilder;
use serde_json::{Value as Json, json};
use windlass_error::{Code, Diagnostic, nearest};
use windlass_project::unit_tests::{TestCell, TestRow, TestRows, TestValue};

use crate::checks::literal;
use crate::tables::contract::listing;
use crate::tables::schema::sql_type;

/// Returns the rows of a table that a test gives. Columns that a row does not name are NULL.
pub(super) fn table(rows: &TestRows, schema: &SchemaRef, table: &str) -> Result<RecordBatch, Vec<Diagnostic>> {
    let place = |field: &FieldRef| rows.columns.iter().position(|column| column.text == *field.name());
    let columns: Vec<(FieldRef, Option<usize>)> =
        schema.fields().iter().map(|field| (Arc::clone(field), place(field))).collect();
    batch(rows, &columns, unknown_columns(rows, schema, table))
}

/// Returns the rows that a test expects, with the columns that any of them names, in the order of the
/// table, and which values each row names. No rows name all columns.
pub(super) fn expected(
    rows: &TestRows,
    schema: &SchemaRef,
    table: &str,
) -> Result<(RecordBatch, Vec<Vec<bool>>), Vec<Diagnostic>> {
    let place = |field: &FieldRef| rows.columns.iter().position(|column| column.text == *field.name());
    let is_wanted = |field: &&FieldRef| rows.columns.is_empty() || place(field).is_some();
    let columns: Vec<(FieldRef, Option<usize>)> =
        schema.fields().iter().filter(is_wanted).map(|field| (Arc::clone(field), place(field))).collect();
    let is_named = |row: &TestRow| {
        columns
            .iter()
            .map(|(_, place)| place.is_some_and(|place| row.cells.get(place).is_some_and(Option::is_some)))
            .collect()
    };
    let is_named = rows.rows.iter().map(is_named).collect();
    Ok((batch(rows, &columns, unknown_columns(rows, schema, table))?, is_named))
}

fn unknown_columns(rows: &TestRows, schema: &SchemaRef, table: &str) -> Vec<Diagnostic> {
    let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let unknown = rows.columns.iter().filter(|column| !known.contains(&column.text.as_str()));
    let mistake = |column: &windlass_project::checks::Written| {
        let mistake = Diagnostic::error(Code::UNKNOWN_COLUMN, format!("no column `{}` in `{table}`", column.text))
            .at(column.location.clone())
            .note(format!("columns: {}", listing(&known)));
        match nearest(&column.text, known.iter().copied()) {
            Some(near) => mistake.label(format!("did you mean `{near}`?")),
            None => mistake,
        }
    };
    unknown.map(mistake).collect()
}

fn batch(
    rows: &TestRows,
    columns: &[(FieldRef, Option<usize>)],
    mut mistakes: Vec<Diagnostic>,
) -> Result<RecordBatch, Vec<Diagnostic>> {
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
    for (field, place) in columns {
        let mut cells = Vec::with_capacity(rows.rows.len());
        for row in &rows.rows {
            let cell = place.and_then(|place| row.cells.get(place)?.as_ref());
            match cell.map_or_else(|| Ok(new_null_array(field.data_type(), 1)), |cell| value(cell, field)) {
                Ok(cell) => cells.push(cell),
                Err(mistake) => mistakes.push(*mistake),
            }
        }
        let cells: Vec<&dyn Array> = cells.iter().map(AsRef::as_ref).collect();
        let column = if cells.is_empty() { Ok(new_empty_array(field.data_type())) } else { concat(&cells) };
        arrays.push(column.expect("all values have the column's type"));
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let fields: Vec<Field> =
        columns.iter().map(|(field, _)| Field::new(field.name(), field.data_type().clone(), true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.rows.len()));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options);
    Ok(batch.expect("all columns have a value for each row"))
}

/// Returns a value in an array of its own.
fn value(cell: &TestCell, field: &FieldRef) -> Result<ArrayRef, Box<Diagnostic>> {
    let data_type = field.data_type();
    let (found, written) = match &cell.value {
        TestValue::Null => (Some(new_null_array(data_type, 1)), String::new()),
        TestValue::Text(text) => {
            let found = match data_type.is_nested() {
                true => serde_json::from_str(text).ok().and_then(|json| nested(&json, data_type)),
                false => literal::value(text, data_type),
            };
            (found, text.clone())
        }
        TestValue::Nested(json) => {
            let found = data_type.is_nested().then(|| nested(json, data_type)).flatten();
            (found, json.to_string())
        }
    };
    found.ok_or_else(|| {
        let written: String = written.chars().take(40).collect();
        let message = format!("expected {} for column `{}`, found `{written}`", sql_type(data_type), field.name());
        Box::new(Diagnostic::error(Code::INVALID_VALUE, message).at(cell.location.clone()))
    })
}

/// Returns a list or struct.
fn nested(json: &Json, data_type: &DataType) -> Option<ArrayRef> {
    let schema = Arc::new(Schema::new(vec![Field::new("value", data_type.clone(), true)]));
    let mut decoder = ReaderBuilder::new(schema).with_coerce_primitive(true).build_decoder().ok()?;
    decoder.serialize(&[json!({ "value": json })]).ok()?;
    Some(Arc::clone(decoder.flush().ok()??.column(0)))
}
