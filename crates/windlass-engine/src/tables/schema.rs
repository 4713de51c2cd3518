//! Which Arrow types a Delta table holds, and how results are cast to them.
//!
//! Three schemas meet here: what a query produces, what the table's metadata says (Delta knows
//! neither unsigned nor nanoseconds) and what readers get (strings as views, which DataFusion
//! handles fastest). All columns are nullable: a later run may bring the first NULL.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;

use crate::Error;

/// Returns the schema of the published table for a query's result.
///
/// # Errors
///
/// [`Error::UnsupportedType`] names the first column that no Delta table can hold.
pub(crate) fn published(node: &str, result: &Schema) -> Result<SchemaRef, Error> {
    let fields = result
        .fields()
        .iter()
        .map(|field| {
            let data_type = published_type(field.data_type()).ok_or_else(|| Error::UnsupportedType {
                node: node.to_string(),
                column: field.name().clone(),
                data_type: sql_type(field.data_type()),
            })?;
            Ok(Field::new(field.name(), data_type, true))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(Arc::new(Schema::new(fields)))
}

/// Returns the type under which a Delta table holds values of `data_type`.
fn published_type(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32 => data_type.clone(),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        // What SQL calls BIGINT; a value above its range fails the cast instead of wrapping.
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::Date64 => DataType::Date32,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Timestamp(_, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| Arc::from("UTC")))
        }
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale)
            if *precision <= 38 && *scale >= 0 =>
        {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Dictionary(_, value) => published_type(value)?,
        DataType::RunEndEncoded(_, value) => published_type(value.data_type())?,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::FixedSizeList(item, _) => {
            DataType::List(Arc::new(Field::new("element", published_type(item.data_type())?, true)))
        }
        DataType::Struct(fields) => DataType::Struct(published_fields(fields)?),
        _ => return None,
    })
}

fn published_fields(fields: &Fields) -> Option<Fields> {
    fields.iter().map(|field| Some(Field::new(field.name(), published_type(field.data_type())?, true))).collect()
}

/// Returns the types in which a result is handed to the Parquet writer: like the published schema,
/// but strings stay as they are, since the writer takes views and dictionaries without a copy.
pub(crate) fn writing(result: &Schema, published: &Schema) -> SchemaRef {
    let fields = result.fields().iter().zip(published.fields()).map(|(from, to)| {
        let keep = match (from.data_type(), to.data_type()) {
            (DataType::Utf8View | DataType::LargeUtf8, DataType::Utf8)
            | (DataType::BinaryView | DataType::LargeBinary, DataType::Binary) => true,
            (DataType::Dictionary(_, value), DataType::Utf8) => {
                matches!(value.as_ref(), DataType::Utf8 | DataType::LargeUtf8)
            }
            _ => false,
        };
        let data_type = if keep { from.data_type() } else { to.data_type() };
        Field::new(to.name(), data_type.clone(), true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Returns rows with their columns cast to those of `wanted`, in order. Not safe: a value that does not
/// fit is an error and never NULL.
pub(crate) fn conform(rows: &RecordBatch, wanted: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let cast = |(column, field): (&ArrayRef, &FieldRef)| match column.data_type() == field.data_type() {
        true => Ok(Arc::clone(column)),
        false => cast_with_options(column, field.data_type(), &options),
    };
    let columns = rows.columns().iter().zip(wanted.fields()).map(cast).collect::<Result<Vec<_>, ArrowError>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(wanted), columns, &options)
}

/// Returns the schema that readers of a published table get.
pub(crate) fn reading(published: &Schema) -> SchemaRef {
    let fields = published.fields().iter().map(|field| {
        let data_type = match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
            DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
            other => other.clone(),
        };
        Field::new(field.name(), data_type, field.is_nullable())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Returns the SQL name of a type, for people.
pub fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "null".to_string(),
        DataType::Boolean => "boolean".to_string(),
        DataType::Int8 => "tinyint".to_string(),
        DataType::Int16 => "smallint".to_string(),
        DataType::Int32 => "int".to_string(),
        DataType::Int64 => "bigint".to_string(),
        DataType::UInt8 => "tinyint unsigned".to_string(),
        DataType::UInt16 => "smallint unsigned".to_string(),
        DataType::UInt32 => "int unsigned".to_string(),
        DataType::UInt64 => "bigint unsigned".to_string(),
        DataType::Float16 | DataType::Float32 => "float".to_string(),
        DataType::Float64 => "double".to_string(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "varchar".to_string(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "binary".to_string()
        }
        DataType::Date32 | DataType::Date64 => "date".to_string(),
        DataType::Time32(_) | DataType::Time64(_) => "time".to_string(),
        DataType::Timestamp(_, None) => "timestamp".to_string(),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".to_string(),
        DataType::Interval(_) => "interval".to_string(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("decimal({precision}, {scale})"),
        DataType::Dictionary(_, value) => sql_type(value),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item) => {
            format!("array<{}>", sql_type(item.data_type()))
        }
        DataType::Struct(fields) => {
            let inner: Vec<String> =
                fields.iter().map(|field| format!("{} {}", field.name(), sql_type(field.data_type()))).collect();
            format!("struct<{}>", inner.join(", "))
        }
        other => other.to_string().to_lowercase(),
    }
}
