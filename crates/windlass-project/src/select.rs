//! Picks nodes of a project: dbt's selection grammar, and words where its signs confuse.
//!
//! ```text
//! expr   := term (("or" | " ") term)*       term := factor (("and" | ",") factor)*
//! factor := ["not"] ( "(" expr ")" | atom )
//! atom   := ["@" | [N]"+"] target ["+"[N]]  target := NAME-GLOB | method ":" value
//! ```
//!
//! `parse` reads the text, `apply` evaluates it against a project. A name or method that matches
//! nothing is an error, because it nearly always is a typing mistake.

mod apply;
mod parse;

use std::ops::Range;

use indexmap::IndexSet;
use windlass_error::{Classify, Code, Fault, Retry};

use crate::Project;

/// Known methods, each with what it looks at.
pub const METHODS: [(&str, &str); 7] = [
    ("tag", "a tag"),
    ("path", "a file or folder of the project"),
    ("owner", "an owner"),
    ("kind", "`source`, `seed`, `transform`, `view`, `table` or `python`"),
    ("resource_type", "the same as `kind`"),
    ("source", "a source, or a table of it such as `nyc.flights`"),
    ("config.<setting>", "the value of a setting, such as `config.materialized:view`"),
];

/// A selection such as `tag:hourly,+feat_flight`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    text: String,
    root: Expression,
}

/// A selection that cannot be read, or that matches nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectionError {
    /// What is wrong: lowercase, no full stop.
    pub message: String,
    /// The whole selection.
    pub text: String,
    /// The part of it that is wrong, in bytes.
    pub span: Range<usize>,
    code: Code,
    hint: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    Any(Vec<Self>),
    All(Vec<Self>),
    Not(Box<Self>),
    Atom(Atom),
}

/// One name or method, with how much around it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Atom {
    span: Range<usize>,
    method: Option<String>,
    value: String,
    ancestors: Reach,
    descendants: Reach,
    /// `@x`: everything that reads `x`, and everything that those need.
    closure: bool,
}

/// How far to go from a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    None,
    Edges(usize),
    All,
}

impl Selection {
    /// Reads a selection.
    ///
    /// # Errors
    ///
    /// Answers with the place in `text` that does not fit the grammar.
    pub fn parse(text: &str) -> Result<Self, SelectionError> {
        let root = parse::parse(text)?;
        Ok(Self { text: text.to_owned(), root })
    }

    /// Returns the names selected, in the order of the project's graph.
    ///
    /// # Errors
    ///
    /// Answers with the first part that matches nothing, or with the whole where its parts match
    /// something but not together.
    pub fn apply(&self, project: &Project) -> Result<IndexSet<String>, SelectionError> {
        let found = apply::apply(self, project)?;
        let in_order: IndexSet<String> = project.nodes.keys().filter(|name| found.contains(*name)).cloned().collect();
        if in_order.is_empty() {
            return Err(SelectionError::empty(&self.text, 0..self.text.len(), "the selection matches no node".into()));
        }
        Ok(in_order)
    }
}

/// Returns what `select` picks, or everything, without what `exclude` picks; in graph order.
///
/// # Errors
///
/// Answers with the selection that cannot be read or that matches nothing.
pub fn choose(
    project: &Project,
    select: Option<&str>,
    exclude: Option<&str>,
) -> Result<IndexSet<String>, SelectionError> {
    let mut chosen = match select {
        Some(text) => Selection::parse(text)?.apply(project)?,
        None => project.nodes.keys().cloned().collect(),
    };
    if let Some(text) = exclude {
        let excluded = Selection::parse(text)?.apply(project)?;
        chosen.retain(|name| !excluded.contains(name));
        if chosen.is_empty() && !project.nodes.is_empty() {
            let message = "nothing is left after leaving these nodes out".to_owned();
            return Err(SelectionError::empty(text, 0..text.len(), message));
        }
    }
    Ok(chosen)
}

impl SelectionError {
    fn syntax(text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), text: text.to_owned(), span, code: Code::SELECTION_SYNTAX, hint: None }
    }

    fn empty(text: &str, span: Range<usize>, message: String) -> Self {
        Self { message, text: text.to_owned(), span, code: Code::EMPTY_SELECTION, hint: None }
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the selection with carets below the wrong part, two lines.
    pub fn pointer(&self) -> String {
        let line: String = self.text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
        let chars = |range: Range<usize>| self.text.get(range).unwrap_or_default().chars().count();
        let indent = " ".repeat(chars(0..self.span.start));
        format!("{line}\n{indent}{}", "^".repeat(chars(self.span.clone()).max(1)))
    }
}

impl std::fmt::Display for SelectionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if self.text.trim().is_empty() {
            return Ok(());
        }
        for line in self.pointer().lines() {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SelectionError {}

impl Classify for SelectionError {
    fn fault(&self) -> Fault {
        Fault::User
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }

    fn code(&self) -> Option<Code> {
        Some(self.code)
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

#[cfg(test)]
mod tests;
