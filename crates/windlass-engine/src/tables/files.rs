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
use datafusion::common::{DFSchema, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use super::ranges::{self, Range};

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
        self.files.iter().map(exact_rows).sum()
    }

    /// Returns the rows of all files by their places; `None` where rows cannot be read by those: the format
    /// is another one, or a file does not say how many it has.
    pub(crate) fn ranges(&self) -> Option<Vec<Range<usize>>> {
        if self.format.get_ext() != "parquet" {
            return None;
        }
        let range =
            |(file, listed): (usize, &PartitionedFile)| Some(Range { file, first: 0, rows: exact_rows(listed)? });
        let all: Option<Vec<_>> = self.files.iter().enumerate().map(range).collect();
        all.map(|all| all.into_iter().filter(|range| range.rows > 0).collect())
    }

    /// Returns where a file stands in its store.
    pub(crate) fn location(&self, file: usize) -> String {
        self.files[file].object_meta.location.to_string()
    }

    /// Returns a scan of these rows alone: the partitions as they are given, each in its order.
    pub(crate) async fn scan_ranges(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        partitions: &[Vec<Range<usize>>],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = self.scanned_columns(projection);
        let scanned = self.scanned.table_schema();
        if partitions.is_empty() {
            return Ok(Arc::new(EmptyExec::new(Arc::new(scanned.project(&columns)?))));
        }
        let rows: u64 = partitions.iter().map(|partition| ranges::rows(partition)).sum();
        let statistics = Statistics::new_unknown(scanned).with_num_rows(Precision::Exact(rows as usize));
        let group = |partition: &Vec<Range<usize>>| {
            FileGroup::new(partition.iter().map(|range| selected(&self.files[range.file], range)).collect())
        };
        let scan = FileScanConfigBuilder::new(self.store_url.clone(), self.format.file_source(self.scanned.clone()))
            .with_file_groups(partitions.iter().map(group).collect())
            .with_statistics(statistics)
            .with_projection_indices(Some(columns))?
            .with_preserve_order(true)
            // Said here, partitions stay as they are: neither are files divided anew by their bytes, nor do partitions that
            // are done take files of others.
            .with_output_partitioning(Some(Partitioning::UnknownPartitioning(partitions.len())))
            .build();
        self.format.create_physical_plan(state, scan).await
    }

    fn scanned_columns(&self, projection: Option<&Vec<usize>>) -> Vec<usize> {
        match projection {
            Some(projection) => projection.iter().map(|column| self.columns[*column]).collect(),
            None => self.columns.clone(),
        }
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

    /// Returns the values of the columns that name the folder of its first file.
    pub(crate) fn partition_values(&self) -> Vec<ScalarValue> {
        self.files.first().map(|file| file.partition_values.clone()).unwrap_or_default()
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
        let columns = self.scanned_columns(projection);
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

/// Returns the rows of a file, where it says.
fn exact_rows(file: &PartitionedFile) -> Option<u64> {
    match file.statistics.as_ref().map(|statistics| &statistics.num_rows) {
        Some(Precision::Exact(rows)) => Some(*rows as u64),
        _ => None,
    }
}

/// Returns a file of which only some rows are read.
fn selected(file: &PartitionedFile, range: &Range<usize>) -> PartitionedFile {
    let all = exact_rows(file).unwrap_or_default();
    // What is known of the whole file says nothing about a part of it.
    let part = PartitionedFile { statistics: None, ..file.clone() };
    if range.first == 0 && range.rows == all {
        return part;
    }
    let after = all.saturating_sub(range.first + range.rows);
    let selectors = [
        RowSelector::skip(range.first as usize),
        RowSelector::select(range.rows as usize),
        RowSelector::skip(after as usize),
    ];
    let selection = selectors.into_iter().filter(|selector| selector.row_count > 0).collect::<Vec<_>>();
    part.with_extension(ParquetRowSelection::new(RowSelection::from(selection)))
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
