//! Follows a column from table to table.
//!
//! What a value depends on is followed; what decides about whole rows (a filter, the key of a join) is
//! told and not followed, since behind it lies nearly everything.

use std::collections::{BTreeSet, VecDeque};

use super::inputs::{ColumnRef, Use};
use super::{ColumnInputs, Lineage};

/// Which way to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To what it is computed from.
    Upstream,
    /// To what is computed from it.
    Downstream,
}

/// A column that something is computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// The column.
    pub from: ColumnRef,
    /// What it is used in.
    pub to: End,
    /// What it is used for.
    pub uses: BTreeSet<Use>,
}

/// What a column is used in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// A column of another table.
    Column(ColumnRef),
    /// Which rows a table has.
    Rows(String),
}

impl Edge {
    /// Returns whether values flow.
    pub fn is_direct(&self) -> bool {
        self.uses.iter().any(|usage| usage.is_direct())
    }
}

impl End {
    /// Returns the table.
    pub fn table(&self) -> &str {
        match self {
            Self::Column(column) => &column.table,
            Self::Rows(table) => table,
        }
    }
}

impl Lineage {
    /// Returns the edges that lead to a column or start from it, over at most `depth` tables, nearest
    /// first. Upstream, what decides about the rows of a table on the way belongs to them.
    pub fn flow(&self, start: &ColumnRef, direction: Direction, depth: usize) -> Vec<Edge> {
        let mut edges = Vec::new();
        let mut seen = BTreeSet::from([start.clone()]);
        let mut tables_seen = BTreeSet::new();
        let mut waiting = VecDeque::from([(start.clone(), 0)]);
        while let Some((column, distance)) = waiting.pop_front() {
            if distance == depth {
                continue;
            }
            let found = match direction {
                Direction::Upstream => {
                    let mut found = self.edges_to_column(&column);
                    if tables_seen.insert(column.table.clone()) {
                        found.extend(self.edges_to_rows(&column.table));
                    }
                    found
                }
                Direction::Downstream => self.edges_from(&column),
            };
            for edge in found {
                let next = match (direction, &edge.to) {
                    (Direction::Upstream, End::Column(_)) => Some(&edge.from),
                    (Direction::Downstream, End::Column(to)) => Some(to),
                    (_, End::Rows(_)) => None,
                };
                if let Some(next) = next.filter(|next| seen.insert((*next).clone())) {
                    waiting.push_back((next.clone(), distance + 1));
                }
                edges.push(edge);
            }
        }
        edges
    }

    /// Returns the edges that lead to the columns of a table and to its rows.
    pub fn edges_to_table(&self, table: &str) -> Vec<Edge> {
        let columns = self.tables.get(table).into_iter().flat_map(|lineage| &lineage.columns);
        let edges_to = |name: &str| self.edges_to_column(&ColumnRef::new(table, name));
        let mut edges: Vec<Edge> = columns.flat_map(|column| edges_to(&column.column.name)).collect();
        edges.extend(self.edges_to_rows(table));
        edges
    }

    fn edges_to_column(&self, column: &ColumnRef) -> Vec<Edge> {
        let known = self.tables.get(&column.table).and_then(|table| table.column(&column.column));
        known.map(|known| edges(&known.inputs, &End::Column(column.clone()))).unwrap_or_default()
    }

    fn edges_to_rows(&self, table: &str) -> Vec<Edge> {
        let known = self.tables.get(table);
        known.map(|known| edges(&known.rows, &End::Rows(table.to_string()))).unwrap_or_default()
    }

    fn edges_from(&self, column: &ColumnRef) -> Vec<Edge> {
        let mut edges = Vec::new();
        for (name, table) in self.tables.iter().filter(|(_, table)| table.reads.contains(&column.table)) {
            let ends = table
                .columns
                .iter()
                .map(|known| (End::Column(ColumnRef::new(name.clone(), known.column.name.clone())), &known.inputs));
            for (to, inputs) in ends.chain([(End::Rows(name.clone()), &table.rows)]) {
                if let Some(uses) = inputs.get(column) {
                    edges.push(Edge { from: column.clone(), to, uses: uses.clone() });
                }
            }
        }
        edges
    }
}

fn edges(inputs: &ColumnInputs, to: &End) -> Vec<Edge> {
    inputs.iter().map(|(from, uses)| Edge { from: from.clone(), to: to.clone(), uses: uses.clone() }).collect()
}
