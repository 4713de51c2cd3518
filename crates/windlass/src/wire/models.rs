//! What `windlass models` prints as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use windlass_model::{AliasEntry, ModelVersion};

/// `windlass.models.ls/1`.
#[derive(Debug, Serialize)]
pub(crate) struct ModelsListing {
    pub(crate) env: String,
    pub(crate) models: Vec<ListedModel>,
}

/// A model and its newest version.
#[derive(Debug, Serialize)]
pub(crate) struct ListedModel {
    pub(crate) name: String,
    pub(crate) versions: usize,
    pub(crate) aliases: BTreeMap<String, u64>,
    pub(crate) newest: ModelVersion,
}

/// `windlass.models.show/1`.
#[derive(Debug, Serialize)]
pub(crate) struct ModelDetail {
    pub(crate) env: String,
    pub(crate) name: String,
    /// The version that was asked for.
    pub(crate) version: ModelVersion,
    pub(crate) versions: Vec<ModelVersion>,
    pub(crate) aliases: BTreeMap<String, u64>,
    pub(crate) history: Vec<AliasEntry>,
}

/// `windlass.models.promote/1` and `windlass.models.rollback/1`.
#[derive(Debug, Serialize)]
pub(crate) struct AliasChanged {
    pub(crate) env: String,
    pub(crate) model: String,
    pub(crate) alias: String,
    pub(crate) version: Option<u64>,
    pub(crate) previous: Option<u64>,
    /// Whether anything had to change.
    pub(crate) changed: bool,
    /// Whether the version had missed a gate.
    pub(crate) forced: bool,
}

/// `windlass.models.compare/1`.
#[derive(Debug, Serialize)]
pub(crate) struct ModelComparison {
    pub(crate) env: String,
    pub(crate) first: ComparedVersion,
    pub(crate) second: ComparedVersion,
    pub(crate) metrics: Vec<ComparedMetric>,
    /// Parameters, tables and columns that are not the same in both.
    pub(crate) params: Vec<ComparedFact>,
    pub(crate) inputs: Vec<ComparedFact>,
    pub(crate) columns: Vec<ComparedFact>,
}

/// One side of a comparison.
#[derive(Debug, Serialize)]
pub(crate) struct ComparedVersion {
    pub(crate) model: String,
    pub(crate) version: u64,
    pub(crate) aliases: Vec<String>,
    pub(crate) created: String,
    pub(crate) missed_gate: Option<String>,
}

/// A metric of both sides.
#[derive(Debug, Serialize)]
pub(crate) struct ComparedMetric {
    pub(crate) name: String,
    pub(crate) first: Option<f64>,
    pub(crate) second: Option<f64>,
    /// The second less the first.
    pub(crate) difference: Option<f64>,
}

/// A fact of both sides.
#[derive(Debug, Serialize)]
pub(crate) struct ComparedFact {
    pub(crate) name: String,
    pub(crate) first: Option<String>,
    pub(crate) second: Option<String>,
}
