//! Lineage as a flowchart in Mermaid's language (<https://mermaid.js.org>).

use std::collections::BTreeSet;

use indexmap::{IndexMap, IndexSet};
use windlass_engine::{Edge, End, Use};

use super::tree::uses;
use super::{Answer, Reached};

/// Returns the tables with their arrows, or with a column the columns on the way.
pub(super) fn text(answer: &Answer<'_>) -> String {
    let reached = answer.reached();
    let mut lines = vec!["flowchart LR".to_owned()];
    match answer.column() {
        None => tables(answer, &reached, &mut lines),
        Some(column) => columns(answer, &End::Column(column), &answer.edges(&reached), &mut lines),
    }
    lines.push("  classDef start stroke-width:3px".to_owned());
    lines.join("\n")
}

fn tables(answer: &Answer<'_>, reached: &IndexMap<String, Reached>, lines: &mut Vec<String>) {
    for (place, table) in reached.keys().enumerate() {
        let start = if *table == answer.subject.table { ":::start" } else { "" };
        lines.push(format!("  n{place}[\"{}<br/>{}\"]{start}", escaped(table), answer.kind(table)));
    }
    for (to, table) in reached.keys().enumerate() {
        let inputs = answer.lineage.tables.get(table).into_iter().flat_map(|known| &known.reads);
        for from in inputs.filter_map(|input| reached.get_index_of(input)) {
            lines.push(format!("  n{from} --> n{to}"));
        }
    }
}

fn columns(answer: &Answer<'_>, start: &End, edges: &[Edge], lines: &mut Vec<String>) {
    let mut ends: IndexSet<End> = IndexSet::from([start.clone()]);
    for edge in edges {
        ends.insert(End::Column(edge.from.clone()));
        ends.insert(edge.to.clone());
    }
    let tables: IndexSet<&str> = ends.iter().map(End::table).collect();
    for (place, table) in tables.iter().enumerate() {
        lines.push(format!("  subgraph t{place}[\"{} ({})\"]", escaped(table), answer.kind(table)));
        for (at, end) in ends.iter().enumerate().filter(|(_, end)| end.table() == *table) {
            let mark = if end == start { ":::start" } else { "" };
            lines.push(match end {
                End::Column(column) => format!("    c{at}[\"{}\"]{mark}", escaped(&column.column)),
                End::Rows(_) => format!("    c{at}([\"rows\"])"),
            });
        }
        lines.push("  end".to_owned());
    }
    let place = |end: &End| ends.get_index_of(end).unwrap_or_default();
    for edge in edges {
        let (from, to) = (place(&End::Column(edge.from.clone())), place(&edge.to));
        let label = if is_copy(&edge.uses) { String::new() } else { format!("|{}|", uses(&edge.uses)) };
        let arrow = if edge.is_direct() { "-->" } else { "-.->" };
        lines.push(format!("  c{from} {arrow}{label} c{to}"));
    }
}

fn is_copy(uses: &BTreeSet<Use>) -> bool {
    uses.iter().all(|usage| *usage == Use::Identity)
}

/// Returns a name as it may stand between quotes.
fn escaped(name: &str) -> String {
    name.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
}
