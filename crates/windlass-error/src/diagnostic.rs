//! A mistake in one of the user's files, with its place in the text.
//!
//! Produced by the project loader and by the SQL planner; rendered by the binary with a caret.
//! Holds the file's text behind an `Arc`, so that rendering never reads the disk again.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Code;

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing stops.
    Warning,
    /// The node or project cannot be used.
    Error,
}

/// A user's file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Path relative to the project folder, with forward slashes.
    pub path: PathBuf,
    /// The whole text, UTF-8.
    pub text: String,
}

impl SourceFile {
    /// Returns a shared source file.
    pub fn new(path: &Path, text: String) -> Arc<Self> {
        Arc::new(Self { path: path.to_path_buf(), text })
    }

    /// Returns the line and column of a byte offset, both from 1; the column counts characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// Returns the byte offset of a line and column, both from 1; a column past the line's end
    /// stops there.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let start = match line {
            0 | 1 => 0,
            _ => match self.text.match_indices('\n').nth(line - 2) {
                Some((at, _)) => at + 1,
                None => return self.text.len(),
            },
        };
        let rest = self.text[start..].split('\n').next().unwrap_or_default();
        let within = rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
        start + within
    }
}

/// A place in a user's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: Arc<SourceFile>,
    /// Byte range in its text; empty ranges point between two characters.
    pub span: Range<usize>,
}

impl Location {
    /// Returns the place of a byte range, cut to the text and to character boundaries.
    pub fn new(file: &Arc<SourceFile>, span: Range<usize>) -> Self {
        let floor = |mut at: usize| {
            at = at.min(file.text.len());
            while !file.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(span.start);
        let end = floor(span.end).max(start);
        Self { file: Arc::clone(file), span: start..end }
    }

    /// Returns the line and column of the first character, both from 1.
    pub fn position(&self) -> (usize, usize) {
        self.file.position(self.span.start)
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (line, column) = self.position();
        write!(f, "{}:{line}:{column}", self.file.path.display())
    }
}

/// A mistake in one of the user's files: what, where, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The code that `windlass explain` knows.
    pub code: Code,
    /// What is wrong: lowercase, no full stop, names in backticks.
    pub message: String,
    /// Where; `None` when no file can be blamed.
    pub location: Option<Location>,
    /// A short text beside the caret.
    pub label: Option<String>,
    /// Other places that matter, each with a text.
    pub related: Vec<(Location, String)>,
    /// Facts that help to understand, a line each.
    pub notes: Vec<String>,
    /// The way out.
    pub hint: Option<String>,
    /// The node that cannot be used; `None` blames the whole project.
    pub node: Option<String>,
}

impl Diagnostic {
    /// Returns an error without a place.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            location: None,
            label: None,
            related: Vec::new(),
            notes: Vec::new(),
            hint: None,
            node: None,
        }
    }

    /// Returns a warning without a place.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Sets the place.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    /// Sets the text beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds another place that matters.
    #[must_use]
    pub fn related(mut self, location: Location, text: impl Into<String>) -> Self {
        self.related.push((location, text.into()));
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Sets the way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names the node that cannot be used.
    #[must_use]
    pub fn node(mut self, node: impl Into<String>) -> Self {
        self.node = Some(node.into());
        self
    }
}

/// Returns the known name that `name` most likely means: one that it begins or that begins it, else
/// the nearest by edit distance (a swap of two letters counts as one edit, letter case as none),
/// when at most a third of it differs.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// The shortest beginning that says anything.
    const SHORTEST_PREFIX: usize = 3;
    let wanted = name.to_lowercase();
    // Two names of one letter have nothing in common.
    let limit = match wanted.chars().count() {
        0 | 1 => 0,
        length => (length / 3).max(1),
    };
    let distance = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let shorter = wanted.len().min(candidate.len());
        match shorter >= SHORTEST_PREFIX && (wanted.starts_with(&candidate) || candidate.starts_with(&wanted)) {
            true => 1,
            false => strsim::damerau_levenshtein(&wanted, &candidate),
        }
    };
    known
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, candidate)| (*distance, candidate.len()))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests;
