//! Statistics of a file: from Parquet's footer to Delta's JSON, and from that to DataFusion.
//!
//! The JSON is the `stats` field of the Delta protocol's add action (Delta Lake protocol, section
//! "Per-file Statistics"). Only what is certain is called exact: strings may be cut short, time
//! stamps may be rounded to milliseconds by other writers, and a column's NaNs are not counted.

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::file::metadata::ParquetMetaData;
use serde_json::{Map, Value, json};

/// Columns with statistics, counted from the first: Delta's default for `dataSkippingNumIndexedCols`.
const INDEXED_COLUMNS: usize = 32;

/// Returns whether files carry bounds of a column of this type. Floats have none: bounds do not count
/// NaN, which SQL calls larger than any number.
fn has_bounds(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => has_bounds(value),
        DataType::Timestamp(unit, _) => *unit == TimeUnit::Microsecond,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Date32 => true,
        data_type => data_type.is_string(),
    }
}

/// Returns the table property that names the columns with statistics to other readers and writers.
/// Without it a reader may take what is missing for a bound, as `deltalake` 1.6 does, and skip files
/// whose rows it should return. Names are quoted as in Spark's SQL.
pub(crate) fn indexed_property(schema: &Schema, partition_by: &[String]) -> (&'static str, String) {
    let stored = schema.fields().iter().filter(|field| !partition_by.contains(field.name()));
    let indexed = stored.take(INDEXED_COLUMNS).filter(|field| has_bounds(field.data_type()));
    let names: Vec<String> = indexed.map(|field| format!("`{}`", field.name().replace('`', "``"))).collect();
    match names.is_empty() {
        true => ("delta.dataSkippingNumIndexedCols", "0".to_string()),
        false => ("delta.dataSkippingStatsColumns", names.join(",")),
    }
}

/// Returns the Delta statistics of a file that was just written with these columns, each with so many
/// NULLs.
pub(crate) fn to_delta(metadata: &ParquetMetaData, schema: &Schema, nulls: &[u64]) -> String {
    let mut minimums = Map::new();
    let mut maximums = Map::new();
    let mut null_counts = Map::new();
    for (field, nulls) in schema.fields().iter().zip(nulls).take(INDEXED_COLUMNS) {
        if !field.data_type().is_nested() {
            null_counts.insert(field.name().clone(), json!(nulls));
        }
        if !has_bounds(field.data_type()) {
            continue;
        }
        let parquet_schema = metadata.file_metadata().schema_descr();
        let Ok(converter) = StatisticsConverter::try_new(field.name(), schema, parquet_schema) else { continue };
        let groups = || metadata.row_groups().iter();
        let Ok(counts) = converter.row_group_null_counts(groups()) else { continue };
        let rows = groups().map(|group| u64::try_from(group.num_rows()).unwrap_or_default());
        // A row group with nothing but NULLs has no bounds and changes none.
        let has_values: Vec<bool> = counts.iter().zip(rows).map(|(nulls, rows)| nulls != Some(rows)).collect();
        if let Some(value) = converter.row_group_mins(groups()).ok().and_then(|all| extreme(&all, &has_values, false)) {
            minimums.insert(field.name().clone(), value);
        }
        if let Some(value) = converter.row_group_maxes(groups()).ok().and_then(|all| extreme(&all, &has_values, true)) {
            maximums.insert(field.name().clone(), value);
        }
    }
    let rows = metadata.file_metadata().num_rows();
    json!({"numRecords": rows, "minValues": minimums, "maxValues": maximums, "nullCount": null_counts}).to_string()
}

/// Returns the smallest or largest of the row groups' bounds as Delta writes it; `None` where one that
/// has values does not say.
fn extreme(values: &ArrayRef, has_values: &[bool], largest: bool) -> Option<Value> {
    let mut best: Option<ScalarValue> = None;
    for index in (0..values.len()).filter(|index| has_values[*index]) {
        let value = ScalarValue::try_from_array(values, index).ok()?;
        if value.is_null() {
            return None;
        }
        let wins = best.as_ref().is_none_or(|best| {
            value.partial_cmp(best).is_some_and(|order| if largest { order.is_gt() } else { order.is_lt() })
        });
        if wins {
            best = Some(value);
        }
    }
    delta_value(&best?)
}

