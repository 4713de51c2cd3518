//! The sample of a run, as JSON.

use serde::Serialize;
use windlass_engine::{Plan, Sample, Sampling};
use windlass_project::Project;

/// The share of rows that is read, and of which sources.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WireSample {
    pub(crate) share: String,
    pub(crate) sources: Vec<SampledSource>,
    pub(crate) whole_sources: Vec<String>,
}

/// A source of which a share is read.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SampledSource {
    pub(crate) name: String,
    pub(crate) key: Vec<String>,
}

impl WireSample {
    /// Returns what a run of a plan reads.
    pub(crate) fn new(sample: Sample, project: &Project, plan: &Plan) -> Self {
        let Sampling { sampled, whole } = Sampling::of(project, plan);
        let sources = sampled.into_iter().map(|(name, key)| SampledSource { name, key }).collect();
        Self { share: sample.to_string(), sources, whole_sources: whole }
    }
}
