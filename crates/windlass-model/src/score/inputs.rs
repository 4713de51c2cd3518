//! The inputs of a model out of a batch: found by name, brought to one type.
//!
//! A column that has the type already is taken as it is.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use crate::Error;

/// Returns an input's column: of its name as written, else the only one of its name in another letter case.
pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, Error> {
    let schema = batch.schema_ref();
    let fields = schema.fields();
    let exact = fields.iter().position(|field| field.name() == name);
    let found = exact.or_else(|| {
        let mut alike = (0..fields.len()).filter(|at| fields[*at].name().eq_ignore_ascii_case(name));
        alike.next().filter(|_| alike.next().is_none())
    });
    let missing = || Error::MissingInput {
        column: name.to_owned(),
        available: fields.iter().map(|field| field.name().clone()).collect(),
    };
    found.map(|at| batch.column(at)).ok_or_else(missing)
}

/// Returns a column of numbers; NULL stays NULL.
pub(super) fn numbers(batch: &RecordBatch, name: &str) -> Result<Float64Array, Error> {
    let array = column(batch, name)?;
    let is_number =
        |data_type: &DataType| data_type.is_numeric() || matches!(data_type, DataType::Boolean | DataType::Null);
    let fits = match array.data_type() {
        DataType::Dictionary(_, values) => is_number(values),
        data_type => is_number(data_type),
    };
    fits.then(|| cast(array, &DataType::Float64).ok())
        .flatten()
        .and_then(|array| array.as_any().downcast_ref::<Float64Array>().cloned())
        .ok_or_else(|| unfit(name, "a number", array))
}

/// Returns a column of texts; whole numbers and truth values are written as text.
pub(super) fn texts(batch: &RecordBatch, name: &str) -> Result<StringArray, Error> {
    let array = column(batch, name)?;
    let is_text = |data_type: &DataType| {
        data_type.is_integer()
            || matches!(
                data_type,
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean | DataType::Null
            )
    };
    let fits = match array.data_type() {
        DataType::Dictionary(_, values) => is_text(values),
        data_type => is_text(data_type),
    };
    fits.then(|| cast(array, &DataType::Utf8).ok())
        .flatten()
        .and_then(|array| array.as_any().downcast_ref::<StringArray>().cloned())
        .ok_or_else(|| unfit(name, "text", array))
}

fn unfit(name: &str, expected: &'static str, array: &Arc<dyn Array>) -> Error {
    Error::InputType { column: name.to_owned(), expected, found: array.data_type().to_string() }
}
