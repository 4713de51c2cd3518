//! Leads from a place in rendered SQL back to the user's file.
//!
//! Pieces of the rendered text in order, each with the part of a file that it came from: text that
//! was copied maps character by character, what an expression rendered to maps to the expression.

use std::ops::Range;
use std::sync::Arc;

use windlass_error::{Location, SourceFile};

use crate::template::Copied;

/// Leads from a byte range of rendered text back to the file that it came from.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    files: Vec<Arc<SourceFile>>,
    /// In order of `rendered`, without overlaps.
    pieces: Vec<Piece>,
}

/// Rendered text of one origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) rendered: Range<usize>,
    pub(crate) file: usize,
    pub(crate) origin: Range<usize>,
    /// Whether the text is a copy of `origin`; if not, all of it came from all of `origin`.
    pub(crate) exact: bool,
    /// The outermost expression around, as file and range: the call of the macro that wrote this.
    pub(crate) call: Option<(usize, Range<usize>)>,
}

impl Piece {
    /// Returns what of the piece lies in a part of its text that stands elsewhere.
    fn within(&self, copied: &Copied) -> Option<Self> {
        let (start, end) = (self.origin.start.max(copied.part.start), self.origin.end.min(copied.part.end));
        if start >= end {
            return None;
        }
        let rendered = self.rendered.start + (start - self.origin.start);
        let origin = copied.start + (start - copied.part.start);
        let length = end - start;
        Some(Self { rendered: rendered..rendered + length, origin: origin..origin + length, ..self.clone() })
    }
}

impl SourceMap {
    /// Returns the map of a text that is `file`'s own, or a start of it.
    pub fn identity(file: &Arc<SourceFile>) -> Self {
        let all = 0..file.text.len();
        let piece = Piece { rendered: all.clone(), file: 0, origin: all, exact: true, call: None };
        Self { files: vec![Arc::clone(file)], pieces: vec![piece] }
    }

    /// Returns the map of a text that a literal at `place` stands for: character by character where it is
    /// written there as it is, else all of it leads to the whole literal.
    pub fn literal(place: &Location, text: &str) -> Self {
        let written = place.file.text.get(place.span.clone()).unwrap_or_default();
        let (origin, exact) = match written.find(text) {
            Some(at) => (place.span.start + at..place.span.start + at + text.len(), true),
            None => (place.span.clone(), false),
        };
        let piece = Piece { rendered: 0..text.len(), file: 0, origin, exact, call: None };
        Self { files: vec![Arc::clone(&place.file)], pieces: vec![piece] }
    }

    pub(crate) fn new(files: Vec<Arc<SourceFile>>, pieces: Vec<Piece>) -> Self {
        Self { files, pieces }
    }

    /// Returns a coarse map: a rendered line leads to the same line of `file`, or else to the line
    /// below which it must stand.
    pub(crate) fn by_lines(file: &Arc<SourceFile>, rendered: &str) -> Self {
        let originals: Vec<Range<usize>> = lines(&file.text).collect();
        let mut pieces: Vec<Piece> = Vec::new();
        let mut next = 0;
        for line in lines(rendered) {
            let text = &rendered[line.clone()];
            let same = |at: &usize| !text.is_empty() && file.text[originals[*at].clone()] == *text;
            let found = (next..originals.len()).find(same).or_else(|| (0..next).find(same));
            let at = found.unwrap_or_else(|| next.saturating_sub(1));
            let origin = originals.get(at).cloned().unwrap_or(0..0);
            pieces.push(Piece { rendered: line, file: 0, origin, exact: found.is_some(), call: None });
            next = found.map_or(next, |at| at + 1);
        }
        Self { files: vec![Arc::clone(file)], pieces }
    }

    /// Returns the map of a text that is a part of a larger file, `at`, where its lines may be indented: what
    /// led to the last of the files leads to there.
    pub(crate) fn moved(mut self, copies: &[Copied], at: &Location) -> Self {
        let Some(own) = self.files.len().checked_sub(1) else { return self };
        self.files[own] = Arc::clone(&at.file);
        let place = |range: &Range<usize>| {
            let copied = copies.iter().find(|copied| (copied.part.start..=copied.part.end).contains(&range.start));
            let moved = copied.map(|copied| copied.start + (range.start - copied.part.start));
            moved.map_or(at.span.clone(), |start| start..(start + range.len()).min(at.span.end))
        };
        let mut pieces = Vec::with_capacity(self.pieces.len());
        for mut piece in self.pieces {
            piece.call =
                piece.call.map(|(file, range)| if file == own { (file, place(&range)) } else { (file, range) });
            if piece.file != own {
                pieces.push(piece);
            } else if !piece.exact {
                pieces.push(Piece { origin: place(&piece.origin), ..piece });
            } else {
                pieces.extend(copies.iter().filter_map(|copied| piece.within(copied)));
            }
        }
        Self { files: self.files, pieces }
    }

    /// Returns the map of a text of this length with others before and after it, which lead to a place.
    pub(crate) fn between(mut self, before: &str, length: usize, after: &str, at: &Location) -> Self {
        let file = self.files.len();
        self.files.push(Arc::clone(&at.file));
        let around =
            |rendered: Range<usize>| Piece { rendered, file, origin: at.span.clone(), exact: false, call: None };
        for piece in &mut self.pieces {
            piece.rendered = piece.rendered.start + before.len()..piece.rendered.end + before.len();
        }
        let end = before.len() + length;
        self.pieces.insert(0, around(0..before.len()));
        self.pieces.push(around(end..end + after.len()));
        self
    }

    /// Returns the place in a user's file that rendered to `span`.
    ///
    /// The range is exact where text was copied, cut where that text ends; otherwise it is the
    /// expression that rendered to it. An empty `span` stands for the word that starts there.
    pub fn locate(&self, span: Range<usize>) -> Option<Location> {
        let piece = self.piece(span.start)?;
        let file = self.files.get(piece.file)?;
        if !piece.exact {
            return Some(Location::new(file, piece.origin.clone()));
        }
        let start = piece.origin.start + (span.start - piece.rendered.start);
        let end = if span.end > span.start {
            (start + (span.end - span.start)).min(piece.origin.end)
        } else {
            let rest = file.text.get(start..piece.origin.end).unwrap_or_default();
            start + rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        };
        Some(Location::new(file, start..end))
    }

    /// Returns the expression in the node's own file that led to `span`, where [`Self::locate`]
    /// answers with the inside of a macro.
    pub fn call_site(&self, span: Range<usize>) -> Option<Location> {
        let (file, range) = self.piece(span.start)?.call.clone()?;
        Some(Location::new(self.files.get(file)?, range))
    }

    fn piece(&self, at: usize) -> Option<&Piece> {
        let after = self.pieces.partition_point(|piece| piece.rendered.start <= at);
        let piece = self.pieces.get(after.checked_sub(1)?)?;
        (at <= piece.rendered.end).then_some(piece)
    }
}

/// Returns the ranges of lines, without indentation and line ends.
fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.split_inclusive('\n').scan(0, |at, line| {
        let start = *at + (line.len() - line.trim_start().len()).min(line.trim_end().len());
        *at += line.len();
        Some(start..start + line.trim().len())
    })
}

#[cfg(test)]
mod tests;
