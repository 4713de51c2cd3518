//! Says whether a model must be trained, or whether the version that its definition has led to still is what it
//! would lead to.

use std::collections::{BTreeMap, BTreeSet};

use windlass_model::ModelVersion;
use windlass_project::{Node, Project};

use super::{CONTENTS_TAG, DEFINITION_TAG};
use crate::fingerprint::{Definition, InputVersion, Inputs, changed_definition, changed_input, seen_from_above};
use crate::planner::Plan;
use crate::reuse::{Decision, Reason, ReasonKind, Standing, first_upcoming, told, volatile};
use crate::{Engine, Error};

impl Engine {
    /// Decides what a run does with a model. `upcoming` are the nodes that the run builds before it.
    pub(crate) async fn decide_model(
        &self,
        project: &Project,
        plan: &Plan,
        node: &Node,
        upcoming: &BTreeSet<String>,
    ) -> Result<Decision, Error> {
        let build = |kind, text: String| Ok(Decision::Build(Reason::new(kind, text)));
        let (version, base) = match self.trained_version(node).await? {
            Some(version) => (version, None),
            None => match self.trained_below(node).await? {
                Some((version, base)) => (version, Some(base)),
                None => return build(ReasonKind::Missing, "not trained yet".to_string()),
            },
        };
        let Some(known) = definition_of(&version) else {
            return build(ReasonKind::Missing, "nothing is known of how it was made".to_string());
        };
        if let Some(what) = volatile(project, plan, node).filter(|_| base.is_none()) {
            return build(ReasonKind::Volatile, format!("new every time: {what}"));
        }
        if let Some(difference) = changed_definition(&known, &self.definition(project, plan, node).await?) {
            return Ok(Decision::Build(told(project, &difference)));
        }
        if let Some(parent) = first_upcoming(project, node, upcoming) {
            return build(ReasonKind::Upstream, format!("reads `{parent}`, which is built"));
        }
        let known = inputs_of(&version);
        let known = base.as_ref().map_or_else(|| known.clone(), |base| seen_from_above(&known, base));
        if let Some(difference) = changed_input(&known, &self.inputs_now(project, plan, node, &known).await?) {
            return Ok(Decision::Build(told(project, &difference)));
        }
        let champion = self.champion(&node.name).await?;
        if base.is_none() && version.missed_gate().is_some() && champion != Some(version.version) {
            return build(ReasonKind::Gate, format!("version {} missed a gate", version.version));
        }
        let rows = version.params.get("rows").and_then(|rows| rows.parse().ok()).unwrap_or_default();
        let base = base.map(|base| base.to_string());
        Ok(Decision::Reuse(Standing { version: version.version, rows, fingerprint: version.fingerprint, base }))
    }
}

/// Returns what a version was trained by; `None` where that is not known.
pub(crate) fn definition_of(version: &ModelVersion) -> Option<Definition> {
    serde_json::from_str(version.tags.get(DEFINITION_TAG)?).ok()
}

/// Returns what a version was trained from.
pub(crate) fn inputs_of(version: &ModelVersion) -> Inputs {
    let contents: BTreeMap<String, String> =
        version.tags.get(CONTENTS_TAG).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let input = |input: &windlass_model::InputVersion| {
        let content = contents.get(&input.table).cloned();
        (input.table.clone(), InputVersion { identity: input.version.clone(), content, columns: None })
    };
    version.inputs.iter().map(input).collect()
}
