//! The last step of a build: staged files become the next version, or a part of it.

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use deltalake_core::kernel::Add;
use serde_json::Value;
use windlass_project::{Node, Reuse, Strategy, error_table};

use super::replaced::Files;
use super::steps::{Base, Step};
use super::{Audited, BuildRequest, Built, Prepared, Staged};
use crate::checks::outcome::CheckOutcome;
use crate::fingerprint::{self, ColumnContents, Provenance};
use crate::operators::content::Content;
use crate::operators::write::StagedTable;
use crate::tables::publish::{Mode, Origin, Publication, publish, verdict};
use crate::tables::published::PublishedTable;
use crate::tables::staged;
use crate::{Engine, Error};

impl Engine {
    pub(super) async fn commit(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        (staged, audited): (Staged, Audited),
        incremental: Option<&Value>,
    ) -> Result<Built, Error> {
        let node = request.node;
        let Staged { result, errors, nulls, .. } = staged;
        let Audited { checks, failures } = audited;
        let (bytes, files) = (result.files.iter().map(|file| file.size as u64).sum(), result.files.len() as u64);
        let origin = Origin {
            run_id: request.run_id,
            sequence: request.sequence,
            fingerprint: &prepared.fingerprint,
            rows: errors.rows,
            inputs: &prepared.read,
            definition: &prepared.definition,
            content: None,
            columns: None,
            errors: None,
            verdicts: &[],
            incremental: None,
            is_computed: true,
            promoted: None,
        };
        // Delta has no commit over two tables. Error rows go first and count only once the result names
        // their version, so whatever happens in between, readers see both tables of one run.
        let error_rows = errors.rows;
        let errors_version = match &prepared.errors {
            None => None,
            Some(rows) => Some(self.publish_errors(node, &rows.schema(), errors, origin).await?),
        };
        let place = self.place(&node.name);
        let content = content_text(result.content, &prepared.published);
        let columns = Box::pin(self.column_contents(request, prepared, &result.files)).await?;
        let verdicts = self.verdicts(request, &checks).await?;
        let version = publish(Publication {
            table: &node.name,
            place: &place,
            schema: &prepared.published,
            partition_by: &node.config.partition_by,
            files: result.files,
            mode: Mode::Replace,
            origin: Origin {
                rows: result.rows,
                content: content.as_deref(),
                columns: Some(&columns),
                errors: errors_version.map(|version| (version, error_rows)),
                verdicts: &verdicts,
                incremental,
                ..origin
            },
        })
        .await?;
        let nulls = nulls.map(Into::into);
        let fingerprint = prepared.fingerprint.clone();
        Ok(Built { version, rows: result.rows, bytes, files, fingerprint, failures, nulls, checks })
    }

    /// Returns what staged rows hash to, for readers of some columns.
    async fn column_contents(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        files: &[Add],
    ) -> Result<ColumnContents, Error> {
        let BuildRequest { project, plan, node, .. } = *request;
        if project.reuse == Reuse::Tables {
            return Ok(ColumnContents::new());
        }
        let (place, partition_by) = (self.place(&node.name), &node.config.partition_by);
        let rows = staged::table(&node.name, &place, &prepared.published, partition_by, files)?;
        self.contents_for_readers((project, plan), node, rows).await
    }

    /// Returns what a commit says of checks of the node: what each has found, and what it said.
    pub(super) async fn verdicts(
        &self,
        request: &BuildRequest<'_>,
        checks: &[CheckOutcome],
    ) -> Result<Vec<Value>, Error> {
        let identities = self.check_identities(request.project, request.plan, request.node).await?;
        let told = |outcome: &CheckOutcome| {
            let mut told = verdict(outcome);
            told["identity"] = identities.get(&outcome.check).cloned().into();
            told
        };
        Ok(checks.iter().map(told).collect())
    }

    async fn publish_errors(
        &self,
        node: &Node,
        schema: &SchemaRef,
        errors: StagedTable,
        origin: Origin<'_>,
    ) -> Result<u64, Error> {
        let table = error_table(&node.name);
        let place = self.place(&table);
        let (files, mode) = (errors.files, Mode::Replace);
        publish(Publication { table: &table, place: &place, schema, partition_by: &[], files, mode, origin }).await
    }

