//! The record of one version of a model, as the registry keeps it.
//!
//! Fields are only ever added, with a default, so that an older version stays readable.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Label, Signature};

/// One version of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelVersion {
    /// The model's name.
    pub model: String,
    /// The version, from 1.
    pub version: u64,
    /// When it was registered, in UTC as RFC 3339.
    pub created: String,
    /// What it answers.
    pub task: Task,
    /// What its main file is.
    pub format: Format,
    /// Its files; the first is the main one.
    pub artifacts: Vec<Artifact>,
    /// What was measured, by name.
    #[serde(default, with = "metrics")]
    pub metrics: BTreeMap<String, f64>,
    /// What it was trained with, by name.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// Bounds that it was held against.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// What it was trained from, hashed: two with the same are the same training.
    pub fingerprint: String,
    /// The tables that it was trained on.
    #[serde(default)]
    pub inputs: Vec<InputVersion>,
    /// The columns that it reads and writes.
    pub signature: Signature,
    /// The classes of a classifier, in the order of its probabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<Label>>,
    /// The run that trained it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Facts for which there is no field, such as where a model was imported from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// A version before it has a number.
#[derive(Debug, Clone, PartialEq)]
pub struct NewVersion {
    /// The record; its number and artifacts are set by the registry.
    pub record: ModelVersion,
    /// The files; the first is the main one.
    pub files: Vec<ModelFile>,
}

/// A file of a version that is about to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Its path within the version, with `/` between folders.
    pub path: String,
    /// What it holds.
    pub bytes: Bytes,
}

/// A file of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its path within the version.
    pub path: String,
    /// Hash of its bytes, in hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// What a model answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// A number.
    Regression,
    /// One of several classes, and their probabilities.
    Classification,
    /// One of several clusters, and the distances to them.
    Clustering,
    /// Fewer columns that hold most of what many did.
    Projection,
    /// Whatever its outputs say.
    Other,
}

/// What the main file of a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JSON of ours: linear and logistic regression, k-means, PCA.
    Windlass,
    /// Text of LightGBM.
    Lightgbm,
    /// JSON or UBJSON of XGBoost.
    Xgboost,
    /// ONNX.
    Onnx,
    /// A pickle or skops file of scikit-learn; scored in Python.
    Sklearn,
    /// A folder that `mlflow.pyfunc` loads; scored in Python.
    Pyfunc,
    /// A class in Python, with the files that it loads.
    Python,
    /// A pickle of what training returned; scored in Python.
    Pickle,
}

/// A bound on a metric, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The rule as written, such as `auc >= 0.8`.
    pub rule: String,
    /// What was found; `None` where the metric is missing.
    #[serde(default)]
    pub observed: Option<f64>,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It could not be decided, which counts as missed.
    Error,
}

/// A table that a version was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputVersion {
    /// The table.
    pub table: String,
    /// Its version, as the commits of tables name it.
    pub version: String,
}

impl ModelVersion {
    /// Returns the first gate that it missed.
    pub fn missed_gate(&self) -> Option<&Gate> {
        self.gates.iter().find(|gate| gate.verdict != Verdict::Pass)
    }

    /// Returns its main file.
    pub fn main_artifact(&self) -> Option<&Artifact> {
        self.artifacts.first()
    }
}

impl Gate {
    /// Returns the rule and what was found, in words.
    pub fn describe(&self) -> String {
        match self.observed {
            Some(observed) => format!("{}, found {observed}", self.rule),
            None => format!("{}, and there is no such metric", self.rule),
        }
    }
}

impl Format {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Windlass => "windlass",
            Self::Lightgbm => "lightgbm",
            Self::Xgboost => "xgboost",
            Self::Onnx => "onnx",
            Self::Sklearn => "sklearn",
            Self::Pyfunc => "pyfunc",
            Self::Python => "python",
            Self::Pickle => "pickle",
        }
    }

    /// Returns whether [`crate::Scorer`] scores it, without Python.
    pub fn is_native(self) -> bool {
        !matches!(self, Self::Sklearn | Self::Pyfunc | Self::Python | Self::Pickle)
    }
}

impl Task {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::Classification => "classification",
            Self::Clustering => "clustering",
            Self::Projection => "projection",
            Self::Other => "other",
        }
    }
}

/// Metrics as JSON: one that is no number is text, as JSON has no word for it.
mod metrics {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Metric {
        Number(f64),
        Text(String),
    }

    pub(super) fn serialize<S: Serializer>(all: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
        let metric = |value: f64| {
            if value.is_finite() { Metric::Number(value) } else { Metric::Text(value.to_string()) }
        };
        serializer.collect_map(all.iter().map(|(name, value)| (name, metric(*value))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
        let all = BTreeMap::<String, Metric>::deserialize(deserializer)?;
        let value = |metric| match metric {
            Metric::Number(value) => value,
            Metric::Text(text) => text.parse().unwrap_or(f64::NAN),
        };
        Ok(all.into_iter().map(|(name, metric)| (name, value(metric))).collect())
    }
}
