//! Failing rows of checks with `store_failures`, as the Delta table `<table>__failures`.
//!
//! Each run that looks at the table replaces it, whether the table is published or kept back: it says what
//! the last look has found. Where only some checks are made again, only their rows are replaced. It holds no
//! more rows than checks keep, so it is made in memory. Rows of a check that keeps none any more go with the next
//! build.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::json::WriterBuilder;
use datafusion::arrow::json::writer::LineDelimited;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;
use windlass_project::{Node, failures_table};

use super::BuildRequest;
use crate::checks::outcome::CheckOutcome;
use crate::fingerprint::Definition;
use crate::session::PlanStyle;
use crate::tables::publish::{Mode, Origin, Publication, publish};
use crate::tables::published::PublishedTable;
use crate::tables::schema;
use crate::{Engine, Error};

/// The table whose failing rows are kept.
pub(super) struct LookedAt<'a> {
    /// Its columns.
    pub(super) published: &'a SchemaRef,
    /// What its definition and inputs hash to.
    pub(super) fingerprint: &'a str,
    /// What it is made from.
    pub(super) definition: &'a Definition,
    /// Whether other checks than those that were looked at keep the rows that they had.
    pub(super) keeps_others: bool,
}

impl Engine {
    /// Keeps the failing rows of checks that say so. Where none does any more, those that are kept go.
    ///
    /// # Errors
    ///
    /// Those of storage and [`Error::Commit`]; nothing else is published then.
    pub(super) async fn store_failures(
        &self,
        request: &BuildRequest<'_>,
        looked_at: &LookedAt<'_>,
        outcomes: &mut [CheckOutcome],
    ) -> Result<(), Error> {
        let node = request.node;
        let table = failures_table(&node.name);
        if !node.stores_failures() {
            let there = PublishedTable::open(&table, &self.place(&table), None).await?;
            return match there.is_some_and(|there| there.size().0 != Some(0)) {
                true => {
                    self.replace_failures(request, looked_at, RecordBatch::new_empty(columns(looked_at.published)))
                        .await
                }
                false => Ok(()),
            };
        }
        let failed = |source| Error::Compute { node: table.clone(), blame: None, source };
        let mut rows = failing_rows(request, looked_at.published, outcomes).map_err(failed)?;
        if looked_at.keeps_others {
            let others = self.others(request.node, outcomes, rows.schema()).await?;
            rows =
                concat_batches(&rows.schema(), others.iter().chain([&rows])).map_err(|error| failed(error.into()))?;
        }
        self.replace_failures(request, looked_at, rows).await?;
        for outcome in outcomes.iter_mut().filter(|outcome| is_stored(node, outcome) && !outcome.examples.is_empty()) {
            outcome.stored_in = Some(table.clone());
        }
        Ok(())
    }

    /// Publishes rows in place of the failing rows of a table that are there.
    async fn replace_failures(
        &self,
        request: &BuildRequest<'_>,
        looked_at: &LookedAt<'_>,
        rows: RecordBatch,
    ) -> Result<(), Error> {
        let table = failures_table(&request.node.name);
        let failed = |source| Error::Compute { node: table.clone(), blame: None, source };
        let (place, columns, count) = (self.place(&table), rows.schema(), rows.num_rows() as u64);
        let staged = self.stage_rows(&place, request.run_id, rows).await.map_err(failed)?;
        let inputs = BTreeMap::new();
        let origin = Origin {
            run_id: request.run_id,
            sequence: request.sequence,
            fingerprint: looked_at.fingerprint,
            rows: count,
            inputs: &inputs,
            columns: None,
            errors: None,
            definition: looked_at.definition,
            content: None,
            verdicts: &[],
            incremental: None,
            is_computed: true,
            promoted: None,
        };
        let (schema, files, mode) = (columns.as_ref(), staged.files, Mode::Replace);
        let publication = Publication { table: &table, place: &place, schema, partition_by: &[], files, mode, origin };
        publish(publication).await.map(|_| ())
    }

    /// Returns the rows that are kept of checks which were not looked at now.
    async fn others(
        &self,
        node: &Node,
        outcomes: &[CheckOutcome],
        columns: SchemaRef,
    ) -> Result<Vec<RecordBatch>, Error> {
        let table = failures_table(&node.name);
        let Some(there) = self.open_table(&table).await? else { return Ok(Vec::new()) };
        let failed = |source| Error::Compute { node: table.clone(), blame: None, source };
        let is_kept = |name: &&str| !outcomes.iter().any(|outcome| outcome.check == **name);
        let stored = node.checks.iter().filter(|check| check.store_failures).map(|check| check.name.as_str());
        let names: Vec<Expr> = stored.filter(is_kept).map(lit).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.session.context(PlanStyle::Fast).read_table(there.provider(&table).await?);
        let rows = rows.and_then(|rows| rows.filter(ident("check_name").in_list(names, false))).map_err(failed)?;
        let mut rows = rows.execute_stream().await.map_err(failed)?;
        let mut found = Vec::new();
        while let Some(batch) = rows.try_next().await.map_err(failed)? {
            // Rows of columns that the table has no more are dropped.
            found.extend(schema::conform(&batch, &columns).ok());
        }
        Ok(found)
    }
}

fn is_stored(node: &Node, outcome: &CheckOutcome) -> bool {
    node.checks.iter().any(|check| check.name == outcome.check && check.store_failures)
}

/// Returns the columns of a table of failing rows.
fn columns(published: &SchemaRef) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        text("check_name"),
        text("kind"),
        text("status"),
        Field::new("row", DataType::Struct(published.fields().clone()), true),
        text("found"),
        text("run_id"),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
    ]))
}

/// Returns the offending rows of all checks that keep them.
fn failing_rows(
    request: &BuildRequest<'_>,
    published: &SchemaRef,
    outcomes: &[CheckOutcome],
) -> Result<RecordBatch, DataFusionError> {
    let all = columns(published);
    let mut batches = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| is_stored(request.node, outcome)) {
        for rows in &outcome.examples {
            let count = rows.num_rows();
            let same =
                |text: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, count))) };
            let (row, found) = row_or_found(rows, published, all.field(3).data_type())?;
            let at = TimestampMicrosecondArray::from_value(request.started_us, count).with_timezone("UTC");
            let columns = vec![
                same(&outcome.check),
                same(outcome.kind),
                same(outcome.status.name()),
                row,
                found,
                same(request.run_id),
                Arc::new(at),
            ];
            batches.push(RecordBatch::try_new(Arc::clone(&all), columns)?);
        }
    }
    Ok(concat_batches(&all, &batches)?)
}

/// Returns offending rows as rows of the table where they are that, and else as what a query has found.
fn row_or_found(
    rows: &RecordBatch,
    published: &SchemaRef,
    row_type: &DataType,
) -> Result<(ArrayRef, ArrayRef), DataFusionError> {
    let count = rows.num_rows();
    let (own, given) = (published.fields(), rows.schema());
    let is_row = own.len() == given.fields().len()
        && own.iter().zip(given.fields()).all(|(own, given)| own.name() == given.name());
    if is_row {
        let rows = schema::conform(rows, published)?;
        let row = StructArray::new(published.fields().clone(), rows.columns().to_vec(), None);
        return Ok((Arc::new(row), new_null_array(&DataType::Utf8, count)));
    }
    let mut lines = Vec::new();
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(&mut lines);
    writer.write(rows)?;
    writer.finish()?;
    let text = String::from_utf8_lossy(&lines);
    Ok((new_null_array(row_type, count), Arc::new(text.lines().map(Some).collect::<StringArray>())))
}
