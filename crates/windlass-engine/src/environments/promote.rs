//! Promotion: what an environment has built becomes the next version of its base, without being computed.
//!
//! `promotions` finds the tables that the environment has of its own and what stands in the way;
//! `promote` publishes one of them: its files are linked or copied, and one commit says what they were
//! made from, in the words of the base.
//!
//! Must stay true: a table is published in the base only as the last thing that happens to it, so a
//! promotion that is killed leaves each table at its old version or at its new one and can be repeated.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use windlass_project::{Node, Project, error_table};

use super::carry::{Carried, Carry};
use super::promote_models::PromotableModel;
use crate::fingerprint::{InputVersion, Inputs, Provenance, changed_definition, changed_input, is_own_version};
use crate::incremental::Ask;
use crate::models::inputs_of;
use crate::planner::Plan;
use crate::reuse::{Decision, Reason, ReasonKind, Volatile};
use crate::sampling::sample_of_table;
use crate::tables::published::PublishedTable;
use crate::{BuildProgress, Engine, Error};

/// A table of an environment that can become a version of its base, or a model that such tables read.
#[derive(Debug, Clone, PartialEq)]
pub struct Promotable {
    /// The table or model.
    pub table: String,
    /// Its version in the environment.
    pub version: u64,
    /// Its rows.
    pub rows: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// What the base has of it.
    pub below: Below,
    /// What stands in the way.
    pub obstacle: Option<Obstacle>,
    /// What is promoted of a model.
    pub model: Option<PromotableModel>,
}

/// What a base has of a table that an environment has too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// None of that name.
    Nothing,
    /// Another version.
    Other,
    /// The same rows of the same definition: there is nothing to do.
    Same,
}

/// Why a table is not promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// For people: `source raw.orders: 1 new file`.
    pub text: String,
    /// Whether the user may say that it does not matter.
    pub may_be_ignored: bool,
}

/// One table to promote.
pub struct PromoteRequest<'a> {
    /// The table or model; one of those that [`Engine::promotions`] found.
    pub found: &'a Promotable,
    /// The run that promotes it.
    pub run_id: &'a str,
    /// Grows from run to run.
    pub sequence: i64,
    /// Asked for leave before the commit.
    pub progress: &'a dyn BuildProgress,
}

/// What a promotion has published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promoted {
    /// The version in the base.
    pub version: u64,
    /// Its rows.
    pub rows: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Number of its files.
    pub files: u64,
}

impl Engine {
    /// Returns the tables among some nodes that the environment has of its own, and the models among them that these
    /// read here and not in the base, each after what it is made from. The nodes must be part of the plan.
    ///
    /// # Errors
    ///
    /// Errors of storage. What keeps a table from being promoted is part of the answer.
    pub async fn promotions(
        &self,
        project: &Project,
        plan: &Plan,
        (nodes, now): (&BTreeSet<String>, DateTime<Utc>),
    ) -> Result<Vec<Promotable>, Error> {
        let mut found: Vec<Promotable> = Vec::new();
        let mut promoted = BTreeSet::new();
        let named = self.models_named(project, nodes).await?;
        for name in project.graph.order().iter().filter(|name| nodes.contains(*name)) {
            if let Some(references) = named.get(name) {
                let model = self.promotable_model(name, references).await?;
                if let (Some(mut model), Some(node)) = (model, project.nodes.get(name)) {
                    if model.obstacle.is_none() && model.below != Below::Same {
                        model.obstacle =
                            self.obstacle_of_model((project, plan, now), (node, &model), &promoted).await?;
                    }
                    promoted.extend(references.iter().cloned());
                    found.push(model);
                }
                continue;
            }
            let Some(node) = project.nodes.get(name).filter(|node| node.is_published()) else { continue };
            let Some(own) = self.open_own(name).await? else { continue };
            let below = self.below(name, &own).await?;
            let obstacle = match below {
                Below::Same => None,
                Below::Nothing | Below::Other => self.obstacle((project, plan, now), (node, &own), &promoted).await?,
            };
            let (rows, bytes) = own.size();
            let (version, rows) = (own.version(), rows.unwrap_or_default());
            promoted.insert(name.clone());
            found.push(Promotable { table: name.clone(), version, rows, bytes, below, obstacle, model: None });
        }
        Ok(found)
    }

