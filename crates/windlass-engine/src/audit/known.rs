//! What is known of checks from earlier runs, so that one that has passed is not made again.
//!
//! A check is the same while it says the same and while the other tables that it reads have the same
//! rows. For a table its commit says which checks its rows have passed; for a source or view a small
//! file below the lake does.
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
use crate::models;
use crate::planner::{Content, Plan};
use crate::python::environment_request;
use crate::storage::Place;
use crate::{Engine, Error};

/// The checks that rows have passed: what each said, by name.
pub(crate) type PassedChecks = BTreeMap<String, String>;

/// What is kept of a source or view that was looked at.
#[derive(Debug, Serialize, Deserialize)]
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
        provenance: &Provenance,
    ) -> Result<Vec<String>, Error> {
        let (passed, now) = (provenance.passed_checks(), self.check_identities(project, plan, node).await?);
        Ok(not_passed(node, &passed, &now))
    }

    /// Returns whether the rows of a source or view have passed all of its checks in an earlier run.
    pub async fn has_passed(&self, project: &Project, plan: &Plan, node: &Node) -> Result<bool, Error> {
        let place = self.passed_place(node);
        let Ok(found) = place.store.get(&place.path).await else { return Ok(false) };
        let Ok(text) = found.bytes().await else { return Ok(false) };
        let Ok(passed) = serde_json::from_slice::<Passed>(&text) else { return Ok(false) };
        let now = self.check_identities(project, plan, node).await?;
        Ok(not_passed(node, &passed.checks, &now).is_empty()
            && passed.rows == self.rows_identity(project, plan, node).await?)
    }

    /// Remembers that the rows of a source or view have passed its checks. Where that cannot be written,
    /// the next run makes them again.
    pub async fn remember_passed(
        &self,
        project: &Project,
        plan: &Plan,
        node: &Node,
        outcomes: &[CheckOutcome],
    ) -> Result<(), Error> {
        let mut checks = self.check_identities(project, plan, node).await?;
        checks.retain(|name, _| outcomes.iter().any(|outcome| outcome.check == *name && !outcome.blocks()));
        let passed = Passed { rows: self.rows_identity(project, plan, node).await?, checks };
        let text = serde_json::to_vec(&passed).unwrap_or_default();
        let place = self.passed_place(node);
        if let Err(error) = place.store.put(&place.path, PutPayload::from(text)).await {
            tracing::warn!(node = %node.name, %error, "passed checks not remembered");
        }
        Ok(())
    }

    fn passed_place(&self, node: &Node) -> Place {
        self.place(SYSTEM_FOLDER).join("passed").join(&format!("{}.json", node.name))
    }

    /// Returns what tells the rows of a node that is not published.
    async fn rows_identity(&self, project: &Project, plan: &Plan, node: &Node) -> Result<String, Error> {
        let inputs = self.inputs_now(project, plan, node, &Default::default()).await?;
        Ok(fingerprint::fingerprint(&self.definition(project, plan, node).await?, &inputs))
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
                    table.map(|table| fingerprint::version_text(table.version())).unwrap_or_default()
                }
                (InputPart::Model, _) => {
                    let version = models::input_version(&self.model_record(&input.reference).await?);
                    version.content.unwrap_or(version.identity)
                }
                (InputPart::Result, Content::Files(files)) if !planned.is_published => files.identity.clone(),
                (InputPart::Result, Content::Query(_)) if !planned.is_published => {
                    Box::pin(self.rows_identity(project, plan, other)).await?
                }
                (InputPart::Result, _) => match self.open_table(&input.node).await? {
                    Some(table) => {
                        let version = table.input_version().await;
                        version.content.unwrap_or(version.identity)
                    }
                    None => String::new(),
                },
            };
            tables.insert(input.table(), state);
        }
        Ok(tables)
    }
}

/// Returns the checks of a node that are not among those that were passed as they are now.
fn not_passed(node: &Node, passed: &PassedChecks, now: &PassedChecks) -> Vec<String> {
    let names = node.checks.iter().map(|check| &check.name);
    names.filter(|name| now.get(*name).is_none_or(|now| passed.get(*name) != Some(now))).cloned().collect()
}
