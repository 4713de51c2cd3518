//! Reads a project folder into a checked graph of nodes.
//!
//! Files in, [`Project`] and diagnostics out: `load` reads the folder once, `assemble` puts the
//! project together from the text. `yaml` and `decode` read YAML with the place of every key;
//! `manifest`, `targets`, `sources` and `properties` know one file each; `config` decides which
//! setting wins; `models` reads `CREATE MODEL`; `template` renders SQL and keeps a map back to the user's file; `graph` orders
//! the nodes and `select` picks some of them; `unit_tests` reads what `windlass test` runs. No SQL is planned here.
//!
//! Must stay true: no tokio, no clock, no environment (it is passed in), and only `load` reads files.

mod assemble;
pub mod checks;
mod columns;
mod config;
mod decode;
mod graph;
mod incremental;
mod intervals;
mod load;
mod location;
mod manifest;
mod models;
mod names;
mod node;
mod openlineage;
mod problems;
mod properties;
mod python;
pub mod select;
mod sourcemap;
mod sources;
mod target;
mod targets;
mod template;
mod transforms;
pub mod unit_tests;
mod yaml;

#[cfg(test)]
mod fixture;

pub use graph::Graph;
pub use incremental::{ByInterval, Incremental, OnDefinitionChange, Strategy};
pub use intervals::{INTERVAL_END, INTERVAL_START, IntervalUnit, parse_time, spell_time, with_interval};
pub use load::{LoadOptions, Loaded, find_root, load, load_tests};
pub use models::{
    Algorithm, BoostedTrees, Booster, Gate, ImportedModel, KMeans, MlflowModel, Model, ModelArtifact, ModelClass,
    ModelColumn, ModelFormat, ModelPlace, Pca, Regression, Split, TreeLibrary, models_named,
};
pub use node::{
    Column, ErrorLimit, FileFormat, Input, InputPart, Materialized, Node, NodeConfig, NodeKind, OnUpstreamFailure,
    OnVolatile, Project, Reuse, SYSTEM_FOLDER, Seed, SortKey, SourceTable, Transform, error_table, failures_table,
};
pub use openlineage::{EventDestination, OpenLineage};
pub use python::{
    BatchSize, Function, OnError, Parameter, PythonBatchFormat, PythonCheck, PythonCode, PythonEnvironment, PythonKeep,
    PythonMode, PythonModel, PythonOrigin, PythonRows, PythonTask, PythonTransform, Requirement, Rule, WorkerSettings,
};
pub use select::{Selection, SelectionError};
pub use sourcemap::SourceMap;
pub use target::{MemoryLimit, Target};
