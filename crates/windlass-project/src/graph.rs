//! Who reads whom: parents, children and an order in which everything comes after what it reads.
//!
//! Must stay true: no circles ([`find_cycles`] reports them before a graph is built), and the same
//! nodes give the same order: of those that are ready, the first by name comes first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};

use indexmap::{IndexMap, IndexSet};
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use windlass_error::{Code, Diagnostic};

use crate::Input;
use crate::decode::list;

/// Who reads whom. Nodes are named; names that are unknown have neither parents nor children.
///
/// A parent may be a node that cannot be used: it has a place here, but is no node of the project.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    order: Vec<String>,
    parents: HashMap<String, Vec<String>>,
    children: HashMap<String, Vec<String>>,
}

impl Graph {
    /// Builds the graph of `inputs`, the names that each node reads. What only appears as an input
    /// becomes a node as well. Nodes of a circle, and what reads them, come last.
    pub fn new<'a>(inputs: impl IntoIterator<Item = (&'a str, Vec<&'a str>)>) -> Self {
        let mut parents: BTreeMap<&str, IndexSet<&str>> = BTreeMap::new();
        for (node, reads) in inputs {
            for read in &reads {
                parents.entry(*read).or_default();
            }
            parents.entry(node).or_default().extend(reads);
        }
        let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (node, reads) in &parents {
            for read in reads {
                children.entry(*read).or_default().push(*node);
            }
        }
        let owned = |names: &mut dyn Iterator<Item = &&str>| names.map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Self {
            order: order(&parents, &children),
            parents: parents.iter().map(|(node, reads)| ((*node).to_owned(), owned(&mut reads.iter()))).collect(),
            children: children.iter().map(|(node, readers)| ((*node).to_owned(), owned(&mut readers.iter()))).collect(),
        }
    }

    /// Returns all usable nodes, each after everything that it reads; ties are ordered by name.
    pub fn order(&self) -> &[String] {
        &self.order
    }

    /// Returns whether there is a node of this name, usable or not.
    pub fn contains(&self, node: &str) -> bool {
        self.parents.contains_key(node)
    }

    /// Returns what a node reads, in order of first mention.
    pub fn parents(&self, node: &str) -> &[String] {
        self.parents.get(node).map_or(&[], Vec::as_slice)
    }

    /// Returns who reads a node, by name.
    pub fn children(&self, node: &str) -> &[String] {
        self.children.get(node).map_or(&[], Vec::as_slice)
    }

    /// Returns everything that a node needs, without itself, nearest first.
    pub fn ancestors(&self, node: &str) -> Vec<String> {
        self.ancestors_within(node, usize::MAX)
    }

    /// Returns everything that needs a node, without itself, nearest first.
    pub fn descendants(&self, node: &str) -> Vec<String> {
        self.descendants_within(node, usize::MAX)
    }

    /// Returns what a node needs over at most `edges` edges.
    pub fn ancestors_within(&self, node: &str, edges: usize) -> Vec<String> {
        walk(node, edges, |name| self.parents(name))
    }

    /// Returns what needs a node over at most `edges` edges.
    pub fn descendants_within(&self, node: &str, edges: usize) -> Vec<String> {
        walk(node, edges, |name| self.children(name))
    }

    /// Keeps only these names in [`Graph::order`].
    pub(crate) fn retain_order(&mut self, keep: impl Fn(&str) -> bool) {
        self.order.retain(|name| keep(name));
    }
}

/// Returns a diagnostic for every circle, each with the names of all nodes in it.
pub(crate) fn find_cycles(inputs: &IndexMap<String, Vec<Input>>) -> Vec<(Diagnostic, Vec<String>)> {
    let mut graph: DiGraph<&str, ()> = DiGraph::new();
    let indices: HashMap<&str, NodeIndex> = inputs.keys().map(|name| (name.as_str(), graph.add_node(name))).collect();
    for (name, reads) in inputs {
        for input in reads {
            if let (Some(from), Some(to)) = (indices.get(name.as_str()), indices.get(input.node.as_str())) {
                graph.add_edge(*from, *to, ());
            }
        }
    }
    let mut cycles = Vec::new();
    for component in tarjan_scc(&graph) {
        let names: BTreeSet<&str> = component.iter().map(|index| graph[*index]).collect();
        if let Some(circle) = shortest_circle(&names, inputs) {
            let mut problem = cycle_diagnostic(&circle, inputs);
            let others: Vec<&&str> = names.iter().filter(|name| !circle.contains(name)).collect();
            if !others.is_empty() {
                problem = problem.note(format!("also in a circle with them: {}", list(&others)));
            }
            cycles.push((problem, names.iter().map(|name| (*name).to_owned()).collect()));
        }
    }
    cycles.sort_by(|(_, left), (_, right): &(Diagnostic, Vec<String>)| left.cmp(right));
    cycles
}

