//! Reads a project folder into a checked graph of nodes.
//!
//! Files in, [`Project`] and diagnostics out: `load` reads the folder once, `config` decodes YAML
//! with the place of every key, `template` renders SQL and keeps a map back to the user's file,
//! `graph` orders the nodes and `select` picks some of them. No SQL is planned here.
//!
//! Must stay true: no tokio, no clock, no environment (it is passed in), and only `load` reads files.

mod config;
mod decode;
mod graph;
mod load;
mod node;
mod select;
mod sourcemap;
mod target;
mod template;
mod yaml;

pub use graph::Graph;
pub use load::{LoadOptions, Loaded, load};
pub use node::{
    Column, FileFormat, Input, Materialized, Node, NodeConfig, NodeKind, Project, Seed, SortKey, SourceTable, Transform,
};
pub use select::{Selection, SelectionError};
pub use sourcemap::SourceMap;
pub use target::{MemoryLimit, Target};