fn delta_value(value: &ScalarValue) -> Option<Value> {
    match value {
        ScalarValue::Int8(Some(value)) => Some(json!(value)),
        ScalarValue::Int16(Some(value)) => Some(json!(value)),
        ScalarValue::Int32(Some(value)) => Some(json!(value)),
        ScalarValue::Int64(Some(value)) => Some(json!(value)),
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => {
            Some(json!(text))
        }
        ScalarValue::Date32(Some(_)) => text_of(value).map(Value::String),
        ScalarValue::TimestampMicrosecond(Some(_), zone) => {
            let text = text_of(value)?;
            let text = text.trim_end_matches('Z');
            Some(Value::String(if zone.is_some() { format!("{text}Z") } else { text.to_string() }))
        }
        _ => None,
    }
}

fn text_of(value: &ScalarValue) -> Option<String> {
    let array = value.to_array().ok()?;
    let options = FormatOptions::default()
        .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.6f"))
        .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.6f"));
    Some(ArrayFormatter::try_new(&array, &options).ok()?.value(0).to_string())
}

/// Returns what a file's Delta statistics say about the columns of `schema`, or that nothing is known.
pub(crate) fn from_delta(text: Option<&str>, schema: &Schema, bytes: u64) -> Statistics {
    let parsed: Value = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let rows = parsed["numRecords"].as_u64().map_or(Precision::Absent, |rows| Precision::Exact(rows as usize));
    let mut statistics = Statistics::new_unknown(schema);
    statistics.num_rows = rows;
    statistics.total_byte_size = Precision::Inexact(bytes as usize);
    for (field, column) in schema.fields().iter().zip(&mut statistics.column_statistics) {
        *column = column_statistics(&parsed, field.name(), field.data_type());
    }
    // What the columns take in memory says more about a join's build side than compressed bytes.
    statistics.calculate_total_byte_size(schema);
    if statistics.total_byte_size == Precision::Absent {
        statistics.total_byte_size = Precision::Inexact(bytes as usize);
    }
    statistics
}

fn column_statistics(parsed: &Value, name: &str, data_type: &DataType) -> ColumnStatistics {
    let nulls = parsed["nullCount"][name].as_u64().map_or(Precision::Absent, |count| Precision::Exact(count as usize));
    let bound = |key: &str| {
        scalar(&parsed[key][name], data_type).map_or(Precision::Absent, |value| {
            if data_type.is_integer() || data_type == &DataType::Date32 {
                Precision::Exact(value)
            } else {
                Precision::Inexact(value)
            }
        })
    };
    ColumnStatistics::new_unknown()
        .with_null_count(nulls)
        .with_min_value(bound("minValues"))
        .with_max_value(bound("maxValues"))
}

fn scalar(value: &Value, data_type: &DataType) -> Option<ScalarValue> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    match data_type {
        DataType::Utf8View => Some(ScalarValue::Utf8View(Some(text))),
        DataType::Timestamp(TimeUnit::Microsecond, _)
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32 => ScalarValue::try_from_string(text, data_type).ok(),
        _ => None,
    }
}

/// Returns a partition value, as Delta writes it into the log, in the column's type.
pub(crate) fn partition_value(text: Option<&str>, data_type: &DataType) -> Option<ScalarValue> {
    match text {
        None | Some("") => ScalarValue::try_from(data_type).ok(),
        Some(text) => ScalarValue::try_from_string(text.to_string(), data_type).ok(),
    }
}

/// Returns the exact statistics of a column that has one value in a whole file.
pub(crate) fn constant_column(value: &ScalarValue, rows: Precision<usize>) -> ColumnStatistics {
    if value.is_null() {
        return ColumnStatistics::new_unknown().with_null_count(rows);
    }
    ColumnStatistics::new_unknown()
        .with_null_count(Precision::Exact(0))
        .with_min_value(Precision::Exact(value.clone()))
        .with_max_value(Precision::Exact(value.clone()))
        .with_distinct_count(Precision::Exact(1))
}

/// Returns a partition value as Delta writes it into the log; `None` stands for NULL, and for the
/// empty text, which the protocol ("Partition Value Serialization") does not tell from NULL.
pub(crate) fn partition_text(value: &ScalarValue) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let text = match value {
        ScalarValue::TimestampMicrosecond(..) => text_of(value).map(|text| text.replace('T', " ")),
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => {
            Some(text.clone())
        }
        other => text_of(other),
    };
    text.filter(|text| !text.is_empty())
}
