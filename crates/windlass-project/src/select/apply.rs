//! Evaluates a selection against a project.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobMatcher};
use windlass_error::nearest;

use super::{Atom, Expression, Reach, Selection, SelectionError};
use crate::{Materialized, Node, NodeKind, Project};

const SETTINGS: [&str; 6] = ["materialized", "owner", "partition_by", "retries", "strategy", "tags"];

type Names = BTreeSet<String>;

/// Returns the names selected, possibly also of nodes that cannot be used.
pub(super) fn apply(selection: &Selection, project: &Project) -> Result<Names, SelectionError> {
    Evaluation { text: &selection.text, project }.expression(&selection.root)
}

struct Evaluation<'a> {
    text: &'a str,
    project: &'a Project,
}

impl Evaluation<'_> {
    fn expression(&self, expression: &Expression) -> Result<Names, SelectionError> {
        match expression {
            Expression::Atom(atom) => self.atom(atom),
            Expression::Not(inner) => {
                let inner = self.expression(inner)?;
                Ok(self.project.nodes.keys().filter(|name| !inner.contains(*name)).cloned().collect())
            }
            Expression::Any(parts) => {
                let mut all = Names::new();
                for part in parts {
                    all.extend(self.expression(part)?);
                }
                Ok(all)
            }
            Expression::All(parts) => {
                let mut common: Option<Names> = None;
                for part in parts {
                    let found = self.expression(part)?;
                    common = Some(match common {
                        Some(known) => known.intersection(&found).cloned().collect(),
                        None => found,
                    });
                }
                Ok(common.unwrap_or_default())
            }
        }
    }

    fn atom(&self, atom: &Atom) -> Result<Names, SelectionError> {
        let matcher = Matcher::new(self.text, atom)?;
        let direct: Vec<&Node> = self.project.nodes.values().filter(|node| matcher.matches(node)).collect();
        if direct.is_empty() {
            return Err(self.nothing(atom));
        }
        let mut names = Names::new();
        for node in direct {
            self.widen(&node.name, atom, &mut names);
        }
        Ok(names)
    }

    /// Adds a node and as much around it as the atom asks for.
    fn widen(&self, name: &str, atom: &Atom, names: &mut Names) {
        let graph = &self.project.graph;
        names.insert(name.to_owned());
        names.extend(edges(atom.ancestors).map(|edges| graph.ancestors_within(name, edges)).unwrap_or_default());
        let below = if atom.closure { Some(usize::MAX) } else { edges(atom.descendants) };
        let below = below.map(|edges| graph.descendants_within(name, edges)).unwrap_or_default();
        if atom.closure {
            names.extend(graph.ancestors(name));
            names.extend(below.iter().flat_map(|reader| graph.ancestors(reader)));
        }
        names.extend(below);
    }

    /// Says what was not found, and what is there instead.
    fn nothing(&self, atom: &Atom) -> SelectionError {
        let value = &atom.value;
        let fail = |message: String| SelectionError::empty(self.text, atom.span.clone(), message);
        let Some(method) = atom.method.as_deref() else {
            if self.project.graph.contains(value) {
                return fail(format!("node `{value}` has errors and cannot be selected"));
            }
            let names = self.project.nodes.keys().map(String::as_str);
            return with_near(fail(format!("no node matches `{value}`")), value, names);
        };
        let message = match method {
            "tag" => format!("no node has the tag `{value}`"),
            "owner" => format!("no node has the owner `{value}`"),
            "path" => format!("no node stands below `{value}`"),
            "source" => format!("no source matches `{value}`"),
            "kind" | "resource_type" => format!("no node is of the kind `{value}`"),
            _ => format!("no node has `{value}` for `{method}`"),
        };
        let known: BTreeSet<String> = self.project.nodes.values().flat_map(|node| values(node, method)).collect();
        let err = with_near(fail(message), value, known.iter().map(String::as_str));
        if err.hint.is_some() || known.is_empty() || known.len() > 12 {
            return err;
        }
        let known: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
        err.with_hint(format!("there are {}", known.join(", ")))
    }
}

