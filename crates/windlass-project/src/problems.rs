//! Gathers the problems of one node, or of the whole project.

use windlass_error::{Diagnostic, Severity};

/// Diagnostics in the order they were found.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    pub(crate) list: Vec<Diagnostic>,
    node: Option<String>,
}

impl Problems {
    /// Returns an empty list whose diagnostics blame `node`.
    pub(crate) fn of_node(node: &str) -> Self {
        Self { list: Vec::new(), node: Some(node.to_owned()) }
    }

    pub(crate) fn push(&mut self, mut diagnostic: Diagnostic) {
        if diagnostic.node.is_none() {
            diagnostic.node.clone_from(&self.node);
        }
        self.list.push(diagnostic);
    }

    pub(crate) fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        for diagnostic in diagnostics {
            self.push(diagnostic);
        }
    }

    /// Adds the problems of another list, which keep whom they blame.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.list.extend(other.list);
    }

    /// Returns whether what was read cannot be used.
    pub(crate) fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}
