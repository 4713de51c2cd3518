//! Models as nodes: `models/*.sql`, each one `CREATE MODEL … OPTIONS(…) AS SELECT`, and imports of `models/*.yml`.
//!
//! The statement is read as far as the project needs it: its name, its options, each with its place, and
//! the query of the training rows, which the engine plans like that of any transform. `mentions` finds the
//! models that other SQL scores with, which makes them inputs.

mod class;
mod create;
mod imported;
mod mentions;
mod options;
mod tokens;
mod trees;
mod unscored;

use std::ops::Range;

use indexmap::IndexMap;
use windlass_error::Location;

pub(crate) use class::ClassDraft;
pub use class::{ModelArtifact, ModelClass, ModelColumn};
pub(crate) use create::read_create_model;
pub(crate) use imported::{IMPORT_KEYS, Import, read_imports};
pub use imported::{ImportedModel, MlflowModel, ModelFormat, ModelPlace};
pub(crate) use mentions::{mentions, no_table};
pub use trees::{BoostedTrees, Booster, TreeLibrary};
pub(crate) use unscored::settle_unscored;

use crate::checks::Threshold;
use crate::{Project, PythonModel, Transform};

/// A model that is trained, as `CREATE MODEL` or a `@model` in Python defines it.
#[derive(Debug, Clone)]
pub struct Model {
    /// The query of the training rows. Its text has blanks where the file has the rest of the statement, so
    /// that places in it are places in the statement.
    pub query: Transform,
    /// What is trained.
    pub algorithm: Algorithm,
    /// Which rows are kept for evaluation.
    pub split: Split,
    /// What its metrics must be for a version to be promoted.
    pub gates: Vec<Gate>,
    /// What random choices follow from.
    pub seed: u64,
    /// Where the value of each option that is given stands, by name.
    pub places: IndexMap<String, Location>,
}

/// What is trained.
#[derive(Debug, Clone, PartialEq)]
pub enum Algorithm {
    /// Linear regression by least squares.
    LinearReg(Regression),
    /// Logistic regression over two classes.
    LogisticReg(Regression),
    /// Clusters around centroids.
    KMeans(KMeans),
    /// Principal components.
    Pca(Pca),
    /// Trees that a library grows in a worker.
    Trees(BoostedTrees),
    /// Whatever a function of `models/*.py` fits.
    Python(Box<PythonModel>),
}

/// Options of the two regressions.
#[derive(Debug, Clone, PartialEq)]
pub struct Regression {
    /// The column to predict.
    pub label: String,
    /// The weight of the squared length of the coefficients of standardised features.
    pub l2_reg: f64,
    /// Whether there is an intercept.
    pub fit_intercept: bool,
    /// Passes at most; of logistic regression.
    pub max_iterations: u32,
    /// Training ends where the loss falls by a smaller share than this; of logistic regression.
    pub min_rel_progress: f64,
    /// Whether both classes count the same, however many rows they have; of logistic regression.
    pub auto_class_weights: bool,
}

/// Options of k-means.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeans {
    /// How many clusters.
    pub clusters: u32,
    /// Passes at most.
    pub max_iterations: u32,
    /// Training ends where the mean squared distance falls by a smaller share than this.
    pub min_rel_progress: f64,
    /// Whether numeric features are brought to mean 0 and deviation 1 first.
    pub standardize: bool,
}

/// Options of principal component analysis.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// How many components.
    pub components: u32,
    /// Whether features are brought to deviation 1 first.
    pub scale: bool,
}

/// Which rows are kept for evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Split {
    /// None of fewer than 500 rows, a fifth of up to 50,000, and 10,000 of more.
    Auto,
    /// This share of the rows, chosen by what they hold.
    Random(f64),
    /// None: metrics are those of the training rows.
    None,
}

/// What a metric must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// The metric's name, as [`Algorithm::metrics`] has it.
    pub metric: String,
    /// The bound.
    pub bound: Threshold,
    /// The rule as written.
    pub rule: String,
    /// Where it is written.
    pub location: Location,
}

/// Returns the models of a project that some SQL names: node, reference and where it stands in the SQL. Names that mean
/// nothing are left out.
pub fn models_named(project: &Project, sql: &str) -> Vec<(String, String, Range<usize>)> {
    let models = project.nodes.values().filter(|node| node.is_model()).map(|node| node.name.clone()).collect();
    let (found, _) = mentions(sql, &models);
    found.into_iter().map(|found| (found.node, found.reference, found.span)).collect()
}

/// Metrics of a regression with their short names.
const REGRESSION_METRICS: [(&str, &str); 5] = [
    ("mean_absolute_error", "mae"),
    ("mean_squared_error", "mse"),
    ("root_mean_squared_error", "rmse"),
    ("r2_score", "r2"),
    ("explained_variance", "explained_variance"),
];

/// Metrics of a classifier with their short names.
const CLASSIFIER_METRICS: [(&str, &str); 6] = [
    ("precision", "precision"),
    ("recall", "recall"),
    ("accuracy", "accuracy"),
    ("f1_score", "f1"),
    ("log_loss", "log_loss"),
    ("roc_auc", "auc"),
];

impl Algorithm {
    /// Returns its name in `model_type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LinearReg(_) => "linear_reg",
            Self::LogisticReg(_) => "logistic_reg",
            Self::KMeans(_) => "kmeans",
            Self::Pca(_) => "pca",
            Self::Trees(trees) if trees.is_classifier => "boosted_tree_classifier",
            Self::Trees(_) => "boosted_tree_regressor",
            Self::Python(_) => "python",
        }
    }

    /// Returns the column that it predicts, where it has one.
    pub fn label(&self) -> Option<&str> {
        match self {
            Self::LinearReg(regression) | Self::LogisticReg(regression) => Some(&regression.label),
            Self::Trees(trees) => Some(&trees.label),
            Self::Python(python) => Some(&python.label),
            Self::KMeans(_) | Self::Pca(_) => None,
        }
    }

    /// Returns the Python that trains it, where it is the user's.
    pub fn python(&self) -> Option<&PythonModel> {
        match self {
            Self::Python(python) => Some(python),
            _ => None,
        }
    }

    /// Returns everything that decides what is made of the same rows, as text.
    pub fn identity(&self) -> String {
        match self {
            Self::Python(python) => python.identity(),
            other => format!("{other:?}"),
        }
    }

    /// Returns what is measured of it: each name, and a shorter one.
    pub fn metrics(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::LinearReg(_) => &REGRESSION_METRICS,
            Self::LogisticReg(_) => &CLASSIFIER_METRICS,
            Self::Trees(trees) if trees.is_classifier => &CLASSIFIER_METRICS,
            Self::Trees(_) => &REGRESSION_METRICS,
            // What it logs is known when it is trained.
            Self::Python(_) => &[],
            Self::KMeans(_) => {
                &[("mean_squared_distance", "mean_squared_distance"), ("davies_bouldin_index", "davies_bouldin_index")]
            }
            Self::Pca(_) => &[("total_explained_variance_ratio", "explained_variance_ratio")],
        }
    }
}

#[cfg(test)]
mod tests;