    /// Publishes a table of the environment in its base, or versions of a model. `None` when the progress forbids to
    /// publish.
    ///
    /// # Errors
    ///
    /// [`Error::NotPublished`] for a table that the environment does not have, [`Error::Copy`],
    /// [`Error::Commit`] and [`Error::UseModel`]; the base has its old version then.
    pub async fn promote_to_base(&self, request: &PromoteRequest<'_>) -> Result<Option<Promoted>, Error> {
        match &request.found.model {
            Some(model) => Box::pin(self.promote_model(request, model)).await,
            None => self.promote_table(request).await,
        }
    }

    async fn promote_table(&self, request: &PromoteRequest<'_>) -> Result<Option<Promoted>, Error> {
        let name = request.found.table.as_str();
        let not_published = || Error::NotPublished { table: name.to_string() };
        let base = self.base.as_ref().ok_or_else(not_published)?;
        let own = self.open_own(name).await?.ok_or_else(not_published)?;
        let known = own.provenance().await.ok_or_else(not_published)?;
        let inputs = self.inputs_in_base(&own.inputs(&known)).await?;
        let env = self.env();
        let carry = Carry {
            name,
            from: (&own, &env),
            known: &known,
            to: &base.place,
            inputs: &inputs,
            run: (request.run_id, request.sequence),
            is_new: true,
            progress: Some(request.progress),
        };
        let carried = self.carry(&carry).await?;
        let told = |Carried { version, rows, bytes, files }| Promoted { version, rows, bytes, files };
        Ok(carried.map(told))
    }

    /// Returns what the base has of a table.
    async fn below(&self, name: &str, own: &PublishedTable) -> Result<Below, Error> {
        let Some(below) = self.open_in_base(name).await? else { return Ok(Below::Nothing) };
        let (Some(there), Some(here)) = (below.provenance().await, own.provenance().await) else {
            return Ok(Below::Other);
        };
        if there.is_promoted_from(&self.env(), own.version(), &own.id()) {
            return Ok(Below::Same);
        }
        let is_same_content = here.content().is_some() && here.content() == there.content();
        let is_same_definition = match (here.definition(), there.definition()) {
            (Some(here), Some(there)) => changed_definition(&here, &there).is_none(),
            _ => false,
        };
        let rows_failed = |of: &Provenance| of.errors().map(|(_, rows)| rows);
        // A version that was made from other inputs would be built anew, whatever came of them here.
        let is_same_input = changed_input(&below.inputs(&there), &own.inputs(&here)).is_none();
        let is_same =
            is_same_content && is_same_definition && is_same_input && rows_failed(&here) == rows_failed(&there);
        Ok(if is_same { Below::Same } else { Below::Other })
    }

    /// Returns what keeps a table from being promoted after those that are.
    async fn obstacle(
        &self,
        (project, plan, now): (&Project, &Plan, DateTime<Utc>),
        (node, own): (&Node, &PublishedTable),
        promoted: &BTreeSet<String>,
    ) -> Result<Option<Obstacle>, Error> {
        let never = |text: String| Ok(Some(Obstacle { text, may_be_ignored: false }));
        let Some(provenance) = own.provenance().await.filter(|provenance| provenance.definition().is_some()) else {
            return never("nothing is known of how it was made".to_string());
        };
        if let Some(sample) = sample_of_table(own).await {
            return never(format!("built from a sample of {sample}, which stays in its environment"));
        }
        let ask = Ask { now_us: now.timestamp_micros(), ..Ask::default() };
        let decision = self.decide_about(project, plan, node, (&BTreeSet::new(), &ask, Volatile::Stands)).await?;
        match decision {
            Decision::Build(Reason { kind: ReasonKind::OtherWriter | ReasonKind::Missing, text, .. }) => never(text),
            Decision::Fail(reason) => never(reason.text),
            Decision::Build(reason) => Ok(Some(Obstacle { text: reason.text, may_be_ignored: true })),
            Decision::Check(_, checks) => never(format!("not checked yet: {}", checks.join(", "))),
            Decision::Reuse(_) => self.left_behind(&own.inputs(&provenance), promoted).await,
        }
    }

