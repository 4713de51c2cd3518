//! What `windlass lineage --format json` prints.

use serde::Serialize;
use windlass_engine::{Edge, End};

use super::TypedColumn;

/// `windlass.lineage/1`.
#[derive(Debug, Serialize)]
pub(crate) struct LineageReport {
    pub(crate) node: String,
    pub(crate) column: Option<String>,
    pub(crate) directions: Vec<&'static str>,
    pub(crate) depth: Option<u32>,
    pub(crate) nodes: Vec<LineageTable>,
    pub(crate) edges: Vec<LineageEdge>,
}

/// A node, or the error table of one.
#[derive(Debug, Serialize)]
pub(crate) struct LineageTable {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) direction: &'static str,
    pub(crate) distance: usize,
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) inputs: Vec<String>,
    pub(crate) columns: Vec<TypedColumn>,
}

/// A column that another one, or the rows of a node, depend on.
#[derive(Debug, Serialize)]
pub(crate) struct LineageEdge {
    pub(crate) from: LineageEnd,
    pub(crate) to: LineageEnd,
    pub(crate) direct: bool,
    pub(crate) uses: Vec<&'static str>,
}

/// One end of an edge; without a column, the rows of a node.
#[derive(Debug, Serialize)]
pub(crate) struct LineageEnd {
    pub(crate) node: String,
    pub(crate) column: Option<String>,
}

impl From<&Edge> for LineageEdge {
    fn from(edge: &Edge) -> Self {
        let column = match &edge.to {
            End::Column(to) => Some(to.column.clone()),
            End::Rows(_) => None,
        };
        Self {
            from: LineageEnd { node: edge.from.table.clone(), column: Some(edge.from.column.clone()) },
            to: LineageEnd { node: edge.to.table().to_owned(), column },
            direct: edge.is_direct(),
            uses: edge.uses.iter().map(|usage| usage.as_str()).collect(),
        }
    }
}
