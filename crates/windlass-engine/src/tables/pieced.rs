//! A table of files that is read bit by bit, by the places of its rows.
//!
//! Its scan has the ranges that were set last, in partitions of its own, and is counted: rows come in the
//! order of the ranges, so the first so many of a partition are known by their places.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::datasource::TableType;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

use super::files::FilesTable;
use super::ranges::Range;
use crate::operators::meter::{Meter, MeterExec};

/// What the next scan reads.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    /// The rows of each partition.
    pub(crate) partitions: Vec<Vec<Range<usize>>>,
    /// Counts them, and ends the scan.
    pub(crate) meter: Arc<Meter>,
}

/// A table that is read in sections; all of it until the first is set.
#[derive(Debug)]
pub(crate) struct PiecedTable {
    files: FilesTable,
    next: Mutex<Option<Section>>,
}

impl PiecedTable {
    /// Returns the table of these files.
    pub(crate) fn new(files: FilesTable) -> Self {
        Self { files, next: Mutex::new(None) }
    }

    /// Returns its files.
    pub(crate) fn files(&self) -> &FilesTable {
        &self.files
    }

    /// Says what plans read that are made from now on.
    pub(crate) fn set(&self, section: Section) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(section);
    }

    fn section(&self) -> Option<Section> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl TableProvider for PiecedTable {
    fn schema(&self) -> SchemaRef {
        self.files.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// A scan that left rows out could not be counted.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Unsupported; filters.len()])
    }

    fn statistics(&self) -> Option<Statistics> {
        self.files.statistics()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(Section { partitions, meter }) = self.section() else {
            return self.files.scan(state, projection, filters, limit).await;
        };
        let scan = self.files.scan_ranges(state, projection, &partitions).await?;
        Ok(if partitions.is_empty() { scan } else { Arc::new(MeterExec::new(scan, meter)) })
    }
}