    /// Returns what keeps a model from being promoted after what it was trained from.
    async fn obstacle_of_model(
        &self,
        (project, plan, now): (&Project, &Plan, DateTime<Utc>),
        (node, found): (&Node, &Promotable),
        promoted: &BTreeSet<String>,
    ) -> Result<Option<Obstacle>, Error> {
        if node.model().is_some() {
            let ask = Ask { now_us: now.timestamp_micros(), ..Ask::default() };
            let decided = self.decide_about(project, plan, node, (&BTreeSet::new(), &ask, Volatile::Stands)).await?;
            if let Decision::Build(reason) = decided {
                return Ok(Some(Obstacle { text: reason.text, may_be_ignored: true }));
            }
        }
        for record in found.model.iter().flat_map(PromotableModel::records) {
            if let Some(obstacle) = self.left_behind(&inputs_of(record), promoted).await? {
                return Ok(Some(obstacle));
            }
        }
        Ok(None)
    }

    /// Returns that something was made from what this environment has and the base would not have.
    async fn left_behind(&self, inputs: &Inputs, promoted: &BTreeSet<String>) -> Result<Option<Obstacle>, Error> {
        for (input, version) in inputs {
            let is_promoted = promoted.iter().any(|name| name == input || error_table(name) == *input);
            if is_own_version(&version.identity) && !is_promoted && self.input_in_base(input, version).await?.is_none()
            {
                let text = format!("it reads `{input}` of this environment, which is not promoted");
                return Ok(Some(Obstacle { text, may_be_ignored: true }));
            }
        }
        Ok(None)
    }

    /// Returns inputs in the words of the base. One that the base does not have keeps the words of the
    /// environment, so that the next run of the base sees that it is another one.
    pub(super) async fn inputs_in_base(&self, inputs: &Inputs) -> Result<Inputs, Error> {
        let mut found = Inputs::new();
        for (name, version) in inputs {
            let there = self.input_in_base(name, version).await?;
            let kept = || InputVersion { identity: format!("{} {}", self.env(), version.identity), ..version.clone() };
            let there = there.unwrap_or_else(|| match self.word_in_base(&version.identity) {
                Some(identity) => InputVersion { identity, ..version.clone() },
                None if is_own_version(&version.identity) => kept(),
                None => version.clone(),
            });
            found.insert(name.clone(), there);
        }
        Ok(found)
    }

    /// Returns an input as the base has it now; `None` where it has other rows of it, or none.
    async fn input_in_base(&self, table: &str, version: &InputVersion) -> Result<Option<InputVersion>, Error> {
        let is_table = is_own_version(&version.identity) || self.word_in_base(&version.identity).is_some();
        if !is_table {
            return Ok(Some(version.clone()));
        }
        if let Some(node) = table.strip_suffix("__errors") {
            return self.errors_in_base(node, version).await;
        }
        let Some(below) = self.open_in_base(table).await? else {
            // A model is the same where its file is.
            return Ok(self.model_below(table).await.filter(|there| there.is_same_content(version)));
        };
        let there = below.input_version().await;
        let is_promoted = match (self.open_own(table).await?, below.provenance().await) {
            (Some(own), Some(there)) if own.identity() == version.identity => {
                there.is_promoted_from(&self.env(), own.version(), &own.id())
            }
            _ => false,
        };
        Ok((there.is_same(version) || is_promoted).then(|| self.in_own_words(there)))
    }

    /// Returns error rows as the base has them: those that were read, or those that came with a promotion.
    async fn errors_in_base(&self, node: &str, version: &InputVersion) -> Result<Option<InputVersion>, Error> {
        let Some(below) = self.open_in_base(node).await? else { return Ok(None) };
        let Some(errors) = self.errors_of(node, &below).await? else { return Ok(None) };
        let there = InputVersion::of_identity(errors.identity());
        if there.is_same(version) {
            return Ok(Some(self.in_own_words(there)));
        }
        let (Some(own), Some(provenance)) = (self.open_own(node).await?, below.provenance().await) else {
            return Ok(None);
        };
        let is_promoted = provenance.is_promoted_from(&self.env(), own.version(), &own.id());
        Ok(is_promoted.then(|| self.in_own_words(there)))
    }

    /// Returns the base's own word for a version that is written as one of the base.
    fn word_in_base(&self, identity: &str) -> Option<String> {
        let base = self.base.as_ref()?;
        let version = identity.strip_prefix(base.env.as_ref())?.strip_prefix(' ')?;
        is_own_version(version).then(|| version.to_string())
    }

    fn in_own_words(&self, version: InputVersion) -> InputVersion {
        let identity = self.word_in_base(&version.identity).unwrap_or(version.identity);
        InputVersion { identity, ..version }
    }

    /// Returns the name of the environment.
    pub(crate) fn env(&self) -> String {
        self.lake.path.filename().unwrap_or_default().to_string()
    }
}
