//! Staged files as a table: what is about to be published, read before it is.

use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, FieldRef, Schema};
use datafusion::common::ScalarValue;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::Add;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::files::FilesTable;
use super::{schema, statistics};
use crate::Error;
use crate::storage::Place;

/// Returns the table that files of `published` columns make.
pub(crate) fn table(
    name: &str,
    place: &Place,
    published: &Schema,
    partition_by: &[String],
    files: &[Add],
) -> Result<FilesTable, Error> {
    let all = schema::reading(published);
    let is_partition = |field: &FieldRef| partition_by.iter().any(|name| name == field.name());
    let stored: Vec<FieldRef> = all.fields().iter().filter(|field| !is_partition(field)).cloned().collect();
    let partitions: Vec<FieldRef> = partition_by
        .iter()
        .filter_map(|name| all.field_with_name(name).ok())
        .map(|field| Arc::new(Field::new(field.name(), field.data_type().clone(), true)))
        .collect();
    let table_schema = Schema::new(stored.iter().chain(&partitions).cloned().collect::<Vec<_>>());
    let mut listed = Vec::with_capacity(files.len());
    for file in files {
        let broken = |what: &str| Error::OpenTable {
            table: name.to_string(),
            source: DeltaTableError::Generic(format!("{what} of staged file `{}`", file.path)),
        };
        let values = partitions
            .iter()
            .map(|field| {
                let text = file.partition_values.get(field.name()).and_then(|text| text.as_deref());
                statistics::partition_value(text, field.data_type()).ok_or_else(|| broken("bad partition value"))
            })
            .collect::<Result<Vec<ScalarValue>, Error>>()?;
        let size = u64::try_from(file.size).unwrap_or_default();
        let mut known = statistics::from_delta(file.stats.as_deref(), &table_schema, size);
        for (index, value) in values.iter().enumerate() {
            known.column_statistics[stored.len() + index] = statistics::constant_column(value, known.num_rows);
        }
        // Parsed, not joined: escapes of folder names stand in the path as they are on disk.
        let below = Path::parse(&file.path).map_err(|_| broken("bad path"))?;
        let meta = ObjectMeta {
            location: place.path.parts().chain(below.parts()).collect(),
            last_modified: chrono::DateTime::from_timestamp_millis(file.modification_time).unwrap_or_default(),
            size,
            e_tag: None,
            version: None,
        };
        let mut staged = PartitionedFile::new_from_meta(meta).with_partition_values(values);
        staged.statistics = Some(Arc::new(known));
        listed.push(staged);
    }
    let format = Arc::new(ParquetFormat::default());
    let table = FilesTable::new(place.store_url.clone(), format, Arc::new(Schema::new(stored)), partitions, listed);
    Ok(table.with_order(published.fields().iter().map(|field| field.name())))
}
