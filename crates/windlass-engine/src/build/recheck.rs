//! Checks that have changed, on a table that has not: its rows are looked at again, and nothing is built.
//!
//! Must stay true: the commit that says what they found adds and removes no row, and no commit is made in a base:
//! there a file of the environment says it.

use windlass_project::Node;

use super::BuildRequest;
use super::failures::LookedAt;
use crate::audit::{CheckFailure, Inspected, shorten};
use crate::checks::outcome::CheckOutcome;
use crate::tables::publish::{Mode, Origin, Publication, publish};
use crate::tables::schema;
use crate::{Engine, Error};

/// What changed checks have found.
#[derive(Debug, Clone)]
pub struct Rechecked {
    /// The version that says so.
    pub version: u64,
    /// The outcome of each that was made.
    pub checks: Vec<CheckOutcome>,
}

impl Engine {
    /// Looks at the published rows with some of the node's checks. `None` when the progress forbids to
    /// publish.
    ///
    /// # Errors
    ///
    /// [`Error::Checks`] where one blocks: what is published stays, and the next run looks again.
    pub async fn recheck(&self, request: &BuildRequest<'_>, names: &[String]) -> Result<Option<Rechecked>, Error> {
        let mut node = Node { checks: Vec::new(), ..request.node.clone() };
        node.checks = request.node.checks.iter().filter(|check| names.contains(&check.name)).cloned().collect();
        let now = chrono::DateTime::from_timestamp_micros(request.started_us).unwrap_or_default();
        let inspected = self.inspect_whole(request.project, request.plan, &node, (Inspected::Current, now)).await;
        let mut outcomes = inspected?;
        self.renew_failures(request, &mut outcomes).await?;
        shorten(&node, &mut outcomes);
        if outcomes.iter().any(CheckOutcome::blocks) {
            let failure = CheckFailure { stays: true, ..CheckFailure::default() };
            return Err(Error::Checks { table: node.name, outcomes, failure });
        }
        if !request.progress.begin_commit() {
            return Ok(None);
        }
        let not_published = || Error::NotPublished { table: node.name.clone() };
        let table = self.open_table(&node.name).await?.ok_or_else(not_published)?;
        let version = match table.base() {
            None => self.publish_verdicts(request, &outcomes).await?,
            Some(_) => {
                self.remember_passed(request.project, request.plan, request.node, &outcomes).await?;
                table.version()
            }
        };
        Ok(Some(Rechecked { version, checks: outcomes }))
    }

    /// Replaces the failing rows that are kept of the checks that were made.
    async fn renew_failures(&self, request: &BuildRequest<'_>, outcomes: &mut [CheckOutcome]) -> Result<(), Error> {
        let stores = |outcome: &CheckOutcome| {
            let mut checks = request.node.checks.iter();
            checks.any(|check| check.store_failures && check.name == outcome.check)
        };
        let Some(table) = self.open_table(&request.node.name).await? else { return Ok(()) };
        let Some(known) = table.provenance().await.filter(|_| outcomes.iter().any(stores)) else { return Ok(()) };
        let looked_at = LookedAt {
            published: &schema::published(&request.node.name, &table.snapshot().arrow_schema())?,
            fingerprint: &known.fingerprint(),
            definition: &known.definition().unwrap_or_default(),
            keeps_others: true,
        };
        self.store_failures(request, &looked_at, outcomes).await
    }

    /// Publishes a version with the same rows that says which checks they pass now.
    async fn publish_verdicts(&self, request: &BuildRequest<'_>, outcomes: &[CheckOutcome]) -> Result<u64, Error> {
        let node = request.node;
        let not_published = || Error::NotPublished { table: node.name.clone() };
        let table = self.open_table(&node.name).await?.ok_or_else(not_published)?;
        let known = table.provenance().await.ok_or_else(not_published)?;
        // What the other checks have found of these rows still holds.
        let is_kept = |name: &str| {
            node.checks.iter().any(|check| check.name == name) && !outcomes.iter().any(|outcome| outcome.check == name)
        };
        let mut verdicts: Vec<_> =
            known.verdicts().into_iter().filter(|verdict| verdict["name"].as_str().is_some_and(is_kept)).collect();
        verdicts.extend(self.verdicts(request, outcomes).await?);
        let place = self.place(&node.name);
        publish(Publication {
            table: &node.name,
            place: &place,
            schema: schema::published(&node.name, &table.snapshot().arrow_schema())?.as_ref(),
            partition_by: &node.config.partition_by,
            files: Vec::new(),
            mode: Mode::Append,
            origin: Origin {
                run_id: request.run_id,
                sequence: request.sequence,
                fingerprint: &known.fingerprint(),
                rows: known.rows(),
                inputs: &known.inputs(),
                definition: &known.definition().unwrap_or_default(),
                content: known.content().as_deref(),
                columns: Some(&known.column_contents()),
                errors: known.errors(),
                verdicts: &verdicts,
                incremental: (!known.incremental().is_null()).then(|| known.incremental()),
                is_computed: false,
                promoted: None,
            },
        })
        .await
    }
}
