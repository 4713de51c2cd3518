//! Lineage as trees of lines.

use std::collections::HashSet;

use windlass_engine::{ColumnInputs, ColumnRef, Direction, Edge, End, Use};

use super::Answer;
use crate::style::Paint;
use crate::tree::Branch;

/// Draws the trees of one answer.
struct Drawing<'a> {
    answer: &'a Answer<'a>,
    paint: Paint,
    direction: Direction,
    /// What was drawn with what hangs below it.
    drawn: HashSet<String>,
}

/// Returns what is told, in a tree for each direction.
pub(super) fn text(answer: &Answer<'_>, paint: Paint) -> String {
    let table = &answer.subject.table;
    let place = answer.node(table).map(|node| {
        let (line, _) = node.location.position();
        format!("{}:{line}", node.location.file.path.display())
    });
    let name = answer.column().map_or_else(|| table.clone(), |column| column.to_string());
    let facts = paint.faint(&format!("{}  {}", answer.kind(table), place.unwrap_or_default()));
    let mut lines = vec![format!("{}  {facts}", paint.strong(&name))];
    for direction in answer.directions {
        let mut drawing = Drawing { answer, paint, direction: *direction, drawn: HashSet::new() };
        let below = match answer.column() {
            Some(column) => {
                let edges = answer.lineage.flow(&column, *direction, answer.limit());
                drawing.columns(&column, &edges)
            }
            None => drawing.tables(table, answer.limit()),
        };
        let below = if below.is_empty() { vec![Branch::leaf(paint.faint("nothing"))] } else { below };
        lines.push(String::new());
        let title = match direction {
            Direction::Upstream => "upstream",
            Direction::Downstream => "downstream",
        };
        Branch { text: title.to_owned(), below }.draw(paint, &mut lines);
    }
    if answer.subject.column.is_none() && answer.directions.contains(&Direction::Upstream) {
        lines.extend(columns(answer, paint));
    }
    lines.join("\n")
}

impl Drawing<'_> {
    fn tables(&mut self, table: &str, limit: usize) -> Vec<Branch> {
        if limit == 0 {
            return Vec::new();
        }
        let next: Vec<String> = self.answer.next(table, self.direction).into_iter().map(str::to_owned).collect();
        next.iter().map(|next| self.table(next, limit - 1)).collect()
    }

    fn table(&mut self, table: &str, limit: usize) -> Branch {
        let has_more = limit > 0 && !self.answer.next(table, self.direction).is_empty();
        let is_repeated = has_more && !self.drawn.insert(table.to_owned());
        let mark = if is_repeated { " (*)" } else { "" };
        let kind = self.paint.faint(&format!("{}{mark}", self.answer.kind(table)));
        let below = if is_repeated { Vec::new() } else { self.tables(table, limit) };
        Branch { text: format!("{table}  {kind}"), below }
    }

    /// Returns what hangs below a column: columns, then what decides about the rows of its table.
    fn columns(&mut self, column: &ColumnRef, edges: &[Edge]) -> Vec<Branch> {
        match self.direction {
            Direction::Upstream => {
                let to = End::Column(column.clone());
                let mut branches: Vec<Branch> = edges
                    .iter()
                    .filter(|edge| edge.to == to)
                    .map(|edge| self.column(&edge.from, edge, edges))
                    .collect();
                branches.extend(self.rows(&column.table, edges));
                branches
            }
            Direction::Downstream => {
                let own = edges.iter().filter(|edge| edge.from == *column);
                own.map(|edge| match &edge.to {
                    End::Column(to) => self.column(to, edge, edges),
                    End::Rows(table) => Branch::leaf(self.labelled(&format!("rows of {table}"), edge, "")),
                })
                .collect()
            }
        }
    }

    fn column(&mut self, column: &ColumnRef, edge: &Edge, edges: &[Edge]) -> Branch {
        let is_new = self.drawn.insert(column.to_string());
        let below = if is_new { self.columns(column, edges) } else { Vec::new() };
        let has_more = edges.iter().any(|edge| match self.direction {
            Direction::Upstream => edge.to == End::Column(column.clone()),
            Direction::Downstream => edge.from == *column,
        });
        let mark = if is_new || !has_more { "" } else { " (*)" };
        Branch { text: self.labelled(&column.to_string(), edge, mark), below }
    }

    /// What decides about the rows of a table is the same for all its columns: it is drawn once.
    fn rows(&mut self, table: &str, edges: &[Edge]) -> Option<Branch> {
        let to = End::Rows(table.to_owned());
        let decides: Vec<Branch> = edges
            .iter()
            .filter(|edge| edge.to == to)
            .map(|edge| Branch::leaf(self.labelled(&edge.from.to_string(), edge, "")))
            .collect();
        let title = format!("rows of {table}");
        (!decides.is_empty() && self.drawn.insert(title.clone())).then_some(Branch { text: title, below: decides })
    }

    fn labelled(&self, name: &str, edge: &Edge, mark: &str) -> String {
        format!("{name}  {}", self.paint.faint(&format!("{}{mark}", uses(&edge.uses))))
    }
}

/// Returns a line for each column of the node, with what it is computed from.
fn columns(answer: &Answer<'_>, paint: Paint) -> Vec<String> {
    let Some(known) = answer.lineage.tables.get(&answer.subject.table) else { return Vec::new() };
    let width = known.columns.iter().map(|known| known.column.name.chars().count()).max().unwrap_or_default();
    let mut lines = vec![String::new(), "columns".to_owned()];
    for column in &known.columns {
        let from =
            if column.inputs.is_empty() { String::new() } else { format!("  {}", inputs(&column.inputs, paint)) };
        lines.push(format!("  {:width$}{from}", column.column.name).trim_end().to_owned());
    }
    if !known.rows.is_empty() {
        lines.extend([String::new(), "rows".to_owned(), format!("  {}", inputs(&known.rows, paint))]);
    }
    lines
}

/// Returns columns in a line; copies need no word.
fn inputs(inputs: &ColumnInputs, paint: Paint) -> String {
    let text = inputs.iter().map(|(column, of)| match of.iter().all(|usage| *usage == Use::Identity) {
        true => column.to_string(),
        false => format!("{column} {}", paint.faint(&format!("({})", uses(of)))),
    });
    text.collect::<Vec<_>>().join(", ")
}

/// Returns what a column is used for, as words.
pub(super) fn uses<'a>(uses: impl IntoIterator<Item = &'a Use>) -> String {
    uses.into_iter().map(|usage| usage.as_str()).collect::<Vec<_>>().join(", ")
}
