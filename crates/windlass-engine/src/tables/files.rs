//! A table that is a list of files: what sources and published tables become for DataFusion.
//!
//! The list is fixed when the table is made, so that a retry reads the same input. Files that a
//! filter rules out by partition values or statistics are left out while planning; what remains is
//! a plain `DataSourceExec`, which Ballista can slice and serialise (no leaf operator of our own).

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{FieldRef, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

/// A fixed list of files with one schema.
#[derive(Debug, Clone)]
pub(crate) struct FilesTable {
    store_url: ObjectStoreUrl,
    format: Arc<dyn FileFormat>,
    /// As files are scanned: partition columns last.
    scanned: TableSchema,
    /// Which scanned column each column of the table is.
    columns: Vec<usize>,
    files: Vec<PartitionedFile>,
}

impl FilesTable {
    /// Returns a table. Each file carries its partition values in the order of `partition_columns`,
    /// and, where they are known, statistics of the table's columns, partition columns last.
    pub(crate) fn new(
        store_url: ObjectStoreUrl,
        format: Arc<dyn FileFormat>,
        file_schema: SchemaRef,
        partition_columns: Vec<FieldRef>,
        files: Vec<PartitionedFile>,
    ) -> Self {
        let scanned = TableSchema::builder(file_schema).with_table_partition_cols(partition_columns).build();
        let columns = (0..scanned.table_schema().fields().len()).collect();
        Self { store_url, format, scanned, columns, files }
    }

    /// Returns the table with its columns in the order of `names`, which must be all of them.
    pub(crate) fn with_order<'a>(mut self, names: impl Iterator<Item = &'a String>) -> Self {
        self.columns = names.filter_map(|name| self.scanned.table_schema().index_of(name).ok()).collect();
        debug_assert_eq!(self.columns.len(), self.scanned.table_schema().fields().len());
        self
    }

    /// Returns the rows of all files, where every file says.
    pub(crate) fn rows(&self) -> Option<u64> {
        self.files
            .iter()
            .map(|file| match file.statistics.as_ref().map(|statistics| &statistics.num_rows) {
                Some(Precision::Exact(rows)) => Some(*rows as u64),
                _ => None,
            })
            .sum()
    }

    /// Returns each file's place in its store, and a table of that file alone.
    pub(crate) fn each(&self) -> Vec<(String, Self)> {
        let alone = |file: &PartitionedFile| Self {
            store_url: self.store_url.clone(),
            format: Arc::clone(&self.format),
            scanned: self.scanned.clone(),
            columns: self.columns.clone(),
            files: vec![file.clone()],
        };
        self.files.iter().map(|file| (file.object_meta.location.to_string(), alone(file))).collect()
    }

    /// Returns a table of the files of this one and of others with the same columns.
    #[must_use]
    pub(crate) fn with_files_of<'a>(mut self, others: impl IntoIterator<Item = &'a Self>) -> Self {
        self.files.extend(others.into_iter().flat_map(|other| other.files.iter().cloned()));
        self
    }

    fn surviving(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<PartitionedFile>> {
        let Some(filter) = conjunction(filters.iter().cloned()) else { return Ok(self.files.clone()) };
        let schema = self.scanned.table_schema();
        let predicate = state.create_physical_expr(filter, &DFSchema::try_from(Arc::clone(schema))?)?;
        let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema));
        let Some(predicate) = builder.build(predicate) else {
            return Ok(self.files.clone());
        };
        let unknown = Arc::new(Statistics::new_unknown(schema));
        let statistics =
            self.files.iter().map(|file| file.statistics.clone().unwrap_or_else(|| Arc::clone(&unknown))).collect();
        let known = PrunableStatistics::new(statistics, Arc::clone(schema));
        let Ok(keep) = predicate.prune(&known) else { return Ok(self.files.clone()) };
        Ok(self.files.iter().zip(keep).filter(|(_, keep)| *keep).map(|(file, _)| file.clone()).collect())
    }
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        let scanned = self.scanned.table_schema();
        Arc::new(scanned.project(&self.columns).expect("`columns` counts the columns of `scanned`"))
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut statistics = total(&self.files, self.scanned.table_schema());
        let scanned = std::mem::take(&mut statistics.column_statistics);
        statistics.column_statistics = self.columns.iter().map(|column| scanned[*column].clone()).collect();
        Some(statistics)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.surviving(state, filters)?;
        let columns: Vec<usize> = match projection {
            Some(projection) => projection.iter().map(|column| self.columns[*column]).collect(),
            None => self.columns.clone(),
        };
        let scanned = self.scanned.table_schema();
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(Arc::new(scanned.project(&columns)?))));
        }
        let statistics = total(&files, scanned);
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let scan = FileScanConfigBuilder::new(self.store_url.clone(), self.format.file_source(self.scanned.clone()))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(Some(columns))?
            .with_limit(limit.filter(|_| filters.is_empty()))
            .build();
        self.format.create_physical_plan(state, scan).await
    }
}

/// Returns the statistics of several files together.
fn total(files: &[PartitionedFile], schema: &SchemaRef) -> Statistics {
    let mut parts = Vec::with_capacity(files.len());
    for file in files {
        match &file.statistics {
            Some(statistics) => parts.push(statistics.as_ref().clone()),
            None => {
                let bytes = files.iter().map(|file| file.object_meta.size as usize).sum();
                return Statistics::new_unknown(schema).with_total_byte_size(Precision::Inexact(bytes));
            }
        }
    }
    Statistics::try_merge_iter(parts.iter(), schema).unwrap_or_else(|_| Statistics::new_unknown(schema))
}
