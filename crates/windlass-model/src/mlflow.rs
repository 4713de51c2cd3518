//! MLflow: runs, datasets and models logged to its server, over REST and without Python.
//!
//! [`Client`] is the server, `tracking` and `store` the calls of its two halves, `folder` a model as MLflow
//! keeps it. [`Entry`] is what is to be logged, and [`Queue`] keeps it on disk until the server has it.
//!
//! Must stay true: nothing here fails a run; an entry that is sent twice is logged once; neither
//! password nor token is ever written down or shown.

/// The parameter of a version that was imported from a server: the reference that led to it.
pub const REFERENCE: &str = "mlflow";

mod client;
mod entry;
mod folder;
mod queue;
mod store;
mod tracking;

pub use client::{Client, Credentials};
pub use entry::{Artifact, Dataset, Entry, Logged, Progress, Status};
pub use folder::{Flavor, PICKLE, REQUIREMENTS, python_version, read_flavor, requirements};
pub use queue::{Delivered, Queue};
pub use store::{Downloaded, ServerVersion};
