//! Which versions of models a published table was scored with, and what else it was computed from.

use windlass_project::{InputPart, Node, Project};

use crate::fingerprint::read_through;
use crate::{Engine, Error};

/// What a published table that scores was computed from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scored {
    /// Models, in the order of their names.
    pub models: Vec<UsedInput>,
    /// Tables and sources.
    pub tables: Vec<UsedInput>,
}

/// A version of something that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedInput {
    /// Its name, of a model as SQL says it: `late` or `late@challenger`.
    pub name: String,
    /// The version, in words.
    pub version: String,
}

impl Engine {
    /// Returns what a node's table was scored with, as its commit says; `None` where it scores with no model or is not
    /// published.
    ///
    /// # Errors
    ///
    /// Those of storage.
    pub async fn scored(&self, project: &Project, node: &Node) -> Result<Option<Scored>, Error> {
        let through = read_through(project, node);
        let inputs = through.iter().flat_map(|node| node.inputs());
        let models: Vec<&str> =
            inputs.filter(|input| input.part == InputPart::Model).map(|input| input.reference.as_str()).collect();
        if models.is_empty() || node.is_model() {
            return Ok(None);
        }
        let Some(table) = self.open_table(&node.name).await? else { return Ok(None) };
        let Some(known) = table.provenance().await else { return Ok(None) };
        let mut scored = Scored::default();
        for (name, version) in known.inputs() {
            let is_model = models.contains(&name.as_str());
            let used = UsedInput { version: version.identity, name };
            if is_model { scored.models.push(used) } else { scored.tables.push(used) }
        }
        Ok((!scored.models.is_empty()).then_some(scored))
    }
}