    /// Returns what of a table that is merged by key goes for rows that did not fail again: a row of an earlier state of
    /// the input may still be there. `None` for other tables, of which nothing goes.
    async fn replaced_by_replay(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        staged: &Staged,
        (table, known): (&PublishedTable, &Provenance),
    ) -> Result<Option<Files>, Error> {
        let strategy = request.node.config.incremental.as_ref().map(|how| &how.strategy);
        let Some(Strategy::Merge { .. }) = strategy else { return Ok(None) };
        let beside = Step::beside(Base { table: table.clone(), known: known.clone(), reads_inputs: false });
        self.replaced(request, prepared, staged, &beside).await.map(Some)
    }

    /// Returns a published table with these columns, and what it is made from.
    async fn published_as(&self, node: &Node, columns: &SchemaRef) -> Result<(PublishedTable, Provenance), Error> {
        let not_published = || Error::NotPublished { table: node.name.clone() };
        let current = self.open_table(&node.name).await?.ok_or_else(not_published)?;
        if !current.has_columns(columns) {
            return Err(Error::ChangedColumns { node: node.name.clone() });
        }
        let known = current.provenance().await.ok_or_else(not_published)?;
        Ok((current, known))
    }

    /// Adds what came of failed rows to the table, and keeps those that fail still.
    pub(super) async fn commit_replay(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        staged: Staged,
        audited: Audited,
    ) -> Result<Built, Error> {
        let node = request.node;
        // The other rows are what the old definition made of the old inputs, and so is the table.
        let (current, known) = self.published_as(node, &prepared.published).await?;
        let (fingerprint, inputs) = (known.fingerprint(), known.inputs());
        let definition = known.definition().unwrap_or_default();
        let replaced = self.replaced_by_replay(request, prepared, &staged, (&current, &known)).await?;
        let Staged { result, errors, nulls, .. } = staged;
        let Audited { checks, failures } = audited;
        let error_rows = errors.rows;
        let origin = Origin {
            run_id: request.run_id,
            sequence: request.sequence,
            fingerprint: &fingerprint,
            rows: error_rows,
            inputs: &inputs,
            definition: &definition,
            content: None,
            columns: None,
            errors: None,
            verdicts: &[],
            incremental: None,
            is_computed: true,
            promoted: None,
        };
        let kind = prepared.errors.as_ref().ok_or_else(|| Error::NoErrors { node: node.name.clone() })?;
        let errors_version = self.publish_errors(node, &kind.schema(), errors, origin).await?;
        let (bytes, files) = (result.files.iter().map(|file| file.size as u64).sum(), result.files.len() as u64);
        let verdicts = self.verdicts(request, &checks).await?;
        let rows = replaced.as_ref().map_or(known.rows(), Files::rows) + result.rows;
        let none = Files::default();
        let content = self.content_after(node, &known, replaced.as_ref().unwrap_or(&none), result.content).await?;
        let content = content_text(content, &prepared.published);
        let (rest, mode) =
            replaced.map_or((Vec::new(), Mode::Append), |files| files.replacing(current.version(), None, 0));
        let place = self.place(&node.name);
        let version = publish(Publication {
            table: &node.name,
            place: &place,
            schema: &prepared.published,
            partition_by: &node.config.partition_by,
            files: result.files.into_iter().chain(rest).collect(),
            mode,
            origin: Origin {
                rows,
                content: content.as_deref(),
                errors: Some((errors_version, error_rows)),
                verdicts: &verdicts,
                incremental: Some(known.incremental()).filter(|done| !done.is_null()),
                ..origin
            },
        })
        .await?;
        let (nulls, fingerprint) = (nulls.map(Into::into), fingerprint.clone());
        Ok(Built { version, rows: result.rows, bytes, files, fingerprint, failures, nulls, checks })
    }
}

/// Returns what tells rows and columns of a version from those of others: `<rows>.<columns>`.
pub(super) fn content_text(content: Content, published: &Schema) -> Option<String> {
    content.is_known().then(|| format!("{}.{}", content.text(), fingerprint::schema(published)))
}
