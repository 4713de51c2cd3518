//! Which columns each column of a project is computed from.
//!
//! `plans` and `expressions` follow the columns of one unoptimised logical plan back to the tables
//! that it scans, without a catalog and without reading a row; `nodes` does so for every node of a
//! plan, Python among them; `flow` follows columns from node to node, and `through_views` takes the
//! views out between published tables.
//!
//! Must stay true: nothing that a result depends on is missing. What cannot be told apart, such as
//! what Python makes of its arguments, counts as read.

mod error_tables;
mod expressions;
mod flow;
mod inputs;
mod nodes;
mod plans;
mod through_views;

use indexmap::IndexMap;

pub use flow::{Direction, Edge, End};
pub use inputs::{ColumnInputs, ColumnRef, Use};

use crate::ColumnInfo;

/// The lineage of planned nodes and of the error tables among them.
#[derive(Debug, Clone, Default)]
pub struct Lineage {
    /// By name, in graph order; an error table follows its node.
    pub tables: IndexMap<String, TableLineage>,
}

/// What a table is computed from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableLineage {
    /// Its columns, in order.
    pub columns: Vec<ColumnLineage>,
    /// What decides which rows there are and in which order: filters, keys of joins and groups.
    pub rows: ColumnInputs,
    /// The tables that it reads, in order of first mention; also those of which it reads no column.
    pub reads: Vec<String>,
}

/// What a column is computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnLineage {
    /// The column.
    pub column: ColumnInfo,
    /// The columns that its values come from or depend on, those of `rows` aside.
    pub inputs: ColumnInputs,
}

impl TableLineage {
    /// Returns a column by its name.
    pub fn column(&self, name: &str) -> Option<&ColumnLineage> {
        self.columns.iter().find(|known| known.column.name == name)
    }
}

#[cfg(test)]
pub(crate) mod tests;
