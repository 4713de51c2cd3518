//! The step before the commit of a build: staged files are judged, and every row is accounted for.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use windlass_project::Node;
use windlass_project::checks::{CheckDefinition, CheckKind};

use super::failures::LookedAt;
use super::{Audited, BuildRequest, FailedRows, Prepared, RowsFrom, Staged};
use crate::audit::{CheckFailure, Subject, shorten};
use crate::checks::outcome::CheckOutcome;
use crate::checks::part::Part;
use crate::operators::check::Gathered;
use crate::operators::python::{Limit, Verdict};
use crate::planner::{Reading, Tables};
use crate::session::PlanStyle;
use crate::tables::files::FilesTable;
use crate::tables::{error_layout, staged};
use crate::{Engine, Error};

impl Engine {
    /// Judges staged rows. A table that breaks its checks, or has lost more rows than it may, is not
    /// published.
    pub(super) async fn audit_staged(
        &self,
        request: &BuildRequest<'_>,
        prepared: &Prepared,
        staged: &mut Staged,
        rows: &RowsFrom,
    ) -> Result<Audited, Error> {
        let node = request.node;
        let looked_at = LookedAt {
            published: &prepared.published,
            fingerprint: &prepared.fingerprint,
            definition: &prepared.definition,
            keeps_others: false,
        };
        let Some(gathered) = staged.gathered.take() else {
            if let RowsFrom::Inputs = rows {
                self.store_failures(request, &looked_at, &mut []).await?;
            }
            return Ok(Audited { checks: Vec::new(), failures: failed_rows(staged.failures.as_ref(), None, node) });
        };
        account(node, &gathered, staged)?;
        let failures = failed_rows(staged.failures.as_ref(), Some(&gathered.part), node);
        let failure = CheckFailure {
            over_budget: failures.as_ref().filter(|_| node.quarantines()).and_then(|all| over_budget(all, node, rows)),
            stopped_after: gathered.is_cut_short.then_some(gathered.part.rows + gathered.part.diverted),
            has_candidate: false,
            stays: false,
        };
        let (place, partition_by) = (self.place(&node.name), &node.config.partition_by);
        let table = staged::table(&node.name, &place, &prepared.published, partition_by, &staged.result.files)?;
        let reading = Reading { project: request.project, plan: request.plan, tables: Tables::Unnoted };
        let (added, rows_of) = (table.clone(), Arc::new(table));
        let whole = match rows {
            RowsFrom::Errors(_) => self.whole_table(node, added, staged.result.rows).await?,
            RowsFrom::Inputs | RowsFrom::Step(_) => None,
        };
        let now_us = request.started_us;
        let subject = Subject { node, rows: rows_of, reading, now_us, is_published: false, whole };
        let mut checks = self.audit(&subject, gathered).await?;
        match rows {
            RowsFrom::Inputs => self.store_failures(request, &looked_at, &mut checks).await?,
            RowsFrom::Errors(_) => checks.retain(|outcome| is_answered_by_a_part(node, outcome)),
            RowsFrom::Step(_) => {}
        }
        shorten(node, &mut checks);
        // A table of which rows were never looked at is not published, whatever its checks say.
        if failure.blocks() || checks.iter().any(CheckOutcome::blocks) {
            return Err(Error::Checks { table: node.name.clone(), outcomes: checks, failure });
        }
        Ok(Audited { checks, failures })
    }
}

impl Engine {
    /// Returns the rows of a published table with those that are added to it.
    async fn whole_table(
        &self,
        node: &Node,
        added: FilesTable,
        rows: u64,
    ) -> Result<Option<(Arc<dyn TableProvider>, u64)>, Error> {
        let Some(there) = self.open_table(&node.name).await? else { return Ok(None) };
        let failed = |source| Error::Compute { node: node.name.clone(), blame: None, source };
        let context = self.session.context(PlanStyle::Fast);
        let (provider, known) = (there.provider(&node.name).await?, there.size().0);
        let added = context.read_table(Arc::new(added)).map_err(failed)?;
        let all = context.read_table(provider).and_then(|there| there.union(added)).map_err(failed)?;
        Ok(Some((Arc::new(ViewTable::new(all.into_unoptimized_plan(), None)), known.unwrap_or_default() + rows)))
    }
}

/// Returns whether rows that are added to a table suffice for a check: they say nothing about the table as a whole, which
/// only queries are shown.
fn is_answered_by_a_part(node: &Node, outcome: &CheckOutcome) -> bool {
    let suffices = |check: &CheckDefinition| {
        let sees_enough = matches!(check.kind, CheckKind::Python(_) | CheckKind::Sql { .. });
        check.kind.is_on_rows() || check.diverts_keys() || sees_enough
    };
    node.checks.iter().find(|check| check.name == outcome.check).is_some_and(suffices)
}

/// Asserts that every row that was looked at was written once: to the table, or to its error table.
fn account(node: &Node, gathered: &Gathered, staged: &Staged) -> Result<(), Error> {
    let Part { rows, diverted, .. } = gathered.part;
    let in_python = staged.failures.as_ref().filter(|_| error_layout::fails_by_row(node));
    let failed = in_python.map_or(0, |verdict| verdict.failed) + diverted;
    // Where the work was ended, calls were in flight whose failures nobody waited for.
    let is_whole = staged.errors.rows == failed || gathered.is_cut_short;
    if staged.result.rows == rows && is_whole {
        return Ok(());
    }
    let text = format!(
        "{rows} rows and {failed} error rows were to be written, and {} and {} were",
        staged.result.rows, staged.errors.rows
    );
    Err(Error::Compute { node: node.name.clone(), blame: None, source: DataFusionError::Internal(text) })
}

/// Returns the rows that went to the error table, and why; `None` where the node has none.
fn failed_rows(in_python: Option<&Verdict>, part: Option<&Part>, node: &Node) -> Option<FailedRows> {
    if !node.has_error_table() {
        return None;
    }
    let in_python = in_python.filter(|_| error_layout::fails_by_row(node));
    let mut causes: Vec<(String, u64)> =
        in_python.iter().flat_map(|verdict| &verdict.causes).map(|cause| (cause.summary(), cause.rows)).collect();
    causes.extend(part.map(Part::diversions).unwrap_or_default());
    causes.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    let failed = in_python.map_or(0, |verdict| verdict.failed);
    let (seen, diverted) = match (part, in_python) {
        (Some(part), _) if node.quarantines() => (failed + part.rows + part.diverted, part.diverted),
        (_, Some(verdict)) => (verdict.seen, 0),
        _ => (0, 0),
    };
    Some(FailedRows { rows: failed + diverted, of: seen, causes })
}

/// Returns that more rows failed than may, where they did.
fn over_budget(all: &FailedRows, node: &Node, rows: &RowsFrom) -> Option<String> {
    let limit = rows.limit(node);
    let is_over = limit.is_passed(all.rows, all.of);
    let verdict = Verdict { seen: all.of, failed: all.rows, limit, is_over, causes: Vec::new() };
    is_over.then(|| verdict.to_string())
}

impl RowsFrom {
    /// Returns how many rows may fail.
    pub(super) fn limit(&self, node: &Node) -> Limit {
        match self {
            Self::Inputs | Self::Step(_) => Limit::of(node.config.error_limit),
            // All of them have failed once; how many fail again is what the caller wants to know.
            Self::Errors(_) => Limit::None,
        }
    }
}
