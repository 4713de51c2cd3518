//! What is known of checks from earlier runs, so that one that has passed is not made again.
//!
//! A check is the same while it says the same and while the other tables that it reads have the same
//! rows. For a table its commit says which checks its rows have passed; for a source or view, and for a
//! table of the base that is looked at from above, a small file below the environment does.
//!
//! Must stay true: only checks that let their table pass are remembered, and none whose answer depends
//! on the time at which it is asked.

use std::collections::BTreeMap;

use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use windlass_project::checks::{CheckDefinition, CheckKind};
use windlass_project::{InputPart, Node, Project, SYSTEM_FOLDER};

use crate::checks::outcome::CheckOutcome;
use crate::fingerprint::{self, Provenance};
use crate::planner::{Content, Plan};
use crate::python::environment_request;
use crate::storage::Place;
use crate::tables::published::PublishedTable;
use crate::{Engine, Error};

/// The checks that rows have passed: what each said, by name.
pub(crate) type PassedChecks = BTreeMap<String, String>;

/// What is kept of a node that was looked at.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Passed {
    /// What tells its rows.
    rows: String,
    checks: PassedChecks,
}

impl Engine {
    /// Returns what each check of a node says now, with the state of the other tables that it reads.
    pub(crate) async fn check_identities(
        &self,
        project: &Project,
        plan: &Plan,
        node: &Node,
    ) -> Result<PassedChecks, Error> {
        let mut identities = PassedChecks::new();
        for check in node.checks.iter().filter(|check| !check.kind.depends_on_time()) {
            let mut parts = vec![check.identity()];
            if let CheckKind::Python(python) = &check.kind {
                let request = environment_request(&node.name, &python.code.environment);
                let locked = self.workers.locked(&request).await.unwrap_or_default();
                parts.extend(locked.map(|locked| locked.digest));
            }
            for (name, state) in self.tables_of(project, plan, node, check).await? {
                parts.extend([name, state]);
            }
            identities.insert(check.name.clone(), fingerprint::hash(parts.iter().map(String::as_str)));
        }
        Ok(identities)
    }

    /// Returns the checks of a published table that its rows have not passed yet, as they are now.
    pub(crate) async fn open_checks(
        &self,
        project: &Project,
        plan: &Plan,
        node: &Node,
        (table, provenance): (&PublishedTable, &Provenance),
    ) -> Result<Vec<String>, Error> {
        let (mut passed, now) = (provenance.passed_checks(), self.check_identities(project, plan, node).await?);
        if table.base().is_some() {
            let looked_at = read(&self.passed_place(node)).await.unwrap_or_default();
            let is_same = looked_at.rows == rows_of(table).await;
            passed.extend(looked_at.checks.into_iter().filter(|_| is_same));
        }
        Ok(not_passed(node, &passed, &now))
    }

    /// Returns whether the rows of a source or view have passed all of its checks in an earlier run.
    pub async fn has_passed(&self, project: &Project, plan: &Plan, node: &Node) -> Result<bool, Error> {
        let own = read(&self.passed_place(node)).await;
        let below = match (&own, &self.base) {
            (None, Some(base)) => read(&passed_in(&base.place, node)).await,
            _ => None,
        };
        if own.is_none() && below.is_none() {
            return Ok(false);
        }
        let now = self.check_identities(project, plan, node).await?;
        let is_passed = |passed: &Passed| not_passed(node, &passed.checks, &now).is_empty();
        match (own, below) {
            (Some(own), _) => Ok(is_passed(&own) && own.rows == self.rows_identity(project, plan, node).await?),
            (None, Some(below)) => {
                let rows = self.rows_identity_in_base(project, plan, node).await?;
                Ok(is_passed(&below) && rows.is_some_and(|rows| rows == below.rows))
            }
            (None, None) => Ok(false),
        }
    }

