//! Trained models: what they are, where their versions stand, and how they score rows without Python.
//!
//! Stands beside the runner and the worker, below the engine: it knows Arrow batches and object
//! stores, and neither a table nor a project. The engine hands over rows and decides; this crate learns, keeps and scores.
//!
//! - [`Registry`]: versions and aliases as files below a prefix of the lake.
//! - [`Signature`]: the columns that a model reads and writes.
//! - [`Scorer`]: a model in memory that scores batches.
//! - [`train`]: models of our own out of rows, in few passes; [`metrics`]: how good they are.
//! - [`mlflow`]: what is logged to a server of MLflow, and fetched from it.
//!
//! Must stay true: a version is whole or not there, its files are held against their hashes whenever they
//! are read, and no pickle is ever opened in this process.

pub mod aliases;
mod categories;
mod error;
mod estimator;
pub mod metrics;
pub mod mlflow;
mod name;
pub mod onnx;
pub mod registry;
mod score;
mod signature;
pub mod train;
mod version;

pub use aliases::{AliasChange, AliasEntry, Aliases, Expected, Gating};
pub use error::Error;
pub use estimator::{Distance, Encoding, Estimator, Feature, NativeModel};
pub use name::{ModelRef, VersionRef};
pub use registry::{Registered, Registry};
pub use score::{RowFailure, Scorer, Scores};
pub use signature::{Column, ColumnType, Label, Signature};
pub use version::{Artifact, Format, Gate, InputVersion, ModelFile, ModelVersion, NewVersion, Task, Verdict};