fn with_near<'a>(err: SelectionError, name: &str, known: impl Iterator<Item = &'a str>) -> SelectionError {
    match nearest(name, known) {
        Some(near) => err.with_hint(format!("did you mean `{near}`?")),
        None => err,
    }
}

fn edges(reach: Reach) -> Option<usize> {
    match reach {
        Reach::None => None,
        Reach::Edges(edges) => Some(edges),
        Reach::All => Some(usize::MAX),
    }
}

/// The test that an atom puts to every node.
struct Matcher<'a> {
    method: Option<&'a str>,
    glob: GlobMatcher,
}

impl<'a> Matcher<'a> {
    fn new(text: &str, atom: &'a Atom) -> Result<Self, SelectionError> {
        let method = atom.method.as_deref();
        let fail = |message: String| SelectionError::syntax(text, atom.span.clone(), message);
        if let Some(setting) = method.and_then(|method| method.strip_prefix("config."))
            && !SETTINGS.contains(&setting)
        {
            let known = SETTINGS.map(|setting| format!("`{setting}`")).join(", ");
            let err = fail(format!("no setting `{setting}` to select by"));
            return Err(err.with_hint(format!("settings are {known}")));
        }
        let value = match method {
            Some("path") => atom.value.trim_start_matches("./").trim_end_matches('/'),
            _ => atom.value.as_str(),
        };
        // A `*` stops at folders, and a folder stands for everything in it.
        let glob = GlobBuilder::new(value).literal_separator(method == Some("path")).build();
        let glob = glob.map_err(|_| fail("this pattern cannot be read".to_owned()))?;
        Ok(Self { method, glob: glob.compile_matcher() })
    }

    fn matches(&self, node: &Node) -> bool {
        match self.method {
            None => self.glob.is_match(&node.name),
            Some(method) => values(node, method).iter().any(|value| self.glob.is_match(value)),
        }
    }
}

/// Returns what a node has to offer to a method.
fn values(node: &Node, method: &str) -> Vec<String> {
    match method {
        "tag" => node.config.tags.clone(),
        "owner" => node.config.owner.iter().cloned().collect(),
        "path" => {
            let path = node.file.path.to_string_lossy().replace('\\', "/");
            let folders = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
            folders.chain([path.clone()]).collect()
        }
        "source" => match &node.kind {
            NodeKind::Source(table) => vec![table.source.clone(), node.name.clone()],
            _ => Vec::new(),
        },
        "kind" | "resource_type" => match node.kind {
            NodeKind::Transform(_) if node.config.incremental.is_some() => {
                ["transform", "table", node.kind_name()].map(str::to_owned).to_vec()
            }
            NodeKind::Python(_) if node.config.incremental.is_some() => {
                ["transform", "table", "incremental", node.kind_name()].map(str::to_owned).to_vec()
            }
            NodeKind::Transform(_) => vec!["transform".to_owned(), node.kind_name().to_owned()],
            NodeKind::Python(_) => ["transform", "table", node.kind_name()].map(str::to_owned).to_vec(),
            _ => vec![node.kind_name().to_owned()],
        },
        _ => setting(node, method.strip_prefix("config.").unwrap_or(method)),
    }
}

fn setting(node: &Node, name: &str) -> Vec<String> {
    let config = &node.config;
    match name {
        "materialized" if matches!(node.kind, NodeKind::Transform(_) | NodeKind::Python(_)) => {
            match config.materialized {
                Materialized::View => vec!["view".to_owned()],
                Materialized::Table => vec!["table".to_owned()],
                Materialized::Incremental => vec!["incremental".to_owned()],
            }
        }
        "owner" => config.owner.iter().cloned().collect(),
        "strategy" => config.incremental.iter().map(|how| how.strategy.name().to_owned()).collect(),
        "partition_by" => config.partition_by.clone(),
        "retries" => vec![config.retries.to_string()],
        "tags" => config.tags.clone(),
        _ => Vec::new(),
    }
}