    /// Remembers that the rows of a node have passed some of its checks, where no commit says so. Where that
    /// cannot be written, the next run makes them again.
    pub async fn remember_passed(
        &self,
        project: &Project,
        plan: &Plan,
        node: &Node,
        outcomes: &[CheckOutcome],
    ) -> Result<(), Error> {
        let mut checks = self.check_identities(project, plan, node).await?;
        checks.retain(|name, _| outcomes.iter().any(|outcome| outcome.check == *name && !outcome.blocks()));
        let rows = match self.open_table(&node.name).await? {
            Some(table) if node.is_published() => rows_of(&table).await,
            _ => self.rows_identity(project, plan, node).await?,
        };
        let place = self.passed_place(node);
        if node.is_published()
            && let Some(before) = read(&place).await.filter(|before| before.rows == rows)
        {
            // Only what has changed was looked at.
            let others = before.checks.into_iter().filter(|(name, _)| !outcomes.iter().any(|o| o.check == *name));
            checks.extend(others);
        }
        let passed = Passed { rows, checks };
        let text = serde_json::to_vec(&passed).unwrap_or_default();
        if let Err(error) = place.store.put(&place.path, PutPayload::from(text)).await {
            tracing::warn!(node = %node.name, %error, "passed checks not remembered");
        }
        Ok(())
    }

    fn passed_place(&self, node: &Node) -> Place {
        passed_in(&self.lake, node)
    }

    /// Returns what tells the rows of a node that is not published.
    async fn rows_identity(&self, project: &Project, plan: &Plan, node: &Node) -> Result<String, Error> {
        let inputs = self.inputs_now(project, plan, node, &Default::default()).await?;
        Ok(fingerprint::fingerprint(&self.definition(project, plan, node).await?, &inputs))
    }

    /// The same as the base would say; `None` where the node reads a table that the base does not have.
    async fn rows_identity_in_base(
        &self,
        project: &Project,
        plan: &Plan,
        node: &Node,
    ) -> Result<Option<String>, Error> {
        let Some(base) = &self.base else { return Ok(None) };
        let inputs = self.inputs_now(project, plan, node, &Default::default()).await?;
        let Some(inputs) = fingerprint::seen_from_base(&inputs, &base.env) else { return Ok(None) };
        Ok(Some(fingerprint::fingerprint(&self.definition(project, plan, node).await?, &inputs)))
    }

    /// Returns the state of the other tables that a check reads.
    async fn tables_of(
        &self,
        project: &Project,
        plan: &Plan,
        node: &Node,
        check: &CheckDefinition,
    ) -> Result<BTreeMap<String, String>, Error> {
        let mut tables = BTreeMap::new();
        for input in check.inputs(&node.name) {
            let (Some(other), Some(planned)) = (project.nodes.get(&input.node), plan.nodes.get(&input.node)) else {
                continue;
            };
            let state = match (input.part, &planned.content) {
                (InputPart::Errors, _) => {
                    let table = self.open_errors(&input.node).await?;
                    table.map(|table| table.identity()).unwrap_or_default()
                }
                (InputPart::Model, _) => {
                    let version = self.found_model(&input.reference).await?.input_version();
                    version.content.unwrap_or(version.identity)
                }
                (InputPart::Result, Content::Files(files)) if !planned.is_published => files.state(),
                (InputPart::Result, Content::Query(_)) if !planned.is_published => {
                    Box::pin(self.rows_identity(project, plan, other)).await?
                }
                (InputPart::Result, _) => match self.open_table(&input.node).await? {
                    Some(table) => rows_of(&table).await,
                    None => String::new(),
                },
            };
            tables.insert(input.table(), state);
        }
        Ok(tables)
    }
}

/// Returns where an environment keeps what a node has passed.
fn passed_in(env: &Place, node: &Node) -> Place {
    env.join(SYSTEM_FOLDER).join("passed").join(&format!("{}.json", node.name))
}

/// Returns what is kept of a node; `None` where there is nothing that can be understood.
async fn read(place: &Place) -> Option<Passed> {
    let text = place.store.get(&place.path).await.ok()?.bytes().await.ok()?;
    serde_json::from_slice(&text).ok()
}

/// Returns what tells the rows of a published table.
async fn rows_of(table: &PublishedTable) -> String {
    let version = table.input_version().await;
    version.content.unwrap_or(version.identity)
}

/// Returns the checks of a node that are not among those that were passed as they are now.
fn not_passed(node: &Node, passed: &PassedChecks, now: &PassedChecks) -> Vec<String> {
    let names = node.checks.iter().map(|check| &check.name);
    names.filter(|name| now.get(*name).is_none_or(|now| passed.get(*name) != Some(now))).cloned().collect()
}
