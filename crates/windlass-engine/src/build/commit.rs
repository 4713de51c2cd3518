//! The last step of a build: staged files become the next version, or a part of it.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::SchemaRef;
use windlass_project::{Node, error_table};

use super::{Audited, BuildRequest, Built, Prepared, Staged};
use crate::operators::write::StagedTable;
use crate::tables::publish::{Mode, Origin, Publication, publish};
use crate::{Engine, Error};

impl Engine {
    pub(super) async fn commit(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        staged: Staged,
        audited: Audited,
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
            errors: None,
            checks: &[],
        };
        // Delta has no commit over two tables. Error rows go first and count only once the result names
        // their version, so whatever happens in between, readers see both tables of one run.
        let error_rows = errors.rows;
        let errors_version = match &prepared.errors {
            None => None,
            Some(rows) => Some(self.publish_errors(node, &rows.schema(), errors, origin).await?),
        };
        let place = self.place(&node.name);
        let version = publish(Publication {
            table: &node.name,
            place: &place,
            schema: &prepared.published,
            partition_by: &node.config.partition_by,
            files: result.files,
            mode: Mode::Replace,
            origin: Origin {
                rows: result.rows,
                errors: errors_version.map(|version| (version, error_rows)),
                checks: &checks,
                ..origin
            },
        })
        .await?;
        let nulls = nulls.map(Into::into);
        let fingerprint = prepared.fingerprint.clone();
        Ok(Built { version, rows: result.rows, bytes, files, fingerprint, failures, nulls, checks })
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

    /// Adds what came of failed rows to the table, and keeps those that fail still.
    pub(super) async fn commit_replay(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        staged: Staged,
        audited: Audited,
    ) -> Result<Built, Error> {
        let node = request.node;
        let Staged { result, errors, nulls, .. } = staged;
        let Audited { checks, failures } = audited;
        let not_published = || Error::NotPublished { table: node.name.clone() };
        let current = self.open_table(&node.name).await?.ok_or_else(not_published)?;
        if !current.has_columns(&prepared.published) {
            return Err(Error::ChangedColumns { node: node.name.clone() });
        }
        // The other rows are what the old definition made of the old inputs, and so is the table.
        let known = current.origin().await.unwrap_or_default();
        let fingerprint = known["fingerprint"].as_str().unwrap_or_default().to_string();
        let inputs = known["inputs"].as_object().into_iter().flatten();
        let inputs = inputs.map(|(name, version)| (name.clone(), version.as_str().unwrap_or_default().to_string()));
        let inputs: BTreeMap<String, String> = inputs.collect();
        let error_rows = errors.rows;
        let origin = Origin {
            run_id: request.run_id,
            sequence: request.sequence,
            fingerprint: &fingerprint,
            rows: error_rows,
            inputs: &inputs,
            errors: None,
            checks: &[],
        };
        let kind = prepared.errors.as_ref().ok_or_else(|| Error::NoErrors { node: node.name.clone() })?;
        let errors_version = self.publish_errors(node, &kind.schema(), errors, origin).await?;
        let (bytes, files) = (result.files.iter().map(|file| file.size as u64).sum(), result.files.len() as u64);
        let rows = known["rows"].as_u64().unwrap_or_default() + result.rows;
        let place = self.place(&node.name);
        let version = publish(Publication {
            table: &node.name,
            place: &place,
            schema: &prepared.published,
            partition_by: &node.config.partition_by,
            files: result.files,
            mode: Mode::Append,
            origin: Origin { rows, errors: Some((errors_version, error_rows)), checks: &checks, ..origin },
        })
        .await?;
        let (nulls, fingerprint) = (nulls.map(Into::into), fingerprint.clone());
        Ok(Built { version, rows: result.rows, bytes, files, fingerprint, failures, nulls, checks })
    }
}