/// Returns the shortest way from the first name back to itself, without repeating it.
fn shortest_circle<'a>(names: &BTreeSet<&'a str>, inputs: &'a IndexMap<String, Vec<Input>>) -> Option<Vec<&'a str>> {
    let start = *names.first()?;
    let reads = |name: &str| {
        let inputs = inputs.get(name).map_or(&[][..], Vec::as_slice);
        inputs.iter().filter_map(|input| names.get(input.node.as_str()).copied())
    };
    let mut came_from: HashMap<&str, &str> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(name) = queue.pop_front() {
        for next in reads(name) {
            if next == start {
                let mut circle = vec![name];
                let mut at = name;
                while at != start {
                    at = came_from[at];
                    circle.push(at);
                }
                circle.reverse();
                return Some(circle);
            }
            if !came_from.contains_key(next) {
                came_from.insert(next, name);
                queue.push_back(next);
            }
        }
    }
    None
}

fn cycle_diagnostic(circle: &[&str], inputs: &IndexMap<String, Vec<Input>>) -> Diagnostic {
    let first = circle.first().copied().unwrap_or_default();
    let way: Vec<&str> = circle.iter().copied().chain([first]).collect();
    let message = match circle {
        [_] => format!("`{first}` reads itself"),
        _ => format!("transforms need each other in a circle: {}", way.join(" -> ")),
    };
    let mut problem = Diagnostic::error(Code::CYCLE, message).node(first);
    for (at, pair) in way.windows(2).enumerate() {
        let input = inputs.get(pair[0]).and_then(|reads| reads.iter().find(|input| input.node == pair[1]));
        let Some(input) = input else { continue };
        let text = format!("`{}` reads `{}` here", pair[0], pair[1]);
        problem = match (at, circle.len()) {
            (0, 1) => problem.at(input.location.clone()),
            (0, _) => problem.at(input.location.clone()).label(text),
            _ => problem.related(input.location.clone(), text),
        };
    }
    problem
}

/// Returns the names in dependency order; those left over by a circle follow by name.
fn order(parents: &BTreeMap<&str, IndexSet<&str>>, children: &BTreeMap<&str, Vec<&str>>) -> Vec<String> {
    let mut waits: BTreeMap<&str, usize> = parents.iter().map(|(node, reads)| (*node, reads.len())).collect();
    let mut ready: BinaryHeap<Reverse<&str>> =
        waits.iter().filter(|(_, count)| **count == 0).map(|(node, _)| Reverse(*node)).collect();
    let mut order = Vec::with_capacity(parents.len());
    while let Some(Reverse(node)) = ready.pop() {
        waits.remove(node);
        order.push(node.to_owned());
        for child in children.get(node).into_iter().flatten() {
            if let Some(count) = waits.get_mut(child) {
                *count -= 1;
                if *count == 0 {
                    ready.push(Reverse(*child));
                }
            }
        }
    }
    order.extend(waits.keys().map(|node| (*node).to_owned()));
    order
}

fn walk<'a>(start: &str, edges: usize, next: impl Fn(&str) -> &'a [String]) -> Vec<String> {
    let mut found: IndexSet<&str> = IndexSet::new();
    let mut level: Vec<&str> = next(start).iter().map(String::as_str).collect();
    let mut distance = 1;
    while distance <= edges && !level.is_empty() {
        level.retain(|name| *name != start && found.insert(*name));
        level = level.into_iter().flat_map(&next).map(String::as_str).collect();
        distance += 1;
    }
    found.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
