//! What becomes of the staged files of a table that broke its checks: people may look at them.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;
use serde_json::Value;
use windlass_project::{Project, error_table, failures_table};

use super::{BuildRequest, Prepared, Staged};
use crate::audit::CheckFailure;
use crate::planner::register;
use crate::tables::candidate::{self, Candidate, SUFFIX, columns};
use crate::tables::publish::verdict;
use crate::{Engine, Error};

impl Engine {
    /// Keeps staged files where checks are why they are not published, and returns the failure. Where they
    /// cannot be kept, the failure is what it was.
    pub(super) async fn keep_candidate(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        staged: Staged,
        error: Error,
    ) -> Error {
        let Error::Checks { table, outcomes, failure } = error else { return error };
        let checks: Vec<Value> = outcomes.iter().map(verdict).collect();
        let is_whole = failure.stopped_after.is_none();
        let kept = self.try_keep(request, prepared, staged, (checks, is_whole)).await;
        if let Err(error) = &kept {
            tracing::warn!(table, %error, "candidate not kept");
        }
        let failure = CheckFailure { has_candidate: kept.is_ok(), ..failure };
        Error::Checks { table, outcomes, failure }
    }

    async fn try_keep(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        staged: Staged,
        (checks, is_whole): (Vec<Value>, bool),
    ) -> Result<(), Error> {
        let node = request.node;
        let rows = Candidate {
            run_id: request.run_id.to_string(),
            started_us: request.started_us,
            is_whole,
            checks,
            schema: columns(&node.name, &prepared.published)?,
            partition_by: node.config.partition_by.clone(),
            files: staged.result.files,
        };
        candidate::keep(&self.place(&node.name), &rows).await?;
        let Some(errors) = &prepared.errors else { return Ok(()) };
        let table = error_table(&node.name);
        let schema = columns(&table, &errors.schema())?;
        let (partition_by, files) = (Vec::new(), staged.errors.files);
        candidate::keep(&self.place(&table), &Candidate { schema, partition_by, files, ..rows }).await
    }

    /// Removes what was kept of earlier runs of a node, now that its table is as it should be.
    pub async fn forget_candidates(&self, node: &str) {
        for table in [node.to_string(), error_table(node)] {
            if let Err(error) = candidate::forget(&self.place(&table)).await {
                tracing::warn!(table, %error, "candidate not removed, gc will");
            }
        }
    }

    /// Returns what reads the candidate of a table, and the candidate.
    ///
    /// # Errors
    ///
    /// [`Error::NothingKept`] where there is none.
    pub(crate) async fn candidate(&self, table: &str) -> Result<(Candidate, Arc<dyn TableProvider>), Error> {
        let place = self.place(table);
        let none = || Error::NothingKept { name: format!("{table}{SUFFIX}") };
        let candidate = candidate::open(&place).await?.ok_or_else(none)?;
        let provider = Arc::new(candidate.table(table, &place)?);
        Ok((candidate, provider))
    }

    /// Makes those among some names known to a context that stand beside tables: candidates, and failing rows
    /// of checks.
    pub(crate) async fn register_kept(
        &self,
        context: &SessionContext,
        project: &Project,
        names: &BTreeSet<String>,
    ) -> Result<(), Error> {
        for name in names {
            if let Some(table) = name.strip_suffix(SUFFIX) {
                register(context, name, self.candidate(table).await?.1)?;
            } else if project.nodes.values().any(|node| node.stores_failures() && failures_table(&node.name) == *name) {
                let none = || Error::NothingKept { name: name.clone() };
                let table = self.open_table(name).await?.ok_or_else(none)?;
                register(context, name, table.provider(name).await?)?;
            }
        }
        Ok(())
    }

    /// Returns which run a table's candidate is from, and whether it has all rows; `None` where there is no
    /// candidate.
    pub async fn candidate_run(&self, table: &str) -> Result<Option<(String, bool)>, Error> {
        let candidate = candidate::open(&self.place(table)).await?;
        Ok(candidate.map(|candidate| (candidate.run_id, candidate.is_whole)))
    }
}
