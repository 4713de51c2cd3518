//! Trains models of our own: linear and logistic regression, k-means and principal components.
//!
//! The rows are never held: every algorithm makes a few passes over them through [`Rows`], and each pass is
//! one aggregate of fixed size. Sums are sums of whole numbers, either exact ([`exact`]) or of values that were
//! brought to a fixed number of binary places first, so that a model is the same to the bit, whatever the order
//! in which rows come and threads finish.

mod encoder;
pub mod exact;
mod frame;
mod gram;
mod kmeans;
mod linear;
mod logistic;
mod pca;
mod solve;
mod summary;
mod trees;

use std::collections::BTreeMap;

use arrow::array::RecordBatch;

pub use frame::{Input, InputKind, Labels, Layout, Part};
pub use kmeans::KMeansOptions;
pub use linear::LinearOptions;
pub use logistic::LogisticOptions;
pub use pca::PcaOptions;
pub use trees::{TreeRows, measure, tree_rows};

use crate::{Label, NativeModel};

/// Numbers at most that the features of a model may become.
pub const MAX_WIDTH: usize = 1_000;

/// The rows that a model is trained on, which can be gone through again and again.
pub trait Rows {
    /// Feeds all rows to copies of `start`, in any order and on any threads, and returns what they merge to.
    ///
    /// # Errors
    ///
    /// Where rows cannot be read, and the first error of a pass.
    fn pass<P: Pass>(&self, start: &P) -> Result<P, Error>;
}

/// An aggregate over all rows. Merging and adding must give the same in any order.
pub trait Pass: Clone + Send + Sync {
    /// Adds the rows of a batch, which has the columns of the [`Layout`].
    ///
    /// # Errors
    ///
    /// [`Error::Rows`] where a value cannot be learned from.
    fn add(&mut self, batch: &RecordBatch) -> Result<(), Error>;

    /// Adds what another has seen.
    fn merge(&mut self, other: Self);
}

/// What is trained.
#[derive(Debug, Clone, PartialEq)]
pub enum Training {
    /// Linear regression.
    Linear(LinearOptions),
    /// Logistic regression.
    Logistic(LogisticOptions),
    /// K-means.
    KMeans(KMeansOptions),
    /// Principal components.
    Pca(PcaOptions),
}

/// A model, and what is known of its training.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The model.
    pub model: NativeModel,
    /// What was measured, on the rows that were kept for it, or on those of training where none were.
    pub metrics: BTreeMap<String, f64>,
    /// What came of training, such as the number of iterations, by name.
    pub facts: BTreeMap<String, String>,
    /// The classes of a classifier.
    pub classes: Option<Vec<Label>>,
}

/// What keeps a model from being trained.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The rows are not such that this can be learned from them.
    #[error("{0}")]
    Rows(String),
    /// The rows cannot be read.
    #[error("cannot read the rows again")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The parts of the model do not fit together.
    #[error("the model that was trained cannot be used")]
    Model(#[source] crate::Error),
}

impl Training {
    /// Trains a model on rows.
    ///
    /// # Errors
    ///
    /// [`Error::Rows`] where there are too few rows or other ones than are needed, and errors of reading.
    pub fn run(&self, layout: &Layout, rows: &impl Rows) -> Result<Trained, Error> {
        match self {
            Self::Linear(options) => linear::train(options, layout, rows),
            Self::Logistic(options) => logistic::train(options, layout, rows),
            Self::KMeans(options) => kmeans::train(options, layout, rows),
            Self::Pca(options) => pca::train(options, layout, rows),
        }
    }
}

#[cfg(test)]
mod tests;
